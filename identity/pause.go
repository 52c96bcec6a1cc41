package identity

import (
	"context"
	"time"
)

// until waits, outside of any transaction, for what somebody else brings about;
// false if ctx ended first. Not knowing is no answer: it is asked again.
func until(ctx context.Context, is func() bool) bool {
	for pause := newPause(); !is(); {
		if pause.wait(ctx) != nil {
			return false
		}
	}
	return true
}

// pause waits a little, and a little longer each time: for verbs that wait for a
// row to change.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{next: 10 * time.Millisecond} }

func (p *pause) wait(ctx context.Context) error {
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	p.next = min(2*p.next, 200*time.Millisecond)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
