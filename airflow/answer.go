package airflow

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"airflow-identity/remote"
)

// refusal reads an answer that is not the success hoped for, and decides whether
// it is Airflow's own: an object with a detail, which is null at times where there
// is a title. A path that is not there is answered by "Not Found", as detail or as
// title, or by an error without a detail; none says anything about a connection.
func refusal(a remote.Answer) *remote.Error {
	var body struct {
		Title  string          `json:"title"`
		Detail json.RawMessage `json:"detail"`
	}
	readable := a.JSON(&body) == nil && len(body.Detail) > 0
	code, description := words(body.Detail)
	if code == "" {
		code = body.Title
	}

	own := false
	switch {
	case a.FromRouter(), a.Status < 400, a.Status >= 500:
	case a.NeverCarriedOut():
		own = true
	case a.Status == http.StatusNotFound:
		own = readable && description != "" && description != "Not Found" && (body.Title == "" || body.Title == titleMissing)
	default:
		own = readable
	}
	if !own {
		code, description = "", ""
	}
	return a.Refused(own, code, description)
}

// own tells whether an answer is Airflow's own, be it a success or a refusal.
// Every success of a call that we make is an object, or nothing.
func own(a remote.Answer) bool {
	if a.Status >= 300 {
		return refusal(a).Own || isRemovedV1(a)
	}
	var body map[string]json.RawMessage
	return !a.FromRouter() && (a.Status == http.StatusNoContent || a.JSON(&body) == nil)
}

// words are what may be kept of a detail. It is a sentence; or a list of what is
// wrong where, each item with an "input" that must not be looked at; or, for a
// conflict, an object with a reason.
func words(detail json.RawMessage) (code, description string) {
	var sentence string
	if json.Unmarshal(detail, &sentence) == nil {
		return "", sentence
	}
	var items []struct {
		Location []any  `json:"loc"`
		Message  string `json:"msg"`
	}
	if json.Unmarshal(detail, &items) == nil {
		lines := make([]string, len(items))
		for i, item := range items {
			lines[i] = strings.Join(append(names(item.Location), item.Message), ": ")
		}
		return "", strings.Join(lines, "; ")
	}
	var conflict struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(detail, &conflict) == nil {
		return conflict.Reason, ""
	}
	return "", ""
}

func names(location []any) []string {
	path := make([]string, len(location))
	for i, step := range location {
		path[i] = fmt.Sprint(step)
	}
	if len(path) == 0 {
		return nil
	}
	return []string{strings.Join(path, ".")}
}
