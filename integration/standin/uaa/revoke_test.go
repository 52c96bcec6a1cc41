package uaa

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestRevokeTokensOfAClient(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now, Clients: []Client{{ID: "full", Secret: "s"}}})
	if got := f.as("admin", http.MethodPost, "/oauth/clients", workload("afi-1", map[string]any{"afi": "x"})); got.status != 201 {
		t.Fatalf("got %d, want 201", got.status)
	}
	f.setSecret("afi-1", ModeAdd, "newer")
	tokens := []string{f.granted("afi-1", "workload-secret"), f.granted("afi-1", "newer")}
	unrevoked := f.token("reader")
	created := f.as("reader", http.MethodGet, "/oauth/clients/afi-1", nil).json(t)
	salts := map[any]bool{created["token_salt"]: true}

	for i, call := range []struct{ caller, method string }{{"revoker", "GET"}, {"root", "POST"}, {"admin", "DELETE"}} {
		clock.advance(1e9)
		got := f.as(call.caller, call.method, "/oauth/token/revoke/client/afi-1", nil)
		if got.status != 200 || got.body != "" || got.header.Get("Content-Length") != "0" {
			t.Errorf("%v: got %d %q, want 200 and nothing", call, got.status, got.body)
		}
		for _, token := range tokens {
			if status, description := f.checked(token); status != 400 || description != "revocable signature mismatch" {
				t.Errorf("%v: check_token: got %d %q, want a mismatch", call, status, description)
			}
		}
		seen := f.as("reader", http.MethodGet, "/oauth/clients/afi-1", nil).json(t)
		if salts[seen["token_salt"]] || seen["lastModified"] == created["lastModified"] || seen["afi"] != "x" {
			t.Errorf("%v: got %v, want another salt, and all else but its time as it was", call, seen)
		}
		salts[seen["token_salt"]] = true
		tokens = []string{f.granted("afi-1", "workload-secret"), f.granted("afi-1", "newer")}
		if status, _ := f.checked(tokens[0]); status != 200 {
			t.Errorf("%v: a token got afterwards: got %d, want 200", call, status)
		}
		if got := f.Revocations()["afi-1"]; got != i+1 {
			t.Errorf("%v: Revocations: got %d, want %d", call, got, i+1)
		}
	}
	if status, _ := f.checked(unrevoked); status != 200 {
		t.Errorf("another client's token: got %d, want 200", status)
	}

	f.as("admin", http.MethodPut, "/oauth/clients/afi-1", `{"client_id":"afi-1","name":"n"}`)
	if status, _ := f.checked(tokens[0]); status != 200 {
		t.Errorf("after a PUT that leaves the salt out: got %d, want 200", status)
	}
	f.as("admin", http.MethodPut, "/oauth/clients/afi-1", `{"client_id":"afi-1","token_salt":"mine"}`)
	if status, _ := f.checked(tokens[0]); status != 400 {
		t.Errorf("after a PUT with another salt: got %d, want 400", status)
	}
}

func TestRevokeRefused(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	full := workload("full", map[string]any{"afi": strings.Repeat("x", maxAdditional-len(`{"afi":""}`))})
	if got := f.as("admin", http.MethodPost, "/oauth/clients", full); got.status != 201 {
		t.Fatalf("got %d, want 201", got.status)
	}
	for name, c := range map[string]struct {
		caller, id string
		want       string
	}{
		"no such client":                {"revoker", "none", `404 invalid_token "Resource not found"`},
		"an admin of clients":           {"minter", "nobody", `403 insufficient_scope "Insufficient scope for this resource"`},
		"whether or not there is one":   {"minter", "none", `403 insufficient_scope "Insufficient scope for this resource"`},
		"no room left for another salt": {"revoker", "full", `500`},
	} {
		got := f.as(c.caller, http.MethodGet, "/oauth/token/revoke/client/"+c.id, nil)
		said := fmt.Sprint(got.status)
		if strings.HasPrefix(got.body, "{") {
			code, description := got.failure(t)
			said = fmt.Sprintf("%d %s %q", got.status, code, description)
		}
		if said != c.want {
			t.Errorf("%s: got %s, want %s", name, said, c.want)
		}
	}
	if got := f.Revocations(); len(got) != 0 {
		t.Errorf("Revocations: got %v, want none", got)
	}
}
