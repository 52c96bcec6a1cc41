package broker

import (
	"net/http"
	"strings"
	"testing"

	"airflow-identity/identity"
)

func TestWhatGoesOnIsAnsweredWith202(t *testing.T) {
	t.Parallel()

	operation := func(verb string) identity.Operation { return identity.Operation(verb + ":0d9e") }
	rows := []struct {
		verb, method, path, body string
		oldest                   string // version that may have it so
		allowed                  func(*core) bool
	}{
		{"bind", http.MethodPut, bindingURL, bindBody(), "2.14", func(c *core) bool { return c.binds[0].AsyncAllowed }},
		{"unbind", http.MethodDelete, bindingURL + ids, "", "2.14", func(c *core) bool { return c.unbinds[0].AsyncAllowed }},
		{"update", http.MethodPatch, instanceURL, updateBody("parameters", object{"rotation_period": "2h"}), "2.13", func(c *core) bool { return c.updates[0].AsyncAllowed }},
		{"deprovision", http.MethodDelete, instanceURL + ids, "", "2.13", func(c *core) bool { return c.deprovisioned[0].AsyncAllowed }},
	}
	for _, row := range rows {
		for _, version := range []string{"2.13", "2.14", "2.15", "2.16", "2.17"} {
			for _, accepts := range []string{"", "accepts_incomplete=true", "accepts_incomplete=false", "accepts_incomplete=maybe"} {
				t.Run(row.verb+" "+version+" "+accepts, func(t *testing.T) {
					t.Parallel()
					c := &core{instance: ordersInstance(), err: &identity.PendingError{Operation: operation(row.verb)}}
					w := newWorld(t, c)
					path := row.path + "?" + accepts
					if strings.Contains(row.path, "?") {
						path = row.path + "&" + accepts
					}
					got := w.send(row.method, path, row.body, apiVersionHeader, version)
					want := accepts == "accepts_incomplete=true" && version >= row.oldest
					if row.allowed(c) != want {
						t.Errorf("the core was told that 202 is allowed: %v, want %v", !want, want)
					}
					if !want {
						if got.status != http.StatusInternalServerError {
							t.Errorf("got %d %s for what nobody allowed", got.status, got.body)
						}
						return
					}
					if got.status != http.StatusAccepted || strings.TrimSpace(got.body) != `{"operation":"`+string(operation(row.verb))+`"}` {
						t.Errorf("got %d %s, want 202 with the operation and nothing else", got.status, got.body)
					}
					if again := w.send(row.method, path, row.body, apiVersionHeader, version); again.body != got.body || again.status != got.status {
						t.Errorf("the same request again: got %d %s", again.status, again.body)
					}
					if strings.Contains(w.log.String(), `"level":"ERROR"`) {
						t.Errorf("what goes on is logged as an error: %s", w.log)
					}
				})
			}
		}
	}
}

func TestProvisionIsNeverAsynchronous(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{})
	if got := w.send(http.MethodPut, instanceURL+"?accepts_incomplete=true", provisionBody()); got.status != http.StatusCreated {
		t.Errorf("got %d %s, want 201", got.status, got.body)
	}
}

func TestLastOperations(t *testing.T) {
	t.Parallel()

	rows := []struct {
		name     string
		progress identity.Progress
		err      error
		query    string

		status int
		body   string
		retry  string
	}{
		{"under way", identity.Progress{State: identity.InProgress, Description: "being made"}, nil, ids + "&operation=bind:1",
			200, `{"state":"in progress","description":"being made"}`, "10"},
		{"done", identity.Progress{State: identity.Succeeded, Description: "the identity is there"}, nil, ids + "&operation=bind:1",
			200, `{"state":"succeeded","description":"the identity is there"}`, ""},
		{"failed", identity.Progress{State: identity.Failed, Description: "it was not finished in time"}, nil, ids + "&operation=bind:1",
			200, `{"state":"failed","description":"it was not finished in time"}`, ""},
		{"nothing to say", identity.Progress{State: identity.InProgress}, nil, ids, 200, `{"state":"in progress","description":"in progress"}`, "10"},
		{"no ids, no operation", identity.Progress{State: identity.Succeeded, Description: "done"}, nil, "", 200, `{"state":"succeeded","description":"done"}`, ""},
		{"an operation of the platform's own", identity.Progress{State: identity.Succeeded, Description: "done"}, nil, "?operation=" + strings.Repeat("x", 10_000),
			200, `{"state":"succeeded","description":"done"}`, ""},
		{"the plan of before an update", identity.Progress{State: identity.InProgress, Description: "being changed"}, nil, "?service_id=" + serviceID + "&plan_id=" + smallPlan + "&operation=update:1:2",
			200, `{"state":"in progress","description":"being changed"}`, "10"},
		{"a plan that was never there", identity.Progress{State: identity.Succeeded, Description: "done"}, nil, "?service_id=x&plan_id=y", 200, `{"state":"succeeded","description":"done"}`, ""},
		{"unknown", identity.Progress{}, identity.ErrNotFound, ids, 404, "", ""},
		{"unknown, of a create", identity.Progress{}, identity.ErrNotFound, "?operation=bind:1", 404, "", ""},
		{"unknown, of a change", identity.Progress{}, identity.ErrNotFound, "?operation=update:1:2", 404, "", ""},
		{"forgotten, of an unbind", identity.Progress{}, identity.ErrNotFound, "?operation=unbind:1", 410, "{}", ""},
		{"forgotten, of a deprovision", identity.Progress{}, identity.ErrNotFound, "?operation=deprovision:1", 410, "{}", ""},
		{"not known just now", identity.Progress{}, errInternal, "?operation=deprovision:1", 500, "", ""},
	}
	for _, row := range rows {
		for _, path := range []string{instanceURL, bindingURL} {
			t.Run(row.name+" "+path, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, &core{progress: row.progress, findErr: row.err})
				got := w.send(http.MethodGet, path+"/last_operation"+row.query, "")
				if got.status != row.status || row.body != "" && strings.TrimSpace(got.body) != row.body || got.header.Get("Retry-After") != row.retry {
					t.Errorf("got %d %s, Retry-After %q, want %d %s, %q", got.status, got.body, got.header.Get("Retry-After"), row.status, row.body, row.retry)
				}
				if row.body == "" && got.description(t) == "" {
					t.Errorf("nothing is said: %s", got.body)
				}
			})
		}
	}
}

func TestTheOperationIsReadBackAsItWasTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{progress: identity.Progress{State: identity.Succeeded}})
	for _, path := range []string{instanceURL, bindingURL} {
		w.send(http.MethodGet, path+"/last_operation?operation=update%3A0d9e%3A3", "")
	}
	for _, op := range w.core.polled {
		if op != "update:0d9e:3" {
			t.Errorf("got %q", op)
		}
	}
}

func TestABindingIsNotPolledBefore214(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{progress: identity.Progress{State: identity.Succeeded}})
	if got := w.send(http.MethodGet, bindingURL+"/last_operation", "", apiVersionHeader, "2.13"); got.status != http.StatusPreconditionFailed {
		t.Errorf("got %d %s, want 412", got.status, got.body)
	}
	if got := w.send(http.MethodGet, instanceURL+"/last_operation", "", apiVersionHeader, "2.13"); got.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
}
