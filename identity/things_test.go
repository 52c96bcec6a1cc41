package identity

import (
	"testing"
	"time"
)

const quiet = 20 * time.Second

// TestMoves: what each outcome of each act makes of a thing, in words.
func TestMoves(t *testing.T) {
	t.Parallel()
	before := Thing{Phase: Missing, QuietUntil: db.Add(time.Second)}
	to := func(phase Phase) Thing { return Thing{phase, before.QuietUntil} }
	lost := func(phase Phase) Thing { return Thing{phase, db.Add(quiet)} }
	fails, again := move{fails: true}, move{again: true}
	tests := map[string]struct {
		thing   ThingName
		act     Act
		outcome Outcome
		want    Thing
		and     move // but for its phase
	}{
		"made":                              {TheClient, Make, Done, to(Present), move{}},
		"made otherwise than asked":         {TheClient, Make, Differs, to(Present), fails},
		"a conflict settles nothing":        {TheClient, Make, Exists, to(Creating), move{}},
		"rejected for good":                 {TheConnection, Make, Rejected, before, fails},
		"never sent":                        {TheConnection, Make, Later, before, again},
		"a make that was lost":              {TheConnection, Make, Unknown, lost(Creating), again},
		"an outcome no adapter should give": {TheConnection, Make, NotThere, lost(Creating), again},

		"it is there":                    {TheClient, Look, Done, to(Present), move{}},
		"it is not there yet":            {TheClient, Look, NotThere, before, again},
		"there, otherwise than asked":    {TheClient, Look, Differs, to(Present), fails},
		"ours, and somebody edited it":   {TheConnection, Look, Differs, to(Outdated), move{}},
		"of a newer generation":          {TheConnection, Look, Ahead, to(Doubted), move{}},
		"somebody else's":                {TheConnection, Look, Foreign, to(Strange), fails},
		"a look that was lost":           {TheConnection, Look, Unknown, before, again},
		"the client is ahead of nothing": {TheClient, Look, Ahead, before, again},

		"set":                        {TheClient, Set, Done, to(Present), move{}},
		"set otherwise than asked":   {TheClient, Set, Differs, to(Outdated), again},
		"a set of what is not there": {TheClient, Set, NotThere, to(Doubted), move{}},
		"a set that was refused":     {TheClient, Set, Rejected, before, again},
		"a set that was lost":        {TheClient, Set, Unknown, lost(Changing), again},
		"set somebody else's":        {TheConnection, Set, Foreign, to(Strange), move{}},
		"set a newer one":            {TheConnection, Set, Ahead, to(Doubted), move{}},
		"set a lost connection":      {TheConnection, Set, NotThere, to(Doubted), move{}},

		"as it was":                       {TheClient, Check, Done, to(Present), move{}},
		"somebody changed it":             {TheClient, Check, Differs, to(Outdated), move{}},
		"its secret is refused":           {TheClient, Check, Refused, to(Present), move{secret: Stray}},
		"the client is lost":              {TheClient, Check, NotThere, to(Lost), move{secret: Single, doubts: TheConnection}},
		"the connection is lost":          {TheConnection, Check, NotThere, to(Lost), move{doubts: TheClient}},
		"somebody edited the connection":  {TheConnection, Check, Differs, to(Outdated), move{}},
		"its marker is newer":             {TheConnection, Check, Ahead, to(Doubted), move{}},
		"its marker is gone":              {TheConnection, Check, Foreign, to(Strange), move{}},
		"a check that was lost":           {TheConnection, Check, Unknown, before, again},
		"a client has no marker":          {TheClient, Check, Foreign, before, again},
		"a check that could not be sent":  {TheClient, Check, Later, before, again},
		"made again":                      {TheClient, Restore, Done, to(Present), move{}},
		"made again, with other lists":    {TheClient, Restore, Differs, to(Outdated), move{}},
		"there after all":                 {TheClient, Restore, Exists, to(Doubted), move{}},
		"the connection is there":         {TheConnection, Restore, Exists, to(Doubted), move{}},
		"made again, or not":              {TheConnection, Restore, Unknown, lost(Doubted), again},
		"may not be made again":           {TheConnection, Restore, Rejected, before, again},
		"a second client, or none at all": {TheClient, Restore, Unknown, lost(Doubted), again},

		"taken":                      {TheClient, Take, Done, to(Gone), move{}},
		"gone already":               {TheClient, Take, NotThere, to(Gone), move{}},
		"not ours to take":           {TheConnection, Take, Foreign, to(Gone), move{}},
		"a removal that was refused": {TheConnection, Take, Rejected, before, again},
		"a removal that was lost":    {TheConnection, Take, Unknown, lost(Removing), again},

		// UAA says "done" to each of several adds at a time, and keeps one.
		"added, it says":            {TheSecret, Add, Done, to(Creating), move{}},
		"two already":               {TheSecret, Add, Exists, to(Crowded), move{}},
		"nothing to add to":         {TheSecret, Add, NotThere, before, move{doubts: TheClient}},
		"an add that was lost":      {TheSecret, Add, Unknown, lost(Creating), again},
		"the newer is live":         {TheSecret, Verify, Done, to(Present), move{}},
		"live, with other lists":    {TheSecret, Verify, Differs, to(Present), move{doubts: TheClient}},
		"the newer is refused":      {TheSecret, Verify, NotThere, to(Missing), again},
		"a verify that was lost":    {TheSecret, Verify, Unknown, before, again},
		"the newer of two is ours":  {TheSecret, Sort, Done, to(Present), move{}},
		"ours, with other lists":    {TheSecret, Sort, Differs, to(Present), move{doubts: TheClient}},
		"it is not ours":            {TheSecret, Sort, NotThere, to(Stray), move{}},
		"one is left":               {TheSecret, Reset, Done, to(Single), move{}},
		"nothing to reset":          {TheSecret, Reset, NotThere, before, move{doubts: TheClient}},
		"a reset that was lost":     {TheSecret, Reset, Unknown, lost(Changing), again},
		"the older of both is gone": {TheSecret, Drop, Done, to(Missing), move{}},
		"there was one only":        {TheSecret, Drop, Alone, to(Missing), move{}},
		"nothing to drop from":      {TheSecret, Drop, NotThere, before, move{doubts: TheClient}},
		"a drop that was lost":      {TheSecret, Drop, Unknown, lost(Dropping), again},
		"retired":                   {TheSecret, Retire, Done, to(Single), move{}},
		"one only: which?":          {TheSecret, Retire, Alone, to(Unproven), move{}},
		"nothing to retire from":    {TheSecret, Retire, NotThere, before, move{doubts: TheClient}},
		"a retire that was lost":    {TheSecret, Retire, Unknown, lost(Removing), again},
		"confirmed":                 {TheSecret, Confirm, Done, to(Single), move{}},
		"the older is accepted":     {TheSecret, Confirm, Exists, to(Present), move{}},
		"the newer is refused too":  {TheSecret, Confirm, Refused, to(Stray), move{}},
		"a confirm that was lost":   {TheSecret, Confirm, Unknown, before, again},
		"tokens revoked":            {TheSecret, Revoke, Done, before, move{}},
		"nobody's tokens":           {TheSecret, Revoke, NotThere, before, move{doubts: TheClient}},
		"a revoke that was lost":    {TheSecret, Revoke, Unknown, lost(Missing), again},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, m := before.after(test.thing, test.act, test.outcome, quiet, db)
			m.to = ""
			if got != test.want || m != test.and {
				t.Errorf("%s %s, %s: got %+v and %+v, want %+v and %+v", test.act, test.thing, test.outcome, got, m, test.want, test.and)
			}
		})
	}
}

// outcomes are all that a call can come to, and one that no adapter gives.
var outcomes = []Outcome{Done, NotThere, Exists, Foreign, Differs, Rejected, Later, Refused, Alone, Ahead, Unknown, "something new"}

// TestEveryMove holds what is true of each outcome of each act, whatever it is.
func TestEveryMove(t *testing.T) {
	t.Parallel()
	before := Thing{Phase: Outdated, QuietUntil: db.Add(time.Second)}
	for thing, acts := range calls {
		for act := range acts {
			for _, outcome := range outcomes {
				after, m := before.after(thing, act, outcome, quiet, db)
				_, possible := moves[thing][act][outcome]
				doubtful := !possible || outcome == Unknown
				if want := doubtful && !reading[act]; want != (after.QuietUntil == db.Add(quiet)) || !want && after.QuietUntil != before.QuietUntil {
					t.Errorf("%s %s, %s: quiet until %s", act, thing, outcome, after.QuietUntil)
				}
				if doubtful && (after.Phase != act.intent(before.Phase) || !m.again || m.fails || m.doubts != "" || m.secret != "") {
					t.Errorf("%s %s, %s: got %+v and %+v, want what was intended, and to try again", act, thing, outcome, after, m)
				}
				if (outcome == Later || outcome == Rejected) && after.Phase != before.Phase {
					t.Errorf("%s %s, %s: it had no effect and makes it %s", act, thing, outcome, after.Phase)
				}
				if m.fails && act != Make && act != Look {
					t.Errorf("%s %s, %s fails a create, and it is not one", act, thing, outcome)
				}
			}
			if reads := act.reads(); reads != reading[act] || reads && act.intent(Outdated) != Outdated {
				t.Errorf("%s %s: reads=%t, and it is intended as %s", act, thing, reads, act.intent(Outdated))
			}
		}
	}
}

// TestOutdatedKeepsDoubt: what has to be looked at first is looked at first.
func TestOutdatedKeepsDoubt(t *testing.T) {
	t.Parallel()
	for _, phase := range phases {
		want := phase
		if phase == Present || phase == Changing {
			want = Outdated
		}
		if got := phase.outdated(); got != want {
			t.Errorf("a wish has changed for what is %s: got %s, want %s", phase, got, want)
		}
	}
}

func TestPauseAfter(t *testing.T) {
	t.Parallel()
	want := map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 10: 51200 * time.Millisecond, 11: time.Minute, 500: time.Minute}
	for attempt, pause := range want {
		if got := pauseAfter(attempt); got != pause {
			t.Errorf("pause after %d rounds in vain: got %s, want %s", attempt, got, pause)
		}
	}
}
