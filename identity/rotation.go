package identity

import (
	"hash/fnv"
	"time"

	"airflow-identity/audit"
)

// Rotation is when an identity's secret is replaced, and how far that has come.
// How it is replaced is the table's: the second secret is a thing with phases.
type Rotation struct {
	Period time.Duration // from one publish to the next
	Soak   time.Duration // how long the older secret stays valid after a publish
	// Overlap is what is known of the second secret at UAA.
	Overlap Phase
	// PublishedGeneration is the newest that is proven to be in Airflow; less
	// than Generation means that a publish is under way.
	PublishedGeneration int
	PublishedAt         *time.Time
	RotateAt            *time.Time // when the next one is added
	RetireAt            *time.Time // when the older one goes; nil: there is none, or the newer is not published
	// RotateAbove: somebody asked for a generation above this one; 0: nobody did.
	RotateAbove int
	// Urgent: a secret has leaked. Nothing but quiet is waited for, and in the end
	// tokens are revoked.
	Urgent bool
	// SeenEpoch is the lease epoch under which the connection was last read and
	// found to be of this very identity and generation.
	SeenEpoch int64
	// HeldAt: the connection's marker was found to be of a newer generation,
	// HeldGeneration, than the row's. Nothing is done unasked until an operator
	// accepts the restore; then Restored says that what the row knows of secrets
	// is of before it, until one is published.
	HeldAt         *time.Time
	HeldGeneration int
	Restored       bool
}

// newest is the secret that UAA should have last.
func (i Identity) newest() Secret {
	if !i.Candidate.IsZero() {
		return i.Candidate
	}
	return i.Secret
}

// oldest is the secret that a client made now begins with.
func (i Identity) oldest() Secret {
	if !i.Old.IsZero() {
		return i.Old
	}
	return i.Secret
}

// expected is a secret that UAA should grant a token for.
func (i Identity) expected() Secret {
	if i.Overlap == Missing {
		return i.oldest()
	}
	return i.Secret
}

// published tells whether Airflow is proven to have the secret of the row.
func (v View) published() bool { return v.Identity.PublishedGeneration == v.Identity.Generation }

// held tells whether nothing may be done unasked.
func (v View) held() bool { return v.Identity.HeldAt != nil || v.EnvironmentHeld }

// frozen tells whether a freeze keeps a rotation from starting and an old secret
// from going. A leak is not held up by it.
func (v View) frozen(now time.Time) bool {
	return !v.Identity.Urgent && (v.Paused || v.PausedUntil != nil && now.Before(*v.PausedUntil))
}

// publishable tells whether the connection is as the row says, so that a new
// secret could be published to it. After a restore it may be behind in all but
// the marker: what the row would write is older than what is there.
func (v View) publishable() bool {
	return v.Identity.Published.Phase == Present || v.Identity.Restored && v.Identity.Published.Phase == Outdated
}

// markerSeen tells whether the connection was read under this lease.
func (v View) markerSeen() bool { return v.Identity.SeenEpoch == v.Identity.LeaseEpoch }

func (v View) rotationDue(now time.Time) bool {
	i := v.Identity
	return i.Restored || i.Generation <= i.RotateAbove || i.RotateAt != nil && !now.Before(*i.RotateAt)
}

func (v View) retireDue(now time.Time) bool {
	i := v.Identity
	return i.Urgent || i.RetireAt != nil && !now.Before(*i.RetireAt)
}

// rotate writes down what follows for the secrets once outcomes are known: which
// one is the candidate, that it is to be published, that it was.
func (e *Engine) rotate(v *View, env Environment, now time.Time) []audit.Event {
	i := &v.Identity
	if i.Kind != AirflowIdentity || v.Wish(now) != Wanted {
		return nil
	}
	if i.Overlap == Single && (!i.Candidate.IsZero() || !i.Old.IsZero()) {
		i.Overlap = Missing // the client was left with the older one
	}
	if v.mayPublish() {
		v.publish()
	}
	if i.Published.Phase != Present || v.published() {
		return nil
	}
	i.PublishedGeneration = i.Generation
	i.PublishedAt = &now
	v.reschedule()
	if i.Overlap != Single {
		// A task that read the former secret a moment ago has the whole soak; a
		// patch that acted late is one time-out late at most.
		retire := now.Add(i.Soak + env.longest())
		i.RetireAt = &retire
	}
	if !i.Urgent {
		i.RotateAbove = 0 // a publish that was under way when it was asked counts
	}
	if i.Generation == 1 {
		return nil // the create's own events tell of it
	}
	return []audit.Event{e.event(*v, "identity.rotated", "done")}
}

// mayPublish: the newer secret is proven, and the connection is as the row says.
func (v View) mayPublish() bool {
	i := v.Identity
	return i.Overlap == Present && !i.Candidate.IsZero() && i.Client.Phase == Present && v.publishable() && !v.held()
}

// publish raises the generation. It is the intent of a publish: the connection is
// written in the steps that follow, or by whoever comes next.
func (v *View) publish() {
	i := &v.Identity
	i.Old, i.Secret, i.Candidate = i.Secret, i.Candidate, Secret{}
	if i.Restored {
		i.Old = Secret{} // what UAA's older one is, nobody knows
	}
	i.Restored = false
	i.Generation++
	i.RetireAt = nil
	i.Published.Phase = Outdated
}

// reschedule says when the next rotation begins: half a period after the last
// publish at the earliest and a whole one at the latest, at a place in the half
// period that the identity keeps, so that not even an outage lines identities up.
func (v *View) reschedule() {
	i := &v.Identity
	if i.PublishedAt == nil || i.Period <= 0 {
		i.RotateAt = nil
		return
	}
	at := nextRotation(i.ID, *i.PublishedAt, i.Period)
	i.RotateAt = &at
}

func nextRotation(id ID, published time.Time, period time.Duration) time.Time {
	half := max(period/2, time.Nanosecond)
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(id))
	place := time.Duration(hash.Sum64() % uint64(half))
	earliest := published.Add(half)
	since := time.Duration(earliest.UnixNano() % int64(half))
	wait := place - since
	if wait <= 0 {
		wait += half
	}
	return earliest.Add(wait)
}

// secretMoved wipes what a proven outcome made worthless, and closes what it ends.
func (v *View) secretMoved(act Act, outcome Outcome) {
	i := &v.Identity
	switch {
	case act == Revoke && outcome == Done:
		i.Urgent, i.RotateAbove = false, 0
	case i.Overlap == Single && (act == Retire || act == Confirm || act == Reset):
		i.Old, i.RetireAt = Secret{}, nil
	}
}

// midRotation tells whether a rotation is under way, or about to be.
func (v View) midRotation(d decision, now time.Time) bool {
	i := v.Identity
	if i.Kind != AirflowIdentity || v.Wish(now) != Wanted {
		return false
	}
	return d.touches(TheSecret) || i.Overlap != Single && i.Overlap != Present || !i.Candidate.IsZero() || !v.published()
}

// timers are when the row has to be looked at for its secrets' sake.
func (v View) timers(now time.Time) []time.Time {
	i := v.Identity
	if i.Kind != AirflowIdentity || v.Wish(now) != Wanted || v.held() {
		return nil
	}
	var at []time.Time
	due := v.rotationDue(now) || v.retireDue(now)
	for _, t := range []*time.Time{i.RotateAt, i.RetireAt} {
		// What is past and was not acted on waits for something else.
		if t != nil && t.After(now) {
			at = append(at, *t)
		}
	}
	if due && v.PausedUntil != nil && v.PausedUntil.After(now) {
		at = append(at, *v.PausedUntil)
	}
	return at
}
