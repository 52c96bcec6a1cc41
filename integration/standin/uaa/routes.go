package uaa

import (
	"io"
	"net/http"
	"strings"
)

// route does by hand what a mux would: UAA redirects what it does not know, never
// cleans a path, and refuses an encoded slash, which Tomcat does before UAA.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.Contains(strings.ToLower(r.URL.EscapedPath()), "%2f") {
		page(http.StatusBadRequest).send(w, r)
		return
	}
	switch {
	case path == "/oauth/token" && (r.Method == http.MethodPost || r.Method == http.MethodGet):
		s.grant(w, r)
	case path == "/check_token" && r.Method == http.MethodPost:
		s.checkToken(w, r)
	case path == "/token_keys" && r.Method == http.MethodGet:
		s.tokenKeys(w, r)
	case isDiscovery(path) && r.Method == http.MethodGet:
		s.discovery(w, r)
	case path == "/healthz":
		w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
		_, _ = io.WriteString(w, "ok\n")
	case path == "/oauth/clients" || strings.HasPrefix(path, "/oauth/clients/"):
		s.clients(w, r, strings.TrimPrefix(strings.TrimPrefix(path, "/oauth/clients"), "/"))
	case isRevocation(path):
		s.revoke(w, r, strings.TrimPrefix(path, revokePath))
	case isLeftOut(path):
		leftOut(w, r)
	default:
		s.redirect(w)
	}
}

// clients routes below /oauth/clients. Spring checks the token before it looks for
// a method, and the method before the body.
func (s *Server) clients(w http.ResponseWriter, r *http.Request, rest string) {
	first, last, deeper := strings.Cut(rest, "/")
	switch {
	case rest == "" && r.Method == http.MethodGet:
		s.listClients(w, r)
	case rest == "" && r.Method == http.MethodPost:
		s.createClient(w, r, false)
	case rest == "restricted" && r.Method == http.MethodPost:
		s.createClient(w, r, true)
	case first == "restricted" && deeper && last != "" && !strings.Contains(last, "/") && r.Method == http.MethodPut:
		s.updateClient(w, r, last, true)
	case isLeftOutOfClients(rest):
		leftOut(w, r)
	case last == "secret" && r.Method == http.MethodPut:
		s.changeSecret(w, r, first)
	case last == "secret":
		w.Header().Set("Allow", http.MethodPut)
		s.notAllowed(w, r)
	case rest != "" && !deeper && r.Method == http.MethodGet:
		s.getClient(w, r, first)
	case rest != "" && !deeper && r.Method == http.MethodDelete:
		s.deleteClient(w, r, first)
	case rest != "" && !deeper && r.Method == http.MethodPut:
		s.updateClient(w, r, first, false)
	case r.Method == http.MethodPut:
		s.notAllowed(w, r)
	case rest != "" && deeper:
		sendEmpty(w, http.StatusNotFound) // an id with a slash can be made and never be found
	default:
		s.denied(w, r)
	}
}

// isLeftOutOfClients names what the real UAA answers below /oauth/clients and this
// one does not.
func isLeftOutOfClients(rest string) bool {
	first, last, deeper := strings.Cut(rest, "/")
	switch {
	case first == "tx" || first == "restricted" || rest == "meta":
		return true
	default:
		return deeper && (last == "meta" || last == "clientjwt")
	}
}

func isLeftOut(path string) bool {
	for _, prefix := range []string{
		"/introspect", "/token_key", "/check_token", "/oauth/token/revoke", "/oauth/token/list", "/oauth/authorize",
		"/identity-zones", "/identity-providers", "/Users", "/Groups", "/userinfo", "/info",
	} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// leftOut fails loudly, with a status that UAA never uses: a caller of something
// that is not imitated must not take the answer for UAA's.
func leftOut(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "this stand-in of uaa does not imitate "+r.Method+" "+r.URL.Path, http.StatusNotImplemented)
}

// notAllowed answers a method that Spring does not know where it knows others.
func (s *Server) notAllowed(w http.ResponseWriter, r *http.Request) {
	if _, fail := s.bearer(r); fail != nil {
		fail.send(w, r)
		return
	}
	page(http.StatusMethodNotAllowed).send(w, r)
}

// denied answers a method that a known path does not have.
func (s *Server) denied(w http.ResponseWriter, r *http.Request) {
	if _, fail := s.bearer(r); fail != nil {
		fail.send(w, r)
		return
	}
	accessDenied().send(w, r)
}

func accessDenied() *failure {
	return &failure{status: http.StatusForbidden, code: "access_denied", description: "Access is denied"}
}

// redirect is what unknown paths get, with a valid token or without, whatever the
// caller accepts: a client that follows it reads a login page as a success.
func (s *Server) redirect(w http.ResponseWriter) {
	w.Header().Add("Set-Cookie", "X-Uaa-Csrf=stand-in; Path=/; HttpOnly")
	w.Header().Set("Location", s.URL()+"/login")
	w.WriteHeader(http.StatusFound)
}
