package broker

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

func live() []identity.Held {
	return []identity.Held{
		{Identity: "asked", Kind: identity.AirflowIdentity, Asked: []identity.Authority{"orders.read", "orders.write"}, Granted: []identity.Authority{"orders.read", "orders.write"}},
		{Identity: "silent", Kind: identity.AppIdentity, Granted: []identity.Authority{"orders.read", "orders.write"}},
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()

	had := `{"authorities":["orders.read","orders.write"]}`
	both := []identity.Authority{"orders.read", "orders.write"}
	rows := []struct {
		name    string
		changes []any

		plan       identity.PlanID
		parameters string
		period     time.Duration
		lists      map[identity.ID][]identity.Authority
		says       string // the metadata's
	}{
		{"nothing", nil, prodPlan, had, 0, map[identity.ID][]identity.Authority{"asked": both, "silent": both}, `"plan":"prod"},"attributes":{"rotation_period":"4h"}`},
		{"nothing, as Cloud Controller says it", []any{"plan_id", prodPlan, "parameters", object{}}, prodPlan, had, 0, map[identity.ID][]identity.Authority{"asked": both, "silent": both}, `"rotation_period":"4h"`},
		{"null for all", []any{"parameters", nil, "context", nil, "previous_values", nil, "maintenance_info", nil}, prodPlan, had, 0, map[identity.ID][]identity.Authority{"asked": both, "silent": both}, `"plan":"prod"`},
		{"a period", []any{"parameters", object{"rotation_period": "6h"}}, prodPlan, `{"authorities":["orders.read","orders.write"],"rotation_period":"6h"}`, 6 * time.Hour,
			map[identity.ID][]identity.Authority{"asked": both, "silent": both}, `"rotation_period":"6h"`},
		{"a narrower list", []any{"parameters", object{"authorities": []string{"orders.read"}}}, prodPlan, `{"authorities":["orders.read"]}`, 0,
			map[identity.ID][]identity.Authority{"asked": {"orders.read"}, "silent": {"orders.read"}}, `"plan":"prod"`},
		{"another plan", []any{"plan_id", smallPlan, "parameters", object{"authorities": []string{"orders.read"}}}, smallPlan, `{"authorities":["orders.read"]}`, 0,
			map[identity.ID][]identity.Authority{"asked": {"orders.read"}, "silent": {"orders.read"}}, `"plan":"small"},"attributes":{"rotation_period":"2h"}`},
		{"previous values that are wrong", []any{"previous_values", object{"plan_id": "never-heard-of"}}, prodPlan, had, 0, map[identity.ID][]identity.Authority{"asked": both, "silent": both}, `"plan":"prod"`},
		{"an empty maintenance_info", []any{"maintenance_info", object{}}, prodPlan, had, 0, map[identity.ID][]identity.Authority{"asked": both, "silent": both}, `"plan":"prod"`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			instance := ordersInstance()
			instance.Ceiling = both
			w := newWorld(t, &core{instance: instance, held: live()})
			got := w.send(http.MethodPatch, instanceURL, updateBody(row.changes...))
			if got.status != http.StatusOK || !strings.Contains(got.body, row.says) {
				t.Fatalf("got %d %s, want 200 with %s", got.status, got.body, row.says)
			}
			revision := w.core.revisions[0]
			if revision.Plan != row.plan || string(revision.Parameters) != row.parameters || revision.RotationPeriod != row.period || !reflect.DeepEqual(revision.Lists, row.lists) {
				t.Errorf("got %+v", revision)
			}
			plan, _ := testCatalog(t).Plan(row.plan)
			req := w.core.updates[0]
			if req.Instance != "i1" || req.AsyncAllowed || req.Origin.Actor.User != "u-1" || req.Origin.RequestID == "" || req.Origin.Policy != plan.PolicyHash() {
				t.Errorf("got %+v", req)
			}
		})
	}
}

func TestARenameReachesTheCore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance()})
	got := w.send(http.MethodPatch, instanceURL, updateBody("plan_id", prodPlan, "parameters", object{}, "context", object{"platform": "cloudfoundry", "instance_name": "renamed"}))
	if got.status != http.StatusOK || w.core.updates[0].Names != (identity.Names{Instance: "renamed"}) {
		t.Errorf("got %d %s, %+v, want the new name alone", got.status, got.body, w.core.updates)
	}
}

func TestAnUpdateIsJudgedByTheNamesThatItTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance()})
	body := func(authority string) string {
		return updateBody("context", object{"space_name": "renamed"}, "parameters", object{"authorities": []string{authority}})
	}
	if got := w.send(http.MethodPatch, instanceURL, body("acme.renamed.read")); got.status != http.StatusOK {
		t.Errorf("got %d %s, want the name of now, and the org's as it was", got.status, got.body)
	}
	if got := w.send(http.MethodPatch, instanceURL, body("acme.dev.read")); got.status != http.StatusBadRequest {
		t.Errorf("got %d %s, want the name of before to be nothing", got.status, got.body)
	}
}

func TestAnUpdateThatLostARaceIsRepeated(t *testing.T) {
	t.Parallel()
	b := &broker{catalog: testCatalog(t), engine: &raced{core{instance: ordersInstance()}}}
	_, err := b.update(t.Context(), "i1", domain.UpdateDetails{ServiceID: serviceID}, false)
	if err != identity.ErrBusy {
		t.Errorf("got %v, want %v", err, identity.ErrBusy)
	}
}

// raced is a core whose instance gets another plan between two looks at it.
type raced struct{ core }

func (r *raced) FindInstance(context.Context, identity.InstanceGUID) (identity.Instance, error) {
	found := *r.instance
	r.instance.Plan = smallPlan
	return found, nil
}

func TestAPlanThatLeftTheCatalogMustBeNamedAnew(t *testing.T) {
	t.Parallel()
	instance := ordersInstance()
	instance.Plan = "left"
	w := newWorld(t, &core{instance: instance})
	if got := w.send(http.MethodPatch, instanceURL, updateBody()); got.status != http.StatusBadRequest || got.word(t) != "PlanUnknown" {
		t.Errorf("got %d %s, want 400 PlanUnknown", got.status, got.body)
	}
	if got := w.send(http.MethodPatch, instanceURL, updateBody("plan_id", smallPlan)); got.status != http.StatusOK {
		t.Errorf("got %d %s, want it to be moved", got.status, got.body)
	}
	if got := w.send(http.MethodGet, instanceURL, ""); got.status != http.StatusOK || strings.Contains(got.body, "metadata") {
		t.Errorf("got %d %s, want it without metadata", got.status, got.body)
	}
}

// What the row refuses: nothing is granted, changed or lost, and the sentence
// names the mend.
func TestRequestsThatTheRowRefuses(t *testing.T) {
	t.Parallel()

	const put, patch = http.MethodPut, http.MethodPatch
	bind := func(parameters object) string { return bindBody("parameters", parameters) }
	update := func(parameters object) string { return updateBody("parameters", parameters) }
	rows := []struct {
		name, method, body string
		word, says         string
		rules              []string
	}{
		{"bind: nobody gets that", put, bind(object{"authorities": []string{"uaa.admin"}}), "NotAllowed", "never granted", []string{"never-grant"}},
		{"bind: beyond the instance", put, bind(object{"authorities": []string{"orders.list"}}), "NotAllowed", "beyond what this instance may hold (orders.read, orders.write)", []string{"instance-authorities"}},
		{"bind: beyond instance and plan", put, bind(object{"authorities": []string{"billing.read"}}), "NotAllowed", "beyond what plan prod allows here", []string{"instance-authorities", "plan-authorities"}},
		{"bind: a role", put, bind(object{"roles": []string{"space_auditor"}}), "NotAllowed", "leave roles out", []string{"plan-roles"}},
		{"bind: two roles", put, bind(object{"roles": []string{"space_developer", "space_auditor"}}), "NotAllowed", "no Cloud Controller is configured", []string{"plan-roles"}},
		{"bind: a long token", put, bind(object{"token_lifetime": "31m"}), "NotAllowed", "token_lifetime 31m: plan prod allows at most 30m", []string{"plan-token-lifetime"}},
		{"bind: a very long token", put, bind(object{"token_lifetime": "720h"}), "NotAllowed", "at most 30m", []string{"plan-token-lifetime"}},
		{"bind: a long client", put, bind(object{"app_client": true, "expires_in": "720h0m1s"}), "NotAllowed", "expires_in 720h0m1s: plan prod allows at most 720h", []string{"plan-app-client"}},
		{"bind: a connection of somebody else's", put, bind(object{"connection_id": "other_orders"}), "NotAllowed", "acme_*", []string{"plan-connection-ids"}},
		{"bind: all of it", put, bind(object{"authorities": []string{"billing.read"}, "roles": []string{"space_auditor"}, "token_lifetime": "1h", "connection_id": "other_orders", "app_client": true, "expires_in": "1000h"}),
			"NotAllowed", "acme_*", []string{"instance-authorities", "plan-authorities", "plan-roles", "plan-token-lifetime", "plan-app-client", "plan-connection-ids"}},
		{"bind: another plan of the environment", put, bindBody("plan_id", smallPlan), "PlanUnknown", "this instance has", nil},
		{"bind: a plan of another environment", put, bindBody("plan_id", devPlan), "PlanUnknown", "this instance has", nil},

		{"update: a list beyond the plan", patch, update(object{"authorities": []string{"billing.read"}}), "NotAllowed", `"billing.read": beyond what plan prod allows here (orders.*, acme.dev.*)`, []string{"plan-authorities"}},
		{"update: nobody gets that", patch, update(object{"authorities": []string{"clients.write"}}), "NotAllowed", "never granted", []string{"never-grant"}},
		{"update: a short period", patch, update(object{"rotation_period": "1m"}), "NotAllowed", "rotation_period 1m: plan prod allows 1h to 24h", []string{"plan-rotation-period"}},
		{"update: a long period", patch, update(object{"rotation_period": "25h"}), "NotAllowed", "allows 1h to 24h", []string{"plan-rotation-period"}},
		{"update: a role", patch, update(object{"roles": []string{"space_manager"}}), "NotAllowed", "leave roles out", []string{"plan-roles"}},
		{"update: all of it", patch, update(object{"authorities": []string{"billing.read", "uaa.admin"}, "rotation_period": "1s", "roles": []string{"space_manager"}}),
			"NotAllowed", "1h to 24h", []string{"never-grant", "plan-authorities", "plan-rotation-period", "plan-roles"}},
		{"update: another environment", patch, updateBody("plan_id", devPlan), "NotAllowed", "stays in environment prod for good", []string{"plan-environment"}},
		{"update: another environment, and more", patch, updateBody("plan_id", devPlan, "parameters", object{"rotation_period": "1s"}), "NotAllowed", "create another instance there", []string{"plan-environment"}},
		{"update: a retired plan", patch, updateBody("plan_id", oldPlan), "NotAllowed", "plan old is retired", []string{"plan-retired"}},
		{"update: a plan that gives less than is held", patch, updateBody("plan_id", smallPlan), "NotAllowed", `"orders.write": beyond what plan small allows here (orders.read); this instance, or a binding of it, holds that`, []string{"plan-authorities"}},
		{"update: a plan that gives less than is asked", patch, updateBody("plan_id", smallPlan, "parameters", object{"authorities": []string{"orders.write"}}), "NotAllowed", `"orders.write"`, []string{"plan-authorities"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			instance := ordersInstance()
			instance.Ceiling = []identity.Authority{"orders.read", "orders.write"}
			w := newWorld(t, &core{instance: instance, bound: clientBound(), held: live()})
			path := bindingURL
			if row.method == patch {
				path = instanceURL
			}
			got := w.send(row.method, path, row.body)
			if got.status != http.StatusBadRequest || got.word(t) != row.word || !strings.Contains(got.description(t), row.says) {
				t.Errorf("got %d %s, want 400 %s %q", got.status, got.body, row.word, row.says)
			}
			if len(w.core.grants)+len(w.core.revisions) != 0 {
				t.Errorf("something was granted: %v, %v", w.core.grants, w.core.revisions)
			}
			var rules []string
			if len(w.core.denials) > 0 {
				d := w.core.denials[0]
				rules = d.Rules
				if d.Where.Org != org || d.Where.Space != space || d.Where.Instance != "i1" || d.Where.Environment == "" || d.Origin.Policy == "" || d.Action != strings.Split(row.name, ":")[0] {
					t.Errorf("got denial %+v", d)
				}
			}
			if !slices.Equal(rules, row.rules) {
				t.Errorf("got rules %v, want %v", rules, row.rules)
			}
		})
	}
}
