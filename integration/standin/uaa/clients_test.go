package uaa

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCreateClient(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})

	for _, path := range []string{"/oauth/clients", "/oauth/clients/restricted"} {
		id := "afi-" + strings.TrimPrefix(path, "/oauth/")
		got := f.as("minter", http.MethodPost, path, workload(strings.ReplaceAll(id, "/", "."), map[string]any{
			"name": "orders", "afi_nested": map[string]any{"a": []any{1, "b"}}, "afi_flag": true, "afi_number": 7,
			"lastModified": 5, "resource_ids": []string{"mine"}, "token_salt": "kept",
		}))
		if got.status != http.StatusCreated {
			t.Fatalf("%s: got %d %s, want 201", path, got.status, got.body)
		}
		body := got.json(t)
		for key, want := range map[string]string{
			"scope": "[uaa.none]", "authorities": "[orders.read]", "authorized_grant_types": "[client_credentials]",
			"resource_ids": "[none]", "autoapprove": "[]", "required_user_groups": "[]", "name": "orders",
			"access_token_validity": "600", "afi_nested": "map[a:[1 b]]", "afi_flag": "true", "afi_number": "7",
			"token_salt": "kept",
		} {
			if got := fmt.Sprint(body[key]); got != want {
				t.Errorf("%s: %s: got %s, want %s", path, key, got, want)
			}
		}
		if modified, _ := body["lastModified"].(float64); modified < 1e12 {
			t.Errorf("%s: lastModified: got %v, want UAA's own, in milliseconds", path, body["lastModified"])
		}
		if strings.Contains(got.body, "workload-secret") || strings.Contains(got.body, "$2a$") {
			t.Errorf("%s: got %s, want neither secret nor hash", path, got.body)
		}
	}
	state, found := f.Client("afi-clients")
	if !found || state.Secrets != 1 || state.Created != 1 || state.AccessTokenValidity != 600 ||
		!slices.Equal(state.Authorities, []string{"orders.read"}) || state.AdditionalInformation["name"] != "orders" {
		t.Errorf("Client: got %+v, %v, want the client as it was made", state, found)
	}
}

func TestCreateClientRefused(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	if got := f.as("admin", http.MethodPost, "/oauth/clients", workload("taken", nil)); got.status != 201 {
		t.Fatalf("got %d, want 201", got.status)
	}

	const plain, restricted = "/oauth/clients", "/oauth/clients/restricted"
	authorities := func(list ...string) map[string]any { return map[string]any{"authorities": list} }
	for name, c := range map[string]struct {
		caller, path string
		id           string
		changes      map[string]any
		status       int
		want         string // the description; empty for an HTML page
	}{
		"taken id":          {"minter", plain, "taken", nil, 409, "Client already exists: taken"},
		"reserved id":       {"minter", plain, "uaa", nil, 400, "Not allowed: uaa is a reserved client_id"},
		"256 characters":    {"minter", plain, strings.Repeat("x", 256), nil, 500, ""},
		"no id":             {"minter", plain, "", map[string]any{"client_id": nil}, 500, ""},
		"long secret":       {"minter", plain, "a", map[string]any{"client_secret": strings.Repeat("s", 256)}, 400, "Client Secret must be no more than 255 characters in length."},
		"no secret":         {"minter", plain, "a", map[string]any{"client_secret": nil}, 400, "Client secret is required for client_credentials and authorization_code grant types"},
		"additional > 4096": {"minter", plain, "a", map[string]any{"afi": strings.Repeat("x", 4100)}, 500, ""},
		"a list that is an object": {
			"minter", plain, "a", map[string]any{"authorities": map[string]any{"x": 1}}, 400, "",
		},
		"a number that is a text": {"minter", plain, "a", map[string]any{"access_token_validity": "soon"}, 400, ""},
		"writer, real authority": {
			"writer", plain, "a", nil, 400,
			"orders.read is not an allowed authority for caller=writer. Must be one of: [uaa.resource, uaa.none]",
		},
		"writer, its own authority": {
			"writer", plain, "a", authorities("clients.write"), 400,
			"clients.write is not an allowed authority for caller=writer. Must be one of: [uaa.resource, uaa.none]",
		},
		"writer, restricted": {
			"writer", restricted, "a", nil, 400,
			"orders.read is not an allowed authority for caller=writer. Must be one of: [uaa.resource, uaa.none]",
		},
		"writer, scope": {
			"writer", plain, "a", map[string]any{"authorities": []string{"uaa.none"}, "scope": []string{"orders.read"}}, 400,
			"orders.read is not an allowed scope for caller=writer. Must have prefix in [writer.,a.] or be one of: [uaa.none]",
		},
		"restricted scope": {"minter", restricted, "a", map[string]any{"scope": []string{"scim.read"}}, 400, "scim.read is a restricted scope."},
		"restricted uaa.admin": {
			"minter", restricted, "a", authorities("uaa.admin"), 400, "uaa.admin is a restricted authority.",
		},
		"restricted clients.read": {
			"admin", restricted, "a", authorities("orders.read", "clients.read"), 400, "clients.read is a restricted authority.",
		},
		"restricted zone": {
			"minter", restricted, "a", authorities("zones.acme.admin"), 400, "zones.acme.admin is a restricted authority.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.as(c.caller, http.MethodPost, c.path, workload(c.id, c.changes))
			if got.status != c.status {
				t.Fatalf("got %d %s, want %d", got.status, got.body, c.status)
			}
			if c.want == "" {
				if !strings.Contains(got.body, "Uh oh.") {
					t.Errorf("got %q, want the HTML page", got.body)
				}
				return
			}
			if code, description := got.failure(t); code != "invalid_client" || description != c.want {
				t.Errorf("got %s %q, want invalid_client %q", code, description, c.want)
			}
		})
	}

	t.Run("grant types", func(t *testing.T) {
		t.Parallel()
		for _, list := range [][]string{{}, {"magic"}} {
			got := f.as("minter", http.MethodPost, plain, workload("a", map[string]any{"authorized_grant_types": list}))
			if _, description := got.failure(t); got.status != 400 || !strings.Contains(description, "Must be one of: [") {
				t.Errorf("%v: got %d %q, want 400 with the list", list, got.status, description)
			}
		}
	})
	t.Cleanup(func() {
		if f.store.has("a") {
			t.Error("a refused client was made")
		}
	})
}

func TestCreateClientAllowed(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	authorities := func(list ...string) map[string]any { return map[string]any{"authorities": list} }

	for name, c := range map[string]struct {
		caller, path, id string
		changes          map[string]any
		want             []string // authorities afterwards
	}{
		"by uaa.admin alone":            {"root", "", "a1", nil, []string{"orders.read"}},
		"255 characters":                {"minter", "", strings.Repeat("x", 255), nil, []string{"orders.read"}},
		"an empty id":                   {"minter", "", "", nil, []string{"orders.read"}},
		"an id with a slash":            {"minter", "", "a/b", nil, []string{"orders.read"}},
		"upper case":                    {"minter", "", "A1", nil, []string{"orders.read"}},
		"secret of 255":                 {"minter", "", "a2", map[string]any{"client_secret": strings.Repeat("s", 255)}, []string{"orders.read"}},
		"additional of 4000":            {"minter", "", "a3", map[string]any{"afi": strings.Repeat("x", 4000)}, []string{"orders.read"}},
		"no authorities":                {"minter", "", "a4", map[string]any{"authorities": nil}, []string{"uaa.none"}},
		"admin makes root":              {"minter", "", "a5", authorities("uaa.admin"), []string{"uaa.admin"}},
		"writer makes a resource":       {"writer", "", "a6", authorities("uaa.resource"), []string{"uaa.resource"}},
		"restricted lets CC through":    {"minter", "/restricted", "a7", authorities("cloud_controller.admin"), []string{"cloud_controller.admin"}},
		"restricted lets tokens.* pass": {"minter", "/restricted", "a8", authorities("tokens.revoke"), []string{"tokens.revoke"}},
		"a list as a text":              {"minter", "", "a9", map[string]any{"authorities": "a.b,c.d"}, []string{"a.b", "c.d"}},
		// The hole that the broker's own grammar for authorities must close.
		"a comma in a value makes root": {
			"minter", "/restricted", "a10", authorities("orders.read,uaa.admin"), []string{"orders.read", "uaa.admin"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.as(c.caller, http.MethodPost, "/oauth/clients"+c.path, workload(c.id, c.changes))
			if got.status != http.StatusCreated {
				t.Fatalf("got %d %s, want 201", got.status, got.body)
			}
			if list := sorted(stringsOf(got.json(t)["authorities"])); !slices.Equal(list, c.want) {
				t.Errorf("answered authorities: got %v, want %v", list, c.want)
			}
			if state, _ := f.Client(c.id); !slices.Equal(state.Authorities, c.want) {
				t.Errorf("stored authorities: got %v, want %v", state.Authorities, c.want)
			}
		})
	}
}

func TestGetAndDeleteClient(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	made := f.as("admin", http.MethodPost, "/oauth/clients", workload("afi-1", map[string]any{"afi_x": "y"})).json(t)

	got := f.as("reader", http.MethodGet, "/oauth/clients/afi-1", nil)
	if got.status != 200 || fmt.Sprint(got.json(t)) != fmt.Sprint(made) {
		t.Errorf("GET: got %d %s, want 200 and what POST answered", got.status, got.body)
	}
	for name, got := range map[string]answer{
		"GET of another case": f.as("reader", http.MethodGet, "/oauth/clients/AFI-1", nil),
		"GET missing":         f.as("reader", http.MethodGet, "/oauth/clients/none", nil),
		"DELETE missing":      f.as("writer", http.MethodDelete, "/oauth/clients/none", nil),
		"GET with a slash":    f.as("reader", http.MethodGet, "/oauth/clients/a/b", nil),
	} {
		if got.status != 404 || got.body != "" || got.header.Get("Content-Length") != "0" {
			t.Errorf("%s: got %d %q, want 404 and nothing", name, got.status, got.body)
		}
	}

	got = f.as("writer", http.MethodDelete, "/oauth/clients/afi-1", nil)
	if got.status != 200 || fmt.Sprint(got.json(t)) != fmt.Sprint(made) {
		t.Errorf("DELETE: got %d %s, want 200 and the deleted client", got.status, got.body)
	}
	if got := f.as("reader", http.MethodGet, "/oauth/clients/afi-1", nil); got.status != 404 {
		t.Errorf("GET afterwards: got %d, want 404", got.status)
	}
	if got := f.grant("afi-1", "workload-secret"); got.status != 401 {
		t.Errorf("token afterwards: got %d, want 401", got.status)
	}
	if got := f.Creates()["afi-1"]; got != 1 {
		t.Errorf("Creates: got %d, want 1", got)
	}
}

func TestListOrderIsNotKept(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	sent := []string{"a.read", "b.read", "c.read", "d.read", "e.read"}
	got := f.as("admin", http.MethodPost, "/oauth/clients", workload("afi-1", map[string]any{"authorities": sent})).json(t)
	list := stringsOf(got["authorities"])
	if slices.Equal(list, sent) || !slices.Equal(sorted(list), sent) {
		t.Errorf("authorities: got %v, want the same in another order", list)
	}
}

func TestCreateSameClientAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	token := f.token("admin")

	var created, taken atomic.Int64
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			got := f.do(http.MethodPost, "/oauth/clients",
				`{"client_id":"afi-1","client_secret":"s","authorized_grant_types":["client_credentials"]}`,
				"Authorization", "Bearer "+token, "Content-Type", "application/json")
			switch got.status {
			case http.StatusCreated:
				created.Add(1)
			case http.StatusConflict:
				taken.Add(1)
			}
		})
	}
	group.Wait()
	if created.Load() != 1 || taken.Load() != 9 {
		t.Errorf("created, taken: got %d, %d, want 1, 9", created.Load(), taken.Load())
	}
}
