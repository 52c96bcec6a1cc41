package identity

import (
	"context"
	"time"
)

// Run is the loop: it claims what is due and converges it, side by side, until
// ctx ends. Then the calls under way are cut, their outcomes are written as
// unknown, the leases are released, and it returns.
func (e *Engine) Run(ctx context.Context) error {
	// Verbs end when ctx does, not only when the loop has noticed.
	unhook := context.AfterFunc(ctx, e.stop)
	defer func() {
		unhook()
		if ctx.Err() != nil {
			e.stop()
		}
	}()
	defer e.behind.Close()
	e.behind.Go(func() { e.keepPurging(ctx) })
	l := loop{Engine: e, people: make(chan struct{}, e.Concurrency), background: make(chan struct{}, max(1, e.Concurrency/2))}
	for ctx.Err() == nil {
		l.round(ctx)
	}
	return nil
}

// loop hands what is due to slots. Background work needs a slot of both kinds.
type loop struct {
	*Engine
	people, background chan struct{}
}

// round claims what there are slots for, people's work first, and rests if there
// was nothing to do or no slot to do it in.
func (l *loop) round(ctx context.Context) {
	claimed := l.fill(ctx, LanePeople, free(l.people))
	claimed += l.fill(ctx, LaneBackground, min(free(l.people), free(l.background)))
	if claimed == 0 || free(l.people) == 0 {
		l.rest(ctx)
	}
}

// free is how many slots nobody holds. The loop alone fills slots, so they stay free.
func free(slots chan struct{}) int { return cap(slots) - len(slots) }

func (l *loop) fill(ctx context.Context, lane Lane, limit int) int {
	if limit == 0 || ctx.Err() != nil {
		return 0
	}
	leases, err := l.Store.Claim(ctx, lane, l.Clock(), l.lease, limit)
	if err != nil && ctx.Err() == nil {
		l.Logger.Error("claiming due identities", "lane", lane, "error", err)
	}
	for _, lease := range leases {
		l.people <- struct{}{}
		if lane == LaneBackground {
			l.background <- struct{}{}
		}
		l.behind.Go(func() {
			defer func() {
				<-l.people
				if lane == LaneBackground {
					<-l.background
				}
				l.Wake()
			}()
			l.resume(ctx, lease)
		})
	}
	return len(leases)
}

// resume carries on with a row that was claimed. What its last holder intended
// and did not settle is unknown.
func (e *Engine) resume(ctx context.Context, lease Lease) {
	// Also if the process is being stopped: the lease has to be released.
	reading, cancel := detached(ctx, leaseGrace)
	v, err := e.Store.View(reading, lease.ID)
	cancel()
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
	e.converge(ctx, env, lease, v, steps)
}

// lockedRest is how long the loop leaves a row alone that is due and that it could
// not claim: somebody has it locked, or there is no slot for it.
const lockedRest = 100 * time.Millisecond

// rest waits until something is due, somebody wakes the loop, or it is time to
// look anyway.
func (l *loop) rest(ctx context.Context) {
	wait := l.Poll
	for _, lane := range []Lane{LanePeople, LaneBackground} {
		if due, found, err := l.Store.NextDue(ctx, lane); err == nil && found {
			until := due.Sub(l.Clock())
			if until <= 0 {
				until = lockedRest
			}
			wait = min(wait, until)
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.woken:
	case <-timer.C:
	}
}

const purgeEvery = time.Hour

// keepPurging deletes old tombstones now and then. It has time: nobody waits for it.
func (e *Engine) keepPurging(ctx context.Context) {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		if err := e.Store.Purge(ctx, e.Clock().Add(-KeepTombstones)); err != nil && ctx.Err() == nil {
			e.Logger.Error("deleting old tombstones", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
