package uaa

import (
	"errors"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// validate says what is wrong with a token, as far as UAA looks: it reads the
// client again every time, so a deleted client, a changed secret or a lost
// authority ends a token before its time.
func (s *Server) validate(token string, expired func(time.Time) *failure) (map[string]any, *failure) {
	claims, err := s.key.open(token)
	switch {
	case errors.Is(err, errUndecodable):
		return nil, invalidToken("Invalid token (could not decode): %s", token)
	case err != nil:
		return nil, invalidToken("Couldn't verify token signature")
	}
	if issuer, _ := claims["iss"].(string); issuer != s.Issuer() {
		return nil, invalidToken("Invalid issuer (%s) for token did not match expected: %s", issuer, s.Issuer())
	}
	seconds, _ := claims["exp"].(float64)
	if expires := time.Unix(int64(seconds), 0); !s.now().Before(expires) {
		return nil, expired(expires)
	}

	id, _ := claims["cid"].(string)
	client, found := s.store.get(id)
	if !found {
		return nil, invalidToken("Invalid client ID %s", id)
	}
	if missing := missingFrom(client.Authorities, stringsOf(claims["scope"])); len(missing) > 0 {
		return nil, invalidToken(`Some required "scope" are missing: [%s]`, strings.Join(missing, ", "))
	}
	if !slices.ContainsFunc(client.Hashes, func(hash string) bool {
		return client.revocationSignature(hash) == claims["rev_sig"]
	}) {
		return nil, invalidToken("revocable signature mismatch")
	}
	return claims, nil
}

func missingFrom(held, wanted []string) []string {
	var missing []string
	for _, scope := range wanted {
		if !matchesWildcards(held, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

func stringsOf(value any) []string {
	list, _ := value.([]any)
	texts := make([]string, 0, len(list))
	for _, item := range list {
		if text, isText := item.(string); isText {
			texts = append(texts, text)
		}
	}
	return texts
}

// checkToken is for resource servers. They have authenticated themselves, so a bad
// token is a 400 here and not the 401 of the API.
func (s *Server) checkToken(w http.ResponseWriter, r *http.Request) {
	claims, fail := s.checkedToken(r)
	if fail != nil {
		fail.send(w, r)
		return
	}
	sendJSON(w, http.StatusOK, claims)
}

func (s *Server) checkedToken(r *http.Request) (map[string]any, *failure) {
	if _, _, basic := r.BasicAuth(); !basic {
		return nil, fullAuthentication("Basic")
	}
	if err := r.ParseForm(); err != nil {
		return nil, page(http.StatusBadRequest)
	}
	caller, fail := s.authenticate(r)
	if fail != nil {
		return nil, fail
	}
	if !slices.Contains(caller.Authorities, "uaa.resource") {
		return nil, accessDenied()
	}
	if !r.Form.Has("token") {
		return nil, page(http.StatusBadRequest)
	}
	claims, fail := s.validate(r.Form.Get("token"), func(time.Time) *failure {
		return invalidToken("Token has expired")
	})
	if fail != nil {
		fail.status, fail.challenge = http.StatusBadRequest, ""
		fail.description = html.EscapeString(fail.description)
		fail.description = strings.ReplaceAll(fail.description, "&#34;", "&quot;") // as Java writes it
	}
	return claims, fail
}

func fullAuthentication(challenge string) *failure {
	return &failure{
		status:      http.StatusUnauthorized,
		code:        "unauthorized",
		description: "Full authentication is required to access this resource",
		challenge:   challenge,
	}
}

// bearer checks the token of a call to the API.
func (s *Server) bearer(r *http.Request) (map[string]any, *failure) {
	if claims, switched := r.Context().Value(switchedKey{}).(map[string]any); switched && s.zone.ID != defaultZone.ID {
		return claims, nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, fullAuthentication("Bearer")
	}
	return s.validate(token, func(expires time.Time) *failure {
		return invalidToken("Invalid access token: expired at %s", expires.UTC().Format(time.UnixDate))
	})
}

// caller is who makes a call to the API, as its token says.
type caller struct {
	id     string
	scopes []string
}

// admin is free of the limits that clients.write has.
func (c caller) admin() bool {
	return slices.ContainsFunc(c.scopes, func(scope string) bool {
		return scope == "clients.admin" || scope == "uaa.admin" || zoneAdmin.MatchString(scope)
	})
}

var zoneAdmin = regexp.MustCompile(`^zones\.[^.]+\.admin$`)

// authorize demands one of the scopes, which stand in the answer of who has none. The
// zone's admin may whatever the default one's may.
func (s *Server) authorize(r *http.Request, anyOf ...string) (caller, *failure) {
	for i, scope := range anyOf {
		anyOf[i] = strings.Replace(scope, "zones.uaa.", "zones."+s.zone.ID+".", 1)
	}
	claims, fail := s.bearer(r)
	if fail != nil {
		return caller{}, fail
	}
	id, _ := claims["cid"].(string)
	c := caller{id: id, scopes: stringsOf(claims["scope"])}
	for _, scope := range anyOf {
		if slices.Contains(c.scopes, scope) {
			return c, nil
		}
	}
	return caller{}, &failure{
		status:      http.StatusForbidden,
		code:        "insufficient_scope",
		description: "Insufficient scope for this resource",
		challenge:   "Bearer",
		scope:       strings.Join(anyOf, " "),
	}
}
