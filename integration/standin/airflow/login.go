package airflow

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// login is POST /auth/token, with a body of JSON or a form. As with the Keycloak auth
// manager it takes a client too, where there are clients.
func (s *Server) login(w http.ResponseWriter, r *http.Request, lifetime time.Duration) {
	read := readLogin
	if s.fab {
		read = readFABLogin
	}
	sent, fail := read(r, len(s.clients) > 0)
	if fail != nil {
		fail.send(w)
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	logins := s.users
	if sent.client {
		logins = s.clients
	}
	role := roleOf(logins, sent.username, sent.password)
	if role == "" {
		refuse(http.StatusUnauthorized, "Invalid credentials").send(w)
		return
	}
	who := claims{Subject: sent.username, Role: role, Teams: logins[sent.username].Teams, Audience: audienceAPI}
	if s.fab {
		who = claims{Subject: s.numberOf(sent.username), Audience: audienceAPI}
	}
	token := s.mint(who, lifetime)
	sendJSON(w, http.StatusCreated, map[string]string{"access_token": token})
}

// roleOf is that of whoever knows the password, or "".
func roleOf(logins map[string]User, name, password string) string {
	user, found := logins[name]
	right := subtle.ConstantTimeCompare([]byte(user.Password), []byte(password)) == 1
	if !found || !right {
		return ""
	}
	return user.Role
}

// issuerPath is that of an OAuth server beside Airflow, whose tokens Airflow takes.
const issuerPath = "/issuer/token"

// TokenURL is where Config.Clients get tokens by the grant client_credentials. Each
// has the scope it is asked for.
func (s *Server) TokenURL() string { return s.URL() + issuerPath }

// issue is RFC 6749, as far as section 4.4 needs it, with the credentials in the form.
func (s *Server) issue(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		sendJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		sendJSON(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	}
	client := r.PostForm.Get("client_id")
	role := roleOf(s.clients, client, r.PostForm.Get("client_secret"))
	if role == "" {
		sendJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "Bad credentials"})
		return
	}
	sendJSON(w, http.StatusOK, map[string]any{
		"access_token": s.mint(claims{Subject: client, Role: role, Scope: r.PostForm.Get("scope"), Audience: audienceAPI}, s.lifetime),
		"token_type":   "Bearer",
		"expires_in":   int(s.lifetime.Seconds()),
	})
}

type sentLogin struct {
	username, password string
	client             bool
}

// readLogin finds both fields. Its refusals are a text where others are a list:
// the route validates by hand.
func readLogin(r *http.Request, clients bool) (sentLogin, *failure) {
	fields := map[string]any{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &fields) != nil {
			return sentLogin{}, refuse(http.StatusUnprocessableEntity, "Invalid JSON body")
		}
	} else {
		if err := r.ParseForm(); err != nil {
			return sentLogin{}, refuse(http.StatusUnprocessableEntity, "Invalid form body")
		}
		for key, values := range r.PostForm {
			fields[key] = values[0]
		}
	}

	var problems []string
	text := func(field string) string {
		switch value := fields[field].(type) {
		case string:
			return value
		case nil:
			problems = append(problems, field+"\n  Field required [type=missing]")
		default:
			problems = append(problems, field+"\n  Input should be a valid string [type=string_type]")
		}
		return ""
	}
	sent := sentLogin{client: clients && fields["grant_type"] == "client_credentials"}
	if sent.client {
		sent.username, sent.password = text("client_id"), text("client_secret")
	} else {
		sent.username, sent.password = text("username"), text("password")
	}
	if len(problems) > 0 {
		return sentLogin{}, refuse(http.StatusUnprocessableEntity, fmt.Sprintf(
			"%d validation error(s) for LoginBody\n%s", len(problems), strings.Join(problems, "\n")))
	}
	return sent, nil
}
