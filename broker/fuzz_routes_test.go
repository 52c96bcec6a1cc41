package broker

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"airflow-identity/catalog"
	"airflow-identity/identity"
)

var (
	oneWord = regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	aMethod = regexp.MustCompile(`^[A-Z]{1,20}$`)
)

// attack sends what may be anything to a broker whose core agrees to everything.
// Whatever it is: no 5xx, always JSON, and a refusal is one word with a sentence
// and has changed nothing.
func attack(t *testing.T, c *catalog.Catalog, method, path, query, body string, headers ...string) {
	t.Helper()
	parsed, err := url.Parse("http://broker" + path)
	if err != nil {
		return // no client could send it
	}
	core := &core{instance: ordersInstance(), bound: clientBound(), held: live(), progress: identity.Progress{State: identity.InProgress}}
	w := &world{t: t, core: core, log: &lockedBuffer{}}
	handler, err := w.handler(c)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = parsed.Path, parsed.RawPath, query
	r.SetBasicAuth("cloud-controller", "first-password")
	r.Header.Set(apiVersionHeader, "2.17")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)

	said := recorder.Body.Bytes()
	if recorder.Code >= 500 || recorder.Code == http.StatusNotModified && len(said) > 0 {
		t.Fatalf("got %d %s", recorder.Code, said)
	}
	if recorder.Code == http.StatusNotModified {
		return
	}
	var answer struct{ Error, Description string }
	if err := json.Unmarshal(said, &answer); err != nil {
		t.Fatalf("got %d with what is not a JSON object: %v: %s", recorder.Code, err, said)
	}
	if recorder.Code < 400 {
		return
	}
	if !oneWord.MatchString(answer.Error) || answer.Description == "" || len(answer.Description) > 8000 {
		t.Fatalf("got %d %s, want one word and one sentence", recorder.Code, said)
	}
	if len(core.provisioned)+len(core.grants)+len(core.revisions)+len(core.unbinds)+len(core.deprovisioned) > 0 {
		t.Fatalf("got %d %s, but the core was asked to %v", recorder.Code, said, core.calls)
	}
}

// parametersToTry are for every route that takes some.
var parametersToTry = []string{
	`null`, `{}`, `[]`, `"x"`, `{"authorities":["orders.read"]}`, `{"authorities":["orders.read,uaa.admin"]}`, `{"authorities":[]}`, `{"authorities":{"a":[1]}}`,
	`{"roles":["space_auditor"]}`, `{"rotation_period":"2h"}`, `{"rotation_period":"999999h"}`, `{"rotation_period":-1e999}`, `{"token_lifetime":"20m"}`,
	`{"airflow":false,"app_client":true,"expires_in":"1h"}`, `{"airflow":false}`, `{"expires_in":"1h"}`, `{"connection_id":"acme_x"}`, `{"connection_id":"a..b"}`, `{"\ud800":0}`,
}

func seedBodies(f *testing.F, body func(...any) string) {
	for _, parameters := range parametersToTry {
		f.Add([]byte(body("parameters", json.RawMessage(strings.Replace(parameters, "-1e999", "-1e300", 1)))))
		f.Add([]byte(strings.TrimSuffix(body("parameters", nil), "}") + `,"parameters":` + parameters + `}`))
	}
	for _, other := range []string{"", "{", "null", "[]", body() + "x", body("plan_id", 5), body("plan_id", devPlan), body("plan_id", oldPlan), body("context", []int{}),
		body("context", object{"space_guid": "\x00"}), body("maintenance_info", object{"version": "1.0.0"}), body("service_id", nil), "{\"service_id\":\"\xff\"}"} {
		f.Add([]byte(other))
	}
}

func FuzzProvision(f *testing.F) {
	seedBodies(f, provisionBody)
	c := testCatalog(f)
	f.Fuzz(func(t *testing.T, body []byte) { attack(t, c, http.MethodPut, instanceURL, "", string(body)) })
}

func FuzzUpdate(f *testing.F) {
	seedBodies(f, updateBody)
	c := testCatalog(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		attack(t, c, http.MethodPatch, instanceURL, "accepts_incomplete=true", string(body))
	})
}

func FuzzBind(f *testing.F) {
	seedBodies(f, bindBody)
	c := testCatalog(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		attack(t, c, http.MethodPut, bindingURL, "accepts_incomplete=true", string(body))
	})
}

func seedQueries(f *testing.F) {
	for _, query := range []string{"", ids[1:], ids[1:] + "&accepts_incomplete=true", "service_id=x&plan_id=y", "plan_id=" + devPlan, "service_id=%zz", "operation=unbind:1", "operation=%00",
		"a;b", "&&&=", "service_id=a&service_id=b&plan_id=", "operation=" + strings.Repeat("x", 10_000), "force=true&" + ids[1:], "%"} {
		f.Add(query)
	}
}

func FuzzDelete(f *testing.F) {
	seedQueries(f)
	c := testCatalog(f)
	f.Fuzz(func(t *testing.T, query string) {
		attack(t, c, http.MethodDelete, instanceURL, query, "")
		attack(t, c, http.MethodDelete, bindingURL, query, "")
	})
}

func FuzzFetch(f *testing.F) {
	seedQueries(f)
	c := testCatalog(f)
	f.Fuzz(func(t *testing.T, query string) {
		attack(t, c, http.MethodGet, instanceURL, query, "")
		attack(t, c, http.MethodGet, bindingURL, query, "")
	})
}

func FuzzLastOperation(f *testing.F) {
	seedQueries(f)
	c := testCatalog(f)
	f.Fuzz(func(t *testing.T, query string) {
		attack(t, c, http.MethodGet, instanceURL+"/last_operation", query, "")
		attack(t, c, http.MethodGet, bindingURL+"/last_operation", query, "")
	})
}

func FuzzCatalog(f *testing.F) {
	for _, header := range []string{"", "*", `"x"`, `W/"x"`, ",,,", `"`, strings.Repeat(`"a",`, 1000)} {
		f.Add(header)
	}
	c := testCatalog(f)
	f.Fuzz(func(t *testing.T, header string) {
		attack(t, c, http.MethodGet, "/v2/catalog", "", "", "If-None-Match", header)
	})
}

func FuzzPaths(f *testing.F) {
	for _, path := range []string{"/", "/v2", "/v2/catalog/", "/v2/service_instances/%2e%2e", "/v2/service_instances/a%2Fb", "/v2/service_instances//service_bindings/b1", "/v2/../v2/catalog",
		instanceURL + "/service_bindings/", "/v2/service_instances/" + strings.Repeat("x", 300), "/%00", "//v2/catalog", bindingURL + "/last_operation/", instanceURL + "/last_operation"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, "PROPFIND", http.MethodOptions} {
			f.Add(method, path)
		}
	}
	c := testCatalog(f)
	f.Fuzz(func(t *testing.T, method, path string) {
		if !aMethod.MatchString(method) || method == http.MethodHead || method == http.MethodConnect {
			return
		}
		attack(t, c, method, path, "", "{}")
	})
}
