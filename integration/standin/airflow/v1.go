package airflow

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const connectionsPathV1 = "/api/v1/connections"

// routeV1 is an Airflow 2: its API, and a page for everything else.
func (s *Server) routeV1(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	id, one := strings.CutPrefix(path, connectionsPathV1+"/")
	switch {
	case path == "/api/v1/version":
		s.getV1(w, r, map[string]any{"version": "2.11.2", "git_version": ""})
	case path == "/api/v1/health", path == "/health":
		s.getV1(w, r, health())
	case path == "/api/v1/pools" && r.Method == http.MethodGet:
		s.listPoolsV1(w, r)
	case path == connectionsPathV1 && r.Method == http.MethodGet:
		s.listConnectionsV1(w, r)
	case path == connectionsPathV1 && r.Method == http.MethodPost:
		s.createConnectionV1(w, r)
	case one && id == "test":
		leftOut(w, r)
	case one && id != "" && !strings.Contains(id, "/"):
		s.routeConnectionV1(w, r, id)
	case path == connectionsPathV1:
		notAllowedV1(w)
	case strings.HasPrefix(path, "/api/v1/"):
		problemV1{http.StatusNotFound, "Not Found", "The requested URL was not found on the server. " +
			"If you entered the URL manually please check your spelling and try again."}.send(w)
	case path == issuerPath:
		s.issue(w, r)
	default:
		sendHTML(w, http.StatusNotFound, "<!DOCTYPE html>\n<html lang=\"en\">\n  <head>\n    <title>Airflow 404</title>\n  </head>\n"+
			"  <body><h1>Airflow 404</h1><p>Page cannot be found.</p></body>\n</html>\n")
	}
}

func (s *Server) routeConnectionV1(w http.ResponseWriter, r *http.Request, id string) {
	switch r.Method {
	case http.MethodGet:
		s.getConnectionV1(w, r, id)
	case http.MethodPatch:
		s.patchConnectionV1(w, r, id)
	case http.MethodDelete:
		s.deleteConnectionV1(w, r, id)
	default:
		notAllowedV1(w)
	}
}

func (s *Server) getV1(w http.ResponseWriter, r *http.Request, body any) {
	if r.Method != http.MethodGet {
		notAllowedV1(w)
		return
	}
	sendJSON(w, http.StatusOK, body)
}

// authorizeV1 tells whether somebody may touch connections. Nobody is told why not:
// whoever is not known is taken for the public, which may nothing.
func (s *Server) authorizeV1(r *http.Request) (refused problemV1, may bool) {
	role := s.roleV1(r)
	return problemV1{http.StatusForbidden, "Forbidden", nil}, role == RoleOp || role == RoleAdmin
}

func (s *Server) roleV1(r *http.Request) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if name, password, basic := r.BasicAuth(); basic {
		return roleOf(s.users, name, password)
	}
	if token, found := bearer(r); found {
		return s.roleOfToken(token)
	}
	return ""
}

// listPoolsV1 is what every role may read: there are none here.
func (s *Server) listPoolsV1(w http.ResponseWriter, r *http.Request) {
	if s.roleV1(r) == "" {
		problemV1{http.StatusForbidden, "Forbidden", nil}.send(w)
		return
	}
	sendJSON(w, http.StatusOK, map[string]any{"pools": []any{}, "total_entries": 0})
}

// What is wrong with the form of a query or a body is told before anybody is asked
// who he is; what is wrong with its content afterwards.
func (s *Server) createConnectionV1(w http.ResponseWriter, r *http.Request) {
	sent, refused := readBodyV1(r)
	if refused == nil {
		refused = spareQuery(r.URL.Query())
	}
	if refused != nil {
		refused.send(w)
		return
	}
	if refused, may := s.authorizeV1(r); !may {
		refused.send(w)
		return
	}
	if refused := sent.validate(false); refused != nil {
		refused.send(w)
		return
	}
	id, _ := sent["connection_id"].(string)
	if refused := validateKey(id); refused != nil {
		refused.send(w)
		return
	}
	connection := sent.onto(Connection{}, nil)
	if !isRedactable(connection.Extra) || !isASCII(id) {
		brokenV1(w)
		return
	}
	if !s.store.create(connection) {
		problemV1{http.StatusConflict, "Conflict", "Connection already exist. ID: " + id}.send(w)
		return
	}
	sendJSON(w, http.StatusOK, connection.answerV1(true))
}

func (s *Server) getConnectionV1(w http.ResponseWriter, r *http.Request, id string) {
	if refused := spareQuery(r.URL.Query()); refused != nil {
		refused.send(w)
		return
	}
	if refused, may := s.authorizeV1(r); !may {
		refused.send(w)
		return
	}
	connection, found := s.store.get(id)
	if !found {
		notFoundV1(id).send(w)
		return
	}
	sendJSON(w, http.StatusOK, connection.answerV1(true))
}

func (s *Server) patchConnectionV1(w http.ResponseWriter, r *http.Request, id string) {
	sent, refused := readBodyV1(r)
	if refused == nil {
		refused = spareQuery(r.URL.Query(), "update_mask")
	}
	if refused != nil {
		refused.send(w)
		return
	}
	if refused, may := s.authorizeV1(r); !may {
		refused.send(w)
		return
	}
	if refused := sent.validate(true); refused != nil {
		refused.send(w)
		return
	}
	if _, found := s.store.get(id); !found {
		notFoundV1(id).send(w)
		return
	}
	if named, _ := sent["connection_id"].(string); named != "" && named != id {
		badRequest("The connection_id cannot be updated.").send(w)
		return
	}
	mask, refused := readMaskV1(r.URL.Query(), sent)
	if refused != nil {
		refused.send(w)
		return
	}
	if extra, named := sent["extra"].(string); named && (mask == nil || slices.Contains(mask, "extra")) && !isRedactable(extra) {
		brokenV1(w)
		return
	}
	patched, found := s.store.update(id, func(old Connection) Connection { return sent.onto(old, mask) })
	if !found {
		notFoundV1(id).send(w)
		return
	}
	sendJSON(w, http.StatusOK, patched.answerV1(true))
}

// readMaskV1 gives the fields to write; nil is all that the body names. The mask is
// one text with commas. Of several masks the last counts: 2.11.2 was seen to write
// nothing of the others, and to answer 200.
func readMaskV1(query url.Values, sent bodyV1) ([]string, *problemV1) {
	masks := query["update_mask"]
	if len(masks) == 0 {
		return nil, nil
	}
	mask := strings.Split(masks[len(masks)-1], ",")
	for i, field := range mask {
		mask[i] = strings.TrimSpace(field)
		if _, named := sent[mask[i]]; !named || mask[i] == "connection_id" {
			return nil, badRequest("'" + mask[i] + "' is unknown or cannot be updated.")
		}
	}
	return mask, nil
}

// deleteConnectionV1 trips over a request that claims a body of JSON and has none:
// the code that logs the action wants to read it.
func (s *Server) deleteConnectionV1(w http.ResponseWriter, r *http.Request, id string) {
	if refused := spareQuery(r.URL.Query()); refused != nil {
		refused.send(w)
		return
	}
	if refused, may := s.authorizeV1(r); !may {
		refused.send(w)
		return
	}
	if body, _ := io.ReadAll(r.Body); isJSON(r.Header.Get("Content-Type")) && len(body) == 0 {
		sendHTML(w, http.StatusBadRequest, "<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n"+
			"<p>The browser (or proxy) sent a request that this server could not understand.</p>\n")
		return
	}
	if !s.store.remove(id) {
		notFoundV1(id).send(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listConnectionsV1(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, refused := integerV1(query, "limit", limitMost)
	offset, refusedOffset := integerV1(query, "offset", 0)
	for _, refused := range []*problemV1{refused, refusedOffset, spareQuery(query, "limit", "offset", "order_by")} {
		if refused != nil {
			refused.send(w)
			return
		}
	}
	if offset < 0 {
		badRequest(strconv.Itoa(offset) + " is less than the minimum of 0").send(w)
		return
	}
	if refused, may := s.authorizeV1(r); !may {
		refused.send(w)
		return
	}
	if limit < 0 {
		problemV1{http.StatusBadRequest, "Page limit must be a positive integer", nil}.send(w)
		return
	}
	if limit == 0 || limit > limitMost {
		limit = limitMost
	}

	rows := s.store.list()
	if refused := sortV1(rows, query); refused != nil {
		refused.send(w)
		return
	}
	first := min(offset, len(rows))
	items := []map[string]any{}
	for _, row := range rows[first:min(first+limit, len(rows))] {
		items = append(items, row.answerV1(false))
	}
	sendJSON(w, http.StatusOK, map[string]any{"connections": items, "total_entries": len(rows)})
}

// sortV1 sorts by one column; of several the last counts.
func sortV1(rows []row, query url.Values) *problemV1 {
	by := "id"
	if names := query["order_by"]; len(names) > 0 {
		by = names[len(names)-1]
	}
	column, descending := strings.CutPrefix(by, "-")
	if !slices.Contains([]string{"connection_id", "conn_type", "description", "host", "port", "id"}, column) {
		return badRequest("Ordering with '" + column + "' is disallowed or the attribute does not exist on the model")
	}
	slices.SortFunc(rows, listing{order: []order{{columns[column], descending}, {columns["id"], descending}}}.compare)
	return nil
}

func integerV1(query url.Values, key string, unsaid int) (int, *problemV1) {
	values := query[key]
	if len(values) == 0 {
		return unsaid, nil
	}
	value, err := strconv.Atoi(values[len(values)-1])
	if err != nil {
		return 0, badRequest("Wrong type, expected 'integer' for query parameter '" + key + "'")
	}
	return value, nil
}

// spareQuery refuses keys of a query that a call does not have.
func spareQuery(query url.Values, known ...string) *problemV1 {
	var spare []string
	for key := range query {
		if !slices.Contains(known, key) {
			spare = append(spare, key)
		}
	}
	if len(spare) == 0 {
		return nil
	}
	slices.Sort(spare)
	return &problemV1{http.StatusBadRequest, nil, "Extra query parameter(s) " + strings.Join(spare, ", ") + " not in spec"}
}

// answerV1 is the connection as the API shows it: never with its password, and in a
// list without extra too.
func (c Connection) answerV1(alone bool) map[string]any {
	answer := map[string]any{
		"connection_id": c.ConnectionID,
		"conn_type":     c.ConnType,
		"description":   orNull(c.Description),
		"host":          orNull(c.Host),
		"login":         orNull(c.Login),
		"schema":        orNull(c.Schema),
		"port":          c.Port,
	}
	if alone {
		answer["extra"] = orNull(redactExtra(c.Extra, isSensitiveV1))
	}
	return answer
}

// problemV1 is a refusal in the form of RFC 7807.
type problemV1 struct {
	status int
	title  any
	detail any
}

func badRequest(detail string) *problemV1 {
	return &problemV1{http.StatusBadRequest, "Bad Request", detail}
}

func notFoundV1(id string) problemV1 {
	return problemV1{http.StatusNotFound, "Connection not found", "The Connection with connection_id: `" + id + "` was not found"}
}

func notAllowedV1(w http.ResponseWriter) {
	problemV1{http.StatusMethodNotAllowed, "Method Not Allowed", "The method is not allowed for the requested URL."}.send(w)
}

func (p problemV1) send(w http.ResponseWriter) {
	const reference = "https://airflow.apache.org/docs/apache-airflow/2.11.2/stable-rest-api-ref.html#section/Errors/"
	kind := map[int]string{
		http.StatusBadRequest: reference + "BadRequest",
		http.StatusForbidden:  reference + "PermissionDenied",
		http.StatusNotFound:   reference + "NotFound",
		http.StatusConflict:   reference + "AlreadyExists",
	}[p.status]
	if kind == "" || p.title == "Not Found" {
		kind = "about:blank"
	}
	sendJSONAs(w, "application/problem+json", p.status, map[string]any{
		"detail": p.detail, "status": p.status, "title": p.title, "type": kind,
	})
}

func brokenV1(w http.ResponseWriter) {
	sendHTML(w, http.StatusInternalServerError, "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n"+
		"  <body>\n    <h1><p>Internal Server Error</p></h1>\n  </body>\n</html>\n")
}

func sendHTML(w http.ResponseWriter, status int, page string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, page)
}
