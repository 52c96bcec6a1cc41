package airflow

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"airflow-identity/integration/standin"
)

// Every answer here is what a real Airflow 3.3.2 on SQLite gave for the same
// connections and the same query.
func TestList(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	for _, fields := range []string{
		`"connection_id":"cf_b","conn_type":"http","host":"https://uaa/oauth/token","description":"Managed. [afi1 a b c 1]"`,
		`"connection_id":"cf_a","conn_type":"http"`,
		`"connection_id":"CF_c","conn_type":"http"`,
		`"connection_id":"f.mi-","conn_type":"","port":0`,
		`"connection_id":"cfxe","conn_type":"generic","port":8443,"schema":"https"`,
	} {
		if got := f.as("op", http.MethodPost, "/api/v2/connections", "{"+fields+"}"); got.status != 201 {
			t.Fatalf("POST %s: got %d %s, want 201", fields, got.status, got.body)
		}
	}
	token := "Bearer " + f.token("op")

	for query, want := range map[string]string{
		"":                         "5 cf_b cf_a CF_c f.mi- cfxe",
		"nope=1":                   "5 cf_b cf_a CF_c f.mi- cfxe",
		"limit=0":                  "5",
		"limit=2":                  "5 cf_b cf_a",
		"limit=2&offset=1":         "5 cf_a CF_c",
		"limit=1&limit=3":          "5 cf_b cf_a CF_c",
		"limit=%201":               "5 cf_b",
		"offset=9":                 "5",
		"order_by=connection_id":   "5 CF_c cf_a cf_b cfxe f.mi-",
		"order_by=conn_id":         "5 CF_c cf_a cf_b cfxe f.mi-",
		"order_by=-connection_id":  "5 f.mi- cfxe cf_b cf_a CF_c",
		"order_by=--connection_id": "5 f.mi- cfxe cf_b cf_a CF_c",
		"order_by=id":              "5 cf_b cf_a CF_c f.mi- cfxe",
		"order_by=team_name":       "5 cf_b cf_a CF_c f.mi- cfxe",
		"order_by=port":            "5 cf_b cf_a CF_c f.mi- cfxe",
		"order_by=conn_type":       "5 f.mi- cfxe cf_b cf_a CF_c",
		"order_by=conn_type&order_by=-conn_id&limit=4&offset=1": "5 cfxe cf_b cf_a CF_c",

		"connection_id_pattern=f_mi":       "1 f.mi-",
		"connection_id_pattern=CF_":        "4 cf_b cf_a CF_c cfxe",
		"connection_id_pattern=cf%25e":     "1 cfxe",
		"connection_id_pattern=cf_a|cfxe":  "2 cf_a cfxe",
		"connection_id_pattern=~":          "5 cf_b cf_a CF_c f.mi- cfxe",
		"connection_id_pattern=":           "5 cf_b cf_a CF_c f.mi- cfxe",
		"connection_id_pattern=|":          "0",
		"connection_id_pattern=cf&limit=1": "4 cf_b",

		"connection_id_prefix_pattern=cf":                           "3 cf_b cf_a cfxe",
		"connection_id_prefix_pattern=cf_":                          "3 cf_b cf_a cfxe",
		"connection_id_prefix_pattern=cf_a":                         "1 cf_a",
		"connection_id_prefix_pattern=cf_a|CF":                      "2 cf_a CF_c",
		"connection_id_prefix_pattern=~":                            "5 cf_b cf_a CF_c f.mi- cfxe",
		"connection_id_prefix_pattern=":                             "5 cf_b cf_a CF_c f.mi- cfxe",
		"connection_id_prefix_pattern=%25":                          "5 cf_b cf_a CF_c f.mi- cfxe",
		"connection_id_prefix_pattern=_":                            "5 cf_b cf_a CF_c f.mi- cfxe",
		"connection_id_prefix_pattern=|":                            "5 cf_b cf_a CF_c f.mi- cfxe",
		"connection_id_pattern=cf&connection_id_prefix_pattern=cfx": "1 cfxe",
	} {
		got := f.do(http.MethodGet, "/api/v2/connections?"+query, "", "Authorization", token)
		if got.status != 200 || listed(t, got) != want {
			t.Errorf("%s: got %d %s, want 200 %s", query, got.status, listed(t, got), want)
		}
	}

	const (
		tooSmall  = `{"type":"greater_than_equal","loc":["query","%s"],"msg":"Input should be greater than or equal to 0","input":"-1","ctx":{"ge":0}}`
		noNumber  = `{"type":"int_parsing","loc":["query","%s"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"%s"}`
		badColumn = `{"detail":"Ordering with '%s' is disallowed or the attribute does not exist on the model"}`
	)
	for query, want := range map[string]struct {
		status int
		body   string
	}{
		"limit=-1":                    {422, `{"detail":[` + fmt.Sprintf(tooSmall, "limit") + `]}`},
		"limit=-1&offset=-1":          {422, `{"detail":[` + fmt.Sprintf(tooSmall, "limit") + "," + fmt.Sprintf(tooSmall, "offset") + `]}`},
		"limit=-1&order_by=nope":      {422, `{"detail":[` + fmt.Sprintf(tooSmall, "limit") + `]}`},
		"limit=":                      {422, `{"detail":[` + fmt.Sprintf(noNumber, "limit", "") + `]}`},
		"offset=x":                    {422, `{"detail":[` + fmt.Sprintf(noNumber, "offset", "x") + `]}`},
		"order_by=nope":               {400, fmt.Sprintf(badColumn, "nope")},
		"order_by=-nope":              {400, fmt.Sprintf(badColumn, "nope")},
		"order_by=":                   {400, fmt.Sprintf(badColumn, "")},
		"order_by=login":              {400, fmt.Sprintf(badColumn, "login")},
		"order_by=connection_id,port": {400, fmt.Sprintf(badColumn, "connection_id,port")},
	} {
		if got := f.do(http.MethodGet, "/api/v2/connections?"+query, "", "Authorization", token); !got.is(t, want.status, want.body) {
			t.Errorf("%s: got %d %s, want %d %s", query, got.status, got.body, want.status, want.body)
		}
	}
}

// listed is a list's total, and its ids.
func listed(t *testing.T, got answer) string {
	t.Helper()
	body := got.json(t)
	words := []string{fmt.Sprint(body["total_entries"])}
	items, _ := body["connections"].([]any)
	if items == nil {
		t.Errorf("got %s, want a list of connections, empty perhaps", got.body)
	}
	for _, item := range items {
		words = append(words, item.(map[string]any)["connection_id"].(string))
	}
	return strings.Join(words, " ")
}

func TestListShowsWhatAReadShows(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	f.PutConnection(Connection{ConnectionID: "x", ConnType: "http", Login: "l", Password: "s3cret", Extra: `{"token":"t","verify":false}`})

	const want = `{"connections":[{"connection_id":"x","conn_type":"http","description":null,"host":null,"login":"l","schema":null,
		"port":null,"password":"***","extra":"{\"token\": \"***\", \"verify\": false}","team_name":null}],"total_entries":1}`
	if got := f.as("admin", http.MethodGet, "/api/v2/connections", ""); !got.is(t, 200, want) {
		t.Errorf("got %d %s, want 200 %s", got.status, got.body, want)
	}
	for _, role := range []string{RoleViewer, RoleUser} {
		if got := f.as(role, http.MethodGet, "/api/v2/connections?limit=-1", ""); !got.is(t, 403, `{"detail":"Forbidden"}`) {
			t.Errorf("%s: got %d %s, want 403", role, got.status, got.body)
		}
	}
	if got := f.do(http.MethodGet, "/api/v2/connections?limit=-1", ""); !got.is(t, 401, `{"detail":"Not authenticated"}`) {
		t.Errorf("without a token: got %d %s, want 401", got.status, got.body)
	}
}

func TestListHasPages(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	for i := range 120 {
		f.PutConnection(Connection{ConnectionID: fmt.Sprintf("c%03d", i), ConnType: "http"})
	}
	for query, want := range map[string]int{"": 50, "?limit=1000": 100, "?limit=100&offset=100": 20} {
		got := f.as("op", http.MethodGet, "/api/v2/connections"+query, "").json(t)
		if items := got["connections"].([]any); len(items) != want || got["total_entries"] != 120.0 {
			t.Errorf("%q: got %d of %v, want %d of 120", query, len(items), got["total_entries"], want)
		}
	}
}

func TestListKeepsTheOrderInWhichConnectionsWereMade(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	for _, id := range []string{"b", "a", "c"} {
		f.PutConnection(Connection{ConnectionID: id, ConnType: "http"})
	}
	f.RemoveConnection("b")
	f.PutConnection(Connection{ConnectionID: "b", ConnType: "http"})
	f.PutConnection(Connection{ConnectionID: "a", ConnType: "generic"}) // stays where it is
	state, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	later := start(t, Config{Snapshot: state})
	later.PutConnection(Connection{ConnectionID: "0", ConnType: "http"})

	if got := listed(t, f.as("op", http.MethodGet, "/api/v2/connections", "")); got != "3 a c b" {
		t.Errorf("got %s, want 3 a c b", got)
	}
	if got := listed(t, later.as("op", http.MethodGet, "/api/v2/connections", "")); got != "4 a c b 0" {
		t.Errorf("after a restart: got %s, want 4 a c b 0", got)
	}
}

// A term that ends in 9 finds too much: tried on 3.3.2, which gave joba for job9. The
// rest is read from its source.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	for term, want := range map[string][]string{
		"job":  {"job", "job1", "job9", "joba", "jobz"},
		"job1": {"job1"},
		"job9": {"job9", "joba", "jobz"},
		"jobz": {"jobz"},
		"joz":  {},
		"z":    {"zz"},
		"--":   {"", "job", "job1", "job9", "joba", "jobz", "zz"},
	} {
		got := []string{}
		for _, id := range []string{"", "job", "job1", "job9", "joba", "jobz", "zz"} {
			if begins(term)(id) {
				got = append(got, id)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", term, got, want)
		}
	}
}

func TestFaultsOfTheListAlone(t *testing.T) {
	t.Parallel()
	f := start(t, Config{ContextPath: "/airflow"})
	f.PutConnection(Connection{ConnectionID: "x", ConnType: "http"})
	f.Faults.Add(standin.Fault{Call: "GET /api/v2/connections", Match: IsList})

	if got := f.as("op", http.MethodGet, "/api/v2/connections/x", ""); got.status != 200 {
		t.Errorf("one connection: got %d, want 200", got.status)
	}
	if got := f.as("op", http.MethodGet, "/api/v2/connections?limit=1", ""); got.status != 503 {
		t.Errorf("list: got %d, want 503", got.status)
	}
	if got := f.as("op", http.MethodGet, "/api/v2/connections", ""); got.status != 200 {
		t.Errorf("list again: got %d, want 200", got.status)
	}
}
