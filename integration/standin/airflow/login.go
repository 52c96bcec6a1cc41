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

// login is POST /auth/token, with a body of JSON or a form.
func (s *Server) login(w http.ResponseWriter, r *http.Request, lifetime time.Duration) {
	sent, fail := readLogin(r)
	if fail != nil {
		fail.send(w)
		return
	}
	user, found := s.users[sent.username]
	right := subtle.ConstantTimeCompare([]byte(user.Password), []byte(sent.password)) == 1
	if !found || !right {
		refuse(http.StatusUnauthorized, "Invalid credentials").send(w)
		return
	}
	token := s.mint(claims{Subject: sent.username, Role: user.Role, Audience: audienceAPI}, lifetime)
	sendJSON(w, http.StatusCreated, map[string]string{"access_token": token})
}

type sentLogin struct{ username, password string }

// readLogin finds both fields. Its refusals are a text where others are a list:
// the route validates by hand.
func readLogin(r *http.Request) (sentLogin, *failure) {
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
	sent := sentLogin{username: text("username"), password: text("password")}
	if len(problems) > 0 {
		return sentLogin{}, refuse(http.StatusUnprocessableEntity, fmt.Sprintf(
			"%d validation error(s) for LoginBody\n%s", len(problems), strings.Join(problems, "\n")))
	}
	return sent, nil
}
