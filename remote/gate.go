package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"
)

const (
	defaultFailures = 5
	defaultRest     = 10 * time.Second
)

// Limits bound what one system gets from us. The zero value bounds nothing.
type Limits struct {
	// Concurrency is how many calls may be under way at once; 0 means any number.
	Concurrency int
	// PerSecond is how many calls may begin in a second, on the average; a
	// second's worth of them may begin at once. 0 means any number.
	PerSecond float64
}

func (l Limits) validate() error {
	if l.Concurrency < 0 || l.PerSecond < 0 || math.IsNaN(l.PerSecond) {
		return errors.New("limits cannot be less than 0, which means none")
	}
	return nil
}

// Breaker says when a system that is down is left alone. Only what says that it
// is down counts: an answer that is not its own, none at all, a connection that
// cannot be had. A refusal of the system's own says that it is there.
type Breaker struct {
	// Failures in a row open the breaker: 0 means 5, less than 0 that it never opens.
	Failures int
	// Rest is how long it stays open. Then one call is let through, and decides.
	// 0 means 10 s.
	Rest time.Duration
}

// Unavailable is why a call is not even tried: its system was down, and is left
// alone for a while.
type Unavailable struct {
	System string
	// Until is when a call is next let through; zero while one is under way that
	// decides whether others are.
	Until time.Time
	// Last is the failure that came last. It is not unwrapped: it is that of
	// another call, and says nothing about this one.
	Last error
}

func (u *Unavailable) Error() string {
	if u.Until.IsZero() {
		return fmt.Sprintf("%s was down, and one call is finding out whether it still is; last failure: %v", u.System, u.Last)
	}
	return fmt.Sprintf("%s is down, and is called again after %s; last failure: %v",
		u.System, u.Until.UTC().Format(time.RFC3339), u.Last)
}

// gate is what every call to one system passes before it is sent: a slot, the
// rate, the breaker. A slot is held for one exchange and never while anything
// else is waited for, neither a login nor another system's slot. So calls side by
// side cannot wait for each other in a circle, in whichever order they come.
type gate struct {
	name    string
	rest    time.Duration
	logger  *slog.Logger
	slots   chan struct{} // full when all are taken; nil: no limit
	rate    *rate.Limiter
	breaker *gobreaker.CircuitBreaker[struct{}] // nil: none

	mu    sync.Mutex
	until time.Time
	last  error
}

func newGate(name string, limits Limits, breaker Breaker, logger *slog.Logger) *gate {
	g := &gate{name: name, rest: breaker.Rest, logger: logger, rate: rate.NewLimiter(rate.Inf, 0)}
	if limits.Concurrency > 0 {
		g.slots = make(chan struct{}, limits.Concurrency)
	}
	if limits.PerSecond > 0 {
		g.rate = rate.NewLimiter(rate.Limit(limits.PerSecond), int(max(1, min(limits.PerSecond, math.MaxInt32))))
	}
	if breaker.Failures == 0 {
		breaker.Failures = defaultFailures
	}
	if g.rest <= 0 {
		g.rest = defaultRest
	}
	if breaker.Failures > 0 {
		g.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			MaxRequests:   1,
			Timeout:       g.rest,
			ReadyToTrip:   func(c gobreaker.Counts) bool { return int64(c.ConsecutiveFailures) >= int64(breaker.Failures) },
			IsExcluded:    func(err error) bool { return errors.Is(err, errSaysNothing) },
			OnStateChange: g.changed,
		})
	}
	return g
}

// errSaysNothing is of a call that ended for a reason of our own.
var errSaysNothing = errors.New("the call says nothing about the system")

// pass makes the call, or tells why it may not be made. The call gives what it
// tells of the system: nil that it is there, errSaysNothing, or what is wrong.
func (g *gate) pass(ctx context.Context, call func() error) (refused error) {
	if err := g.available(); err != nil {
		return err // at once, without a look at the queue
	}
	leave, err := g.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if g.breaker == nil {
		_ = call()
		return nil
	}

	sent := false
	_, _ = g.breaker.Execute(func() (struct{}, error) {
		sent = true
		err := call()
		if err != nil && !errors.Is(err, errSaysNothing) {
			g.mu.Lock()
			g.last = err
			g.mu.Unlock()
		}
		return struct{}{}, err
	})
	if sent {
		return nil
	}
	return g.unavailable()
}

// enter takes a slot and a place in the rate. It waits for at most half of the
// time that the call has left: a call that is sent late is cut off before its
// answer, and then nobody knows what it did.
//
// Lanes belong here. A call of the background first takes one of half as many
// slots, of a channel of their own, and then one of these; people's calls take
// these alone. Always in that order, so that neither waits for the other in turn.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	deadline, _ := ctx.Deadline()
	waiting, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancel()

	leave = func() {}
	if g.slots != nil {
		select {
		case g.slots <- struct{}{}:
			leave = func() { <-g.slots }
		case <-waiting.Done():
			return nil, fmt.Errorf("none of %s's %d slots came free in time: %w", g.name, cap(g.slots), context.Cause(waiting))
		}
	}
	if err := g.rate.Wait(waiting); err != nil {
		leave()
		return nil, fmt.Errorf("no more than %v calls a second are sent to %s: %w", g.rate.Limit(), g.name, err)
	}
	return leave, nil
}

// available tells why a call would not be made now.
func (g *gate) available() error {
	if g.breaker == nil {
		return nil
	}
	switch g.breaker.State() {
	case gobreaker.StateOpen:
		return g.unavailable()
	case gobreaker.StateHalfOpen:
		if tried := g.breaker.Counts(); tried.Requests > tried.TotalExclusions {
			return g.unavailable()
		}
	}
	return nil
}

func (g *gate) unavailable() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := &Unavailable{System: g.name, Last: g.last}
	if time.Now().Before(g.until) {
		u.Until = g.until
	}
	return u
}

// changed is called by the breaker, which is locked meanwhile.
func (g *gate) changed(_ string, _, to gobreaker.State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch to {
	case gobreaker.StateOpen:
		g.until = time.Now().Add(g.rest)
		g.logger.Warn("remote system is down and left alone", "system", g.name, "rest", g.rest, "error", g.last)
	case gobreaker.StateClosed:
		g.logger.Info("remote system is back", "system", g.name)
	}
}
