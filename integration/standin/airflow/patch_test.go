package airflow

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// full gives a connection with something in every field.
func full(id string) Connection {
	port := 443
	return Connection{
		ConnectionID: id, ConnType: "http", Description: "d", Host: "h", Login: "l", Schema: "s", Port: &port,
		Password: "p", Extra: `{"token": "t", "k": "v"}`,
	}
}

func (c Connection) String() string {
	port := "-"
	if c.Port != nil {
		port = fmt.Sprint(*c.Port)
	}
	return strings.Join([]string{c.ConnType, c.Description, c.Host, c.Login, c.Schema, port, c.Password, c.Extra}, "|")
}

func TestPatchAndItsMask(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	const (
		before = `http|d|h|l|s|443|p|{"token": "t", "k": "v"}`
		all    = `"description":"D","host":"H","login":"L","password":"P"`
		each   = `?update_mask=description&update_mask=host&update_mask=login&update_mask=password`
	)
	tests := []struct {
		name, query, sent string // beside id and type
		want              string
	}{
		{"no mask", "", all, `http|D|H|L|s|443|P|{"token": "t", "k": "v"}`},
		{"no mask, nothing sent", "", "", before},
		{"no mask, nulls", "", `"description":null,"host":null,"login":null,"schema":null,"port":null`, `http|||||-|p|{"token": "t", "k": "v"}`},
		{"a key for each field", each, all, `http|D|H|L|s|443|P|{"token": "t", "k": "v"}`},
		{"fewer than are sent", "?update_mask=host", all, `http|d|H|l|s|443|p|{"token": "t", "k": "v"}`},
		{"a list with commas", "?update_mask=description,host", all, before},
		{"a list with encoded commas", "?update_mask=description%2Chost", all, before},
		{"an unknown name", "?update_mask=nope", all, before},
		{"an unknown name among others", "?update_mask=nope&update_mask=host", all, `http|d|H|l|s|443|p|{"token": "t", "k": "v"}`},
		{"an empty name", "?update_mask=", all, before},
		{"the id and the team", "?update_mask=connection_id&update_mask=team_name", `"team_name":null`, before},
		{"masked and null", "?update_mask=port&update_mask=schema&update_mask=host", `"port":null,"schema":null,"host":null`,
			`http|d||l||-|p|{"token": "t", "k": "v"}`},
		{"masked and left out", "?update_mask=port&update_mask=schema&update_mask=host&update_mask=password", "", before},
		{"extra masked and left out", "?update_mask=extra", "", `http|d|h|l|s|443|p|`},
		{"extra null", "", `"extra":null`, `http|d|h|l|s|443|p|`},
		{"extra masked and null", "?update_mask=extra", `"extra":null`, `http|d|h|l|s|443|p|`},
		{"extra not masked", "?update_mask=host", `"extra":null`, before},
		{"extra empty", "", `"extra":""`, `http|d|h|l|s|443|p|{}`},
		{"extra with stars for a secret", "", `"extra":"{\"token\":\"***\",\"n\":[1,{\"a\":\"***\"}]}"`,
			`http|d|h|l|s|443|p|{"token": "t", "n": [1, {"a": "***"}]}`},
		{"extra with stars for no secret", "", `"extra":"{\"k\":\"***\"}"`, `http|d|h|l|s|443|p|{"k": "***"}`},
		{"extra with stars for what was not there", "", `"extra":"{\"secret\":\"***\"}"`, `http|d|h|l|s|443|p|{"secret": "***"}`},
		{"password null", "?update_mask=password", `"password":null`, before},
		{"password empty", "?update_mask=password", `"password":""`, before},
		{"password of stars", "?update_mask=password", `"password":"***"`, before},
		{"password of stars, no mask", "", `"password":"***"`, before},
		{"the type, not masked", "?update_mask=host", `"conn_type":"generic"`, before},
		{"the type", "?update_mask=conn_type", `"conn_type":"generic"`, `generic|d|h|l|s|443|p|{"token": "t", "k": "v"}`},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			id := fmt.Sprint("c", i)
			f.PutConnection(full(id))
			sent := strings.TrimSuffix(`{"connection_id":"`+id+`","conn_type":"http",`+test.sent, ",") + "}"

			got := f.as("op", http.MethodPatch, "/api/v2/connections/"+id+test.query, sent)

			after, _ := f.Connection(id)
			if got.status != 200 || after.String() != test.want {
				t.Errorf("got %d %s, and %s; want 200, and %s", got.status, got.body, after, test.want)
			}
			if read := f.as("op", http.MethodGet, "/api/v2/connections/"+id, ""); !read.is(t, 200, got.body) {
				t.Errorf("GET: got %s, want what PATCH answered: %s", read.body, got.body)
			}
			if n := f.Updates()[id]; n != 1 {
				t.Errorf("Updates: got %d, want 1", n)
			}
		})
	}
}

func TestPatchWritesExtraThatWasNotThere(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	f.PutConnection(Connection{ConnectionID: "x", ConnType: "http"})
	got := f.as("op", http.MethodPatch, "/api/v2/connections/x", `{"connection_id":"x","conn_type":"http","extra":"{\"token\":\"***\"}"}`)
	if after, _ := f.Connection("x"); got.status != 200 || after.Extra != `{"token":"***"}` {
		t.Errorf("got %d, and %s; want it as it was sent", got.status, after.Extra)
	}
}

func TestPatchRefused(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	f.PutConnection(full("x"))
	const path = "/api/v2/connections/x"
	for name, c := range map[string]struct {
		role, path, sent string
		status           int
		want             string
	}{
		"no id":                     {"op", path, `{"conn_type":"http"}`, 422, `"loc":["body","connection_id"],"msg":"Field required"`},
		"no type, in spite of mask": {"op", path + "?update_mask=host", `{"connection_id":"x","host":"H"}`, 422, `"loc":["body","conn_type"],"msg":"Field required"`},
		"bad, and not in the mask":  {"op", path + "?update_mask=host", `{"connection_id":"x","conn_type":"http","port":"x"}`, 422, `"loc":["body","port"]`},
		"unknown key":               {"op", path, `{"connection_id":"x","conn_type":"http","foo":1}`, 422, "extra_forbidden"},
		"another id":                {"op", path, `{"connection_id":"y","conn_type":"http"}`, 400, `{"detail":"The connection_id in the request body does not match the URL parameter"}`},
		"another id, missing":       {"op", "/api/v2/connections/zz", `{"connection_id":"x","conn_type":"http"}`, 400, "does not match the URL"},
		"missing":                   {"op", "/api/v2/connections/zz", `{"connection_id":"zz","conn_type":"http"}`, 404, "{\"detail\":\"The Connection with connection_id: `zz` was not found\"}"},
		"a viewer, before the body": {"viewer", path, `{`, 403, `{"detail":"Forbidden"}`},
		"no body":                   {"op", path, ``, 422, `"type":"missing","loc":["body"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.as(c.role, http.MethodPatch, c.path, c.sent)
			if got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("got %d %s, want %d with %s", got.status, got.body, c.status, c.want)
			}
		})
	}
	t.Cleanup(func() {
		if after, _ := f.Connection("x"); after.String() != full("x").String() || len(f.Updates()) != 0 {
			t.Errorf("afterwards: got %s and updates %v, want what was there", after, f.Updates())
		}
	})
}

func TestPatchesAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	f.PutConnection(full("x"))
	token := f.token("op")
	var group sync.WaitGroup
	for _, field := range []string{"description", "host", "login", "schema", "password"} {
		group.Go(func() {
			got := f.do(http.MethodPatch, "/api/v2/connections/x?update_mask="+field,
				`{"connection_id":"x","conn_type":"http","`+field+`":"new"}`,
				"Authorization", "Bearer "+token, "Content-Type", "application/json")
			if got.status != 200 {
				t.Errorf("%s: got %d %s, want 200", field, got.status, got.body)
			}
		})
	}
	group.Wait()
	if after, _ := f.Connection("x"); after.String() != `http|new|new|new|new|443|new|{"token": "t", "k": "v"}` {
		t.Errorf("got %s, want every change", after)
	}
}
