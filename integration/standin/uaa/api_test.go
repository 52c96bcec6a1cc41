package uaa

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestAPITokens(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now, Clients: []Client{
		{ID: "short", Secret: "short-secret", Authorities: []string{"clients.read"}, AccessTokenValidity: 60},
	}})
	other := start(t, Config{Now: clock.Now, Issuer: "http://other.example.com"})
	expired := f.token("short")
	clock.advance(time.Minute)
	valid := f.token("reader")

	for name, c := range map[string]struct {
		authorization string
		status        int
		code          string
		description   string // how it begins
	}{
		"none":            {"", 401, "unauthorized", "Full authentication is required to access this resource"},
		"basic":           {"Basic YTpi", 401, "unauthorized", "Full authentication is required to access this resource"},
		"garbage":         {"Bearer garbage", 401, "invalid_token", "Invalid token (could not decode): garbage"},
		"bad signature":   {"Bearer " + valid[:len(valid)-8] + "AAAAAAAA", 401, "invalid_token", "Couldn't verify token signature"},
		"expired":         {"Bearer " + expired, 401, "invalid_token", "Invalid access token: expired at"},
		"another issuer":  {"Bearer " + other.token("reader"), 401, "invalid_token", "Invalid issuer (http://other.example.com/oauth/token)"},
		"without a scope": {"Bearer " + f.token("nobody"), 403, "insufficient_scope", "Insufficient scope for this resource"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, call := range []string{"POST /oauth/clients", "GET /oauth/clients/x", "DELETE /oauth/clients/x",
				"GET /oauth/clients", "PUT /oauth/clients/x/secret", "GET /oauth/token/revoke/client/x"} {
				method, path, _ := strings.Cut(call, " ")
				got := f.do(method, path, "", "Authorization", c.authorization)
				code, description := got.failure(t)
				if got.status != c.status || code != c.code || !strings.HasPrefix(description, c.description) {
					t.Errorf("%s: got %d %s %q, want %d %s %q", call, got.status, code, description, c.status, c.code, c.description)
				}
				want := `Bearer realm="UAA/oauth", error="` + c.code
				if c.status == 403 {
					want = `Bearer error="` + c.code
				}
				if !strings.HasPrefix(got.header.Get("WWW-Authenticate"), want) {
					t.Errorf("%s: WWW-Authenticate: got %q, want %s", call, got.header.Get("WWW-Authenticate"), want)
				}
			}
		})
	}
}

func TestInsufficientScope(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})

	for name, c := range map[string]struct {
		caller, method, path, want string
	}{
		"reader may not make":   {"reader", "POST", "/oauth/clients", "uaa.admin clients.write clients.admin zones.uaa.admin"},
		"nor restricted":        {"reader", "POST", "/oauth/clients/restricted", "uaa.admin clients.write clients.admin zones.uaa.admin"},
		"reader may not delete": {"reader", "DELETE", "/oauth/clients/x", "uaa.admin clients.write clients.admin zones.uaa.admin"},
		"writer may not list":   {"writer", "GET", "/oauth/clients", "uaa.admin clients.read clients.admin zones.uaa.admin"},
		"nor change a secret":   {"writer", "PUT", "/oauth/clients/x/secret", "uaa.admin clients.secret clients.admin zones.uaa.admin"},
		"minter may not revoke": {"minter", "GET", "/oauth/token/revoke/client/x", "uaa.admin tokens.revoke"},
		"writer may not read":   {"writer", "GET", "/oauth/clients/x", "uaa.admin clients.read clients.admin zones.uaa.admin"},
	} {
		got := f.as(c.caller, c.method, c.path, workload("x", nil))
		body := got.json(t)
		if got.status != 403 || body["error"] != "insufficient_scope" || body["scope"] != c.want {
			t.Errorf("%s: got %d %v, want 403 insufficient_scope, %q", name, got.status, body, c.want)
		}
	}
}

// What Spring, Tomcat and gorouter would answer has no shape that a client could
// rely on.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	f := start(t, Config{ContextPath: "/uaa"})
	token := "Bearer " + f.token("admin")
	const page = "Uh oh."

	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		want               string
	}{
		"no content type":     {"POST", "/oauth/clients", "{}", []string{"Content-Type", ""}, 415, page},
		"another type":        {"POST", "/oauth/clients", "{}", []string{"Content-Type", "text/plain"}, 415, page},
		"malformed JSON":      {"POST", "/oauth/clients", "{", []string{"Content-Type", "application/json"}, 400, page},
		"JSON null":           {"POST", "/oauth/clients", "null", []string{"Content-Type", "application/json"}, 400, page},
		"a list":              {"POST", "/oauth/clients", "[]", []string{"Content-Type", "application/json"}, 400, page},
		"who accepts JSON":    {"POST", "/oauth/clients", "{", []string{"Content-Type", "application/json", "Accept", "application/json"}, 400, "{}\n"},
		"an encoded slash":    {"GET", "/oauth/clients/a%2Fb", "", nil, 400, page},
		"PATCH":               {"PATCH", "/oauth/clients/x", "{}", nil, 403, "access_denied"},
		"unknown path":        {"GET", "/oauth/nothing", "", nil, 302, ""},
		"unknown, wants JSON": {"GET", "/nothing", "", []string{"Accept", "application/json"}, 302, ""},
		"unknown zone":        {"GET", "/oauth/clients/x", "", []string{"X-Identity-Zone-Id", "acme", "Accept", "application/json"}, 404, "{}\n"},
		"unknown subdomain":   {"DELETE", "/oauth/clients/x", "", []string{"X-Identity-Zone-Subdomain", "acme"}, 404, page},
		"default zone":        {"GET", "/oauth/clients/reader", "", []string{"X-Identity-Zone-Id", "uaa"}, 200, "reader"},
		"GET of a secret":     {"GET", "/oauth/clients/x/secret", "", nil, 405, page},
		"not imitated: meta":  {"GET", "/oauth/clients/meta", "", nil, 501, "stand-in"},
		"not imitated: PUT":   {"PUT", "/oauth/clients/x/clientjwt", "{}", nil, 501, "stand-in"},
		"not imitated: token": {"DELETE", "/oauth/token/revoke/x", "", nil, 501, "stand-in"},
		"not imitated: other": {"POST", "/introspect", "", nil, 501, "stand-in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.do(c.method, c.path, c.body, append([]string{"Authorization", token}, c.header...)...)
			if got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("got %d %q, want %d with %q", got.status, got.body, c.status, c.want)
			}
			if c.status == 302 && (got.header.Get("Location") != f.URL()+"/login" || got.header.Get("Set-Cookie") == "") {
				t.Errorf("Location: got %q, want %s/login and a cookie", got.header.Get("Location"), f.URL())
			}
		})
	}

	if got := f.do("PATCH", "/oauth/clients/x", ""); got.status != 401 {
		t.Errorf("PATCH without a token: got %d, want 401", got.status)
	}
	if got := f.do("GET", "/healthz", ""); got.status != 200 || got.body != "ok\n" {
		t.Errorf("healthz: got %d %q, want 200 ok", got.status, got.body)
	}
}

func TestCheckToken(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now})
	made := func(id string, changes map[string]any) string {
		t.Helper()
		if got := f.as("admin", http.MethodPost, "/oauth/clients", workload(id, changes)); got.status != 201 {
			t.Fatalf("making %s: got %d %s, want 201", id, got.status, got.body)
		}
		return f.grant(id, "workload-secret").json(t)["access_token"].(string)
	}
	good := made("good", nil)
	expired := made("expired", map[string]any{"access_token_validity": 0})
	deleted := made("deleted", nil)
	f.RemoveClient("deleted")
	again := made("again", nil)
	f.as("admin", http.MethodDelete, "/oauth/clients/again", nil)
	made("again", nil)
	narrowed := made("narrowed", map[string]any{"authorities": []string{"orders.read", "orders.write"}})
	f.SetAuthorities("narrowed", "orders.read")
	overlap := made("overlap", nil)
	f.setSecrets("overlap", "workload-secret", "newer")
	inOverlap := f.grant("overlap", "newer").json(t)["access_token"].(string)
	f.setSecrets("overlap", "newer")

	for name, c := range map[string]struct {
		token  string
		status int
		want   string
	}{
		"expired":                     {expired, 400, "Token has expired"},
		"client deleted":              {deleted, 400, "Invalid client ID deleted"},
		"client made anew":            {again, 400, "revocable signature mismatch"},
		"authority taken away":        {narrowed, 400, "Some required &quot;scope&quot; are missing: [orders.write]"},
		"of a secret that is gone":    {overlap, 400, "revocable signature mismatch"},
		"after the older one is gone": {inOverlap, 400, "revocable signature mismatch"},
		"garbage":                     {"garbage", 400, "Invalid token (could not decode): garbage"},
		"empty":                       {"", 400, "Invalid token (could not decode): "},
	} {
		got := f.form("/check_token", "resource", "resource-secret", url.Values{"token": {c.token}})
		code, description := got.failure(t)
		if got.status != c.status || code != "invalid_token" || description != c.want {
			t.Errorf("%s: got %d %s %q, want %d invalid_token %q", name, got.status, code, description, c.status, c.want)
		}
		if got.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: got a challenge, want none: the caller is not at fault", name)
		}
		if strings.Contains(name, "authority") && !strings.Contains(got.body, "&quot;scope&quot;") {
			t.Errorf("%s: got %s, want the escaped text as it is", name, got.body)
		}
	}

	got := f.form("/check_token", "resource", "resource-secret", url.Values{"token": {good}})
	_, claims := decoded(t, good)
	body := got.json(t)
	if got.status != 200 || body["jti"] != claims["jti"] || body["cid"] != "good" || body["exp"] != claims["exp"] {
		t.Errorf("good: got %d %v, want 200 and its claims", got.status, body)
	}
}

func TestCheckTokenCallers(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	token := url.Values{"token": {f.token("reader")}}

	for name, c := range map[string]struct {
		id, secret string
		fields     url.Values
		status     int
		want       string
	}{
		"without uaa.resource": {"reader", "reader-secret", token, 403, "access_denied"},
		"wrong secret":         {"resource", "wrong", token, 401, "unauthorized"},
		"no credentials":       {"", "", token, 401, "unauthorized"},
		"no token":             {"resource", "resource-secret", url.Values{}, 400, "Uh oh."},
	} {
		got := f.form("/check_token", c.id, c.secret, c.fields)
		if got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: got %d %q, want %d with %q", name, got.status, got.body, c.status, c.want)
		}
	}
}
