package airflow

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxID     = 200
	idPattern = `^[\w.-]+$`
)

// validID is idPattern as the real server means it, where \w is a letter or digit
// of any script.
var validID = regexp.MustCompile(`^[\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}.-]+$`)

var fields = []string{
	"connection_id", "conn_type", "description", "host", "login", "schema", "port", "password", "extra", "team_name",
}

// sentConnection is a connection as a request has it, and which fields it named:
// null is not the same as left out.
type sentConnection struct {
	Connection
	named map[string]any
}

// readConnection checks a body and reports all that is wrong with it.
func (s *Server) readConnection(r *http.Request) (sentConnection, *failure) {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		return sentConnection{}, unprocessable(problem{
			Type: "missing", Loc: []any{"body"}, Message: "Field required",
		})
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return sentConnection{}, notObject(string(body)) // the whole body comes back, password and all
	}
	var sent any
	if err := json.Unmarshal(body, &sent); err != nil {
		return sentConnection{}, unprocessable(problem{
			Type: "json_invalid", Loc: []any{"body", offsetOf(err)}, Message: "JSON decode error",
			Input: map[string]any{}, Context: map[string]string{"error": "Expecting value"},
		})
	}
	object, isObject := sent.(map[string]any)
	if !isObject {
		return sentConnection{}, notObject(sent)
	}

	v := &validation{sent: object, noTeams: s.noTeams}
	connection := v.connection()
	if len(v.problems) == 0 && object["team_name"] != nil && !s.multiTeam() {
		v.report("value_error", nil, "Value error, team_name cannot be set when multi_team mode is disabled",
			object, map[string]any{"error": map[string]any{}})
	}
	if len(v.problems) > 0 {
		return sentConnection{}, unprocessable(v.problems...)
	}
	return sentConnection{connection, object}, nil
}

// isJSON is as strict as FastAPI has become: a body without a type is not JSON.
func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}

func offsetOf(err error) int64 {
	if syntax, isSyntax := err.(*json.SyntaxError); isSyntax {
		return syntax.Offset
	}
	return 0
}

func unprocessable(problems ...problem) *failure {
	return refuse(http.StatusUnprocessableEntity, problems)
}

func notObject(sent any) *failure {
	return unprocessable(problem{
		Type: "model_attributes_type", Loc: []any{"body"},
		Message: "Input should be a valid dictionary or object to extract fields from", Input: sent,
	})
}

// validation collects problems in the order of the fields, unknown keys last.
type validation struct {
	sent     map[string]any
	noTeams  bool
	problems []problem
}

func (v *validation) report(kind string, field any, message string, input, context any) {
	loc := []any{"body"}
	if field != nil {
		loc = append(loc, field)
	}
	v.problems = append(v.problems, problem{Type: kind, Loc: loc, Message: message, Input: input, Context: context})
}

func (v *validation) connection() Connection {
	connection := Connection{
		ConnectionID: v.id(),
		ConnType:     v.required("conn_type"),
		Description:  v.text("description"),
		Host:         v.text("host"),
		Login:        v.text("login"),
		Schema:       v.text("schema"),
		Port:         v.port(),
		Password:     v.text("password"), // "***" as well is stored as it is
		Extra:        v.extra(),
		Team:         v.text("team_name"),
	}

	for _, key := range slices.Sorted(maps.Keys(v.sent)) {
		if !slices.Contains(fields, key) || v.noTeams && key == "team_name" {
			v.report("extra_forbidden", key, "Extra inputs are not permitted", v.sent[key], nil)
		}
	}
	return connection
}

// text reads an optional text; null is none.
func (v *validation) text(field string) string {
	if v.sent[field] == nil {
		return ""
	}
	return v.required(field)
}

func (v *validation) required(field string) string {
	value, found := v.sent[field]
	if !found {
		v.report("missing", field, "Field required", v.sent, nil) // input is the whole body
		return ""
	}
	text, isText := value.(string)
	if !isText {
		v.report("string_type", field, "Input should be a valid string", value, nil)
	}
	return text
}

func (v *validation) id() string {
	before := len(v.problems)
	id := v.required("connection_id")
	switch {
	case len(v.problems) > before:
	case utf8.RuneCountInString(id) > maxID:
		v.report("string_too_long", "connection_id", "String should have at most 200 characters", id,
			map[string]int{"max_length": maxID})
	case !validID.MatchString(id):
		v.report("string_pattern_mismatch", "connection_id", "String should match pattern '"+idPattern+"'", id,
			map[string]string{"pattern": idPattern})
	}
	return id
}

// port takes a number of any size, and a text that is one.
func (v *validation) port() *int {
	switch value := v.sent["port"].(type) {
	case nil:
		return nil
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			port := int(value)
			return &port
		}
		v.report("int_from_float", "port",
			"Input should be a valid integer, got a number with a fractional part", value, nil)
	case string:
		port, err := strconv.Atoi(strings.TrimSpace(value))
		if err == nil {
			return &port
		}
		v.report("int_parsing", "port",
			"Input should be a valid integer, unable to parse string as an integer", value, nil)
	default:
		v.report("int_type", "port", "Input should be a valid integer", value, nil)
	}
	return nil
}

// extra is a text that holds a JSON object; an empty text becomes an empty object.
func (v *validation) extra() string {
	before := len(v.problems)
	text := v.text("extra")
	if len(v.problems) > before || v.sent["extra"] == nil {
		return ""
	}
	if text == "" {
		return "{}"
	}
	message := "Value error, The `extra` field must be a valid JSON object (e.g., {'key': 'value'})"
	var parsed any
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		message += ", but encountered non-JSON in `extra` field"
	} else if _, isObject := parsed.(map[string]any); isObject {
		return text
	}
	v.report("value_error", "extra", message, text, map[string]any{"error": map[string]any{}})
	return ""
}
