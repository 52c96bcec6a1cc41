package airflow

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// leeway is [api_auth] jwt_leeway: how long a token is good after its end.
	leeway = 10 * time.Second
	// audienceAPI and audienceTask keep the two kinds of token apart.
	audienceAPI  = "apache-airflow"
	audienceTask = "urn:airflow.apache.org:task"
	// taskLifetime is that of the tokens the executor gives to a task.
	taskLifetime = 10 * time.Minute
	cliLifetime  = time.Hour
)

type claims struct {
	ID        string   `json:"jti"`
	Subject   string   `json:"sub"`
	Role      string   `json:"role,omitempty"`
	Teams     []string `json:"teams,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	Audience  string   `json:"aud"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ExpiresAt int64    `json:"exp"`
}

func (s *Server) mint(c claims, lifetime time.Duration) string {
	now := s.now()
	c.ID = uuid.NewString()
	c.IssuedAt, c.NotBefore, c.ExpiresAt = now.Unix(), now.Unix(), now.Add(lifetime).Unix()

	header, _ := json.Marshal(map[string]string{"alg": "HS512", "typ": "JWT", "kid": "not-used"})
	payload, _ := json.Marshal(c) // neither of the two can fail
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(s.sign(signed))
}

func (s *Server) sign(text string) []byte {
	mac := hmac.New(sha512.New, *s.key.Load())
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

var (
	errInvalid = errors.New("token is not one of this server")
	errExpired = errors.New("token has expired")
)

// open checks a token. It believes its claims, the role among them, and does not
// ask whether the user is still there, as the simple auth manager does not.
func (s *Server) open(token, audience string) (claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, errInvalid
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, s.sign(parts[0]+"."+parts[1])) {
		return claims{}, errInvalid
	}
	var c claims
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil || c.Audience != audience {
		return claims{}, errInvalid
	}
	if !s.now().Before(time.Unix(c.ExpiresAt, 0).Add(leeway)) {
		return claims{}, errExpired
	}
	return c, nil
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// authorize demands a role that may touch a connection, reading included, or with no id
// any. It comes before any look at the body but for the team in it.
func (s *Server) authorize(r *http.Request, id string) (claims, *failure) {
	token, found := bearer(r)
	if !found {
		return claims{}, refuse(http.StatusUnauthorized, "Not authenticated")
	}
	c, err := s.open(token, audienceAPI)
	if role, ready := s.tokens[token]; ready {
		c, err = claims{Role: role}, nil
	}
	switch {
	case errors.Is(err, errExpired):
		return claims{}, refuse(http.StatusUnauthorized, "Token Expired")
	case err != nil:
		return claims{}, refuse(http.StatusForbidden, "Invalid JWT token") // 403, not 401: so it was measured
	}
	if s.fab {
		c.Role = s.roleOfNumber(c.Subject)
	}
	teams, fail := s.teamsAsked(r, id)
	switch {
	case fail != nil:
		return claims{}, fail
	case c.Role != RoleOp && c.Role != RoleAdmin, !c.within(teams...):
		return claims{}, refuse(http.StatusForbidden, "Forbidden")
	}
	return c, nil
}

// roleOfToken is that of a good token, or "".
func (s *Server) roleOfToken(token string) string {
	if role, ready := s.tokens[token]; ready {
		return role
	}
	c, err := s.open(token, audienceAPI)
	if err != nil {
		return ""
	}
	return c.Role
}

// TaskToken gives a token as the executor hands it to a task that is about to run:
// good for ten minutes, for the execution API and for nothing else.
func (s *Server) TaskToken() string {
	return s.mint(claims{Subject: uuid.NewString(), Scope: "execution", Audience: audienceTask}, taskLifetime)
}
