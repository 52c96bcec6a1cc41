//go:build e2e

package integration

import (
	"fmt"
	"net/http"
	"testing"

	"airflow-identity/integration/postgres/pgtest"
)

// TestPgBouncerStandsBetween: two brokers do everything through a PgBouncer that
// gives each transaction one of four connections to Postgres.
func TestPgBouncerStandsBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 5e9, budget: 40e9})
	pooled := pgtest.Pooled(t, w.url, 4)
	var brokers []*program
	for range 2 {
		p := newProgram(t, w.log, w.configFile(), append(w.brokerEnvironment(pooled), "DIRECT_DATABASE_URL="+w.url)...)
		p.platform = w.platform(p.url())
		p.start()
		brokers = append(brokers, p)
	}
	const binds = 30
	for _, instance := range []string{"i1", "i2"} {
		want(t, brokers[0].provision(instance, nil), http.StatusCreated, "provision")
		statuses, answers := atOnce(binds, func(i int) answer {
			return brokers[i%2].bind(instance, fmt.Sprintf("%s-b%d", instance, i), fmt.Sprintf("app-%d", i), object{"app_client": i%3 == 0})
		})
		if statuses[http.StatusCreated] != binds {
			t.Errorf("%d binds: got %v, want as many times 201: %s", binds, statuses, firstOther(answers, http.StatusCreated))
		}
	}
	w.check()
	want(t, brokers[1].update("i1", object{"parameters": object{"authorities": []string{"orders.read", "orders.write"}}}), http.StatusOK, "update")
	statuses, answers := atOnce(binds, func(i int) answer { return brokers[(i+1)%2].unbind("i1", fmt.Sprintf("i1-b%d", i)) })
	if statuses[http.StatusOK] != binds {
		t.Errorf("%d unbinds: got %v, want as many times 200: %s", binds, statuses, firstOther(answers, http.StatusOK))
	}
	want(t, brokers[0].deprovision("i1"), http.StatusOK, "deprovision")
	want(t, brokers[1].deprovision("i2"), http.StatusOK, "deprovision of what is bound")
	w.check()
	w.nothingLeft()

	var sessions int
	const count = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'`
	if err := w.pool.QueryRow(t.Context(), count).Scan(&sessions); err != nil || sessions != len(brokers) {
		t.Errorf("%d sessions listen past the pooler (%v), want one of each broker", sessions, err)
	}
}
