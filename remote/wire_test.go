package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/identity"
)

// stopped is the context of a process that was stopped and has just woken up:
// its deadline is over, and no timer has fired to say so.
type stopped struct{ context.Context }

func (stopped) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }
func (stopped) Done() <-chan struct{}       { return nil }
func (stopped) Err() error                  { return nil }

// counted counts the bytes that arrive at a server.
type counted struct {
	net.Listener
	bytes *atomic.Int64
}

func (l counted) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{conn, l.bytes}, nil
}

type countedConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func TestNoByteIsWrittenPastTheDeadline(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int64
			closed := make(chan struct{}, 8)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Listener = counted{server.Listener, &arrived}
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					closed <- struct{}{}
				}
			}
			if scheme == "https" {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			s := newSystem(t, Config{})
			s.transport.TLSClientConfig.InsecureSkipVerify = true
			_, err := s.Do(background, Request{Method: http.MethodGet, URL: server.URL})
			if err != nil {
				t.Fatalf("warming the connection up: %v", err)
			}
			before := arrived.Load()

			_, err = s.Do(stopped{background}, post(server.URL))

			e := asError(t, err)
			if e.Written || e.Outcome() != identity.Later {
				t.Errorf("got written %v, outcome %s; want a call that was never sent: %v", e.Written, e.Outcome(), err)
			}
			<-closed // the connection was given up, so all that was written has arrived
			if got := arrived.Load(); got != before {
				t.Errorf("%d bytes arrived after the deadline", got-before)
			}
		})
	}
}

// deaf is a connection whose own write deadline never fires.
type deaf struct {
	net.Conn
	got    bytes.Buffer
	closed bool
}

func (d *deaf) Write(p []byte) (int, error)      { return d.got.Write(p) }
func (d *deaf) SetWriteDeadline(time.Time) error { return nil }
func (d *deaf) Close() error                     { d.closed = true; return nil }

func TestWhoMayWrite(t *testing.T) {
	t.Parallel()
	future, past := time.Now().Add(time.Hour), time.Now().Add(-time.Millisecond)
	tests := []struct {
		name    string
		prepare func(*wire) *call
		allowed bool
	}{
		{"TLS that shakes hands, before any call", func(*wire) *call { return &call{} }, true},
		{"a call in time", func(w *wire) *call {
			c := &call{deadline: future}
			w.give(c)
			return c
		}, true},
		{"a call past its deadline", func(w *wire) *call {
			c := &call{deadline: past}
			w.give(c)
			return c
		}, false},
		{"a call past its deadline by the wall clock alone", func(w *wire) *call {
			c := &call{deadline: past.Round(0)}
			w.give(c)
			return c
		}, false},
		{"a call that has returned", func(w *wire) *call {
			c := &call{deadline: future}
			w.give(c)
			c.finish()
			return c
		}, false},
		{"the next call on the same connection", func(w *wire) *call {
			first := &call{deadline: future}
			w.give(first)
			first.finish()
			c := &call{deadline: future}
			w.give(c)
			return c
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := &deaf{}
			w := &wire{Conn: conn}
			c := test.prepare(w)

			_, err := io.WriteString(w, "request")

			if allowed := err == nil; allowed != test.allowed {
				t.Fatalf("got error %v, want allowed %v", err, test.allowed)
			}
			if test.allowed {
				if conn.got.String() != "request" {
					t.Errorf("got %q on the wire", conn.got.String())
				}
				return
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) || conn.got.Len() != 0 || !conn.closed {
				t.Errorf("got error %v, %d bytes written, closed %v; want a closed connection without a byte",
					err, conn.got.Len(), conn.closed)
			}
			if c.finish() {
				t.Error("the call says that it was written")
			}
		})
	}
}

func TestLateByEitherClock(t *testing.T) {
	t.Parallel()
	deadline := time.Now()
	tests := []struct {
		name string
		now  time.Time
		want bool
	}{
		{"before, by both", deadline.Add(-time.Second), false},
		{"after, by both", deadline.Add(time.Second), true},
		{"at the deadline", deadline, true},
		{"before, by a clock that only knows the wall", deadline.Add(-time.Second).Round(0), false},
		{"after, by a clock that only knows the wall", deadline.Add(time.Second).Round(0), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := late(test.now, deadline); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestConnectionThatIsNotOursIsNotTrusted(t *testing.T) {
	t.Parallel()
	conn := &deaf{}
	c := &call{deadline: time.Now().Add(time.Hour)}

	c.take(gotConn(conn))

	if !conn.closed || !c.finish() {
		t.Errorf("got closed %v, written %v; want both", conn.closed, c.written)
	}
}
