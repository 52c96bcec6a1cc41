package broker

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"airflow-identity/catalog"
	"airflow-identity/identity"
)

func TestACatalogThatIsKnownIsNotSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{})
	first := w.send(http.MethodGet, "/v2/catalog", "")
	tag := first.header.Get("ETag")
	if first.status != http.StatusOK || len(tag) < 10 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		t.Fatalf("got %d, ETag %q, want 200 with a strong tag", first.status, tag)
	}

	for known, is := range map[string]bool{
		tag: true, "W/" + tag: true, `"other", ` + tag: true, "*": true, `"a","b",W/` + tag: true,
		`"other"`: false, "": false, tag[1 : len(tag)-1]: false, ",,": false, `W/"other"`: false, "w/" + tag: false, "\"": false,
	} {
		got := w.send(http.MethodGet, "/v2/catalog", "", "If-None-Match", known)
		want := http.StatusOK
		if is {
			want = http.StatusNotModified
		}
		if got.status != want || (got.body == "") != is || got.header.Get("ETag") != tag || got.header.Get(requestIdentityHeader) == "" {
			t.Errorf("If-None-Match %s: got %d with %d bytes, want %d", known, got.status, len(got.body), want)
		}
	}
	if got := w.send(http.MethodGet, "/v2/catalog", "", "If-None-Match", tag, "Authorization", "-"); got.status != http.StatusUnauthorized {
		t.Errorf("without a login: got %d, want 401", got.status)
	}
	if got := w.send(http.MethodGet, instanceURL, "", "If-None-Match", "*"); got.status != http.StatusNotFound || got.header.Get("ETag") != "" {
		t.Errorf("an instance has a tag: got %d, %q", got.status, got.header.Get("ETag"))
	}
}

func TestTheTagFollowsTheCatalog(t *testing.T) {
	t.Parallel()
	tag := func(description string) string {
		t.Helper()
		c, err := catalog.New(catalog.Offering{ID: serviceID}, []catalog.Plan{{ID: prodPlan, Name: "prod", Environment: "prod", Description: description}})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, &core{})
		handler, err := w.handler(c)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/v2/catalog", nil)
		r.SetBasicAuth("cloud-controller", "first-password")
		r.Header.Set(apiVersionHeader, "2.15")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		return recorder.Header().Get("ETag")
	}
	if a, again, b := tag("one"), tag("one"), tag("another"); a == "" || a != again || a == b {
		t.Errorf("got %q, %q and %q, want the tag to be the same for the same catalog alone", a, again, b)
	}
}

func TestTheCatalogOffersUpdates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{})
	service := w.send(http.MethodGet, "/v2/catalog", "").object(t)["services"].([]any)[0].(object)
	if service["plan_updateable"] != true || service["allow_context_updates"] != true || service["instances_retrievable"] != true || service["bindings_retrievable"] != true {
		t.Errorf("got %v", service)
	}
	for _, p := range service["plans"].([]any) {
		if plan := p.(object); plan["maximum_polling_duration"] != 600.0 || plan["plan_updateable"] != true {
			t.Errorf("got %v of plan %v", plan["maximum_polling_duration"], plan["name"])
		}
	}
}

// Of a plan that gives nothing new, or less than it did, a request that is
// repeated is still the one that was answered before.
func TestARepeatedProvisionIsTheSameWhateverThePolicyIsNow(t *testing.T) {
	t.Parallel()

	body := func(changes ...any) string {
		return provisionBody(append([]any{"plan_id", oldPlan, "parameters", object{"rotation_period": "2h"}}, changes...)...)
	}
	rows := []struct {
		name   string
		body   string
		change func(*identity.Instance)
		status int
	}{
		{"the very same", body(), func(*identity.Instance) {}, 200},
		{"another name in the context", body("context", object{"instance_name": "renamed"}), func(*identity.Instance) {}, 200},
		{"other parameters", body("parameters", object{"rotation_period": "3h"}), func(*identity.Instance) {}, 400},
		{"no parameters", body("parameters", nil), func(*identity.Instance) {}, 400},
		{"another space", body("space_guid", "another"), func(*identity.Instance) {}, 400},
		{"another org", body("organization_guid", "another"), func(*identity.Instance) {}, 400},
		{"another plan there", body(), func(i *identity.Instance) { i.Plan = prodPlan }, 400},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			instance := ordersInstance()
			instance.Plan, instance.Parameters = oldPlan, []byte(`{"rotation_period":"2h"}`)
			row.change(instance)
			w := newWorld(t, &core{instance: instance})
			got := w.send(http.MethodPut, instanceURL, row.body)
			if got.status != row.status || len(w.core.provisioned) != 0 {
				t.Errorf("got %d %s, %v, want %d", got.status, got.body, w.core.provisioned, row.status)
			}
			if (len(w.core.denials) == 0) != (row.status == 200) {
				t.Errorf("got denials %v", w.core.denials)
			}
		})
	}
}

func TestARepeatedProvisionThatCannotBeComparedIsNotRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{findErr: errInternal})
	got := w.send(http.MethodPut, instanceURL, provisionBody("plan_id", oldPlan))
	if got.status != http.StatusInternalServerError || len(w.core.denials) != 0 {
		t.Errorf("got %d %s, %v, want 500: a 400 would make the platform forget what may be there", got.status, got.body, w.core.denials)
	}
}

func TestARetiredPlanGivesNothingNewAndKeepsWhatThereIs(t *testing.T) {
	t.Parallel()
	instance := ordersInstance()
	instance.Plan = oldPlan
	bound := ordersBound()
	bound.Instance = *instance
	w := newWorld(t, &core{instance: instance, bound: bound})
	query := "?service_id=" + serviceID + "&plan_id=" + oldPlan

	for name, got := range map[string]reply{
		"provision": w.send(http.MethodPut, "/v2/service_instances/i2", provisionBody("plan_id", oldPlan)),
		"bind":      w.send(http.MethodPut, bindingURL, bindBody("plan_id", oldPlan)),
	} {
		if got.status != http.StatusBadRequest || got.word(t) != "NotAllowed" {
			t.Errorf("%s: got %d %s, want 400 NotAllowed", name, got.status, got.body)
		}
	}
	for name, got := range map[string]reply{
		"get instance": w.send(http.MethodGet, instanceURL+query, ""),
		"get binding":  w.send(http.MethodGet, bindingURL+query, ""),
		"update":       w.send(http.MethodPatch, instanceURL, updateBody("plan_id", oldPlan, "parameters", object{"authorities": []string{"orders.read"}})),
		"unbind":       w.send(http.MethodDelete, bindingURL+query, ""),
		"deprovision":  w.send(http.MethodDelete, instanceURL+query, ""),
	} {
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", name, got.status, got.body)
		}
	}
}

func TestADeleteIsNotHeldUpByThePlanThatItNames(t *testing.T) {
	t.Parallel()
	for plan, status := range map[string]int{prodPlan: 200, smallPlan: 200, oldPlan: 200, "left-the-catalog": 200, devPlan: 400} {
		w := newWorld(t, &core{instance: ordersInstance()})
		for _, path := range []string{instanceURL, bindingURL} {
			if got := w.send(http.MethodDelete, path+"?service_id="+serviceID+"&plan_id="+plan, ""); got.status != status {
				t.Errorf("%s of plan %s: got %d %s, want %d", path, plan, got.status, got.body, status)
			}
		}
	}
}
