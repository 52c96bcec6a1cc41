package identity

import "time"

// Thing is a remote object as far as we know it: a UAA client, an Airflow
// connection, or a client's second secret.
type Thing struct {
	Phase Phase
	// QuietUntil: a request may still act until then, so nothing different may
	// be sent; by the database's clock. Zero if none is in doubt.
	QuietUntil time.Time
}

// Phase is what is known of a thing. Between rounds an intent and an unknown
// outcome are the same: whoever looks does not know whether the call acted.
type Phase string

// The phases of a client and of a connection.
const (
	Absent   Phase = "absent"   // never asked for
	Creating Phase = "creating" // a make was intended; whether it acted is not known
	Missing  Phase = "missing"  // it was not there when we looked, and may still arrive
	Present  Phase = "present"
	Outdated Phase = "outdated" // it is there, and not as the row says
	Changing Phase = "changing" // a set was intended; whether it acted is not known
	Doubted  Phase = "doubted"  // it was there, and somebody may have changed it
	Lost     Phase = "lost"     // it was there, and somebody has taken it away
	Strange  Phase = "foreign"  // something that is not ours has this id
	Removing Phase = "removing" // a take was intended; whether it acted is not known
	Gone     Phase = "gone"     // proven
)

// The phases of the second secret. Creating: an add was intended, or UAA took it;
// no token has come with it yet. Missing: it was not there when we asked. Present:
// there are two, and the newer is proven. Changing: a reset was intended. Removing:
// a retire was intended.
const (
	Single   Phase = "single"   // there is one secret, the one that Airflow has
	Crowded  Phase = "crowded"  // UAA says there are two already: is the newer ours?
	Stray    Phase = "stray"    // UAA holds a secret that is not ours, or refuses the one that Airflow has
	Dropping Phase = "dropping" // a drop was intended; whether it acted is not known
	Unproven Phase = "unproven" // UAA says there is one only: is it the one that Airflow has?
)

// phases and secretPhases list every phase, for tests that must not forget one.
var (
	phases       = []Phase{Absent, Creating, Missing, Present, Outdated, Changing, Doubted, Lost, Strange, Removing, Gone}
	secretPhases = []Phase{Single, Creating, Missing, Crowded, Stray, Changing, Dropping, Present, Removing, Unproven}
)

// there tells whether the thing is there, as it should be or not.
func (p Phase) there() bool {
	return p == Present || p == Outdated || p == Changing || p == Doubted
}

// outdated is the phase of a thing whose wish has changed. One that has to be
// looked at first stays so: what is found is compared with the new wish.
func (p Phase) outdated() Phase {
	if p == Present || p == Changing {
		return Outdated
	}
	return p
}

// clean tells whether nothing of the thing is left, or ever was.
func (p Phase) clean() bool { return p == Absent || p == Gone }

// ThingName tells the things of one identity apart.
type ThingName string

const (
	TheClient     ThingName = "client"
	TheConnection ThingName = "connection"
	// TheSecret is the client's second secret, beside which it has always one. It
	// shares the client's quiet time: both are calls to one client of one UAA.
	TheSecret ThingName = "secret"
)

// Act is a call that can be made for a thing.
type Act string

// What is done to a client or to a connection.
const (
	Make    Act = "make"    // UAA: create the client. Airflow: post the connection.
	Look    Act = "look"    // did the make act? UAA: ask for a token. Airflow: read the connection.
	Set     Act = "set"     // UAA: put the client's lists. Airflow: patch it if it is ours.
	Check   Act = "check"   // is it still as it was? UAA: read it and ask for a token. Airflow: read it.
	Restore Act = "restore" // make it again
	Take    Act = "take"    // UAA: delete the client. Airflow: delete it if it is ours.
)

// What is done to a client's secrets.
const (
	Add     Act = "add"     // the newer beside the older
	Verify  Act = "verify"  // ask for a token with the newer
	Sort    Act = "sort"    // the same, to learn whose the two are
	Reset   Act = "reset"   // leave the one that Airflow has, whatever there is
	Drop    Act = "drop"    // take the older of two that are not ours away
	Retire  Act = "retire"  // take the older away
	Confirm Act = "confirm" // ask for tokens with either
	Revoke  Act = "revoke"  // make UAA refuse the tokens that were granted so far
)

// reads tells whether an act changes nothing, so that losing its reply leaves
// nothing in doubt.
func (a Act) reads() bool {
	switch a {
	case Look, Check, Verify, Sort, Confirm:
		return true
	default:
		return false
	}
}

// intents are the phases that are committed before a call, because they are what
// remains true if nothing more is ever heard of it. An act that is missing leaves
// the phase as it is: it reads, or another field of the row says that it is due.
var intents = map[Act]Phase{
	Make: Creating, Set: Changing, Restore: Doubted, Take: Removing,
	Add: Creating, Reset: Changing, Drop: Dropping, Retire: Removing,
}

func (a Act) intent(now Phase) Phase {
	if intent, found := intents[a]; found {
		return intent
	}
	return now
}

// move is what an outcome makes of a thing.
type move struct {
	to Phase // "": what it was before the intent
	// fails: what was asked for can never be; it is a definite refusal.
	fails bool
	// again: nothing was learnt, or the same must be tried once more; wait first.
	again bool
	// doubts is another thing that must be looked at again.
	doubts ThingName
	// secret is what it makes of the second secret, beside what it makes of the
	// thing itself.
	secret Phase
}

// moves says what each outcome of each act means. A pair that is missing cannot
// happen; it is treated as Unknown, which is always safe.
var moves = map[ThingName]map[Act]map[Outcome]move{
	TheClient: {
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
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {again: true},
		},
		// An update rolls forward: whatever comes of it, it is sent again.
		Set: {
			Done:     {to: Present},
			Differs:  {to: Outdated, again: true},
			NotThere: {to: Doubted},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {to: Changing, again: true},
		},
		Check: {
			Done:     {to: Present},
			Differs:  {to: Outdated},
			Refused:  {to: Present, secret: Stray},
			NotThere: {to: Lost, secret: Single, doubts: TheConnection},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {again: true},
		},
		Restore: {
			Done:     {to: Present},
			Differs:  {to: Outdated},
			Exists:   {to: Doubted},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {to: Doubted, again: true},
		},
		Take: taken,
	},
	TheConnection: {
		Make: {
			Done:     {to: Present},
			Exists:   {to: Creating},
			Rejected: {fails: true},
			Later:    {again: true},
			Unknown:  {to: Creating, again: true},
		},
		Look: {
			Done:     {to: Present},
			Differs:  {to: Outdated},
			Ahead:    {to: Doubted},
			NotThere: {to: Missing, again: true},
			Foreign:  {to: Strange, fails: true},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {again: true},
		},
		Set: {
			Done:     {to: Present},
			Ahead:    {to: Doubted},
			NotThere: {to: Doubted},
			Foreign:  {to: Strange},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {to: Changing, again: true},
		},
		Check: {
			Done:     {to: Present},
			Differs:  {to: Outdated},
			Ahead:    {to: Doubted},
			NotThere: {to: Lost, doubts: TheClient},
			Foreign:  {to: Strange},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {again: true},
		},
		Restore: {
			Done:     {to: Present},
			Exists:   {to: Doubted},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {to: Doubted, again: true},
		},
		Take: taken,
	},
	TheSecret: {
		Add: {
			Done:     {to: Creating}, // UAA says so to more than one at a time: ask for a token
			Exists:   {to: Crowded},
			NotThere: {doubts: TheClient},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {to: Creating, again: true},
		},
		Verify: {
			Done:     {to: Present},
			Differs:  {to: Present, doubts: TheClient},
			NotThere: {to: Missing, again: true},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {again: true},
		},
		Sort: {
			Done:     {to: Present},
			Differs:  {to: Present, doubts: TheClient},
			NotThere: {to: Stray},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {again: true},
		},
		Reset: {
			Done:     {to: Single},
			NotThere: {doubts: TheClient},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {to: Changing, again: true},
		},
		Drop: {
			Done:     {to: Missing},
			Alone:    {to: Missing},
			NotThere: {doubts: TheClient},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {to: Dropping, again: true},
		},
		Retire: {
			Done:     {to: Single},
			Alone:    {to: Unproven},
			NotThere: {doubts: TheClient},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {to: Removing, again: true},
		},
		Confirm: {
			Done:     {to: Single},
			Exists:   {to: Present}, // the older is still accepted
			Alone:    {to: Missing}, // it is the only one, as after UAA was restored
			Refused:  {to: Stray},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {again: true},
		},
		Revoke: {
			Done:     {},
			NotThere: {doubts: TheClient},
			Rejected: {again: true},
			Later:    {again: true},
			Unknown:  {again: true},
		},
	},
}

var taken = map[Outcome]move{
	Done:     {to: Gone},
	NotThere: {to: Gone},
	Foreign:  {to: Gone}, // left alone: nothing of ours is there
	Rejected: {again: true},
	Later:    {again: true},
	Unknown:  {to: Removing, again: true},
}

// after gives the thing once an act has returned, from the thing as it was when
// the intent was written: quiet is how long a lost request may still act, now
// the database's clock.
//
// The quiet time of an earlier doubt outlives a later success: a create that
// was sent twice and answered once may act a second time, after a removal.
func (before Thing) after(name ThingName, act Act, outcome Outcome, quiet time.Duration, now time.Time) (Thing, move) {
	m := moveOf(name, act, outcome)
	after := before
	if m.to != "" {
		after.Phase = m.to
	}
	if outcome.unknown(name, act) && !act.reads() {
		after.QuietUntil = latest(before.QuietUntil, now.Add(quiet))
	}
	return after, m
}

// unknown tells whether an outcome is one that says nothing, or that cannot be.
func (o Outcome) unknown(name ThingName, act Act) bool {
	_, known := moves[name][act][o]
	return !known || o == Unknown
}

func moveOf(name ThingName, act Act, outcome Outcome) move {
	if outcome.unknown(name, act) {
		outcome = Unknown
	}
	return moves[name][act][outcome]
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
