package uaa

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

const grantsText = "An authorized grant type must be provided. Must be one of: [implicit, refresh_token, " +
	"urn:ietf:params:oauth:grant-type:saml2-bearer, password, client_credentials, authorization_code, user_token, " +
	"urn:ietf:params:oauth:grant-type:jwt-bearer]"

// Each body is put on a client like this, and the answer is the real one's.
func TestUpdateMerges(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	made := func(id string) {
		got := f.as("admin", http.MethodPost, "/oauth/clients", workload(id, map[string]any{
			"name": "n", "authorities": []string{"a.r", "a.w"}, "afi_a": "1", "afi_b": map[string]any{"c": 2},
		}))
		if got.status != 201 {
			t.Fatalf("got %d %s, want 201", got.status, got.body)
		}
	}
	const grants = `"authorized_grant_types":["client_credentials"]`
	tests := []struct {
		name, sent string // beside the id
		want       string // authorities, grant types, life, name, afi_a, afi_b
	}{
		{"nothing", ``, `[a.r a.w] [client_credentials] 600 n 1 map[c:2]`},
		{"a name", `"name":"m"`, `[a.r a.w] [client_credentials] 600 m 1 map[c:2]`},
		{"empty lists", `"authorities":[],"scope":[],"authorized_grant_types":[]`, `[a.r a.w] [client_credentials] 600 n 1 map[c:2]`},
		{"empty texts", `"authorities":"","scope":""`, `[a.r a.w] [client_credentials] 600 n 1 map[c:2]`},
		{"the name of nothing", `"authorities":["uaa.none"]`, `[uaa.none] [client_credentials] 600 n 1 map[c:2]`},
		{"a list is whole", `"authorities":["b.r"]`, `[b.r] [client_credentials] 600 n 1 map[c:2]`},
		{"a comma in a value", `"authorities":["a.r,uaa.admin"]`, `[a.r uaa.admin] [client_credentials] 600 n 1 map[c:2]`},
		{"an additional key", `"afi_a":"2"`, `[a.r a.w] [client_credentials] 600 n 2 map[c:2]`},
		{"an additional key in another form", `"afi_b":true`, `[a.r a.w] [client_credentials] 600 n 1 true`},
		{"a life", `"access_token_validity":60`, `[a.r a.w] [client_credentials] 60 n 1 map[c:2]`},
		{"a life that is null", `"access_token_validity":null`, `[a.r a.w] [client_credentials] 600 n 1 map[c:2]`},
		{"a scope that is null", `"scope":null`, `[a.r a.w] [client_credentials] 600 n 1 map[c:2]`},
		// The merge is undone: what is not in the body is lost.
		{"a null among the additional keys", grants + `,"afi_a":null`, `[uaa.none] [client_credentials] <nil> <nil> <nil> <nil>`},
		{"a null, and the rest", grants + `,"afi_a":null,"name":"m","authorities":["b.r"],"access_token_validity":60`,
			`[b.r] [client_credentials] 60 m <nil> <nil>`},
		{"a name that is null", grants + `,"name":null`, `[uaa.none] [client_credentials] <nil> <nil> <nil> <nil>`},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			id := fmt.Sprint("afi-", i)
			made(id)
			for _, path := range []string{"/oauth/clients/", "/oauth/clients/restricted/"} {
				sent := strings.TrimSuffix(`{"client_id":"`+id+`",`+test.sent, ",") + "}"

				got := f.as("minter", http.MethodPut, path+id, sent)

				if got.status != 200 {
					t.Fatalf("%s: got %d %s, want 200", path, got.status, got.body)
				}
				body := got.json(t)
				text := fmt.Sprintf("%v %v %v %v %v %v", sorted(stringsOf(body["authorities"])), body["authorized_grant_types"],
					body["access_token_validity"], body["name"], body["afi_a"], body["afi_b"])
				if text != test.want {
					t.Errorf("%s: got %s, want %s", path, text, test.want)
				}
				if scope := fmt.Sprint(body["scope"]); scope != "[uaa.none]" {
					t.Errorf("%s: scope: got %s, want [uaa.none]", path, scope)
				}
				if read := f.as("reader", http.MethodGet, "/oauth/clients/"+id, nil); fmt.Sprint(read.json(t)) != fmt.Sprint(body) {
					t.Errorf("%s: GET: got %s, want what PUT answered: %s", path, read.body, got.body)
				}
				if got := f.grant(id, "workload-secret"); got.status != 200 {
					t.Errorf("%s: token: got %d %s, want 200: the secret is never touched", path, got.status, got.body)
				}
			}
			if state, _ := f.Client(id); state.Updated != 2 || state.Created != 1 || f.Updates()[id] != 2 {
				t.Errorf("counts: got %+v, want two updates", state)
			}
		})
	}
}

func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	if got := f.as("admin", http.MethodPost, "/oauth/clients", workload("afi-1", nil)); got.status != 201 {
		t.Fatalf("got %d, want 201", got.status)
	}
	before, _ := f.Client("afi-1")
	const plain, restricted = "/oauth/clients/afi-1", "/oauth/clients/restricted/afi-1"
	const html = "Uh oh."
	for name, c := range map[string]struct {
		caller, path, sent string
		status             int
		want               string // the description, a part of the page, or "" for nothing at all
	}{
		"another id":          {"minter", plain, `{"client_id":"afi-2"}`, 500, html},
		"no id":               {"minter", restricted, `{"name":"m"}`, 500, html},
		"authorities of null": {"minter", plain, `{"client_id":"afi-1","authorities":null}`, 400, html},
		"grant types of null": {"minter", plain, `{"client_id":"afi-1","authorized_grant_types":null}`, 400, html},
		"half a body":         {"minter", plain, `{"client_id":`, 400, html},
		"too long":            {"minter", plain, `{"client_id":"afi-1","afi":"` + strings.Repeat("x", 4100) + `"}`, 500, html},
		"no merge and no grant type": {
			"minter", plain, `{"client_id":"afi-1","afi":null}`, 400, grantsText,
		},
		"an unknown grant type": {
			"minter", plain, `{"client_id":"afi-1","authorized_grant_types":["magic"]}`, 400,
			"magic is not an allowed grant type. " + grantsText[len("An authorized grant type must be provided. "):],
		},
		"restricted authority": {
			"minter", restricted, `{"client_id":"afi-1","authorities":["uaa.admin"]}`, 400, "uaa.admin is a restricted authority.",
		},
		"restricted scope":            {"minter", restricted, `{"client_id":"afi-1","scope":["scim.read"]}`, 400, "scim.read is a restricted scope."},
		"restricted before the id":    {"minter", restricted, `{"client_id":"x","authorities":["uaa.admin"]}`, 400, "uaa.admin is a restricted authority."},
		"missing":                     {"minter", "/oauth/clients/none", `{"client_id":"none","authorized_grant_types":["client_credentials"]}`, 404, ""},
		"missing, restricted":         {"minter", "/oauth/clients/restricted/none", `{"client_id":"none","authorized_grant_types":["client_credentials"]}`, 404, ""},
		"missing, and no grant types": {"minter", "/oauth/clients/none", `{"client_id":"none"}`, 400, grantsText},
		"missing, and another id":     {"minter", "/oauth/clients/none", `{"client_id":"afi-1"}`, 500, html},
		"a writer, with what is kept": {
			"writer", plain, `{"client_id":"afi-1","name":"m"}`, 400,
			"orders.read is not an allowed authority for caller=writer. Must be one of: [uaa.resource, uaa.none]",
		},
		"a reader":         {"reader", plain, `{"client_id":"afi-1"}`, 403, "Insufficient scope for this resource"},
		"no such path":     {"minter", "/oauth/clients/afi-1/x", `{"client_id":"afi-1"}`, 405, html},
		"the list of them": {"minter", "/oauth/clients", `{"client_id":"afi-1"}`, 405, html},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.as(c.caller, http.MethodPut, c.path, c.sent)
			if got.status != c.status {
				t.Fatalf("got %d %s, want %d", got.status, got.body, c.status)
			}
			switch c.want {
			case "":
				if got.body != "" || got.header.Get("Content-Length") != "0" {
					t.Errorf("got %q, want nothing", got.body)
				}
			case html:
				if !strings.Contains(got.body, html) {
					t.Errorf("got %q, want the HTML page", got.body)
				}
			default:
				if _, description := got.failure(t); description != c.want {
					t.Errorf("got %q, want %q", description, c.want)
				}
			}
		})
	}
	for name, got := range map[string]answer{
		"no token": f.do(http.MethodPut, plain, `{"client_id":"afi-1"}`, "Content-Type", "application/json"),
		"no type":  f.do(http.MethodPut, plain, `{"client_id":"afi-1"}`, "Authorization", "Bearer "+f.token("admin")),
	} {
		if want := map[string]int{"no token": 401, "no type": 415}[name]; got.status != want {
			t.Errorf("%s: got %d, want %d", name, got.status, want)
		}
	}
	t.Cleanup(func() {
		after, _ := f.Client("afi-1")
		if fmt.Sprint(after) != fmt.Sprint(before) || len(f.Updates()) != 0 || f.store.has("none") {
			t.Errorf("afterwards: got %+v and updates %v, want what was there", after, f.Updates())
		}
	})
}

// Both secrets stay, and so do tokens, unless they say what is taken away.
func TestUpdateAndTokens(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	if got := f.as("admin", http.MethodPost, "/oauth/clients", workload("afi-1", map[string]any{"authorities": []string{"a.r", "a.w"}})); got.status != 201 {
		t.Fatalf("got %d, want 201", got.status)
	}
	if set, err := f.SetSecrets("afi-1", "older", "newer"); !set || err != nil {
		t.Fatalf("got %v, %v", set, err)
	}
	token := f.grant("afi-1", "older").json(t)["access_token"].(string)
	check := func() answer {
		return f.form("/check_token", "resource", "resource-secret", url.Values{"token": {token}})
	}
	put := func(sent string) {
		t.Helper()
		if got := f.as("minter", http.MethodPut, "/oauth/clients/restricted/afi-1", `{"client_id":"afi-1",`+sent+`}`); got.status != 200 {
			t.Fatalf("%s: got %d %s, want 200", sent, got.status, got.body)
		}
	}

	put(`"authorities":["a.r","a.w","a.x"],"client_secret":"third","access_token_validity":1`)
	if got := check(); got.status != 200 {
		t.Errorf("wider: got %d %s, want 200", got.status, got.body)
	}
	for secret, want := range map[string]int{"older": 200, "newer": 200, "third": 401} {
		if got := f.grant("afi-1", secret); got.status != want {
			t.Errorf("secret %s: got %d, want %d", secret, got.status, want)
		}
	}
	put(`"authorities":["a.r"]`)
	const missing = `{"error":"invalid_token","error_description":"Some required &quot;scope&quot; are missing: [a.w]"}`
	if got := check(); got.status != 400 || strings.TrimSpace(got.body) != missing {
		t.Errorf("narrower: got %d %s, want 400 %s", got.status, got.body, missing)
	}
	put(`"authorities":["a.w","a.r"]`)
	if got := check(); got.status != 200 {
		t.Errorf("wide again: got %d %s, want 200", got.status, got.body)
	}
}

func TestUpdatesAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	if got := f.as("admin", http.MethodPost, "/oauth/clients", workload("afi-1", nil)); got.status != 201 {
		t.Fatalf("got %d, want 201", got.status)
	}
	token := f.token("admin")
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			got := f.do(http.MethodPut, "/oauth/clients/afi-1", fmt.Sprintf(`{"client_id":"afi-1","afi_%d":"x"}`, i),
				"Authorization", "Bearer "+token, "Content-Type", "application/json")
			if got.status != 200 {
				t.Errorf("got %d %s, want 200", got.status, got.body)
			}
		})
	}
	group.Wait()
	if state, _ := f.Client("afi-1"); len(state.AdditionalInformation) != 20 || state.Updated != 20 ||
		!slices.Equal(state.Authorities, []string{"orders.read"}) {
		t.Errorf("got %+v, want twenty keys and twenty updates", state)
	}
}
