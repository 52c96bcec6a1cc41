package identity

import (
	"fmt"
	"time"

	"airflow-identity/audit"

	"github.com/google/uuid"
)

// result is what a step came to.
type result struct {
	step Step
	reply
	event uuid.UUID // so that a repeated transaction records it once
	// wish is the version of the wish that the step was decided under.
	wish int64
}

// turn is one turn of converge, in memory, on a view that the caller has locked
// and will save: outcomes of the former steps, what follows from them, the next
// steps and their intents. With no steps the lease is released. stop: whoever
// asked has gone, or the process is stopping: what was learnt is written, and
// the rest is left to whoever comes next, at once.
func (e *Engine) turn(v *View, env Environment, results []result, now time.Time, stop bool) ([]Step, []audit.Event) {
	events := e.apply(v, env, results, now, stop)
	events = append(events, e.settle(v, now)...)
	events = append(events, e.rotate(v, env, now)...)

	d := next(*v, now)
	if v.Identity.Lane == LaneSweep && v.midRotation(d, now) {
		// A sweep's look may run into a rotation, which must not wait behind others
		// if its process dies.
		v.Identity.Lane = LaneRotation
	}
	if pause := backOff(v, results, now); pause > 0 {
		// What waits for quiet is not held back by what was in vain: an Airflow
		// that is gone never keeps a client alive.
		if d.wait > 0 {
			pause = min(pause, d.wait)
		}
		d = decision{wait: pause}
	}
	if stop && len(d.steps) > 0 {
		d = decision{wait: time.Nanosecond}
	}
	if len(d.steps) == 0 && d.wait == 0 {
		v.Identity.Attempt = 0
	}
	if len(d.steps) == 0 {
		v.release(d.wait, now)
		return nil, events
	}
	e.intend(v, env, d.steps)
	return d.steps, events
}

// apply writes outcomes down.
func (e *Engine) apply(v *View, env Environment, results []result, now time.Time, stop bool) []audit.Event {
	var events []audit.Event
	if len(results) > 0 {
		v.Identity.LastError = ""
	}
	for _, r := range results {
		thing, m := r.step.before.after(r.step.Thing, r.step.Act, r.outcome, env.patience(r.step.Thing).Quiet, v.Clock)
		if (r.step.Act == Set || r.step.Act == Restore) && r.wish != v.Identity.WishVersion && thing.Phase.there() {
			// The wish changed while it was being carried out: what was sent may
			// be the old one.
			thing.Phase = thing.Phase.outdated()
		}
		v.setThing(r.step.Thing, thing)
		events = append(events, e.learnt(v, r, m, now)...)
		if r.err != nil {
			v.Identity.LastError = fmt.Sprintf("%s %s: %s: %v", r.step.Act, r.step.Thing, r.outcome, r.err)
		}
		if m.fails {
			events = append(events, e.refuse(v, failureOf(r, v.Identity), now)...)
		}
		if m.again && r.step.Act == Take && r.step.Thing == TheConnection && v.Reservation.DebtSince == nil && !stop {
			// Not if it was us who cut the call: that says nothing of Airflow.
			v.Reservation.DebtSince = &now
		}
		event := e.event(*v, string(r.step.Thing)+"."+string(r.step.Act), string(r.outcome))
		event.ID, event.Reason = r.event, string(r.step.Reason)
		events = append(events, event)
	}
	return events
}

// learnt writes down what a reply says beside what it makes of its own thing.
func (e *Engine) learnt(v *View, r result, m move, now time.Time) []audit.Event {
	if m.doubts != "" && v.thing(m.doubts).Phase == Present {
		t := v.thing(m.doubts)
		t.Phase = Doubted
		v.setThing(m.doubts, t)
	}
	if m.secret != "" && (m.secret != Stray || !v.Identity.Restored) {
		v.Identity.Overlap = m.secret // after a restore, that the row's secret is refused says nothing
	}
	if r.step.Thing == TheSecret {
		v.secretMoved(r.step.Act, r.outcome)
	}
	if r.step.Thing != TheConnection {
		return nil
	}
	switch {
	case r.outcome == Ahead && v.Identity.HeldAt == nil:
		v.Identity.HeldAt, v.Identity.HeldGeneration = &now, r.generation
		event := e.event(*v, "identity.held", "done")
		event.Detail = fmt.Sprintf("Airflow has generation %d and the row %d: the database was restored", r.generation, v.Identity.Generation)
		return []audit.Event{event}
	case r.outcome == Done && r.step.Act != Take, r.outcome == Differs:
		v.Identity.SeenEpoch = v.Identity.LeaseEpoch
	}
	return nil
}

// refuse fails every create that is not finished: a definite refusal before the
// identity was ever whole.
func (e *Engine) refuse(v *View, failure Failure, now time.Time) []audit.Event {
	var events []audit.Event
	for i := range v.Bindings {
		if b := &v.Bindings[i]; b.Live(now) && b.SucceededAt == nil {
			b.fail(failure, now)
			events = append(events, e.failed(*v, *b))
		}
	}
	return events
}

func failureOf(r result, i Identity) Failure {
	thing, outcome, reason := r.step.Thing, r.outcome, ReasonFor(r.err)
	switch {
	case outcome == Foreign:
		return Failure{FailedTaken, fmt.Sprintf("Airflow of environment %s already has a connection %q that this broker did not make", i.Environment, i.Connection)}
	case reason != "":
		return Failure{FailedRefused, fmt.Sprintf("in environment %s, %s", i.Environment, reason)}
	case thing == TheClient && outcome == Differs:
		return Failure{FailedRefused, fmt.Sprintf("UAA of environment %s granted other authorities than were asked for", i.Environment)}
	case thing == TheClient:
		return Failure{FailedRefused, fmt.Sprintf("UAA of environment %s refused to make the client", i.Environment)}
	default:
		return Failure{FailedRefused, fmt.Sprintf("Airflow of environment %s refused the connection %q", i.Environment, i.Connection)}
	}
}

// settle writes down what follows from the view: creates that are whole or late,
// the end of the identity, bindings and an id that nothing is left of.
func (e *Engine) settle(v *View, now time.Time) []audit.Event {
	var events []audit.Event
	for i := range v.Bindings {
		events = append(events, e.settleCreate(v, &v.Bindings[i], now)...)
	}
	wanted := v.Wish(now) == Wanted
	if !wanted && v.Identity.EndedAt == nil {
		v.Identity.EndedAt = &now
		if v.Identity.Expired(now) {
			events = append(events, e.event(*v, "identity.expired", "done"))
		}
	}
	if !wanted && v.Identity.ForgottenAt != nil {
		// An operator has written off what can never be paid.
		v.Identity.Client.Phase, v.Identity.Published.Phase = Gone, Gone
	}
	for i := range v.Bindings {
		b := &v.Bindings[i]
		if b.Live(now) || b.RemovedAt != nil || !wanted && !v.settledForPlatform() {
			continue
		}
		b.part(v.Identity.ID).Done = true
		if b.done() {
			b.RemovedAt = &now
			events = append(events, e.bindingEvent(*v, *b, "unbind", "done"))
		}
	}
	if !wanted && v.Identity.Client.Phase.clean() {
		// A debt needs none.
		v.Identity.Secret, v.Identity.Candidate, v.Identity.Old = Secret{}, Secret{}, Secret{}
	}
	if !wanted && v.settledForPlatform() {
		v.Identity.Lane = LaneSweep
	}
	if !wanted && v.clean() && v.Identity.CleanAt == nil {
		v.Identity.CleanAt = &now
		v.Identity.Attempt = 0
		if v.Reservation.Identity == v.Identity.ID {
			v.Reservation.Identity = ""
			v.Reservation.ReleasedAt = &now
			v.Reservation.DebtSince = nil
		}
		events = append(events, e.event(*v, "identity.removed", "done"))
	}
	return events
}

// settleCreate writes down that a create is whole, or that it is late.
func (e *Engine) settleCreate(v *View, b *Binding, now time.Time) []audit.Event {
	switch {
	case b.SucceededAt != nil || b.FailedAt != nil || b.UnboundAt != nil || b.RemovedAt != nil:
		return nil
	case !b.Live(now):
		b.fail(lateFailure, now)
		return []audit.Event{e.failed(*v, *b)}
	case v.Identity.EndedAt != nil || !v.whole():
		return nil
	}
	b.part(v.Identity.ID).Ready = true
	if v.Identity.Kind == AirflowIdentity {
		v.Reservation.Holder = v.Identity.Holder
	}
	if !b.ready() {
		return nil
	}
	b.SucceededAt = &now
	return []audit.Event{e.bindingEvent(*v, *b, "bind", "done")}
}

// backOff tells how long to wait before the same is tried again; 0 if the last
// round was not in vain or its wish is no longer the row's. Rounds in vain count
// until the row is at rest: a thing that goes to and fro is in vain too.
func backOff(v *View, results []result, now time.Time) time.Duration {
	for _, r := range results {
		m := moveOf(r.step.Thing, r.step.Act, r.outcome)
		// What is refused for good and wanted all the same is asked for again: it was
		// made once, and what refuses it may be mended.
		if (m.again || m.fails && v.Wish(now) == Wanted) && r.wish == v.Identity.WishVersion {
			v.Identity.Attempt++
			return pauseAfter(v.Identity.Attempt)
		}
	}
	return 0
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Minute
)

// pauseAfter is the back-off after that many rounds in vain: it doubles, and
// ends at a minute.
func pauseAfter(attempt int) time.Duration {
	pause := firstPause
	for ; attempt > 1 && pause < longestPause; attempt-- {
		pause *= 2
	}
	return min(pause, longestPause)
}

// intend writes the intents of the steps, and the lease under which they run.
// If nothing more is ever heard of them, the quiet time counts from its end.
func (e *Engine) intend(v *View, env Environment, steps []Step) {
	v.Identity.LeaseUntil = v.Clock.Add(e.lease)
	for _, s := range steps {
		if s.Act.reads() {
			continue
		}
		if s.Act == Add && s.before.Phase == Single {
			v.Identity.Candidate = NewSecret()
		}
		v.setThing(s.Thing, Thing{
			Phase:      s.Act.intent(s.before.Phase),
			QuietUntil: latest(s.before.QuietUntil, v.Identity.LeaseUntil.Add(env.patience(s.Thing).Quiet)),
		})
	}
}

// release ends the lease and says when to look again. A create that is not
// whole is looked at by its finish_by at the latest.
func (v *View) release(wait time.Duration, now time.Time) {
	v.Identity.LeaseUntil = v.Clock
	v.Identity.DueAt = nil
	if wait > 0 {
		due := now.Add(wait)
		v.Identity.DueAt = &due
	}
	for _, b := range v.Bindings {
		// Whoever's own part is ready leaves finish_by to the other identity.
		if b.SucceededAt == nil && b.Live(now) && !b.part(v.Identity.ID).Ready {
			v.dueBy(b.FinishBy)
		}
	}
	if v.Identity.ExpiresAt != nil && v.Identity.EndedAt == nil {
		v.dueBy(*v.Identity.ExpiresAt)
	}
	if v.Identity.DueAt == nil && v.Wish(now) == Wanted {
		v.Identity.Lane = LaneRotation // nothing else can make it due but a wish, which says so
	}
	for _, at := range v.timers(now) {
		v.dueBy(at)
	}
}

// dueBy makes the row due at a time, if it is not due before.
func (v *View) dueBy(at time.Time) {
	if v.Identity.DueAt == nil || at.Before(*v.Identity.DueAt) {
		v.Identity.DueAt = &at
	}
}
