package uaa

import (
	"encoding/json"
	"net/http"

	"airflow-identity/remote"
)

// refusal reads an answer that is not the success hoped for, and decides whether
// it is UAA's own. That takes UAA's JSON error; or the {} in which it puts what
// it would otherwise say on a page of HTML; or, for a 404, no body at all.
func refusal(a remote.Answer) *remote.Error {
	var body map[string]json.RawMessage
	readable := a.JSON(&body) == nil && body != nil
	code, named := text(body["error"])
	description, _ := text(body["error_description"])

	own := false
	switch {
	case a.FromRouter(), a.Status < 400, a.Status >= 500:
	case a.NeverCarriedOut():
		own = true
	case a.Status == http.StatusNotFound:
		own = a.Empty()
	default:
		own = readable && (named || len(body) == 0)
	}
	if !own {
		code, description = "", ""
	}
	return a.Refused(own, code, description)
}

// own tells whether an answer is UAA's own, be it a success or a refusal. Every
// success of a call that we make is an object, but for that of a revocation.
func own(a remote.Answer) bool {
	if a.Status >= 300 {
		return refusal(a).Own || nothingToRevoke(a)
	}
	var body map[string]json.RawMessage
	return (a.JSON(&body) == nil || revoked(a)) && !a.FromRouter()
}

func text(raw json.RawMessage) (string, bool) {
	var s *string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}
