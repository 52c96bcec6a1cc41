package airflow_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/airflow"
	"airflow-identity/identity"
	"airflow-identity/remote"
)

// shown is Airflow's answer about a connection, with its description as given.
func shown(description string) string {
	return fmt.Sprintf(`{"connection_id":"acme_orders","conn_type":"http","description":%q,"host":"https://uaa.example.com/oauth/token",`+
		`"login":"afi-5d3c0000-0000-4000-8000-000000000002","schema":null,"port":null,"password":"***","extra":null,"team_name":null}`, description)
}

const (
	routerBody = "404 Not Found: Requested route ('airflow.example.com') does not exist.\n"
	router     = "X-Cf-Routererror"
	missing    = "{\"detail\":\"The Connection with connection_id: `acme_orders` was not found\"}"
	conflict   = `{"detail":{"reason":"Unique constraint violation","statement":"hidden","orig_error":"hidden","message":"Serious error"}}`
)

func TestPutByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   identity.Outcome
	}{
		{"posted", reply(201, shown(orders.Describe())), identity.Done},
		{"another description", reply(201, shown("something else")), identity.Unknown},
		{"no description", reply(201, `{"connection_id":"acme_orders","description":null}`), identity.Unknown},
		{"another connection", reply(201, strings.Replace(shown(orders.Describe()), "acme_orders", "other", 1)), identity.Unknown},
		{"201 and nothing", reply(201, ""), identity.Unknown},
		{"201 and a page", reply(201, page), identity.Unknown},
		{"201 and half an object", hangUp(t, "HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{\"connection_id\":"), identity.Unknown},
		{"201 and a body without end", reply(201, strings.Repeat(" ", 2<<20)), identity.Unknown},
		{"200, which is not how v2 says it", reply(200, shown(orders.Describe())), identity.Unknown},
		{"a login page", reply(200, page, "Content-Type", "text/html"), identity.Unknown},
		{"taken", reply(409, conflict), identity.Exists},
		{"taken, as v1 says it", reply(409, `{"detail":"Connection already exist. ID: acme_orders","status":409,"title":"Conflict"}`), identity.Exists},
		{"a stranger's 409", reply(409, page), identity.Unknown},
		{"invalid", reply(422, `{"detail":[{"type":"missing","loc":["body","conn_type"],"msg":"Field required","input":{}}]}`), identity.Rejected},
		{"invalid, as a sentence", reply(422, `{"detail":"Value rejected by database"}`), identity.Rejected},
		{"forbidden", reply(403, `{"detail":"Forbidden"}`), identity.Rejected},
		{"forbidden, without a word", reply(403, `{"detail":null,"status":403,"title":"Forbidden"}`), identity.Rejected},
		{"a stranger's 403", reply(403, page), identity.Unknown},
		{"a gateway's 403", reply(403, `{"message":"Forbidden"}`), identity.Unknown},
		{"removed in Airflow 3", reply(404, `{"error":"/api/v1 has been removed in Airflow 3"}`), identity.Unknown},
		{"not a path", reply(404, `{"detail":"Not Found"}`), identity.Unknown},
		{"method not allowed", reply(405, `{"detail":"Method Not Allowed"}`), identity.Rejected},
		{"408", reply(408, ""), identity.Later},
		{"429", reply(429, page, "Retry-After", "3"), identity.Later},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), identity.Unknown},
		{"the router's 503", reply(503, "", router, "no_endpoints"), identity.Unknown},
		{"302", reply(302, "", "Location", "/login"), identity.Unknown},
		{"500 page", reply(500, page), identity.Unknown},
		{"500 text", reply(500, "Internal Server Error"), identity.Unknown},
		{"500 detail", reply(500, `{"detail":"boom"}`), identity.Unknown},
		{"hang up", hangUp(t, ""), identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, airflow.Config{URL: scripted(t, test.answer).URL})

			outcome, err := client.Put(background, orders, secret)

			if outcome != test.want || (err == nil) != (test.want == identity.Done) {
				t.Errorf("got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}

func TestReadAndRemoveByAnswer(t *testing.T) {
	t.Parallel()
	ours := shown(orders.Describe())
	tests := []struct {
		name         string
		get, delete  http.HandlerFunc // delete nil: must not be called
		read, remove identity.Outcome
	}{
		{"ours, deleted", reply(200, ours), reply(204, ""), identity.Done, identity.Done},
		{"ours and edited", reply(200, strings.Replace(ours, "uaa.example.com", "evil.example.com", 1)), reply(204, ""), identity.Differs, identity.Done},
		{"ours and older", reply(200, shown(atGeneration(6).Describe())), reply(204, ""), identity.Differs, identity.Done},
		{"ours and newer", reply(200, shown(atGeneration(8).Describe())), reply(204, ""), identity.Ahead, identity.Done},
		{"ours, and gone meanwhile", reply(200, ours), reply(404, missing), identity.Done, identity.NotThere},
		{"ours, and a route that is gone", reply(200, ours), reply(404, routerBody, router, "unknown_route"), identity.Done, identity.Unknown},
		{"ours, and a stranger's 404", reply(200, ours), reply(404, page), identity.Done, identity.Unknown},
		{"ours, and a path that is none", reply(200, ours), reply(404, `{"detail":"Not Found"}`), identity.Done, identity.Unknown},
		{"ours, and 200 instead of 204", reply(200, ours), reply(200, page), identity.Done, identity.Unknown},
		{"ours, and forbidden", reply(200, ours), reply(403, `{"detail":"Forbidden"}`), identity.Done, identity.Rejected},
		{"ours, and 500", reply(200, ours), reply(500, page), identity.Done, identity.Unknown},
		{"ours, and 302", reply(200, ours), reply(302, "", "Location", "/"), identity.Done, identity.Unknown},
		{"ours, and hung up", reply(200, ours), hangUp(t, ""), identity.Done, identity.Unknown},
		{"missing", reply(404, missing), nil, identity.NotThere, identity.NotThere},
		{"somebody's", reply(200, shown("mine")), nil, identity.Foreign, identity.Foreign},
		{"nobody's", reply(200, `{"connection_id":"acme_orders","description":null}`), nil, identity.Foreign, identity.Foreign},
		{"another connection", reply(200, `{"connection_id":"other","description":"x"}`), nil, identity.Unknown, identity.Later},
		{"a port that is none", reply(200, strings.Replace(ours, `"port":null`, `"port":"none"`, 1)), nil, identity.Unknown, identity.Later},
		{"200 and a page", reply(200, page), nil, identity.Unknown, identity.Later},
		{"200 and nothing", reply(200, ""), nil, identity.Unknown, identity.Later},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), nil, identity.Unknown, identity.Later},
		{"the router's 404 with a detail", reply(404, missing, router, "unknown_route"), nil, identity.Unknown, identity.Later},
		{"an empty 404", reply(404, ""), nil, identity.Unknown, identity.Later},
		{"a 404 page", reply(404, page), nil, identity.Unknown, identity.Later},
		{"a 404 that is about the path", reply(404, `{"error":"API route not found"}`), nil, identity.Unknown, identity.Later},
		{"a 404 without a sentence", reply(404, `{"detail":null}`), nil, identity.Unknown, identity.Later},
		{"forbidden", reply(403, `{"detail":"Forbidden"}`), nil, identity.Rejected, identity.Later},
		{"500", reply(500, page), nil, identity.Unknown, identity.Later},
		{"hung up", hangUp(t, ""), nil, identity.Unknown, identity.Later},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			remove := test.delete
			if remove == nil {
				remove = func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %s, want no DELETE", r.Method) }
			}
			client := newClient(t, airflow.Config{URL: scripted(t, byMethod(test.get, remove)).URL})
			silent := func(o identity.Outcome) bool { return o == identity.Done || o == identity.NotThere }

			_, outcome, err := client.Read(background, orders)
			if outcome != test.read || (err == nil) != silent(test.read) {
				t.Errorf("reading: got %s, %v; want %s", outcome, err, test.read)
			}
			outcome, err = client.Remove(background, marker)
			if outcome != test.remove || (err == nil) != silent(test.remove) {
				t.Errorf("removing: got %s, %v; want %s", outcome, err, test.remove)
			}
		})
	}
}

func TestUpdateByAnswer(t *testing.T) {
	t.Parallel()
	ours := reply(200, shown(atGeneration(6).Describe())) // as it stands there, before
	done := reply(200, shown(orders.Describe()))
	tests := []struct {
		name       string
		get, patch http.HandlerFunc // patch nil: must not be called
		want       identity.Outcome
	}{
		{"ours, patched", ours, done, identity.Done},
		{"ours, patched though it is as it should be", done, done, identity.Done},
		{"ours and edited, patched", reply(200, strings.Replace(shown(orders.Describe()), `"http"`, `"generic"`, 1)), done, identity.Done},
		{"ours, and a mask that changed nothing", ours, ours, identity.Unknown},
		{"ours, and a description without a marker", ours, reply(200, shown(orders.Description)), identity.Unknown},
		{"ours, and no description", ours, reply(200, `{"connection_id":"acme_orders","description":null}`), identity.Unknown},
		{"ours, and another connection", ours, reply(200, strings.Replace(shown(orders.Describe()), "acme_orders", "other", 1)), identity.Unknown},
		{"ours, and 200 with nothing", ours, reply(200, ""), identity.Unknown},
		{"ours, and a login page", ours, reply(200, page), identity.Unknown},
		{"ours, and half an object", ours, hangUp(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"connection_id\":"), identity.Unknown},
		{"ours, and 204", ours, reply(204, ""), identity.Unknown},
		{"ours, and gone meanwhile", ours, reply(404, missing), identity.NotThere},
		{"ours, and a path that is none", ours, reply(404, `{"detail":"Not Found"}`), identity.Unknown},
		{"ours, and a route that is gone", ours, reply(404, routerBody, router, "unknown_route"), identity.Unknown},
		{"ours, and invalid", ours, reply(422, `{"detail":[{"type":"missing","loc":["body","conn_type"],"msg":"Field required"}]}`), identity.Rejected},
		{"ours, and another id", ours, reply(400, `{"detail":"The connection_id in the request body does not match the URL parameter"}`), identity.Rejected},
		{"ours, and forbidden", ours, reply(403, `{"detail":"Forbidden"}`), identity.Rejected},
		{"ours, and a token that is refused", ours, reply(403, `{"detail":"Invalid JWT token"}`), identity.Later},
		{"ours, and too many", ours, reply(429, page), identity.Later},
		{"ours, and 500", ours, reply(500, page), identity.Unknown},
		{"ours, and 302", ours, reply(302, "", "Location", "/"), identity.Unknown},
		{"ours, and hung up", ours, hangUp(t, ""), identity.Unknown},
		{"ours and newer", reply(200, shown(atGeneration(8).Describe())), nil, identity.Ahead},
		{"missing", reply(404, missing), nil, identity.NotThere},
		{"somebody's", reply(200, shown("mine")), nil, identity.Foreign},
		{"nobody's", reply(200, `{"connection_id":"acme_orders","description":null}`), nil, identity.Foreign},
		{"200 and a page", reply(200, page), nil, identity.Later},
		{"an empty 404", reply(404, ""), nil, identity.Later},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), nil, identity.Later},
		{"forbidden", reply(403, `{"detail":"Forbidden"}`), nil, identity.Later},
		{"500", reply(500, page), nil, identity.Later},
		{"hung up", hangUp(t, ""), nil, identity.Later},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			patch := test.patch
			if patch == nil {
				patch = func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %s, want no PATCH", r.Method) }
			}
			client := newClient(t, airflow.Config{URL: scripted(t, byMethod(test.get, patch)).URL})

			_, outcome, err := client.Update(background, orders, secret)

			if outcome != test.want || (err == nil) != (test.want == identity.Done || test.want == identity.NotThere) {
				t.Errorf("got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}

// The generation that is told is the last that is known to stand there.
func TestGenerationThatIsTold(t *testing.T) {
	t.Parallel()
	at := func(generation int) http.HandlerFunc { return reply(200, shown(atGeneration(generation).Describe())) }
	tests := []struct {
		name         string
		get, patch   http.HandlerFunc
		read, update int
	}{
		{"patched", at(6), at(7), 6, 7},
		{"patched as it was", at(7), at(7), 7, 7},
		{"patched, perhaps", at(6), hangUp(t, ""), 6, 6},
		{"a mask that changed nothing", at(6), at(6), 6, 6},
		{"refused", at(6), reply(403, `{"detail":"Forbidden"}`), 6, 6},
		{"newer", at(8), nil, 8, 8},
		{"somebody's", reply(200, shown("mine")), nil, 0, 0},
		{"missing", reply(404, missing), nil, 0, 0},
		{"unknown", reply(500, page), nil, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, airflow.Config{URL: scripted(t, byMethod(test.get, test.patch)).URL})

			read, _, _ := client.Read(background, orders)
			updated, _, _ := client.Update(background, orders, secret)

			if read != test.read || updated != test.update {
				t.Errorf("reading, updating: got %d, %d; want %d, %d", read, updated, test.read, test.update)
			}
		})
	}
}

func TestReadTellsWhatDiffers(t *testing.T) {
	t.Parallel()
	as := shown(orders.Describe())
	tests := []struct {
		name, body string
		want       string // "" means that it does not differ
	}{
		{"nothing", as, ""},
		{"an empty schema", strings.Replace(as, `"schema":null`, `"schema":""`, 1), ""},
		{"fields left out", fmt.Sprintf(`{"connection_id":"acme_orders","conn_type":"http","description":%q,"host":%q,"login":%q}`,
			orders.Describe(), orders.Host, orders.Login), ""},
		{"extra", strings.Replace(as, `"extra":null`, `"extra":"{\"verify\": false}"`, 1), ""},
		{"another password, or none", strings.Replace(as, `"password":"***"`, `"password":null`, 1), ""},
		{"type", strings.Replace(as, `"http"`, `"HTTP"`, 1), "conn_type"},
		{"sentence", shown("Mine now. " + marker.String()), "description"},
		{"a blank after the marker", shown(orders.Describe() + " "), "description"},
		{"older", shown(atGeneration(6).Describe()), "description"},
		{"host", strings.Replace(as, "https://uaa", "http://uaa", 1), "host"},
		{"no host", strings.Replace(as, `"https://uaa.example.com/oauth/token"`, "null", 1), "host"},
		{"login", strings.Replace(as, `"afi-5d3c`, `"afi-5d3d`, 1), "login"},
		{"no login", strings.Replace(as, `"`+string(orders.Login)+`"`, "null", 1), "login"},
		{"port", strings.Replace(as, `"port":null`, `"port":443`, 1), "port"},
		{"port 0", strings.Replace(as, `"port":null`, `"port":0`, 1), "port"},
		{"schema", strings.Replace(as, `"schema":null`, `"schema":"https"`, 1), "schema"},
		{"everything", `{"connection_id":"acme_orders","conn_type":"generic","description":"x ` + marker.String() + `","host":"wrong-host",` +
			`"login":"wrong-login","schema":"wrong-schema","port":4711,"password":"wrong-password","extra":"{\"a\": \"wrong-extra\"}"}`,
			"conn_type, description, host, login, port, schema"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, airflow.Config{URL: scripted(t, reply(200, test.body)).URL})

			_, outcome, err := client.Read(background, orders)

			if test.want == "" {
				if outcome != identity.Done || err != nil {
					t.Errorf("got %s, %v; want done", outcome, err)
				}
				return
			}
			if outcome != identity.Differs || err == nil || !strings.HasSuffix(err.Error(), " differs in "+test.want) {
				t.Errorf("got %s, %v; want differs, in %s", outcome, err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), "4711")) {
				t.Errorf("the error repeats what it read: %v", err)
			}
		})
	}
}

// A mask in the wrong form is a 200 that changed nothing, and what the mask names
// must be in the body.
func TestRequestOfAnUpdate(t *testing.T) {
	t.Parallel()
	client := newClient(t, airflow.Config{URL: scripted(t, byMethod(reply(200, shown(orders.Describe())), func(w http.ResponseWriter, r *http.Request) {
		const want = "PATCH /api/v2/connections/acme_orders?update_mask=conn_type&update_mask=description&update_mask=host" +
			"&update_mask=login&update_mask=password&update_mask=port&update_mask=schema"
		if got := r.Method + " " + r.RequestURI; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		var body map[string]any
		err := json.NewDecoder(r.Body).Decode(&body)
		wanted := map[string]any{
			"connection_id": "acme_orders",
			"conn_type":     "http",
			"description":   orders.Describe(),
			"host":          "https://uaa.example.com/oauth/token",
			"login":         string(orders.Login),
			"password":      secret.Reveal(),
			"port":          nil,
			"schema":        nil,
		}
		if err != nil || !reflect.DeepEqual(body, wanted) {
			t.Errorf("got body %v, %v\nwant     %v", body, err, wanted)
		}
		reply(200, shown(orders.Describe()))(w, r)
	})).URL})

	_, outcome, err := client.Update(background, orders, secret)

	if outcome != identity.Done {
		t.Errorf("got %s, %v", outcome, err)
	}
}

func TestUpdateNeedsASecret(t *testing.T) {
	t.Parallel()
	client := newClient(t, airflow.Config{URL: scripted(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("got %s, want no call", r.Method)
	}).URL})

	_, outcome, err := client.Update(background, orders, identity.Secret{})

	if outcome != identity.Rejected || err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("got %s, %v; want a rejection: Airflow would keep the old one", outcome, err)
	}
}

// What is not Airflow's own answer says that Airflow is not there, whatever its status.
func TestAvailableByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		down   bool
	}{
		{"a connection", reply(200, shown("x")), false},
		{"no such connection", reply(404, missing), false},
		{"forbidden", reply(403, `{"detail":"Forbidden"}`), false},
		{"invalid", reply(422, `{"detail":[]}`), false},
		{"a token that is refused", reply(401, `{"detail":"Token Expired"}`), false},
		{"too many", reply(429, page), false},
		{"a page", reply(200, page), true},
		{"a 404 page", reply(404, page), true},
		{"a path that is none", reply(404, `{"error":"API route not found"}`), true},
		{"no route", reply(404, missing, router, "unknown_route"), true},
		{"302", reply(302, "", "Location", "/"), true},
		{"500", reply(500, `{"detail":"boom"}`), true},
		{"hung up", hangUp(t, ""), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, airflow.Config{
				URL: scripted(t, test.answer).URL, Breaker: remote.Breaker{Failures: 1, Rest: time.Hour},
			})
			if err := client.Available(background); err != nil {
				t.Fatalf("before any call: got %v", err)
			}

			_, _, err := client.Read(background, orders)

			if available := client.Available(background); (available != nil) != test.down {
				t.Errorf("after %v: got %v, want down %v", err, available, test.down)
			}
		})
	}
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		refusal http.HandlerFunc
		logins  int32
		want    identity.Outcome // if it is refused for ever
	}{
		{"expired", reply(401, `{"detail":"Token Expired"}`), 2, identity.Later},
		{"signed with another key", reply(403, `{"detail":"Invalid JWT token"}`), 2, identity.Later},
		{"not permitted", reply(403, `{"detail":"Forbidden"}`), 1, identity.Rejected},
		{"a stranger's 401", reply(401, page), 1, identity.Unknown},
		{"the router's 401", reply(401, `{"detail":"Token Expired"}`, router, "x"), 1, identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var logins, posts atomic.Int32
			var mended atomic.Bool // the next token is accepted
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/auth/token":
					reply(201, fmt.Sprintf(`{"access_token":"t%d"}`, logins.Add(1)))(w, r)
				case mended.Load() && r.Header.Get("Authorization") != "Bearer t1":
					posts.Add(1)
					reply(201, shown(orders.Describe()))(w, r)
				default:
					test.refusal(w, r)
				}
			}))
			t.Cleanup(server.Close)

			outcome, err := newClient(t, airflow.Config{URL: server.URL}).Put(background, orders, secret)
			if outcome != test.want || err == nil {
				t.Errorf("refused for ever: got %s, %v; want %s", outcome, err, test.want)
			}
			if got := logins.Load(); got != test.logins {
				t.Errorf("refused for ever: got %d logins, want %d", got, test.logins)
			}

			if test.logins == 1 {
				return
			}
			logins.Store(0)
			mended.Store(true)
			outcome, err = newClient(t, airflow.Config{URL: server.URL}).Put(background, orders, secret)
			if outcome != identity.Done || posts.Load() != 1 {
				t.Errorf("refused once: got %s, %v, posted %d times; want done, once", outcome, err, posts.Load())
			}
		})
	}
}

func jwt(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func TestLoginByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		works  bool
	}{
		{"201, as Airflow 3 has it", reply(201, `{"access_token":"t"}`), true},
		{"200", reply(200, `{"access_token":"t"}`), true},
		{"as Airflow 3.0.0 called it", reply(201, `{"jwt_token":"t"}`), true},
		{"wrong password", reply(401, `{"detail":"Invalid credentials"}`), false},
		{"a 422 that repeats it", func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			echo, _ := json.Marshal(string(text))
			reply(422, fmt.Sprintf(`{"detail":%s}`, echo))(w, r)
		}, false},
		{"201 and no token", reply(201, `{}`), false},
		{"201 and a page", reply(201, page), false},
		{"Airflow 2", reply(404, page), false},
		{"302", reply(302, "", "Location", "/"), false},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), false},
		{"500", reply(500, page), false},
		{"hang up", hangUp(t, ""), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/auth/token" {
					test.answer(w, r)
					return
				}
				if !test.works {
					t.Errorf("a call was made without a token: %s %s", r.Method, r.URL.Path)
				}
				reply(404, missing)(w, r)
			}))
			t.Cleanup(server.Close)

			_, outcome, err := newClient(t, airflow.Config{URL: server.URL}).Read(background, orders)

			if test.works {
				if outcome != identity.NotThere {
					t.Errorf("got %s, %v; want not_there", outcome, err)
				}
				return
			}
			if outcome != identity.Later || err == nil || strings.Contains(err.Error(), password) {
				t.Errorf("got %s, %v; want later and an error without our password", outcome, err)
			}
		})
	}
}

func TestTokenIsRenewedInTime(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	tests := []struct {
		name   string
		token  string
		after  time.Duration
		logins int32
	}{
		{"a day, before 70 %", jwt(fmt.Sprintf(`{"exp":%d}`, at(24*time.Hour))), 16 * time.Hour, 1},
		{"a day, after 70 %", jwt(fmt.Sprintf(`{"exp":%d}`, at(24*time.Hour))), 17 * time.Hour, 2},
		{"a clock that is an hour ahead", jwt(fmt.Sprintf(`{"iat":%d,"exp":%d}`, at(time.Hour), at(2*time.Hour))), 45 * time.Minute, 2},
		{"a clock that is an hour behind", jwt(fmt.Sprintf(`{"iat":%d,"exp":%d}`, at(-time.Hour), at(0))), 40 * time.Minute, 1},
		{"no exp, after 20 minutes", jwt(`{"sub":"broker"}`), 20 * time.Minute, 1},
		{"no exp, after 22 minutes", jwt(`{"sub":"broker"}`), 22 * time.Minute, 2},
		{"an exp that is no time", jwt(`{"exp":1e300}`), 22 * time.Minute, 2},
		{"not a JWT", "opaque", 20 * time.Minute, 1},
		{"a JWT that is not base64", "a.!.c", 20 * time.Minute, 1},
		{"expired from the start", jwt(fmt.Sprintf(`{"exp":%d}`, at(-time.Hour))), 0, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var logins atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/auth/token" {
					logins.Add(1)
					reply(201, fmt.Sprintf(`{"access_token":%q}`, test.token))(w, r)
					return
				}
				reply(404, missing)(w, r)
			}))
			t.Cleanup(server.Close)
			now := start
			client := newClient(t, airflow.Config{URL: server.URL, Clock: func() time.Time { return now }})

			for range 2 {
				_, outcome, err := client.Read(background, orders)
				if outcome != identity.NotThere {
					t.Fatalf("got %s, %v", outcome, err)
				}
				now = now.Add(test.after)
			}

			if got := logins.Load(); got != test.logins {
				t.Errorf("got %d logins, want %d", got, test.logins)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	var lines []string
	var body map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines = append(lines, r.Method+" "+r.RequestURI+" "+r.Header.Get("Authorization"))
		text, _ := io.ReadAll(r.Body)
		body = nil
		_ = json.Unmarshal(text, &body)
		switch r.Method + r.URL.Path {
		case "POST/deep/airflow/auth/token":
			if want := map[string]any{"username": username, "password": password}; !reflect.DeepEqual(body, want) {
				t.Errorf("got login %v, want %v", body, want)
			}
			reply(201, `{"access_token":"t"}`)(w, r)
		case "POST/deep/airflow/api/v2/connections":
			want := map[string]any{
				"connection_id": "acme_orders",
				"conn_type":     "http",
				"description":   orders.Describe(),
				"host":          "https://uaa.example.com/oauth/token",
				"login":         string(orders.Login),
				"password":      secret.Reveal(),
			}
			if !reflect.DeepEqual(body, want) {
				t.Errorf("got body %v\nwant     %v", body, want)
			}
			reply(201, shown(orders.Describe()))(w, r)
		default:
			reply(404, missing)(w, r)
		}
	}))
	t.Cleanup(server.Close)
	client := newClient(t, airflow.Config{URL: server.URL + "/deep/airflow/"})

	outcome, err := client.Put(background, orders, secret)
	if outcome != identity.Done {
		t.Errorf("posting: got %s, %v", outcome, err)
	}
	odd := orders
	odd.Marker.Connection = "a/b c?d"
	_, outcome, err = client.Read(background, odd)
	if outcome != identity.NotThere {
		t.Errorf("reading: got %s, %v", outcome, err)
	}

	want := []string{
		"POST /deep/airflow/auth/token ",
		"POST /deep/airflow/api/v2/connections Bearer t",
		"GET /deep/airflow/api/v2/connections/a%2Fb%20c%3Fd Bearer t",
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("got  %q\nwant %q", lines, want)
	}
}

// Airflow's refusals repeat the request. Nothing of it may get out, whichever way
// an error is looked at.
func TestNothingTellsTheSecret(t *testing.T) {
	t.Parallel()
	echo := func(shape string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			quoted, _ := json.Marshal(string(text) + r.Header.Get("Authorization"))
			reply(422, strings.ReplaceAll(shape, "ECHO", string(quoted)))(w, r)
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		keeps  string
	}{
		{"in input", echo(`{"detail":[{"type":"extra_forbidden","loc":["body","team_name"],"msg":"Extra inputs are not permitted","input":ECHO}]}`),
			"body.team_name: Extra inputs are not permitted"},
		{"in a message", echo(`{"detail":[{"loc":["body"],"msg":ECHO}]}`), "left out"},
		{"in a place", echo(`{"detail":[{"loc":["body",ECHO],"msg":"wrong"}]}`), "left out"},
		{"in a sentence", echo(`{"detail":ECHO}`), "left out"},
		{"in a part of a sentence", reply(422, `{"detail":"value '`+secret.Reveal()[:20]+`...' is odd"}`), "left out"},
		{"in a reason", echo(`{"detail":{"reason":ECHO,"statement":ECHO}}`), "left out"},
		{"beside the reason", echo(`{"detail":{"reason":"Unique constraint violation","statement":ECHO,"orig_error":ECHO}}`), "Unique constraint violation"},
		{"in another shape", echo(`{"detail":[ECHO,7,null]}`), "422"},
		{"in a status line", hangUp(t, "HTTP/1.1 "+secret.Reveal()+"\r\n\r\n"), "left out"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log logs
			client := newClient(t, airflow.Config{
				URL: scripted(t, byMethod(reply(200, shown(orders.Describe())), test.answer)).URL, Logger: log.logger(),
			})

			_, putErr := client.Put(background, orders, secret)
			_, _, updateErr := client.Update(background, orders, secret)

			for _, err := range []error{putErr, updateErr} {
				e := remoteError(t, err)
				log.logger().Error("a call failed", "error", err, "whole", fmt.Sprintf("%v %+v %#v", err, err, err))
				log.logger().Error("its cause", "error", e, "fields", fmt.Sprintf("%+v %#v", *e, *e))
				if !strings.Contains(err.Error(), test.keeps) {
					t.Errorf("got error %v, want %q in it", err, test.keeps)
				}
				for _, word := range []string{secret.Reveal()[:16], password, ownToken} {
					if strings.Contains(err.Error()+log.String(), word) {
						t.Errorf("the log tells %q:\n%s", word, log.String())
					}
				}
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := airflow.Config{URL: "https://airflow", Login: airflow.Password{Username: "x", Password: fixed("x")}, Timeout: time.Second}
	as := func(login airflow.Login) func(*airflow.Config) {
		return func(c *airflow.Config) { c.Login = login }
	}
	tests := []struct {
		name   string
		change func(*airflow.Config)
		want   string
	}{
		{"nothing wrong", func(*airflow.Config) {}, ""},
		{"no address", func(c *airflow.Config) { c.URL = "" }, "airflow: url"},
		{"no login", as(nil), "login"},
		{"nobody", as(airflow.Password{Password: fixed("x")}), "username"},
		{"no password", as(airflow.Password{Username: "x"}), "password"},
		{"basic of nobody", as(airflow.Basic{Password: fixed("x")}), "username"},
		{"basic with a colon", as(airflow.Basic{Username: "a:b", Password: fixed("x")}), "colon"},
		{"no token", as(airflow.Token{}), "token"},
		{"a client without a secret", as(airflow.Keycloak{ClientID: "x"}), "client_secret"},
		{"no token_url", as(airflow.ClientCredentials{ClientID: "x", ClientSecret: fixed("x")}), "token_url"},
		{"a token_url that is none", as(airflow.ClientCredentials{TokenURL: "x", ClientID: "x", ClientSecret: fixed("x")}), "token_url"},
		{"no command", as(airflow.Exec{}), "command"},
		{"an API that is none", func(c *airflow.Config) { c.API = "v3" }, `"v3"`},
		{"a login of the other API", func(c *airflow.Config) { c.API = airflow.V1 }, "of v2, not of v1"},
		{"no time-out", func(c *airflow.Config) { c.Timeout = 0 }, "time-out"},
		{"less than no rate", func(c *airflow.Config) { c.Limits.PerSecond = -1 }, "airflow: limits"},
		{"a CA that is none", func(c *airflow.Config) { c.CA = []byte("x") }, "PEM"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := good
			test.change(&config)
			_, err := airflow.New(config)
			if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one about %q", err, test.want)
			}
		})
	}
}
