package cloudcontroller

import (
	"fmt"
	"testing"
	"time"
)

// TestReadings is the table of what Cloud Controller makes of each answer, line by
// line, through the commands that people type.
func TestReadings(t *testing.T) {
	t.Parallel()
	const (
		yes = true
		no  = false
	)
	rows := []struct {
		call      Call
		status    int
		body      string
		kind      Kind
		mitigated bool
		shown     string // by cf service, of the instance or the binding; "" means gone
	}{
		{CallProvision, 200, `{}`, Done, no, "create succeeded"},
		{CallProvision, 201, `{"dashboard_url":null}`, Done, no, "create succeeded"},
		{CallProvision, 202, `{}`, Done, no, "create succeeded"}, // the first poll is at once
		{CallProvision, 200, `[]`, ResponseMalformed, no, "create failed"},
		{CallProvision, 200, `<html>`, ResponseMalformed, no, "create failed"},
		{CallProvision, 201, `<html>`, ResponseMalformed, yes, "create failed"},
		{CallProvision, 201, `{"dashboard_url":7}`, ResponseMalformed, yes, "create failed"},
		{CallProvision, 202, `{"operation":7}`, ResponseMalformed, yes, "create failed"},
		{CallProvision, 203, `{}`, BadResponse, yes, "create failed"},
		{CallProvision, 204, ``, BadResponse, yes, "create failed"},
		{CallProvision, 400, `{"description":"typo"}`, RequestRejected, no, "create failed"},
		{CallProvision, 401, `{}`, AuthenticationFailed, no, "create failed"},
		{CallProvision, 403, `{}`, RequestRejected, no, "create failed"},
		{CallProvision, 404, `{}`, RequestRejected, no, "create failed"},
		{CallProvision, 408, `{}`, APITimeout, no, "create failed"},
		{CallProvision, 409, `{}`, BrokerConflict, no, "create failed"},
		{CallProvision, 410, `{}`, BadResponse, yes, "create failed"},
		{CallProvision, 412, `{}`, RequestRejected, no, "create failed"},
		{CallProvision, 413, `{}`, RequestRejected, no, "create failed"},
		{CallProvision, 422, `{"error":"AsyncRequired"}`, AsyncRequired, no, "create failed"},
		{CallProvision, 422, `{"error":"ConcurrencyError"}`, ConcurrencyError, no, "create failed"},
		{CallProvision, 422, `{"error":"MaintenanceInfoConflict"}`, MaintenanceInfoConflict, no, "create failed"},
		{CallProvision, 422, `{"error":"RequiresApp"}`, BadResponse, yes, "create failed"},
		{CallProvision, 422, `{"error":"ParametersInvalid"}`, BadResponse, yes, "create failed"},
		{CallProvision, 422, `not JSON`, BadResponse, yes, "create failed"},
		{CallProvision, 429, `{}`, RequestRejected, no, "create failed"},
		{CallProvision, 500, `{}`, BadResponse, yes, "create failed"},
		{CallProvision, 503, `<html>`, BadResponse, yes, "create failed"},
		{CallProvision, hang, ``, HTTPClientTimeout, yes, "create failed"},
		{CallProvision, cut, ``, HTTPRequestError, no, "create failed"},

		{CallBind, 200, `{"credentials":{}}`, Done, no, "create succeeded"},
		{CallBind, 201, `{}`, Done, no, "create succeeded"},
		{CallBind, 202, `{}`, Done, no, "create succeeded"},
		{CallBind, 200, `{"credentials":"text"}`, ResponseMalformed, no, "create failed"},
		{CallBind, 201, `{"credentials":["list"]}`, ResponseMalformed, yes, "create failed"},
		{CallBind, 202, `[]`, ResponseMalformed, yes, "create failed"},
		{CallBind, 400, `{}`, RequestRejected, no, "create failed"},
		{CallBind, 404, `{}`, RequestRejected, no, "create failed"},
		{CallBind, 408, `{}`, APITimeout, no, "create failed"},
		{CallBind, 409, `{}`, BrokerConflict, no, "create failed"},
		{CallBind, 410, `{}`, BadResponse, yes, "create failed"},
		{CallBind, 422, `{"error":"RequiresApp"}`, AppRequired, no, "create failed"},
		{CallBind, 422, `{"error":"AsyncRequired"}`, AsyncRequired, no, "create failed"},
		{CallBind, 422, `{"error":"ConcurrencyError"}`, ConcurrencyError, no, "create failed"},
		{CallBind, 422, `{"error":"MaintenanceInfoConflict"}`, BadResponse, yes, "create failed"},
		{CallBind, 422, `{"error":"NotAllowed"}`, BadResponse, yes, "create failed"},
		{CallBind, 502, `{}`, BadResponse, yes, "create failed"},
		{CallBind, hang, ``, HTTPClientTimeout, yes, "create failed"},
		{CallBind, cut, ``, HTTPRequestError, no, "create failed"},

		{CallUnbind, 200, `{}`, Done, no, ""},
		{CallUnbind, 200, ``, ResponseMalformed, no, "delete failed"},
		{CallUnbind, 201, `{}`, BadResponse, no, "delete failed"},
		{CallUnbind, 202, `{}`, Done, no, ""},
		{CallUnbind, 204, ``, BadResponse, no, "delete failed"},
		{CallUnbind, 404, `{}`, RequestRejected, no, "delete failed"},
		{CallUnbind, 410, ``, Done, no, ""},
		{CallUnbind, 422, `{"error":"ConcurrencyError"}`, ConcurrencyError, no, "create succeeded"},
		{CallUnbind, 422, `{"error":"AsyncRequired"}`, AsyncRequired, no, "delete failed"},
		{CallUnbind, 422, `{}`, BadResponse, no, "delete failed"},
		{CallUnbind, 500, `{}`, BadResponse, no, "delete failed"},
		{CallUnbind, hang, ``, HTTPClientTimeout, no, "delete failed"},

		{CallDeprovision, 200, `{}`, Done, no, ""},
		{CallDeprovision, 201, `{}`, BadResponse, no, "delete failed"},
		{CallDeprovision, 202, `{}`, Done, no, ""},
		{CallDeprovision, 204, ``, BadResponse, no, "delete failed"},
		{CallDeprovision, 400, `{}`, RequestRejected, no, "delete failed"},
		{CallDeprovision, 404, `{}`, RequestRejected, no, "delete failed"},
		{CallDeprovision, 410, `{}`, Done, no, ""},
		{CallDeprovision, 422, `{"error":"ConcurrencyError"}`, ConcurrencyError, no, "delete failed"},
		{CallDeprovision, 500, `{}`, BadResponse, no, "delete failed"},
		{CallDeprovision, hang, ``, HTTPClientTimeout, no, "delete failed"},

		{CallUpdate, 200, `{}`, Done, no, "update succeeded"},
		{CallUpdate, 201, `{}`, BadResponse, no, "update failed"},
		{CallUpdate, 202, `{}`, Done, no, "update succeeded"},
		{CallUpdate, 200, `[]`, ResponseMalformed, no, "update failed"},
		{CallUpdate, 400, `{}`, RequestRejected, no, "update failed"},
		{CallUpdate, 409, `{}`, BadResponse, no, "update failed"},
		{CallUpdate, 410, `{}`, BadResponse, no, "update failed"},
		{CallUpdate, 422, `{"error":"AsyncRequired"}`, AsyncRequired, no, "update failed"},
		{CallUpdate, 422, `{"error":"MaintenanceInfoConflict"}`, MaintenanceInfoConflict, no, "update failed"},
		{CallUpdate, 422, `{"error":"ConcurrencyError"}`, RequestRejected, no, "update failed"},
		{CallUpdate, 500, `{}`, BadResponse, no, "update failed"},
		{CallUpdate, hang, ``, HTTPClientTimeout, no, "update failed"},

		{CallFetchInstance, 200, `{"parameters":{}}`, Done, no, "create succeeded"},
		{CallFetchInstance, 200, `{"parameters":[]}`, ResponseMalformed, no, "create succeeded"},
		{CallFetchInstance, 200, `{"plan_id":7}`, ResponseMalformed, no, "create succeeded"},
		{CallFetchInstance, 404, `{}`, RequestRejected, no, "create succeeded"},
		{CallFetchInstance, 410, `{}`, BadResponse, no, "create succeeded"},
		{CallFetchInstance, 422, `{"error":"ConcurrencyError"}`, BadResponse, no, "create succeeded"},
		{CallFetchBinding, 200, `{"credentials":"text"}`, ResponseMalformed, no, "create succeeded"},
		{CallFetchBinding, 200, `{"metadata":7}`, Done, no, "create succeeded"},
		{CallFetchBinding, 404, `{}`, RequestRejected, no, "create succeeded"},
	}
	for _, row := range rows {
		t.Run(fmt.Sprintf("%s/%d %s", row.call, row.status, row.body), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			s := newStub(t)
			p := s.platform(t)
			say := func() {
				s.on(row.call, row.status, row.body)
				if row.status == hang {
					// For the call that hangs alone: what comes before it may take its time.
					p.SetTimeout(500 * time.Millisecond)
				}
			}
			if row.call != CallProvision {
				p.ok(p.create("i"))
			}
			ofBinding := row.call == CallBind || row.call == CallUnbind || row.call == CallFetchBinding
			if ofBinding && row.call != CallBind {
				p.ok(p.BindService(ctx, "app", "i", Bind{}))
			}
			say()
			var err error
			switch row.call {
			case CallProvision:
				err = p.create("i")
			case CallBind:
				err = p.BindService(ctx, "app", "i", Bind{})
			case CallUnbind:
				err = p.deleteBinding(ctx, p.bindings[0])
			case CallDeprovision:
				err = p.DeleteService(ctx, "i")
			case CallUpdate:
				err = p.UpdateService(ctx, "i", "large", nil)
			case CallFetchInstance:
				_, err = p.ServiceParameters(ctx, "i")
			case CallFetchBinding:
				_, err = p.BindingParameters(ctx, p.bindings[0].GUID)
			}
			if got := kindOf(err); got != row.kind {
				t.Errorf("taken for %s, want %s", got, row.kind)
			}
			if got := p.Mitigations() == 1; got != row.mitigated {
				t.Errorf("mitigated: %t, want %t", got, row.mitigated)
			}
			shown := p.shown("i")
			if ofBinding {
				shown = ""
				for _, b := range p.Bindings("app", "i") {
					shown = b.LastOperation.String()
				}
			}
			if shown != row.shown {
				t.Errorf("cf shows %q, want %q", shown, row.shown)
			}
			if i, found := p.Service("i"); row.call == CallUpdate && found && (i.Plan.Name == "large") != (row.kind == Done) {
				t.Errorf("the plan is %s", i.Plan.Name)
			}
			if row.call == CallUnbind && row.kind != Done {
				// And with it the app.
				if err := p.DeleteApp(ctx, "app"); err == nil {
					t.Error("an app whose binding cannot be deleted was deleted")
				}
			}
		})
	}
}

// TestUnreachable: a connection that nobody accepts leaves nothing behind, so
// nothing is mitigated.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := s.platform(t)
	s.Close()
	if got := kindOf(p.create("i")); got != APIUnreachable || p.Mitigations() != 0 {
		t.Errorf("got %s and %d mitigations, want %s and none", got, p.Mitigations(), APIUnreachable)
	}
}
