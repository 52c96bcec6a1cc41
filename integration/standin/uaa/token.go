package uaa

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

const clientCredentials = "client_credentials"

// grant is /oauth/token. The client is known before anything else is looked at.
func (s *Server) grant(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		page(http.StatusBadRequest).send(w, r)
		return
	}
	client, fail := s.authenticate(r)
	if fail == nil {
		fail = checkGrantType(client, r.Form)
	}
	var scopes []string
	if fail == nil {
		scopes, fail = requestedScopes(client, r.Form.Get("scope"))
	}
	if fail != nil {
		fail.send(w, r)
		return
	}

	claims := s.claims(client, scopes)
	attributes := attributesIn(r.Form.Get("authorities"))
	if attributes != nil {
		claims["az_attr"] = attributes
	}
	token, err := s.key.sign(s.issuer, claims)
	if err != nil {
		page(http.StatusInternalServerError).send(w, r)
		return
	}
	s.tokens.Add(1)
	answer := map[string]any{
		"access_token": token,
		"token_type":   "bearer",
		"expires_in":   expiresIn(client.tokenSeconds()),
		"scope":        strings.Join(scopes, " "),
		"jti":          claims["jti"],
	}
	if attributes != nil {
		answer["az_attr"] = attributes
	}
	sendJSON(w, http.StatusOK, answer)
}

// attributesIn are what whoever asks for a token wants in it. The client chooses them
// freely. They are texts; where one is anything else, or beside them is another key, UAA
// says nothing and puts nothing in.
func attributesIn(form string) map[string]string {
	var sent map[string]map[string]string
	if json.Unmarshal([]byte(form), &sent) != nil || len(sent) != 1 {
		return nil
	}
	return sent["az_attr"]
}

// authenticate finds the calling client by Basic credentials, taken as they are,
// or by form fields. One answer for all that can be wrong: UAA does not tell an
// unknown client from a wrong secret.
func (s *Server) authenticate(r *http.Request) (*record, *failure) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.Form.Get("client_id"), r.Form.Get("client_secret")
	}
	client, found := s.store.get(id)
	if !found || !s.hasher.matchesAny(secret, client.Hashes) {
		return nil, badCredentials()
	}
	return client, nil
}

func checkGrantType(client *record, form url.Values) *failure {
	grant := form.Get("grant_type")
	switch {
	case grant == "":
		return &failure{
			status: http.StatusBadRequest, code: "invalid_request", description: "Missing grant type",
		}
	case !slices.Contains(client.GrantTypes, grant):
		// A 401 that says nothing of the secret.
		fail := invalidClient(http.StatusUnauthorized, "Unauthorized grant type: %s", grant)
		fail.challenge = "Bearer"
		return fail
	case grant != clientCredentials:
		return &failure{
			status:      http.StatusBadRequest,
			code:        "unsupported_grant_type",
			description: "Unsupported grant type: " + grant,
		}
	}
	return nil
}

// requestedScopes scopes a token down. What a client_credentials token may say is
// what the client holds as authorities.
func requestedScopes(client *record, requested string) ([]string, *failure) {
	held := unordered(client.Authorities)
	scopes := strings.Fields(requested)
	if len(scopes) == 0 {
		return held, nil
	}
	for _, scope := range scopes {
		if !matchesWildcards(held, scope) {
			return nil, &failure{
				status:      http.StatusBadRequest,
				code:        "invalid_scope",
				description: scope + " is invalid. Please use a valid scope name in the request",
				scope:       strings.Join(held, " "),
			}
		}
	}
	return unordered(split(scopes)), nil
}

// matchesWildcards compares as UAA does: "*" in a pattern is one segment.
func matchesWildcards(patterns []string, value string) bool {
	for _, pattern := range patterns {
		if pattern == value {
			return true
		}
		if !strings.Contains(pattern, "*") {
			continue
		}
		quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `[^\\.]+`)
		if matched, err := regexp.MatchString("^"+quoted+"$", value); err == nil && matched {
			return true
		}
	}
	return false
}

func (s *Server) claims(client *record, scopes []string) map[string]any {
	issued := s.now().Unix()
	return map[string]any{
		"jti":         strings.ReplaceAll(uuid.NewString(), "-", ""),
		"sub":         client.ID,
		"authorities": unordered(client.Authorities),
		"scope":       scopes,
		"client_id":   client.ID,
		"cid":         client.ID,
		"azp":         client.ID,
		"grant_type":  clientCredentials,
		"rev_sig":     client.revocationSignature(newest(client.Hashes)),
		"iat":         issued,
		"exp":         issued + int64(client.tokenSeconds()),
		"iss":         s.Issuer(),
		"zid":         s.zone.ID,
		"aud":         audience(client.ID, scopes),
	}
}

// expiresIn is what the answer says of a token's life: a second less than it is.
func expiresIn(seconds int) int {
	if seconds > 0 {
		return seconds - 1
	}
	return seconds
}

// audience is the scopes up to their last dot, and the client itself.
func audience(clientID string, scopes []string) []string {
	var audience []string
	for _, scope := range scopes {
		end := strings.LastIndex(scope, ".")
		if end > 0 && end < len(scope)-1 && scope != "uaa.none" && !slices.Contains(audience, scope[:end]) {
			audience = append(audience, scope[:end])
		}
	}
	audience = orElse(audience, "none")
	if !slices.Contains(audience, clientID) {
		audience = append(audience, clientID)
	}
	return audience
}

// revocationSignature ties a token to a secret's hash: another salt, another
// signature, so setting even the same secret again kills the tokens. And it ties it
// to the client's own salt, which is all that a revocation changes.
func (c *record) revocationSignature(hash string) string {
	sum := sha256.Sum256([]byte(c.salt() + c.ID + " " + hash))
	return hex.EncodeToString(sum[:4])
}

func newest(hashes []string) string {
	if len(hashes) == 0 {
		return ""
	}
	return hashes[len(hashes)-1]
}
