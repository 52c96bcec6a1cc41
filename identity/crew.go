package identity

import "sync"

// crew is the goroutines that an engine owns. They can be started until Close,
// which waits for all of them; a sync.WaitGroup must not be added to meanwhile.
type crew struct {
	mu      sync.Mutex
	idle    *sync.Cond // made by Close
	running int
	closed  bool
}

// Go runs fn beside the caller; once the crew is closed the caller runs it itself.
func (c *crew) Go(fn func()) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		fn()
		return
	}
	c.running++
	c.mu.Unlock()
	go func() {
		defer c.leave()
		fn()
	}()
}

func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if c.running == 0 && c.idle != nil {
		c.idle.Broadcast()
	}
}

// Close starts nothing more and waits until nothing runs.
func (c *crew) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.idle = sync.NewCond(&c.mu)
	for c.running > 0 {
		c.idle.Wait()
	}
}
