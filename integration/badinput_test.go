package integration

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// badRequest is one request that must be refused.
type badRequest struct {
	name    string
	method  string
	path    string
	body    any
	headers []string
	status  int
	word    string // of the error; "" if there is none to demand
	says    string // a part of the sentence that helps
}

func changed(body object, key string, value any) object {
	c := maps.Clone(body)
	if value == nil {
		delete(c, key)
	} else {
		c[key] = value
	}
	return c
}

func (p *platform) badRequests() []badRequest {
	const put, del, get, patch = http.MethodPut, http.MethodDelete, http.MethodGet, http.MethodPatch
	provision, bind := p.provisionBody(nil), p.bindBody("app-1", nil)
	with := func(parameters any) object { return changed(bind, "parameters", parameters) }
	instance, binding := "/v2/service_instances/i9", bindingPath("i1", "b9")
	otherSpace := object{"platform": "cloudfoundry", "space_guid": "space-guid-2", "organization_guid": org}

	return []badRequest{
		{"malformed JSON", put, instance, `{"service_id":`, nil, 400, "", "JSON"},
		{"malformed JSON on bind", put, binding, `{"service_id" "x"}`, nil, 400, "", "JSON"},
		{"trailing garbage", put, instance, `{} {}`, nil, 400, "", ""},
		{"an array", put, instance, `[]`, nil, 400, "", ""},
		{"no body", put, instance, "", nil, 400, "", ""},
		{"a number for service_id", put, instance, changed(provision, "service_id", 7), nil, 400, "", ""},
		{"parameters that are a list", put, instance, changed(provision, "parameters", []int{1}), nil, 400, "", ""},
		{"a body of 2 MB", put, instance, `{"x":"` + strings.Repeat("a", 2<<20) + `"}`, nil, 413, "", ""},
		{"another content type", put, instance, provision, []string{"Content-Type", "text/xml"}, 400, "", "application/json"},
		{"no version header", put, instance, provision, []string{"X-Broker-Api-Version", ""}, 412, "", "X-Broker-API-Version"},
		{"version 1", put, instance, provision, []string{"X-Broker-Api-Version", "1.0"}, 412, "", ""},
		{"version 2.12", put, instance, provision, []string{"X-Broker-Api-Version", "2.12"}, 412, "", "2.13"},
		{"no login", put, instance, provision, []string{"Authorization", ""}, 401, "", ""},
		{"a wrong login", put, instance, provision, []string{"Authorization", "Basic cGxhdGZvcm06d3Jvbmc="}, 401, "", ""},
		{"an originating identity that is not base64", put, instance, provision, []string{"X-Broker-Api-Originating-Identity", "cloudfoundry !!!"}, 400, "", ""},
		{"another platform than the context's", put, instance, provision, []string{"X-Broker-Api-Originating-Identity", "kubernetes eyJ1c2VybmFtZSI6InUifQ=="}, 400, "", ""},
		{"no service_id", put, instance, changed(provision, "service_id", nil), nil, 400, "", "service_id"},
		{"another service_id", put, instance, changed(provision, "service_id", "other"), nil, 400, "", ""},
		{"no plan_id", put, instance, changed(provision, "plan_id", nil), nil, 400, "", "plan_id"},
		{"a foreign plan", put, instance, changed(provision, "plan_id", "other"), nil, 400, "PlanUnknown", ""},
		{"no organization_guid", put, instance, changed(provision, "organization_guid", nil), nil, 400, "", "organization_guid"},
		{"no space_guid", put, instance, changed(provision, "space_guid", nil), nil, 400, "", "space_guid"},
		{"an odd instance id", put, "/v2/service_instances/a%2Fb", provision, nil, 400, "", ""},
		{"an odd binding id", put, "/v2/service_instances/i1/service_bindings/a%20b", bind, nil, 400, "", ""},
		{"an instance id of 300 characters", put, "/v2/service_instances/" + strings.Repeat("a", 300), provision, nil, 400, "", ""},
		{"an unknown parameter", put, instance, changed(provision, "parameters", object{"colour": "blue"}), nil, 400, "ParametersInvalid", "colour"},
		{"a parameter that is not there yet", put, binding, with(object{"audience": "orders"}), nil, 400, "ParametersInvalid", "audience"},
		{"authorities that are a text", put, binding, with(object{"authorities": "orders.read"}), nil, 400, "ParametersInvalid", "authorities"},
		{"authorities with a number", put, binding, with(object{"authorities": []any{1}}), nil, 400, "ParametersInvalid", "authorities"},
		{"the same authority twice", put, binding, with(object{"authorities": []string{"orders.read", "orders.read"}}), nil, 400, "ParametersInvalid", ""},
		{"two authorities in one text", put, binding, with(object{"authorities": []string{"orders.read,uaa.admin"}}), nil, 400, "", "orders.read,uaa.admin"},
		{"a never-granted authority", put, binding, with(object{"authorities": []string{"uaa.admin"}}), nil, 400, "NotAllowed", "never-grant"},
		{"an authority beyond the plan", put, binding, with(object{"authorities": []string{"billing.read"}}), nil, 400, "NotAllowed", "billing.read"},
		{"an authority beyond the instance", put, bindingPath("narrow", "b9"), with(object{"authorities": []string{"orders.write"}}), nil, 400, "NotAllowed", "orders.write"},
		{"an instance beyond the plan", put, instance, changed(provision, "parameters", object{"authorities": []string{"billing.read"}}), nil, 400, "NotAllowed", "billing.read"},
		{"a connection id with a capital", put, binding, with(object{"connection_id": "Acme_orders"}), nil, 400, "ParametersInvalid", "connection_id"},
		{"a reserved connection id", put, binding, with(object{"connection_id": "defaults"}), nil, 400, "ParametersInvalid", ""},
		{"a connection id with ..", put, binding, with(object{"connection_id": "acme_..x"}), nil, 400, "ParametersInvalid", ""},
		{"a connection id that is not allowed", put, binding, with(object{"connection_id": "billing_x"}), nil, 400, "NotAllowed", "acme_"},
		{"a connection id that someone else holds", put, bindingPath("narrow", "b9"), with(object{"connection_id": "acme_orders"}), nil, 400, "ConnectionTaken", "acme_orders"},
		{"another space", put, binding, changed(bind, "context", otherSpace), nil, 400, "", "space"},
		{"another plan than the instance's", put, binding, changed(bind, "plan_id", devPlan), nil, 400, "", "plan"},
		{"an instance that is not there", put, bindingPath("nowhere", "b9"), bind, nil, 404, "", ""},
		{"a different provision", put, "/v2/service_instances/i1", changed(provision, "space_guid", "space-guid-2"), nil, 409, "", ""},
		{"a different bind", put, bindingPath("i1", "b1"), with(object{"connection_id": "orders_x"}), nil, 409, "", ""},
		{"deprovision without ids", del, "/v2/service_instances/i1", nil, nil, 400, "", "service_id"},
		{"deprovision of another plan", del, "/v2/service_instances/i1?service_id=" + offeringID + "&plan_id=" + devPlan, nil, nil, 400, "", ""},
		{"unbind without ids", del, bindingPath("i1", "b1"), nil, nil, 400, "", "service_id"},
		{"deprovision of nothing", del, "/v2/service_instances/nowhere" + ids, nil, nil, 410, "", ""},
		{"unbind of nothing", del, bindingPath("i1", "nothing") + ids, nil, nil, 410, "", ""},
		{"unbind by another instance", del, bindingPath("narrow", "b1") + ids, nil, nil, 410, "", ""},
		{"get of no instance", get, "/v2/service_instances/nowhere", nil, nil, 404, "", ""},
		{"get of no binding", get, bindingPath("i1", "nothing"), nil, nil, 404, "", ""},
		{"get of another instance's binding", get, bindingPath("narrow", "b1"), nil, nil, 404, "", ""},
		{"update of nothing", patch, "/v2/service_instances/nowhere", object{"service_id": offeringID, "parameters": read}, nil, 404, "", ""},
		{"update to a plan of another environment", patch, "/v2/service_instances/i1", object{"service_id": offeringID, "plan_id": devPlan}, nil, 400, "", "environment"},
		{"update to a foreign plan", patch, "/v2/service_instances/i1", object{"service_id": offeringID, "plan_id": "other"}, nil, 400, "PlanUnknown", ""},
		{"update beyond the plan", patch, "/v2/service_instances/i1", object{"service_id": offeringID, "parameters": object{"authorities": []string{"billing.read"}}}, nil, 400, "NotAllowed", "billing.read"},
		{"update to nothing", patch, "/v2/service_instances/i1", object{"service_id": offeringID, "parameters": object{"authorities": []string{}}}, nil, 400, "ParametersInvalid", "authorities"},
		{"update with a bad period", patch, "/v2/service_instances/i1", object{"service_id": offeringID, "parameters": object{"rotation_period": "5s"}}, nil, 400, "", "rotation_period"},
		{"update without service_id", patch, "/v2/service_instances/i1", object{"parameters": read}, nil, 400, "", "service_id"},
		{"a role", put, binding, with(object{"roles": []string{"space_developer"}}), nil, 400, "", "roles"},
		{"a token life beyond the plan's", put, binding, with(object{"token_lifetime": "5h"}), nil, 400, "NotAllowed", "token_lifetime"},
		{"a token life that is none", put, binding, with(object{"token_lifetime": "long"}), nil, 400, "ParametersInvalid", "token_lifetime"},
		{"no connection and no client", put, binding, with(object{"airflow": false}), nil, 400, "ParametersInvalid", "app_client"},
		{"a connection id without a connection", put, binding, with(object{"airflow": false, "app_client": true, "connection_id": "acme_x"}), nil, 400, "ParametersInvalid", "connection_id"},
		{"an end without a client", put, binding, with(object{"expires_in": "1h"}), nil, 400, "ParametersInvalid", "app_client"},
		{"a client for too long", put, binding, with(object{"app_client": true, "expires_in": "9000h"}), nil, 400, "NotAllowed", "expires_in"},
		{"a join that asks for something else", put, binding, with(object{"connection_id": "acme_orders", "authorities": []string{"orders.write"}}), nil, 400, "ConnectionTaken", "orders.write"},
		{"last_operation of nothing", get, bindingPath("i1", "nothing") + "/last_operation", nil, nil, 404, "", ""},
		{"an unknown path", get, "/v2/nothing", nil, nil, 404, "", ""},
		{"an unknown method", http.MethodPost, "/v2/service_instances/i1", provision, nil, 405, "", ""},
		{"an unknown maintenance version", put, instance, changed(provision, "maintenance_info", object{"version": "9.9.9"}), nil, 422, "MaintenanceInfoConflict", ""},
	}
}

// TestBadInput sends what must be refused to a world with one binding in it and
// finds it unchanged.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{dev: true})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.bind("i1", "b1", "app-9", nil), http.StatusCreated, "bind")
	want(t, p.provision("narrow", object{"authorities": []string{"orders.read"}}), http.StatusCreated, "provision")
	before := w.snapshot()
	requests := p.badRequests()
	for _, r := range requests {
		a := p.send(r.method, r.path, r.body, r.headers...)
		if a.err != nil {
			t.Errorf("%s: no answer: %v", r.name, a.err)
			continue
		}
		if a.status != r.status || r.word != "" && a.word() != r.word {
			t.Errorf("%s: got %d %q, want %d %q: %s", r.name, a.status, a.word(), r.status, r.word, a.text)
		}
		if !strings.Contains(a.description(), r.says) {
			t.Errorf("%s: the sentence %q does not say %q", r.name, a.description(), r.says)
		}
		if a.description() == "" && a.status != http.StatusGone {
			t.Errorf("%s: %d has no sentence: %s", r.name, a.status, a.text)
		}
		if after := w.snapshot(); after != before {
			t.Fatalf("%s: something changed:\n%s\nwas\n%s", r.name, after, before)
		}
	}
	t.Logf("%d bad requests", len(requests))
	w.check()
}

// snapshot is everything there is but events: a denial is an event.
func (w *world) snapshot() string {
	w.t.Helper()
	var b strings.Builder
	for _, table := range []string{"instance", "binding", "identity", "connection"} {
		rows, err := w.pool.Query(context.Background(), "SELECT "+table+"::text FROM "+table+" ORDER BY 1")
		if err != nil {
			w.t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintln(&b, table, strings.Join(texts, "\n"))
	}
	for _, name := range slices.Sorted(maps.Keys(w.envs)) {
		env := w.envs[name]
		for _, id := range env.uaa.ClientIDs() {
			client, _ := env.uaa.Client(id)
			fmt.Fprintln(&b, name, client)
		}
		for _, id := range env.airflow.ConnectionIDs() {
			connection, _ := env.airflow.Connection(id)
			fmt.Fprintln(&b, name, connection)
		}
	}
	return b.String()
}
