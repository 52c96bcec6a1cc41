package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Airflow is one that a suite is to be run on, and how to log in there.
type Airflow struct {
	// URL is what stands before /api/v2 or /api/v1.
	URL string
	// Authorize puts the login into a request, of whatever kind it is.
	Authorize func(context.Context, *http.Request) error
	// Prefix begins every connection id that the broker makes there; perhaps empty.
	Prefix string
	// Transport makes the calls; nil means Go's own.
	Transport http.RoundTripper
}

// The names of the suites.
const (
	SuiteAirflowV1 = "Airflow v1"
	SuiteAirflowV2 = "Airflow v2"
)

// RunV1 tries every case of Airflow 2's API.
func (a Airflow) RunV1(ctx context.Context) (Report, error) { return a.run(ctx, &apiV1, casesV1()) }

// RunV2 tries every case of Airflow 3's API.
func (a Airflow) RunV2(ctx context.Context) (Report, error) { return a.run(ctx, &apiV2, casesV2()) }

// Run finds out which API there is, as the program does, and tries its cases. Where there
// is none the report has that for its only case.
func (a Airflow) Run(ctx context.Context) (Report, error) {
	s, err := a.site(&apiV2)
	if err != nil {
		return Report{}, err
	}
	var seen []string
	for _, found := range []struct {
		api *airflowAPI
		run func(context.Context) (Report, error)
	}{{&apiV2, a.RunV2}, {&apiV1, a.RunV1}} {
		got, err := s.version(ctx, found.api)
		if err == nil {
			err = got.isVersion(found.api)
		}
		if err == nil {
			return found.run(ctx)
		}
		seen = append(seen, err.Error())
	}
	found := Finding{Case: "an Airflow 2 or 3 tells its version", Source: "measured: /version; airflow.ask", Verdict: Broken, Seen: strings.Join(seen, "; ")}
	if ctx.Err() != nil {
		found.Verdict, found.Seen = Unknown, brokenOff
	}
	return Report{Suite: "Airflow", URL: s.base, Findings: []Finding{found}}, nil
}

func (a Airflow) run(ctx context.Context, api *airflowAPI, cases []testCase[*airflowSite]) (Report, error) {
	s, err := a.site(api)
	if err != nil {
		return Report{}, err
	}
	return try(ctx, api.suite, s.base, cases, s, s.tidy), nil
}

func (a Airflow) site(api *airflowAPI) (*airflowSite, error) {
	caller, err := newCaller(a.URL, a.Transport)
	if err != nil {
		return nil, fmt.Errorf("airflow: %w", err)
	}
	if a.Authorize == nil {
		return nil, errors.New("airflow: a login is needed")
	}
	return &airflowSite{caller: caller, airflow: a, api: api, prefix: a.Prefix + "contract-" + random(6)}, nil
}

// airflowAPI is what a suite takes for granted of one version.
type airflowAPI struct {
	suite       string
	versionPath string
	major       string
	connections string
	created     int
	missing     string // title of the 404 about a connection
	mask        func(fields ...string) string
}

// airflowSite is an Airflow while a suite is run on it.
type airflowSite struct {
	*caller
	airflow Airflow
	api     *airflowAPI
	prefix  string // of all that is made, so that nobody takes it for his own
	number  int
	made    []string // ids, from before they are made until they are surely gone
}

// connection is a throw-away one.
type connection struct {
	id, password, description string
}

func (s *airflowSite) newConnection() connection { return s.newConnectionCalled("") }

func (s *airflowSite) newConnectionCalled(more string) connection {
	s.number++
	c := connection{id: fmt.Sprintf("%s-%d%s", s.prefix, s.number, more), password: s.newSecret()}
	c.description = describe(c.id, 1)
	s.made = append(s.made, c.id)
	return c
}

// describe gives a description as long as ours may be, with a mark at its end that looks
// like our marker and is none.
func describe(id string, generation int) string {
	const sentence = "Made by a contract suite of Airflow Identity; may be deleted. It is long, since real ones name up to some dozens of authorities: "
	return sentence + strings.Repeat("contract.read, ", 30) + fmt.Sprintf("and it ends here. [contract1 nobody %s %d]", id, generation)
}

const (
	tokenHost  = "https://uaa.contract.invalid/oauth/token"
	otherHost  = "https://other.contract.invalid/oauth/token"
	loginSent  = "contract-client"
	otherLogin = "contract-other"
	extraSent  = `{"contract": "kept"}`
)

// body is the connection as the program posts it.
func (c connection) body() map[string]any {
	return map[string]any{
		"connection_id": c.id, "conn_type": "http", "description": c.description,
		"host": tokenHost, "login": loginSent, "password": c.password,
	}
}

// call makes a call with our login.
func (s *airflowSite) call(ctx context.Context, method, path string, body any) (answer, error) {
	header, err := s.authorized(ctx)
	if err != nil {
		return answer{}, err
	}
	var text []byte
	if body != nil {
		header.Set("Content-Type", "application/json")
		text = marshal(body)
	}
	a, err := s.send(ctx, method, s.base+path, header, text)
	if err == nil && (a.status == http.StatusForbidden || a.status == http.StatusUnauthorized) {
		return a, unknowable(fmt.Sprintf("%s: our login may not: %s", a.call, a))
	}
	return a, err
}

// authorized gives a header with our login in it.
func (s *airflowSite) authorized(ctx context.Context) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, callMost)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base, nil)
	if err != nil {
		return nil, err
	}
	if err := s.airflow.Authorize(ctx, request); err != nil {
		return nil, silent{fmt.Errorf("cannot log in: %w", err)}
	}
	request.Header.Set("Accept", "application/json")
	_, credential, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	_, password, _ := request.BasicAuth()
	s.hide(credential, password)
	return request.Header, nil
}

func (s *airflowSite) post(ctx context.Context, body map[string]any) (answer, error) {
	return s.call(ctx, http.MethodPost, s.api.connections, body)
}

func (s *airflowSite) read(ctx context.Context, id string) (answer, error) {
	return s.call(ctx, http.MethodGet, path(s.api.connections, id), nil)
}

func (s *airflowSite) delete(ctx context.Context, id string) (answer, error) {
	return s.call(ctx, http.MethodDelete, path(s.api.connections, id), nil)
}

func (s *airflowSite) patch(ctx context.Context, id, query string, body map[string]any) (answer, error) {
	return s.call(ctx, http.MethodPatch, path(s.api.connections, id)+"?"+query, body)
}

// there posts a connection for a case that is not about posting it.
func (s *airflowSite) there(ctx context.Context) (connection, error) {
	c := s.newConnection()
	return c, s.make(ctx, c.body())
}

func (s *airflowSite) make(ctx context.Context, body map[string]any) error {
	a, err := s.post(ctx, body)
	if err == nil && a.status/100 != 2 {
		return unknowable("no connection could be made: " + a.String())
	}
	return err
}

// edited posts a connection as somebody would leave it, with all that the program does not
// want there.
func (s *airflowSite) edited(ctx context.Context) (connection, error) {
	c := s.newConnection()
	body := c.body()
	body["conn_type"], body["description"], body["host"], body["login"] = "ftp", "edited", otherHost, otherLogin
	body["port"], body["schema"], body["extra"] = 8080, "https", extraSent
	return c, s.make(ctx, body)
}

// withConnection is a case about a connection that is there, and withEdited about one that
// somebody has edited.
func withConnection(check func(context.Context, *airflowSite, connection) error) func(context.Context, *airflowSite) error {
	return func(ctx context.Context, s *airflowSite) error {
		c, err := s.there(ctx)
		if err != nil {
			return err
		}
		return check(ctx, s, c)
	}
}

func withEdited(check func(context.Context, *airflowSite, connection) error) func(context.Context, *airflowSite) error {
	return func(ctx context.Context, s *airflowSite) error {
		c, err := s.edited(ctx)
		if err != nil {
			return err
		}
		return check(ctx, s, c)
	}
}

// mended is the body with which the program puts an edited one right.
func (c connection) mended() map[string]any {
	body := c.body()
	body["port"], body["schema"] = nil, nil
	return body
}

// ours are the fields that the program writes.
var ours = []string{"conn_type", "description", "host", "login", "password", "port", "schema"}

// is demands that a body is this connection, with just what it was given.
func (a answer) is(c connection) error {
	object := a.object()
	if textOf(object["connection_id"]) != c.id {
		return a.expected("the connection")
	}
	for key, want := range map[string]string{
		"conn_type": "http", "description": c.description, "host": tokenHost, "login": loginSent, "schema": "",
	} {
		if got := textOf(object[key]); got != want {
			return fmt.Errorf("%s: %s is %s; expected %s", a.call, key, a.caller.say(got), a.caller.say(want))
		}
	}
	if object["port"] != nil {
		return fmt.Errorf("%s: port is %s; expected none", a.call, a.caller.say(object["port"]))
	}
	return nil
}

// hides demands that an answer does not show a password.
func (a answer) hides(c connection) error {
	if a.has(c.password) {
		return fmt.Errorf("%s: the answer shows the password", a.call)
	}
	return nil
}

// says demands a refusal of Airflow's own: an object with a detail.
func (a answer) says(status int) error {
	if _, detail := a.object()["detail"]; a.status != status || a.fromRouter() || !detail {
		return a.expected("%d with a detail", status)
	}
	return nil
}

// missingAs demands Airflow's way to say that a connection, and not a path, is not there.
func (a answer) missingAs(api *airflowAPI) error {
	detail := a.text("detail")
	if a.status != http.StatusNotFound || a.fromRouter() || detail == "" || detail == "Not Found" || a.text("title") != api.missing {
		return a.expected("404 with a detail about the connection")
	}
	return nil
}

// version asks with our login, if there is one, as the program does: Airflow tells it to
// everybody, and what stands before it may not.
func (s *airflowSite) version(ctx context.Context, api *airflowAPI) (answer, error) {
	header, err := s.authorized(ctx)
	if err != nil {
		header = http.Header{"Accept": {"application/json"}}
	}
	return s.send(ctx, http.MethodGet, s.base+api.versionPath, header, nil)
}

func (a answer) isVersion(api *airflowAPI) error {
	major, _, _ := strings.Cut(a.text("version"), ".")
	number, err := strconv.Atoi(major)
	if a.status != http.StatusOK || err != nil || (api.major == "2") != (number == 2) || number < 2 {
		return a.expected("200 with version %s", api.major)
	}
	return nil
}

// list gives a page in the order of ids, as the program asks for it.
func (s *airflowSite) list(ctx context.Context, limit, offset int) (answer, []map[string]any, error) {
	a, err := s.call(ctx, http.MethodGet, s.api.connections+"?"+url.Values{
		"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}, "order_by": {"connection_id"},
	}.Encode(), nil)
	if err != nil {
		return a, nil, err
	}
	if err := a.be(http.StatusOK); err != nil {
		return a, nil, err
	}
	items, list := a.object()["connections"].([]any)
	if _, number := a.object()["total_entries"].(float64); !list || !number {
		return a, nil, a.expected("connections and total_entries")
	}
	rows := make([]map[string]any, len(items))
	for i, item := range items {
		rows[i], _ = item.(map[string]any)
	}
	return a, rows, nil
}

// listMost bounds the search for one connection in a list, in pages of a hundred.
const listMost = 50

// find looks for a connection in the list.
func (s *airflowSite) find(ctx context.Context, id string) (answer, error) {
	for pages, offset := 0, 0; pages < listMost; pages++ {
		a, rows, err := s.list(ctx, 100, offset)
		if err != nil {
			return a, err
		}
		for _, row := range rows {
			if textOf(row["connection_id"]) == id {
				a.body = marshal(row)
				return a, nil
			}
		}
		if len(rows) == 0 {
			return a, fmt.Errorf("%s: connection %s is not in it", a.call, id)
		}
		offset += len(rows)
	}
	return answer{}, unknowable(fmt.Sprintf("there are more than %d connections: it was not looked for further", listMost*100))
}

// tidy removes what was made, and gives the names of what it could not.
func (s *airflowSite) tidy(ctx context.Context) []string {
	s.made = slices.DeleteFunc(s.made, func(id string) bool {
		a, err := s.delete(ctx, id)
		return err == nil && (a.status == http.StatusNoContent || a.missingAs(s.api) == nil)
	})
	left := make([]string, len(s.made))
	for i, id := range s.made {
		left[i] = "connection " + id
	}
	return left
}
