package airflow

import (
	"net/http"
)

func (s *Server) createConnection(w http.ResponseWriter, r *http.Request) {
	if fail := s.authorize(r); fail != nil {
		fail.send(w)
		return
	}
	connection, fail := readConnection(r)
	if fail != nil {
		fail.send(w)
		return
	}
	if !s.store.create(connection) {
		taken().send(w)
		return
	}
	sendJSON(w, http.StatusCreated, connection.answer())
}

func (s *Server) getConnection(w http.ResponseWriter, r *http.Request, id string) {
	if fail := s.authorize(r); fail != nil {
		fail.send(w)
		return
	}
	connection, found := s.store.get(id)
	if !found {
		notFound(id).send(w)
		return
	}
	sendJSON(w, http.StatusOK, connection.answer())
}

func (s *Server) deleteConnection(w http.ResponseWriter, r *http.Request, id string) {
	if fail := s.authorize(r); fail != nil {
		fail.send(w)
		return
	}
	if !s.store.remove(id) {
		notFound(id).send(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// answer is the connection as the API shows it. A client that writes this back has
// overwritten the secret with three stars.
func (c Connection) answer() map[string]any {
	answer := map[string]any{
		"connection_id": c.ConnectionID,
		"conn_type":     c.ConnType,
		"description":   orNull(c.Description),
		"host":          orNull(c.Host),
		"login":         orNull(c.Login),
		"schema":        orNull(c.Schema),
		"port":          c.Port,
		"password":      nil,
		"extra":         orNull(redactExtra(c.Extra)),
		"team_name":     nil,
	}
	if c.Password != "" {
		answer["password"] = stars
	}
	return answer
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// routeExecution is how a running task reads a connection: through the execution
// API, with its own token, in clear text and without the description.
func (s *Server) routeExecution(w http.ResponseWriter, r *http.Request, id string) {
	if r.Method != http.MethodGet {
		notAllowed(w)
		return
	}
	token, found := bearer(r)
	if !found {
		refuse(http.StatusUnauthorized, "Not authenticated").send(w)
		return
	}
	if c, err := s.open(token, audienceTask); err != nil || c.Scope != "execution" {
		refuse(http.StatusForbidden, "Invalid auth token").send(w)
		return
	}
	connection, found := s.store.get(id)
	if !found {
		refuse(http.StatusNotFound, map[string]string{
			"reason":  "not_found",
			"message": "Connection with ID " + id + " not found",
		}).send(w)
		return
	}
	sendJSON(w, http.StatusOK, map[string]any{
		"conn_id":   connection.ConnectionID,
		"conn_type": connection.ConnType,
		"host":      orNull(connection.Host),
		"schema":    orNull(connection.Schema),
		"login":     orNull(connection.Login),
		"password":  orNull(connection.Password),
		"port":      connection.Port,
		"extra":     orNull(connection.Extra),
	})
}
