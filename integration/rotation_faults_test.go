package integration

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/store"
)

// rotationCall is one call of a rotation.
type rotationCall struct {
	remoteCall
	skip int // how many calls of the same kind, of the same identity, come before
	// before is the harm without which this call is never made; nil: it always is.
	before *rotationCall
	// retires: it comes when the soak is over, if there is one, and is harmed from then on.
	retires bool
}

// The calls by their kind. A GET's name is what makes it be harmed as often as Go's
// client repeats it.
var (
	markerRead   = remoteCall{name: "read marker", system: "airflow", call: "GET /api/v2/connections/", probe: "GET /api/v2/connections/"}
	secretAdd    = remoteCall{name: "add", system: "uaa", call: "PUT /oauth/clients/", match: uaa.ChangesSecret(uaa.ModeAdd), probe: "POST /oauth/token", probeMatch: ofAnIdentity}
	secretProbe  = remoteCall{name: "token", system: "uaa", call: "POST /oauth/token", match: ofAnIdentity, probe: "POST /oauth/token", probeMatch: ofAnIdentity}
	patch        = remoteCall{name: "patch", system: "airflow", call: "PATCH /api/v2/connections/", probe: "PATCH /api/v2/connections/"}
	secretDrop   = remoteCall{name: "drop", system: "uaa", call: "PUT /oauth/clients/", match: uaa.ChangesSecret(uaa.ModeDelete), probe: "POST /oauth/token", probeMatch: ofAnIdentity}
	tokensRevoke = remoteCall{name: "read marker", system: "uaa", call: "GET /oauth/token/revoke/client/", probe: "GET /oauth/token/revoke/client/"}
)

// named gives a call the name that its cells have.
type namedCall struct {
	name string
	rotationCall
}

var (
	markerBeforeAdd    = namedCall{"marker before add", rotationCall{remoteCall: markerRead}}
	add                = namedCall{"add", rotationCall{remoteCall: secretAdd}}
	verify             = namedCall{"verify", rotationCall{remoteCall: secretProbe}}
	markerBeforePatch  = namedCall{"marker before patch", rotationCall{remoteCall: markerRead, skip: 1}}
	publish            = namedCall{"patch", rotationCall{remoteCall: patch}}
	markerBeforeRetire = namedCall{"marker before retire", rotationCall{remoteCall: markerRead, retires: true}}
	retire             = namedCall{"retire", rotationCall{remoteCall: secretDrop, retires: true}}
	confirmOld         = namedCall{"confirm: the former is refused", rotationCall{remoteCall: secretProbe, before: &retire.rotationCall, retires: true}}
	confirmNew         = namedCall{"confirm: the newer is granted", rotationCall{remoteCall: secretProbe, skip: 1, before: &retire.rotationCall, retires: true}}
	revoke             = namedCall{"revoke tokens", rotationCall{remoteCall: tokensRevoke}}
)

// rotationCalls are those of an order, in their order. In a `rotate --now` no marker
// is read before the retire: it was read under the same lease.
func rotationCalls(o order) []namedCall {
	switch {
	case o.soaking:
		again := retire
		again.name, again.skip = "retire again", 1
		return []namedCall{markerBeforeRetire, retire, confirmOld, confirmNew, add, verify, markerBeforePatch, publish, again, revoke}
	case o.now:
		old, newer := confirmOld, confirmNew
		old.skip, newer.skip = 1, 2 // the verify comes first
		return []namedCall{markerBeforeAdd, add, verify, markerBeforePatch, publish, retire, old, newer, revoke}
	default:
		return []namedCall{markerBeforeAdd, add, verify, markerBeforePatch, publish, markerBeforeRetire, retire, confirmOld, confirmNew}
	}
}

// of is the call as it is made for one identity.
func (c rotationCall) of(s *subject) remoteCall {
	came := 0 // under the lock of the rules, which are one system's
	call, match, probe := c.remoteCall, c.match, c.probeMatch
	call.match = func(r *http.Request, body []byte) bool {
		if !s.about(r, body) || match != nil && !match(r, body) {
			return false
		}
		came++
		return came > c.skip
	}
	call.probeMatch = func(r *http.Request, body []byte) bool {
		return came > c.skip && s.about(r, body) && (probe == nil || probe(r, body))
	}
	return call
}

// harm puts a harm on a call of an identity, at once or from the end of the soak on. It
// gives what fails the test unless the harm was done.
func (r *rotating) harm(o order, c rotationCall, s *subject, h harm) (done func(*testing.T)) {
	var hits atomic.Int32
	arm := func() {
		if c.before != nil {
			before := c.before.of(s)
			harms[2].add(before, r.prod().faults(before.system), r.options.timeout) // acted but reply lost
		}
		h.add(c.of(s).noticed(func() { hits.Add(1) }), r.prod().faults(c.system), r.options.timeout)
	}
	if c.retires && !o.now {
		r.soaked = append(r.soaked, arm)
	} else {
		arm()
	}
	return func(t *testing.T) {
		if hits.Load() == 0 {
			t.Errorf("no %s was harmed", c.name)
		}
	}
}

// noticed calls something whenever the call is met, with the rules locked.
func (c remoteCall) noticed(met func()) remoteCall {
	match := c.match
	c.match = func(r *http.Request, body []byte) bool {
		matched := match(r, body)
		if matched {
			met()
		}
		return matched
	}
	return c
}

// rotationOptions: a time-out of 400 ms makes a quiet time of 800 ms.
var rotationOptions = options{timeout: 400 * time.Millisecond}

// rotationCells counts the cells of the table, for the log.
type rotationCells struct{ inPlace, takenOver, twice, logins, orders atomic.Int32 }

// TestRotationThatGoesWrong puts every harm on every remote call of a rotation. One
// world holds all cells of a call; its clients try, before each request that arrives,
// what they have read from Airflow.
func TestRotationThatGoesWrong(t *testing.T) {
	t.Parallel()
	var cells rotationCells
	t.Run("cells", func(t *testing.T) {
		for _, o := range twoOrders { // first, since they take longest
			t.Run(o.name+"/harmed logins", func(t *testing.T) {
				t.Parallel()
				cells.logins.Add(int32(harmedLogins(t, o)))
			})
			t.Run(o.name+"/dying at logins", func(t *testing.T) {
				t.Parallel()
				cells.logins.Add(int32(dyingLogins(t, o)))
			})
		}
		for _, o := range append(twoOrders, nowInASoak) {
			for some := range slices.Chunk(rotationCalls(o), callsPerWorld) {
				t.Run(o.name+"/in place/"+some[0].name+" and on", func(t *testing.T) {
					t.Parallel()
					cells.inPlace.Add(int32(harmedRotation(t, o, some)))
				})
			}
		}
		for _, o := range twoOrders {
			for _, c := range rotationCalls(o) {
				t.Run(o.name+"/another takes over/"+c.name, func(t *testing.T) {
					t.Parallel()
					cells.takenOver.Add(int32(len(deaths)))
					abandonedRotation(t, o, c)
				})
			}
		}
		for some := range slices.Chunk(pairsOfHarms(), pairsPerWorld) {
			t.Run("two in a row/"+some[0].first.name+", "+some[0].second.name+" and on", func(t *testing.T) {
				t.Parallel()
				cells.twice.Add(int32(len(some)))
				harmedTwice(t, some)
			})
		}
		for _, retires := range []bool{false, true} {
			t.Run(fmt.Sprintf("rotate --now in the middle/soaked %t", retires), func(t *testing.T) {
				t.Parallel()
				cells.orders.Add(int32(orderedInTheMiddle(t, retires)))
			})
		}
	})
	t.Logf("cells: %d in place, %d taken over, %d with two harms, %d at logins, %d with an order in the middle: %d in all",
		cells.inPlace.Load(), cells.takenOver.Load(), cells.twice.Load(), cells.logins.Load(), cells.orders.Load(),
		cells.inPlace.Load()+cells.takenOver.Load()+cells.twice.Load()+cells.logins.Load()+cells.orders.Load())
}

// callsPerWorld is for how many calls the cells share a world.
const callsPerWorld = 3

func harmedRotation(t *testing.T, o order, calls []namedCall) (cells int) {
	var names []string
	for _, c := range calls {
		for _, h := range harms {
			names = append(names, c.name+"/"+h.name)
		}
	}
	r := newRotating(t, rotationOptions, names...)
	generation := 1
	if o.soaking {
		// What is harmed is the rotation that was asked for, and the retire before it.
		r.advance(rotationTime)
		generation++
		r.await("published", sqlNotPublished, generation)
	}
	var done []func(*testing.T)
	for i, s := range r.subjects {
		done = append(done, r.harm(o, calls[i/len(harms)].rotationCall, s, harms[i%len(harms)]))
	}
	generation = r.rotate(o, generation)
	for i, s := range r.subjects {
		t.Run(s.name, done[i])
	}
	r.verdict(t, generation-1)
	r.ends()
	return len(names)
}

// death is what becomes of a call whose caller dies. That it is refused, or that a
// gateway answers, is for whoever takes over the same as that it never acts.
type death struct {
	name string
	// after: it dies once the call has acted; else when the call has arrived.
	after bool
	fault func(timeout time.Duration) standin.Fault
	// probed: the call acts when whoever took over has asked whether it did.
	probed bool
}

var deaths = []death{
	{name: "never acts", fault: func(time.Duration) standin.Fault { return standin.Fault{Kind: standin.LoseBefore} }},
	{name: "acts when nobody is left", fault: func(time.Duration) standin.Fault { return standin.Fault{Kind: standin.Notice} }},
	{name: "acted, reply lost", after: true, fault: func(time.Duration) standin.Fault { return standin.Fault{Kind: standin.LoseAfter} }},
	{name: "acts past the time-out", fault: func(timeout time.Duration) standin.Fault {
		return standin.Fault{Kind: standin.Slow, Delay: timeout * 18 / 10}
	}},
	{name: "acts after the successor's probe", probed: true, fault: func(time.Duration) standin.Fault { return standin.Fault{Kind: standin.Slow} }},
}

// mortalOptions: a lease of 1.5 s and a quiet time of 1 s.
var mortalOptions = options{timeout: 500 * time.Millisecond, leaseGrace: time.Second}

// abandonedRotation lets all identities come to the same call, kills the broker, and
// lets each call end in its own way. Another takes over.
func abandonedRotation(t *testing.T, o order, c namedCall) {
	var names []string
	for _, d := range deaths {
		names = append(names, d.name)
	}
	r := newRotating(t, mortalOptions, names...)
	gate := newGathering(len(deaths), r.die)
	for i, s := range r.subjects {
		arm := func() { r.dying(c.rotationCall, s, deaths[i], sync.OnceFunc(gate.arrive)) }
		if c.retires && !o.now {
			r.soaked = append(r.soaked, arm)
		} else {
			arm()
		}
	}
	generation := r.rotate(o, 1)
	if !gate.happened() {
		t.Errorf("nobody died at %s: %d came", c.name, gate.came())
	}
	r.verdict(t, generation-1)
	r.ends()
}

// dying has the broker die at a call of an identity.
func (r *rotating) dying(c rotationCall, s *subject, d death, arrive func()) {
	faults := r.prod().faults(c.system)
	if c.before != nil {
		harms[2].add(c.before.of(s), faults, r.options.timeout)
	}
	call, fault := c.of(s), d.fault(r.options.timeout)
	if d.after {
		fault.After = arrive
	} else {
		fault.Before = arrive
	}
	if fault.Kind == standin.LoseBefore || fault.Kind == standin.LoseAfter {
		fault.Times = call.times()
	}
	if !d.probed {
		faults.Add(call.rule(fault))
		return
	}
	release := make(chan struct{})
	fault.Release = release
	faults.Add(call.rule(fault), standin.Fault{Call: call.probe, Match: call.probeMatch, Kind: standin.Notice, After: sync.OnceFunc(func() { close(release) })})
}

// gathering is a place where requests wait for each other.
type gathering struct {
	mu     sync.Mutex
	want   int
	n      int
	act    func()
	opened chan struct{}
}

func newGathering(want int, act func()) *gathering {
	return &gathering{want: want, act: act, opened: make(chan struct{})}
}

// arrive waits for the others. The last one acts before all go on.
func (g *gathering) arrive() {
	g.mu.Lock()
	g.n++
	last := g.n == g.want
	g.mu.Unlock()
	if last {
		g.act()
		close(g.opened)
		return
	}
	select {
	case <-g.opened:
	case <-time.After(settleWithin): // the test says so
	}
}

func (g *gathering) came() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

func (g *gathering) happened() bool { return g.came() >= g.want }

// logins are both: Airflow's before the marker is read, UAA's before the add.
var logins = []remoteCall{bindCalls[3], bindCalls[1]}

// loginOptions: a lease of 1.4 s.
var loginOptions = options{timeout: 400 * time.Millisecond, leaseGrace: time.Second}

// harmedLogins puts every harm on both logins, in one rotation after another, each by a
// broker that has no tokens yet. It gives the number of cells.
func harmedLogins(t *testing.T, o order) int {
	r := newRotating(t, rotationOptions, "logins")
	generation := 1
	for _, h := range harms {
		r.renewed()
		var before []int
		for _, c := range logins {
			faults := r.prod().faults(c.system)
			before = append(before, faults.Hits())
			h.add(c, faults, r.options.timeout)
		}
		generation = r.rotate(o, generation)
		for i, c := range logins {
			if r.prod().faults(c.system).Hits() == before[i] {
				t.Errorf("%s: no %s was harmed", h.name, c.name)
			}
		}
	}
	r.verdict(t, generation-1)
	r.ends()
	return len(harms) * len(logins)
}

// dyingLogins has the broker die at each login. It gives the number of cells.
func dyingLogins(t *testing.T, o order) int {
	r := newRotating(t, loginOptions, "logins")
	generation, dead := 1, 0
	for _, c := range logins {
		for _, d := range deaths[:3] { // a login that acts late changes nothing
			r.renewed()
			fault := d.fault(r.options.timeout)
			die := sync.OnceFunc(r.die)
			if d.after {
				fault.After = die
			} else {
				fault.Before = die
			}
			r.prod().faults(c.system).Add(c.rule(fault))
			generation = r.rotate(o, generation)
			if dead++; int(r.deaths.Load()) != dead {
				t.Fatalf("%s: nobody died at %s", d.name, c.name)
			}
		}
	}
	r.verdict(t, generation-1)
	r.ends()
	return dead
}

// renewed has another broker go on, that has no tokens yet.
func (r *rotating) renewed() {
	r.by.stop()
	r.by = r.next()
}

// pair is two calls that go wrong in one rotation.
type pair struct {
	first, second         namedCall
	firstHarm, secondHarm harm
}

// pairsPerWorld is how many cells share a world.
const pairsPerWorld = 22

// pairsOfHarms are all pairs of calls, each lost before it acted or acted with its
// reply lost.
func pairsOfHarms() []pair {
	calls := []namedCall{markerBeforeAdd, add, verify, markerBeforePatch, publish, markerBeforeRetire, retire}
	var pairs []pair
	lost := harms[1:3]
	for i, first := range calls {
		for _, second := range calls[i+1:] {
			for _, a := range lost {
				for _, b := range lost {
					pairs = append(pairs, pair{first, second, a, b})
				}
			}
		}
	}
	confirm := confirmOld
	confirm.before = nil
	for _, a := range lost {
		for _, b := range lost {
			pairs = append(pairs, pair{retire, confirm, a, b}) // the second is made only since the first goes wrong
		}
	}
	return pairs
}

func harmedTwice(t *testing.T, pairs []pair) {
	var names []string
	for _, p := range pairs {
		names = append(names, fmt.Sprintf("%s %s, %s %s", p.first.name, p.firstHarm.name, p.second.name, p.secondHarm.name))
	}
	r := newRotating(t, rotationOptions, names...)
	var done []func(*testing.T)
	for i, p := range pairs {
		s := r.subjects[i]
		done = append(done, r.harm(whenDue, p.first.rotationCall, s, p.firstHarm), r.harm(whenDue, p.second.rotationCall, s, p.secondHarm))
	}
	generation := r.rotate(whenDue, 1)
	for i, d := range done {
		t.Run(names[i/2], d)
	}
	r.verdict(t, generation-1)
	r.ends()
}

// orderedInTheMiddle asks for `rotate --now` as soon as a call of an ordinary rotation
// goes wrong. retires: one of those after the soak. It gives the number of cells.
func orderedInTheMiddle(t *testing.T, retires bool) int {
	type cell struct {
		call namedCall
		harm harm
	}
	var cells []cell
	var names []string
	for _, c := range rotationCalls(whenDue) {
		if c.retires == retires && c.before == nil {
			for _, h := range harms[1:5] {
				cells, names = append(cells, cell{c, h}), append(names, c.name+"/"+h.name)
			}
		}
	}
	r := newRotating(t, rotationOptions, names...)
	asked := make(chan error, len(cells))
	for i, s := range r.subjects {
		c := cells[i].call.rotationCall
		order := sync.OnceFunc(func() {
			s.mu.Lock()
			s.leaked = true
			s.mu.Unlock()
			asked <- r.ask(store.Selection{Identity: s.id}, true)
		})
		arm := func() {
			cells[i].harm.add(c.of(s).noticed(func() { go order() }), r.prod().faults(c.system), r.options.timeout)
		}
		if retires {
			r.soaked = append(r.soaked, arm)
		} else {
			arm()
		}
	}
	r.advance(rotationTime)
	if retires {
		r.await("published", sqlNotPublished, 2)
		r.soakEnds()
	}
	for range cells {
		select {
		case err := <-asked:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(settleWithin):
			t.Fatal("a call was not harmed")
		}
	}
	r.await("retired", `SELECT count(*) FROM identity WHERE rotate_above > 0 OR urgent OR generation < $1 OR overlap_phase <> 'single' OR lease_until > clock_timestamp()`, 2)
	for _, s := range r.subjects {
		t.Run(s.name, func(t *testing.T) {
			if n := s.formerAccepted(r.world); n != 0 {
				t.Errorf("UAA accepts %d former secrets, want none", n)
			}
			changes := r.prod().uaa.SecretChanges()[s.client()]
			if changes[uaa.ModeAdd] != changes[uaa.ModeDelete] || changes[uaa.ModeUpdate] != 0 {
				t.Errorf("the secrets of the client were changed so: %v, want as many deletes as adds", changes)
			}
			if n := r.prod().uaa.Revocations()[s.client()]; n == 0 {
				t.Error("its tokens were not revoked")
			}
			for _, problem := range s.failed {
				t.Error(problem)
			}
		})
	}
	r.ends()
	return len(cells)
}

// TestHashesOfARotation counts what UAA hashes for a rotation of which nothing goes
// wrong.
func TestHashesOfARotation(t *testing.T) {
	t.Parallel()
	r := newRotating(t, rotationOptions, "one")
	generation := 1
	for _, o := range twoOrders {
		before := r.prod().uaa.Hashes()
		if o.now {
			generation = r.rotate(o, generation)
		} else {
			r.advance(rotationTime)
			generation++
			r.await("published", sqlNotPublished, generation)
			r.soakEnds()
			r.await("retired", sqlNotRetired, generation)
		}
		hashes := r.prod().uaa.Hashes() - before
		t.Logf("%s: %d hashes", o.name, hashes)
		if hashes > 3 {
			t.Errorf("%s: UAA hashed %d times, want 3 at most", o.name, hashes)
		}
	}
	r.verdict(t, generation-1)
	r.ends()
}

// TestInVainIsLessAndLessOften: an Airflow that does not take a publish is asked at
// 100 ms, 300 ms, 700 ms, 1.5 s, 3.1 s.
func TestInVainIsLessAndLessOften(t *testing.T) {
	t.Parallel()
	r := newRotating(t, options{timeout: time.Second}, "one")
	var asked atomic.Int32
	r.prod().airflow.Faults.Add(standin.Fault{
		Call: patch.call, Kind: standin.Answer, Status: http.StatusServiceUnavailable, Times: 1 << 30, Before: func() { asked.Add(1) },
	})
	r.advance(rotationTime)
	if !eventually(settleWithin, func() bool { return asked.Load() > 0 }) {
		t.Fatal("nothing was published")
	}
	time.Sleep(3 * time.Second) // what does not happen cannot be waited for
	if n := asked.Load(); n > 7 {
		t.Errorf("Airflow refused a publish %d times in 3 s, want 6 at most", n)
	}
	r.prod().airflow.Faults.Clear()
	r.await("published", sqlNotPublished, 2)
	r.ends()
}

// TestAddThatIsLostToAnother: of two changes that overlap, UAA answers both and loses
// one. Only a token with the newer secret proves that it is there.
func TestAddThatIsLostToAnother(t *testing.T) {
	t.Parallel()
	r := newRotating(t, rotationOptions, whenDue.name)
	for _, o := range twoOrders {
		r.prod().uaa.Faults.Add(secretAdd.rule(standin.Fault{
			Kind: standin.Answer, Status: http.StatusOK, Body: `{"status":"ok","message":"Secret is added"}`, Header: http.Header{"Content-Type": {"application/json"}},
		}))
		r.rotate(o, 1+r.prod().uaa.SecretChanges()[r.subjects[0].client()][uaa.ModeDelete])
	}
	r.verdict(t, 2)
	r.ends()
}

// TestUAALosesTheNewer restores UAA, in the soak, to before the add: it has one secret
// only, and it is not the one that Airflow has.
func TestUAALosesTheNewer(t *testing.T) {
	t.Parallel()
	r := newRotating(t, rotationOptions, "one")
	former, _ := r.prod().airflow.Connection(r.subjects[0].connection)
	r.advance(rotationTime)
	r.await("published", sqlNotPublished, 2)
	r.watching.Store(false) // UAA refuses what Airflow has until somebody looks
	if _, err := r.prod().uaa.SetSecrets(r.subjects[0].client(), former.Password); err != nil {
		t.Fatal(err)
	}
	r.advance(r.soak + r.options.timeout + time.Second)
	// It is added again, and that is not another rotation.
	if !eventually(settleWithin, func() bool {
		published, _ := r.prod().airflow.Connection(r.subjects[0].connection)
		return r.prod().uaa.Accepts(r.subjects[0].client(), published.Password) && !r.prod().uaa.Accepts(r.subjects[0].client(), former.Password)
	}) {
		t.Errorf("UAA does not have Airflow's secret alone: %s", r.rows())
	}
	r.ends()
}

// TestNothingIsResetAfterARestore restores the database to before a rotation: the secret
// of the row is refused, and that is no reason to make it the only one.
func TestNothingIsResetAfterARestore(t *testing.T) {
	t.Parallel()
	r := newRotating(t, rotationOptions, "one")
	var sealed []byte
	if err := r.pool.QueryRow(t.Context(), `SELECT secret FROM identity`).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	r.rotate(whenDue, 1)
	if _, err := r.pool.Exec(t.Context(), `UPDATE identity SET secret = $1, generation = 1, published_generation = 1,
		client_phase = 'doubted', due_at = $2, lane = 2`, sealed, r.now()); err != nil {
		t.Fatal(err)
	}
	held := false
	if !eventually(settleWithin, func() bool {
		return r.pool.QueryRow(t.Context(), `SELECT held_at IS NOT NULL AND lease_until <= clock_timestamp() FROM identity`).Scan(&held) == nil && held
	}) {
		t.Errorf("an identity whose row is of before a restore is not held: %s", r.rows())
	}
	r.lookAll()
	r.verdict(t, 1)
}

// TestRetireThatActsLate: a retire that is given up acts as late as it may, or as soon as
// the next secret was added, whichever comes first. Without quiet it would then take
// away the one that Airflow has.
func TestRetireThatActsLate(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name    string
		options options
		dies    bool
	}{{"in place", rotationOptions, false}, {"another takes over", mortalOptions, true}} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			r := newRotating(t, mode.options, nowInASoak.name)
			r.advance(rotationTime)
			r.await("published", sqlNotPublished, 2)
			s, timeout := r.subjects[0], mode.options.timeout
			release := make(chan struct{})
			act := sync.OnceFunc(func() { close(release) })
			// Quiet lasts two time-outs from when it is given up, or from the end of the
			// lease, which is grace and one time-out.
			late := timeout * 18 / 10
			if mode.dies {
				late = mode.options.leaseGrace + timeout*5/2
			}
			r.prod().uaa.Faults.Add(
				secretDrop.about(s).rule(standin.Fault{Kind: standin.Slow, Release: release, Before: func() {
					time.AfterFunc(late, act)
					if mode.dies {
						r.die()
					}
				}}),
				secretAdd.about(s).rule(standin.Fault{Kind: standin.Notice, After: act}))
			generation := r.rotate(nowInASoak, 2)
			r.verdict(t, generation-1)
			r.ends()
		})
	}
}

func (c remoteCall) about(s *subject) remoteCall { return rotationCall{remoteCall: c}.of(s) }
