package airflow

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	form := url.Values{"username": {"op"}, "password": {"op-password"}}.Encode()
	const asForm = "application/x-www-form-urlencoded"

	for name, got := range map[string]answer{
		"json": f.login(`{"username":"op","password":"op-password"}`),
		"form": f.do("POST", "/auth/token", form, "Content-Type", asForm),
		"cli":  f.do("POST", "/auth/token/cli", form, "Content-Type", asForm),
	} {
		if token, _ := got.json(t)["access_token"].(string); got.status != 201 || token == "" {
			t.Errorf("%s: got %d %s, want 201 and a token", name, got.status, got.body)
		}
	}

	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"wrong password": {`{"username":"op","password":"wrong"}`, 401, "Invalid credentials"},
		"unknown user":   {`{"username":"ghost","password":""}`, 401, "Invalid credentials"},
		"no password":    {`{"username":"op"}`, 422, "password\n  Field required"},
		"a number":       {`{"username":"op","password":5}`, 422, "password\n  Input should be a valid string"},
		"nothing":        {`{}`, 422, "2 validation error(s)"},
		"not JSON":       {`{`, 422, "Invalid JSON body"},
	} {
		got := f.login(c.body)
		detail, isText := got.json(t)["detail"].(string)
		if got.status != c.status || !isText || !strings.Contains(detail, c.want) {
			t.Errorf("%s: got %d %s, want %d and a detail that is a text with %q", name, got.status, got.body, c.status, c.want)
		}
	}
	if got := f.do("POST", "/auth/token", "username=op", "Content-Type", asForm); got.status != 422 {
		t.Errorf("form without a password: got %d, want 422", got.status)
	}
	if got := f.do("GET", "/auth/token", ""); got.status != 403 {
		t.Errorf("GET: got %d, want 403", got.status)
	}
	if got := f.do("PUT", "/auth/token", ""); got.status != 405 {
		t.Errorf("PUT: got %d, want 405", got.status)
	}
}

func TestTokenSaysWhoAndHowLong(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now, TokenLifetime: 30 * time.Minute})

	parts := strings.Split(f.token("op"), ".")
	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	now := float64(clock.Now().Unix())
	if header["alg"] != "HS512" || claims["sub"] != "op" || claims["role"] != "op" ||
		claims["iat"] != now || claims["nbf"] != now || claims["exp"] != now+1800 {
		t.Errorf("got %v %v, want HS512, op, op, and 1800 s from now", header, claims)
	}
}

func TestAuthorization(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	other := start(t, Config{})
	valid := f.token("op")

	for name, c := range map[string]struct {
		authorization string
		status        int
		detail        string
	}{
		"none":             {"", 401, "Not authenticated"},
		"basic":            {"Basic b3A6b3AtcGFzc3dvcmQ=", 401, "Not authenticated"},
		"garbage":          {"Bearer garbage", 403, "Invalid JWT token"},
		"another server's": {"Bearer " + other.token("op"), 403, "Invalid JWT token"},
		"altered":          {"Bearer x" + valid, 403, "Invalid JWT token"},
		"a task's":         {"Bearer " + f.TaskToken(), 403, "Invalid JWT token"},
		"viewer":           {"Bearer " + f.token("viewer"), 403, "Forbidden"},
		"user":             {"Bearer " + f.token("user"), 403, "Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The body is wrong, and nobody gets to hear of it.
			for _, call := range []string{
				"POST /api/v2/connections", "GET /api/v2/connections/x", "DELETE /api/v2/connections/x",
			} {
				method, path, _ := strings.Cut(call, " ")
				got := f.do(method, path, `{"password":5}`, "Authorization", c.authorization, "Content-Type", "application/json")
				if !got.is(t, c.status, `{"detail":"`+c.detail+`"}`) {
					t.Errorf("%s: got %d %s, want %d %s", call, got.status, got.body, c.status, c.detail)
				}
			}
		})
	}
	if got := f.as("admin", http.MethodGet, "/api/v2/connections/x", ""); got.status != 404 {
		t.Errorf("admin: got %d, want 404", got.status)
	}
}

func TestTokenExpiresWithLeeway(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now, TokenLifetime: time.Minute})
	token := f.token("op")
	status := func() answer {
		return f.do("GET", "/api/v2/connections/x", "", "Authorization", "Bearer "+token)
	}

	clock.advance(time.Minute + 9*time.Second)
	if got := status(); got.status != 404 {
		t.Errorf("9 s after its end: got %d, want 404", got.status)
	}
	clock.advance(time.Second)
	if got := status(); !got.is(t, 401, `{"detail":"Token Expired"}`) {
		t.Errorf("10 s after its end: got %d %s, want 401 Token Expired", got.status, got.body)
	}
}
