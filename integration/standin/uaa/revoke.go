package uaa

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

const (
	revokePath = "/oauth/token/revoke/client/"
	tokenSalt  = "token_salt"
)

func isRevocation(path string) bool {
	id, found := strings.CutPrefix(path, revokePath)
	return found && id != "" && !strings.Contains(id, "/")
}

// revoke makes every token of a client worthless, with any method: it salts their
// signature, visibly, among the client's additional information.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, id string) {
	if _, fail := s.authorize(r, "uaa.admin", "tokens.revoke"); fail != nil {
		fail.send(w, r)
		return
	}
	found, fits := s.store.revoke(id, rand.Text()[:8], s.now().UnixMilli())
	switch {
	case !found:
		fail := &failure{status: http.StatusNotFound, code: "invalid_token", description: "Resource not found"}
		fail.send(w, r)
	case !fits:
		sendPage(w, r, http.StatusInternalServerError)
	default:
		sendEmpty(w, http.StatusOK)
	}
}

// salted gives the client with another salt, unless that is more than UAA can store.
func (c *record) salted(salt string, now int64) (*record, bool) {
	salted := *c
	salted.Additional = maps.Clone(c.Additional)
	if salted.Additional == nil {
		salted.Additional = map[string]json.RawMessage{}
	}
	salted.Additional[tokenSalt], _ = json.Marshal(salt)
	salted.LastModified = now
	stored, err := json.Marshal(salted.Additional)
	return &salted, err == nil && len(stored) <= maxAdditional
}

// salt is what a caller or a revocation has put into the signatures of tokens.
func (c *record) salt() string {
	var salt string
	_ = json.Unmarshal(c.Additional[tokenSalt], &salt) // what is no text salts nothing
	return salt
}
