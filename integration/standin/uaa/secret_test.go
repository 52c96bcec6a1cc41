package uaa

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"airflow-identity/integration/standin"
)

const (
	twoAlready = "client secret is either empty or client already has two secrets."
	oneOnly    = "client secret is either empty or client has only one secret."
	nullSecret = "Client Secret cannot be null."
	noSecret   = "Client Secret must be at least 1 characters in length."
	longSecret = "Client Secret must be no more than 255 characters in length."
)

// setSecret changes a secret as an admin, and has to succeed.
func (f *fixture) setSecret(id, mode, secret string) {
	f.t.Helper()
	got := f.as("minter", http.MethodPut, "/oauth/clients/"+id+"/secret", map[string]any{"secret": secret, "changeMode": mode})
	if got.status != http.StatusOK {
		f.t.Fatalf("%s of %s: got %d %s, want 200", mode, id, got.status, got.body)
	}
}

// granted gives a token of a client.
func (f *fixture) granted(id, secret string) string {
	f.t.Helper()
	got := f.grant(id, secret)
	if got.status != http.StatusOK {
		f.t.Fatalf("token of %s by %s: got %d %s, want 200", id, secret, got.status, got.body)
	}
	return got.json(f.t)["access_token"].(string)
}

func (f *fixture) checked(token string) (status int, description string) {
	f.t.Helper()
	got := f.form("/check_token", "resource", "resource-secret", url.Values{"token": {token}})
	_, description = got.failure(f.t)
	return got.status, description
}

func TestSecretsOfAClient(t *testing.T) {
	t.Parallel()
	f := start(t, Config{Clients: []Client{{ID: "afi-1", Secret: "s0"}}})

	for _, step := range []struct {
		name, sent string
		status     int
		want       string // message, or description; "" for UAA's page
		accepted   string
	}{
		{"DELETE of the only one", `{"changeMode":"DELETE","secret":"s0"}`, 400, oneOnly, "s0"},
		{"ADD of nothing", `{"changeMode":"ADD","secret":""}`, 400, noSecret, "s0"},
		{"ADD of none", `{"changeMode":"ADD"}`, 400, nullSecret, "s0"},
		{"ADD of null", `{"changeMode":"ADD","secret":null}`, 400, nullSecret, "s0"},
		{"ADD of too much", `{"changeMode":"ADD","secret":"` + strings.Repeat("x", 256) + `"}`, 400, longSecret, "s0"},
		{"ADD", `{"clientId":"afi-1","changeMode":"ADD","secret":"s1"}`, 200, "Secret is added", "s0 s1"},
		{"ADD again", `{"changeMode":"ADD","secret":"s2"}`, 400, twoAlready, "s0 s1"},
		{"ADD again, of nothing", `{"changeMode":"ADD","secret":""}`, 400, twoAlready, "s0 s1"},
		{"a PUT of the client", "", 200, "", "s0 s1"},
		{"DELETE, naming the newer", `{"changeMode":"DELETE","secret":"s1"}`, 200, "Secret is deleted", "s1"},
		{"DELETE again", `{"changeMode":"DELETE"}`, 400, oneOnly, "s1"},
		{"ADD, of another client by the body", `{"clientId":"reader","changeMode":"ADD","secret":"s2"}`, 200, "Secret is added", "s1 s2"},
		{"UPDATE of two", `{"changeMode":"UPDATE","secret":"s3"}`, 200, "secret updated", "s3"},
		{"no mode", `{"secret":"s4","foo":1}`, 200, "secret updated", "s4"},
		{"UPDATE of nothing", `{"secret":""}`, 400, noSecret, "s4"},
		{"UPDATE of none", `{}`, 400, nullSecret, "s4"},
		{"a mode that is none", `{"secret":"s5","changeMode":"FOO"}`, 400, "", "s4"},
		{"a mode in small letters", `{"secret":"s5","changeMode":"add"}`, 400, "", "s4"},
		{"a mode that is null", `{"secret":"s5","changeMode":null}`, 500, "", "s4"},
		{"half a body", `{`, 400, "", "s4"},
		{"a list", `[]`, 400, "", "s4"},
	} {
		path := "/oauth/clients/afi-1/secret"
		if step.sent == "" {
			path, step.sent = "/oauth/clients/afi-1", `{"client_id":"afi-1"}`
		}
		got := f.as("minter", http.MethodPut, path, step.sent)
		said := ""
		if strings.HasPrefix(got.body, "{") {
			body := got.json(t)
			said, _ = body["message"].(string)
			if got.status != 200 {
				code, description := got.failure(t)
				said = description
				if code != "invalid_client" {
					t.Errorf("%s: got %s, want invalid_client", step.name, code)
				}
			}
		} else if !strings.Contains(got.body, "Uh oh.") {
			t.Errorf("%s: got %s, want UAA's page", step.name, got.body)
		}
		if got.status != step.status || said != step.want {
			t.Errorf("%s: got %d %q, want %d %q", step.name, got.status, said, step.status, step.want)
		}
		var accepted []string
		for i := range 6 {
			secret := fmt.Sprint("s", i)
			if f.Accepts("afi-1", secret) {
				accepted = append(accepted, secret)
			}
		}
		if strings.Join(accepted, " ") != step.accepted {
			t.Errorf("%s: accepted are %v, want %s", step.name, accepted, step.accepted)
		}
		if state, _ := f.Client("afi-1"); state.Secrets != len(accepted) {
			t.Errorf("%s: got %d secrets, want %d", step.name, state.Secrets, len(accepted))
		}
	}

	if got := fmt.Sprint(f.SecretChanges()); got != "map[afi-1:map[ADD:2 DELETE:1 UPDATE:2]]" {
		t.Errorf("SecretChanges: got %s, want those that acted", got)
	}
	for name, got := range map[string]answer{
		"no such client":               f.as("minter", http.MethodPut, "/oauth/clients/none/secret", `{"changeMode":"ADD"}`),
		"no such client, by its owner": f.as("changer", http.MethodPut, "/oauth/clients/none/secret", `{"secret":"x"}`),
	} {
		if got.status != 404 || got.body != "" || got.header.Get("Content-Length") != "0" {
			t.Errorf("%s: got %d %q, want 404 and nothing", name, got.status, got.body)
		}
	}
	if got := f.as("minter", http.MethodPost, "/oauth/clients/afi-1/secret", "{}"); got.status != 405 || got.header.Get("Allow") != "PUT" {
		t.Errorf("POST: got %d, Allow %q, want 405 and PUT", got.status, got.header.Get("Allow"))
	}
}

func TestWhoMayChangeASecret(t *testing.T) {
	t.Parallel()
	const (
		another  = "Bad request. Not permitted to change another client's secret"
		previous = "Previous secret is required and must be valid"
	)
	for name, c := range map[string]struct {
		caller, id, sent string
		status           int
		want             string
	}{
		"an admin another's":           {"minter", "nobody", `{"secret":"n"}`, 200, ""},
		"an admin its own":             {"minter", "minter", `{"secret":"n"}`, 200, ""},
		"root another's":               {"root", "nobody", `{"secret":"n"}`, 200, ""},
		"another's":                    {"changer", "nobody", `{"secret":"n","oldSecret":"nobody-secret"}`, 400, another},
		"its own":                      {"changer", "changer", `{"secret":"n","oldSecret":"changer-secret"}`, 200, ""},
		"its own, adding":              {"changer", "changer", `{"secret":"n","oldSecret":"changer-secret","changeMode":"ADD"}`, 200, ""},
		"its own, without the old one": {"changer", "changer", `{"secret":"n"}`, 400, previous},
		"its own, with a wrong one":    {"changer", "changer", `{"secret":"n","oldSecret":"x"}`, 400, previous},
		"dropping without the old one": {"changer", "changer", `{"changeMode":"DELETE"}`, 400, previous},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, Config{})
			got := f.as(c.caller, http.MethodPut, "/oauth/clients/"+c.id+"/secret", c.sent)
			if _, description := got.failure(t); got.status != c.status || description != c.want {
				t.Errorf("got %d %s, want %d %q", got.status, got.body, c.status, c.want)
			}
		})
	}
}

// A token is tied to the newer secret of the moment, whichever it was got with.
func TestTokensWhileSecretsChange(t *testing.T) {
	t.Parallel()
	f := start(t, Config{Clients: []Client{{ID: "afi-1", Secret: "older"}}})
	tokens := map[string]string{}
	expect := func(when, alive string) {
		t.Helper()
		for name, token := range tokens {
			want := 400
			if strings.Contains(alive, name) {
				want = 200
			}
			status, description := f.checked(token)
			if status != want || want == 400 && description != "revocable signature mismatch" {
				t.Errorf("%s, the token got %s: got %d %q, want %d", when, name, status, description, want)
			}
		}
	}

	tokens["before"] = f.granted("afi-1", "older")
	f.setSecret("afi-1", ModeAdd, "newer")
	tokens["with the older"] = f.granted("afi-1", "older")
	tokens["with the newer"] = f.granted("afi-1", "newer")
	expect("after ADD", "before, with the older, with the newer")
	f.setSecret("afi-1", ModeDelete, "")
	expect("after DELETE", "with the older, with the newer")
	if got := f.grant("afi-1", "older"); got.status != 401 {
		t.Errorf("the older, though its match is remembered: got %d, want 401", got.status)
	}
	f.setSecret("afi-1", ModeUpdate, "newer")
	expect("after an UPDATE to what it was", "")
}

func TestHashesOfTwoSecrets(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now, Clients: []Client{{ID: "afi-1", Secret: "older"}}})
	token := f.token("minter")
	change := func(body string) func() {
		return func() {
			f.do(http.MethodPut, "/oauth/clients/afi-1/secret", body, "Authorization", "Bearer "+token, "Content-Type", "application/json")
		}
	}
	grant := func(secret string) func() { return func() { f.grant("afi-1", secret) } }

	for _, step := range []struct {
		name string
		do   func()
		want int64
	}{
		{"ADD", change(`{"changeMode":"ADD","secret":"newer"}`), 1},
		{"ADD, refused", change(`{"changeMode":"ADD","secret":"newest"}`), 0},
		{"the older", grant("older"), 1},
		{"the older, remembered", grant("older"), 0},
		{"the newer", grant("newer"), 2},
		{"the newer, the mismatch not remembered", grant("newer"), 1},
		{"neither", grant("wrong"), 2},
		{"asking past the API", func() { f.Accepts("afi-1", "newer") }, 0},
		{"DELETE", change(`{"changeMode":"DELETE"}`), 0},
		{"the newer alone, remembered", grant("newer"), 0},
		{"the older alone", grant("older"), 1},
		{"DELETE, refused", change(`{"changeMode":"DELETE"}`), 0},
		{"UPDATE", change(`{"secret":"newer"}`), 1},
		{"the same text, another hash", grant("newer"), 1},
	} {
		before := f.Hashes()
		step.do()
		if got := f.Hashes() - before; got != step.want {
			t.Errorf("%s: got %d hashes, want %d", step.name, got, step.want)
		}
	}
}

// Changes that overlap are all answered 200, and the last to write wins.
func TestSecretChangesOverlap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secrets  []string
		first    string // writes before the second, and read before it wrote
		second   string
		accepted string
	}{
		"two ADDs": {[]string{"s0"}, `{"changeMode":"ADD","secret":"s1"}`, `{"changeMode":"ADD","secret":"s2"}`, "s0 s2"},
		"two DELETEs": {
			[]string{"s0", "s1"}, `{"changeMode":"DELETE"}`, `{"changeMode":"DELETE"}`, "s1",
		},
		"an UPDATE undone by an ADD": {[]string{"s0"}, `{"secret":"s1"}`, `{"changeMode":"ADD","secret":"s2"}`, "s0 s2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waiting, release := make(chan struct{}, 2), make(chan struct{})
			var order sync.Once
			f := start(t, Config{
				Clients: []Client{{ID: "afi-1", Secret: "s0"}},
				BeforeSecretWrite: func(string) {
					held := false
					order.Do(func() { held = true })
					waiting <- struct{}{}
					if held {
						<-release
					}
				},
			})
			f.setSecrets("afi-1", c.secrets...)
			token := "Bearer " + f.token("minter")
			put := func(body string) int {
				return f.do(http.MethodPut, "/oauth/clients/afi-1/secret", body, "Authorization", token, "Content-Type", "application/json").status
			}

			late := make(chan int)
			go func() { late <- put(c.second) }()
			<-waiting // it has read, and writes once it is released
			first := put(c.first)
			close(release)
			second := <-late

			if first != 200 || second != 200 {
				t.Errorf("got %d and %d, want 200 twice", first, second)
			}
			var accepted []string
			for i := range 3 {
				if secret := fmt.Sprint("s", i); f.Accepts("afi-1", secret) {
					accepted = append(accepted, secret)
				}
			}
			if strings.Join(accepted, " ") != c.accepted {
				t.Errorf("accepted are %v, want %s", accepted, c.accepted)
			}
		})
	}
}

func TestSecretChangeOfAClientThatIsGone(t *testing.T) {
	t.Parallel()
	var f *fixture
	f = start(t, Config{
		Clients:           []Client{{ID: "afi-1", Secret: "s0"}},
		BeforeSecretWrite: func(id string) { f.RemoveClient(id) },
	})
	got := f.as("minter", http.MethodPut, "/oauth/clients/afi-1/secret", `{"changeMode":"ADD","secret":"s1"}`)
	if got.status != 404 || f.store.has("afi-1") || len(f.SecretChanges()) != 0 {
		t.Errorf("got %d, %v, want 404 and nothing changed", got.status, f.SecretChanges())
	}
}

func TestFaultsPickChangesOfASecret(t *testing.T) {
	t.Parallel()
	f := start(t, Config{ContextPath: "/uaa", Clients: []Client{{ID: "afi-1", Secret: "s0"}}})
	f.Faults.Add(
		standin.Fault{Call: "PUT /oauth/clients/", Match: ChangesSecret(ModeDelete), Status: 502},
		standin.Fault{Call: "PUT /oauth/clients/afi-1/secret", Match: ChangesSecret(ModeUpdate), Status: 503},
		standin.Fault{Call: "GET /oauth/token/revoke/client/afi-1", Status: 504},
	)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/oauth/clients/afi-1", `{"client_id":"afi-1"}`, 200},
		{"PUT", "/oauth/clients/afi-1/secret", `{"changeMode":"ADD","secret":"s1"}`, 200},
		{"PUT", "/oauth/clients/afi-1/secret", `{"secret":"s1"}`, 503},
		{"PUT", "/oauth/clients/afi-1/secret", `{"changeMode":"DELETE"}`, 502},
		{"GET", "/oauth/token/revoke/client/afi-1", "", 504},
	} {
		if got := f.as("admin", c.method, c.path, c.body); got.status != c.want {
			t.Errorf("%s %s %s: got %d, want %d", c.method, c.path, c.body, got.status, c.want)
		}
	}
}
