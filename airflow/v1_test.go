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

	"airflow-identity/airflow"
	"airflow-identity/identity"
	standinairflow "airflow-identity/integration/standin/airflow"
)

// shownV1 is Airflow 2's answer about a connection.
func shownV1(description string) string {
	return fmt.Sprintf(`{"connection_id":"acme_orders","conn_type":"http","description":%q,"host":"https://uaa.example.com/oauth/token",`+
		`"login":"afi-5d3c0000-0000-4000-8000-000000000002","schema":null,"port":null,"extra":null}`, description)
}

func problem(status int, title, detail string) http.HandlerFunc {
	return reply(status, fmt.Sprintf(`{"detail":%s,"status":%d,"title":%q,"type":"about:blank"}`, detail, status, title), "Content-Type", "application/problem+json")
}

var (
	missingV1   = problem(404, "Connection not found", "\"The Connection with connection_id: `acme_orders` was not found\"")
	noRouteV1   = problem(404, "Not Found", `"The requested URL was not found on the server."`)
	forbiddenV1 = problem(403, "Forbidden", "null")
	removed     = reply(404, `{"error":"/api/v1 has been removed in Airflow 3, please use its upgraded version /api/v2 instead."}`)
	removedTo   = reply(405, `{"detail":"Method Not Allowed"}`)
)

func TestV1ByAnswer(t *testing.T) {
	t.Parallel()
	ours := reply(200, shownV1(orders.Describe()))
	put := func(c *airflow.Client) (identity.Outcome, error) { return c.Put(background, orders, secret) }
	read := func(c *airflow.Client) (identity.Outcome, error) {
		_, outcome, err := c.Read(background, orders)
		return outcome, err
	}
	update := func(c *airflow.Client) (identity.Outcome, error) {
		_, outcome, err := c.Update(background, orders, secret)
		return outcome, err
	}
	remove := func(c *airflow.Client) (identity.Outcome, error) { return c.Remove(background, marker) }
	tests := []struct {
		name       string
		call       func(*airflow.Client) (identity.Outcome, error)
		get, other http.HandlerFunc // other nil: must not be called
		want       identity.Outcome
	}{
		{"posted", put, nil, reply(200, shownV1(orders.Describe())), identity.Done},
		{"posted, with another description", put, nil, reply(200, shownV1("x")), identity.Unknown},
		{"201, which is not how v1 says it", put, nil, reply(201, shownV1(orders.Describe())), identity.Unknown},
		{"taken", put, nil, problem(409, "Conflict", `"Connection already exist. ID: acme_orders"`), identity.Exists},
		{"invalid", put, nil, problem(400, "Bad Request", `"{'foo': ['Unknown field.']}"`), identity.Rejected},
		{"invalid, without a title", put, nil, reply(400, `{"detail":"Extra query parameter(s) nope not in spec","status":400,"title":null}`), identity.Rejected},
		{"a 400 page", put, nil, reply(400, page), identity.Unknown},
		{"forbidden, or a wrong login", put, nil, forbiddenV1, identity.Later},
		{"a gateway's 403", put, nil, reply(403, page), identity.Unknown},
		{"unauthorized", put, nil, problem(401, "Unauthorized", "null"), identity.Later},
		{"unsupported", put, nil, problem(415, "Unsupported Media Type", `"x"`), identity.Rejected},
		{"500 page", put, nil, reply(500, page), identity.Unknown},
		{"post: no route", put, nil, noRouteV1, identity.Unknown},
		{"post: upgraded", put, nil, removedTo, identity.Later},
		{"post: no such method", put, nil, problem(405, "Method Not Allowed", `"The method is not allowed for the requested URL."`), identity.Rejected},

		{"ours", read, ours, nil, identity.Done},
		{"ours and older", read, reply(200, shownV1(atGeneration(6).Describe())), nil, identity.Differs},
		{"somebody's", read, reply(200, shownV1("mine")), nil, identity.Foreign},
		{"missing", read, missingV1, nil, identity.NotThere},
		{"get: no route", read, noRouteV1, nil, identity.Unknown},
		{"a 404 page", read, reply(404, page), nil, identity.Unknown},
		{"the router's 404", read, reply(404, routerBody, router, "unknown_route"), nil, identity.Unknown},
		{"get: upgraded", read, removed, nil, identity.Later},
		{"get: forbidden", read, forbiddenV1, nil, identity.Later},

		{"patched", update, ours, ours, identity.Done},
		{"patched, with nothing changed", update, ours, reply(200, shownV1(atGeneration(6).Describe())), identity.Unknown},
		{"patch: gone meanwhile", update, ours, missingV1, identity.NotThere},
		{"patch: no route", update, ours, noRouteV1, identity.Unknown},
		{"patch: a field that it does not have", update, ours, problem(400, "Bad Request", `"'port' is unknown or cannot be updated."`), identity.Rejected},
		{"patch: upgraded", update, ours, removedTo, identity.Later},
		{"update: missing", update, missingV1, nil, identity.NotThere},
		{"update: upgraded", update, removed, nil, identity.Later},
		{"update: forbidden", update, forbiddenV1, nil, identity.Later},

		{"deleted", remove, ours, reply(204, ""), identity.Done},
		{"delete: gone meanwhile", remove, ours, missingV1, identity.NotThere},
		{"delete: a page", remove, ours, reply(400, page), identity.Unknown},
		{"delete: upgraded", remove, ours, removedTo, identity.Later},
		{"remove: missing", remove, missingV1, nil, identity.NotThere},
		{"remove: somebody's", remove, reply(200, shownV1("mine")), nil, identity.Foreign},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			other := test.other
			if other == nil {
				other = func(_ http.ResponseWriter, r *http.Request) { t.Errorf("got %s, want no such call", r.Method) }
			}
			get := test.get
			if get == nil {
				get = forbiddenV1 // so the login is asked about, and is wrong
			}
			client := airflow2.client(t, airflow.Config{URL: scripted(t, byMethod(get, other)).URL})

			outcome, err := test.call(client)

			if outcome != test.want || (err == nil) != (test.want == identity.Done || test.want == identity.NotThere) {
				t.Errorf("got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}

func TestV1Requests(t *testing.T) {
	t.Parallel()
	var lines []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines = append(lines, r.Method+" "+r.RequestURI+" "+r.Header.Get("Content-Type"))
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
		if got := r.Header.Get("Authorization"); got != want {
			t.Errorf("got %q, want the user and password", got)
		}
		text, _ := io.ReadAll(r.Body)
		var body map[string]any
		if r.Method == http.MethodPatch && (json.Unmarshal(text, &body) != nil || len(body) != 8 || body["password"] != secret.Reveal()) {
			t.Errorf("got body %s, want all fields of ours and no other", text)
		}
		if r.Method == http.MethodDelete {
			w.WriteHeader(204)
			return
		}
		reply(200, shownV1(orders.Describe()))(w, r)
	}))
	t.Cleanup(server.Close)
	client := airflow2.client(t, airflow.Config{URL: server.URL + "/deep"})

	_, err := client.Put(background, orders, secret)
	_, _, updateErr := client.Update(background, orders, secret)
	_, removeErr := client.Remove(background, marker)

	want := []string{
		"POST /deep/api/v1/connections application/json",
		"GET /deep/api/v1/connections/acme_orders ",
		"PATCH /deep/api/v1/connections/acme_orders?update_mask=conn_type%2Cdescription%2Chost%2Clogin%2Cpassword%2Cport%2Cschema application/json",
		"GET /deep/api/v1/connections/acme_orders ",
		"DELETE /deep/api/v1/connections/acme_orders ",
	}
	if err != nil || updateErr != nil || removeErr != nil || !reflect.DeepEqual(lines, want) {
		t.Errorf("got  %q, %v, %v, %v\nwant %q", lines, err, updateErr, removeErr, want)
	}
}

// Airflow 2 does not tell a wrong login from a missing permission, so neither may be
// taken for the end of anything, but for a create of somebody who is known.
func TestV1DoesNotSayWhy(t *testing.T) {
	t.Parallel()
	viewers := map[string]standinairflow.User{username: {Password: password, Role: standinairflow.RoleViewer}}
	put := func(c *airflow.Client) (identity.Outcome, error) { return c.Put(background, orders, secret) }
	for name, config := range map[string]struct {
		users map[string]standinairflow.User
		login airflow.Login
		call  func(*airflow.Client) (identity.Outcome, error)
	}{
		"a viewer reads": {viewers, nil, func(c *airflow.Client) (identity.Outcome, error) {
			_, outcome, err := c.Read(background, orders)
			return outcome, err
		}},
		"a viewer removes": {viewers, nil, func(c *airflow.Client) (identity.Outcome, error) { return c.Remove(background, marker) }},
		"a wrong login":    {nil, airflow.Basic{Username: username, Password: fixed("another-password")}, put},
		"a wrong token":    {nil, airflow.Token{Token: fixed("x")}, put},
		"nobody we know":   {nil, airflow.Basic{Username: "x", Password: fixed(password)}, put},
	} {
		server := airflow2.start(t, standinairflow.Config{Users: config.users})
		outcome, err := config.call(airflow2.client(t, airflow.Config{URL: server.URL(), Login: config.login}))
		if outcome != identity.Later || !strings.Contains(err.Error(), "403 Forbidden: a wrong login, or one that may not") {
			t.Errorf("%s: got %s, %v; want later, and both reasons", name, outcome, err)
		}
	}
}

// asked counts the questions for a version.
func asked(t *testing.T, version, connections http.HandlerFunc) (url string, questions *atomic.Int32) {
	t.Helper()
	questions = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/version") {
			questions.Add(1)
			version(w, r)
			return
		}
		connections(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, questions
}

func TestVersionIsAskedForOnce(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		server := d.start(t, standinairflow.Config{Tokens: map[string]string{ownToken: standinairflow.RoleOp}})
		client := newClient(t, airflow.Config{URL: server.URL(), API: airflow.Auto, Login: airflow.Token{Token: fixed(ownToken)}})
		for range 3 {
			if _, outcome, err := client.Read(background, orders); outcome != identity.NotThere {
				t.Fatalf("got %s, %v", outcome, err)
			}
		}
		outcome, err := client.Put(background, orders, secret)
		if outcome != identity.Done {
			t.Errorf("got %s, %v", outcome, err)
		}
	})
	url, questions := asked(t, reply(200, `{"version":"3.3.2"}`), reply(404, missing))
	client := newClient(t, airflow.Config{URL: url, API: airflow.Auto, Login: airflow.Token{Token: fixed(ownToken)}})
	for range 3 {
		_, _, _ = client.Read(background, orders)
	}
	if got := questions.Load(); got != 1 {
		t.Errorf("got %d questions, want 1", got)
	}
}

// Only a version that fits its path is believed.
func TestVersionByAnswer(t *testing.T) {
	t.Parallel()
	at := func(v1, v2 http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/v1/version" {
				v1(w, r)
				return
			}
			v2(w, r)
		}
	}
	version := func(text string) http.HandlerFunc {
		return reply(200, fmt.Sprintf(`{"version":%q,"git_version":null}`, text))
	}
	for name, test := range map[string]struct {
		v1, v2 http.HandlerFunc
		found  airflow.API
	}{
		"Airflow 2":                    {version("2.11.2"), reply(404, page), airflow.V1},
		"a Composer":                   {version("2.9.3+composer"), reply(404, page), airflow.V1},
		"Airflow 3":                    {removed, version("3.3.2"), airflow.V2},
		"a later one":                  {removed, version("4.0.0"), airflow.V2},
		"a gateway that hides v2":      {version("2.11.2"), reply(403, `{"message":"Forbidden"}`), airflow.V1},
		"a login page":                 {reply(200, page), reply(200, page), ""},
		"pages":                        {reply(404, page), reply(404, page), ""},
		"the other's version":          {version("3.3.2"), version("2.11.2"), ""},
		"no version":                   {reply(200, `{}`), reply(200, `{"version":null}`), ""},
		"a version that is none":       {version("two"), version(""), ""},
		"the router":                   {reply(404, routerBody, router, "unknown_route"), reply(404, routerBody, router, "unknown_route"), ""},
		"500":                          {reply(500, page), reply(500, page), ""},
		"nobody":                       {hangUp(t, ""), hangUp(t, ""), ""},
		"removed, and nothing instead": {removed, reply(404, page), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := ""
			url, _ := asked(t, at(test.v1, test.v2), func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				missingV1(w, r)
			})
			client := newClient(t, airflow.Config{URL: url, API: airflow.Auto, Login: airflow.Token{Token: fixed(ownToken)}})

			_, outcome, err := client.Read(background, orders)

			if test.found == "" {
				if outcome != identity.Later || err == nil || path != "" {
					t.Errorf("got %s, %v, and a call of %q; want later, and none", outcome, err, path)
				}
				return
			}
			if outcome != identity.NotThere || !strings.HasPrefix(path, "/api/"+string(test.found)+"/") {
				t.Errorf("got %s, %v at %s; want not_there at %s", outcome, err, path, test.found)
			}
		})
	}
}

func TestUpgradeIsNoticed(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*airflow.Client) (identity.Outcome, error){
		"by a GET":  func(c *airflow.Client) (identity.Outcome, error) { return c.Remove(background, marker) },
		"by a POST": func(c *airflow.Client) (identity.Outcome, error) { return c.Put(background, orders, secret) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := airflow2.start(t, standinairflow.Config{Tokens: map[string]string{ownToken: standinairflow.RoleOp}})
			config := airflow.Config{URL: server.URL(), API: airflow.Auto, Login: airflow.Token{Token: fixed(ownToken)}}
			client := newClient(t, config)
			config.API = airflow.V1
			told := newClient(t, config)
			if _, outcome, err := client.Read(background, orders); outcome != identity.NotThere {
				t.Fatalf("got %s, %v", outcome, err)
			}

			server.Become(standinairflow.Version3)

			outcome, err := call(client)
			if outcome != identity.Later || !strings.Contains(err.Error(), "upgraded") || client.Available(background) != nil {
				t.Errorf("the first call: got %s, %v; want later, since it was upgraded", outcome, err)
			}
			outcome, err = client.Put(background, orders, secret)
			if outcome != identity.Done {
				t.Errorf("the next one: got %s, %v; want done", outcome, err)
			}
			for range 2 {
				if outcome, err := call(told); outcome != identity.Later {
					t.Errorf("a client that was told the version: got %s, %v; want later for ever", outcome, err)
				}
			}

			server.Become(standinairflow.Version2)

			_, outcome, _ = client.Read(background, orders)
			if outcome != identity.Unknown {
				t.Errorf("after a downgrade: got %s, want unknown: a page may be anybody's", outcome)
			}
			_, outcome, err = client.Read(background, orders)
			if outcome != identity.Done {
				t.Errorf("after a downgrade, again: got %s, %v; want done", outcome, err)
			}
		})
	}
}

// A page at one of the paths says nothing to the breaker, or else an Airflow 2 that
// was down could never be found again.
func TestVersionIsFoundOnceAirflowIsBack(t *testing.T) {
	t.Parallel()
	up := atomic.Bool{}
	url, _ := asked(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !up.Load():
			reply(503, page)(w, r)
		case r.URL.Path == "/api/v1/version":
			reply(200, `{"version":"2.11.2"}`)(w, r)
		default:
			reply(404, page)(w, r)
		}
	}, missingV1)
	client := newClient(t, airflow.Config{
		URL: url, API: airflow.Auto, Login: airflow.Token{Token: fixed(ownToken)}, Breaker: oneFailure,
	})
	if _, outcome, err := client.Read(background, orders); outcome != identity.Later {
		t.Fatalf("while it is down: got %s, %v", outcome, err)
	}

	up.Store(true)

	_, outcome, err := client.Read(background, orders)
	if outcome != identity.NotThere || client.Available(background) != nil {
		t.Errorf("got %s, %v, available %v; want not_there", outcome, err, client.Available(background))
	}
}
