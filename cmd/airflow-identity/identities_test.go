package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/store"
)

// identities runs the verb as an operator does: with the database, and with no
// configuration and no keyset.
func (s *stage) identities(t *testing.T, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := run(t, map[string]string{"DATABASE_URL": s.databaseURL()}, append([]string{"identities"}, arguments...)...)
	code = p.exitCode(patience)
	return code, p.stdout.String(), p.stderr.String()
}

// shown is what identities show --json prints.
type shown struct {
	store.LedgerRow
	Timeline []store.LedgerEvent `json:"timeline"`
}

func (s *stage) show(t *testing.T, id string) shown {
	t.Helper()
	var found shown
	code, stdout, stderr := s.identities(t, "show", "--json", id)
	if err := json.Unmarshal([]byte(stdout), &found); code != 0 || err != nil {
		t.Fatalf("show --json %s: %d %s %v", id, code, stderr, err)
	}
	return found
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	s := newStage(t, time.Duration(defaultTimeout), "dev")
	if code, stdout, stderr := s.identities(t, "list", "--json"); code != 0 || strings.TrimSpace(stdout) != "[]" {
		t.Errorf("list --json of nothing: got %d %q %s, want []", code, stdout, stderr)
	}

	c := &cast{stage: s}
	var err error
	if c.environments, err = relayed(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	a := asker{t, s.broker(t, "broker"), c}
	for _, plan := range []string{"prod", "dev"} {
		path, body := c.create(plan, "orders", nil)
		a.must(http.StatusCreated, a.send(http.MethodPut, path, body))
		path, body = c.bind(plan, "orders", "etl-"+plan, nil)
		a.must(http.StatusCreated, a.send(http.MethodPut, path, body))
	}
	a.must(http.StatusCreated, a.bind("orders", "ci", parameters{"airflow": false, "app_client": true}))
	a.must(http.StatusCreated, a.bind("orders", "gone", parameters{"connection_id": "acme_gone"}))
	a.must(http.StatusOK, a.unbind("orders", "gone"))
	a.must(http.StatusCreated, a.bind("orders", "owing", parameters{"connection_id": "acme_owing"}))
	s.environments["prod"].airflow.Faults.Add(standin.Fault{
		Call: "DELETE /api/v2/connections", Kind: standin.Answer, Status: http.StatusBadGateway, Times: 1 << 30,
	})
	a.must(http.StatusOK, a.unbind("orders", "owing"))

	var listed []store.LedgerRow
	_, stdout, stderr := s.identities(t, "list", "--json", "--environment", "prod")
	if err := json.Unmarshal([]byte(stdout), &listed); err != nil {
		t.Fatalf("list --json: %v %s", err, stderr)
	}
	byConnection := map[identity.ConnectionID]store.LedgerRow{}
	for _, row := range listed {
		byConnection[row.Connection] = row
	}
	own, key, owing := byConnection["acme_orders"], byConnection[""], byConnection["acme_owing"]
	if len(listed) != 3 || own.State() != "whole" || own.Bindings != 1 || key.Kind != identity.AppIdentity || key.ExpiresAt == nil ||
		owing.DebtSince == nil || !slices.Equal(own.Authorities, []string{"orders.read"}) {
		t.Errorf("list --json: got %+v, want a connection, an app client and a debt", listed)
	}

	_, everything, stderr := s.identities(t, "list")
	for _, says := range []string{
		"CONNECTION", "acme_orders", string(own.ID.ClientID()), "acme/etl/orders", "whole", string(key.ID.ClientID()),
		"acme_owing", "debt since ", "its connection could not be removed",
	} {
		if !strings.Contains(everything, says) {
			t.Errorf("list does not say %q:\n%s%s", says, everything, stderr)
		}
	}
	if got := strings.Count(everything, "acme_orders"); got != 2 || strings.Contains(everything, "acme_gone") {
		t.Errorf("list: acme_orders is there %d times, want 2, and acme_gone not at all:\n%s", got, everything)
	}

	// By uuid, by client and by connection; also what is gone.
	for _, id := range []string{string(own.ID), string(own.ID.ClientID())} {
		if found := s.show(t, id); found.ID != own.ID || found.Connection != "acme_orders" {
			t.Errorf("show %s: got %s %s", id, found.ID, found.Connection)
		}
	}
	if found := s.show(t, "acme_owing"); found.ID != owing.ID || found.DebtSince == nil || found.LastError == "" {
		t.Errorf("show acme_owing: got %+v, want its debt and why", found.LedgerRow)
	}
	gone := s.show(t, "acme_gone")
	if gone.State() != "gone" || gone.EndedAt == nil || gone.CleanAt == nil {
		t.Errorf("show acme_gone: got %+v, want it gone", gone.LedgerRow)
	}
	var actions []string
	for _, e := range gone.Timeline {
		if len(actions) == 0 || actions[len(actions)-1] != e.Action {
			actions = append(actions, e.Action)
		}
		if e.Actor.Kind == "" || e.At == "" {
			t.Errorf("the timeline does not say when or by whom: %+v", e)
		}
	}
	for _, action := range []string{"bind", "client.make", "connection.make", "unbind", "connection.take", "client.take"} {
		if !slices.Contains(actions, action) {
			t.Errorf("the timeline of acme_gone: got %q, want %s in it", actions, action)
		}
	}
	if slices.Index(actions, "bind") > slices.Index(actions, "unbind") {
		t.Errorf("the timeline is not in order: %q", actions)
	}

	_, readable, stderr := s.identities(t, "show", string(owing.ID.ClientID()))
	for _, says := range []string{"client       " + string(owing.ID.ClientID()), "acme_owing", "token life   10m\n", "debt since", "client.make", ", by developer-1"} {
		if !strings.Contains(readable, says) {
			t.Errorf("show does not say %q:\n%s%s", says, readable, stderr)
		}
	}

	for id, says := range map[string]string{
		"acme_nothing": `there is no identity "acme_nothing"; airflow-identity identities list shows`,
		"acme_orders":  "there are 2 identities with the connection id",
	} {
		if code, stdout, stderr := s.identities(t, "show", id); code != exitFailed || stdout != "" || !strings.Contains(stderr, says) {
			t.Errorf("show %s: got %d %q %q, want 1 and %q", id, code, stdout, stderr, says)
		}
	}
	secrets := c.heardSecrets()
	if len(secrets) == 0 {
		t.Error("no secret was heard: nothing was searched for")
	}
	for _, secret := range secrets {
		if strings.Contains(fmt.Sprint(everything, readable, gone, listed), secret) {
			t.Error("a secret is shown")
		}
	}
}
