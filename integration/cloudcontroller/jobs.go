package cloudcontroller

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// How Cloud Controller polls, by its own configuration's defaults.
const (
	PollInterval        = time.Minute
	LongestPollInterval = 24 * time.Hour
	LongestPolling      = 7 * 24 * time.Hour
	// pollBackoff is by how much the interval grows from poll to poll: not at all.
	pollBackoff = 1.0
	// ManifestPolling is how long cf push waits for a binding.
	ManifestPolling = time.Minute
)

// job is an entry of the queue.
type job struct {
	at   time.Time
	name string
	// run works once. It gives how long after now it wants to run again.
	run func(ctx context.Context) (again time.Duration, more bool)
}

func (c *Controller) enqueue(at time.Time, name string, run func(context.Context) (time.Duration, bool)) {
	c.queue = append(c.queue, &job{at, name, run})
}

// Work runs the queue until nothing is left in it, sleeping in between.
func (c *Controller) Work(ctx context.Context) error {
	for {
		worked, err := c.Step(ctx)
		if err != nil || !worked {
			return err
		}
	}
}

// Step sleeps until the next entry of the queue is due and runs it. It tells
// whether there was one.
func (c *Controller) Step(ctx context.Context) (bool, error) {
	if len(c.queue) == 0 {
		return false, nil
	}
	next := 0
	for i, j := range c.queue {
		if j.at.Before(c.queue[next].at) {
			next = i
		}
	}
	j := c.queue[next]
	c.queue = slices.Delete(c.queue, next, next+1)
	if wait := j.at.Sub(c.clock.Now()); wait > 0 {
		if err := c.clock.Sleep(ctx, wait); err != nil {
			return false, err
		}
	}
	if again, more := j.run(ctx); more {
		j.at = c.clock.Now().Add(again)
		c.queue = append(c.queue, j)
	}
	return true, ctx.Err()
}

// polling is the life of an operation that was answered with 202.
type polling struct {
	name  string
	limit time.Duration
	// ask polls once and says whether it is over.
	ask func(ctx context.Context) (over bool, retryAfter string)
	// tooLate ends it.
	tooLate func()
	// gone: somebody else ended it, or another operation took its place.
	gone func() bool
}

// patience is how long an operation of an instance may take: a plan may make it
// shorter, and never longer.
func (c *Controller) patience(i *Instance) time.Duration {
	if maximum := time.Duration(i.Plan.MaximumPollingDuration) * time.Second; c.features.pollingHints && maximum > 0 {
		return min(maximum, LongestPolling)
	}
	return LongestPolling
}

// poll asks at once and then again and again. The limit is looked at when the
// next turn is planned: one that would come too late is not waited for.
func (c *Controller) poll(ctx context.Context, p polling) {
	start := c.clock.Now()
	asked := time.Duration(0) // by Retry-After; it stays until another comes
	turn := func(ctx context.Context) (time.Duration, bool) {
		if p.gone() {
			return 0, false
		}
		over, retryAfter := p.ask(ctx)
		if over {
			return 0, false
		}
		if seconds, err := strconv.Atoi(retryAfter); err == nil && c.features.pollingHints {
			asked = min(max(time.Duration(seconds)*time.Second, PollInterval), LongestPollInterval)
		}
		next := min(max(asked, time.Duration(float64(PollInterval)*pollBackoff)), LongestPollInterval)
		if c.clock.Now().Add(next).After(start.Add(p.limit)) {
			p.tooLate()
			return 0, false
		}
		return next, true
	}
	if again, more := turn(ctx); more {
		c.enqueue(c.clock.Now().Add(again), p.name, turn)
	}
}

// lastOperation polls once, and gives the state that Cloud Controller makes of
// the answer. Whatever it does not understand is "in progress": a poll is lost,
// not an operation.
func (c *Controller) lastOperation(ctx context.Context, r request, of OperationType) (State, string, string) {
	a, err := c.send(ctx, r)
	if err != nil {
		return StateInProgress, "", ""
	}
	kind, err := read(r.call, a)
	switch {
	case err != nil:
		return StateInProgress, "", ""
	case kind == Failed:
		description := a.said("description")
		if description == "" {
			description = "Bad request"
		}
		return StateFailed, description, ""
	case kind == Gone && of == Delete:
		return StateSucceeded, "", ""
	case kind == Gone:
		return StateInProgress, "", a.header.Get("Retry-After")
	}
	return State(a.said("state")), a.said("description"), a.header.Get("Retry-After")
}
