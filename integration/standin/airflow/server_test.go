package airflow

import (
	"net/http"
	"strings"
	"testing"

	"airflow-identity/integration/standin"
)

func TestStartRefuses(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"a user without a password": {Config{Users: map[string]User{"a": {Role: RoleOp}}}, "a name and a password"},
		"an unknown role":           {Config{Users: map[string]User{"a": {Password: "p", Role: "boss"}}}, `role "boss"`},
		"another interface":         {Config{Addr: "0.0.0.0:0"}, "not loopback"},
		"a broken snapshot":         {Config{Snapshot: []byte("{")}, "reading the state"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := Start(c.cfg)
			if err == nil {
				server.Close()
				t.Fatalf("got no error, want one with %q", c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to contain %q", err, c.want)
			}
		})
	}
}

func TestOddPaths(t *testing.T) {
	t.Parallel()
	f := start(t, Config{ContextPath: "/airflow"})
	token := "Bearer " + f.token("op")

	for name, c := range map[string]struct {
		call   string
		status int
		want   string
	}{
		"version":              {"GET /api/v2/version", 200, `"version":"3.3.2"`},
		"health":               {"GET /api/v2/monitor/health", 200, `"metadatabase":{"status":"healthy"}`},
		"health of Airflow 2":  {"GET /health", 404, "Moved in Airflow 3. Please change config to check `/api/v2/monitor/health`"},
		"API 1":                {"GET /api/v1/version", 404, "/api/v1 has been removed in Airflow 3"},
		"API 1, writing":       {"POST /api/v1/connections", 405, `{"detail":"Method Not Allowed"}`},
		"trailing slash":       {"GET /api/v2/connections/", 404, `{"error":"API route not found"}`},
		"trailing slash, POST": {"POST /api/v2/connections/", 404, `{"error":"API route not found"}`},
		"after an id":          {"GET /api/v2/connections/x/", 404, `{"error":"API route not found"}`},
		"an encoded slash":     {"GET /api/v2/connections/a%2Fb", 404, `{"error":"API route not found"}`},
		"unknown":              {"GET /api/v2/nothing", 404, `{"error":"API route not found"}`},
		"root version":         {"GET /version", 200, "<!DOCTYPE html>"},
		"writing to the UI":    {"POST /version", 405, "Method Not Allowed"},
		"method not there":     {"PUT /api/v2/connections/x", 405, "Method Not Allowed"},
		"version, writing":     {"POST /api/v2/version", 405, "Method Not Allowed"},
		"not imitated: bulk":   {"PATCH /api/v2/connections", 501, "stand-in"},
		"not imitated: dags":   {"GET /api/v2/dags", 501, "stand-in"},
		"not imitated: test":   {"POST /api/v2/connections/test", 501, "stand-in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method, path, _ := strings.Cut(c.call, " ")
			got := f.do(method, path, "", "Authorization", token)
			if got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("got %d %q, want %d with %q", got.status, got.body, c.status, c.want)
			}
		})
	}
	for _, path := range []string{"/api/v2/version", "/api/v2/monitor/health"} {
		if got := f.do("GET", path, ""); got.status != 200 {
			t.Errorf("%s without a token: got %d, want 200", path, got.status)
		}
	}
}

func TestSnapshotGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	if got := f.as("op", http.MethodPost, "/api/v2/connections", registered); got.status != 201 {
		t.Fatalf("got %d, want 201", got.status)
	}
	if got := f.as("op", http.MethodPatch, "/api/v2/connections/acme_orders", registered); got.status != 200 {
		t.Fatalf("got %d, want 200", got.status)
	}
	token := f.token("op")
	state, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()

	later := start(t, Config{Snapshot: state})
	got := later.do("GET", "/api/v2/connections/acme_orders", "", "Authorization", "Bearer "+token)
	if got.status != 200 {
		t.Errorf("token of before: got %d %s, want 200", got.status, got.body)
	}
	if connection, _ := later.Connection("acme_orders"); connection.Password != "s3cret" {
		t.Errorf("password: got %q, want that of before", connection.Password)
	}
	if created, updated := later.Creates()["acme_orders"], later.Updates()["acme_orders"]; created != 1 || updated != 1 {
		t.Errorf("Creates, Updates: got %d, %d, want 1, 1", created, updated)
	}
}

func TestFaultsReachTheServer(t *testing.T) {
	t.Parallel()
	f := start(t, Config{ContextPath: "/airflow"})
	token := f.token("op")
	f.Faults.Add(standin.Fault{Call: "POST /api/v2/connections", Kind: standin.LoseAfter})

	request, err := http.NewRequest(http.MethodPost, f.URL()+"/api/v2/connections", strings.NewReader(registered))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	if reply, err := f.client.Do(request); err == nil {
		reply.Body.Close()
		t.Errorf("got %d, want a lost reply", reply.StatusCode)
	}
	if _, found := f.Connection("acme_orders"); !found {
		t.Error("connection: got none, want it: the call acted")
	}
	if !f.RemoveConnection("acme_orders") || f.RemoveConnection("acme_orders") {
		t.Error("RemoveConnection: want true, then false")
	}
}

func TestEditsBehindEverybodysBack(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	f.PutConnection(Connection{ConnectionID: "x", ConnType: "http", Host: "h", Password: "s3cret"})

	edit := func(c *Connection) { c.ConnectionID, c.Host = "y", "elsewhere" }
	if !f.EditConnection("x", edit) || f.EditConnection("y", edit) {
		t.Error("EditConnection: want true, and false for one that is not there")
	}

	want := Connection{ConnectionID: "x", ConnType: "http", Host: "elsewhere", Password: "s3cret"}
	if got, _ := f.Connection("x"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := f.Updates()["x"]; n != 0 {
		t.Errorf("Updates: got %d, want 0", n)
	}
}
