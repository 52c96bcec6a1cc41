package broker

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/audit"
	"airflow-identity/catalog"
	"airflow-identity/identity"
)

func TestTheCatalogIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{})
	got := w.send(http.MethodGet, "/v2/catalog", "")
	if got.status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", got.status, got.body)
	}
	services, _ := got.object(t)["services"].([]any)
	if len(services) != 1 || services[0].(object)["name"] != "airflow-identity" || len(services[0].(object)["plans"].([]any)) != 4 {
		t.Errorf("got %s, want one offering with four plans", got.body)
	}
	if strings.Contains(got.body, `"parameters":null`) {
		t.Error("a schema is null")
	}
	if len(w.core.calls) != 0 {
		t.Errorf("the catalog asked the core: %v", w.core.calls)
	}
}

func TestProvision(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{})
	got := w.send(http.MethodPut, instanceURL+"?accepts_incomplete=true",
		provisionBody("parameters", object{"authorities": []string{"orders.write", "acme.dev.read"}, "rotation_period": "2h"}, "vendor_extension", 5))
	said := `{"metadata":{"labels":{"environment":"prod","plan":"prod"},"attributes":{"rotation_period":"2h"}}}`
	if got.status != http.StatusCreated || strings.TrimSpace(got.body) != said {
		t.Fatalf("got %d %s, want 201 %s", got.status, got.body, said)
	}
	plan, _ := testCatalog(t).Plan(prodPlan)
	want := identity.ProvisionRequest{
		Instance: "i1", Plan: prodPlan, Environment: "prod", Org: org, Space: space,
		Names:          identity.Names{Org: "acme", Space: "dev", Instance: "orders"},
		Parameters:     []byte(`{"authorities":["acme.dev.read","orders.write"],"rotation_period":"2h"}`),
		Ceiling:        []identity.Authority{"acme.dev.read", "orders.write"},
		RotationPeriod: 2 * time.Hour,
		Quota:          20,
		ConnectionBase: "acme_orders",
		Origin: identity.Origin{
			Actor:     audit.Actor{Kind: "platform", Platform: "cloudfoundry", User: "u-1"},
			RequestID: "7e57c0de-0000-4000-8000-000000000000",
			Policy:    plan.PolicyHash(),
		},
	}
	if len(w.core.provisioned) != 1 || !reflect.DeepEqual(w.core.provisioned[0], want) {
		t.Errorf("got\n%+v\nwant\n%+v", w.core.provisioned, want)
	}
}

func TestProvisionWithoutAnythingThatIsOptional(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":          provisionBody("context", nil, "maintenance_info", nil),
		"null":             `{"service_id":"` + serviceID + `","plan_id":"` + prodPlan + `","organization_guid":"` + org + `","space_guid":"` + space + `","context":null,"parameters":null,"maintenance_info":null}`,
		"empty parameters": provisionBody("context", nil, "parameters", object{}),
		"empty version":    provisionBody("context", nil, "maintenance_info", object{"version": ""}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &core{})
			got := w.send(http.MethodPut, instanceURL, body, originatingIdentityHeader, "-", requestIdentityHeader, "-")
			if got.status != http.StatusCreated {
				t.Fatalf("got %d %s, want 201", got.status, got.body)
			}
			req := w.core.provisioned[0]
			if string(req.Parameters) != "{}" || req.Ceiling != nil || req.ConnectionBase != "c_11111111_i1" || req.Origin.RequestID == "" ||
				req.Origin.Actor != (audit.Actor{Kind: "platform"}) {
				t.Errorf("got %+v", req)
			}
			if got.header.Get(requestIdentityHeader) != req.Origin.RequestID {
				t.Error("the request id that was given is not told")
			}
		})
	}
}

func TestBind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
	got := w.send(http.MethodPut, bindingURL, bindBody("parameters", object{"authorities": []string{"orders.write", "orders.read.all", "acme.dev.read"}, "connection_id": "acme_special"}))
	if got.status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", got.status, got.body)
	}
	req, grant := w.core.binds[0], w.core.grants[0]
	if req.Instance != "i1" || req.Binding != "b1" || req.Plan != prodPlan || req.Space != space || req.App != "app-1" ||
		string(req.Parameters) != `{"authorities":["acme.dev.read","orders.read.all","orders.write"],"connection_id":"acme_special"}` ||
		req.Connection != "acme_special" || req.AsyncAllowed || req.MaximumPolling != 10*time.Minute || req.Quota != 50 {
		t.Errorf("got %+v", req)
	}
	if !slices.Equal(grant.Authorities, []identity.Authority{"acme.dev.read", "orders.read.all", "orders.write"}) || !grant.Airflow || grant.AppClient || grant.TokenLifetime != 10*time.Minute {
		t.Errorf("got %+v", grant)
	}

	want := `{"credentials":{"environment":"prod","authorities":["acme.dev.read","orders.read.all","orders.write"],"roles":[],` +
		`"issuer":"https://uaa.example.com/oauth/token","token_url":"https://uaa.example.com/oauth/token","jwks_url":"https://uaa.example.com/token_keys",` +
		`"audience":["acme.dev","orders","orders.read"],"zone_id":"uaa",` +
		`"airflow":{"url":"https://airflow.example.com","connection_id":"acme_orders","client_id":"afi-5d3c0000-0000-4000-8000-000000000000"}}}`
	if strings.TrimSpace(got.body) != want {
		t.Errorf("got\n%swant\n%s", got.body, want)
	}
}

func TestNoCredentialIsASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
	for _, got := range []reply{
		w.send(http.MethodPut, bindingURL, bindBody()),
		w.send(http.MethodGet, bindingURL, ""),
	} {
		if strings.Contains(strings.ToLower(got.body), "secret") {
			t.Errorf("the answer speaks of a secret: %s", got.body)
		}
	}
}

func TestABindIsForAnAppOrAKey(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		changes []any
		app     identity.AppGUID
		space   identity.SpaceGUID
	}{
		{"bind_resource only", []any{"app_guid", nil}, "app-1", space},
		{"deprecated app_guid only", []any{"bind_resource", nil}, "app-1", space},
		{"a key", []any{"app_guid", nil, "bind_resource", object{"credential_client_id": "cc"}}, "", space},
		{"a key of a platform that says nothing", []any{"app_guid", nil, "bind_resource", object{}, "context", nil}, "", ""},
		{"space in bind_resource only", []any{"context", object{}}, "app-1", space},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
			got := w.send(http.MethodPut, bindingURL, bindBody(row.changes...))
			if got.status != http.StatusCreated || w.core.binds[0].App != row.app || w.core.binds[0].Space != row.space {
				t.Errorf("got %d %s, %+v, want app %q in space %q", got.status, got.body, w.core.binds, row.app, row.space)
			}
		})
	}
}

func TestIdenticalRequestsAreAnsweredWith200(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound(), existed: true})
	if got := w.send(http.MethodPut, instanceURL, provisionBody()); got.status != http.StatusOK {
		t.Errorf("provision: got %d %s, want 200", got.status, got.body)
	}
	got := w.send(http.MethodPut, bindingURL, bindBody())
	if got.status != http.StatusOK || !strings.Contains(got.body, `"connection_id":"acme_orders"`) {
		t.Errorf("bind: got %d %s, want 200 with the credentials", got.status, got.body)
	}
}

func TestDeletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance()})
	for _, path := range []string{instanceURL, bindingURL} {
		for _, query := range []string{ids, ids + "&accepts_incomplete=true"} {
			got := w.send(http.MethodDelete, path+query, "")
			if got.status != http.StatusOK || strings.TrimSpace(got.body) != "{}" {
				t.Errorf("%s: got %d %s, want 200 {}", path, got.status, got.body)
			}
		}
	}
	if u := w.core.unbinds[0]; u.Instance != "i1" || u.Binding != "b1" || u.Origin.Actor.User != "u-1" {
		t.Errorf("got %+v", u)
	}
	if d := w.core.deprovisioned[0]; d.Instance != "i1" || d.Origin.RequestID == "" {
		t.Errorf("got %+v", d)
	}
}

func TestADeleteOfWhatIsGoneIs410WhateverItNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{err: identity.ErrNotFound})
	for _, path := range []string{instanceURL + ids, bindingURL + ids, bindingURL + "?service_id=x&plan_id=y"} {
		got := w.send(http.MethodDelete, path, "")
		if got.status != http.StatusGone || strings.TrimSpace(got.body) != "{}" {
			t.Errorf("%s: got %d %s, want 410 {}", path, got.status, got.body)
		}
	}
}

func TestGets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
	for _, query := range []string{"", ids} {
		got := w.send(http.MethodGet, instanceURL+query, "")
		want := `{"service_id":"` + serviceID + `","plan_id":"` + prodPlan + `","parameters":{"authorities":["orders.read","orders.write"]},` +
			`"metadata":{"labels":{"environment":"prod","plan":"prod"},"attributes":{"rotation_period":"4h"}}}`
		if got.status != http.StatusOK || strings.TrimSpace(got.body) != want {
			t.Errorf("instance: got %d %s, want %s", got.status, got.body, want)
		}
		got = w.send(http.MethodGet, bindingURL+query, "")
		if got.status != http.StatusOK || !reflect.DeepEqual(got.object(t)["parameters"], object{"authorities": []any{"orders.read"}}) {
			t.Errorf("binding: got %d %s", got.status, got.body)
		}
		credentials, _ := got.object(t)["credentials"].(object)
		if credentials["environment"] != "prod" || credentials["airflow"].(object)["client_id"] != "afi-5d3c0000-0000-4000-8000-000000000000" {
			t.Errorf("got credentials %v", credentials)
		}
	}
}

func TestAnAirflowThatIsNotConfiguredIsToldByItsRow(t *testing.T) {
	t.Parallel()
	bound := ordersBound()
	bound.Airflow.Environment = "elsewhere"
	bound.Binding.Parameters = nil
	w := newWorld(t, &core{instance: ordersInstance(), bound: bound})
	got := w.send(http.MethodGet, bindingURL, "")
	if !strings.Contains(got.body, `"url":"http://airflow.internal:8080"`) || !strings.Contains(got.body, `"parameters":{}`) {
		t.Errorf("got %s", got.body)
	}
}

func TestTheTable(t *testing.T) {
	t.Parallel()

	put, patch, del, get := http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet
	failure := func(code identity.FailureCode) error {
		return &identity.FailedError{Failure: identity.Failure{Code: code, Message: "Airflow of environment prod said no"}}
	}
	rows := []struct {
		name, method, path string
		err                error
		status             int
		word, says         string
	}{
		{"provision: different", put, instanceURL, identity.ErrConflict, 409, "Conflict", "service instance exists with another"},
		{"provision: busy", put, instanceURL, identity.ErrBusy, 422, "ConcurrencyError", "repeat"},
		{"provision: anything", put, instanceURL, errInternal, 500, "InternalError", "request id 7e57c0de"},
		{"bind: no instance", put, bindingURL, identity.ErrNotFound, 404, "InstanceNotFound", "cf create-service"},
		{"bind: different", put, bindingURL, identity.ErrConflict, 409, "Conflict", "binding exists with another"},
		{"bind: busy", put, bindingURL, identity.ErrBusy, 422, "ConcurrencyError", "repeat"},
		{"bind: foreign space", put, bindingURL, identity.ErrForeignSpace, 400, "SpaceForeign", "another space"},
		{"bind: taken", put, bindingURL, &identity.TakenError{Connection: "acme_orders", Message: "another binding holds it; choose another connection_id"}, 400, "ConnectionTaken", `connection id "acme_orders" is taken: another binding holds it`},
		{"bind: taken in Airflow", put, bindingURL, failure(identity.FailedTaken), 400, "ConnectionTaken", "choose another connection_id"},
		{"bind: refused", put, bindingURL, failure(identity.FailedRefused), 400, "Refused", "giving request id 7e57c0de"},
		{"bind: failed late", put, bindingURL, failure(identity.FailedLate), 503, "NotFinished", "try again"},
		{"bind: failed otherwise", put, bindingURL, failure("Unheard"), 500, "InternalError", "request id 7e57c0de"},
		{"bind: late", put, bindingURL, identity.ErrLate, 503, "NotFinished", "is being removed; try again"},
		{"bind: unavailable", put, bindingURL, identity.ErrUnavailable, 503, "Unavailable", "nothing was changed"},
		{"bind: anything", put, bindingURL, errInternal, 500, "InternalError", "request id 7e57c0de"},
		{"unbind: late", del, bindingURL, identity.ErrLate, 503, "NotFinished", "is being removed and this goes on"},
		{"unbind: anything", del, bindingURL, errInternal, 500, "InternalError", "request id 7e57c0de"},
		{"provision: quota", put, instanceURL, &identity.QuotaError{Of: "instances of this plan in this space", Limit: 20}, 400, "QuotaExceeded", "there are 20 instances of this plan in this space already, as many as the plan allows; delete what"},
		{"bind: quota", put, bindingURL, &identity.QuotaError{Of: "bindings of this instance", Limit: 50}, 400, "QuotaExceeded", "50 bindings of this instance"},
		{"bind: pending, though that was not allowed", put, bindingURL, &identity.PendingError{Operation: "bind:1"}, 500, "InternalError", "request id 7e57c0de"},
		{"update: none", patch, instanceURL, identity.ErrNotFound, 404, "InstanceNotFound", "no such service instance"},
		{"update: busy", patch, instanceURL, identity.ErrBusy, 422, "ConcurrencyError", "repeat"},
		{"update: late", patch, instanceURL, identity.ErrLate, 503, "NotFinished", "is being changed and this goes on"},
		{"update: pending, though that was not allowed", patch, instanceURL, &identity.PendingError{Operation: "update:1"}, 500, "InternalError", "request id 7e57c0de"},
		{"update: anything", patch, instanceURL, errInternal, 500, "InternalError", "request id 7e57c0de"},
		{"deprovision: late", del, instanceURL, identity.ErrLate, 503, "NotFinished", "repeat the request until"},
		{"deprovision: anything", del, instanceURL, errInternal, 500, "InternalError", "request id 7e57c0de"},
		{"get instance: none", get, instanceURL, identity.ErrNotFound, 404, "InstanceNotFound", "no such service instance"},
		{"get instance: anything", get, instanceURL, errInternal, 500, "InternalError", "request id 7e57c0de"},
		{"get binding: none", get, bindingURL, identity.ErrNotFound, 404, "BindingNotFound", "no such binding"},
		{"get binding: anything", get, bindingURL, errInternal, 500, "InternalError", "request id 7e57c0de"},
		{"last operation: none", get, instanceURL + "/last_operation", identity.ErrNotFound, 404, "InstanceNotFound", ""},
		{"last binding operation: none", get, bindingURL + "/last_operation", identity.ErrNotFound, 404, "BindingNotFound", ""},
		{"last operation: anything", get, instanceURL + "/last_operation", errInternal, 500, "InternalError", ""},
		{"last binding operation: anything", get, bindingURL + "/last_operation", errInternal, 500, "InternalError", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := &core{err: row.err}
			if row.method == http.MethodGet {
				c = &core{findErr: row.err}
			}
			w := newWorld(t, c)
			body, path := "", row.path
			switch {
			case row.method == http.MethodPut && row.path == instanceURL:
				body = provisionBody()
			case row.method == http.MethodPut:
				body = bindBody()
			case row.method == http.MethodPatch:
				c.instance, body = ordersInstance(), updateBody()
			case row.method == http.MethodDelete:
				path += ids
			}
			got := w.send(row.method, path, body)
			if got.status != row.status || got.word(t) != row.word || !strings.Contains(got.description(t), row.says) || got.description(t) == "" {
				t.Errorf("got %d %s, want %d %s %q", got.status, got.body, row.status, row.word, row.says)
			}
			if strings.Contains(got.body, "very internal") {
				t.Errorf("an internal text is told: %s", got.body)
			}
			if said := strings.Contains(w.log.String(), "very internal"); said != (row.err == errInternal) {
				t.Errorf("the cause in the log: got %v, want %v: %s", said, row.err == errInternal, w.log)
			}
		})
	}
}

func TestEveryLineOfTheTableIsSomeErrorsAnswer(t *testing.T) {
	t.Parallel()

	verbs := []verb{verbProvision, verbUpdate, verbDeprovision, verbGetInstance, verbLastOperation, verbBind, verbUnbind, verbGetBinding, verbLastBindingOperation}
	failure := func(code identity.FailureCode) error {
		return &identity.FailedError{Failure: identity.Failure{Code: code}}
	}
	used := map[int]bool{}
	for _, err := range []error{
		&catalog.ParametersError{}, &catalog.NotAllowedError{}, &identity.TakenError{}, &identity.QuotaError{},
		failure(identity.FailedTaken), failure(identity.FailedRefused), failure(identity.FailedLate),
		identity.ErrNotFound, identity.ErrConflict, identity.ErrBusy, identity.ErrForeignSpace, identity.ErrLate, identity.ErrUnavailable,
	} {
		wrapped := fmt.Errorf("doing it: %w", err)
		for _, v := range verbs {
			i := slices.IndexFunc(meanings, func(m meaning) bool { return m.of(wrapped) && m.concerns(v) })
			if i < 0 {
				t.Errorf("%s: %v has no line", v, err)
				continue
			}
			used[i] = true
			// On a create 410 is no answer, and on a delete nothing else ends it.
			if (meanings[i].status == http.StatusGone) != (err == identity.ErrNotFound && (v == verbDeprovision || v == verbUnbind)) {
				t.Errorf("%s: %v is answered with %d", v, err, meanings[i].status)
			}
		}
	}
	for i := range meanings {
		if !used[i] {
			t.Errorf("line %d of the table is never used", i)
		}
	}
}

func TestGuardrailsAreAnsweredAndAudited(t *testing.T) {
	t.Parallel()

	rows := []struct {
		name, method, path, body string
		rules                    []string
		word                     string
		says                     []string
	}{
		{"provision", http.MethodPut, instanceURL, provisionBody("parameters", object{"authorities": []string{"billing.read", "scim.write"}}),
			[]string{"never-grant", "plan-authorities"}, "NotAllowed", []string{`"scim.write": never granted`, `"billing.read": beyond what plan prod allows here (orders.*, acme.dev.*)`}},
		{"provision: two in one", http.MethodPut, instanceURL, provisionBody("parameters", object{"authorities": []string{"orders.read,uaa.admin"}}),
			[]string{"authority-grammar"}, "ParametersInvalid", []string{`"orders.read,uaa.admin" is not one UAA authority`, "rule authority-grammar"}},
		{"bind", http.MethodPut, bindingURL, bindBody("parameters", object{"authorities": []string{"billing.read"}, "connection_id": "other_x"}),
			[]string{"plan-authorities", "plan-connection-ids"}, "NotAllowed", []string{`"billing.read"`, `"other_x"`, "acme_*"}},
		{"bind: two in one", http.MethodPut, bindingURL, bindBody("parameters", object{"authorities": []string{"orders.read,uaa.admin"}}),
			[]string{"authority-grammar"}, "ParametersInvalid", []string{`"orders.read,uaa.admin"`}},
		{"bind: by the caller's names", http.MethodPut, bindingURL, bindBody("parameters", object{"authorities": []string{"someone-elses-org.someone-elses-name.read"}}),
			[]string{"plan-authorities"}, "NotAllowed", []string{"acme.dev.*"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
			got := w.send(row.method, row.path, row.body)
			if got.status != http.StatusBadRequest || got.word(t) != row.word {
				t.Fatalf("got %d %s, want 400 %s", got.status, got.body, row.word)
			}
			for _, says := range row.says {
				if !strings.Contains(got.description(t), says) {
					t.Errorf("the sentence does not say %q: %s", says, got.description(t))
				}
			}
			if len(w.core.grants) != 0 || len(w.core.provisioned) != 0 {
				t.Error("something was granted")
			}
			if len(w.core.denials) != 1 {
				t.Fatalf("got %d denials, want one", len(w.core.denials))
			}
			d := w.core.denials[0]
			if !slices.Equal(d.Rules, row.rules) || d.Where.Instance != "i1" || d.Where.Plan != prodPlan || d.Where.Environment != "prod" || d.Where.Space != space ||
				d.Origin.Policy == "" || d.Origin.RequestID == "" || d.Action != strings.Split(row.name, ":")[0] || (d.Where.Binding == "b1") != (d.Action == "bind") {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestARefusalStandsEvenIfItCannotBeRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{denyErr: errInternal})
	got := w.send(http.MethodPut, instanceURL, provisionBody("parameters", object{"authorities": []string{"billing.read"}}))
	if got.status != http.StatusBadRequest || got.word(t) != "NotAllowed" {
		t.Errorf("got %d %s, want 400 NotAllowed", got.status, got.body)
	}
	if !strings.Contains(w.log.String(), "a refusal could not be recorded") {
		t.Errorf("the log does not tell: %s", w.log)
	}
}

func TestABindWithNothingToAskForSaysWhatThereIs(t *testing.T) {
	t.Parallel()
	instance := ordersInstance()
	instance.Ceiling = []identity.Authority{}
	w := newWorld(t, &core{instance: instance, bound: ordersBound()})
	got := w.send(http.MethodPut, bindingURL, bindBody())
	if got.status != http.StatusBadRequest || got.word(t) != "ParametersInvalid" || len(w.core.denials) != 0 {
		t.Errorf("got %d %s, %v", got.status, got.body, w.core.denials)
	}
}

// What the specification's own schema says of each answer's fields, as far as
// this broker has them.
func TestAnswersHaveTheFormOfTheSpecification(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound(), progress: identity.Progress{State: identity.Succeeded}})
	fields := map[string][]string{
		"provision":      {"metadata"},
		"bind":           {"credentials"},
		"get instance":   {"metadata", "parameters", "plan_id", "service_id"},
		"get binding":    {"credentials", "parameters"},
		"last operation": {"description", "state"},
		"unbind":         {},
		"update":         {"metadata"},
	}
	for name, got := range map[string]reply{
		"provision":      w.send(http.MethodPut, instanceURL, provisionBody()),
		"bind":           w.send(http.MethodPut, bindingURL, bindBody()),
		"get instance":   w.send(http.MethodGet, instanceURL, ""),
		"get binding":    w.send(http.MethodGet, bindingURL, ""),
		"last operation": w.send(http.MethodGet, instanceURL+"/last_operation", ""),
		"unbind":         w.send(http.MethodDelete, bindingURL+ids, ""),
		"update":         w.send(http.MethodPatch, instanceURL, `{"service_id":"`+serviceID+`"}`),
	} {
		var said []string
		for key := range got.object(t) {
			said = append(said, key)
		}
		slices.Sort(said)
		if !slices.Equal(said, fields[name]) {
			t.Errorf("%s: got fields %v, want %v", name, said, fields[name])
		}
	}
}
