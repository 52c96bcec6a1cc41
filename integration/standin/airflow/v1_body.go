package airflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// bodyV1 is a connection as a request to API 1 has it. Numbers are json.Number.
type bodyV1 map[string]any

// readBodyV1 checks the form of a body: JSON, an object, and the types of its fields.
func readBodyV1(r *http.Request) (bodyV1, *problemV1) {
	contentType := r.Header.Get("Content-Type")
	if !isJSON(contentType) {
		return nil, &problemV1{http.StatusUnsupportedMediaType, "Unsupported Media Type", "Invalid Content-type (" + contentType + "), expected JSON data"}
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || len(text) == 0 {
		return nil, badRequest("Request body must not be empty")
	}
	var sent any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&sent) != nil || decoder.More() {
		return nil, badRequest("Request body is not valid JSON")
	}
	object, isObject := sent.(map[string]any)
	if !isObject {
		return nil, badRequest(python(sent) + " is not of type 'object'")
	}
	body := bodyV1(object)
	for _, field := range fieldsV1 {
		value, named := body[field.name]
		if named && !(value == nil && field.nullable) && !field.is(value) {
			return nil, badRequest(python(value) + " is not of type '" + field.kind + "' - '" + field.name + "'")
		}
	}
	return body, nil
}

var integer = regexp.MustCompile(`^-?[0-9]+$`)

type fieldV1 struct {
	name, kind string
	nullable   bool
	most       int
}

func (f fieldV1) is(value any) bool {
	if f.kind == "string" {
		_, isText := value.(string)
		return isText
	}
	number, isNumber := value.(json.Number)
	return isNumber && integer.MatchString(number.String())
}

// fieldsV1 are in the order in which their faults are told. What is too long is so by
// the width of the column.
var fieldsV1 = []fieldV1{
	{"connection_id", "string", false, 250},
	{"conn_type", "string", false, 500},
	{"description", "string", true, 0},
	{"host", "string", true, 500},
	{"login", "string", true, 0},
	{"schema", "string", true, 500},
	{"port", "integer", true, 0},
	{"password", "string", false, 0},
	{"extra", "string", true, 0},
}

// validate checks the content. A partial body needs no field; a whole one needs an id
// and a type.
func (b bodyV1) validate(partial bool) *problemV1 {
	var wrong []string
	report := func(field, what string) { wrong = append(wrong, "'"+field+"': ['"+what+"']") }
	for _, field := range fieldsV1 {
		value, named := b[field.name]
		text, _ := value.(string)
		switch {
		case !named && !partial && (field.name == "connection_id" || field.name == "conn_type"):
			report(field.name, "Missing data for required field.")
		case field.most > 0 && utf8.RuneCountInString(text) > field.most:
			report(field.name, fmt.Sprintf("Longer than maximum length %d.", field.most))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b)) {
		if !slices.ContainsFunc(fieldsV1, func(f fieldV1) bool { return f.name == key }) {
			report(key, "Unknown field.")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return badRequest("{" + strings.Join(wrong, ", ") + "}")
}

func validateKey(id string) *problemV1 {
	switch {
	case utf8.RuneCountInString(id) > maxID:
		return badRequest("The key has to be less than 200 characters")
	case !validID.MatchString(id):
		return badRequest("The key " + python(id) + " has to be made of alphanumeric characters, dashes, dots and underscores exclusively")
	default:
		return nil
	}
}

// onto is what a request makes of a connection. An empty password is no wish; three
// stars are a password like any other.
func (b bodyV1) onto(old Connection, mask []string) Connection {
	text := func(field string, into *string) {
		value, named := b[field]
		if named && (mask == nil || slices.Contains(mask, field)) {
			*into, _ = value.(string)
		}
	}
	made := old
	password := ""
	if mask == nil && made.ConnectionID == "" {
		text("connection_id", &made.ConnectionID)
	}
	text("conn_type", &made.ConnType)
	text("description", &made.Description)
	text("host", &made.Host)
	text("login", &made.Login)
	text("schema", &made.Schema)
	text("extra", &made.Extra)
	text("password", &password)
	if password != "" {
		made.Password = password
	}
	if value, named := b["port"]; named && (mask == nil || slices.Contains(mask, "port")) {
		made.Port = nil
		if number, isNumber := value.(json.Number); isNumber {
			port, _ := strconv.Atoi(number.String())
			made.Port = &port
		}
	}
	return made
}

// isRedactable tells whether extra can be shown: 2.11.2 trips over JSON that is no object.
func isRedactable(extra string) bool {
	var parsed any
	if json.Unmarshal([]byte(extra), &parsed) != nil {
		return true
	}
	_, isObject := parsed.(map[string]any)
	return isObject
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// python writes a value of JSON as Python's repr does, keys sorted.
func python(value any) string {
	switch value := value.(type) {
	case nil:
		return "None"
	case bool:
		if value {
			return "True"
		}
		return "False"
	case string:
		if strings.Contains(value, "'") && !strings.Contains(value, `"`) {
			return `"` + value + `"`
		}
		return "'" + strings.ReplaceAll(value, "'", `\'`) + "'"
	case []any:
		items := make([]string, len(value))
		for i, item := range value {
			items[i] = python(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		var items []string
		for _, key := range slices.Sorted(maps.Keys(value)) {
			items = append(items, python(key)+": "+python(value[key]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	default:
		return fmt.Sprint(value)
	}
}
