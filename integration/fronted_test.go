package integration

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	airflowclient "airflow-identity/airflow"
	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
	uaaclient "airflow-identity/uaa"
)

// front is a proxy before a remote system that answers some requests itself: one whose
// mood gives an answer. acts: the system carries the request out all the same.
type front struct {
	mu    sync.Mutex
	mood  func(*http.Request) (answer http.HandlerFunc, acts bool)
	proxy http.Handler
}

func (f *front) is(mood func(*http.Request) (http.HandlerFunc, bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mood = mood
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	mood := f.mood
	f.mu.Unlock()
	if mood != nil {
		if answer, acts := mood(r); answer != nil {
			if acts {
				f.proxy.ServeHTTP(httptest.NewRecorder(), r)
			}
			answer(w, r)
			return
		}
	}
	f.proxy.ServeHTTP(w, r)
}

// behind puts a front before a system, and gives the address there.
func behind(t *testing.T, upstream string) (*front, string) {
	t.Helper()
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	f := &front{proxy: proxy}
	server := httptest.NewServer(f)
	t.Cleanup(func() { server.Close(); transport.CloseIdleConnections() })
	return f, server.URL
}

// page is an answer of something that is not the system.
func page(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// What Cloud Foundry's router says where it has no UAA.
var (
	unknownRoute = page(http.StatusNotFound, "404 Not Found: Requested route ('uaa.sys.example.com') does not exist.\n", "Content-Type", "text/plain", "X-Cf-RouterError", "unknown_route")
	noEndpoints  = page(http.StatusServiceUnavailable, "503 Service Unavailable: Requested route ('uaa.sys.example.com') has no available endpoints.\n", "Content-Type", "text/plain", "X-Cf-RouterError", "no_endpoints")
	badEndpoint  = page(http.StatusBadGateway, "502 Bad Gateway: Registered endpoint failed to handle the request.\n", "Content-Type", "text/plain", "X-Cf-RouterError", "endpoint_failure")
	gatewayLate  = page(http.StatusGatewayTimeout, "<html><head><title>504 Gateway Time-out</title></head></html>")
)

func always(answer http.HandlerFunc) func(*http.Request) (http.HandlerFunc, bool) {
	return func(*http.Request) (http.HandlerFunc, bool) { return answer, false }
}

// firstOf answers one call of a method and a path itself, after the system has acted.
func firstOf(answer http.HandlerFunc, call string) func(*http.Request) (http.HandlerFunc, bool) {
	var done atomic.Bool
	return func(r *http.Request) (http.HandlerFunc, bool) {
		if strings.HasPrefix(r.Method+" "+r.URL.Path, call) && done.CompareAndSwap(false, true) {
			return answer, true
		}
		return nil, false
	}
}

// A router that has no UAA says 404, and that is no proof of anything: a client is not
// gone, and nothing is made anew, until UAA itself says so.
func TestUAABehindARouterThatHasLostIt(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{"unknown route": unknownRoute, "no endpoints": noEndpoints, "bad endpoint": badEndpoint} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var router *front
			w := newWorld(t, options{budget: 2 * time.Second, tune: func(_ identity.EnvironmentName, u *uaaclient.Config, _ *airflowclient.Config) {
				router, u.URL = behind(t, u.URL)
			}})
			p := w.broker()
			want(t, p.provision("i1", nil), http.StatusCreated, "provision")
			want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
			made := w.prod().uaa.Creates()

			router.is(always(answer))
			if got := p.send(http.MethodDelete, bindingPath("i1", "b1")+ids, nil); got.status != http.StatusServiceUnavailable {
				t.Errorf("unbind while the router has no UAA: got %d %s, want 503: the client is not gone", got.status, got.text)
			}
			if got := len(w.prod().uaa.ClientIDs()); got != 2 { // the broker's own is one
				t.Errorf("UAA has %d clients, want the one that could not be removed beside the broker's", got)
			}
			if got := p.send(http.MethodPut, bindingPath("i1", "b2"), p.bindBody("app-2", nil)); got.status != http.StatusServiceUnavailable {
				t.Errorf("bind while the router has no UAA: got %d %s, want 503", got.status, got.text)
			}
			router.is(nil)
			if got := p.unbind("i1", "b1"); got.status != http.StatusOK && got.status != http.StatusGone {
				t.Errorf("unbind once UAA is back: got %d %s, want 200 or 410", got.status, got.text)
			}
			w.check()
			w.nothingLeft()
			for id, n := range w.prod().uaa.Creates() {
				if n > 1 || made[id] > n {
					t.Errorf("%s was made %d times, want once", id, n)
				}
			}
		})
	}
}

// A gateway gives up a call that the system behind it has carried out. It is looked for,
// found, and made only once.
func TestGatewayTimesOutAfterTheCallActed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		uaa, airflow string
		answer       http.HandlerFunc
	}{
		"client":     {"POST /oauth/clients/restricted", "", badEndpoint},
		"connection": {"", "POST /api/v2/connections", gatewayLate},
		"login":      {"", "POST /auth/token", gatewayLate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{tune: func(_ identity.EnvironmentName, u *uaaclient.Config, a *airflowclient.Config) {
				var before *front
				if c.uaa != "" {
					before, u.URL = behind(t, u.URL)
				} else {
					before, a.URL = behind(t, a.URL)
				}
				before.is(firstOf(c.answer, c.uaa+c.airflow))
			}})
			p := w.broker()
			want(t, p.provision("i1", nil), http.StatusCreated, "provision")
			want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
			if got := w.prod().airflow.Creates()["acme_orders"]; got != 1 {
				t.Errorf("the connection was made %d times, want once", got)
			}
			w.check()
			want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
			w.check()
			w.nothingLeft()
		})
	}
}

// A viewer's account: a bind says what is missing and leaves nothing; what is bound goes on
// with its old secret, is tried again ever more seldom, and rotates once the role is right.
func TestViewersAccount(t *testing.T) {
	t.Parallel()
	o := newWorld(t, options{timeout: 5 * time.Second, budget: 30 * time.Second}).operator()
	a := o.prod().airflow
	demote := func(role string) {
		t.Helper()
		a.SetRole("broker", role)
		if err := a.ChangeKey(); err != nil { // or the broker's token would go on saying the other role
			t.Fatal(err)
		}
	}
	p := o.broker()
	s := o.bound(p.platform, 1)[0]

	demote(airflow.RoleViewer)
	refused := p.bind("i1", "b9", "app-9", object{"connection_id": "acme_other"})
	if refused.status != http.StatusBadRequest || refused.word() != "Refused" ||
		!strings.Contains(refused.description(), "in environment prod, Airflow does not let the broker's account create connections, which takes the role Op") {
		t.Errorf("bind: got %d %s, want 400 and what is missing", refused.status, refused.text)
	}
	o.awaits("nothing left of the refused bind", func() bool { return len(o.prod().uaa.ClientIDs()) == 2 })

	looks := count(a.Faults, "GET /api/v2/connections/acme_orders")
	o.leapTo(s.row().RotateAt)
	o.awaits("several tries", func() bool { return looks.Load() >= 4 })
	began, before := time.Now(), looks.Load()
	o.awaits("two more", func() bool { return looks.Load() >= before+2 })
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("two more tries took %s, want that each waits longer than the one before", took)
	}
	if !strings.Contains(s.row().LastError, "403") || o.prod().uaa.SecretChanges()[s.client] != nil {
		t.Errorf("got the error %q and changes %v of secrets, want a 403 and none", s.row().LastError, o.prod().uaa.SecretChanges())
	}

	demote(airflow.RoleOp)
	o.awaits("the rotation", func() bool { return s.row().Generation == 2 && s.row().PublishedGeneration == 2 })
	want(t, p.bind("i1", "b9", "app-9", object{"connection_id": "acme_other"}), http.StatusCreated, "bind once the role is right")
	o.check()
}

func count(faults *standin.Faults, call string) *atomic.Int32 {
	var n atomic.Int32
	faults.Add(standin.Fault{Call: call, Kind: standin.Notice, Times: 1 << 30, Before: func() { n.Add(1) }})
	return &n
}

// A connection belongs to the team that has the org's name, also after it was made anew;
// a team that is not there is refused, and nothing is left of the bind.
func TestTeamOfTheOrg(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 5 * time.Second, budget: 30 * time.Second, sweep: 200 * time.Millisecond, team: "{{org}}", airflow: func(c *airflow.Config) { c.Teams = []string{"other"} }})
	o := w.operator()
	a := o.prod().airflow
	p := o.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	refused := p.bind("i1", "b1", "app-1", nil)
	if refused.status != http.StatusBadRequest || !strings.Contains(refused.description(), `Airflow has no team "acme"; it is made with: airflow teams create acme`) {
		t.Errorf("bind without the team: got %d %s, want 400 and how it is made", refused.status, refused.text)
	}
	o.rests()
	w.nothingLeft()

	a.AddTeam("acme", "broker")
	if err := a.ChangeKey(); err != nil { // a token says the teams that its user had
		t.Fatal(err)
	}
	want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	team := func(want string) func() bool {
		return func() bool { c, found := a.Connection("acme_orders"); return found && c.Team == want }
	}
	if !team("acme")() {
		t.Error("the connection is not the team's")
	}
	a.RemoveConnection("acme_orders")
	o.sweeps()
	o.awaits("the connection made again, in its team", team("acme"))
	a.EditConnection("acme_orders", func(c *airflow.Connection) { c.Team = "" })
	o.sweeps()
	o.awaits("the connection put back into its team", team("acme"))
	o.rests()
	updates := a.Updates()["acme_orders"]
	o.sweeps()
	if got := a.Updates()["acme_orders"]; got != updates {
		t.Errorf("a sweep patched what is as it should be: %d updates, want %d", got, updates)
	}
	w.checkBut(connectionAgain)
}

// An identity zone as an environment: what a binding is told is the zone's own, and its
// client is nowhere else.
func TestZoneAsAnEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{
		timeout: 5 * time.Second, budget: 30 * time.Second,
		uaa: func(c *uaa.Config) {
			c.Clients[0].Authorities = []string{"zones.id-7.clients.admin"}
			c.Zones = []uaa.Zone{{ID: "id-7", Subdomain: "team7"}}
		},
		tune: func(_ identity.EnvironmentName, u *uaaclient.Config, _ *airflowclient.Config) {
			u.Zone, u.Strict = "team7", true
		},
	})
	zone := w.prod().uaa.Zone("team7")
	p := w.broker()
	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	bound := p.bind("i1", "b1", "app-1", object{"app_client": true})
	want(t, bound, http.StatusCreated, "bind")
	credentials := bound.body["credentials"].(map[string]any)
	for key, value := range map[string]string{
		"issuer": zone.Issuer(), "token_url": zone.URL() + "/oauth/token", "jwks_url": zone.URL() + "/token_keys", "zone_id": "id-7",
	} {
		if credentials[key] != value {
			t.Errorf("credentials: %s is %v, want %s", key, credentials[key], value)
		}
	}
	connection, _ := w.prod().airflow.Connection("acme_orders")
	if connection.Host != zone.URL()+"/oauth/token" || !zone.Accepts(connection.Login, connection.Password) || w.prod().uaa.Accepts(connection.Login, connection.Password) {
		t.Errorf("the connection's host is %s, want the zone's, where alone its secret is good", connection.Host)
	}
	if got := w.prod().uaa.ClientIDs(); len(got) != 1 {
		t.Errorf("the default zone has %v, want the broker's client alone", got)
	}
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	if got := zone.ClientIDs(); len(got) != 0 {
		t.Errorf("the zone has %v after unbind, want nothing", got)
	}
}

// An environment whose client of the broker holds too much, or too little, is left as it
// is; others are not, and once it is mended all goes on by itself.
func TestWrongPrivileges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		held []string
		says string
	}{
		"too many": {[]string{"clients.admin", "tokens.revoke", "uaa.admin", "scim.write"}, "remove scim.write, uaa.admin"},
		"too few":  {[]string{"clients.read"}, "add clients.admin, tokens.revoke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w *world
			w = newWorld(t, options{timeout: 5 * time.Second, budget: 2 * time.Second, dev: true,
				tune: func(_ identity.EnvironmentName, u *uaaclient.Config, _ *airflowclient.Config) {
					u.Strict, u.Clock = true, w.now
				}})
			p := w.broker()
			want(t, p.provision("i1", nil), http.StatusCreated, "provision")
			want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
			devBody := p.provisionBody(nil)
			devBody["plan_id"] = devPlan
			want(t, p.send(http.MethodPut, "/v2/service_instances/i2", devBody), http.StatusCreated, "provision in dev")

			prod := w.prod()
			prod.uaa.SetAuthorities("airflow-identity", c.held...)
			w.advance(6 * time.Minute) // what is known of it is old by then
			before := prod.mutations()
			refused := p.bind("i1", "b2", "app-2", object{"connection_id": "acme_other"})
			if refused.status != http.StatusServiceUnavailable || refused.word() != "Unavailable" {
				t.Errorf("bind: got %d %s, want 503 before anything is written", refused.status, refused.text)
			}
			if got := p.send(http.MethodDelete, bindingPath("i1", "b1")+ids, nil); got.status != http.StatusServiceUnavailable {
				t.Errorf("unbind: got %d %s, want 503: nothing is changed", got.status, got.text)
			}
			if after := prod.mutations(); after != before {
				t.Errorf("something was changed: got %s, want %s", after, before)
			}
			if !strings.Contains(w.log.String(), c.says) {
				t.Errorf("the log does not say %q", c.says)
			}
			devBind := p.bindBody("app-1", nil)
			devBind["plan_id"] = devPlan
			want(t, p.send(http.MethodPut, bindingPath("i2", "b3")+"?accepts_incomplete=true", devBind), http.StatusCreated, "bind in dev")

			prod.uaa.SetAuthorities("airflow-identity", "clients.admin", "tokens.revoke")
			w.advance(6 * time.Second)
			if !eventually(settleWithin, func() bool { return len(prod.uaa.ClientIDs()) == 1 }) {
				t.Error("the unbind does not go on once the privileges are right")
			}
			want(t, p.bind("i1", "b4", "app-4", nil), http.StatusCreated, "bind once the privileges are right")
			w.check()
		})
	}
}

// mutations tells all that was ever changed in an environment over both APIs.
func (e *environment) mutations() string {
	o := operator{world: &world{envs: map[identity.EnvironmentName]*environment{"prod": e}}}
	return o.mutations()
}

// A connection that shall have no team may be given one by whoever likes: it is not ours
// to say, and no sweep looks at it again for that.
func TestTeamThatIsNotOurs(t *testing.T) {
	t.Parallel()
	world := patient
	world.airflow = func(c *airflow.Config) {
		c.Teams = []string{"acme"}
		c.Users = map[string]airflow.User{"broker": {Password: airflowPass, Role: airflow.RoleAdmin}}
	}
	o := newWorld(t, world).operator()
	a := o.prod().airflow
	s := o.bound(o.broker().platform, 1)[0]
	a.EditConnection(s.connection, func(c *airflow.Connection) { c.Team = "acme" })
	looks := count(a.Faults, "GET /api/v2/connections/"+s.connection)
	o.sweeps()
	o.rests()
	if is, _ := a.Connection(s.connection); is.Team != "acme" || a.Updates()[s.connection] != 0 || looks.Load() != 0 {
		t.Errorf("after a sweep: team %q, %d updates and %d looks; want it left alone", is.Team, a.Updates()[s.connection], looks.Load())
	}
	o.check()
}
