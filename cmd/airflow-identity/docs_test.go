package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"airflow-identity/integration/standin/uaa"
)

// The line of docs/token-attributes.md, run: the token says what the text says that it does. The
// Python there is run on a real Airflow and a real UAA, in package integration.
func TestDocumentedAttributes(t *testing.T) {
	t.Parallel()
	const secret = "a-key's-secret"
	server, err := uaa.Start(uaa.Config{Clients: []uaa.Client{{ID: "afi-1", Secret: secret, Authorities: []string{"orders.read"}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	text := document(t, "docs/token-attributes.md")
	commands, err := shellCommands(blocks(t, text, "curl")[0], map[string]string{
		"token_url": server.URL() + "/oauth/token", "client_id": "afi-1", "client_secret": secret,
	})
	if err != nil || len(commands) != 1 {
		t.Fatalf("got %q, %v; want one line", commands, err)
	}
	status, answer, err := postedForm(t, commands[0])
	if err != nil || status != http.StatusOK {
		t.Fatalf("got %d %v, %v; want a token", status, answer, err)
	}
	token, _ := answer["access_token"].(string)
	var claims map[string]any
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token+"..", ".")[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		t.Fatalf("not a token: %v", err)
	}
	attributes, _ := json.Marshal(claims["az_attr"])
	said := strings.NewReplacer(": ", ":", ", ", ",").Replace(`"az_attr": {"dag": "d1", "run": "r1"}`)
	if got := `"az_attr":` + string(attributes); got != said || !strings.Contains(text, "`\"az_attr\": {\"dag\": \"d1\", \"run\": \"r1\"}`") {
		t.Errorf("the token has %s, and the text says %s", got, said)
	}
	if claims["client_id"] != "afi-1" {
		t.Errorf("the token is of %v, want of afi-1", claims["client_id"])
	}
}

// postedForm does what a line of curl does that posts a form.
func postedForm(t *testing.T, words []string) (int, map[string]any, error) {
	t.Helper()
	if len(words) < 3 || words[0] != "curl" || words[1] != "-sS" {
		t.Fatalf("%q is no curl -sS", words)
	}
	form := url.Values{}
	for i := 3; i+1 < len(words); i += 2 {
		if words[i] != "-d" && words[i] != "--data-urlencode" {
			t.Fatalf("what is %q in %q?", words[i], words)
		}
		key, value, _ := strings.Cut(words[i+1], "=")
		form.Set(key, value)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, words[2], strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return fetch(request)
}
