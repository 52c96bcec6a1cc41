package airflow

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func startV1(t *testing.T) *fixture {
	t.Helper()
	return start(t, Config{Version: Version2, Tokens: map[string]string{"ready": RoleOp, "ready-viewer": RoleViewer}})
}

// basic calls as the user of a role.
func (f *fixture) basic(role, method, path, body string) answer {
	f.t.Helper()
	request, _ := http.NewRequest(method, "http://x", nil)
	request.SetBasicAuth(role, role+"-password")
	header := []string{"Authorization", request.Header.Get("Authorization")}
	if body != "" {
		header = append(header, "Content-Type", "application/json")
	}
	return f.do(method, path, body, header...)
}

// problem is the body of a refusal of API 1.
func problemOf(status int, title, detail, kind string) string {
	if strings.HasPrefix(kind, "about") {
		return fmt.Sprintf(`{"detail":%s,"status":%d,"title":%s,"type":%q}`, detail, status, title, kind)
	}
	return fmt.Sprintf(`{"detail":%s,"status":%d,"title":%s,`+
		`"type":"https://airflow.apache.org/docs/apache-airflow/2.11.2/stable-rest-api-ref.html#section/Errors/%s"}`, detail, status, title, kind)
}

func bad(detail string) string {
	return problemOf(400, `"Bad Request"`, fmt.Sprintf("%q", detail), "BadRequest")
}

const (
	missingV1 = "The Connection with connection_id: `nope` was not found"
	there     = `{"connection_id":"cf_a","conn_type":"http","description":"d","host":"h","login":"l","password":"s3cret","port":8080,"schema":"https"}`
	shownV1   = `{"connection_id":"cf_a","conn_type":"http","description":"d","host":"h","login":"l","port":8080,"schema":"https","extra":null}`
)

// Every answer here is what a real Airflow 2.11.2 on SQLite gave to the same request.
func TestV1ByRequest(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("x", n) }
	const list = "/api/v1/connections"
	post := func(fields string) string { return `{"connection_id":"x","conn_type":"http",` + fields + `}` }
	forbidden := problemOf(403, `"Forbidden"`, "null", "PermissionDenied")
	notFound := problemOf(404, `"Connection not found"`, fmt.Sprintf("%q", missingV1), "NotFound")
	noRoute := problemOf(404, `"Not Found"`, `"The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."`, "about:blank")
	notAllowed := problemOf(405, `"Method Not Allowed"`, `"The method is not allowed for the requested URL."`, "about:blank")
	tests := []struct {
		role, method, path, body string
		status                   int
		want                     string
	}{
		{"", "GET", "/api/v1/version", "", 200, `{"version":"2.11.2","git_version":""}`},
		{"", "GET", list, "", 403, forbidden},
		{"viewer", "GET", list, "", 403, forbidden},
		{"user", "DELETE", list + "/cf_a", "", 403, forbidden},
		{"op", "GET", list + "/cf_a", "", 200, shownV1},
		{"admin", "GET", list + "/nope", "", 404, notFound},
		{"op", "DELETE", list + "/nope", "", 404, notFound},
		{"op", "PATCH", list + "/nope", `{"connection_id":"nope"}`, 404, notFound},
		{"op", "GET", list + "/cf_a/", "", 404, noRoute},
		{"op", "GET", "/api/v1/nope", "", 404, noRoute},
		{"op", "PUT", list + "/cf_a", "{}", 405, notAllowed},
		{"op", "PATCH", list, "{}", 405, notAllowed},

		{"op", "POST", list, there, 409, problemOf(409, `"Conflict"`, `"Connection already exist. ID: cf_a"`, "AlreadyExists")},
		{"op", "POST", list, post(`"password":null`), 400, bad("None is not of type 'string' - 'password'")},
		{"", "POST", list, post(`"password":null`), 400, bad("None is not of type 'string' - 'password'")},
		{"", "POST", list, post(`"foo":1`), 403, forbidden},
		{"op", "POST", list, post(`"foo":1`), 400, bad("{'foo': ['Unknown field.']}")},
		{"op", "POST", list, post(`"foo":1,"host":"` + long(501) + `"`), 400, bad("{'host': ['Longer than maximum length 500.'], 'foo': ['Unknown field.']}")},
		{"op", "POST", list, post(`"port":"8080"`), 400, bad("'8080' is not of type 'integer' - 'port'")},
		{"op", "POST", list, post(`"port":1.0`), 400, bad("1.0 is not of type 'integer' - 'port'")},
		{"op", "POST", list, post(`"port":true`), 400, bad("True is not of type 'integer' - 'port'")},
		{"op", "POST", list, post(`"extra":{"a":1}`), 400, bad("{'a': 1} is not of type 'string' - 'extra'")},
		{"op", "POST", list, post(`"password":{"a":[null,true,1.5,"it's"]}`), 400, bad(`{'a': [None, True, 1.5, "it's"]} is not of type 'string' - 'password'`)},
		{"op", "POST", list, post(`"extra":"[1]"`), 500, ""},
		{"op", "POST", list, `{"connection_id":"é","conn_type":"http"}`, 500, ""},
		{"op", "POST", list, `{}`, 400, bad("{'connection_id': ['Missing data for required field.'], 'conn_type': ['Missing data for required field.']}")},
		{"op", "POST", list, `[1]`, 400, bad("[1] is not of type 'object'")},
		{"op", "POST", list, `{"a"`, 400, bad("Request body is not valid JSON")},
		{"op", "POST", list, `{"connection_id":"a b","conn_type":"http"}`, 400, bad("The key 'a b' has to be made of alphanumeric characters, dashes, dots and underscores exclusively")},
		{"op", "POST", list, `{"connection_id":"` + long(201) + `","conn_type":"http"}`, 400, bad("The key has to be less than 200 characters")},
		{"op", "POST", list, `{"connection_id":"` + long(251) + `","conn_type":"http"}`, 400, bad("{'connection_id': ['Longer than maximum length 250.']}")},
		{"op", "POST", list, `{"connection_id":"n","conn_type":"","extra":null,"host":null,"port":null}`, 200,
			`{"connection_id":"n","conn_type":"","description":null,"host":null,"login":null,"port":null,"schema":null,"extra":null}`},

		{"op", "PATCH", list + "/cf_a", `{"connection_id":"cf_b"}`, 400, bad("The connection_id cannot be updated.")},
		{"op", "PATCH", list + "/nope", `{"foo":"nope"}`, 400, bad("{'foo': ['Unknown field.']}")},
		{"op", "PATCH", list + "/cf_a", `{"password":null}`, 400, bad("None is not of type 'string' - 'password'")},
		{"op", "PATCH", list + "/cf_a", `{"conn_type":null}`, 400, bad("None is not of type 'string' - 'conn_type'")},
		{"op", "PATCH", list + "/cf_a?update_mask=port", `{"connection_id":"cf_a"}`, 400, bad("'port' is unknown or cannot be updated.")},
		{"op", "PATCH", list + "/cf_a?update_mask=connection_id", `{"connection_id":"cf_a"}`, 400, bad("'connection_id' is unknown or cannot be updated.")},
		{"op", "PATCH", list + "/cf_a?update_mask=", `{"host":"x"}`, 400, bad("'' is unknown or cannot be updated.")},

		{"", "GET", list + "?nope=1", "", 400, problemOf(400, "null", `"Extra query parameter(s) nope not in spec"`, "BadRequest")},
		{"op", "GET", list + "?connection_id_pattern=x", "", 400, problemOf(400, "null", `"Extra query parameter(s) connection_id_pattern not in spec"`, "BadRequest")},
		{"op", "GET", list + "?limit=-1", "", 400, problemOf(400, `"Page limit must be a positive integer"`, "null", "BadRequest")},
		{"op", "GET", list + "?limit=x", "", 400, bad("Wrong type, expected 'integer' for query parameter 'limit'")},
		{"op", "GET", list + "?order_by=nope", "", 400, bad("Ordering with 'nope' is disallowed or the attribute does not exist on the model")},
		{"op", "GET", list + "?order_by=conn_id", "", 400, bad("Ordering with 'conn_id' is disallowed or the attribute does not exist on the model")},
		{"op", "GET", list + "?order_by=id,port", "", 400, bad("Ordering with 'id,port' is disallowed or the attribute does not exist on the model")},
	}
	for _, test := range tests {
		f := startV1(t)
		if got := f.basic("op", http.MethodPost, list, there); !got.is(t, 200, shownV1) {
			t.Fatalf("POST: got %d %s, want 200 %s", got.status, got.body, shownV1)
		}
		got := f.basic(test.role, test.method, test.path, test.body)
		if test.status == 500 {
			if got.status != 500 || !strings.Contains(got.body, "<h1>") || len(f.ConnectionIDs()) != 1 {
				t.Errorf("%s %s %s: got %d %s, want a page, and nothing made", test.method, test.path, test.body, got.status, got.body)
			}
			continue
		}
		if !got.is(t, test.status, test.want) {
			t.Errorf("%s %s %s by %q: got %d %s\nwant %d %s", test.method, test.path, test.body, test.role, got.status, got.body, test.status, test.want)
		}
	}
}

func TestV1Patches(t *testing.T) {
	t.Parallel()
	port := 8080
	before := Connection{ConnectionID: "cf_a", ConnType: "http", Host: "h", Login: "l", Schema: "https", Port: &port, Password: "s3cret", Extra: `{"a":1}`}
	tests := []struct {
		query, body string
		change      func(*Connection)
	}{
		{"", `{"host":"z"}`, func(c *Connection) { c.Host = "z" }},
		{"", `{"host":null,"port":null,"schema":null,"extra":null}`, func(c *Connection) { c.Host, c.Port, c.Schema, c.Extra = "", nil, "", "" }},
		{"", `{"password":""}`, func(*Connection) {}},
		{"", `{"password":"***"}`, func(c *Connection) { c.Password = "***" }},
		{"", `{"extra":"{\"token\":\"***\"}"}`, func(c *Connection) { c.Extra = `{"token":"***"}` }},
		{"?update_mask=host,%20login", `{"connection_id":"cf_a","host":"z","login":"z","schema":"z"}`, func(c *Connection) { c.Host, c.Login = "z", "z" }},
		{"?update_mask=host%2Cport", `{"host":"z","port":null}`, func(c *Connection) { c.Host, c.Port = "z", nil }},
		{"?update_mask=host&update_mask=login", `{"host":"z","login":"z"}`, func(c *Connection) { c.Login = "z" }}, // the last alone
	}
	for _, test := range tests {
		f := startV1(t)
		f.PutConnection(before)
		want := before
		test.change(&want)
		got := f.basic("op", http.MethodPatch, "/api/v1/connections/cf_a"+test.query, test.body)
		after, _ := f.Connection("cf_a")
		if after.Port != nil && want.Port != nil {
			after.Port = want.Port
		}
		if got.status != 200 || after != want {
			t.Errorf("%s %s: got %d %+v, want 200 %+v", test.query, test.body, got.status, after, want)
		}
	}
}

func TestV1Deletes(t *testing.T) {
	t.Parallel()
	f := startV1(t)
	f.PutConnection(Connection{ConnectionID: "cf_a", ConnType: "http"})
	claimed := f.do(http.MethodDelete, "/api/v1/connections/cf_a", "", "Authorization", "Bearer ready", "Content-Type", "application/json")
	if claimed.status != 400 || !strings.HasPrefix(claimed.body, "<!doctype html>") {
		t.Errorf("with a type and no body: got %d %s, want 400 and a page", claimed.status, claimed.body)
	}
	if got := f.basic("op", http.MethodDelete, "/api/v1/connections/cf_a", ""); got.status != 204 {
		t.Errorf("got %d %s, want 204", got.status, got.body)
	}
}

func TestV1Lists(t *testing.T) {
	t.Parallel()
	f := startV1(t)
	for i := range 120 {
		f.PutConnection(Connection{ConnectionID: fmt.Sprintf("c%03d", 119-i), ConnType: "http", Password: "s3cret", Extra: `{"a":1}`})
	}
	for query, want := range map[string]struct {
		n     int
		first string
	}{
		"": {100, "c119"}, "?limit=0": {100, "c119"}, "?limit=1000": {100, "c119"}, "?limit=2&offset=1": {2, "c118"},
		"?order_by=connection_id": {100, "c000"}, "?limit=100&offset=100&order_by=connection_id": {20, "c100"},
		"?order_by=connection_id&order_by=-connection_id": {100, "c119"},
	} {
		got := f.basic("op", http.MethodGet, "/api/v1/connections"+query, "")
		words := strings.Fields(listed(t, got))
		if len(words) != want.n+1 || words[0] != "120" || words[1] != want.first || strings.Contains(got.body, "extra") || strings.Contains(got.body, "password") {
			t.Errorf("%q: got %.80s, want %d from %s", query, words, want.n, want.first)
		}
	}
}

func TestV1HidesLessOfExtra(t *testing.T) {
	t.Parallel()
	f := startV1(t)
	f.PutConnection(Connection{ConnectionID: "x", ConnType: "http", Extra: `{"token_url":"u","secret_version":"7","service_key_guid":"k","proxy":"p","dsn":"d","bearer":"b"}`})
	const want = `{"token_url": "***", "secret_version": "***", "service_key_guid": "k", "proxy": "***", "dsn": "d", "bearer": "b"}`
	if got := f.basic("op", http.MethodGet, "/api/v1/connections/x", "").json(t)["extra"]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	f := startV1(t)
	for _, path := range []string{"/api/v2/version", "/auth/token", "/nope"} {
		if got := f.do(http.MethodGet, path, ""); got.status != 404 || !strings.Contains(got.body, "<title>Airflow 404</title>") {
			t.Errorf("%s: got %d %s, want 404 and a page", path, got.status, got.body)
		}
	}
	f.PutConnection(Connection{ConnectionID: "x", ConnType: "http"})
	f.Become(Version3)
	if got := f.as("op", http.MethodGet, "/api/v2/connections/x", ""); got.status != 200 {
		t.Errorf("after an upgrade: got %d %s, want 200", got.status, got.body)
	}
	if _, err := Start(Config{Version: "4"}); err == nil {
		t.Error("version 4: got no error")
	}
}

func TestTokensAndClients(t *testing.T) {
	t.Parallel()
	for version, path := range map[string]string{Version2: "/api/v1/connections", Version3: "/api/v2/connections"} {
		clock := newClock()
		f := start(t, Config{
			Version: version, Now: clock.Now, TokenLifetime: time.Hour,
			Tokens:  map[string]string{"ready": RoleOp, "ready-viewer": RoleViewer},
			Clients: map[string]User{"afi": {Password: "s3cret", Role: RoleOp}},
		})
		with := func(token string) int { return f.do(http.MethodGet, path, "", "Authorization", "Bearer "+token).status }
		if good, viewer, garbage := with("ready"), with("ready-viewer"), with("x"); good != 200 || viewer != 403 || garbage != 403 {
			t.Errorf("%s: ready-made tokens: got %d, %d and %d, want 200, 403 and 403", version, good, viewer, garbage)
		}

		form := func(text string) answer {
			return f.do(http.MethodPost, "/issuer/token", text, "Content-Type", "application/x-www-form-urlencoded")
		}
		issued := form("grant_type=client_credentials&client_id=afi&client_secret=s3cret&scope=a+b").json(t)
		token, _ := issued["access_token"].(string)
		if issued["expires_in"] != 3600.0 || with(token) != 200 {
			t.Errorf("%s: issued: got %v, good for %d, want one for an hour, and 200", version, issued, with(token))
		}
		clock.advance(2 * time.Hour)
		if got := with(token); got < 401 || got > 403 {
			t.Errorf("%s: issued, two hours later: got %d, want a refusal", version, got)
		}
		if got := form("grant_type=client_credentials&client_id=afi&client_secret=x"); got.status != 401 || got.json(t)["error"] != "invalid_client" {
			t.Errorf("%s: a wrong secret: got %d %s, want 401", version, got.status, got.body)
		}
		if got := form("grant_type=password"); got.status != 400 {
			t.Errorf("%s: another grant: got %d, want 400", version, got.status)
		}
	}

	f := start(t, Config{Clients: map[string]User{"afi": {Password: "s3cret", Role: RoleOp}}})
	const sent = `{"grant_type":"client_credentials","client_id":"afi","client_secret":"%s"}`
	if got := f.login(fmt.Sprintf(sent, "s3cret")); got.status != 201 || got.json(t)["access_token"] == "" {
		t.Errorf("a client at /auth/token: got %d %s, want 201 and a token", got.status, got.body)
	}
	if got := f.login(fmt.Sprintf(sent, "x")); got.status != 401 {
		t.Errorf("with a wrong secret: got %d, want 401", got.status)
	}
}
