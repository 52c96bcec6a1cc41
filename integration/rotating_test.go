package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/audit"
	"airflow-identity/catalog"
	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/store"
)

// soak is how long a former secret is good in these worlds. It is less than half the
// product's period, so that a soak ends long before anything rotates again.
const soak = 30 * time.Minute

// rotationTime is after how long every identity is due, wherever its place is.
const rotationTime = catalog.DefaultRotationPeriod + time.Second

// rotating is a world in which secrets are replaced, under the eyes of clients that
// keep each secret that Airflow ever had for as long as they may.
type rotating struct {
	*world
	subjects []*subject
	// by is the broker that rotates; database, what its connections to Postgres go
	// through if it may die.
	by       *process
	database *commits
	died     atomic.Bool
	face     *platform // that of whoever is there in the end
	soak     time.Duration
	// soaked is what is done before the soak ends.
	soaked []func()
	// watching is false while identities come and go.
	watching atomic.Bool
}

// subject is one identity, and most often one cell of a table.
type subject struct {
	name                string
	binding, connection string
	id                  identity.ID
	soak                time.Duration

	mu     sync.Mutex
	read   map[string]time.Time // each secret that Airflow had, and when it was last read there, by the engines' clock
	leaked bool                 // somebody asked for an end of it at once: only the one in Airflow counts
	failed []string
	// accepted is what UAA would say of secrets, as long as nothing is changed there: to
	// ask costs a hash, which is slow under the race detector.
	accepted map[string]bool
	changes  int
}

func (s *subject) client() string { return string(s.id.ClientID()) }

// newRotating binds an identity for each name. All are whole, and rotate in time.
func newRotating(t *testing.T, o options, names ...string) *rotating {
	t.Helper()
	o.rotation = catalog.Rotation{Soak: soak}
	r := &rotating{world: newWorld(t, o), soak: soak}
	// Patient, since what it does is not what is tested.
	ordinary := r.options
	r.options.timeout, r.options.budget = 10*time.Second, 40*time.Second
	first := r.broker()
	r.options = ordinary
	r.bindAll(first.platform, names...)
	first.stop()
	r.by = r.next()
	return r
}

// next is one more broker. One that may die has short leases, and its connections to
// Postgres can be cut.
func (r *rotating) next() *process {
	r.t.Helper()
	if r.options.leaseGrace > 0 {
		return r.mortal()
	}
	p := r.broker()
	r.face = p.platform
	return p
}

// bindAll makes the subjects and begins to watch.
func (r *rotating) bindAll(p *platform, names ...string) {
	t := r.t
	t.Helper()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	for n, name := range names {
		r.subjects = append(r.subjects, &subject{
			name: name, binding: fmt.Sprintf("b%03d", n), connection: fmt.Sprintf("orders_%03d", n), soak: r.soak, read: map[string]time.Time{},
		})
	}
	_, answers := atOnce(len(names), func(i int) answer {
		return p.bind("i1", r.subjects[i].binding, "app-"+r.subjects[i].binding, object{"connection_id": r.subjects[i].connection})
	})
	for i, s := range r.subjects {
		want(t, answers[i], http.StatusCreated, "bind")
		if err := r.pool.QueryRow(t.Context(), `SELECT id FROM identity WHERE connection = $1`, s.connection).Scan(&s.id); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range r.subjects {
				t.Logf("binding %s, identity %s: %s", s.binding, s.id, s.name)
			}
		}
	})
	// Rules that only listen, before all others: whatever is asked next, what was
	// asked before has been done by then.
	r.prod().uaa.Faults.Add(standin.Fault{Match: r.look})
	r.prod().airflow.Faults.Add(standin.Fault{Match: r.look})
	r.lookAll()
	r.watching.Store(true)
}

// mortal is a broker that can die: nothing more of it reaches Postgres then.
func (r *rotating) mortal() *process {
	r.t.Helper()
	database, through := newCommits(r.t, r.url)
	direct := r.url
	r.url = through
	p := r.broker()
	r.url = direct
	r.database, r.face = database, p.platform
	r.died.Store(false)
	return p
}

// die abandons what the broker has under way, as a process that is killed does.
func (r *rotating) die() {
	r.deaths.Add(1)
	r.database.close()
	r.by.stop()
	r.died.Store(true)
}

// about tells whether a request is about an identity or its connection.
func (s *subject) about(r *http.Request, body []byte) bool {
	return strings.Contains(r.URL.Path, string(s.id)) || strings.Contains(r.URL.Path, s.connection) || bytes.Contains(body, []byte(s.id))
}

func (r *rotating) look(request *http.Request, body []byte) bool {
	if r.watching.Load() {
		for _, s := range r.subjects {
			if s.about(request, body) {
				s.look(r.world)
			}
		}
	}
	return false
}

func (r *rotating) lookAll() {
	for _, s := range r.subjects {
		s.look(r.world)
	}
}

// look reads what Airflow has, and tries every secret that a task may hold. As long
// as it looks, no request about it begins.
func (s *subject) look(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connection, found := w.prod().airflow.Connection(s.connection)
	if !found {
		s.failed = append(s.failed, "invariant 9: the connection is gone")
		return
	}
	now := w.now()
	s.read[connection.Password] = now
	for secret, at := range s.read {
		former := secret != connection.Password
		if former && (s.leaked || now.Sub(at) >= s.soak) {
			continue
		}
		if !s.accepts(w, secret) {
			s.failed = append(s.failed, fmt.Sprintf("invariant 9: UAA refuses a secret (former: %t) that Airflow had %s ago", former, now.Sub(at)))
		}
	}
}

// accepts tells whether UAA would grant a token. The caller holds the lock.
func (s *subject) accepts(w *world, secret string) bool {
	there, _ := w.prod().uaa.Client(s.client())
	changes := 1000*there.Created + there.Secrets
	for _, n := range w.prod().uaa.SecretChanges()[s.client()] {
		changes += 10 * n
	}
	if s.changes != changes {
		s.accepted, s.changes = map[string]bool{}, changes
	}
	accepted, known := s.accepted[secret]
	if !known {
		accepted = w.prod().uaa.Accepts(s.client(), secret)
		s.accepted[secret] = accepted
	}
	return accepted
}

// formerAccepted counts the secrets that Airflow once had and UAA still accepts.
func (s *subject) formerAccepted(w *world) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	connection, _ := w.prod().airflow.Connection(s.connection)
	n := 0
	for secret := range s.read {
		if secret != connection.Password && s.accepts(w, secret) {
			n++
		}
	}
	return n
}

// order is how a rotation comes about.
type order struct {
	name    string
	now     bool // rotate --now
	soaking bool // it is given when a rotation before it is in its soak
}

var (
	whenDue    = order{name: "rotate"}
	atOnceNow  = order{name: "rotate --now", now: true}
	nowInASoak = order{name: "rotate --now in a soak", now: true, soaking: true}
	twoOrders  = []order{whenDue, atOnceNow}
)

// give makes it so: the time of all has come, or an operator has asked.
func (r *rotating) give(o order) {
	r.t.Helper()
	if !o.now {
		r.advance(rotationTime)
		return
	}
	for _, s := range r.subjects {
		s.mu.Lock()
		s.leaked = true
		s.mu.Unlock()
	}
	if err := r.ask(store.Selection{Instance: "i1"}, true); err != nil {
		r.t.Fatal(err)
	}
}

// ask is an operator's `rotate`, or `rotate --now`.
func (r *rotating) ask(s store.Selection, leaked bool) error {
	orders, err := store.OpenOrders(context.Background(), r.url)
	if err != nil {
		return err
	}
	defer orders.Close()
	_, err = orders.Rotate(context.Background(), store.Order{
		Actor: audit.Actor{Kind: "operator", User: "somebody"}, RequestID: "order-1", At: r.now().UTC().Truncate(time.Microsecond),
	}, s, leaked)
	return err
}

const (
	sqlNotPublished = `SELECT count(*) FROM identity WHERE NOT (generation = $1 AND published_generation = generation AND candidate IS NULL
		AND overlap_phase IN ('present', 'single') AND rotate_above = 0 AND NOT urgent AND lease_until <= clock_timestamp())`
	sqlNotRetired = `SELECT count(*) FROM identity WHERE NOT (generation = $1 AND published_generation = generation AND candidate IS NULL
		AND overlap_phase = 'single' AND old IS NULL AND rotate_above = 0 AND NOT urgent AND lease_until <= clock_timestamp())`
)

// await waits until no row is left that a statement finds. If the broker dies
// meanwhile, another takes over.
func (r *rotating) await(what, sql string, generation int) {
	r.t.Helper()
	left := -1
	if !eventually(settleWithin, func() bool {
		r.replaced()
		return r.pool.QueryRow(context.Background(), sql, generation).Scan(&left) == nil && left == 0
	}) {
		r.t.Fatalf("after %s %d of %d are not %s: %s", settleWithin, left, len(r.subjects), what, r.rows())
	}
	r.lookAll()
}

// replaced starts another broker if there is none any more.
func (r *rotating) replaced() {
	if r.died.Load() {
		r.by = r.mortal()
	}
}

func (r *rotating) rows() string {
	var text string
	_ = r.pool.QueryRow(context.Background(), `SELECT string_agg(concat_ws(' ', id, 'client=' || client_phase, 'connection=' || connection_phase, 'second=' || overlap_phase,
		'generation=' || generation, 'published=' || published_generation, 'candidate=' || (candidate IS NOT NULL), 'old=' || (old IS NOT NULL),
		'urgent=' || urgent, 'above=' || rotate_above, 'due=' || due_at, 'attempt=' || attempt, last_error), E'\n') FROM identity`).Scan(&text)
	return text
}

// rotate takes all through one rotation to its end. generation is the one they have
// before; it gives the one they have then.
func (r *rotating) rotate(o order, generation int) int {
	r.t.Helper()
	r.give(o)
	generation++
	if !o.now {
		r.await("published", sqlNotPublished, generation)
		r.retireInTime()
		for _, s := range r.subjects {
			if n := s.formerAccepted(r.world); n != 1 {
				r.t.Errorf("%s: UAA accepts %d former secrets in the soak, want 1", s.name, n)
			}
		}
		r.check()
		r.soakEnds()
	}
	r.await("retired", sqlNotRetired, generation)
	for _, s := range r.subjects {
		if n := s.formerAccepted(r.world); n != 0 {
			r.t.Errorf("%s: UAA accepts %d former secrets after the retire, want none", s.name, n)
		}
		if o.now && r.prod().uaa.Revocations()[s.client()] == 0 {
			r.t.Errorf("%s: the secret has leaked, and its tokens were not revoked", s.name)
		}
		s.mu.Lock()
		s.leaked = false
		clear(s.read)
		s.mu.Unlock()
		s.look(r.world)
	}
	return generation
}

// retireInTime demands that each former secret has the whole soak from when the publish
// was proven, and a time-out more, for a patch that acts late.
func (r *rotating) retireInTime() {
	r.t.Helper()
	for _, s := range r.subjects {
		var left time.Duration
		if err := r.pool.QueryRow(r.t.Context(), `SELECT retire_at - published_at FROM identity WHERE id = $1`, s.id).Scan(&left); err != nil {
			r.t.Fatal(err)
		}
		if want := r.soak + r.options.timeout; left != want {
			r.t.Errorf("%s: the former secret goes %s after the publish, want %s", s.name, left, want)
		}
	}
}

// soakEnds has the soak of all be over.
func (r *rotating) soakEnds() {
	for _, do := range r.soaked {
		do()
	}
	r.soaked = nil
	r.advance(r.soak + r.options.timeout + time.Second)
}

// verdict tells what the clients of each identity saw, and that no secret was changed
// more often than it had to be: each rotation is an add and a retire, and none needs
// a reset.
func (r *rotating) verdict(t *testing.T, rotations int) {
	for _, s := range r.subjects {
		t.Run(s.name, func(t *testing.T) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, problem := range s.failed {
				t.Error(problem)
			}
			changes := r.prod().uaa.SecretChanges()[s.client()]
			if changes[uaa.ModeAdd] != rotations || changes[uaa.ModeDelete] != rotations || changes[uaa.ModeUpdate] != 0 {
				t.Errorf("the secrets of the client were changed so: %v, want one add and one delete for each of %d rotations", changes, rotations)
			}
		})
	}
}

// ends checks the world, takes all away and checks that nothing is left.
func (r *rotating) ends() {
	r.t.Helper()
	r.check()
	r.watching.Store(false)
	if a := r.face.deprovision("i1"); a.status == http.StatusAccepted {
		r.face.pollToTheEnd(r.t, "i1", "", a)
	} else {
		want(r.t, a, http.StatusOK, "deprovision")
	}
	r.check()
	r.nothingLeft()
}
