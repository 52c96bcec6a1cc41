package airflow

import (
	"encoding/json"
	"io"
	"net/http"
)

// failure is an answer that is not a success. Its detail is a text, an object or a
// list of problems, and a client must survive all three.
type failure struct {
	status int
	detail any
}

func refuse(status int, detail any) *failure { return &failure{status: status, detail: detail} }

func (f *failure) send(w http.ResponseWriter) {
	sendJSON(w, f.status, map[string]any{"detail": f.detail})
}

func notFound(id string) *failure {
	return refuse(http.StatusNotFound, "The Connection with connection_id: `"+id+"` was not found")
}

func taken() *failure {
	return refuse(http.StatusConflict, map[string]string{
		"reason":     "Unique constraint violation",
		"statement":  "hidden",
		"orig_error": "hidden",
		"message": "Serious error when handling your request. Check logs for more details - " +
			"you will find it in api server when you look for ID 5h8xtzTD",
	})
}

// problem is one finding of a body's validation. Input is what was sent, the
// password if that was it: nobody may log such an answer.
type problem struct {
	Type    string `json:"type"`
	Loc     []any  `json:"loc"`
	Message string `json:"msg"`
	Input   any    `json:"input"`
	Context any    `json:"ctx,omitempty"`
}

func sendJSON(w http.ResponseWriter, status int, body any) {
	sendJSONAs(w, "application/json", status, body)
}

func sendJSONAs(w http.ResponseWriter, contentType string, status int, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client may have gone
}

// sendError is the shape of the answers that come from before the API.
func sendError(w http.ResponseWriter, status int, text string) {
	sendJSON(w, status, map[string]string{"error": text})
}

func sendPage(w http.ResponseWriter) { sendPageAs(w, http.StatusOK) }

func sendPageAs(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html><head><title>Airflow</title></head><body></body></html>\n")
}
