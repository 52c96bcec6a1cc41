package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/store"

	"github.com/jackc/pgx/v5"
)

// order runs a verb as an operator does: with the database alone, and what is given.
func (s *stage) order(t *testing.T, environment map[string]string, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	full := map[string]string{"DATABASE_URL": s.databaseURL()}
	maps.Copy(full, environment)
	p := run(t, full, arguments...)
	code = p.exitCode(2 * patience)
	return code, p.stdout.String(), p.stderr.String()
}

// TestOrdersAreCarriedOut gives orders while a broker serves.
func TestOrdersAreCarriedOut(t *testing.T) {
	t.Parallel()
	s := newStage(t, time.Duration(defaultTimeout))
	a := asker{t, s.broker(t, "broker"), &cast{stage: s}}
	a.must(http.StatusCreated, a.create("orders", nil))
	a.must(http.StatusCreated, a.bind("orders", "etl", parameters{"app_client": true}))
	prod := s.environments["prod"]
	must := func(code int, arguments ...string) string {
		t.Helper()
		got, stdout, stderr := s.order(t, nil, arguments...)
		if got != code {
			t.Fatalf("%q: got %d\n%s%s", arguments, got, stdout, stderr)
		}
		return stdout
	}
	says := func(text string, all ...string) {
		t.Helper()
		for _, says := range all {
			if !strings.Contains(text, says) {
				t.Errorf("it does not say %q:\n%s", says, text)
			}
		}
	}
	connection := func() shown { t.Helper(); return s.show(t, "acme_orders") }
	changes := func() int {
		n := 0
		for _, change := range prod.uaa.SecretChanges()[string(connection().ID.ClientID())] {
			n += change
		}
		return n
	}

	says(must(0, "rotate", "--environment", "prod"), "asked 1 for a new secret", "1 clients of apps", "done: 1 of 1")
	if row := connection(); row.Generation != 2 || row.RetireAt == nil || row.RotateAbove != 0 || changes() == 0 {
		t.Errorf("after a rotation: %+v, %d changes at UAA", row.LedgerRow, changes())
	}
	// The next one waits for the soak, and nobody waits for that.
	says(must(0, "rotate", "acme_orders"), "done: 0 of 1", "1 in the soak of their last rotation")
	// A freeze does not hold back what a leak needs.
	must(0, "pause", "--environment", "prod")
	says(must(0, "rotate", "acme_orders", "--now"), "done: 1 of 1")
	if row := connection(); row.Generation < 3 || row.RetireAt != nil || row.Urgent || prod.uaa.Revocations()[string(row.ID.ClientID())] == 0 {
		t.Errorf("after a leak: %+v", row.LedgerRow)
	}
	must(0, "resume", "--environment", "prod")

	says(must(0, "rotate", "--all", "--now", "--json"), `"asked": 1`, `"done": 2`)
	path, _ := a.c.bind("prod", "orders", "etl", nil)
	read := a.must(http.StatusOK, a.send(http.MethodGet, path, nil))
	credentials, _ := read.body["credentials"].(map[string]any)
	if credentials["revoked"] != true || credentials["client_secret"] != nil {
		t.Errorf("the binding whose app client was revoked: got %v", slices.Sorted(maps.Keys(credentials)))
	}

	says(must(0, "revoke", "acme_orders"), "is revoked: gone")
	if clients := prod.uaa.ClientIDs(); len(clients) != 1 || len(prod.airflow.ConnectionIDs()) != 0 {
		t.Errorf("after a revoke: clients %q, connections %q", clients, prod.airflow.ConnectionIDs())
	}
	says(must(0, "revoke", string(connection().ID)), "was revoked before")
	a.must(http.StatusOK, a.unbind("orders", "etl"))
}

// TestATokenSaysWhoOrders verifies tokens as cf oauth-token prints them.
func TestATokenSaysWhoOrders(t *testing.T) {
	t.Parallel()
	s := newStage(t, time.Duration(defaultTimeout), "dev")
	token := s.token(t, "dev")
	pause := func(token string, arguments ...string) (int, string) {
		t.Helper()
		environment := map[string]string{"TOKEN": token, "AIRFLOW_IDENTITY_CONFIG": s.configPath(), "CF_INSTANCE_GUID": "instance-1"}
		code, _, stderr := s.order(t, environment, append([]string{"pause", "--environment", "prod"}, arguments...)...)
		return code, stderr
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("bearer "+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{"env:TOKEN", "file:" + file} {
		if code, stderr := pause(token, "--token", named); code != 0 {
			t.Errorf("%s: got %d %s", named, code, stderr)
		}
	}
	head, rest, _ := strings.Cut(token, ".")
	body, signature, _ := strings.Cut(rest, ".")
	for name, c := range map[string]struct{ token, says string }{
		"changed":       {head + "." + body + "." + strings.ToUpper(signature), "cannot be verified; get a new one with cf oauth-token"},
		"no token":      {"hunter2", "of none of the environments' UAAs"},
		"foreign":       {head + ".eyJpc3MiOiJodHRwczovL2V4YW1wbGUuY29tIn0." + signature, "of none of the environments' UAAs"},
		"nothing at it": {" ", "there is none"},
	} {
		if code, stderr := pause(c.token, "--token", "env:TOKEN"); code == 0 || !strings.Contains(stderr, c.says) || strings.Contains(stderr, signature) {
			t.Errorf("%s: got %d %s, want %q", name, code, stderr, c.says)
		}
	}
	if code, stderr := pause("", "--as", "jane"); code != 0 {
		t.Errorf("--as: got %d %s", code, stderr)
	}

	var told []store.LedgerEvent
	for _, leaf := range s.leaves(t, "pause") {
		var e store.LedgerEvent
		if err := json.Unmarshal(leaf, &e); err != nil {
			t.Fatal(err)
		}
		told = append(told, e)
	}
	if len(told) != 3 {
		t.Fatalf("got %d events, want those of the two tokens and the claim", len(told))
	}
	for _, e := range told[:2] {
		if e.Actor.Kind != "operator" || e.Actor.User != stageClient || e.Actor.Subject != stageClient || e.Actor.Issuer != s.environments["dev"].uaa.Issuer() || e.Actor.Claimed {
			t.Errorf("a verified operator: got %+v", e.Actor)
		}
	}
	if claim := told[2].Actor; claim.User != "jane" || !claim.Claimed || claim.OSUser == "" || claim.CFInstance != "instance-1" || claim.Issuer != "" {
		t.Errorf("a claimed operator: got %+v", claim)
	}
}

// token asks an environment's UAA for one.
func (s *stage) token(t *testing.T, environment string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {stageClient}, "client_secret": {s.state.UAASecret}}
	response, err := http.PostForm(s.environments[environment].uaa.URL()+"/oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var granted struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&granted); err != nil || granted.Token == "" {
		t.Fatalf("no token: %s %v", response.Status, err)
	}
	return granted.Token
}

// leaves are the events of an action, in order.
func (s *stage) leaves(t *testing.T, action string) [][]byte {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.databaseURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), `SELECT leaf FROM event WHERE action = $1 ORDER BY at`, action)
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	return leaves
}
