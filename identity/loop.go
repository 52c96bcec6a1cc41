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
		e.stop()
	}()
	defer e.behind.Close()
	ctx, end := context.WithCancel(ctx)
	defer end() // before Close waits, so that a panic is not waited on
	e.behind.Go(func() { e.keepPurging(ctx) })
	e.behind.Go(func() { e.keepSweeping(ctx) })
	l := newLoop(e)
	for ctx.Err() == nil {
		l.round(ctx)
	}
	return nil
}

// loop hands what is due to slots. Each environment has slots of its own, so that
// one whose remotes hang starves no other.
type loop struct {
	*Engine
	names []EnvironmentName
	slots map[EnvironmentName]*slots
	told  time.Time // when lateness was last logged
}

// slots are how many identities of an environment may be under way. Rotation and
// sweeps need a slot of both kinds.
type slots struct{ all, background chan struct{} }

func newLoop(e *Engine) *loop {
	l := &loop{Engine: e, slots: map[EnvironmentName]*slots{}}
	for name, env := range e.Environments {
		background := env.Background
		if background == 0 {
			background = e.Concurrency / 2
		}
		l.names = append(l.names, name)
		l.slots[name] = &slots{make(chan struct{}, e.Concurrency), make(chan struct{}, max(1, min(background, e.Concurrency)))}
	}
	return l
}

// free is how many rows of a lane may be claimed. The loop alone fills slots, so
// they stay free.
func (s *slots) free(lane Lane) int {
	free := cap(s.all) - len(s.all)
	if lane != LanePeople {
		free = min(free, cap(s.background)-len(s.background))
	}
	return free
}

// busy tells whether it is better to wait for more slots than to claim row by row.
func (s *slots) busy(lane Lane) bool {
	return lane != LanePeople && len(s.background) > 0 && s.free(lane) < max(1, cap(s.background)/4)
}

func (s *slots) take(lane Lane) {
	s.all <- struct{}{}
	if lane != LanePeople {
		s.background <- struct{}{}
	}
}

func (s *slots) give(lane Lane) {
	<-s.all
	if lane != LanePeople {
		<-s.background
	}
}

// round claims what is due and what there are slots for, people's work first, and
// rests if nothing was.
func (l *loop) round(ctx context.Context) {
	due, err := l.Store.Due(ctx, l.names)
	if err != nil && ctx.Err() == nil {
		l.Logger.Error("looking for due identities", "error", err)
	}
	now := l.Clock()
	claimed := 0
	for _, lane := range lanes {
		for _, d := range due {
			if d.Lane == lane && !d.At.After(now) {
				claimed += l.fill(ctx, d)
			}
		}
	}
	if claimed == 0 {
		l.tellLateness(due, now)
		l.rest(ctx, due)
	}
}

// fill claims rows of one environment and lane. Work that nobody waits for stays
// where it is while a remote of its environment is known to be down: it is late
// then, and nothing else.
func (l *loop) fill(ctx context.Context, due Due) int {
	s := l.slots[due.Environment]
	limit := s.free(due.Lane)
	if limit == 0 || s.busy(due.Lane) || ctx.Err() != nil || due.Lane != LanePeople && !l.up(ctx, due.Environment) {
		return 0
	}
	leases, err := l.Store.Claim(ctx, due.Environment, due.Lane, l.Clock(), l.lease, limit)
	if err != nil && ctx.Err() == nil {
		l.Logger.Error("claiming due identities", "environment", due.Environment, "lane", due.Lane, "error", err)
	}
	for _, lease := range leases {
		s.take(due.Lane)
		l.behind.Go(func() {
			defer func() {
				s.give(due.Lane)
				l.Wake()
			}()
			l.resume(ctx, lease)
		})
	}
	return len(leases)
}

func (l *loop) up(ctx context.Context, name EnvironmentName) bool {
	env := l.Environments[name]
	return env.Clients.Available(ctx) == nil && env.Connections.Available(ctx) == nil
}

// Lateness is told once it is worth a look, and not in every round.
const (
	lateAfter     = 5 * time.Minute
	tellLateEvery = time.Minute
)

func (l *loop) tellLateness(due []Due, now time.Time) {
	if now.Sub(l.told) < tellLateEvery {
		return
	}
	for _, d := range due {
		if late := now.Sub(d.At); d.Lane == LaneRotation && late > lateAfter {
			l.told = now
			l.Logger.Warn("rotation is late; the old secrets stay valid", "environment", d.Environment, "late", late.Round(time.Second).String())
		}
	}
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
func (l *loop) rest(ctx context.Context, due []Due) {
	wait := l.Poll
	for _, d := range due {
		until := d.At.Sub(l.Clock())
		if until <= 0 {
			until = lockedRest
		}
		wait = min(wait, until)
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
