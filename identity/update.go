package identity

import (
	"bytes"
	"context"
	"time"

	"airflow-identity/audit"
)

// UpdateRequest asks for an instance to be other than it is.
type UpdateRequest struct {
	Instance InstanceGUID
	// Names are those the platform tells now; empty ones are not told.
	Names        Names
	Origin       Origin
	AsyncAllowed bool
	// MaximumPolling is how long the platform polls: past it an update that is
	// not finished is told as failed, and goes on.
	MaximumPolling time.Duration
	// Judge applies the guardrails to the instance and everything that lives in
	// it, under the instance's lock. It is pure; its error is returned as it is
	// and nothing is written.
	Judge func(Instance, []Held) (Revision, error)
}

// Held is what a live identity holds, for Judge.
type Held struct {
	Identity ID
	Kind     Kind
	Asked    []Authority // nil: nothing was asked for
	Granted  []Authority
}

// Revision is what an update comes to.
type Revision struct {
	Plan           PlanID
	Parameters     []byte
	Ceiling        []Authority
	RotationPeriod time.Duration // as it was asked for; 0: the plan's
	// Period and Soak are those of every Airflow identity from now on.
	Period, Soak time.Duration
	// Lists are the authorities of each live identity from now on.
	Lists map[ID][]Authority
}

// Update changes an instance and all its live identities. It is refused whole or
// carried through, and rolls forward: restoring an old list would grant again
// what was taken away. It waits until UAA holds the new lists; a connection's
// description follows in its own time. Errors: ErrNotFound, ErrBusy (something is
// still being made), ErrLate, *PendingError, Judge's.
func (e *Engine) Update(ctx context.Context, req UpdateRequest) error {
	ctx, cancel := e.within(ctx, e.Budget)
	defer cancel()

	var instance Instance
	err := e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		found, err := tx.Instance(ctx, req.Instance)
		if err != nil {
			return err
		}
		if found == nil || found.RemovingAt != nil {
			return ErrNotFound
		}
		now := e.Clock() // after the lock, which may have been waited for
		if err := tx.LockReservations(ctx, found.Row); err != nil {
			return err
		}
		views, unfinished, err := liveViews(ctx, tx, found.Row, now)
		if err != nil {
			return err
		}
		revision, err := req.Judge(*found, heldBy(views))
		if err != nil {
			return err
		}
		instance = found.revised(revision, req.Names)
		if unfinished && (instance.Plan != found.Plan || !sameSet(instance.Ceiling, found.Ceiling)) {
			// What was sent for it says the old list, and it may still arrive.
			return ErrBusy
		}
		changed := !instance.sameRow(*found)
		event := e.asked("update", req.Origin, instance)
		event.Authorities = texts(revision.Ceiling)
		events := []audit.Event{event}
		for i := range views {
			v := &views[i]
			list, judged := revision.Lists[v.Identity.ID]
			if !judged {
				list = v.Identity.Granted
			}
			changing := v.retime(revision.Period, max(revision.Soak, v.Identity.TokenLifetime), now)
			if !v.revise(instance, list, now) && !changing {
				continue
			}
			changed = true
			v.Identity.RequestID = req.Origin.RequestID
			if err := tx.SaveView(ctx, *v, v.Identity.LeaseEpoch); err != nil {
				return err
			}
			events = append(events, e.event(*v, "identity.update", ""))
		}
		if changed {
			// A repeated update changes nothing and keeps its operation.
			instance.Updates++
			by := now.Add(req.MaximumPolling)
			instance.UpdateBy = &by
			if err := tx.UpdateInstance(ctx, instance); err != nil {
				return err
			}
		}
		return tx.Record(ctx, events...)
	})
	if err != nil {
		return err
	}
	e.Wake()
	if !until(ctx, func() bool {
		outdated, err := e.Store.Outdated(ctx, instance.Row)
		return err == nil && outdated == 0
	}) {
		return late(req.AsyncAllowed, updateOperation(instance))
	}
	return nil
}

// liveViews locks and reads every identity of an instance that is wanted and was
// whole once, and tells whether any other is still being made.
func liveViews(ctx context.Context, tx Tx, instance RowID, now time.Time) (views []View, unfinished bool, err error) {
	bindings, err := tx.Bindings(ctx, instance)
	if err != nil {
		return nil, false, err
	}
	seen := map[ID]bool{}
	for _, b := range bindings {
		for _, id := range b.Identities() {
			if seen[id] {
				continue
			}
			seen[id] = true
			v, err := tx.View(ctx, id)
			switch {
			case err != nil:
				return nil, false, err
			case v.Wish(now) != Wanted:
			case v.whole() || !v.creating(now):
				views = append(views, *v)
			default:
				unfinished = true
			}
		}
	}
	return views, unfinished, nil
}

func heldBy(views []View) []Held {
	held := make([]Held, len(views))
	for i, v := range views {
		held[i] = Held{v.Identity.ID, v.Identity.Kind, v.Identity.Asked, v.Identity.Granted}
	}
	return held
}

func (i Instance) revised(r Revision, told Names) Instance {
	i.Plan, i.Parameters, i.Ceiling, i.RotationPeriod = r.Plan, r.Parameters, r.Ceiling, r.RotationPeriod
	for _, name := range []struct {
		is  *string
		now string
	}{{&i.Names.Org, told.Org}, {&i.Names.Space, told.Space}, {&i.Names.Instance, told.Instance}} {
		if name.now != "" {
			*name.is = name.now
		}
	}
	return i
}

func (i Instance) sameRow(other Instance) bool {
	return i.Plan == other.Plan && i.Names == other.Names && bytes.Equal(i.Parameters, other.Parameters) &&
		sameSet(i.Ceiling, other.Ceiling) && i.RotationPeriod == other.RotationPeriod
}

// revise writes a new wish for a live identity; false if it is the old one.
func (v *View) revise(instance Instance, granted []Authority, now time.Time) bool {
	v.Instance = instance
	changed := false
	if !sameSet(v.Identity.Granted, granted) {
		v.Identity.Granted = granted
		v.Identity.Client.Phase = v.Identity.Client.Phase.outdated()
		changed = true
	}
	if sentence := describe(instance, granted); v.Identity.Kind == AirflowIdentity && sentence != v.Identity.Description {
		v.Identity.Description = sentence
		v.Identity.Published.Phase = v.Identity.Published.Phase.outdated()
		changed = true
	}
	if changed {
		v.wishChanged(now)
	}
	return changed
}

// retime writes another period and soak; false if they are the old ones. A soak
// that has begun ends when it was said to.
func (v *View) retime(period, soak time.Duration, now time.Time) bool {
	i := &v.Identity
	if i.Kind != AirflowIdentity || i.Period == period && i.Soak == soak {
		return false
	}
	i.Period, i.Soak = period, soak
	v.reschedule()
	v.wishChanged(now)
	return true
}

func sameSet(a, b []Authority) bool {
	in := make(map[Authority]bool, len(a))
	for _, x := range a {
		in[x] = true
	}
	for _, x := range b {
		if !in[x] {
			return false
		}
		delete(in, x)
	}
	return len(in) == 0
}

// late is the answer to a verb whose budget is over and whose wish stays.
func late(async bool, op Operation) error {
	if async {
		return &PendingError{op}
	}
	return ErrLate
}
