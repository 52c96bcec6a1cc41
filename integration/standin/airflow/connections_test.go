package airflow

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const registered = `{"connection_id":"acme_orders","conn_type":"http","description":"Managed. [afi1 a b c 1]",` +
	`"host":"https://uaa.example.com/oauth/token","login":"afi-1","password":"s3cret"}`

func TestCreateReadDelete(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	const shown = `{"connection_id":"acme_orders","conn_type":"http","description":"Managed. [afi1 a b c 1]",
		"host":"https://uaa.example.com/oauth/token","login":"afi-1","schema":null,"port":null,"password":"***",
		"extra":null,"team_name":null}`
	const path = "/api/v2/connections/acme_orders"

	if got := f.as("op", http.MethodPost, "/api/v2/connections", registered); !got.is(t, 201, shown) {
		t.Errorf("POST: got %d %s, want 201 %s", got.status, got.body, shown)
	}
	if got := f.as("op", http.MethodGet, path, ""); !got.is(t, 200, shown) {
		t.Errorf("GET: got %d %s, want 200 %s", got.status, got.body, shown)
	}
	if got, _ := f.Connection("acme_orders"); got.Password != "s3cret" || got.Login != "afi-1" {
		t.Errorf("Connection: got %+v, want it in clear", got)
	}

	got := f.as("op", http.MethodPost, "/api/v2/connections", registered)
	detail, _ := got.json(t)["detail"].(map[string]any)
	if got.status != 409 || detail["reason"] != "Unique constraint violation" || detail["statement"] != "hidden" ||
		detail["orig_error"] != "hidden" || detail["message"] == nil {
		t.Errorf("POST again: got %d %s, want 409 as measured", got.status, got.body)
	}

	if got := f.as("op", http.MethodDelete, path, ""); got.status != 204 || got.body != "" {
		t.Errorf("DELETE: got %d %q, want 204 and nothing", got.status, got.body)
	}
	const missing = "{\"detail\":\"The Connection with connection_id: `acme_orders` was not found\"}"
	for _, method := range []string{http.MethodDelete, http.MethodGet} {
		if got := f.as("op", method, path, ""); !got.is(t, 404, missing) {
			t.Errorf("%s afterwards: got %d %s, want 404 %s", method, got.status, got.body, missing)
		}
	}
	if got := f.Creates()["acme_orders"]; got != 1 {
		t.Errorf("Creates: got %d, want 1", got)
	}
}

func TestCreateAccepts(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})

	for name, c := range map[string]struct {
		fields string // beside conn_type
		id     string
		want   func(Connection) any
		stored any
	}{
		"a port as a text":    {`"connection_id":"a1","port":"8080"`, "a1", func(c Connection) any { return *c.Port }, 8080},
		"a port out of TCP":   {`"connection_id":"a2","port":65536`, "a2", func(c Connection) any { return *c.Port }, 65536},
		"a huge port":         {`"connection_id":"a3","port":1099511627776`, "a3", func(c Connection) any { return *c.Port }, 1 << 40},
		"empty extra":         {`"connection_id":"a4","extra":""`, "a4", func(c Connection) any { return c.Extra }, "{}"},
		"extra":               {`"connection_id":"a5","extra":"{\"token\": \"t\"}"`, "a5", func(c Connection) any { return c.Extra }, `{"token": "t"}`},
		"nulls":               {`"connection_id":"a6","extra":null,"port":null,"password":null,"team_name":null`, "a6", func(c Connection) any { return c.Password }, ""},
		"stars, literally":    {`"connection_id":"a7","password":"***"`, "a7", func(c Connection) any { return c.Password }, "***"},
		"letters of any kind": {`"connection_id":"é_ü"`, "é_ü", func(c Connection) any { return c.ConnType }, "cloudfoundry"},
		"only dots":           {`"connection_id":".."`, "..", func(c Connection) any { return c.ConnType }, "cloudfoundry"},
		"a reserved word":     {`"connection_id":"test"`, "test", func(c Connection) any { return c.ConnType }, "cloudfoundry"},
		"another case":        {`"connection_id":"A1"`, "A1", func(c Connection) any { return c.Port == nil }, true},
		"200 characters":      {`"connection_id":"` + strings.Repeat("x", 200) + `"`, strings.Repeat("x", 200), func(c Connection) any { return c.ConnType }, "cloudfoundry"},
	} {
		got := f.as("op", http.MethodPost, "/api/v2/connections", `{"conn_type":"cloudfoundry",`+c.fields+`}`)
		connection, found := f.Connection(c.id)
		if got.status != 201 || !found {
			t.Errorf("%s: got %d %s, want 201", name, got.status, got.body)
			continue
		}
		if stored := c.want(connection); stored != c.stored {
			t.Errorf("%s: got %v stored, want %v", name, stored, c.stored)
		}
	}
	if got := f.as("op", http.MethodGet, "/api/v2/connections/a6", "").json(t)["password"]; got != nil {
		t.Errorf("password of a connection that has none: got %v, want null", got)
	}
	if got := f.as("op", http.MethodGet, "/api/v2/connections/%C3%A9_%C3%BC", ""); got.status != 200 {
		t.Errorf("GET with an encoded id: got %d, want 200", got.status)
	}
}

// Every refusal hands back what was sent: `input` must never reach a log.
func TestCreateRefused(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	body := func(fields string) string { return `{"connection_id":"x","conn_type":"http",` + fields + `}` }
	const pattern = `"type":"string_pattern_mismatch","loc":["body","connection_id"],"msg":"String should match pattern '^[\\w.-]+$'","ctx":{"pattern":"^[\\w.-]+$"}`
	const extraMessage = "Value error, The `extra` field must be a valid JSON object (e.g., {'key': 'value'})"

	for name, c := range map[string]struct{ sent, want string }{
		"unknown key": {
			body(`"foo":"s3cret"`),
			`[{"type":"extra_forbidden","loc":["body","foo"],"msg":"Extra inputs are not permitted","input":"s3cret"}]`,
		},
		"no id: the whole body": {
			`{"conn_type":"http","password":"s3cret"}`,
			`[{"type":"missing","loc":["body","connection_id"],"msg":"Field required","input":{"conn_type":"http","password":"s3cret"}}]`,
		},
		"two problems": {
			`{"connection_id":"a b"}`,
			`[{` + pattern + `,"input":"a b"},{"type":"missing","loc":["body","conn_type"],"msg":"Field required","input":{"connection_id":"a b"}}]`,
		},
		"slash": {`{"connection_id":"a/b","conn_type":"http"}`, `[{` + pattern + `,"input":"a/b"}]`},
		"empty": {`{"connection_id":"","conn_type":"http"}`, `[{` + pattern + `,"input":""}]`},
		"201 characters": {
			`{"connection_id":"` + strings.Repeat("x", 201) + `","conn_type":"http"}`,
			`[{"type":"string_too_long","loc":["body","connection_id"],"msg":"String should have at most 200 characters","input":"` +
				strings.Repeat("x", 201) + `","ctx":{"max_length":200}}]`,
		},
		"a password that is a number": {
			body(`"password":5`),
			`[{"type":"string_type","loc":["body","password"],"msg":"Input should be a valid string","input":5}]`,
		},
		"conn_type null": {
			`{"connection_id":"x","conn_type":null}`,
			`[{"type":"string_type","loc":["body","conn_type"],"msg":"Input should be a valid string","input":null}]`,
		},
		"a port that is none": {
			body(`"port":"x"`),
			`[{"type":"int_parsing","loc":["body","port"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"x"}]`,
		},
		"half a port": {
			body(`"port":1.5`),
			`[{"type":"int_from_float","loc":["body","port"],"msg":"Input should be a valid integer, got a number with a fractional part","input":1.5}]`,
		},
		"extra not JSON": {
			body(`"extra":"s3cret"`),
			`[{"type":"value_error","loc":["body","extra"],"msg":"` + extraMessage + ", but encountered non-JSON in `extra` field" + `","input":"s3cret","ctx":{"error":{}}}]`,
		},
		"extra an array": {
			body(`"extra":"[1]"`),
			`[{"type":"value_error","loc":["body","extra"],"msg":"` + extraMessage + `","input":"[1]","ctx":{"error":{}}}]`,
		},
		"extra an object": {
			body(`"extra":{"a":1}`),
			`[{"type":"string_type","loc":["body","extra"],"msg":"Input should be a valid string","input":{"a":1}}]`,
		},
		"a team: the whole body": {
			body(`"password":"s3cret","team_name":"acme"`),
			`[{"type":"value_error","loc":["body"],"msg":"Value error, team_name cannot be set when multi_team mode is disabled",
				"input":` + body(`"password":"s3cret","team_name":"acme"`) + `,"ctx":{"error":{}}}]`,
		},
		"empty body": {``, `[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]`},
		"a list": {
			`[1]`,
			`[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[1]}]`,
		},
		"not JSON": {
			`{"a"`, `[{"type":"json_invalid","loc":["body",4],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.as("op", http.MethodPost, "/api/v2/connections", c.sent)
			if want := `{"detail":` + c.want + `}`; !got.is(t, 422, want) {
				t.Errorf("got %d %s, want 422 %s", got.status, got.body, want)
			}
		})
	}

	t.Run("text/plain", func(t *testing.T) {
		t.Parallel()
		for _, contentType := range []string{"text/plain", ""} {
			got := f.do(http.MethodPost, "/api/v2/connections", registered,
				"Authorization", "Bearer "+f.token("op"), "Content-Type", contentType)
			if got.status != 422 || !strings.Contains(got.body, `\"password\":\"s3cret\"`) {
				t.Errorf("%q: got %d %s, want 422 with the whole body", contentType, got.status, got.body)
			}
		}
	})
	t.Cleanup(func() {
		if ids := f.ConnectionIDs(); len(ids) != 0 {
			t.Errorf("connections: got %v, want none", ids)
		}
	})
}

func TestExtraIsRedactedByKey(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})

	for name, c := range map[string]struct{ extra, want string }{
		"by substring": {
			`{"token_url":"u","secret_version":"7","uaa_url":"u","key_guid":"k","service_key_guid":"k"}`,
			`{"token_url": "***", "secret_version": "***", "uaa_url": "u", "key_guid": "k", "service_key_guid": "***"}`,
		},
		"a proxy":           {`{"proxies":{"https":"p"},"proxy":"p","verify":false}`, `{"proxies": {"https": "***"}, "proxy": "***", "verify": false}`},
		"marks for an _":    {`{"api - key":"k"}`, `{"api - key": "***"}`},
		"any case":          {`{"API_Key":"k"}`, `{"API_Key": "***"}`},
		"nested":            {`{"a":{"password":"p","b":["x",1,null]}}`, `{"a": {"password": "***", "b": ["x", 1, null]}}`},
		"below a key":       {`{"secret":{"a":["x",1],"b":true}}`, `{"secret": {"a": ["***", 1], "b": true}}`},
		"nothing to hide":   {`{"scopes":"a & b","generation":7}`, `{"scopes": "a & b", "generation": 7}`},
		"an empty object":   {`{}`, `{}`},
		"not JSON, from Go": {`verify`, `verify`},
	} {
		f.PutConnection(Connection{ConnectionID: "x", ConnType: "http", Extra: c.extra})
		if got := f.as("op", http.MethodGet, "/api/v2/connections/x", "").json(t)["extra"]; got != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}

func TestTaskReadsInClear(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now})
	port := 443
	f.PutConnection(Connection{
		ConnectionID: "acme_orders", ConnType: "http", Host: "h", Login: "l", Schema: "s", Port: &port,
		Password: "s3cret", Extra: `{"token":"t"}`, Description: "not for tasks",
	})
	token := f.TaskToken()
	read := func(id, authorization string) answer {
		return f.do("GET", "/execution/connections/"+id, "", "Authorization", authorization)
	}

	const want = `{"conn_id":"acme_orders","conn_type":"http","host":"h","schema":"s","login":"l","password":"s3cret","port":443,"extra":"{\"token\":\"t\"}"}`
	if got := read("acme_orders", "Bearer "+token); !got.is(t, 200, want) {
		t.Errorf("got %d %s, want 200 %s", got.status, got.body, want)
	}
	for name, c := range map[string]struct {
		id, authorization string
		status            int
	}{
		"missing":    {"none", "Bearer " + token, 404},
		"no token":   {"acme_orders", "", 401},
		"a person's": {"acme_orders", "Bearer " + f.token("admin"), 403},
		"garbage":    {"acme_orders", "Bearer x", 403},
	} {
		if got := read(c.id, c.authorization); got.status != c.status || strings.Contains(got.body, "s3cret") {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, c.status)
		}
	}
	clock.advance(taskLifetime + leeway)
	if got := read("acme_orders", "Bearer "+token); got.status != 403 {
		t.Errorf("expired: got %d, want 403", got.status)
	}
	if got := f.do("POST", "/execution/connections/x", ""); got.status != 405 {
		t.Errorf("POST: got %d, want 405", got.status)
	}
}

func TestRacingCreates(t *testing.T) {
	t.Parallel()
	f := start(t, Config{Latency: time.Millisecond})
	token := f.token("op")

	var created, taken atomic.Int64
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			for _, id := range []string{"same", fmt.Sprintf("own_%d", i)} {
				got := f.do(http.MethodPost, "/api/v2/connections", `{"connection_id":"`+id+`","conn_type":"http"}`,
					"Authorization", "Bearer "+token, "Content-Type", "application/json")
				switch {
				case got.status == 201:
					created.Add(1)
				case got.status == 409 && id == "same":
					taken.Add(1)
				}
			}
		})
	}
	group.Wait()
	if created.Load() != 21 || taken.Load() != 19 {
		t.Errorf("created, taken: got %d, %d, want 21, 19", created.Load(), taken.Load())
	}
	if ids := f.ConnectionIDs(); len(ids) != 21 || !slices.IsSorted(ids) {
		t.Errorf("ConnectionIDs: got %v, want 21, sorted", ids)
	}
}
