package airflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/airflow"
	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	standinairflow "airflow-identity/integration/standin/airflow"
	"airflow-identity/remote"
)

const clientSecret = "clients-own-very-secret-word"

// hand is a clock that tests move.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func newHand() *hand { return &hand{now: time.Now()} }

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// variable is a secret that can be replaced, or be gone.
type variable struct {
	mu   sync.Mutex
	text string
}

func (v *variable) set(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text = text
}

func (v *variable) credential() (identity.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.text == "" {
		return identity.Secret{}, errors.New("it is gone")
	}
	return identity.SecretFrom(v.text), nil
}

// Every login works, is renewed in time, and is refused with the system's words and
// without ours.
func TestLogins(t *testing.T) {
	t.Parallel()
	type made struct {
		login  func(*standinairflow.Server, remote.Credential) airflow.Login
		right  string // the credential
		says   string // of a wrong one
		renews bool   // after an hour there is a new token
		call   string // that renews it
	}
	logins := map[string]made{
		"password": {func(_ *standinairflow.Server, c remote.Credential) airflow.Login {
			return airflow.Password{Username: username, Password: c}
		}, password, "Invalid credentials", true, "POST /auth/token"},
		"keycloak": {func(_ *standinairflow.Server, c remote.Credential) airflow.Login {
			return airflow.Keycloak{ClientID: "afi", ClientSecret: c}
		}, clientSecret, "Invalid credentials", true, "POST /auth/token"},
		"client credentials": {func(s *standinairflow.Server, c remote.Credential) airflow.Login {
			return airflow.ClientCredentials{TokenURL: s.TokenURL(), ClientID: "afi", ClientSecret: c, Scope: "airflow.write airflow.read"}
		}, clientSecret, "invalid_client: Bad credentials", true, "POST /issuer/token"},
		"basic": {func(_ *standinairflow.Server, c remote.Credential) airflow.Login {
			return airflow.Basic{Username: username, Password: c}
		}, password, "a wrong login", false, ""},
		"token": {func(_ *standinairflow.Server, c remote.Credential) airflow.Login { return airflow.Token{Token: c} },
			ownToken, "", false, ""},
	}
	only := map[string]airflow.API{"password": airflow.V2, "keycloak": airflow.V2, "basic": airflow.V1}
	overBoth(t, func(t *testing.T, d dialect) {
		for name, login := range logins {
			if api := only[name]; api != "" && api != d.api {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				clock := newHand()
				server := d.start(t, standinairflow.Config{
					Now: clock.Now, TokenLifetime: time.Hour,
					Tokens:  map[string]string{ownToken: standinairflow.RoleOp},
					Clients: map[string]standinairflow.User{"afi": {Password: clientSecret, Role: standinairflow.RoleOp}},
				})
				var renewals atomic.Int32
				if login.call != "" {
					server.Faults.Add(standin.Fault{Call: login.call, Kind: standin.Notice, Times: 1 << 30, Before: func() { renewals.Add(1) }})
				}
				credential, log := &variable{text: "not-the-right-word-for-it"}, &logs{}
				client := newClient(t, airflow.Config{
					URL: server.URL(), API: airflow.Auto, Login: login.login(server, credential.credential), Clock: clock.Now, Logger: log.logger(),
				})
				read := func() (identity.Outcome, error) {
					_, outcome, err := client.Read(background, orders)
					return outcome, err
				}

				outcome, err := read()
				if outcome != identity.Later || !strings.Contains(err.Error(), login.says) {
					t.Errorf("with a wrong credential: got %s, %v; want later, and %q", outcome, err, login.says)
				}
				credential.set(login.right)
				renewals.Store(0)
				for i, after := range []time.Duration{0, 30 * time.Minute, 20 * time.Minute} {
					clock.pass(after)
					outcome, err = read()
					if outcome != identity.NotThere {
						t.Fatalf("call %d: got %s, %v; want not_there", i, outcome, err)
					}
				}
				if got := renewals.Load(); login.renews && got != 2 {
					t.Errorf("got %d logins, want 2: the second before the first has ended", got)
				}
				credential.set("")
				outcome, err = read()
				if outcome != identity.NotThere {
					t.Errorf("with a credential that is gone, while there is a token: got %s, %v; want not_there", outcome, err)
				}
				clock.pass(2 * time.Hour)
				outcome, err = read()
				if outcome != identity.Later || !strings.Contains(err.Error(), "it is gone") {
					t.Errorf("with a credential that is gone: got %s, %v; want later", outcome, err)
				}
				for _, word := range []string{login.right, "not-the-right-word"} {
					if strings.Contains(log.String(), word) {
						t.Errorf("the log tells %q", word)
					}
				}
			})
		}
	})
}

// A token in a file counts as soon as it is there.
func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var calls atomic.Int32
	url, _ := asked(t, reply(200, `{"version":"3.3.2"}`), func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("Authorization") != "Bearer the-second" {
			reply(401, `{"detail":"Token Expired"}`)(w, r)
			return
		}
		reply(404, missing)(w, r)
	})
	client := newClient(t, airflow.Config{URL: url, API: airflow.Auto, Login: airflow.Token{Token: func() (identity.Secret, error) {
		text, err := os.ReadFile(path)
		return identity.SecretFrom(string(text)), err
	}}})

	write("the-first")
	_, outcome, err := client.Read(background, orders)
	if outcome != identity.Later || !strings.Contains(err.Error(), "Token Expired") || calls.Load() != 1 {
		t.Errorf("got %s, %v in %d calls; want later in 1: no other token is to be had", outcome, err, calls.Load())
	}
	write("the-second")
	_, outcome, err = client.Read(background, orders)
	if outcome != identity.NotThere || calls.Load() != 2 {
		t.Errorf("got %s, %v in %d calls; want not_there in 2", outcome, err, calls.Load())
	}
	write("two\nlines")
	_, outcome, err = client.Read(background, orders)
	if outcome != identity.NotThere {
		t.Errorf("while the file is no token: got %s, %v; want the last one to serve", outcome, err)
	}
}

func TestTokenThatNoHeaderCarries(t *testing.T) {
	t.Parallel()
	client := newClient(t, airflow.Config{URL: "http://127.0.0.1:1", API: airflow.Auto, Login: airflow.Token{Token: fixed("secret\nsecret")}})
	_, outcome, err := client.Read(background, orders)
	if outcome != identity.Later || !strings.Contains(err.Error(), "it is no token") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %s, %v; want later, without the token", outcome, err)
	}
}

func TestRequestsForATokenOfKeycloak(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/auth/token" {
			reply(404, missing)(w, r)
			return
		}
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		if len(body) != 3 || body["grant_type"] != "client_credentials" || body["client_id"] != "afi" || body["client_secret"] != clientSecret {
			t.Errorf("got %v", body)
		}
		reply(201, `{"access_token":"t"}`)(w, r)
	}))
	t.Cleanup(server.Close)
	client := newClient(t, airflow.Config{URL: server.URL, Login: airflow.Keycloak{ClientID: "afi", ClientSecret: fixed(clientSecret)}})
	if _, outcome, err := client.Read(background, orders); outcome != identity.NotThere {
		t.Errorf("got %s, %v", outcome, err)
	}
}

func TestIssuerByAnswer(t *testing.T) {
	t.Parallel()
	echo := func(status int, shape string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			quoted, _ := json.Marshal(string(text))
			reply(status, strings.ReplaceAll(shape, "ECHO", string(quoted)))(w, r)
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		says   string // "" if it works
	}{
		{"a token", reply(200, `{"access_token":"t","token_type":"bearer","expires_in":3600}`), ""},
		{"without an end", reply(200, `{"access_token":"t","token_type":"bearer"}`), ""},
		{"a wrong client", reply(401, `{"error":"invalid_client","error_description":"Bad credentials"}`), "401 invalid_client: Bad credentials"},
		{"a wrong scope", reply(400, `{"error":"invalid_scope"}`), "400 invalid_scope"},
		{"an error that repeats the secret", echo(400, `{"error":"x","error_description":ECHO}`), "left out"},
		{"a redirect", reply(302, "", "Location", "/elsewhere"), "302"},
		{"a redirect that keeps the method", reply(307, "", "Location", "/elsewhere"), "307"},
		{"a page", reply(200, page), "no access token"},
		{"no token", reply(200, `{"token_type":"bearer"}`), "no access token"},
		{"a token of two lines", reply(200, `{"access_token":"a\nb","token_type":"bearer"}`), "it is no token"},
		{"500", reply(500, page), "500"},
		{"a body without end", reply(200, strings.Repeat(" ", 2<<20)), "longer than"},
		{"nobody", hangUp(t, ""), "no answer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var issued atomic.Int32
			issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				issued.Add(1)
				if r.URL.Path != "/token" || r.Header.Get("Authorization") != "" {
					t.Errorf("got %s with %q, want the credentials in the form, and no redirect followed", r.URL, r.Header.Get("Authorization"))
				}
				test.answer(w, r)
			}))
			t.Cleanup(issuer.Close)
			var calls atomic.Int32
			url, _ := asked(t, reply(200, `{"version":"3.3.2"}`), func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				reply(404, missing)(w, r)
			})
			client := newClient(t, airflow.Config{URL: url, Breaker: oneFailure, Login: airflow.ClientCredentials{
				TokenURL: issuer.URL + "/token", ClientID: "afi", ClientSecret: fixed(clientSecret),
			}})

			_, outcome, err := client.Read(background, orders)

			if test.says == "" {
				if outcome != identity.NotThere || issued.Load() != 1 {
					t.Errorf("got %s, %v", outcome, err)
				}
				return
			}
			if outcome != identity.Later || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), clientSecret) || calls.Load() != 0 {
				t.Errorf("got %s, %v, and %d calls; want later, %q, and none", outcome, err, calls.Load(), test.says)
			}
		})
	}
}

// An issuer that is down is Airflow's own absence as long as there is no token, and of
// no account while there is one.
func TestAvailableWhileTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	clock := newHand()
	server := airflow3.start(t, standinairflow.Config{
		Now: clock.Now, TokenLifetime: time.Hour,
		Clients: map[string]standinairflow.User{"afi": {Password: clientSecret, Role: standinairflow.RoleOp}},
	})
	client := newClient(t, airflow.Config{
		URL: server.URL(), Clock: clock.Now, Breaker: remote.Breaker{Failures: 1, Rest: time.Hour},
		Login: airflow.ClientCredentials{TokenURL: server.TokenURL(), ClientID: "afi", ClientSecret: fixed(clientSecret)},
	})
	read := func(want identity.Outcome, available bool) {
		t.Helper()
		_, outcome, err := client.Read(background, orders)
		if is := client.Available(background); outcome != want || (is == nil) != available {
			t.Errorf("got %s, %v, available: %v; want %s, %v", outcome, err, is, want, available)
		}
	}

	read(identity.NotThere, true)
	server.Faults.Add(standin.Fault{Call: "POST /issuer/token", Times: 1 << 30})
	clock.pass(50 * time.Minute)
	read(identity.NotThere, true)
	clock.pass(50 * time.Minute)
	read(identity.Later, false)
}

func TestTokensOfTheIssuerAreRenewedWhenRefused(t *testing.T) {
	t.Parallel()
	var issued atomic.Int32
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply(200, fmt.Sprintf(`{"access_token":"t%d","token_type":"bearer"}`, issued.Add(1)))(w, r)
	}))
	t.Cleanup(issuer.Close)
	url, _ := asked(t, reply(200, `{"version":"3.3.2"}`), func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer t1" {
			reply(403, `{"detail":"Invalid JWT token"}`)(w, r)
			return
		}
		reply(201, shown(orders.Describe()))(w, r)
	})
	client := newClient(t, airflow.Config{URL: url, Login: airflow.ClientCredentials{
		TokenURL: issuer.URL, ClientID: "afi", ClientSecret: fixed(clientSecret),
	}})

	outcome, err := client.Put(background, orders, secret)

	if outcome != identity.Done || issued.Load() != 2 {
		t.Errorf("got %s, %v after %d tokens; want done after 2", outcome, err, issued.Load())
	}
}
