package cloudcontroller

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
)

func document(t *testing.T) *Contract {
	t.Helper()
	text, err := os.ReadFile("../testdata/osb-openapi-2.17.yaml")
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewContract(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// said is an exchange that agrees with the contract, to be spoilt.
func said(call Call, status int, body string) Exchange {
	method, path, asked := http.MethodGet, "/v2/service_instances/i", ""
	query := "?service_id=s&plan_id=p"
	if call == CallBind || call == CallUnbind || call == CallFetchBinding || call == CallLastBindingOperation {
		path += "/service_bindings/b"
	}
	switch call {
	case CallCatalog:
		path = "/v2/catalog"
	case CallProvision:
		method, asked = http.MethodPut, `{"service_id":"s","plan_id":"p","organization_guid":"o","space_guid":"s"}`
	case CallBind:
		method, asked = http.MethodPut, `{"service_id":"s","plan_id":"p"}`
	case CallUpdate:
		method, asked = http.MethodPatch, `{"service_id":"s"}`
	case CallUnbind, CallDeprovision:
		method = http.MethodDelete
	case CallLastOperation, CallLastBindingOperation:
		path += "/last_operation"
	}
	r := httptest.NewRequest(method, path+query, nil)
	r.Header.Set(headerVersion, "2.17")
	r.Header.Set(headerRequest, "r")
	if asked != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.SetBasicAuth("u", "p")
	return Exchange{
		Call: call, Request: r, RequestBody: []byte(asked), Status: status, ResponseBody: []byte(body),
		Header: http.Header{"Content-Type": {"application/json"}, http.CanonicalHeaderKey(headerRequest): {"r"}},
	}
}

const fault = `{"error":"SomeWord","description":"what is wrong"}`

func TestContract(t *testing.T) {
	t.Parallel()
	k := document(t)
	spoilt := func(e Exchange, f func(*Exchange)) Exchange {
		f(&e)
		return e
	}
	for _, c := range []struct {
		name    string
		e       Exchange
		finding string // "": it agrees
	}{
		{"provision", said(CallProvision, 201, `{}`), ""},
		{"bind", said(CallBind, 201, `{"credentials":{},"metadata":{"expires_at":"2026-12-24T09:00:00.0Z"}}`), ""},
		{"last operation", said(CallLastOperation, 200, `{"state":"failed","update_repeatable":true}`), ""},
		{"gone", said(CallUnbind, 410, `{}`), ""},
		{"conflict", said(CallProvision, 409, `{}`), ""},
		{"refused", said(CallBind, 400, fault), ""},

		{"an unknown state", said(CallLastOperation, 200, `{"state":"well"}`), "response: "},
		{"no state", said(CallLastOperation, 200, `{}`), "response: "},
		{"an unknown status", said(CallProvision, 299, `{}`), "response: "},
		{"a status of other calls", said(CallProvision, 410, `{}`), "response: "},
		{"a list", said(CallProvision, 201, `[]`), "response: "},
		{"a number for a text", said(CallProvision, 202, `{"operation":7}`), "response: "},
		{"credentials that are a text", said(CallBind, 201, `{"credentials":"x"}`), "response: "},
		{"a catalog without names", said(CallCatalog, 200, `{"services":[{"id":"s"}]}`), "response: "},

		{"no version", spoilt(said(CallCatalog, 200, plain()), func(e *Exchange) { e.Request.Header.Del(headerVersion) }), "request: "},
		{"no login", spoilt(said(CallCatalog, 200, plain()), func(e *Exchange) { e.Request.Header.Del("Authorization") }), "request: "},
		{"a delete without ids", spoilt(said(CallUnbind, 200, `{}`), func(e *Exchange) { e.Request.URL.RawQuery = "" }), "request: "},
		{"a bind without plan", spoilt(said(CallBind, 200, `{"credentials":{}}`), func(e *Exchange) { e.RequestBody = []byte(`{"service_id":"s"}`) }), "request: "},
		{"another path", spoilt(said(CallBind, 200, `{"credentials":{}}`), func(e *Exchange) { e.Request.URL.Path = "/v3" }), "route: "},

		{"an error without words", said(CallBind, 400, `{}`), "errors: "},
		{"an error that is a sentence", said(CallBind, 400, `{"error":"two words","description":"d"}`), "errors: "},
		{"an error that is no JSON", said(CallBind, 500, `<html>`), "errors: "},
		{"text/plain", spoilt(said(CallBind, 400, fault), func(e *Exchange) { e.Header.Set("Content-Type", "text/plain") }), "content type: "},
		{"no echo", spoilt(said(CallBind, 400, fault), func(e *Exchange) { e.Header.Del(headerRequest) }), "request identity: "},
		{"Retry-After in words", spoilt(said(CallLastOperation, 200, `{"state":"in progress"}`), func(e *Exchange) { e.Header.Set("Retry-After", "soon") }), "Retry-After: "},
		{"a date with nanoseconds", said(CallBind, 201, `{"credentials":{},"metadata":{"expires_at":"2026-12-24T09:00:00.123456Z"}}`), "dates: "},
		{"a date of elsewhere", said(CallBind, 201, `{"credentials":{},"metadata":{"expires_at":"2026-12-24T09:00:00.0+01:00"}}`), "dates: "},
		{"a date that never is", said(CallBind, 201, `{"credentials":{},"metadata":{"renew_before":"2026-13-24T09:00:00.0Z"}}`), "dates: "},
		{"a long operation", said(CallProvision, 202, `{"operation":"`+strings.Repeat("x", 10_001)+`"}`), "operation: "},
		{"credentials in advance", said(CallBind, 202, `{"credentials":{}}`), "nothing handed out early: "},
		{"an empty description", said(CallLastOperation, 200, `{"state":"succeeded","description":""}`), "texts that are there say something: "},
		{"usable after a success", said(CallLastOperation, 200, `{"state":"succeeded","instance_usable":true}`), "after a failure: "},
		{"a bind without credentials", said(CallBind, 201, `{}`), "credentials of a binding: "},
		{"a catalog that Cloud Controller refuses", said(CallCatalog, 200, `{"services":[]}`), "catalog: "},
		{"nothing said at all", spoilt(said(CallBind, 0, ``), func(e *Exchange) { e.Err = http.ErrAbortHandler }), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found := k.Check(c.e)
			if c.finding == "" && len(found) > 0 {
				t.Errorf("found %q", found)
			}
			if c.finding != "" && !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, c.finding) }) {
				t.Errorf("found %q, want %q", found, c.finding)
			}
		})
	}
}

// TestGaps: each is a gap of the document indeed, and is not left unchecked.
func TestGaps(t *testing.T) {
	t.Parallel()
	k := document(t)
	for _, g := range gaps {
		calls := g.calls
		if calls == nil {
			calls = []Call{CallCatalog, CallProvision, CallUpdate, CallDeprovision, CallFetchInstance, CallLastOperation, CallBind, CallUnbind, CallFetchBinding, CallLastBindingOperation}
		}
		for _, call := range calls {
			status, fine, bad := g.status, fault, `{}`
			if status == 0 {
				status = http.StatusServiceUnavailable
			}
			if status == http.StatusNotModified {
				fine, bad = "", `{}`
			}
			good := said(call, status, fine)
			if found := k.Check(good); len(found) > 0 {
				t.Errorf("%s, %s: %q", g.name, call, found)
			}
			if found := k.Check(said(call, status, bad)); len(found) == 0 && status != http.StatusConflict {
				t.Errorf("%s, %s: nothing is checked", g.name, call)
			}
			route, _, err := k.router.FindRoute(good.Request)
			if err != nil || route.Operation.Responses.Status(status) != nil {
				t.Errorf("%s, %s: the document has that, or not even the call: %v", g.name, call, err)
			}
		}
	}
}
