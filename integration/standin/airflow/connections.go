package airflow

import (
	"net/http"
	"slices"
)

func (s *Server) createConnection(w http.ResponseWriter, r *http.Request) {
	if _, fail := s.authorize(r, ""); fail != nil {
		fail.send(w)
		return
	}
	sent, fail := s.readConnection(r)
	if fail != nil {
		fail.send(w)
		return
	}
	if !s.store.create(sent.Connection) {
		taken().send(w)
		return
	}
	sendJSON(w, http.StatusCreated, s.answer(sent.Connection))
}

func (s *Server) getConnection(w http.ResponseWriter, r *http.Request, id string) {
	if _, fail := s.authorize(r, id); fail != nil {
		fail.send(w)
		return
	}
	connection, found := s.store.get(id)
	if !found {
		notFound(id).send(w)
		return
	}
	sendJSON(w, http.StatusOK, s.answer(connection))
}

func (s *Server) patchConnection(w http.ResponseWriter, r *http.Request, id string) {
	if _, fail := s.authorize(r, id); fail != nil {
		fail.send(w)
		return
	}
	sent, fail := s.readConnection(r) // whole, whatever the mask says
	if fail != nil {
		fail.send(w)
		return
	}
	if sent.ConnectionID != id {
		refuse(http.StatusBadRequest, "The connection_id in the request body does not match the URL parameter").send(w)
		return
	}
	mask := r.URL.Query()["update_mask"]
	patched, found := s.store.update(id, func(old Connection) Connection { return sent.onto(old, mask) })
	if !found {
		notFound(id).send(w)
		return
	}
	sendJSON(w, http.StatusOK, s.answer(patched))
}

// onto is what a PATCH makes of a connection. A mask is a list of names: one that
// is no field's counts for nothing, a list in one value ("a,b") among them, so that
// a mask with nothing but such names is a success that changes nothing. What the
// mask names and the body leaves out stays, but for extra.
func (c sentConnection) onto(old Connection, mask []string) Connection {
	masked := func(field string) bool { return len(mask) > 0 && slices.Contains(mask, field) }
	written := func(field string) bool {
		_, named := c.named[field]
		return named && (len(mask) == 0 || masked(field))
	}
	patched := old
	for field, change := range map[string]func(){
		"conn_type":   func() { patched.ConnType = c.ConnType },
		"description": func() { patched.Description = c.Description },
		"host":        func() { patched.Host = c.Host },
		"login":       func() { patched.Login = c.Login },
		"schema":      func() { patched.Schema = c.Schema },
		"port":        func() { patched.Port = c.Port },
		"team_name":   func() { patched.Team = c.Team },
		// No password, as null or as an empty text, is no wish; three stars are the
		// one that is there.
		"password": func() {
			if c.Password != "" && c.Password != stars {
				patched.Password = c.Password
			}
		},
	} {
		if written(field) {
			change()
		}
	}
	if written("extra") || masked("extra") {
		patched.Extra = mergeExtra(c.Extra, old.Extra)
	}
	return patched
}

func (s *Server) deleteConnection(w http.ResponseWriter, r *http.Request, id string) {
	if _, fail := s.authorize(r, id); fail != nil {
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
func (s *Server) answer(c Connection) map[string]any {
	answer := map[string]any{
		"connection_id": c.ConnectionID,
		"conn_type":     c.ConnType,
		"description":   orNull(c.Description),
		"host":          orNull(c.Host),
		"login":         orNull(c.Login),
		"schema":        orNull(c.Schema),
		"port":          c.Port,
		"password":      nil,
		"extra":         orNull(redactExtra(c.Extra, isSensitive)),
		"team_name":     orNull(c.Team),
	}
	if s.noTeams {
		delete(answer, "team_name")
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
