package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/integration/standin/airflow"
)

// TestLifecycle is the main job, once, as Cloud Controller asks for it.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()

	want(t, p.send(http.MethodGet, "/v2/catalog", nil), http.StatusOK, "catalog")
	want(t, p.provision("i1", object{"authorities": []string{"orders.read", "orders.write"}}), http.StatusCreated, "provision")
	want(t, p.provision("i1", object{"authorities": []string{"orders.write", "orders.read"}}), http.StatusOK, "the same provision, lists as sets")
	want(t, p.provision("i1", nil), http.StatusConflict, "a different provision")
	want(t, p.get("i1", ""), http.StatusOK, "get instance")

	made := p.bind("i1", "b1", "app-1", object{"authorities": []string{"orders.read"}})
	want(t, made, http.StatusCreated, "bind")
	w.check()
	want(t, p.bind("i1", "b1", "app-1", object{"authorities": []string{"orders.read"}}), http.StatusOK, "the same bind")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusConflict, "a different bind")
	want(t, p.get("i1", "b1"), http.StatusOK, "get binding")

	credentials, _ := made.body["credentials"].(map[string]any)
	for key, expected := range map[string]any{
		"environment": "prod", "issuer": w.prod().uaa.Issuer(), "token_url": w.prod().uaa.URL() + "/oauth/token",
		"jwks_url": w.prod().uaa.URL() + "/token_keys", "zone_id": "uaa",
	} {
		if credentials[key] != expected {
			t.Errorf("credentials.%s: got %v, want %v", key, credentials[key], expected)
		}
	}
	if got := connectionOf(made); got != "acme_orders" {
		t.Errorf("connection id: got %q, want acme_orders", got)
	}
	connection, found := w.prod().airflow.Connection("acme_orders")
	if !found || !strings.HasPrefix(connection.Description, "Managed by Airflow Identity for acme/prod/orders: orders.read. Edits are undone. [afi1 ") {
		t.Errorf("connection: got %t %q", found, connection.Description)
	}

	want(t, p.bind("i1", "b2", "", nil), http.StatusCreated, "a service key")
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	w.check()
	want(t, p.get("i1", "b1"), http.StatusNotFound, "get an unbound binding")
	want(t, p.unbind("i1", "b1"), http.StatusGone, "unbind again")
	if status := tokenStatus(connection.Host, connection.Login, connection.Password); status != http.StatusUnauthorized {
		t.Errorf("the secret after unbind: UAA answers %d, want 401", status)
	}
	want(t, p.deprovision("i1"), http.StatusOK, "deprovision with a live key")
	want(t, p.deprovision("i1"), http.StatusGone, "deprovision again")
	want(t, p.get("i1", ""), http.StatusNotFound, "get a removed instance")
	w.check()
	w.nothingLeft()
	want(t, p.provision("i1", nil), http.StatusCreated, "the same guid once more")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "the same binding guid once more")
	w.check()
}

// TestHashes counts what UAA's bottleneck is asked for.
func TestHashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.bind("i1", "b0", "app-0", nil), http.StatusCreated, "a first bind, with the broker's own login")
	before := w.prod().uaa.Hashes()
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	bind := w.prod().uaa.Hashes() - before
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	unbind := w.prod().uaa.Hashes() - before - bind
	t.Logf("password hashes: bind %d, unbind %d", bind, unbind)
	if bind != 1 || unbind != 0 {
		t.Errorf("password hashes: bind %d, unbind %d, want 1 and 0", bind, unbind)
	}
}

func TestConnectionIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	for _, instance := range []string{"i1", "i2"} {
		want(t, p.provision(instance, nil), http.StatusCreated, "provision")
	}
	first := p.bind("i1", "b1", "app-1", nil)
	want(t, first, http.StatusCreated, "the first bind")
	second := p.bind("i1", "b2", "app-2", nil)
	want(t, second, http.StatusCreated, "another app of the same instance")
	third := p.bind("i2", "b3", "app-1", nil)
	want(t, third, http.StatusCreated, "an instance with the same default")
	names := []string{connectionOf(first), connectionOf(second), connectionOf(third)}
	if names[0] != "acme_orders" || !strings.HasPrefix(names[1], "acme_orders_") || len(names[1]) != len("acme_orders_")+6 || len(slices.Compact(slices.Sorted(slices.Values(names)))) != 3 {
		t.Errorf("default connection ids: got %q, want the base and two suffixed ones", names)
	}
	joined := p.bind("i1", "b4", "app-1", nil)
	if joined.status != http.StatusCreated || connectionOf(joined) != "acme_orders" {
		t.Errorf("a second bind of the same app: got %d %s, want it to join acme_orders", joined.status, joined.text)
	}
	if a := p.bind("i1", "b5", "app-1", object{"authorities": []string{"orders.read"}}); a.status != http.StatusBadRequest || a.word() != "ConnectionTaken" || !strings.Contains(a.description(), "orders.read") {
		t.Errorf("a join that asks for something else: got %d %s, want 400 ConnectionTaken that names both", a.status, a.text)
	}
	want(t, p.unbind("i1", "b4"), http.StatusOK, "unbind of one of two")
	if _, there := w.prod().airflow.Connection("acme_orders"); !there {
		t.Error("the connection went with the first of two bindings")
	}
	if a := p.bind("i2", "b5", "app-3", object{"connection_id": "acme_orders"}); a.status != http.StatusBadRequest || a.word() != "ConnectionTaken" {
		t.Errorf("a named id that another instance holds: got %d %s, want 400 ConnectionTaken", a.status, a.text)
	}
	want(t, p.bind("i2", "b6", "app-3", object{"connection_id": "orders_nightly"}), http.StatusCreated, "a named id")

	// A name never changes: it comes back to its last holder, and to nobody else.
	want(t, p.unbind("i1", "b2"), http.StatusOK, "unbind")
	again := p.bind("i1", "b7", "app-2", nil)
	if again.status != http.StatusCreated || connectionOf(again) != names[1] {
		t.Errorf("binding the app again: got %d %q, want %q", again.status, connectionOf(again), names[1])
	}
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	other := p.bind("i2", "b8", "app-9", nil)
	if got := connectionOf(other); got == "acme_orders" {
		t.Error("a released id went to another holder by default")
	}
	back := p.bind("i1", "b9", "app-1", nil)
	if got := connectionOf(back); got != "acme_orders" {
		t.Errorf("the last holder got %q, want acme_orders", got)
	}
	w.check()
}

// TestForeignConnection meets a connection that somebody made by hand.
func TestForeignConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	w.putForeign("prod", airflow.Connection{ConnectionID: "acme_orders", ConnType: "http", Host: "https://example.com", Login: "somebody", Password: "their-own-secret"})
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	a := p.bind("i1", "b1", "app-1", nil)
	if a.status != http.StatusBadRequest || a.word() != "ConnectionTaken" || !strings.Contains(a.description(), "acme_orders") {
		t.Errorf("bind: got %d %s, want 400 ConnectionTaken that names the id", a.status, a.text)
	}
	w.check()
	w.nothingLeft()
	want(t, p.unbind("i1", "b1"), http.StatusGone, "unbind of what was never made")
	want(t, p.bind("i1", "b1", "app-1", object{"connection_id": "orders_mine"}), http.StatusCreated, "the same guid with another id")
	w.check()
}

// TestAirflowGoneAtUnbind tells the platform that all is done once the client is
// gone; the connection is a debt that is paid when Airflow is back.
func TestAirflowGoneAtUnbind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	want(t, p.bind("i1", "b2", "app-2", object{"connection_id": "orders_two"}), http.StatusCreated, "bind")
	back := w.prod().airflowDown()

	started := time.Now()
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	t.Logf("unbind with an Airflow that is down took %s", time.Since(started).Round(time.Millisecond))
	want(t, p.deprovision("i1"), http.StatusOK, "deprovision")
	if ids := w.prod().uaa.ClientIDs(); len(ids) != 1 {
		t.Errorf("clients left: %q, want the broker's own alone", ids)
	}
	want(t, p.provision("i2", nil), http.StatusCreated, "provision")
	if a := p.bind("i2", "b3", "app-3", object{"connection_id": "acme_orders"}); a.status != http.StatusUnprocessableEntity || a.word() != "ConcurrencyError" {
		t.Errorf("an id in debt, named in its own space: got %d %s, want 422 ConcurrencyError", a.status, a.text)
	}
	back()
	w.check()
	w.nothingLeft()
}

// TestTwoEnvironments keeps dev and prod apart.
func TestTwoEnvironments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{dev: true})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	body := p.provisionBody(nil)
	body["plan_id"] = devPlan
	want(t, p.send(http.MethodPut, "/v2/service_instances/i2", body), http.StatusCreated, "provision in dev")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	bind := p.bindBody("app-1", nil)
	bind["plan_id"] = devPlan
	a := p.send(http.MethodPut, bindingPath("i2", "b2"), bind)
	want(t, a, http.StatusCreated, "bind in dev, synchronously")
	if got := connectionOf(a); got != "acme_orders" {
		t.Errorf("the same DAG must run in dev: got %q, want acme_orders there too", got)
	}
	if got := len(w.envs["dev"].airflow.ConnectionIDs()); got != 1 {
		t.Errorf("connections in dev: got %d, want 1", got)
	}
	w.check()
}
