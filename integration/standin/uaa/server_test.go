package uaa

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"airflow-identity/integration/standin"
)

func TestStartRefuses(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"a cost too high":         {Config{BcryptCost: 40}, "bcrypt cost"},
		"a client without secret": {Config{Clients: []Client{{ID: "a"}}}, "needs an id and a secret"},
		"another interface":       {Config{Addr: "0.0.0.0:0"}, "not loopback"},
		"a broken snapshot":       {Config{Snapshot: []byte("{")}, "reading the state"},
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

func TestSnapshotGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	const issuer = "http://uaa.example.com"
	f := start(t, Config{Issuer: issuer})
	if got := f.as("admin", http.MethodPost, "/oauth/clients", workload("afi-1", map[string]any{"afi": "x"})); got.status != 201 {
		t.Fatalf("got %d, want 201", got.status)
	}
	if got := f.as("admin", http.MethodPut, "/oauth/clients/afi-1", `{"client_id":"afi-1"}`); got.status != 200 {
		t.Fatalf("got %d, want 200", got.status)
	}
	f.setSecret("afi-1", ModeAdd, "newer")
	if got := f.as("revoker", http.MethodGet, "/oauth/token/revoke/client/afi-1", nil); got.status != 200 {
		t.Fatalf("got %d, want 200", got.status)
	}
	token := f.grant("afi-1", "workload-secret").json(t)["access_token"].(string)
	state, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(state), "workload-secret") || strings.Contains(string(state), "newer") {
		t.Error("snapshot: got a secret in it, want hashes only")
	}
	f.Close()

	later := start(t, Config{Issuer: issuer, Snapshot: state})
	got := later.form("/check_token", "resource", "resource-secret", url.Values{"token": {token}})
	if got.status != 200 {
		t.Errorf("token of before: got %d %s, want 200", got.status, got.body)
	}
	for _, secret := range []string{"workload-secret", "newer"} {
		if got := later.grant("afi-1", secret); got.status != 200 {
			t.Errorf("secret of before, %s: got %d, want 200", secret, got.status)
		}
	}
	if later.SecretChanges()["afi-1"][ModeAdd] != 1 || later.Revocations()["afi-1"] != 1 {
		t.Errorf("SecretChanges, Revocations: got %v, %v, want one each", later.SecretChanges(), later.Revocations())
	}
	client, _ := later.Client("afi-1")
	if client.Secrets != 2 || client.Created != 1 || client.Updated != 1 || client.AdditionalInformation["afi"] != "x" {
		t.Errorf("Client: got %+v, want it as it was", client)
	}
	if !slices.Equal(later.ClientIDs(), f.ClientIDs()) {
		t.Errorf("ClientIDs: got %v, want %v", later.ClientIDs(), f.ClientIDs())
	}
}

func TestFaultsReachTheServer(t *testing.T) {
	t.Parallel()
	f := start(t, Config{ContextPath: "/uaa"})
	token := f.token("admin")
	f.Faults.Add(standin.Fault{Call: "DELETE /oauth/clients/", Kind: standin.LoseAfter})

	request, err := http.NewRequest(http.MethodDelete, f.URL()+"/oauth/clients/nobody", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if reply, err := f.client.Do(request); err == nil {
		reply.Body.Close()
		t.Errorf("got %d, want a lost reply", reply.StatusCode)
	}
	if f.store.has("nobody") {
		t.Error("client: got it still there, want it gone: the call acted")
	}
	if f.Faults.Pending() != 0 {
		t.Errorf("pending: got %d, want 0", f.Faults.Pending())
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	token := f.token("admin")

	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			id := "afi-" + string(rune('a'+i%20)) + string(rune('a'+i/20))
			created := f.do(http.MethodPost, "/oauth/clients/restricted",
				`{"client_id":"`+id+`","client_secret":"s","authorities":["orders.read"],"authorized_grant_types":["client_credentials"]}`,
				"Authorization", "Bearer "+token, "Content-Type", "application/json")
			granted := f.grant(id, "s")
			deleted := f.do(http.MethodDelete, "/oauth/clients/"+id, "", "Authorization", "Bearer "+token)
			if created.status != 201 || granted.status != 200 || deleted.status != 200 {
				t.Errorf("%s: got %d, %d, %d, want 201, 200, 200", id, created.status, granted.status, deleted.status)
			}
		})
	}
	group.Wait()
	if got := len(f.ClientIDs()); got != len(callers()) {
		t.Errorf("clients left: got %d, want %d", got, len(callers()))
	}
	if got := len(f.Creates()); got != 40 {
		t.Errorf("Creates: got %d ids, want 40", got)
	}
}
