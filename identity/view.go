package identity

import "time"

// View is all that is known of one identity, read together. What is derived
// from it is derived here and stored nowhere.
type View struct {
	Identity    Identity
	Bindings    []Binding
	Reservation Reservation
	Instance    Instance
	// Paused: a freeze covers the identity until it is lifted. PausedUntil: one
	// does until then, by the engine's clock.
	Paused      bool
	PausedUntil *time.Time
	// EnvironmentHeld: the database was restored, and so many identities of the
	// environment are ahead of it that none is touched unasked.
	EnvironmentHeld bool
	// Clock is the database's, by which leases and quiet times are measured.
	Clock time.Time
}

// Wish is what the row says should be.
type Wish string

const (
	Wanted   Wish = "wanted"
	Unwanted Wish = "unwanted"
)

// things are those that an identity of this kind has.
func (i Identity) things() []ThingName {
	if i.Kind == AppIdentity {
		return []ThingName{TheClient}
	}
	return []ThingName{TheClient, TheConnection, TheSecret}
}

// objects are those of its things that are there or not.
func (i Identity) objects() []ThingName {
	if i.Kind == AppIdentity {
		return []ThingName{TheClient}
	}
	return []ThingName{TheClient, TheConnection}
}

// Expired tells whether the identity's time is over.
func (i Identity) Expired(now time.Time) bool {
	return i.ExpiresAt != nil && !now.Before(*i.ExpiresAt)
}

// Wish is wanted as long as a live binding refers to the identity, and it has
// neither ended nor been revoked.
func (v View) Wish(now time.Time) Wish {
	if v.Identity.EndedAt != nil || v.Identity.RevokedAt != nil || v.Identity.Expired(now) {
		return Unwanted
	}
	for _, b := range v.Bindings {
		if b.Live(now) {
			return Wanted
		}
	}
	return Unwanted
}

// whole tells whether everything that was asked for is there.
func (v View) whole() bool { return v.every(Phase.there) }

// creating tells whether a create that needs the identity is unfinished.
func (v View) creating(now time.Time) bool {
	for _, b := range v.Bindings {
		if b.Live(now) && b.SucceededAt == nil {
			return true
		}
	}
	return false
}

// clean tells whether nothing is left anywhere.
func (v View) clean() bool { return v.every(Phase.clean) }

func (v View) every(is func(Phase) bool) bool {
	for _, name := range v.Identity.objects() {
		if !is(v.thing(name).Phase) {
			return false
		}
	}
	return true
}

// settledForPlatform tells whether a removal may be reported as done: the client
// is gone, and the connection too unless it is a debt.
func (v View) settledForPlatform() bool {
	return v.Identity.Client.Phase.clean() &&
		(v.Identity.Published.Phase.clean() || v.Reservation.DebtSince != nil)
}

// thing gives one of the identity's things, with its quiet time in place.
func (v View) thing(name ThingName) Thing {
	switch name {
	case TheClient:
		return v.Identity.Client
	case TheSecret:
		return Thing{v.Identity.Overlap, v.Identity.Client.QuietUntil}
	}
	t := v.Identity.Published
	t.QuietUntil = time.Time{}
	if v.Reservation.QuietUntil != nil {
		t.QuietUntil = *v.Reservation.QuietUntil
	}
	return t
}

func (v *View) setThing(name ThingName, t Thing) {
	switch name {
	case TheClient:
		v.Identity.Client = t
		return
	case TheSecret:
		v.Identity.Overlap, v.Identity.Client.QuietUntil = t.Phase, t.QuietUntil
		return
	}
	v.Identity.Published = Thing{Phase: t.Phase}
	v.Reservation.QuietUntil = nil
	if !t.QuietUntil.IsZero() {
		v.Reservation.QuietUntil = &t.QuietUntil
	}
}

// marker is the one that this identity's connection carries.
func (v View) marker(broker BrokerID) Marker {
	return Marker{
		Broker:     broker,
		Connection: v.Identity.Connection,
		Identity:   v.Identity.ID,
		Generation: v.Identity.Generation,
	}
}

// binding finds one of the identity's bindings.
func (v *View) binding(row RowID) *Binding {
	for i := range v.Bindings {
		if v.Bindings[i].Row == row {
			return &v.Bindings[i]
		}
	}
	return nil
}

// liveRows are the bindings that are live.
func (v View) liveRows(now time.Time) map[RowID]bool {
	live := map[RowID]bool{}
	for _, b := range v.Bindings {
		if b.Live(now) {
			live[b.Row] = true
		}
	}
	return live
}

// leftAlone are the other identities of bindings that were live and are not any
// more: each has to see for itself that it is no longer wanted.
func (v View) leftAlone(live map[RowID]bool, now time.Time) []ID {
	var ids []ID
	for _, b := range v.Bindings {
		if !live[b.Row] || b.Live(now) {
			continue
		}
		for _, id := range b.Identities() {
			if id != v.Identity.ID {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// leased tells whether somebody holds the row.
func (v View) leased() bool { return v.Identity.LeaseUntil.After(v.Clock) }

// wishChanged makes the row due and forgets what was waited for: the back-off
// belonged to the former wish.
func (v *View) wishChanged(now time.Time) {
	v.Identity.WishVersion++
	v.Identity.Attempt = 0
	v.Identity.DueAt = &now
	v.Identity.Lane = LanePeople
}

// unbind writes the wish that a binding be gone. Written again it only makes
// the row due again.
func (v *View) unbind(row RowID, now time.Time) {
	if b := v.binding(row); b.UnboundAt == nil {
		b.UnboundAt = &now
	}
	v.wishChanged(now)
}

// fail writes that a create will never be whole.
func (b *Binding) fail(failure Failure, now time.Time) {
	b.FailedAt, b.Failure = &now, failure
}
