package remote

import (
	"net"
	"net/http/httptrace"
	"os"
	"sync"
	"time"
)

// call is the permission to write one request: until a deadline, and until the
// call has returned.
type call struct {
	deadline time.Time

	mu      sync.Mutex
	written bool
	over    bool
}

// callKey is under what a call travels to the dial that is made for it.
type callKey struct{}

// take is told by net/http which connection the call got. It happens before the
// first byte of the request; if net/http retries, once for each attempt.
func (c *call) take(got httptrace.GotConnInfo) {
	w := wireOf(got.Conn)
	if w == nil {
		// Not a connection that we dialled: nothing would be known of what is
		// written to it, so nothing may be, and the worst is assumed.
		_ = got.Conn.Close()
		c.mu.Lock()
		c.written = true
		c.mu.Unlock()
		return
	}
	w.give(c)
}

// wireOf finds our connection below TLS, and below a proxy's TLS.
func wireOf(conn net.Conn) *wire {
	for {
		switch layer := conn.(type) {
		case *wire:
			return layer
		case interface{ NetConn() net.Conn }:
			conn = layer.NetConn()
		default:
			return nil
		}
	}
}

// mayWrite asks for permission and records that it was given: from here on a
// byte may have left.
func (c *call) mayWrite(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || late(now, c.deadline) {
		c.over = true
		return false
	}
	c.written = true
	return true
}

// finish withdraws the permission and tells whether it was ever used. It is the
// order of the two that makes the answer final.
func (c *call) finish() (written bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	return c.written
}

// late compares by both clocks: the monotonic one stands still while a machine
// is suspended, the other one can be set back.
func late(now, deadline time.Time) bool {
	return !now.Before(deadline) || !now.Round(0).Before(deadline.Round(0))
}

// wire is a connection on which only the call that holds it may write. Without
// a call, before it is first handed out, it is TLS that shakes hands.
type wire struct {
	net.Conn

	mu   sync.Mutex
	call *call
}

// give hands the connection to a call, with the call's deadline on it. The
// deadline is the kernel poller's, for a write that blocks.
func (w *wire) give(c *call) {
	w.mu.Lock()
	w.call = c
	w.mu.Unlock()
	_ = w.SetWriteDeadline(c.deadline)
}

// Write looks at the clock itself. A process that wakes from a stop runs its
// goroutines before its timers: neither the context nor the poller has noticed
// yet that the deadline is over.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	c := w.call
	w.mu.Unlock()
	if c != nil && !c.mayWrite(time.Now()) {
		_ = w.Close()
		return 0, os.ErrDeadlineExceeded
	}
	return w.Conn.Write(p)
}
