package integration

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/postgres"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/store"

	"github.com/jackc/pgx/v5/pgxpool"
)

// outage is a way for a system to be down.
type outage struct {
	name  string
	fault standin.Fault
}

var outages = []outage{
	{"drops connections", standin.Fault{Kind: standin.LoseBefore}},
	{"hangs", standin.Fault{Kind: standin.Slow, Delay: time.Hour}}, // and never acts
	{"500", standin.Fault{Kind: standin.Answer, Status: http.StatusInternalServerError, Body: `{"error":"server_error"}`, Header: http.Header{"Content-Type": {"application/json"}}}},
	{"a gateway's 502", standin.Fault{Kind: standin.Answer, Status: http.StatusBadGateway, Body: "<html>502 Bad Gateway</html>", Header: http.Header{"Content-Type": {"text/html"}}}},
	{"429", standin.Fault{Kind: standin.Answer, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"60"}}}},
	{"a page of somebody else's", standin.Fault{Kind: standin.Answer, Status: http.StatusOK, Body: "<html>Under maintenance</html>", Header: http.Header{"Content-Type": {"text/html"}}}},
	{"a router that knows no such app", standin.Fault{Kind: standin.Answer, Status: http.StatusNotFound,
		Body: "404 Not Found: Requested route does not exist.", Header: http.Header{"X-Cf-Routererror": {"unknown_route"}}}},
}

// refuses is an outage of a port that is closed.
var refuses = outage{name: "refuses connections"}

// begins puts a system into the outage until over is called.
func (down outage) begins(f *standin.Faults) (hits func() int, over func()) {
	var off atomic.Bool
	var met atomic.Int64
	fault := down.fault
	fault.Times, fault.Before = 1<<30, func() { met.Add(1) }
	fault.Match = func(*http.Request, []byte) bool { return !off.Load() }
	f.Add(fault)
	return func() int { return int(met.Load()) }, func() { off.Store(true) }
}

// refuses closes a system's port; what it knows is there again when over is called.
func (o *operator) refuses(system string) (over func()) {
	o.t.Helper()
	env := o.prod()
	if system == "uaa" {
		backup, err := env.uaa.Snapshot()
		if err != nil {
			o.t.Fatal(err)
		}
		env.uaa.Close()
		return func() { o.restoreUAA(backup) }
	}
	backup, err := env.airflow.Snapshot()
	if err != nil {
		o.t.Fatal(err)
	}
	there := address(env.airflow.URL())
	env.airflow.Close()
	return func() {
		o.awaits("Airflow is back", func() bool {
			a, err := airflow.Start(airflow.Config{Addr: there, Snapshot: backup, Users: map[string]airflow.User{"broker": {Password: airflowPass, Role: airflow.RoleOp}}})
			if err == nil {
				env.airflow = a
				o.t.Cleanup(a.Close)
			}
			return err == nil
		})
	}
}

// TestHoursOfOutage: rotation is late, and nothing else. What Airflow has is granted
// all the time, so is what a task holds; afterwards everything overdue is done.
func TestHoursOfOutage(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"uaa", "airflow"} {
		ways := append(outages[:len(outages):len(outages)], refuses)
		if system == "airflow" {
			// What is told of them is told by the same code.
			ways = []outage{outages[1], outages[3], refuses}
		}
		for _, down := range ways {
			t.Run(system+"/"+down.name, func(t *testing.T) {
				t.Parallel()
				o := newWorld(t, options{timeout: time.Second, budget: 20 * time.Second}).operator()
				p := o.broker()
				all := o.bound(p.platform, 2)
				single, soaking := all[0], all[1]
				older := soaking.registered().Password
				o.asks(store.Selection{Identity: soaking.id}, false)
				soaking.published(2)
				o.rests()
				before := o.mutations()
				tries := 0
				var over func()
				if down.name == refuses.name {
					over = o.refuses(system)
				} else {
					_, over = down.begins(o.prod().faults(system))
				}
				for range 3 {
					o.advance(5 * time.Hour)
					o.awaits("it is tried", func() bool {
						a, b := single.row(), soaking.row()
						return a.Attempt > tries && b.Attempt > tries && a.LastError != "" && b.LastError != ""
					})
					tries = min(single.row().Attempt, soaking.row().Attempt)
				}
				if now := o.mutations(); now != before {
					t.Errorf("in the outage, what was\n%s\nis\n%s", before, now)
				}
				if !single.accepted() || !soaking.accepted() || !o.prod().uaa.Accepts(soaking.client, older) {
					t.Error("in the outage secrets were lost")
				}
				over()
				o.advance(2 * time.Minute) // the longest pause between two tries
				single.published(2)
				soaking.published(3)
				for _, s := range all {
					s.retires()
				}
				if o.prod().uaa.Accepts(soaking.client, older) {
					t.Error("the older secret is accepted for ever")
				}
				o.check()
				o.unbindAll(p.platform, all...)
			})
		}
	}
}

// TestBreakerSparesTheBackground: a system that is down is not hammered by what nobody
// waits for. When it is back, people go on at once and rotation catches up.
func TestBreakerSparesTheBackground(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"uaa", "airflow"} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			const n, down = 16, 3 * time.Second
			o := newWorld(t, options{timeout: 2 * time.Second, budget: 20 * time.Second, breaker: true}).operator()
			p := o.broker()
			all := o.bound(p.platform, n)
			o.rests()
			hits, over := outages[3].begins(o.prod().faults(system))
			o.advance(4 * time.Hour)
			began := time.Now()
			o.awaits("some time passes in the outage", func() bool { return time.Since(began) > down && hits() > 0 })
			calls := hits()
			over()
			t.Logf("%s was called %d times in %s of an outage, with %d rotations due", system, calls, time.Since(began).Round(time.Millisecond), n)
			// Five failures and what is under way beside them open it, then there is
			// one call a second.
			if most := 5 + 8 + 2*int(time.Since(began)/time.Second+1); calls > most {
				t.Errorf("%d calls, want at most %d", calls, most)
			}
			want(t, p.unbind("i1", all[0].binding), http.StatusOK, "unbind as soon as it is back")
			o.advance(2 * time.Minute)
			for _, s := range all[1:] {
				s.published(2)
			}
			o.rests()
			o.check()
			want(t, p.deprovision("i1"), http.StatusOK, "deprovision")
			o.nothingLeft()
		})
	}
}

// TestPostgresConnectionsLost: all connections of the broker to Postgres are cut at a
// call of a rotation.
func TestPostgresConnectionsLost(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct {
		system string
		fault  standin.Fault
	}{
		"at the add":     {"uaa", standin.Fault{Call: "PUT /oauth/clients/", Match: uaa.ChangesSecret(uaa.ModeAdd)}},
		"at the verify":  {"uaa", standin.Fault{Call: "POST /oauth/token", Match: ofAnIdentity}},
		"at the publish": {"airflow", standin.Fault{Call: "PATCH /api/v2/connections/"}},
		"at the retire":  {"uaa", standin.Fault{Call: "PUT /oauth/clients/", Match: uaa.ChangesSecret(uaa.ModeDelete)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newWorld(t, patient).operator()
			direct := o.url
			parsed, err := url.Parse(direct)
			if err != nil {
				t.Fatal(err)
			}
			query := parsed.Query()
			query.Set("application_name", "the-broker")
			parsed.RawQuery = query.Encode()
			o.url = parsed.String()
			p := o.broker()
			o.url = direct
			s := o.bound(p.platform, 1)[0]
			over := s.watched()
			cut := 0
			fault := at.fault
			fault.Kind, fault.After = standin.Notice, func() {
				if err := o.pool.QueryRow(context.Background(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'the-broker'`).Scan(&cut); err != nil {
					t.Error(err)
				}
			}
			o.prod().faults(at.system).Add(fault)
			s.rotates()
			s.retires()
			o.rests()
			over()
			if cut == 0 {
				t.Error("no connection was cut")
			}
			if got := s.changes(); got != "add 1, reset 0, drop 1" {
				t.Errorf("rotated with %s", got)
			}
			o.check()
			o.unbindAll(p.platform, s)
		})
	}
}

// TestPostgresRestarts stops Postgres in the middle of rotations and starts it again.
func TestPostgresRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 3 * time.Second, budget: 20 * time.Second})
	port, err := strconv.Atoi(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	config := postgres.Config{DataDir: filepath.Join(t.TempDir(), "data"), Port: port}
	server, err := postgres.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { stop() })
	if err := server.CreateDatabase(t.Context(), "afi", ""); err != nil {
		t.Fatal(err)
	}
	w.url = server.URL("afi")
	if err := store.Migrate(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	if w.pool, err = pgxpool.New(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	o := w.operator()
	p := o.broker()
	all := o.bound(p.platform, 4)
	o.rests()
	var watches []func()
	for _, s := range all {
		watches = append(watches, s.watched())
	}
	down := make(chan struct{})
	o.prod().uaa.Faults.Add(standin.Fault{Call: "PUT /oauth/clients/", Kind: standin.Notice, Before: sync.OnceFunc(func() {
		stop()
		close(down)
	})})
	o.advance(4 * time.Hour)
	<-down
	if a := p.bind("i1", "late", "app-late", nil); a.status < 500 {
		t.Errorf("bind without Postgres: got %d %s", a.status, a.text)
	}
	want(t, p.send(http.MethodGet, "/healthz", nil), http.StatusOK, "healthz")
	if a := p.send(http.MethodGet, "/readyz", nil); a.status < 500 {
		t.Errorf("readyz without Postgres: got %d", a.status)
	}
	if server, err = postgres.Start(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	o.awaits("Postgres is there", func() bool { return o.pool.Ping(context.Background()) == nil })
	for _, s := range all {
		o.awaits("it is rotated", func() bool {
			v, err := o.rows.View(context.Background(), s.id)
			return err == nil && v.Identity.PublishedGeneration == 2
		})
	}
	t.Logf("all were rotated %s after Postgres was back", time.Since(began).Round(time.Millisecond))
	o.rests()
	for _, over := range watches {
		over()
	}
	for _, s := range all {
		s.retires()
		if got := s.changes(); !strings.HasPrefix(got, "add 1, reset 0") {
			t.Errorf("%s: %s", s.connection, got)
		}
	}
	if _, found, err := o.rows.Binding(t.Context(), identity.BindingGUID("late")); err != nil || found {
		t.Errorf("the bind that was refused: found %t, %v", found, err)
	}
	o.check()
	o.unbindAll(p.platform, all...)
	p.stop()
}
