package integration

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

var updateCalls = []remoteCall{
	{name: "own token", system: "uaa", call: "POST /oauth/token", match: ofTheBroker, probe: "POST /oauth/token", probeMatch: ofTheBroker},
	{name: "update client", system: "uaa", call: "PUT /oauth/clients/restricted/", probe: "PUT /oauth/clients/restricted/"},
	{name: "login", system: "airflow", call: "POST /auth/token", probe: "POST /auth/token"},
	{name: "read marker", system: "airflow", call: "GET /api/v2/connections/", probe: "GET /api/v2/connections/"},
	{name: "patch connection", system: "airflow", call: "PATCH /api/v2/connections/", probe: "PATCH /api/v2/connections/"},
}

// makeCalls are bindCalls that change something.
var makeCalls = []remoteCall{bindCalls[2], bindCalls[4]}

// scenario is a story in which one remote call goes wrong. prepare is told by a
// first broker, act by a second that has no tokens yet; whatever act's answers
// are, the world must be whole afterwards and empty once all is deprovisioned.
type scenario struct {
	name    string
	calls   []remoteCall
	options options
	prepare func(t *testing.T, w *world, p *platform)
	act     func(t *testing.T, w *world, p *platform)
}

var read = object{"authorities": []string{"orders.read"}}

var scenarios = []scenario{
	{
		name: "update narrows", calls: updateCalls,
		prepare: func(t *testing.T, _ *world, p *platform) {
			want(t, p.provision("i1", object{"authorities": []string{"orders.read", "orders.write"}}), http.StatusCreated, "provision")
			want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
			want(t, p.bind("i1", "b2", "app-2", object{"authorities": []string{"orders.write"}}), http.StatusCreated, "bind")
		},
		act: func(t *testing.T, _ *world, p *platform) {
			a := p.update("i1", object{"parameters": read})
			want(t, a, http.StatusOK, "update")
			// It is carried through, and a bind afterwards sees the new ceiling.
			want(t, p.bind("i1", "b3", "app-3", nil), http.StatusCreated, "bind after the update")
		},
	},
	{
		name: "rename", calls: updateCalls[2:],
		prepare: bindOne,
		act: func(t *testing.T, _ *world, p *platform) {
			a := p.update("i1", object{"context": object{"platform": "cloudfoundry", "instance_name": "orders-renamed"}})
			want(t, a, http.StatusOK, "rename")
		},
	},
	{
		name: "join under way", calls: makeCalls,
		prepare: func(t *testing.T, _ *world, p *platform) {
			want(t, p.provision("i1", nil), http.StatusCreated, "provision")
		},
		act: func(t *testing.T, _ *world, p *platform) {
			_, answers := atOnce(2, func(i int) answer { return p.bind("i1", fmt.Sprintf("b%d", i), "app-1", nil) })
			if answers[0].status == http.StatusCreated && answers[1].status == http.StatusCreated && connectionOf(answers[0]) != connectionOf(answers[1]) {
				t.Errorf("one app, two connections: %s and %s", answers[0].text, answers[1].text)
			}
		},
	},
	{
		name: "the last one out", calls: unbindCalls,
		prepare: func(t *testing.T, _ *world, p *platform) {
			bindOne(t, nil, p)
			want(t, p.bind("i1", "b2", "app-1", nil), http.StatusCreated, "the same app once more")
			want(t, p.bind("i1", "b3", "app-2", object{"connection_id": "acme_orders"}), http.StatusCreated, "another app that names the connection")
		},
		act: func(t *testing.T, w *world, p *platform) {
			for i, binding := range []string{"b2", "b1", "b3"} {
				want(t, p.unbind("i1", binding), http.StatusOK, "unbind")
				if there := len(w.prod().airflow.ConnectionIDs()) == 1; i < 2 && !there {
					t.Error("the connection went before the last one out")
				}
			}
		},
	},
	{
		name: "app client", calls: []remoteCall{bindCalls[1], bindCalls[2]},
		prepare: func(t *testing.T, _ *world, p *platform) {
			want(t, p.provision("i1", nil), http.StatusCreated, "provision")
		},
		act: func(t *testing.T, _ *world, p *platform) {
			a := p.bind("i1", "b1", "", object{"airflow": false, "app_client": true, "expires_in": "1h"})
			if a.status == http.StatusCreated {
				tellsTheSameAgain(t, p, a)
			}
		},
	},
	{
		name: "both identities", calls: makeCalls,
		prepare: func(t *testing.T, _ *world, p *platform) {
			want(t, p.provision("i1", nil), http.StatusCreated, "provision")
		},
		act: func(t *testing.T, _ *world, p *platform) {
			p.bind("i1", "b1", "app-1", object{"app_client": true})
		},
	},
	{
		name: "an app client ends", calls: []remoteCall{unbindCalls[0], unbindCalls[1]},
		prepare: func(t *testing.T, _ *world, p *platform) {
			want(t, p.provision("i1", nil), http.StatusCreated, "provision")
			want(t, p.bind("i1", "b1", "app-1", object{"app_client": true, "expires_in": "1h"}), http.StatusCreated, "bind")
		},
		act: func(t *testing.T, w *world, p *platform) {
			w.advance(time.Hour)
			gone := eventually(settleWithin, func() bool { return len(w.prod().uaa.ClientIDs()) == 2 })
			if !gone {
				t.Errorf("clients after expires_at: %q, want the broker's own and the connection's", w.prod().uaa.ClientIDs())
			}
			a := p.get("i1", "b1")
			credentials, _ := a.body["credentials"].(map[string]any)
			if _, has := credentials["client_secret"]; has || credentials["expired"] != true {
				t.Errorf("an ended app client is told as %s", a.text)
			}
		},
	},
	{
		name: "async bind", calls: makeCalls, options: options{budget: 700 * time.Millisecond},
		prepare: func(t *testing.T, _ *world, p *platform) {
			want(t, p.provision("i1", nil), http.StatusCreated, "provision")
		},
		act: func(t *testing.T, _ *world, p *platform) {
			a := p.bind("i1", "b1", "app-1", nil)
			if a.status == http.StatusAccepted {
				if _, has := a.body["credentials"]; has {
					t.Errorf("there are credentials in a 202: %s", a.text)
				}
				p.pollToTheEnd(t, "i1", "b1", a)
			}
		},
	},
	{
		name: "async removal", calls: unbindCalls[1:], options: options{budget: 700 * time.Millisecond},
		prepare: bindOne,
		act: func(t *testing.T, _ *world, p *platform) {
			a := p.deprovision("i1")
			if a.status == http.StatusAccepted {
				p.pollToTheEnd(t, "i1", "", a)
			}
		},
	},
}

func bindOne(t *testing.T, _ *world, p *platform) {
	t.Helper()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
}

// tellsTheSameAgain compares what a repeated PUT and a GET tell with the first answer.
func tellsTheSameAgain(t *testing.T, p *platform, first answer) {
	t.Helper()
	again := p.bind("i1", "b1", "", object{"airflow": false, "app_client": true, "expires_in": "1h"})
	told := p.get("i1", "b1")
	for what, a := range map[string]answer{"the same bind": again, "get": told} {
		if a.status != http.StatusOK || fmt.Sprint(a.body["credentials"]) != fmt.Sprint(first.body["credentials"]) {
			t.Errorf("%s: got %d %s, want the credentials of %s", what, a.status, a.text, first.text)
		}
	}
}

// pollToTheEnd polls until an operation has ended, and tells how.
func (p *platform) pollToTheEnd(t *testing.T, instance, binding string, of answer) string {
	t.Helper()
	state := ""
	ended := eventually(settleWithin, func() bool {
		a := p.poll(instance, binding, of)
		if a.status != http.StatusOK {
			t.Errorf("last_operation: got %d %s, want 200", a.status, a.text)
			return true
		}
		state, _ = a.body["state"].(string)
		if a.description() == "" || state == "in progress" && a.header.Get("Retry-After") == "" {
			t.Errorf("last_operation has no description, or no Retry-After: %s", a.text)
		}
		return state != "in progress"
	})
	if !ended {
		t.Error("the operation did not end")
	}
	return state
}

// TestScenariosThatGoWrong puts every harm on every remote call of updates, joins,
// the last one out, app clients and their end, and of what goes on behind a 202.
func TestScenariosThatGoWrong(t *testing.T) {
	t.Parallel()
	var cells atomic.Int32
	t.Run("cells", func(t *testing.T) {
		for _, s := range scenarios {
			for _, c := range s.calls {
				for _, h := range harms[:5] { // a gateway's answers are as good as lost ones
					t.Run(fmt.Sprintf("%s/%s/%s", s.name, c.name, h.name), func(t *testing.T) {
						t.Parallel()
						cells.Add(1)
						w := newWorld(t, s.options)
						first := newWorldFirst(t, w)
						s.prepare(t, w, first.platform)
						p := w.broker()
						first.stop()
						h.add(c, w.prod().faults(c.system), w.options.timeout)
						s.act(t, w, p.platform)
						w.check()
						if a := p.deprovision("i1"); a.status == http.StatusAccepted {
							p.pollToTheEnd(t, "i1", "", a)
						} else if a.status != http.StatusOK && a.status != http.StatusGone {
							t.Errorf("deprovision: got %d %s", a.status, a.text)
						}
						w.check()
						w.nothingLeft()
						w.harmed(c)
					})
				}
			}
		}
	})
	t.Logf("cells: %d", cells.Load())
}

// newWorldFirst is the broker that prepares: with a budget of its own, since what
// it does is not what is tested.
func newWorldFirst(t *testing.T, w *world) *process {
	t.Helper()
	budget := w.options.budget
	w.options.budget = 8 * time.Second
	defer func() { w.options.budget = budget }()
	return w.broker()
}
