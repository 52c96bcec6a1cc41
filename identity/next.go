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
)

// line is one line of the table: for a thing in this phase, under this wish,
// this act, for this reason. Act "" is rest.
type line struct {
	wish  Wish
	phase Phase
	// quiet: the act differs from what may still be under way, so it waits for
	// the end of the quiet time. The identical request never waits.
	quiet  bool
	act    Act
	reason Reason
}

// table is the whole of converge's knowledge. Both things follow it, side by
// side: neither depends on the other.
//
// Wanted with removing or gone is not in it: a take is only ever intended once
// EndedAt is set, and that is final.
var table = []line{
	{Wanted, Absent, true, Make, ReasonWanted}, // quiet: the id's last owner may have left a request behind
	{Wanted, Missing, false, Make, ReasonNotArrived},
	{Wanted, Creating, false, Look, ReasonMadeUnknown},
	{Wanted, Present, false, "", ReasonWhole},
	{Wanted, Outdated, true, Set, ReasonOutdated},
	{Wanted, Changing, false, Set, ReasonSetUnknown},
	{Wanted, Strange, false, "", ReasonTaken},

	{Unwanted, Absent, false, "", ReasonNeverMade},
	{Unwanted, Missing, true, Take, ReasonMayArrive},
	{Unwanted, Creating, true, Take, ReasonMayArrive},
	{Unwanted, Present, true, Take, ReasonUnwanted},
	{Unwanted, Outdated, true, Take, ReasonUnwanted},
	{Unwanted, Changing, true, Take, ReasonUnwanted},
	{Unwanted, Strange, true, Take, ReasonMayArrive},
	{Unwanted, Removing, false, Take, ReasonLeftUnknown},
	{Unwanted, Gone, false, "", ReasonRemoved},
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
	var d decision
	wish := v.Wish(now)
	for _, name := range v.Identity.things() {
		thing := v.thing(name)
		l, found := lookUp(wish, thing.Phase)
		if !found || l.act == "" {
			continue
		}
		if left := thing.QuietUntil.Sub(v.Clock); l.quiet && left > 0 {
			if d.wait == 0 || left < d.wait {
				d.wait = left
			}
			continue
		}
		d.steps = append(d.steps, Step{name, l.act, l.reason, thing})
	}
	return d
}

func lookUp(wish Wish, phase Phase) (line, bool) {
	for _, l := range table {
		if l.wish == wish && l.phase == phase {
			return l, true
		}
	}
	return line{}, false
}
