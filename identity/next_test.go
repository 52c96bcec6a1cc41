package identity

import (
	"sync"
	"testing"
	"time"
)

var (
	noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	// db differs from noon on purpose: quiet times follow the database's clock.
	db = time.Date(2026, 11, 24, 11, 59, 57, 0, time.UTC)

	earlier, later = noon.Add(-time.Hour), noon.Add(time.Hour)
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
		identity Identity
		want     Wish
	}{
		"no binding":                           {nil, Identity{}, Unwanted},
		"a live binding":                       {[]Binding{live}, Identity{}, Wanted},
		"a create within its time":             {[]Binding{fresh}, Identity{}, Wanted},
		"a create at its finish_by":            {[]Binding{tooLate}, Identity{}, Unwanted},
		"a failed create":                      {[]Binding{failed}, Identity{}, Unwanted},
		"an unbound binding":                   {[]Binding{unbound}, Identity{}, Unwanted},
		"a create that was unbound":            {[]Binding{lastGone}, Identity{}, Unwanted},
		"a removed binding":                    {[]Binding{removed}, Identity{}, Unwanted},
		"one of several live":                  {[]Binding{unbound, failed, live, tooLate}, Identity{}, Wanted},
		"ended is final, whatever binds later": {[]Binding{live, fresh}, Identity{EndedAt: &noon}, Unwanted},
		"revoked, whatever is bound":           {[]Binding{live, fresh}, Identity{RevokedAt: &noon}, Unwanted},
		"at its expires_at":                    {[]Binding{live}, Identity{ExpiresAt: &noon}, Unwanted},
		"before its expires_at":                {[]Binding{live}, Identity{ExpiresAt: &later}, Wanted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := View{Identity: test.identity, Bindings: test.bindings}
			if got := v.Wish(noon); got != test.want {
				t.Errorf("wish: got %s, want %s", got, test.want)
			}
		})
	}
}

// viewWith is a view of an Airflow identity that has never rotated.
func viewWith(wish Wish, client, connection Phase, clientQuiet, connectionQuiet time.Duration) View {
	return facts{wish: wish, kind: AirflowIdentity, client: client, connection: connection, secret: Single,
		clientQuiet: clientQuiet, connectionQuiet: connectionQuiet, published: true}.view()
}

func (p Phase) ending() bool { return p == Removing || p == Gone }

// facts are what a view is made from, so that what is demanded of a decision is
// said of them and not of what the code derives from the view.
type facts struct {
	wish                         Wish
	kind                         Kind
	client, connection, secret   Phase
	clientQuiet, connectionQuiet time.Duration // what is left of them
	held, environmentHeld        bool
	paused                       bool
	pausedUntil                  *time.Time
	urgent                       urgency
	rotateAt, retireAt           *time.Time
	restored                     bool // and accepted
	seen                         bool // the marker was read under this lease
	candidate, old               bool // they are known
	published                    bool // the generation's publish is proven
}

// urgency is how far a leak has come.
type urgency string

const (
	calm   urgency = ""
	leaked urgency = "leaked"         // and the secret is not replaced yet
	mended urgency = "leaked, mended" // it was replaced since
)

func (f facts) view() View {
	v := View{Clock: db, EnvironmentHeld: f.environmentHeld, Paused: f.paused, PausedUntil: f.pausedUntil}
	i := &v.Identity
	i.Kind, i.Secret, i.Generation, i.LeaseEpoch = f.kind, SecretFrom("published"), 5, 7
	i.Client.Phase, i.Published.Phase, i.Overlap = f.client, f.connection, f.secret
	i.RotateAt, i.RetireAt, i.Restored = f.rotateAt, f.retireAt, f.restored
	if f.clientQuiet != 0 {
		i.Client.QuietUntil = db.Add(f.clientQuiet)
	}
	if f.connectionQuiet != 0 {
		until := db.Add(f.connectionQuiet)
		v.Reservation.QuietUntil = &until
	}
	if f.held {
		i.HeldAt = &earlier
	}
	switch f.urgent {
	case leaked:
		i.Urgent, i.RotateAbove = true, i.Generation
	case mended:
		i.Urgent, i.RotateAbove = true, i.Generation-1
	}
	if f.seen {
		i.SeenEpoch = i.LeaseEpoch
	}
	if f.candidate {
		i.Candidate = SecretFrom("candidate")
	}
	if f.old {
		i.Old = SecretFrom("old")
	}
	if i.PublishedGeneration = i.Generation; !f.published {
		i.PublishedGeneration--
	}
	v.Bindings = []Binding{live}
	if f.wish == Unwanted {
		v.Bindings = []Binding{unbound}
	}
	return v
}

// TestNextExhaustively goes through every wish × phase of the client × phase of
// the connection × phase of the second secret × quiet × what else a decision may
// hang on, and demands of each what the design says in words, not what the table
// says in lines. The second secret and its flags count only where the client is
// present, so they are multiplied only there.
func TestNextExhaustively(t *testing.T) {
	t.Parallel()
	var (
		mu    sync.Mutex
		total = newTally()
	)
	t.Run("views", func(t *testing.T) {
		for _, connection := range phases {
			t.Run(string(connection), func(t *testing.T) {
				t.Parallel()
				mine := newTally()
				everyView(connection, func(f facts) {
					if mine.count(t, f); t.Failed() {
						t.FailNow() // one view tells enough
					}
				})
				mu.Lock()
				defer mu.Unlock()
				total.add(mine)
			})
		}
	})
	t.Logf("%d views", total.views)
	if t.Failed() {
		return
	}
	for wish, things := range table {
		for thing, lines := range things {
			for i, l := range lines {
				if total.hits[wish][thing][i] == 0 {
					t.Errorf("no view comes to line %d of a %s %s: %s, %q for %q", i, wish, thing, l.phase, l.act, l.reason)
				}
			}
		}
	}
}

func everyView(connection Phase, do func(facts)) {
	n := 0
	for _, wish := range []Wish{Wanted, Unwanted} {
		for _, client := range phases {
			if wish == Wanted && (client.ending() || connection.ending()) {
				continue // ended is final: a take is only ever intended after it
			}
			for _, quiet := range [][2]time.Duration{{0, 0}, {3 * time.Second, -time.Second}, {-time.Second, 10 * time.Second}, {20 * time.Second, 10 * time.Second}} {
				f := facts{wish: wish, client: client, connection: connection, secret: Single,
					clientQuiet: quiet[0], connectionQuiet: quiet[1], published: true}
				// Without a second secret to decide on.
				for bits := range 1 << 6 {
					n++
					f := f
					f.kind = AirflowIdentity
					f.hold(bits&1 != 0, n)
					f.restored, f.seen, f.candidate, f.old = bits&2 != 0, bits&4 != 0, bits&8 != 0, bits&16 != 0
					f.paused = bits&32 != 0
					if wish == Unwanted || client != Present {
						do(f)
					}
					if f.kind = AppIdentity; connection == Absent {
						do(f)
					}
				}
				if wish == Wanted && client == Present {
					f.kind = AirflowIdentity
					everySecret(f, &n, do)
				}
			}
		}
	}
}

func everySecret(f facts, n *int, do func(facts)) {
	for _, f.secret = range secretPhases {
		for _, f.urgent = range []urgency{calm, leaked, mended} {
			for freeze := range 3 {
				for bits := range 1 << 8 {
					*n++
					f := f
					f.hold(bits&1 != 0, *n)
					f.restored, f.seen, f.candidate, f.old = bits&2 != 0, bits&4 != 0, bits&8 != 0, bits&16 != 0
					f.published = bits&32 != 0
					f.rotateAt, f.retireAt = timer(bits&64 != 0, *n), timer(bits&128 != 0, *n)
					switch {
					case freeze == 1:
						f.paused = true
					case freeze == 2:
						f.pausedUntil = &later
					case *n%2 == 0:
						f.pausedUntil = &noon // it is over
					}
					do(f)
				}
			}
		}
	}
}

// hold holds the row or its environment, in turns: it comes to the same.
func (f *facts) hold(held bool, n int) {
	f.held, f.environmentHeld = held && n/3%3 != 0, held && n/3%3 != 1
}

// timer is one that is due, or, in turns, is not yet or never.
func timer(due bool, n int) *time.Time {
	switch {
	case due && n/5%2 == 0:
		return &noon
	case due:
		return &earlier
	case n/7%2 == 0:
		return &later
	default:
		return nil
	}
}

// tally counts views, and how often each line of the table was come to.
type tally struct {
	views int
	hits  map[Wish]map[ThingName][]int
}

func newTally() tally {
	t := tally{hits: map[Wish]map[ThingName][]int{}}
	for wish, things := range table {
		t.hits[wish] = map[ThingName][]int{}
		for thing, lines := range things {
			t.hits[wish][thing] = make([]int, len(lines))
		}
	}
	return t
}

func (t *tally) add(other tally) {
	t.views += other.views
	for wish, things := range other.hits {
		for thing, hits := range things {
			for i, n := range hits {
				t.hits[wish][thing][i] += n
			}
		}
	}
}

func (t *tally) count(tt *testing.T, f facts) {
	tt.Helper()
	t.views++
	v := f.view()
	checkDecision(tt, f, v, next(v, noon))
	for _, thing := range v.Identity.things() {
		if thing == TheSecret && (f.wish == Unwanted || f.client != Present) {
			continue
		}
		found := lookUp(v, thing, noon)
		if found.reason == "" {
			tt.Errorf("%+v: no line of the table is about the %s", f, thing)
		}
		for i, l := range table[f.wish][thing] {
			if l.phase == v.thing(thing).Phase && (l.when == nil || l.when(v, noon)) {
				t.hits[f.wish][thing][i]++
				break
			}
		}
	}
}

// thing gives what the facts say of a thing: its phase, and what is left of its quiet.
func (f facts) thing(name ThingName) (Phase, time.Duration) {
	switch name {
	case TheClient:
		return f.client, max(0, f.clientQuiet)
	case TheConnection:
		return f.connection, max(0, f.connectionQuiet)
	default:
		return f.secret, max(0, f.clientQuiet)
	}
}

func (f facts) isHeld() bool { return f.held || f.environmentHeld }

// frozen: a leak is not held up by a freeze.
func (f facts) frozen() bool {
	return f.urgent == calm && (f.paused || f.pausedUntil == &later)
}

// asTheRowSays: the connection can be trusted with a new secret. After a restore
// the row may be behind in all but the generation.
func (f facts) asTheRowSays() bool {
	return f.connection == Present || f.restored && f.connection == Outdated
}

func (f facts) addDue() bool {
	return f.restored || f.urgent == leaked || past(f.rotateAt)
}

func (f facts) dropDue() bool { return f.urgent != calm || past(f.retireAt) }

func past(at *time.Time) bool { return at == &noon || at == &earlier }

// unsettled tells whether something has to happen with a thing, now or once its
// quiet time is over or the marker was read.
func (f facts) unsettled(name ThingName) bool {
	phase, _ := f.thing(name)
	switch {
	case f.kind == AppIdentity && name != TheClient:
		return false
	case f.wish == Unwanted:
		return name != TheSecret && phase != Absent && phase != Gone
	case name == TheClient:
		return f.clientUnsettled()
	case name == TheConnection:
		return f.connectionUnsettled()
	default:
		return f.client == Present && !f.isHeld() && f.secretUnsettled()
	}
}

func (f facts) clientUnsettled() bool {
	switch f.client {
	case Present, Strange:
		return false
	case Doubted:
		return !f.isHeld()
	case Lost: // of an app, or with its connection: perhaps removed after our backup was taken
		return !f.isHeld() && f.kind == AirflowIdentity && f.asTheRowSays()
	default:
		return true
	}
}

func (f facts) connectionUnsettled() bool {
	switch f.connection {
	case Present, Strange:
		return false
	case Outdated:
		return !f.isHeld() && !f.restored // what the row knows is of before the restore
	case Changing, Doubted:
		return !f.isHeld()
	case Lost:
		return !f.isHeld() && f.client == Present
	default:
		return true // the first make is what somebody asked for
	}
}

func (f facts) secretUnsettled() bool {
	switch f.secret {
	case Creating, Crowded, Unproven:
		return true // a read tells
	case Removing: // tokens tell too; but where the older is not known, only retiring again does
		return f.old || f.asTheRowSays()
	case Missing, Stray, Changing, Dropping:
		return f.asTheRowSays()
	case Single:
		return f.urgent == mended || f.addDue() && !f.frozen() && f.asTheRowSays()
	default: // Present
		return !f.candidate && f.published && f.dropDue() && !f.frozen() && f.asTheRowSays()
	}
}

// reading are the acts that change nothing.
var reading = map[Act]bool{Look: true, Check: true, Verify: true, Sort: true, Confirm: true}

// identical tells whether an act repeats the very request that may be under way.
func identical(act Act, phase Phase) bool {
	switch act {
	case Make:
		return phase == Missing
	case Set, Reset:
		return phase == Changing
	case Take:
		return phase == Removing
	default:
		return false
	}
}

func checkDecision(t *testing.T, f facts, v View, d decision) {
	t.Helper()
	var acts [3]Act
	for _, s := range d.steps {
		n := numbered[s.Thing]
		if acts[n] != "" {
			t.Errorf("%+v: two steps for the %s at once", f, s.Thing)
		}
		acts[n] = s.Act
		if s.Reason == "" {
			t.Errorf("%+v: step %s %s has no reason", f, s.Act, s.Thing)
		}
		if s.before != v.thing(s.Thing) {
			t.Errorf("%+v: step %s remembers %+v, want %+v", f, s.Thing, s.before, v.thing(s.Thing))
		}
		if problem := f.forbids(s); problem != "" {
			t.Errorf("%+v: %s %s for %q: %s", f, s.Act, s.Thing, s.Reason, problem)
		}
	}
	if acts[numbered[TheSecret]] != "" && acts[numbered[TheClient]] != "" {
		t.Errorf("%+v: the secret and the client at once", f)
	}
	f.checkProgress(t, d, acts)
}

var numbered = map[ThingName]int{TheClient: 0, TheConnection: 1, TheSecret: 2}

// checkProgress: nothing that must happen is forgotten, nothing else happens, and
// the wait is that for the first quiet time to end.
func (f facts) checkProgress(t *testing.T, d decision, acts [3]Act) {
	t.Helper()
	var (
		wait   time.Duration
		marker bool
	)
	for thing, n := range numbered {
		phase, quiet := f.thing(thing)
		switch unsettled := f.unsettled(thing); {
		case unsettled && acts[n] == "" && quiet > 0 && (thing != TheSecret || phase != Changing):
			if wait == 0 || quiet < wait {
				wait = quiet
			}
		case unsettled && acts[n] == "" && !f.seen && thing != TheConnection:
			marker = true
		case unsettled && acts[n] == "":
			t.Errorf("%+v: nothing happens with the %s", f, thing)
		}
	}
	if d.wait != wait {
		t.Errorf("%+v: waits %s, want %s", f, d.wait, wait)
	}
	for thing, n := range numbered {
		reason := reasonOf(d, thing)
		if acts[n] != "" && !f.unsettled(thing) && (reason != ReasonMarkerFirst || !marker) {
			t.Errorf("%+v: %s the %s although nothing is to be done", f, acts[n], thing)
		}
	}
	if marker && acts[numbered[TheConnection]] == "" {
		t.Errorf("%+v: something waits for the marker, and nobody reads it", f)
	}
}

func reasonOf(d decision, thing ThingName) Reason {
	for _, s := range d.steps {
		if s.Thing == thing {
			return s.Reason
		}
	}
	return ""
}

// forbids says what a step breaks; "" if nothing.
func (f facts) forbids(s Step) string {
	phase, quiet := f.thing(s.Thing)
	switch {
	case f.wish == Unwanted && s.Act != Take:
		return "nobody wants the identity"
	case f.wish == Wanted && s.Act == Take:
		return "somebody wants the identity"
	case f.kind == AppIdentity && s.Thing != TheClient:
		return "a client of an app has none"
	case quiet > 0 && !reading[s.Act] && !identical(s.Act, phase):
		return "within the quiet time, and it is not the request that may be under way"
	case f.wish == Wanted && f.isHeld() && !f.askedFor(s):
		return "nothing unasked while it is held"
	}
	switch s.Thing {
	case TheClient:
		return f.forbidsClient(s.Act)
	case TheConnection:
		return f.forbidsConnection(s.Act)
	default:
		return f.forbidsSecret(s.Act)
	}
}

// askedFor tells what goes on while an identity is held: what somebody waits for,
// and what takes rights away.
func (f facts) askedFor(s Step) bool {
	return s.Act == Make || s.Act == Look || s.Thing == TheClient && s.Act == Set
}

func (f facts) forbidsClient(act Act) string {
	switch {
	case act == Make && f.client != Absent && f.client != Missing:
		return "it may be there"
	case act == Set && f.client != Outdated && f.client != Changing:
		return "it is not outdated"
	case act == Check && f.client != Doubted:
		return "nobody doubts it"
	case act == Restore && (f.client != Lost || f.kind == AppIdentity):
		return "it is not lost, or not ours to make again"
	case act == Restore && !f.asTheRowSays():
		return "the connection is not there as the row says"
	case act == Restore && !f.seen:
		return "the marker was not read"
	}
	return ""
}

func (f facts) forbidsConnection(act Act) string {
	switch {
	case act == Make && f.connection != Absent && f.connection != Missing:
		return "it may be there"
	case act == Set && f.connection != Outdated && f.connection != Changing:
		return "it is not outdated"
	case act == Set && f.restored && f.connection == Outdated:
		return "what the row would write is older than what is there"
	case act == Restore && (f.connection != Lost || f.client != Present):
		return "it is not lost, or its client is not there"
	case act == Check && f.connection != Doubted && f.seen:
		return "it was read under this lease"
	}
	return ""
}

func (f facts) forbidsSecret(act Act) string {
	switch {
	case f.client != Present:
		return "the client comes first"
	case reading[act]:
		return ""
	case act == Revoke && (f.urgent != mended || f.secret != Single):
		return "tokens go last, and only after a leak"
	case act == Revoke:
		return ""
	case !f.seen:
		return "the marker was not read"
	case !f.asTheRowSays():
		return "the connection is not as the row says"
	case act == Add && f.secret == Single && !f.addDue():
		return "its time has not come"
	case act == Add && f.secret == Single && f.frozen():
		return "a freeze holds it"
	case act == Add && f.secret != Single && f.secret != Missing:
		return "there may be two"
	case act == Drop && f.secret != Dropping && (f.secret != Stray || !f.restored):
		return "the older may be the one that Airflow has"
	case act == Reset && f.secret != Changing && (f.secret != Stray || f.restored):
		return "the one of the row may not be the one that Airflow has"
	case act == Retire:
		return f.forbidsRetire()
	}
	return ""
}

func (f facts) forbidsRetire() string {
	switch {
	case f.secret == Removing && !f.old:
		return "" // it was due when it was first sent
	case f.secret != Present:
		return "the newer one is not proven"
	case f.candidate || !f.published:
		return "the newer one is not published"
	case !f.dropDue():
		return "tasks may hold the older one"
	case f.frozen():
		return "a freeze holds it"
	}
	return ""
}

// TestTableNamesEveryCase: each phase that can be has lines of which the last asks
// for nothing more, so that no view falls through; and none after it.
func TestTableNamesEveryCase(t *testing.T) {
	t.Parallel()
	for _, wish := range []Wish{Wanted, Unwanted} {
		for _, thing := range []ThingName{TheClient, TheConnection, TheSecret} {
			of := phases
			if thing == TheSecret {
				of = secretPhases
			}
			known := map[Phase]bool{}
			for _, phase := range of {
				known[phase] = true
				conditional, unconditional := 0, 0
				for _, l := range table[wish][thing] {
					switch {
					case l.phase != phase:
					case unconditional > 0:
						t.Errorf("%s %s, %s: %q for %q comes after a line that always holds", wish, thing, phase, l.act, l.reason)
					case l.when == nil:
						unconditional++
					default:
						conditional++
					}
				}
				// Ended is final, so a take is only ever intended after it; and a
				// client that goes takes its secrets with it.
				never := wish == Wanted && thing != TheSecret && phase.ending() || wish == Unwanted && thing == TheSecret
				if never && conditional+unconditional > 0 || !never && unconditional != 1 {
					t.Errorf("%s %s, %s: %d lines with a condition and %d without", wish, thing, phase, conditional, unconditional)
				}
			}
			for _, l := range table[wish][thing] {
				if !known[l.phase] || l.reason == "" {
					t.Errorf("%s %s: the line %s, %q for %q has no such phase or no reason", wish, thing, l.phase, l.act, l.reason)
				}
				if _, callable := calls[thing][l.act]; l.act != "" && !callable {
					t.Errorf("%s %s: no call is known for %s", wish, thing, l.act)
				}
			}
		}
	}
}
