package identity

import "time"

// Thing is a remote object as far as we know it: a UAA client or an Airflow
// connection. Both live the same life, so one pair of tables serves both.
type Thing struct {
	Phase Phase
	// QuietUntil: a request may still act until then, so nothing different may
	// be sent; by the database's clock. Zero if none is in doubt.
	QuietUntil time.Time
}

// Phase is what is known of a thing. Between rounds an intent and an unknown
// outcome are the same: whoever looks does not know whether the call acted.
type Phase string

const (
	Absent   Phase = "absent"   // never asked for
	Creating Phase = "creating" // a make was intended; whether it acted is not known
	Missing  Phase = "missing"  // it was not there when we looked, and may still arrive
	Present  Phase = "present"
	Outdated Phase = "outdated" // it is there, and not as the row says
	Changing Phase = "changing" // a set was intended; whether it acted is not known
	Strange  Phase = "foreign"  // something that is not ours has this id
	Removing Phase = "removing" // a take was intended; whether it acted is not known
	Gone     Phase = "gone"     // proven
)

// phases lists every phase, for tests that must not forget one.
var phases = []Phase{Absent, Creating, Missing, Present, Outdated, Changing, Strange, Removing, Gone}

// there tells whether the thing is there, as it should be or not.
func (p Phase) there() bool { return p == Present || p == Outdated || p == Changing }

// clean tells whether nothing of the thing is left, or ever was.
func (p Phase) clean() bool { return p == Absent || p == Gone }

// ThingName tells the things of one identity apart.
type ThingName string

const (
	TheClient     ThingName = "client"
	TheConnection ThingName = "connection"
)

// Act is a call that can be made for a thing.
type Act string

const (
	Make Act = "make" // UAA: create the client. Airflow: post the connection.
	Look Act = "look" // UAA: ask for a token. Airflow: read the marker.
	Set  Act = "set"  // UAA: put the client's lists. Airflow: patch it if it is ours.
	Take Act = "take" // UAA: delete the client. Airflow: delete it if it is ours.
)

// intent is the phase that is committed before the call, because it is what
// remains true if nothing more is ever heard of it. A look changes nothing.
func (a Act) intent(now Phase) Phase {
	switch a {
	case Make:
		return Creating
	case Set:
		return Changing
	case Take:
		return Removing
	default:
		return now
	}
}

// move is what an outcome makes of a thing.
type move struct {
	to Phase // "": what it was before the intent
	// fails: what was asked for can never be; it is a definite refusal.
	fails bool
	// again: nothing was learnt, or the same must be tried once more; wait first.
	again bool
}

// moves says what each outcome of each act means. A pair that is missing cannot
// happen; it is treated as Unknown, which is always safe.
var moves = map[Act]map[Outcome]move{
	Make: {
		Done:     {to: Present},
		Differs:  {to: Present, fails: true},
		Exists:   {to: Creating}, // settles nothing: it may be ours from an earlier try; look
		Rejected: {fails: true},
		Later:    {again: true},
		Unknown:  {to: Creating, again: true},
	},
	Look: {
		Done:     {to: Present},
		Differs:  {to: Present, fails: true},
		NotThere: {to: Missing, again: true},
		Foreign:  {to: Strange, fails: true},
		Rejected: {again: true},
		Later:    {again: true},
		Unknown:  {again: true},
	},
	// An update rolls forward: whatever comes of it, it is sent again.
	Set: {
		Done:     {to: Present},
		Differs:  {to: Outdated, again: true},
		NotThere: {again: true},
		Foreign:  {again: true},
		Rejected: {again: true},
		Later:    {again: true},
		Unknown:  {to: Changing, again: true},
	},
	Take: {
		Done:     {to: Gone},
		NotThere: {to: Gone},
		Foreign:  {to: Gone}, // left alone: nothing of ours is there
		Rejected: {again: true},
		Later:    {again: true},
		Unknown:  {to: Removing, again: true},
	},
}

// after gives the thing once an act has returned, from the thing as it was when
// the intent was written: quiet is how long a lost request may still act, now
// the database's clock.
//
// The quiet time of an earlier doubt outlives a later success: a create that
// was sent twice and answered once may act a second time, after a removal.
func (before Thing) after(act Act, outcome Outcome, quiet time.Duration, now time.Time) (Thing, move) {
	m := moveOf(act, outcome)
	after := before
	if m.to != "" {
		after.Phase = m.to
	}
	if m == moves[act][Unknown] && act != Look {
		after.QuietUntil = latest(before.QuietUntil, now.Add(quiet))
	}
	return after, m
}

func moveOf(act Act, outcome Outcome) move {
	if m, known := moves[act][outcome]; known {
		return m
	}
	return moves[act][Unknown]
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
