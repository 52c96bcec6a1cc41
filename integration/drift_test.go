package integration

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"airflow-identity/audit"
	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/store"
)

// patient is for tests in which no call goes wrong: a machine that is busy is not
// taken for a fault. They sweep when they say so.
var patient = options{timeout: 5 * time.Second, budget: 30 * time.Second, sweep: 200 * time.Millisecond}

// operator looks into a world's rows, gives orders and waits for what comes of them.
type operator struct {
	*world
	rows   *store.Store
	orders *store.Orders
}

func (w *world) operator() *operator {
	w.t.Helper()
	o := &operator{world: w}
	var err error
	if o.rows, err = store.Open(w.t.Context(), w.url, w.sealer); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(o.rows.Close)
	if o.orders, err = store.OpenOrders(w.t.Context(), w.url); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(o.orders.Close)
	if _, err := w.pool.Exec(w.t.Context(), sqlSweepsOnDemand); err != nil {
		w.t.Fatal(err)
	}
	return o
}

// No sweep is due by itself, but the one that a suspicion asks for. begun counts them,
// and done is the number of the last that came to its end: while one is under way it
// puts off the next by minutes, and in the end by the period.
const sqlSweepsOnDemand = `
ALTER TABLE sweep ADD begun int NOT NULL DEFAULT 0, ADD done int NOT NULL DEFAULT 0, ADD until timestamptz NOT NULL DEFAULT 'epoch';
INSERT INTO sweep (environment, due_at) VALUES ('prod', 'infinity');
CREATE FUNCTION on_demand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.due_at <= 'epoch' OR NEW.probe_all THEN
		RETURN NEW;
	END IF;
	IF OLD.due_at < 'infinity' THEN
		NEW.begun := NEW.begun + 1;
	ELSIF NEW.due_at < NEW.until THEN
		NEW.done := NEW.begun;
	END IF;
	NEW.until := greatest(NEW.until, NEW.due_at);
	NEW.due_at := 'infinity';
	RETURN NEW;
END
$$;
CREATE TRIGGER on_demand BEFORE UPDATE ON sweep FOR EACH ROW EXECUTE FUNCTION on_demand()`

const sqlSweepNow = `UPDATE sweep SET due_at = 'epoch' WHERE environment = 'prod' RETURNING begun + 1`

// sweeps asks for a sweep, waits until it is over, and until what it doubted was
// looked at.
func (o *operator) sweeps() {
	o.t.Helper()
	var ours, done int
	if err := o.pool.QueryRow(o.t.Context(), sqlSweepNow).Scan(&ours); err != nil {
		o.t.Fatal(err)
	}
	o.awaits("a sweep", func() bool {
		return o.pool.QueryRow(o.t.Context(), `SELECT done FROM sweep WHERE environment = 'prod'`).Scan(&done) == nil && done >= ours
	})
	o.idle()
}

func (o *operator) order() store.Order {
	return store.Order{Actor: audit.Actor{Kind: "operator", User: "jane", Claimed: true}, RequestID: "an-order", At: o.now()}
}

// awaits fails the test if a condition does not come true.
func (o *operator) awaits(what string, condition func() bool) {
	o.t.Helper()
	if !eventually(settleWithin, condition) {
		o.t.Fatalf("in vain: %s; not at rest: %s", what, o.restless())
	}
}

// rests waits until nothing is under way.
func (o *operator) rests() {
	o.t.Helper()
	if !o.settle() {
		o.t.Fatalf("the world did not come to rest: %s", o.restless())
	}
}

// leapTo moves the engines' clock to a time, if it is not there yet.
func (o *operator) leapTo(at *time.Time) {
	o.t.Helper()
	if at == nil {
		o.t.Fatal("there is no time to leap to")
	}
	if by := at.Sub(o.now()); by > 0 {
		o.advance(by)
	}
}

// mutations tells all that was ever changed over both APIs.
func (o *operator) mutations() string {
	u, a := o.prod().uaa, o.prod().airflow
	return fmt.Sprint("clients ", u.ClientIDs(), u.Creates(), u.Updates(), u.SecretChanges(), u.Revocations(),
		"\nconnections ", a.ConnectionIDs(), a.Creates(), a.Updates())
}

// checkBut is check in a world in which something was done behind everybody's back.
// Each finding that is to be expected of that is named by a part of its text.
func (w *world) checkBut(expected ...string) {
	w.t.Helper()
	for _, problem := range w.problems() {
		if !slices.ContainsFunc(expected, func(part string) bool { return strings.Contains(problem, part) }) {
			w.t.Error(problem)
		}
	}
}

// What was taken away was made again.
const (
	clientAgain     = "was made 2 times"
	connectionAgain = "was posted 2 times"
)

// standing is an Airflow identity that is bound.
type standing struct {
	o                           *operator
	binding, connection, client string
	id                          identity.ID
}

// bound provisions i1 and binds n apps to it.
func (o *operator) bound(p *platform, n int) []*standing {
	o.t.Helper()
	want(o.t, p.provision("i1", nil), http.StatusCreated, "provision")
	_, answers := atOnce(n, func(i int) answer { return p.bind("i1", fmt.Sprintf("b%d", i), fmt.Sprintf("app-%d", i), nil) })
	all := make([]*standing, n)
	for i, a := range answers {
		want(o.t, a, http.StatusCreated, "bind")
		all[i] = o.standing(fmt.Sprintf("b%d", i), a)
	}
	return all
}

func (o *operator) standing(binding string, a answer) *standing {
	o.t.Helper()
	credentials, _ := a.body["credentials"].(map[string]any)
	registered, _ := credentials["airflow"].(map[string]any)
	client, _ := registered["client_id"].(string)
	id, ours := strings.CutPrefix(client, "afi-")
	if !ours {
		o.t.Fatalf("no client in %s", a.text)
	}
	return &standing{o, binding, connectionOf(a), client, identity.ID(id)}
}

func (s *standing) row() identity.Identity {
	s.o.t.Helper()
	v, err := s.o.rows.View(context.Background(), s.id)
	if err != nil {
		s.o.t.Fatal(err)
	}
	return v.Identity
}

func (s *standing) state() string {
	s.o.t.Helper()
	row, err := s.o.orders.Identity(context.Background(), string(s.id))
	if err != nil {
		s.o.t.Fatal(err)
	}
	return row.State()
}

// events counts what was recorded of the identity.
func (s *standing) events(action, outcome string) (n int) {
	s.o.t.Helper()
	if err := s.o.pool.QueryRow(context.Background(), `SELECT count(*) FROM event WHERE identity = $1 AND action = $2 AND outcome = $3`,
		s.id, action, outcome).Scan(&n); err != nil {
		s.o.t.Fatal(err)
	}
	return n
}

// registered is the connection as it stands in Airflow.
func (s *standing) registered() airflow.Connection {
	s.o.t.Helper()
	connection, found := s.o.prod().airflow.Connection(s.connection)
	if !found {
		s.o.t.Fatalf("connection %s is not in Airflow", s.connection)
	}
	return connection
}

func (s *standing) edit(change func(*airflow.Connection)) {
	s.o.t.Helper()
	if !s.o.prod().airflow.EditConnection(s.connection, change) {
		s.o.t.Fatalf("connection %s is not in Airflow", s.connection)
	}
}

// accepted tells whether UAA grants tokens for the secret that Airflow has.
func (s *standing) accepted() bool {
	connection, found := s.o.prod().airflow.Connection(s.connection)
	return found && s.o.prod().uaa.Accepts(connection.Login, connection.Password)
}

// changes counts what was done to the client's secrets.
func (s *standing) changes() string {
	made := s.o.prod().uaa.SecretChanges()[s.client]
	return fmt.Sprintf("add %d, reset %d, drop %d", made[uaa.ModeAdd], made[uaa.ModeUpdate], made[uaa.ModeDelete])
}

// published waits until Airflow has a secret of that generation.
func (s *standing) published(generation int) {
	s.o.t.Helper()
	s.o.awaits(fmt.Sprintf("%s at generation %d", s.connection, generation), func() bool {
		i := s.row()
		return i.Generation >= generation && i.PublishedGeneration == i.Generation
	})
	if got := s.row().Generation; got != generation {
		s.o.t.Fatalf("%s is at generation %d, want %d", s.connection, got, generation)
	}
}

// rotates has the time of the next rotation come and waits for it.
func (s *standing) rotates() {
	s.o.t.Helper()
	i := s.row()
	s.o.leapTo(i.RotateAt)
	s.published(i.Generation + 1)
}

// retires has the soak end and waits until the older secret is gone.
func (s *standing) retires() {
	s.o.t.Helper()
	if at := s.row().RetireAt; at != nil {
		s.o.leapTo(at)
	}
	s.o.awaits("the end of a soak", func() bool { return s.row().Overlap == identity.Single })
}

// watched looks again and again, until over is called, whether the secret that
// Airflow has is granted.
func (s *standing) watched() (over func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var (
		watch   sync.WaitGroup
		refused []string
	)
	env := s.o.prod()
	watch.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		granted := ""
		for ; ctx.Err() == nil; <-tick.C {
			had, found := env.airflow.Connection(s.connection)
			if !found {
				continue
			}
			// A hash is slow to compare, so what was granted is asked for again once
			// anything has changed.
			_, there := env.uaa.Client(had.Login)
			state := fmt.Sprint(had.Password, there, s.changes(), env.uaa.Creates()[had.Login])
			if state == granted {
				continue
			}
			if env.uaa.Accepts(had.Login, had.Password) {
				granted = state
				continue
			}
			if has, _ := env.airflow.Connection(s.connection); has.Password == had.Password {
				refused = append(refused, s.changes())
			}
		}
	})
	over = sync.OnceFunc(func() {
		cancel()
		watch.Wait()
		if len(refused) > 0 {
			s.o.t.Errorf("%s: the secret that Airflow has was refused %d times, first after %s", s.connection, len(refused), refused[0])
		}
	})
	s.o.t.Cleanup(over)
	return over
}

// unbindAll ends a test: everything goes, and nothing is left.
func (o *operator) unbindAll(p *platform, all ...*standing) {
	o.t.Helper()
	for _, s := range all {
		want(o.t, p.unbind("i1", s.binding), http.StatusOK, "unbind of "+s.connection)
	}
	o.rests()
	o.nothingLeft()
}

// TestEditedConnectionsAreMended edits each of our fields. Extra is not ours.
func TestEditedConnectionsAreMended(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	edits := []struct {
		what string
		edit func(*airflow.Connection)
	}{
		{"host", func(c *airflow.Connection) { c.Host = "https://listens.example.com/oauth/token" }},
		{"login", func(c *airflow.Connection) { c.Login = "somebody" }},
		{"conn_type", func(c *airflow.Connection) { c.ConnType = "generic" }},
		{"port", func(c *airflow.Connection) { port := 8443; c.Port = &port }},
		{"schema", func(c *airflow.Connection) { c.Schema = "public" }},
		{"the sentence", func(c *airflow.Connection) {
			c.Description = strings.Replace(c.Description, "Edits are undone.", "Ask Jane.", 1)
		}},
		{"an older generation", func(c *airflow.Connection) { c.Description = strings.Replace(c.Description, " 2]", " 1]", 1) }},
	}
	all := o.bound(p.platform, len(edits))
	o.advance(4 * time.Hour)
	before := make([]airflow.Connection, len(all))
	for i, s := range all {
		s.published(2)
		s.edit(func(c *airflow.Connection) { c.Extra = `{"verify": "/etc/ssl/corporate.pem"}` })
		before[i] = s.registered()
	}
	o.rests()
	untouched := o.mutations()
	o.sweeps()
	if now := o.mutations(); now != untouched {
		t.Errorf("a sweep over what is as it should be changed\n%s\nto\n%s", untouched, now)
	}
	sets, changes := make([]int, len(all)), make([]string, len(all))
	for i, s := range all {
		sets[i], changes[i] = s.events("connection.set", "done"), s.changes()
		s.edit(edits[i].edit)
	}
	o.sweeps()
	for i, s := range all {
		if now := s.registered(); !reflect.DeepEqual(now, before[i]) {
			t.Errorf("%s: it is %+v, want %+v", edits[i].what, now, before[i])
		}
		if got := s.events("connection.set", "done") - sets[i]; got != 1 {
			t.Errorf("%s: %d events tell that it was mended, want 1", edits[i].what, got)
		}
		if s.changes() != changes[i] {
			t.Errorf("%s: it was mended with %s at UAA", edits[i].what, s.changes())
		}
		if state := s.state(); state != "whole" {
			t.Errorf("%s: the identity is %q", edits[i].what, state)
		}
	}
	o.check()
	o.unbindAll(p.platform, all...)
}

// TestWeakenedConnectionIsReported: extra belongs to Airflow's operators, and what it
// weakens is theirs to know.
func TestWeakenedConnectionIsReported(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	all := o.bound(p.platform, 2)
	all[0].edit(func(c *airflow.Connection) { c.Extra = `{"proxies": {"https": "http://proxy.example.com"}}` })
	all[1].edit(func(c *airflow.Connection) { c.Extra = `{"verify": false}` })
	weakened := []airflow.Connection{all[0].registered(), all[1].registered()}
	before := o.mutations()
	o.sweeps()
	if now := o.mutations(); now != before {
		t.Errorf("it changed\n%s\nto\n%s", before, now)
	}
	for i, s := range all {
		if got := s.registered(); got != weakened[i] {
			t.Errorf("%s is %+v, want it as it was", s.connection, got)
		}
		told := slices.ContainsFunc(strings.Split(o.log.String(), "\n"), func(line string) bool {
			return strings.Contains(line, "a connection's extra weakens it") && strings.Contains(line, `"`+s.connection+`"`)
		})
		if !told {
			t.Errorf("the log does not tell of %s", s.connection)
		}
	}
	o.check()
	o.unbindAll(p.platform, all...)
}

// TestWhatIsTakenAwayComesBack: one of the two, by itself; both, or an app's client,
// only when an operator says so.
func TestWhatIsTakenAwayComesBack(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	all := o.bound(p.platform, 4)
	made := p.bind("i1", "app", "app-9", object{"airflow": false, "app_client": true})
	want(t, made, http.StatusCreated, "a bind with a client of its own")
	credentials, _ := made.body["credentials"].(map[string]any)
	appClient, _ := credentials["client_id"].(string)
	appSecret, _ := credentials["client_secret"].(string)
	app := &standing{o: o, binding: "app", client: appClient, id: identity.ID(strings.TrimPrefix(appClient, "afi-"))}
	var had []airflow.Connection
	for _, s := range all {
		had = append(had, s.registered())
	}
	u, a := o.prod().uaa, o.prod().airflow
	u.RemoveClient(all[3].client)
	a.RemoveConnection(all[3].connection)
	a.RemoveConnection(all[0].connection)
	u.RemoveClient(all[1].client)
	u.SetAuthorities(all[2].client, "orders.read", "orders.write", "scim.read")
	u.RemoveClient(app.client)

	o.sweeps()
	for i, what := range []string{"the connection is posted again", "the client is made again"} {
		if now, found := a.Connection(all[i].connection); !found || now != had[i] || !all[i].accepted() {
			t.Errorf("in vain: %s: %t %+v, accepted %t", what, found, now, all[i].accepted())
		}
	}
	if client, _ := u.Client(all[2].client); !slices.Equal(client.Authorities, []string{"orders.read"}) {
		t.Errorf("the widened client holds %v", client.Authorities)
	}
	o.sweeps()
	for s, want := range map[*standing]string{all[3]: "client and connection are lost; apply makes them again", app: "its client is lost; apply makes it again"} {
		if got := s.state(); got != want {
			t.Errorf("state: got %q, want %q", got, want)
		}
	}
	for i, event := range []string{"connection.restore", "client.restore", "client.set"} {
		if got := all[i].events(event, "done"); got != 1 {
			t.Errorf("%d events %s, want 1", got, event)
		}
		if got := all[i].changes(); got != "add 0, reset 0, drop 0" {
			t.Errorf("%s: mended with %s", event, got)
		}
	}
	for _, s := range []*standing{all[3], app} {
		if _, there := u.Client(s.client); there {
			t.Errorf("client %s was made again unasked", s.client)
		}
	}
	if dry, err := o.orders.Remake(t.Context(), o.order(), "", true); err != nil || len(dry.Made) != 2 || len(dry.Left) != 0 {
		t.Errorf("apply --dry-run would make %+v (%v), want 2", dry, err)
	}
	o.sweeps()
	if remade, err := o.orders.Remake(t.Context(), o.order(), "prod", false); err != nil || len(remade.Made) != 2 || len(remade.Left) != 0 {
		t.Errorf("apply makes %+v (%v), want 2", remade, err)
	}
	o.awaits("both are made again", func() bool {
		now, found := a.Connection(all[3].connection)
		return found && now == had[3] && all[3].accepted()
	})
	o.awaits("the app's client is made again", func() bool { return u.Accepts(app.client, appSecret) })
	o.checkBut(clientAgain, connectionAgain)
	all[3].rotates()
	all[3].retires()
	o.unbindAll(p.platform, append(all, app)...)
}

// unmark takes the marker off a connection, as somebody does who wants it for himself.
func unmark(c *airflow.Connection) {
	c.Description = strings.TrimSpace(c.Description[:strings.LastIndex(c.Description, "[")])
}

// TestNoMarkerHandsOff: whoever removes the marker has the connection for himself.
// Nothing is rotated then: UAA would know a secret that Airflow does not.
func TestNoMarkerHandsOff(t *testing.T) {
	t.Parallel()
	for name, swept := range map[string]bool{"found by a sweep": true, "found when its time comes": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newWorld(t, patient).operator()
			p := o.broker()
			s := o.bound(p.platform, 1)[0]
			marked := s.registered().Description
			s.edit(unmark)
			was := s.registered()
			before := o.mutations()
			if swept {
				o.sweeps()
			} else {
				o.leapTo(s.row().RotateAt)
			}
			o.awaits("it is found", func() bool { return s.state() == "marker removed: hands off its connection" })
			o.advance(9 * time.Hour)
			for _, leaked := range []bool{false, true} {
				got, err := o.orders.Rotate(t.Context(), o.order(), store.Selection{Identity: s.id}, leaked)
				if err != nil || got.Total() != 0 || got.Left.Count(store.IsForeign) != 1 {
					t.Errorf("rotate, leaked %t: got %+v %v, want it left as foreign", leaked, got, err)
				}
			}
			o.sweeps()
			if now := o.mutations(); now != before {
				t.Errorf("hands were not off: it changed\n%s\nto\n%s", before, now)
			}
			if swept {
				s.edit(func(c *airflow.Connection) { c.Description = marked })
				o.sweeps()
				s.published(2)
				s.edit(unmark)
				was = s.registered()
			}
			want(t, p.unbind("i1", s.binding), http.StatusOK, "unbind")
			o.foreign["prod"] = append(o.foreign["prod"], was)
			o.check()
			o.nothingLeft()
		})
	}
}

// TestRefusedSecretIsPutBack: somebody has replaced the secret at UAA.
func TestRefusedSecretIsPutBack(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	all := o.bound(p.platform, 2)
	marked := all[1].registered().Description
	all[1].edit(unmark)
	o.sweeps()
	for _, s := range all {
		if _, err := o.prod().uaa.SetSecrets(s.client, "somebody-else-s-secret"); err != nil {
			t.Fatal(err)
		}
	}
	o.sweeps()
	if got := all[0].changes(); got != "add 0, reset 1, drop 0" || all[0].row().Generation != 1 || !all[0].accepted() {
		t.Errorf("it was put back with %s, generation %d; it is accepted: %t", got, all[0].row().Generation, all[0].accepted())
	}
	if got := all[1].changes(); got != "add 0, reset 0, drop 0" || all[1].accepted() {
		t.Errorf("without a marker: %s", got)
	}
	all[1].edit(func(c *airflow.Connection) { c.Description = marked })
	o.sweeps()
	o.awaits("the other is put back once it is ours again", all[1].accepted)
	o.check()
	o.unbindAll(p.platform, all...)
}

// TestStraySecret: somebody has added a second secret at UAA by hand.
func TestStraySecret(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	all := o.bound(p.platform, 2)
	stray := "a-stray-secret"
	var watches []func()
	for i, secrets := range [][]string{{all[0].row().Secret.Reveal(), stray}, {stray, all[1].row().Secret.Reveal()}} {
		watches = append(watches, all[i].watched())
		if _, err := o.prod().uaa.SetSecrets(all[i].client, secrets...); err != nil {
			t.Fatal(err)
		}
	}
	o.advance(4 * time.Hour)
	for _, s := range all {
		s.published(2)
	}
	for _, s := range all {
		s.retires()
		if got := s.changes(); got != "add 1, reset 1, drop 1" || o.prod().uaa.Accepts(s.client, stray) {
			t.Errorf("%s: %s, and the stray is accepted: %t", s.connection, got, o.prod().uaa.Accepts(s.client, stray))
		}
	}
	o.rests()
	o.check()
	for _, over := range watches {
		over()
	}
	o.unbindAll(p.platform, all...)
}

// TestClientTakenInMidRotation: it begins again with the secret that tasks hold, and
// gets the newer one beside it.
func TestClientTakenInMidRotation(t *testing.T) {
	t.Parallel()
	taken := func(call string, match func(*http.Request, []byte) bool) func(*operator, *standing) {
		return func(o *operator, s *standing) {
			system := o.prod().uaa.Faults
			if strings.HasPrefix(call, "PATCH") {
				system = o.prod().airflow.Faults
			}
			system.Add(standin.Fault{Call: call, Match: match, Kind: standin.Notice, Before: func() { o.prod().uaa.RemoveClient(s.client) }})
			s.rotates()
		}
	}
	for name, take := range map[string]func(*operator, *standing){
		"in the soak": func(o *operator, s *standing) {
			s.rotates()
			o.prod().uaa.RemoveClient(s.client)
		},
		"before the add":     taken("PUT /oauth/clients/", uaa.ChangesSecret(uaa.ModeAdd)),
		"before the verify":  taken("POST /oauth/token", ofAnIdentity),
		"before the publish": taken("PATCH /api/v2/connections/", nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newWorld(t, patient).operator()
			p := o.broker()
			s := o.bound(p.platform, 1)[0]
			former := s.row().Secret.Reveal()
			take(o, s)
			o.sweeps()
			o.awaits("there is a client with both secrets", func() bool {
				return s.accepted() && o.prod().uaa.Accepts(s.client, former) && s.row().Overlap == identity.Present
			})
			if got := s.registered().Password; got == former {
				t.Error("Airflow has the former secret")
			}
			s.retires()
			if o.prod().uaa.Accepts(s.client, former) {
				t.Error("the former secret is accepted after the soak")
			}
			if got := s.events("client.restore", "done"); got != 1 {
				t.Errorf("%d events tell that the client was made again, want 1", got)
			}
			o.checkBut(clientAgain)
			o.unbindAll(p.platform, s)
		})
	}
}

// address is where a stand-in listens.
func address(url string) string { return strings.TrimPrefix(url, "http://") }

// restoreUAA puts the UAA of a backup in the place of the one there is.
func (o *operator) restoreUAA(backup []byte) {
	o.t.Helper()
	there := address(o.prod().uaa.URL())
	o.prod().uaa.Close()
	o.awaits("the UAA of the backup is there", func() bool {
		u, err := uaa.Start(uaa.Config{Addr: there, Snapshot: backup})
		if err == nil {
			o.prod().uaa = u
			o.t.Cleanup(u.Close)
		}
		return err == nil
	})
}

// TestUAARestoredFromYesterday: it knows none of today's secrets, and no client that
// is new. One refused secret is enough for all to be tried.
func TestUAARestoredFromYesterday(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	all := o.bound(p.platform, 14)
	yesterday, err := o.prod().uaa.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	o.advance(4 * time.Hour)
	for _, s := range all {
		s.published(2)
	}
	a := p.bind("i1", "new", "app-new", nil)
	want(t, a, http.StatusCreated, "bind")
	all = append(all, o.standing("new", a))
	o.rests()
	o.restoreUAA(yesterday)
	for i, s := range all {
		if s.accepted() {
			t.Fatalf("identity %d: UAA was restored and grants tokens for today's secret", i)
		}
	}
	began := time.Now()
	o.sweeps() // it tries ten
	for _, s := range all {
		o.awaits("Airflow's secret is granted again", s.accepted)
	}
	t.Logf("%d identities were mended %s after one sweep had begun", len(all), time.Since(began).Round(time.Millisecond))
	o.rests()
	for _, s := range all[:14] {
		if i := s.row(); i.Generation != 2 || s.events("secret.reset", "done") > 1 {
			t.Errorf("%s: generation %d, %s", s.connection, i.Generation, s.changes())
		}
	}
	o.check()
	all[0].rotates()
	o.unbindAll(p.platform, all...)
}

// TestBrokenOffSweepIsFinished: UAA fails while every secret is to be tried, which is
// still to be done then.
func TestBrokenOffSweepIsFinished(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	all := o.bound(p.platform, 14) // more than a sweep tries that suspects nothing
	for _, s := range all {
		if _, err := o.prod().uaa.SetSecrets(s.client, "somebody-else-s-secret"); err != nil {
			t.Fatal(err)
		}
	}
	_, over := refusing(o.prod().uaa.Faults, "GET /oauth/clients", nil)
	if _, err := o.pool.Exec(t.Context(), `UPDATE sweep SET due_at = 'epoch', probe_all = true`); err != nil {
		t.Fatal(err)
	}
	o.awaits("a sweep is broken off", func() bool { return strings.Contains(o.log.String(), "a sweep was broken off") })
	over()
	o.advance(time.Minute)
	for _, s := range all {
		o.awaits("Airflow's secret is granted again", s.accepted)
	}
	o.rests()
	o.check()
	o.unbindAll(p.platform, all...)
}

// TestAirflowMadeAnewIsFilled: somebody has set Airflow's database up again.
func TestAirflowMadeAnewIsFilled(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	all := o.bound(p.platform, 8)
	all[0].rotates() // and others, perhaps
	o.rests()
	var had []airflow.Connection
	for _, s := range all {
		had = append(had, s.registered())
	}
	there := address(o.prod().airflow.URL())
	o.prod().airflow.Close()
	o.awaits("the new Airflow is there", func() bool {
		a, err := airflow.Start(airflow.Config{Addr: there, Users: map[string]airflow.User{"broker": {Password: airflowPass, Role: airflow.RoleOp}}})
		if err == nil {
			o.prod().airflow = a
			t.Cleanup(a.Close)
		}
		return err == nil
	})
	o.sweeps()
	for i, s := range all {
		if now, found := o.prod().airflow.Connection(s.connection); !found || now != had[i] {
			t.Errorf("%s is %+v, want it as it was", s.connection, now)
		}
	}
	o.check()
	o.unbindAll(p.platform, all...)
}
