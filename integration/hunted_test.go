package integration

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/store"

	"github.com/jackc/pgx/v5"
)

// Each test here is a fault that was found once by hunting for it.

// TestStoppedInATransaction: a process that is stopped with its rows locked is
// overtaken all the same.
func TestStoppedInATransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crashOptions)
	between, database := newCommits(t, w.url)
	victim, survivor := w.program(database), w.program("")
	want(t, victim.provision("i1", nil), http.StatusCreated, "provision")
	stopped, over := make(chan struct{}), make(chan struct{})
	between.at(atCommit{skip: 1, act: func() {
		_ = victim.cmd.Process.Signal(syscall.SIGSTOP)
		close(stopped)
		<-over
	}})
	t.Cleanup(func() { close(over) })
	go victim.bind("i1", "b1", "app-1", nil)
	<-stopped
	taken := eventually(30*time.Second, func() bool {
		var n int
		return w.pool.QueryRow(context.Background(), `SELECT count(*) FROM identity WHERE lease_epoch > 1`).Scan(&n) == nil && n == 1
	})
	if !taken {
		t.Error("30 s after the holder was stopped nobody has taken over")
	}
	want(t, survivor.unbind("i1", "b1"), http.StatusOK, "unbind at the other broker")
}

// TestFirstCommitUnknown: the first COMMIT of a bind is made and its reply is lost.
// Either the bind is answered with success, or it goes again by itself.
func TestFirstCommitUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{budget: 20 * time.Second})
	between, database := newCommits(t, w.url)
	direct := w.url
	w.url = database
	p := w.broker()
	w.url = direct
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	between.at(atCommit{after: true, act: func() {}})
	a := p.bind("i1", "b1", "app-1", nil)
	w.check()
	told := p.get("i1", "b1")
	if made := a.status == http.StatusCreated; made != (told.status == http.StatusOK) {
		t.Errorf("bind was answered with %d %s, and GET says %d", a.status, a.text, told.status)
	}
}

// TestWaiterDoesNotFailTheCreate: whoever repeats a request that is under way at
// another broker, and loses patience, leaves the create alone.
func TestWaiterDoesNotFailTheCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 4 * time.Second, budget: 10 * time.Second})
	first := w.broker()
	w.options.budget = time.Second
	second := w.broker()
	want(t, first.provision("i1", nil), http.StatusCreated, "provision")
	arrived := make(chan struct{})
	w.prod().uaa.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Kind: standin.Slow, Delay: 2500 * time.Millisecond, Before: func() { close(arrived) }})
	made := make(chan answer)
	go func() { made <- first.bind("i1", "b1", "app-1", nil) }()
	<-arrived
	waited := second.send(http.MethodPut, bindingPath("i1", "b1"), second.bindBody("app-1", nil))
	if waited.status != http.StatusUnprocessableEntity || waited.word() != "ConcurrencyError" {
		t.Errorf("the one that waited: got %d %s, want 422 ConcurrencyError", waited.status, waited.text)
	}
	want(t, <-made, http.StatusCreated, "the one that made it")
	w.check()
}

// TestConflictAndRefusedIsNoSpin: UAA says that it exists and that the secret is
// refused; make, look, make, look is paced.
func TestConflictAndRefusedIsNoSpin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{budget: 2 * time.Second})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	before := w.prod().uaa.Faults.Hits()
	w.prod().uaa.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Kind: standin.Answer, Status: http.StatusConflict, Times: 1 << 30,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"error":"invalid_client","error_description":"Client already exists"}`})
	p.send(http.MethodPut, bindingPath("i1", "b1"), p.bindBody("app-1", nil))
	if n := w.prod().uaa.Faults.Hits() - before; n > 40 {
		t.Errorf("%d creates in a budget of 2 s", n)
	}
	w.prod().uaa.Faults.Clear()
	w.check()
	w.nothingLeft()
}

// TestDebtsStarveNobody: an Airflow that hangs and has debts leaves room for what
// people wait for elsewhere.
func TestDebtsStarveNobody(t *testing.T) {
	t.Parallel()
	const debts = 40
	w := newWorld(t, options{dev: true, timeout: 2 * time.Second, budget: 12 * time.Second})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	atOnce(debts, func(i int) answer { return p.bind("i1", fmt.Sprintf("b%d", i), fmt.Sprintf("app-%d", i), nil) })
	body := p.provisionBody(nil)
	body["plan_id"] = devPlan
	want(t, p.send(http.MethodPut, "/v2/service_instances/i2", body), http.StatusCreated, "provision in dev")
	bind := p.bindBody("app-1", nil)
	bind["plan_id"] = devPlan
	want(t, p.send(http.MethodPut, bindingPath("i2", "x"), bind), http.StatusCreated, "bind in dev")

	release := make(chan struct{})
	w.prod().airflow.Faults.Add(standin.Fault{Kind: standin.Slow, Release: release, Delay: time.Hour, Times: 1 << 30})
	t.Cleanup(func() { close(release) })
	atOnce(debts, func(i int) answer { return p.unbind("i1", fmt.Sprintf("b%d", i)) })
	started := time.Now()
	a := p.send(http.MethodDelete, "/v2/service_instances/i2?service_id="+offeringID+"&plan_id="+devPlan, nil)
	took := time.Since(started)
	t.Logf("deprovision in dev, beside %d debts of an Airflow that hangs, took %s", debts, took.Round(time.Millisecond))
	if a.status != http.StatusOK {
		t.Errorf("deprovision in dev, where all is well: %d %s", a.status, a.text)
	}
}

// TestHolderAfterAFailedNamedBind: a failed create of somebody else takes nobody's
// connection id away.
func TestHolderAfterAFailedNamedBind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	// The POST of the other app is lost, so that its removal waits for quiet.
	w.prod().airflow.Faults.Add(bindCalls[4].rule(standin.Fault{Kind: standin.LoseBefore}))
	w.prod().uaa.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Kind: standin.Answer, Status: http.StatusForbidden,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"error":"insufficient_scope","error_description":"no"}`})
	want(t, p.bind("i1", "b2", "app-2", object{"connection_id": "acme_orders"}), http.StatusBadRequest, "a named bind that fails")
	back := p.bind("i1", "b3", "app-1", nil)
	if back.status != http.StatusCreated || connectionOf(back) != "acme_orders" {
		t.Errorf("the last holder: got %d %q, want its own acme_orders", back.status, connectionOf(back))
	}
	w.check()
}

// TestInstanceAgainWithAClockBehind: the clock of the broker that provisions again
// is behind that of the one that did before.
func TestInstanceAgainWithAClockBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.deprovision("i1"), http.StatusOK, "deprovision")
	if _, err := w.pool.Exec(t.Context(), `UPDATE instance SET created_at = created_at + interval '1 h', removing_at = removing_at + interval '1 h'`); err != nil {
		t.Fatal(err)
	}
	want(t, p.provision("i1", nil), http.StatusCreated, "provision again")
	want(t, p.get("i1", ""), http.StatusOK, "get")
	want(t, p.provision("i1", nil), http.StatusOK, "the same provision")
	want(t, p.deprovision("i1"), http.StatusOK, "deprovision")
}

// TestADebtKeepsNoSecret: the client is gone, and so is what opens it.
func TestADebtKeepsNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	back := w.prod().airflowDown()
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	var n int
	if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM identity WHERE secret IS NOT NULL`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d sealed secrets of removed bindings, want none (%v)", n, err)
	}
	back()
	w.check()
}

// TestDiffersAndTheReplyIsLost: UAA made another client than was asked for, and the
// reply that says so is lost.
func TestDiffersAndTheReplyIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	u := w.prod().uaa
	u.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Kind: standin.LoseAfter, After: func() {
		for _, id := range u.ClientIDs() {
			if strings.HasPrefix(id, "afi-") {
				u.SetAuthorities(id, "orders.read", "orders.write", "scim.read")
			}
		}
	}})
	want(t, p.bind("i1", "b1", "app-1", read), http.StatusBadRequest, "a bind for orders.read, whose client holds more")
	w.check()
	w.nothingLeft()
}

// TestForeignSpaceIsAudited: a bind from another space is refused by a guardrail.
func TestForeignSpaceIsAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.send(http.MethodPut, bindingPath("i1", "b1"), p.from("south", p.bindBody("app-1", nil))), http.StatusBadRequest, "a bind from another space")
	var n int
	if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM event WHERE action = 'bind' AND decision = 'denied'`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d events of the denial, want 1 (%v)", n, err)
	}
}

// TestStopIsNoDebt: the process is stopped in the middle of an unbind, with an
// Airflow that is well.
func TestStopIsNoDebt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 3 * time.Second})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	arrived := make(chan struct{})
	w.prod().airflow.Faults.Add(standin.Fault{Call: "GET /api/v2/connections/", Kind: standin.Slow, Delay: time.Second, Before: func() { close(arrived) }})
	go p.unbind("i1", "b1")
	<-arrived
	p.stop()
	var debts, removed, leased int
	if err := w.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM connection WHERE debt_since IS NOT NULL),
		(SELECT count(*) FROM binding WHERE removed_at IS NOT NULL),
		(SELECT count(*) FROM identity WHERE lease_until > clock_timestamp())`).Scan(&debts, &removed, &leased); err != nil {
		t.Fatal(err)
	}
	if debts+removed+leased != 0 {
		t.Errorf("after a stop in mid-unbind: %d debts, %d bindings told as removed, %d leases, want none", debts, removed, leased)
	}
}

// TestClaimedAtTheStop: rows that are claimed in the very moment of a stop are
// released too.
func TestClaimedAtTheStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	s, err := store.Open(t.Context(), w.url, w.sealer)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	p.stop()
	if _, err := w.pool.Exec(t.Context(), `UPDATE identity SET due_at = now() - interval '1 s'`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	environments, closers := w.environments(slog.New(slog.DiscardHandler))
	for _, end := range closers {
		defer end()
	}
	e, err := identity.NewEngine(identity.Config{
		Store: claimThenStop{s, cancel}, Broker: "b", Budget: time.Second, SweepPeriod: -1, Logger: slog.New(slog.DiscardHandler),
		Environments: environments,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var leased int
	if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM identity WHERE lease_until > clock_timestamp()`).Scan(&leased); err != nil || leased != 0 {
		t.Errorf("the loop has returned and %d rows are leased (%v)", leased, err)
	}
}

type claimThenStop struct {
	identity.Store
	stop func()
}

func (c claimThenStop) Claim(ctx context.Context, environment identity.EnvironmentName, lane identity.Lane, now time.Time, lease time.Duration, limit int) ([]identity.Lease, error) {
	leases, err := c.Store.Claim(ctx, environment, lane, now, lease, limit)
	if len(leases) > 0 {
		c.stop()
	}
	return leases, err
}

// TestPanicOfTheLoop: it ends the process, and is not waited on by what the loop started.
func TestPanicOfTheLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	s, err := store.Open(t.Context(), w.url, w.sealer)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e, err := identity.NewEngine(identity.Config{Store: panicking{s}, Broker: "b", Budget: time.Second, SweepPeriod: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	recovered := make(chan any, 1)
	go func() {
		defer func() { recovered <- recover() }()
		t.Error(e.Run(t.Context()), "in spite of a panic")
	}()
	select {
	case r := <-recovered:
		if r != "due" {
			t.Errorf("the loop panicked with %v", r)
		}
	case <-time.After(settleWithin):
		t.Fatal("a panic of the loop is waited on")
	}
}

type panicking struct{ identity.Store }

func (panicking) Due(context.Context, []identity.EnvironmentName) ([]identity.Due, error) {
	panic("due")
}

// hang locks rows as somebody does who never comes back, until free is called.
func (w *world) hang(what string) (free func()) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	free = func() { _ = conn.Close(context.Background()) }
	w.t.Cleanup(free)
	if _, err := conn.Exec(w.t.Context(), "BEGIN; "+what); err != nil {
		w.t.Fatal(err)
	}
	return free
}

// TestOneLockedRowStopsNobodyElse: requests that wait for one row do not take what
// all others need.
func TestOneLockedRowStopsNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 5 * time.Second, budget: 30 * time.Second})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	free := w.hang(`SELECT 1 FROM instance FOR UPDATE`)
	waiting := make(chan int)
	go func() {
		statuses, _ := atOnce(40, func(i int) answer { return p.bind("i1", fmt.Sprintf("b%d", i), fmt.Sprintf("app-%d", i), nil) })
		waiting <- statuses[http.StatusCreated]
	}()
	want(t, p.send(http.MethodGet, "/readyz", nil), http.StatusOK, "readyz")
	want(t, p.provision("i2", nil), http.StatusCreated, "provision of another")
	want(t, p.deprovision("i2"), http.StatusOK, "deprovision of another")
	free()
	if made := <-waiting; made != 40 {
		t.Errorf("%d of 40 binds were made once the row was free", made)
	}
	w.check()
}

// TestPostgresHanging: Postgres answers nothing when the outcome is to be written.
// The answer comes within the budget and the grace for recording it.
func TestPostgresHanging(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 3 * time.Second, budget: time.Second})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	arrived := make(chan struct{})
	w.prod().uaa.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Kind: standin.Slow, Delay: 300 * time.Millisecond, Before: func() { close(arrived) }})
	made := make(chan answer)
	started := time.Now()
	go func() { made <- p.send(http.MethodPut, bindingPath("i1", "b1"), p.bindBody("app-1", nil)) }()
	<-arrived
	free := w.hang(`LOCK TABLE binding IN ACCESS EXCLUSIVE MODE`)
	a := <-made
	t.Logf("a bind with a budget of 1 s was answered with %d after %s", a.status, time.Since(started).Round(time.Millisecond))
	if a.status < 500 {
		t.Errorf("bind: got %d %s, and nothing could be recorded", a.status, a.text)
	}
	free()
	w.check()
	w.nothingLeft()
}
