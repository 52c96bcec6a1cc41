package identity

import "time"

// Reason says why a step is taken or why nothing is to be done. Events,
// last_operation and doctor repeat it.
type Reason string

const (
	ReasonWanted      Reason = "wanted"          // asked for and never made
	ReasonNotArrived  Reason = "not_arrived"     // the make was lost: the same once more
	ReasonMadeUnknown Reason = "made_unknown"    // did the make act? look
	ReasonWhole       Reason = "whole"           // it is there
	ReasonOutdated    Reason = "outdated"        // it is there, and the wish has changed
	ReasonSetUnknown  Reason = "set_unknown"     // did the set act? the same once more
	ReasonTaken       Reason = "taken"           // someone else's thing stands there
	ReasonNeverMade   Reason = "never_made"      // unwanted, and nothing was ever asked for
	ReasonUnwanted    Reason = "unwanted"        // it is there and nobody wants it
	ReasonMayArrive   Reason = "may_arrive"      // unwanted, but a make may have acted
	ReasonLeftUnknown Reason = "removed_unknown" // did the take act? the same once more
	ReasonRemoved     Reason = "removed"         // proven

	ReasonDoubted     Reason = "doubted"      // somebody may have changed it
	ReasonLost        Reason = "lost"         // somebody has taken it away
	ReasonBothLost    Reason = "both_lost"    // perhaps removed after our backup was taken
	ReasonHeld        Reason = "held"         // our database was restored: nothing unasked
	ReasonRestored    Reason = "restored"     // what the row says is of before the restore
	ReasonMarkerFirst Reason = "marker_first" // before UAA is touched: is the connection as the row says?

	ReasonRotation      Reason = "rotation"        // its time has come, or it was asked for
	ReasonPaused        Reason = "paused"          // its time has come, and a freeze holds it
	ReasonNotDue        Reason = "not_due"         // its time has not come
	ReasonAddUnknown    Reason = "add_unknown"     // is the newer secret live? ask for a token
	ReasonAddLost       Reason = "add_lost"        // it is not: the same once more
	ReasonTwoAlready    Reason = "two_already"     // whose are they?
	ReasonStray         Reason = "stray"           // one that is not ours has come between
	ReasonResetUnknown  Reason = "reset_unknown"   // did the reset act? the same once more
	ReasonDropUnknown   Reason = "drop_unknown"    // did the drop act? the same once more
	ReasonPublishing    Reason = "publishing"      // the connection gets it first
	ReasonSoak          Reason = "soak"            // tasks may still hold the older
	ReasonSoaked        Reason = "soaked"          // nobody can hold the older any more
	ReasonLeaked        Reason = "leaked"          // the older must go at once
	ReasonRetireUnknown Reason = "retire_unknown"  // did the retire act? ask for tokens
	ReasonOneOnly       Reason = "one_only"        // is it the one that Airflow has?
	ReasonLeakedTokens  Reason = "leaked_tokens"   // tokens of the leaked secret must go too
	ReasonClientFirst   Reason = "client_first"    // the client itself is not as it should be
	ReasonUnpublishable Reason = "not_publishable" // the connection is not as it should be
)

// line is one line of the table: for a thing in this phase, under this wish and
// this condition, this act, for this reason. Act "" is rest. Of several lines the
// first whose condition holds counts.
type line struct {
	phase Phase
	when  condition
	// quiet: the act differs from what may still be under way, so it waits for
	// the end of the quiet time. The identical request never waits.
	quiet bool
	// marker: the connection is read first, under the same lease, and must be as
	// the row says.
	marker bool
	act    Act
	reason Reason
}

// condition is what a line asks of the view beside its phase; nil: nothing.
type condition func(View, time.Time) bool

// Conditions.
var (
	held     condition = func(v View, _ time.Time) bool { return v.held() }
	restored condition = func(v View, _ time.Time) bool { return v.Identity.Restored }
	alone    condition = func(v View, _ time.Time) bool { return v.Identity.Kind == AppIdentity }

	otherLost condition = func(v View, _ time.Time) bool {
		return v.Identity.Client.Phase == Lost && v.Identity.Published.Phase == Lost
	}
	clientThere  condition = func(v View, _ time.Time) bool { return v.Identity.Client.Phase == Present }
	publishable  condition = func(v View, _ time.Time) bool { return v.publishable() }
	rotationDue  condition = View.rotationDue
	retireDue    condition = View.retireDue
	frozen       condition = View.frozen
	unpublished  condition = func(v View, _ time.Time) bool { return !v.Identity.Candidate.IsZero() || !v.published() }
	oldUnknown   condition = func(v View, _ time.Time) bool { return v.Identity.Old.IsZero() }
	tokensLeaked condition = func(v View, _ time.Time) bool {
		return v.Identity.Urgent && v.Identity.Generation > v.Identity.RotateAbove
	}
)

// table is the whole of converge's knowledge. Client and connection follow it side
// by side; the second secret follows once the client is as it should be.
//
// Wanted with removing or gone is not in it: a take is only ever intended once
// EndedAt is set, and that is final.
var table = map[Wish]map[ThingName][]line{
	Wanted: {
		TheClient: {
			{phase: Absent, quiet: true, act: Make, reason: ReasonWanted}, // quiet: the id's last owner may have left a request behind
			{phase: Missing, act: Make, reason: ReasonNotArrived},
			{phase: Creating, act: Look, reason: ReasonMadeUnknown},
			{phase: Present, reason: ReasonWhole},
			{phase: Outdated, quiet: true, act: Set, reason: ReasonOutdated},
			{phase: Changing, act: Set, reason: ReasonSetUnknown},
			{phase: Doubted, when: held, reason: ReasonHeld},
			{phase: Doubted, act: Check, reason: ReasonDoubted},
			{phase: Lost, when: held, reason: ReasonHeld},
			{phase: Lost, when: alone, reason: ReasonBothLost},
			{phase: Lost, when: publishable, quiet: true, marker: true, act: Restore, reason: ReasonLost},
			{phase: Lost, when: otherLost, reason: ReasonBothLost},
			{phase: Lost, reason: ReasonUnpublishable},
			{phase: Strange, reason: ReasonTaken},
		},
		TheConnection: {
			{phase: Absent, quiet: true, act: Make, reason: ReasonWanted},
			{phase: Missing, act: Make, reason: ReasonNotArrived},
			{phase: Creating, act: Look, reason: ReasonMadeUnknown},
			{phase: Present, reason: ReasonWhole},
			{phase: Outdated, when: held, reason: ReasonHeld},
			{phase: Outdated, when: restored, reason: ReasonRestored},
			{phase: Outdated, quiet: true, act: Set, reason: ReasonOutdated},
			{phase: Changing, when: held, reason: ReasonHeld},
			{phase: Changing, act: Set, reason: ReasonSetUnknown},
			{phase: Doubted, when: held, reason: ReasonHeld},
			{phase: Doubted, act: Check, reason: ReasonDoubted},
			{phase: Lost, when: held, reason: ReasonHeld},
			{phase: Lost, when: clientThere, quiet: true, act: Restore, reason: ReasonLost},
			{phase: Lost, when: otherLost, reason: ReasonBothLost},
			{phase: Lost, reason: ReasonClientFirst},
			{phase: Strange, reason: ReasonTaken},
		},
		TheSecret: {
			{phase: Single, when: held, reason: ReasonHeld},
			{phase: Single, when: tokensLeaked, quiet: true, act: Revoke, reason: ReasonLeakedTokens},
			{phase: Single, when: not(rotationDue), reason: ReasonNotDue},
			{phase: Single, when: frozen, reason: ReasonPaused},
			{phase: Single, when: not(publishable), reason: ReasonUnpublishable},
			{phase: Single, quiet: true, marker: true, act: Add, reason: ReasonRotation},
			{phase: Creating, when: held, reason: ReasonHeld},
			{phase: Creating, act: Verify, reason: ReasonAddUnknown},
			{phase: Missing, when: held, reason: ReasonHeld},
			{phase: Missing, when: not(publishable), reason: ReasonUnpublishable},
			{phase: Missing, quiet: true, marker: true, act: Add, reason: ReasonAddLost},
			{phase: Crowded, when: held, reason: ReasonHeld},
			{phase: Crowded, act: Sort, reason: ReasonTwoAlready},
			{phase: Stray, when: held, reason: ReasonHeld},
			{phase: Stray, when: not(publishable), reason: ReasonUnpublishable},
			{phase: Stray, when: restored, quiet: true, marker: true, act: Drop, reason: ReasonRestored},
			{phase: Stray, quiet: true, marker: true, act: Reset, reason: ReasonStray},
			{phase: Changing, when: held, reason: ReasonHeld},
			{phase: Changing, when: not(publishable), reason: ReasonUnpublishable},
			{phase: Changing, marker: true, act: Reset, reason: ReasonResetUnknown},
			{phase: Dropping, when: held, reason: ReasonHeld},
			{phase: Dropping, when: not(publishable), reason: ReasonUnpublishable},
			{phase: Dropping, quiet: true, marker: true, act: Drop, reason: ReasonDropUnknown},
			{phase: Present, when: held, reason: ReasonHeld},
			{phase: Present, when: unpublished, reason: ReasonPublishing},
			{phase: Present, when: not(retireDue), reason: ReasonSoak},
			{phase: Present, when: frozen, reason: ReasonPaused},
			{phase: Present, when: not(publishable), reason: ReasonUnpublishable},
			{phase: Present, quiet: true, marker: true, act: Retire, reason: ReasonSoaked},
			{phase: Removing, when: held, reason: ReasonHeld},
			{phase: Removing, when: both(oldUnknown, not(publishable)), reason: ReasonUnpublishable},
			{phase: Removing, when: oldUnknown, quiet: true, marker: true, act: Retire, reason: ReasonRetireUnknown},
			{phase: Removing, quiet: true, act: Confirm, reason: ReasonRetireUnknown},
			{phase: Unproven, when: held, reason: ReasonHeld},
			{phase: Unproven, act: Confirm, reason: ReasonOneOnly},
		},
	},
	Unwanted: {
		TheClient:     unwanted,
		TheConnection: unwanted,
	},
}

var unwanted = []line{
	{phase: Absent, reason: ReasonNeverMade},
	{phase: Missing, quiet: true, act: Take, reason: ReasonMayArrive},
	{phase: Creating, quiet: true, act: Take, reason: ReasonMayArrive},
	{phase: Present, quiet: true, act: Take, reason: ReasonUnwanted},
	{phase: Outdated, quiet: true, act: Take, reason: ReasonUnwanted},
	{phase: Changing, quiet: true, act: Take, reason: ReasonUnwanted},
	{phase: Doubted, quiet: true, act: Take, reason: ReasonUnwanted},
	{phase: Lost, quiet: true, act: Take, reason: ReasonMayArrive},
	{phase: Strange, quiet: true, act: Take, reason: ReasonMayArrive},
	{phase: Removing, act: Take, reason: ReasonLeftUnknown},
	{phase: Gone, reason: ReasonRemoved},
}

func not(c condition) condition {
	return func(v View, now time.Time) bool { return !c(v, now) }
}

func both(a, b condition) condition {
	return func(v View, now time.Time) bool { return a(v, now) && b(v, now) }
}

// Step is one act on one thing, and why.
type Step struct {
	Thing  ThingName
	Act    Act
	Reason Reason
	// before is the thing as it was when the step was decided, to which a
	// definite answer without effect returns.
	before Thing
}

// decision is what next makes of a view: steps that may run now, side by side,
// and how long until the quiet time of what has to wait is over. Neither: rest.
type decision struct {
	steps []Step
	wait  time.Duration
}

// next decides. It is pure: it reads the view and the engine's clock and touches
// nothing.
func next(v View, now time.Time) decision {
	var (
		d      decision
		marker bool // somebody wants the connection to be read first
	)
	for _, name := range v.Identity.things() {
		l := lookUp(v, name, now)
		if l.act == "" {
			continue
		}
		thing := v.thing(name)
		if left := thing.QuietUntil.Sub(v.Clock); l.quiet && left > 0 {
			if d.wait == 0 || left < d.wait {
				d.wait = left
			}
			continue
		}
		if l.marker && !v.markerSeen() {
			marker = true
			continue
		}
		d.steps = append(d.steps, Step{name, l.act, l.reason, thing})
	}
	if marker && !d.touches(TheConnection) {
		d.steps = append(d.steps, Step{TheConnection, Check, ReasonMarkerFirst, v.thing(TheConnection)})
	}
	return d
}

// lookUp finds the line for a thing. The second secret has none as long as the
// client itself is not as it should be.
func lookUp(v View, name ThingName, now time.Time) line {
	if name == TheSecret && v.Identity.Client.Phase != Present {
		return line{reason: ReasonClientFirst}
	}
	phase := v.thing(name).Phase
	for _, l := range table[v.Wish(now)][name] {
		if l.phase == phase && (l.when == nil || l.when(v, now)) {
			return l
		}
	}
	return line{}
}

func (d decision) touches(name ThingName) bool {
	for _, s := range d.steps {
		if s.Thing == name {
			return true
		}
	}
	return false
}
