package cloudcontroller

import (
	"fmt"
	"strings"
	"testing"
)

// TestPush: at once first, and in its own time only if the broker insists; then
// for a minute.
func TestPush(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, c := range []struct {
		name  string
		last  string // what the polls say
		kind  Kind
		polls int
	}{
		{"in time", `{"state":"succeeded"}`, Done, 1},
		{"too late", `{"state":"in progress"}`, OperationFailed, 2},
	} {
		s := newStub(t)
		p := s.platform(t)
		p.ok(p.create("i"))
		s.each(CallBind, func(n int) reply {
			if n == 1 {
				return reply{status: 422, body: `{"error":"AsyncRequired"}`}
			}
			return reply{status: 202, body: `{}`}
		})
		s.on(CallLastBindingOperation, 200, c.last)
		if got := kindOf(p.Push(ctx, "app", "i")); got != c.kind || s.asked(CallLastBindingOperation) != c.polls {
			t.Errorf("%s: got %s after %d polls, want %s after %d", c.name, got, s.asked(CallLastBindingOperation), c.kind, c.polls)
		}
		var binds []Exchange
		for _, e := range p.Exchanges() {
			if e.Call == CallBind {
				binds = append(binds, e)
			}
		}
		if len(binds) != 2 || binds[0].Request.URL.RawQuery != "" || binds[1].Request.URL.RawQuery != "accepts_incomplete=true" || binds[0].Request.URL.Path != binds[1].Request.URL.Path {
			t.Errorf("%s: bound with %d requests", c.name, len(binds))
		}
		p.work()
		if got := p.Mitigations(); got != map[Kind]int{Done: 0, OperationFailed: 1}[c.kind] {
			t.Errorf("%s: %d mitigations", c.name, got)
		}
	}

	s := newStub(t)
	p := s.platform(t)
	p.ok(p.create("i"))
	p.ok(p.Push(ctx, "app", "i"))
	p.ok(p.Push(ctx, "app", "i"))
	if got := s.asked(CallBind); got != 1 {
		t.Errorf("pushing twice binds %d times, want once", got)
	}
}

func TestMultipleBindings(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	s.each(CallBind, func(n int) reply { return reply{status: 201, body: fmt.Sprintf(`{"credentials":{"n":%d}}`, n)} })
	p := s.platform(t, func(c *Config) { c.BindingsPerApp = 3 })
	p.ok(p.create("i"))
	p.ok(p.BindService(ctx, "app", "i", Bind{}))
	p.ok(p.BindService(ctx, "app", "i", Bind{}))
	if got := s.asked(CallBind); got != 1 {
		t.Errorf("binding twice binds %d times, want once", got)
	}
	p.ok(p.BindService(ctx, "app", "i", Bind{Multiple: true}))
	p.ok(p.BindService(ctx, "app", "i", Bind{Multiple: true}))
	if got := kindOf(p.BindService(ctx, "app", "i", Bind{Multiple: true})); got != Refused || s.asked(CallBind) != 3 {
		t.Errorf("a fourth: %s after %d binds", got, s.asked(CallBind))
	}
	if got := p.VCAPServices("app")["i"]["n"]; got != 3.0 {
		t.Errorf("the app is given binding %v, want the newest", got)
	}
	p.ok(p.CleanupOutdatedServiceBindings(ctx, "app", 2))
	if got := len(p.Bindings("app", "i")); got != 2 || s.asked(CallUnbind) != 1 {
		t.Errorf("keeping 2: %d are left", got)
	}
	p.ok(p.CleanupOutdatedServiceBindings(ctx, "app", 1))
	if got := p.Bindings("app", "i"); len(got) != 1 || got[0].Credentials["n"] != 3.0 {
		t.Errorf("keeping 1: %d are left, want the newest", len(got))
	}
	p.ok(p.UnbindService(ctx, "app", "i"))
	p.ok(p.UnbindService(ctx, "app", "i"))
	if got := s.asked(CallUnbind); got != 3 {
		t.Errorf("unbound %d times, want 3", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	p := s.platform(t)
	p.ok(p.create("i"))
	p.ok(p.CreateServiceKey(ctx, "i", "k", map[string]any{"a": 1}))
	if got := kindOf(p.CreateServiceKey(ctx, "i", "k", nil)); got != Refused {
		t.Errorf("the same name: got %s", got)
	}
	if key, err := p.ServiceKey("i", "k"); err != nil || key["n"] != 1.0 {
		t.Errorf("cf service-key: %v %v", key, err)
	}
	last := p.Exchanges()[len(p.Exchanges())-1]
	if !strings.Contains(string(last.RequestBody), `"bind_resource":{}`) || strings.Contains(string(last.RequestBody), "app_guid") {
		t.Errorf("a key is bound with %s", last.RequestBody)
	}
	p.ok(p.DeleteServiceKey(ctx, "i", "k"))
	p.ok(p.DeleteServiceKey(ctx, "i", "k"))
	if _, err := p.ServiceKey("i", "k"); err == nil {
		t.Error("a deleted key is shown")
	}
	s.on(CallBind, 400, `{}`)
	_ = p.CreateServiceKey(ctx, "i", "k", nil)
	s.on(CallBind, 201, `{}`)
	p.ok(p.CreateServiceKey(ctx, "i", "k", nil))
	p.work()
	if p.Mitigations() != 1 {
		t.Errorf("the failed key of the same name: %d mitigations, want 1", p.Mitigations())
	}
}

// TestUpgrade: a new version is known after update-service-broker alone.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	offer := func(version string) {
		s.catalog = fmt.Sprintf(`{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plan_updateable":true,"plans":[
			{"id":"p1","name":"small","description":"d","maintenance_info":{"version":"%s"}},{"id":"p2","name":"large","description":"d","plan_updateable":false}]}]}`, version)
	}
	offer("1.0.0")
	p := s.platform(t)
	p.ok(p.create("i"))
	offer("1.1.0")
	if got := kindOf(p.UpgradeService(ctx, "i")); got != Refused || s.asked(CallUpdate) != 0 {
		t.Errorf("before update-service-broker: %s", got)
	}
	p.ok(p.UpdateServiceBroker(ctx))
	s.on(CallUpdate, 422, `{"error":"MaintenanceInfoConflict"}`)
	if got := kindOf(p.UpgradeService(ctx, "i")); got != MaintenanceInfoConflict {
		t.Errorf("a conflict: got %s", got)
	}
	s.on(CallUpdate, 200, `{}`)
	p.ok(p.UpgradeService(ctx, "i"))
	last := p.Exchanges()[len(p.Exchanges())-1]
	if !strings.Contains(string(last.RequestBody), `"maintenance_info":{"version":"1.1.0"}`) || !strings.Contains(string(last.RequestBody), `"previous_values":{"maintenance_info":{"version":"1.0.0"}`) {
		t.Errorf("an upgrade says %s", last.RequestBody)
	}
	if got := kindOf(p.UpgradeService(ctx, "i")); got != Refused {
		t.Errorf("upgraded already: got %s", got)
	}
	p.ok(p.UpdateService(ctx, "i", "large", nil))
	if got := kindOf(p.UpdateService(ctx, "i", "small", nil)); got != Refused {
		t.Errorf("a plan that cannot be left: got %s", got)
	}
}

// TestPlansGo: a plan that is used stays, and nothing new is made of it.
func TestPlansGo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	p := s.platform(t)
	p.ok(p.create("i"))
	s.catalog = `{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plans":[{"id":"p3","name":"huge","description":"d"}]}]}`
	p.ok(p.UpdateServiceBroker(ctx))
	if got := p.Marketplace()["svc"]; len(got) != 1 || got[0] != "huge" {
		t.Errorf("cf marketplace: %q", got)
	}
	if got := kindOf(p.create("j")); got != Refused {
		t.Errorf("a plan that went: got %s", got)
	}
	if got := kindOf(p.UpdateService(ctx, "i", "", map[string]any{"a": 1})); got != Refused {
		t.Errorf("parameters of a plan that went: got %s", got)
	}
	p.ok(p.BindService(ctx, "app", "i", Bind{}))
	s.catalog = `{"services":[{"id":"s2","name":"other","description":"d","bindable":true,"plans":[{"id":"p4","name":"tiny","description":"d"}]}]}`
	p.ok(p.UpdateServiceBroker(ctx))
	p.ok(p.DeleteService(ctx, "i"))
	if p.shown("i") != "" {
		t.Errorf("an instance of an offering that went: %q", p.shown("i"))
	}
}

// TestOneThingAtATime: Cloud Controller's own refusals.
func TestOneThingAtATime(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	s.on(CallUpdate, 202, `{}`)
	s.on(CallLastOperation, 200, `{"state":"in progress"}`)
	p := s.platform(t)
	p.ok(p.create("i"))
	if got := kindOf(p.create("i")); got != Refused {
		t.Errorf("a name that is taken: got %s", got)
	}
	p.ok(p.UpdateService(ctx, "i", "", map[string]any{"a": 1}))
	for what, err := range map[string]error{
		"update": p.UpdateService(ctx, "i", "large", nil), "rename": p.RenameService(ctx, "i", "j"), "bind": p.BindService(ctx, "app", "i", Bind{}),
		"key": p.CreateServiceKey(ctx, "i", "k", nil), "delete": p.DeleteService(ctx, "i"),
	} {
		if got := kindOf(err); got != Refused {
			t.Errorf("%s during an update: got %s", what, got)
		}
	}
	if got := len(p.Exchanges()); got != 4 { // catalog, provision, update, its first poll
		t.Errorf("the broker was asked %d times, want 4", got)
	}
	s.on(CallLastOperation, 200, `{"state":"succeeded"}`)
	p.work()
	if i, _ := p.Service("i"); i.Parameters["a"] != 1 {
		t.Errorf("after the update: %v", i.Parameters)
	}
	p.PurgeServiceInstance("i")
	if p.shown("i") != "" || s.asked(CallDeprovision) != 0 {
		t.Error("cf purge-service-instance: left, or told")
	}
}

// TestDeleteOvertakesCreate: a delete of what is still being made is sent, and the
// polls of the create end.
func TestDeleteOvertakesCreate(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	s.on(CallProvision, 202, `{}`)
	s.on(CallLastOperation, 200, `{"state":"in progress"}`)
	p := s.platform(t)
	p.ok(p.create("i"))
	p.ok(p.DeleteService(ctx, "i"))
	polls := s.asked(CallLastOperation)
	p.work()
	if p.shown("i") != "" || s.asked(CallLastOperation) != polls || p.Mitigations() != 0 {
		t.Errorf("%q, %d polls more, %d mitigations", p.shown("i"), s.asked(CallLastOperation)-polls, p.Mitigations())
	}
}
