package uaa

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTokenGranted(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	fields := url.Values{"grant_type": {"client_credentials"}}
	inForm := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"reader"}, "client_secret": {"reader-secret"},
	}

	for name, got := range map[string]answer{
		"basic":      f.form("/oauth/token", "reader", "reader-secret", fields),
		"form":       f.form("/oauth/token", "", "", inForm),
		"with GET":   f.do(http.MethodGet, "/oauth/token?"+inForm.Encode(), ""),
		"own scopes": f.form("/oauth/token", "reader", "reader-secret", url.Values{"grant_type": {"client_credentials"}, "scope": {"clients.read"}}),
	} {
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", name, got.status, got.body)
			continue
		}
		body := got.json(t)
		if body["token_type"] != "bearer" || body["scope"] != "clients.read" || body["expires_in"] != 43199.0 {
			t.Errorf("%s: got %v, want bearer, clients.read, 43199", name, body)
		}
		if jti, _ := body["jti"].(string); jti == "" {
			t.Errorf("%s: got no jti, want one", name)
		}
		if _, found := body["refresh_token"]; found {
			t.Errorf("%s: got a refresh token, want none", name)
		}
		if got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got Cache-Control %q, want no-store", name, got.header.Get("Cache-Control"))
		}
	}
	if got := f.TokenCount(); got != 4 {
		t.Errorf("TokenCount: got %d, want 4", got)
	}
}

func TestTokenRefused(t *testing.T) {
	t.Parallel()
	f := start(t, Config{Clients: []Client{
		{ID: "coder", Secret: "coder-secret", GrantTypes: []string{"authorization_code", "password"}},
		{ID: "pair", Secret: "pair-secret", Authorities: []string{"orders.read", "orders.write"}},
	}})
	cc := url.Values{"grant_type": {"client_credentials"}}

	for name, c := range map[string]struct {
		id, secret  string
		fields      url.Values
		status      int
		code        string
		description string
		challenge   string
	}{
		"wrong secret":   {"reader", "wrong", cc, 401, "unauthorized", "Bad credentials", "Basic"},
		"unknown client": {"ghost", "ghost-secret", cc, 401, "unauthorized", "Bad credentials", "Basic"},
		"no credentials": {"", "", cc, 401, "unauthorized", "Bad credentials", "Basic"},
		"wrong secret in the form": {"", "", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"reader"}, "client_secret": {"wrong"},
		}, 401, "unauthorized", "Bad credentials", "Basic"},
		"credentials before grant type": {"reader", "wrong", url.Values{}, 401, "unauthorized", "Bad credentials", "Basic"},
		"no grant type":                 {"reader", "reader-secret", url.Values{}, 400, "invalid_request", "Missing grant type", ""},
		"grant type not allowed": {
			"coder", "coder-secret", cc, 401, "invalid_client", "Unauthorized grant type: client_credentials", "Bearer",
		},
		"grant type not imitated": {
			"coder", "coder-secret", url.Values{"grant_type": {"password"}},
			400, "unsupported_grant_type", "Unsupported grant type: password", "",
		},
		"scope not held": {
			"reader", "reader-secret", url.Values{"grant_type": {"client_credentials"}, "scope": {"clients.read uaa.admin"}},
			400, "invalid_scope", "uaa.admin is invalid. Please use a valid scope name in the request", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.form("/oauth/token", c.id, c.secret, c.fields)
			code, description := got.failure(t)
			if got.status != c.status || code != c.code || description != c.description {
				t.Errorf("got %d %s %q, want %d %s %q", got.status, code, description, c.status, c.code, c.description)
			}
			challenge, _, _ := strings.Cut(got.header.Get("WWW-Authenticate"), " ")
			if challenge != c.challenge {
				t.Errorf("WWW-Authenticate: got %q, want scheme %q", got.header.Get("WWW-Authenticate"), c.challenge)
			}
		})
	}

	t.Run("the whole scope list is told", func(t *testing.T) {
		t.Parallel()
		got := f.form("/oauth/token", "pair", "pair-secret", url.Values{
			"grant_type": {"client_credentials"}, "scope": {"orders.delete"},
		}).json(t)
		scopes := strings.Fields(got["scope"].(string))
		slices.Sort(scopes)
		if !slices.Equal(scopes, []string{"orders.read", "orders.write"}) {
			t.Errorf("scope: got %v, want both that the client holds", scopes)
		}
	})
}

func TestBasicCredentialsAreTakenRaw(t *testing.T) {
	t.Parallel()
	const secret = "a+b%c:d e/f&g"
	f := start(t, Config{Clients: []Client{{ID: "odd", Secret: secret}}})

	if got := f.grant("odd", secret); got.status != 200 {
		t.Errorf("raw: got %d, want 200", got.status)
	}
	if got := f.grant("odd", url.QueryEscape(secret)); got.status != 401 {
		t.Errorf("URL-encoded: got %d, want 401", got.status)
	}
	inForm := url.Values{"grant_type": {"client_credentials"}, "client_id": {"odd"}, "client_secret": {secret}}
	if got := f.form("/oauth/token", "", "", inForm); got.status != 200 {
		t.Errorf("form: got %d, want 200", got.status)
	}
}

func TestTokenClaims(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now, ContextPath: "/uaa", Issuer: "http://login.example.com/uaa", Clients: []Client{{
		ID: "afi-1", Secret: "s", AccessTokenValidity: 600,
		Authorities: []string{"acme.dev.orders.read", "acme.dev.orders.write", "billing.read", "plain"},
	}}})

	token := f.grant("afi-1", "s").json(t)["access_token"].(string)
	header, claims := decoded(t, token)

	if header["alg"] != "RS256" || header["typ"] != "JWT" || header["kid"] != f.key.id {
		t.Errorf("header: got %v, want RS256, JWT, %s", header, f.key.id)
	}
	if got, want := header["jku"], "https://login.example.com/uaa/token_keys"; got != want {
		t.Errorf("jku: got %v, want %v", got, want)
	}
	for claim, want := range map[string]any{
		"sub": "afi-1", "client_id": "afi-1", "cid": "afi-1", "azp": "afi-1",
		"grant_type": "client_credentials", "zid": "uaa",
		"iss": "http://login.example.com/uaa/oauth/token",
		"iat": float64(clock.Now().Unix()), "exp": float64(clock.Now().Unix() + 600),
	} {
		if claims[claim] != want {
			t.Errorf("%s: got %v, want %v", claim, claims[claim], want)
		}
	}
	for claim, want := range map[string][]string{
		"scope":       {"acme.dev.orders.read", "acme.dev.orders.write", "billing.read", "plain"},
		"authorities": {"acme.dev.orders.read", "acme.dev.orders.write", "billing.read", "plain"},
		"aud":         {"acme.dev.orders", "afi-1", "billing"},
	} {
		if got := sorted(stringsOf(claims[claim])); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", claim, got, want)
		}
	}
	for _, claim := range []string{"jti", "rev_sig"} {
		if text, _ := claims[claim].(string); text == "" {
			t.Errorf("%s: got %v, want a text", claim, claims[claim])
		}
	}
	if _, found := claims["client_auth_method"]; found {
		t.Error("client_auth_method: got one, want none in 4.30")
	}
}

func TestTokenScopedDown(t *testing.T) {
	t.Parallel()
	f := start(t, Config{Clients: []Client{{ID: "afi-1", Secret: "s", Authorities: []string{"orders.read", "billing.read"}}}})

	got := f.form("/oauth/token", "afi-1", "s", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read"}})
	_, claims := decoded(t, got.json(t)["access_token"].(string))
	if scope := stringsOf(claims["scope"]); !slices.Equal(scope, []string{"orders.read"}) {
		t.Errorf("scope: got %v, want orders.read", scope)
	}
	if authorities := stringsOf(claims["authorities"]); len(authorities) != 2 {
		t.Errorf("authorities: got %v, want both: only the scope goes down", authorities)
	}
	if aud := sorted(stringsOf(claims["aud"])); !slices.Equal(aud, []string{"afi-1", "orders"}) {
		t.Errorf("aud: got %v, want afi-1 and orders", aud)
	}
}

func TestTokenValidity(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})

	for name, c := range map[string]struct {
		validity any
		want     float64
	}{
		"short":    {2, 1},
		"zero":     {0, 0},
		"negative": {-5, -5},
		"unset":    {nil, 43199},
	} {
		body := workload("afi-"+name, map[string]any{"access_token_validity": c.validity})
		if got := f.as("admin", http.MethodPost, "/oauth/clients", body); got.status != 201 {
			t.Errorf("%s: got %d %s, want 201", name, got.status, got.body)
			continue
		}
		if got := f.grant("afi-"+name, "workload-secret").json(t)["expires_in"]; got != c.want {
			t.Errorf("%s: expires_in: got %v, want %v", name, got, c.want)
		}
	}
}

func TestSecretIsCutOffAt72Bytes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 72) + "tailtail"
	f := start(t, Config{Clients: []Client{{ID: "long", Secret: long}}})

	for name, c := range map[string]struct {
		secret string
		want   int
	}{
		"whole":        {long, 200},
		"first 72":     {long[:72], 200},
		"another tail": {long[:72] + "other", 200},
		"71":           {long[:71], 401},
	} {
		if got := f.grant("long", c.secret); got.status != c.want {
			t.Errorf("%s: got %d, want %d", name, got.status, c.want)
		}
	}
}

func TestHashesAreCounted(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now})
	token := f.token("admin")
	grant := func(secret string) func() {
		return func() { f.grant("afi-1", secret) }
	}
	create := func() {
		body, _ := json.Marshal(workload("afi-1", nil))
		f.do(http.MethodPost, "/oauth/clients", string(body), "Authorization", "Bearer "+token, "Content-Type", "application/json")
	}

	for _, step := range []struct {
		name string
		do   func()
		want int64
	}{
		{"create", create, 1},
		{"create again, refused with 409", create, 1},
		{"first token", grant("workload-secret"), 1},
		{"second token, remembered", grant("workload-secret"), 0},
		{"wrong secret", grant("wrong"), 1},
		{"wrong secret again, never remembered", grant("wrong"), 1},
		{"299 s later", func() { clock.advance(299 * time.Second); grant("workload-secret")() }, 0},
		{"300 s later", func() { clock.advance(time.Second); grant("workload-secret")() }, 1},
		{"two secrets, the newer", func() { f.setSecrets("afi-1", "workload-secret", "newer"); grant("newer")() }, 2},
		{"the newer again, its mismatch not remembered", grant("newer"), 1},
		{"the older", grant("workload-secret"), 1},
	} {
		before := f.Hashes()
		step.do()
		if got := f.Hashes() - before; got != step.want {
			t.Errorf("%s: got %d hashes, want %d", step.name, got, step.want)
		}
	}
}

func (f *fixture) setSecrets(id string, secrets ...string) {
	f.t.Helper()
	if found, err := f.SetSecrets(id, secrets...); err != nil || !found {
		f.t.Fatalf("SetSecrets(%s): got %v, %v, want true", id, found, err)
	}
}

// decoded gives a token's header and claims, unchecked.
func decoded(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token: got %d parts, want 3", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// Measured: texts are put into the token, and whatever is anything else into nothing.
func TestAttributesInTokens(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	for name, c := range map[string]struct {
		sent string
		want string // as JSON; "" for none
	}{
		"two texts":      {`{"az_attr":{"dag":"d1","run":"r1"}}`, `{"dag":"d1","run":"r1"}`},
		"none":           {``, ``},
		"a number":       {`{"az_attr":{"dag":"d1","try":1}}`, ``},
		"an object":      {`{"az_attr":{"dag":{"id":"d1"}}}`, ``},
		"another key":    {`{"other":{"dag":"d1"}}`, ``},
		"no JSON at all": {`dag=d1`, ``},
	} {
		got := f.form("/oauth/token", "minter", "minter-secret", url.Values{"grant_type": {"client_credentials"}, "authorities": {c.sent}})
		answer := got.json(t)
		claims, err := f.key.open(answer["access_token"].(string))
		if err != nil || got.status != 200 {
			t.Fatalf("%s: got %d %s, %v", name, got.status, got.body, err)
		}
		for where, value := range map[string]any{"the token": claims["az_attr"], "the answer": answer["az_attr"]} {
			text := ""
			if value != nil {
				encoded, _ := json.Marshal(value)
				text = string(encoded)
			}
			if text != c.want {
				t.Errorf("%s: %s has %q, want %q", name, where, text, c.want)
			}
		}
	}
}
