package integration

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	airflowclient "airflow-identity/airflow"
	"airflow-identity/broker"
	"airflow-identity/catalog"
	"airflow-identity/identity"
	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/remote"
	"airflow-identity/store"
	uaaclient "airflow-identity/uaa"

	"github.com/jackc/pgx/v5/pgxpool"
)

// BenchmarkRotation is how many rotations a second one broker carries out, all due
// at once and nothing failing: from the moment at which they are due until all are
// published, and, as retires/s, from the end of their soaks until all older secrets
// are gone. The stand-ins, which hash at the lowest cost, and Postgres share the
// machine's cores with it.
//
//	go test ./integration -run xxx -bench BenchmarkRotation -cpu 2
func BenchmarkRotation(b *testing.B) {
	const identities = 500
	pool, engine := rotationWorld(b, identities)
	count := func(where string) (n int) {
		if err := pool.QueryRow(b.Context(), `SELECT count(*) FROM identity WHERE `+where).Scan(&n); err != nil {
			b.Fatal(err)
		}
		return n
	}
	var publishing, retiring time.Duration
	due := func(column, done string) time.Duration {
		began := time.Now()
		if _, err := pool.Exec(b.Context(), `UPDATE identity SET `+column+` = now(), due_at = now(), lane = 1`); err != nil {
			b.Fatal(err)
		}
		engine.Wake()
		if !eventually(2*time.Minute, func() bool { return count(done) == identities }) {
			b.Fatalf("within 2 minutes %d of %d were done", count(done), identities)
		}
		return time.Since(began)
	}
	rotations := 0
	for b.Loop() {
		publishing += due("rotate_at", `overlap_phase = 'present' AND published_generation = generation AND lease_until <= clock_timestamp()`)
		retiring += due("retire_at", `overlap_phase = 'single' AND lease_until <= clock_timestamp()`)
		rotations += identities
	}
	b.ReportMetric(float64(rotations)/publishing.Seconds(), "rotations/s")
	b.ReportMetric(float64(rotations)/retiring.Seconds(), "retires/s")
	b.ReportMetric(float64(rotations)/(publishing+retiring).Seconds(), "both/s")
}

// rotationWorld is one broker with many identities that have just been bound.
func rotationWorld(b *testing.B, identities int) (*pgxpool.Pool, *identity.Engine) {
	b.Helper()
	address := pgtest.New(b)
	keyset, err := store.NewKeyset()
	must(b, err)
	sealer, err := store.NewSealer(keyset)
	must(b, err)
	s, err := store.Open(b.Context(), address, sealer)
	must(b, err)
	b.Cleanup(s.Close)
	pool, err := pgxpool.New(b.Context(), address)
	must(b, err)
	b.Cleanup(pool.Close)

	u, err := uaa.Start(uaa.Config{Clients: []uaa.Client{{ID: "airflow-identity", Secret: uaaSecret, Authorities: []string{"clients.admin", "clients.read", "clients.write", "tokens.revoke", "uaa.resource"}}}})
	must(b, err)
	b.Cleanup(u.Close)
	a, err := airflow.Start(airflow.Config{Users: map[string]airflow.User{"broker": {Password: airflowPass, Role: airflow.RoleOp}}})
	must(b, err)
	b.Cleanup(a.Close)
	logger := slog.New(slog.DiscardHandler)
	const timeout = 10 * time.Second
	clients, err := uaaclient.New(uaaclient.Config{URL: u.URL(), ClientID: "airflow-identity", Secret: remote.Fixed(identity.SecretFrom(uaaSecret)), Timeout: timeout, Logger: logger})
	must(b, err)
	b.Cleanup(clients.Close)
	connections, err := airflowclient.New(airflowclient.Config{URL: a.URL(), Login: airflowclient.Password{Username: "broker", Password: remote.Fixed(identity.SecretFrom(airflowPass))}, Timeout: timeout, Logger: logger})
	must(b, err)
	b.Cleanup(connections.Close)

	// Half of what the program gives a remote at a time, as its limits have it.
	env := identity.Environment{
		Name: "prod", Airflow: identity.AirflowURL(a.URL()), Clients: clients, Connections: connections,
		ClientsPatience: identity.PatienceOf(timeout), ConnectionsPatience: identity.PatienceOf(timeout), Background: 8,
	}
	engine, err := identity.NewEngine(identity.Config{
		Store: s, Broker: s.Broker(), Environments: map[identity.EnvironmentName]identity.Environment{"prod": env}, Budget: 20 * time.Second, SweepPeriod: -1, Logger: logger,
	})
	must(b, err)
	plans, err := catalog.New(catalog.Offering{ID: offeringID}, []catalog.Plan{{
		ID: prodPlan, Name: "prod", Environment: "prod", Description: "identities that rotate", DefaultAuthorities: []identity.Authority{"orders.read"},
		Allow: catalog.Allow{Authorities: []string{"orders.*"}, ConnectionIDs: []string{"orders_*"}},
	}})
	must(b, err)
	handler, err := broker.New(broker.Config{
		Catalog: plans, Engine: engine, Environments: map[identity.EnvironmentName]identity.AirflowURL{"prod": env.Airflow},
		Credentials: []broker.Credential{{User: brokerUser, Password: identity.SecretFrom(brokerPass)}}, Logger: logger, Ready: s.Ready,
	})
	must(b, err)
	server := httptest.NewServer(handler)
	b.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- engine.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		must(b, <-ran)
	})

	p := (&world{leaks: &leaks{}}).platform(server.URL)
	if made := p.provision("i1", nil); made.status != http.StatusCreated {
		b.Fatalf("provision: %d %s", made.status, made.text)
	}
	for first := 0; first < identities; first += 20 {
		statuses, answers := atOnce(20, func(i int) answer {
			return p.bind("i1", fmt.Sprintf("b%d", first+i), "", object{"connection_id": fmt.Sprintf("orders_%04d", first+i)})
		})
		if statuses[http.StatusCreated] != 20 {
			b.Fatalf("binds: %v %s", statuses, answers[0].text)
		}
	}
	return pool, engine
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
