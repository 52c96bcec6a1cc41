package cloudcontroller

import (
	"context"
	"sync"
	"time"
)

// Clock is Cloud Controller's time: that of its queue, not of its sockets.
type Clock interface {
	Now() time.Time
	// Sleep returns when that much of this clock's time has passed.
	Sleep(ctx context.Context, d time.Duration) error
}

// Leap is a clock whose sleepers never wait: time leaps to where they wake up. A
// week of polling takes no time.
type Leap struct {
	// Leapt, if set, is told of every leap once it was made: for a test that
	// moves another clock along, or waits for what the leap brings about.
	Leapt func(ctx context.Context, d time.Duration) error

	mu  sync.Mutex
	now time.Time
}

// NewLeap starts a clock at the present.
func NewLeap() *Leap { return &Leap{now: time.Now()} }

// Now implements Clock.
func (l *Leap) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// Sleep implements Clock.
func (l *Leap) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	l.now = l.now.Add(d)
	l.mu.Unlock()
	if l.Leapt != nil {
		return l.Leapt(ctx, d)
	}
	return nil
}

// Wall is time as it passes.
type Wall struct{}

// Now implements Clock.
func (Wall) Now() time.Time { return time.Now() }

// Sleep implements Clock.
func (Wall) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
