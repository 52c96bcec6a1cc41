package identity

import (
	"context"
	"sync"
	"time"
)

// Run is the loop: it claims what is due and converges it, side by side, until
// ctx ends. Then the calls under way are cut, their outcomes are written as
// unknown, the leases are released, and it returns.
func (e *Engine) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, e.stop)()
	var work sync.WaitGroup
	defer work.Wait()
	slots := make(chan struct{}, e.Concurrency)
	var purged time.Time

	for ctx.Err() == nil {
		purged = e.purge(ctx, purged)

		// The loop is the only one that fills slots, so what is free stays free.
		free := cap(slots) - len(slots)
		leases, err := e.claim(ctx, free)
		if err != nil && ctx.Err() == nil {
			e.Logger.Error("claiming due identities", "error", err)
		}
		for _, lease := range leases {
			slots <- struct{}{}
			work.Go(func() {
				defer func() { <-slots; e.Wake() }()
				e.resume(ctx, lease)
			})
		}
		if len(leases) == 0 || len(leases) == free {
			e.rest(ctx, err != nil || len(slots) == cap(slots))
		}
	}
	return nil
}

// claim takes up to free identities that are due.
func (e *Engine) claim(ctx context.Context, free int) ([]Lease, error) {
	if free == 0 {
		return nil, nil
	}
	return e.Store.Claim(ctx, e.Clock(), e.lease, free)
}

// resume carries on with a row that was claimed. What its last holder intended
// and did not settle is unknown.
func (e *Engine) resume(ctx context.Context, lease Lease) {
	v, err := e.Store.View(ctx, lease.ID)
	if err != nil {
		e.Logger.Error("reading a claimed identity", "identity", lease.ID, "error", err)
		return
	}
	env, err := e.environment(v.Identity.Environment)
	if err != nil {
		e.Logger.Error("leaving an identity as it is", "identity", lease.ID, "error", err)
		return
	}
	v, steps, err := e.advance(ctx, env, &lease, nil)
	if err != nil {
		e.Logger.Warn("handing an identity over", "identity", lease.ID, "error", err)
		return
	}
	_, _ = e.converge(ctx, env, lease, v, steps)
}

// shortestRest keeps the loop from spinning on a row that is due but locked.
const shortestRest = 5 * time.Millisecond

// rest waits until something is due, somebody wakes the loop, or it is time to
// look anyway.
func (e *Engine) rest(ctx context.Context, blind bool) {
	wait := e.Poll
	if !blind {
		if due, found, err := e.Store.NextDue(ctx); err == nil && found {
			wait = min(wait, max(shortestRest, due.Sub(e.Clock())))
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-e.woken:
	case <-timer.C:
	}
}

const purgeEvery = time.Hour

// purge deletes tombstones now and then.
func (e *Engine) purge(ctx context.Context, last time.Time) time.Time {
	now := e.Clock()
	if now.Sub(last) < purgeEvery {
		return last
	}
	if err := e.Store.Purge(ctx, now.Add(-KeepTombstones)); err != nil && ctx.Err() == nil {
		e.Logger.Error("deleting old tombstones", "error", err)
	}
	return now
}
