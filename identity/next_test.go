package identity

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

var (
	noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	// db differs from noon on purpose: quiet times follow the database's clock.
	db = time.Date(2026, 11, 24, 11, 59, 57, 0, time.UTC)
)

// bindings by what they make of the wish.
var (
	live     = Binding{SucceededAt: &noon}
	fresh    = Binding{FinishBy: noon.Add(time.Second)}
	tooLate  = Binding{FinishBy: noon}
	failed   = Binding{FailedAt: &noon, FinishBy: noon.Add(time.Second)}
	unbound  = Binding{SucceededAt: &noon, UnboundAt: &noon}
	removed  = Binding{SucceededAt: &noon, RemovedAt: &noon}
	lastGone = Binding{UnboundAt: &noon, FinishBy: noon.Add(time.Second)}
)

func TestWish(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		bindings []Binding
		ended    bool
		want     Wish
	}{
		"no binding":                           {nil, false, Unwanted},
		"a live binding":                       {[]Binding{live}, false, Wanted},
		"a create within its time":             {[]Binding{fresh}, false, Wanted},
		"a create at its finish_by":            {[]Binding{tooLate}, false, Unwanted},
		"a failed create":                      {[]Binding{failed}, false, Unwanted},
		"an unbound binding":                   {[]Binding{unbound}, false, Unwanted},
		"a create that was unbound":            {[]Binding{lastGone}, false, Unwanted},
		"a removed binding":                    {[]Binding{removed}, false, Unwanted},
		"one of several live":                  {[]Binding{unbound, failed, live, tooLate}, false, Wanted},
		"ended is final, whatever binds later": {[]Binding{live, fresh}, true, Unwanted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := View{Bindings: test.bindings}
			if test.ended {
				v.Identity.EndedAt = &noon
			}
			if got := v.Wish(noon); got != test.want {
				t.Errorf("wish: got %s, want %s", got, test.want)
			}
		})
	}
}

// TestNextExhaustively goes through every wish × phase of the client × phase of
// the connection × quiet of either, and demands of each decision what the
// design says in words, not what the table says in lines.
func TestNextExhaustively(t *testing.T) {
	t.Parallel()
	quiets := []time.Duration{0, -time.Second, 3 * time.Second, 20 * time.Second}
	cases := 0
	for _, wish := range []Wish{Wanted, Unwanted} {
		for _, client := range phases {
			for _, connection := range phases {
				for _, clientQuiet := range quiets {
					for _, connectionQuiet := range quiets {
						if wish == Wanted && (client.ending() || connection.ending()) {
							continue // ended is final: a take is only ever intended after it
						}
						cases++
						v := viewWith(wish, client, connection, clientQuiet, connectionQuiet)
						name := fmt.Sprintf("%s client=%s%+v connection=%s%+v", wish, client, clientQuiet, connection, connectionQuiet)
						checkDecision(t, name, v, next(v, noon))
					}
				}
			}
		}
	}
	t.Logf("%d views", cases)
}

func (p Phase) ending() bool { return p == Removing || p == Gone }

func viewWith(wish Wish, client, connection Phase, clientQuiet, connectionQuiet time.Duration) View {
	v := View{Clock: db}
	v.Identity.Client.Phase = client
	v.Identity.Published.Phase = connection
	if clientQuiet != 0 {
		v.Identity.Client.QuietUntil = db.Add(clientQuiet)
	}
	if connectionQuiet != 0 {
		until := db.Add(connectionQuiet)
		v.Reservation.QuietUntil = &until
	}
	v.Bindings = []Binding{live}
	if wish == Unwanted {
		v.Bindings = []Binding{unbound}
	}
	return v
}

func checkDecision(t *testing.T, name string, v View, d decision) {
	t.Helper()
	acts := map[ThingName]Act{}
	for _, s := range d.steps {
		if _, twice := acts[s.Thing]; twice {
			t.Errorf("%s: two steps for the %s at once", name, s.Thing)
		}
		acts[s.Thing] = s.Act
		if s.Reason == "" {
			t.Errorf("%s: step %s %s has no reason", name, s.Act, s.Thing)
		}
		if !reflect.DeepEqual(s.before, v.thing(s.Thing)) {
			t.Errorf("%s: step %s remembers %+v, want %+v", name, s.Thing, s.before, v.thing(s.Thing))
		}
	}
	wish := v.Wish(noon)
	var waits []time.Duration
	for _, thing := range []ThingName{TheClient, TheConnection} {
		act, acted := acts[thing]
		phase, quiet := v.thing(thing).Phase, v.thing(thing).QuietUntil.Sub(db)
		inQuiet := !v.thing(thing).QuietUntil.IsZero() && quiet > 0

		if acted && wish == Wanted && act == Take || acted && wish == Unwanted && (act == Make || act == Set) {
			t.Errorf("%s: %s of a %s %s", name, act, wish, thing)
		}
		identical := act == Make && phase == Missing || act == Take && phase == Removing || act == Set && phase == Changing
		if acted && act != Look && inQuiet && !identical {
			t.Errorf("%s: %s the %s within the quiet time, and it is not the request that may be under way", name, act, thing)
		}
		if acted && act == Set && phase != Outdated && phase != Changing {
			t.Errorf("%s: sets a %s that is not outdated", name, thing)
		}
		if acted && act == Make && phase != Absent && phase != Missing {
			t.Errorf("%s: makes a %s that may be there", name, thing)
		}
		settled := wish == Wanted && (phase == Present || phase == Strange) || wish == Unwanted && phase.clean()
		if settled && acted {
			t.Errorf("%s: %s the %s although nothing is to be done", name, act, thing)
		}
		if !settled && !acted {
			if !inQuiet {
				t.Errorf("%s: nothing happens with the %s", name, thing)
			}
			waits = append(waits, quiet)
		}
	}
	if len(waits) > 0 {
		want := waits[0]
		for _, w := range waits {
			want = min(want, w)
		}
		if d.wait != want {
			t.Errorf("%s: waits %s, want %s", name, d.wait, want)
		}
	}
	if len(waits) == 0 && d.wait != 0 {
		t.Errorf("%s: waits %s and nothing has to", name, d.wait)
	}
}

func TestTableNamesEveryCaseOnce(t *testing.T) {
	t.Parallel()
	for _, wish := range []Wish{Wanted, Unwanted} {
		for _, phase := range phases {
			lines := 0
			for _, l := range table {
				if l.wish == wish && l.phase == phase {
					lines++
				}
			}
			want := 1
			if wish == Wanted && phase.ending() {
				want = 0
			}
			if lines != want {
				t.Errorf("%s and %s: %d lines, want %d", wish, phase, lines, want)
			}
		}
	}
}

func TestMoves(t *testing.T) {
	t.Parallel()
	before := Thing{Phase: Missing, QuietUntil: db.Add(time.Second)}
	const quiet = 20 * time.Second
	tests := map[string]struct {
		act     Act
		outcome Outcome
		want    Thing
		fails   bool
		again   bool
	}{
		"made":                              {Make, Done, Thing{Present, before.QuietUntil}, false, false},
		"made otherwise than asked":         {Make, Differs, Thing{Present, before.QuietUntil}, true, false},
		"a conflict settles nothing":        {Make, Exists, Thing{Creating, before.QuietUntil}, false, false},
		"rejected for good":                 {Make, Rejected, before, true, false},
		"never sent":                        {Make, Later, before, false, true},
		"a make that was lost":              {Make, Unknown, Thing{Creating, db.Add(quiet)}, false, true},
		"an outcome no adapter should give": {Make, NotThere, Thing{Creating, db.Add(quiet)}, false, true},
		"it is there":                       {Look, Done, Thing{Present, before.QuietUntil}, false, false},
		"it is not there yet":               {Look, NotThere, before, false, true},
		"there, otherwise than asked":       {Look, Differs, Thing{Present, before.QuietUntil}, true, false},
		"somebody else's":                   {Look, Foreign, Thing{Strange, before.QuietUntil}, true, false},
		"a look that was lost":              {Look, Unknown, before, false, true},
		"set":                               {Set, Done, Thing{Present, before.QuietUntil}, false, false},
		"set otherwise than asked":          {Set, Differs, Thing{Outdated, before.QuietUntil}, false, true},
		"a set that was refused":            {Set, Rejected, before, false, true},
		"a set that was lost":               {Set, Unknown, Thing{Changing, db.Add(quiet)}, false, true},
		"taken":                             {Take, Done, Thing{Gone, before.QuietUntil}, false, false},
		"gone already":                      {Take, NotThere, Thing{Gone, before.QuietUntil}, false, false},
		"not ours to take":                  {Take, Foreign, Thing{Gone, before.QuietUntil}, false, false},
		"a removal that was refused":        {Take, Rejected, before, false, true},
		"a removal that was lost":           {Take, Unknown, Thing{Removing, db.Add(quiet)}, false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, m := before.after(test.act, test.outcome, quiet, db)
			if got != test.want || m.fails != test.fails || m.again != test.again {
				t.Errorf("%s, %s: got %+v fails=%t again=%t, want %+v fails=%t again=%t",
					test.act, test.outcome, got, m.fails, m.again, test.want, test.fails, test.again)
			}
		})
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
