package uaa

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// failure is an answer that is not a success. UAA has four shapes of them: a JSON
// error of OAuth2, an HTML page (or "{}" for who accepts JSON), an empty body, and
// a redirect.
type failure struct {
	status      int
	code        string // of OAuth2; empty for the HTML page
	description string
	challenge   string // "Basic" or "Bearer": the scheme of WWW-Authenticate
	scope       string // what would have been enough, or what the client holds
}

func page(status int) *failure { return &failure{status: status} }

func invalidClient(status int, format string, args ...any) *failure {
	return &failure{status: status, code: "invalid_client", description: fmt.Sprintf(format, args...)}
}

func badCredentials() *failure {
	return &failure{
		status: http.StatusUnauthorized, code: "unauthorized", description: "Bad credentials", challenge: "Basic",
	}
}

func invalidToken(format string, args ...any) *failure {
	return &failure{
		status:      http.StatusUnauthorized,
		code:        "invalid_token",
		description: fmt.Sprintf(format, args...),
		challenge:   "Bearer",
	}
}

func (f *failure) send(w http.ResponseWriter, r *http.Request) {
	if f.code == "" {
		sendPage(w, r, f.status)
		return
	}
	body := map[string]any{"error": f.code, "error_description": f.description}
	if f.scope != "" {
		body["scope"] = f.scope
	}
	if f.challenge != "" {
		w.Header().Set("WWW-Authenticate", f.wwwAuthenticate())
	}
	sendJSON(w, f.status, body)
}

func (f *failure) wwwAuthenticate() string {
	realm := `realm="UAA/oauth", `
	switch {
	case f.challenge == "Basic":
		realm = `realm="UAA/client", `
	case f.code == "insufficient_scope":
		realm = "" // it is not about who the caller is
	}
	value := fmt.Sprintf("%s %serror=%q, error_description=%q", f.challenge, realm, f.code, f.description)
	if f.scope != "" {
		value += fmt.Sprintf(", scope=%q", f.scope)
	}
	return value
}

// sendPage answers as UAA does where Spring or Tomcat gave up: with a page for
// people, whose text says nothing, or with an empty object.
func sendPage(w http.ResponseWriter, r *http.Request, status int) {
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		sendJSON(w, status, map[string]any{})
		return
	}
	w.Header().Set("Content-Type", "text/html;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html><head><title>Error</title></head>\n"+
		"<body><h2>Uh oh.</h2><p>Something went amiss.</p></body></html>\n")
}

func sendJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_ = encode(w, body) // the client may have gone
}

// encode writes JSON as Java does, with "&" as it is: UAA's own escapes, as in
// "&quot;scope&quot;", are part of its texts.
func encode(w io.Writer, body any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	return nil
}

// sendEmpty is UAA's own "no such client": no body, and a length of 0 that says so.
func sendEmpty(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}
