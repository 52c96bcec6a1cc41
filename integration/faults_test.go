package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/integration/standin"
)

// remoteCall is one call of bind or unbind, as its stand-in sees it.
type remoteCall struct {
	name   string
	system string // uaa or airflow
	call   string
	match  func(*http.Request, []byte) bool
	// probe is the call that asks whether this one acted; after it a request
	// that is held may act.
	probe      string
	probeMatch func(*http.Request, []byte) bool
}

func ofTheBroker(_ *http.Request, body []byte) bool {
	return bytes.Contains(body, []byte("client_id=airflow-identity"))
}

func ofAnIdentity(r *http.Request, body []byte) bool { return !ofTheBroker(r, body) }

func exactly(path string) func(*http.Request, []byte) bool {
	return func(r *http.Request, _ []byte) bool { return strings.TrimSuffix(r.URL.Path, "/") == path }
}

var bindCalls = []remoteCall{
	{name: "discovery", system: "uaa", call: "GET /.well-known/openid-configuration", probe: "GET /.well-known/openid-configuration"},
	{name: "own token", system: "uaa", call: "POST /oauth/token", match: ofTheBroker, probe: "POST /oauth/token", probeMatch: ofTheBroker},
	{name: "create client", system: "uaa", call: "POST /oauth/clients/restricted", probe: "POST /oauth/token", probeMatch: ofAnIdentity},
	{name: "login", system: "airflow", call: "POST /auth/token", probe: "POST /auth/token"},
	{name: "post connection", system: "airflow", call: "POST /api/v2/connections", match: exactly("/api/v2/connections"), probe: "GET /api/v2/connections/"},
}

var unbindCalls = []remoteCall{
	{name: "own token", system: "uaa", call: "POST /oauth/token", match: ofTheBroker, probe: "POST /oauth/token", probeMatch: ofTheBroker},
	{name: "delete client", system: "uaa", call: "DELETE /oauth/clients/", probe: "DELETE /oauth/clients/"},
	{name: "login", system: "airflow", call: "POST /auth/token", probe: "POST /auth/token"},
	{name: "read marker", system: "airflow", call: "GET /api/v2/connections/", probe: "GET /api/v2/connections/"},
	{name: "delete connection", system: "airflow", call: "DELETE /api/v2/connections/", probe: "DELETE /api/v2/connections/"},
}

// harm is one way in which a call goes wrong. It adds its rules to a stand-in.
type harm struct {
	name string
	add  func(c remoteCall, faults *standin.Faults, timeout time.Duration)
}

var harms = []harm{
	{"refused", func(c remoteCall, f *standin.Faults, _ time.Duration) {
		body := `{"error":"insufficient_scope","error_description":"Insufficient scope for this resource"}`
		if c.system == "airflow" {
			body = `{"detail":"Forbidden"}`
		}
		f.Add(c.rule(standin.Fault{Kind: standin.Answer, Status: http.StatusForbidden, Body: body, Header: http.Header{"Content-Type": {"application/json"}}}))
	}},
	{"lost before it acted", func(c remoteCall, f *standin.Faults, _ time.Duration) {
		f.Add(c.rule(standin.Fault{Kind: standin.LoseBefore, Times: c.times()}))
	}},
	{"acted but reply lost", func(c remoteCall, f *standin.Faults, _ time.Duration) {
		f.Add(c.rule(standin.Fault{Kind: standin.LoseAfter, Times: c.times()}))
	}},
	{"slow past the time-out", func(c remoteCall, f *standin.Faults, timeout time.Duration) {
		f.Add(c.rule(standin.Fault{Kind: standin.Slow, Delay: timeout * 18 / 10}))
	}},
	{"acts after our probe", func(c remoteCall, f *standin.Faults, timeout time.Duration) {
		release := make(chan struct{})
		f.Add(c.rule(standin.Fault{Kind: standin.Slow, Release: release}))
		// Whatever asks next, once it is answered, lets the held one act.
		f.Add(standin.Fault{Call: c.probe, Match: c.probeMatch, Kind: standin.Notice, After: sync.OnceFunc(func() { close(release) })})
	}},
	{"a gateway's 502", func(c remoteCall, f *standin.Faults, _ time.Duration) {
		f.Add(c.rule(standin.Fault{Kind: standin.Answer, Status: http.StatusBadGateway, Body: "<html>502 Bad Gateway</html>", Header: http.Header{"Content-Type": {"text/html"}}}))
	}},
	{"a router that knows no such app", func(c remoteCall, f *standin.Faults, _ time.Duration) {
		f.Add(c.rule(standin.Fault{Kind: standin.Answer, Status: http.StatusNotFound, Body: "404 Not Found: Requested route does not exist.", Header: http.Header{"X-Cf-Routererror": {"unknown_route"}}}))
	}},
}

// times is more than one for a read on a connection that was used before: Go's
// client repeats those by itself.
func (c remoteCall) times() int {
	if c.name == "read marker" {
		return 3
	}
	return 1
}

func (c remoteCall) rule(fault standin.Fault) standin.Fault {
	fault.Call, fault.Match = c.call, c.match
	return fault
}

func (e *environment) faults(system string) *standin.Faults {
	if system == "uaa" {
		return e.uaa.Faults
	}
	return e.airflow.Faults
}

// TestRemoteCallsThatGoWrong puts every harm on every remote call of bind and of
// unbind, lets people go on as they would (unbind at once, bind again under the
// same name), and has the checker go over the whole world.
func TestRemoteCallsThatGoWrong(t *testing.T) {
	t.Parallel()
	var cells atomic.Int32
	t.Run("cells", func(t *testing.T) {
		for _, c := range bindCalls {
			for _, h := range harms {
				t.Run(fmt.Sprintf("bind/%s/%s", c.name, h.name), func(t *testing.T) {
					t.Parallel()
					cells.Add(1)
					harmedBind(t, c, h)
				})
			}
		}
		for _, c := range unbindCalls {
			for _, h := range harms {
				t.Run(fmt.Sprintf("unbind/%s/%s", c.name, h.name), func(t *testing.T) {
					t.Parallel()
					cells.Add(1)
					harmedUnbind(t, c, h)
				})
			}
		}
	})
	t.Logf("cells: %d (%d remote calls × %d harms)", cells.Load(), len(bindCalls)+len(unbindCalls), len(harms))
}

func harmedBind(t *testing.T, c remoteCall, h harm) {
	w := newWorld(t, options{})
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	h.add(c, w.prod().faults(c.system), w.options.timeout)

	made := p.bind("i1", "b1", "app-1", object{"authorities": []string{"orders.read"}})
	if made.err != nil || made.status != http.StatusCreated && made.status < 400 {
		t.Fatalf("bind: got %d %s %v, want 201 or a refusal", made.status, made.text, made.err)
	}
	told := p.get("i1", "b1")
	if made.status == http.StatusCreated && told.status != http.StatusOK {
		t.Errorf("a bind that was answered with 201 is told as %d", told.status)
	}
	afterwards(t, w, p, made.status == http.StatusCreated)
	w.harmed(c)
}

func harmedUnbind(t *testing.T, c remoteCall, h harm) {
	w := newWorld(t, options{})
	first := w.broker()
	want(t, first.provision("i1", nil), http.StatusCreated, "provision")
	want(t, first.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	// A broker that has no tokens yet, so that its logins can be harmed too.
	p := w.broker()
	first.stop()
	h.add(c, w.prod().faults(c.system), w.options.timeout)
	afterwards(t, w, p, true)
	w.harmed(c)
}

// harmed demands that the harm was done: a cell whose rule met no request has
// tested nothing.
func (w *world) harmed(c remoteCall) {
	w.t.Helper()
	if w.prod().faults(c.system).Hits() == 0 {
		w.t.Errorf("no %s was harmed", c.name)
	}
}

// afterwards unbinds, binds again under the same default name, checks, removes
// all and checks again.
func afterwards(t *testing.T, w *world, p *process, bound bool) {
	t.Helper()
	gone := p.unbind("i1", "b1")
	if gone.status != http.StatusOK && (bound || gone.status != http.StatusGone) {
		t.Errorf("unbind: got %d %s, want 200 (or 410 for what was never made)", gone.status, gone.text)
	}
	again := p.bind("i1", "b1", "app-1", nil)
	if again.status != http.StatusCreated {
		t.Errorf("binding again: got %d %s, want 201", again.status, again.text)
	} else if got := connectionOf(again); got != "acme_orders" {
		t.Errorf("binding again: connection %q, want the same name as ever", got)
	}
	w.check()
	want(t, p.deprovision("i1"), http.StatusOK, "deprovision")
	w.check()
	w.nothingLeft()
}

// nothingLeft demands that both systems hold nothing of ours.
func (w *world) nothingLeft() {
	w.t.Helper()
	for name, env := range w.envs {
		for _, id := range env.uaa.ClientIDs() {
			if strings.HasPrefix(id, "afi-") {
				w.t.Errorf("client %s is left in the UAA of %s", id, name)
			}
		}
		if got, want := len(env.airflow.ConnectionIDs()), len(w.foreign[name]); got != want {
			w.t.Errorf("the Airflow of %s holds %d connections, want %d", name, got, want)
		}
	}
}

// TestQuietIsNeeded takes the quiet rule out and shows that the checker sees what
// comes of it: a request that was given up acts after what was done since.
func TestQuietIsNeeded(t *testing.T) {
	t.Parallel()
	for _, quiet := range []struct {
		name string
		for_ time.Duration
		want bool // the world is whole
	}{
		{"with it", 0, true},
		{"without it", time.Nanosecond, false},
	} {
		for _, c := range []remoteCall{bindCalls[2], bindCalls[4], unbindCalls[4]} {
			t.Run(quiet.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, options{quiet: quiet.for_, timeout: time.Second})
				p := w.broker()
				want(t, p.provision("i1", nil), http.StatusCreated, "provision")
				if c.name == "delete connection" {
					want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
				}
				// It acts within its two time-outs, and after whoever does not wait.
				acted := make(chan struct{})
				held := c.rule(standin.Fault{Kind: standin.Slow, Delay: w.options.timeout * 19 / 10, After: func() { close(acted) }})
				w.prod().faults(c.system).Add(held)
				if c.name != "delete connection" {
					want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
				}
				want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
				if c.name == "delete connection" {
					want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind again")
				}
				<-acted
				found := w.problems()
				if quiet.want && len(found) > 0 {
					t.Errorf("the quiet rule held and the checker found %q", found)
				}
				if !quiet.want && len(found) == 0 {
					t.Error("the quiet rule was out and the checker found nothing")
				}
			})
		}
	}
}
