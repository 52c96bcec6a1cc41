package integration

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"airflow-identity/integration/cloudcontroller"
)

const offeringName = "airflow-identity"

// contract is the specification's own document, read once.
var contract = sync.OnceValues(func() (*cloudcontroller.Contract, error) {
	document, err := os.ReadFile("testdata/osb-openapi-2.17.yaml")
	if err != nil {
		return nil, err
	}
	return cloudcontroller.NewContract(document)
})

// cf is a Cloud Controller in front of a broker of the world, and the person who
// types. Every command that a test expects to go well is one of its methods.
type cf struct {
	*cloudcontroller.Controller
	t *testing.T
	w *world
}

// cloudFoundry registers the broker at base with a Cloud Controller of its own.
// When its clock leaps, so does the engines', and it goes on only when the engines
// have done what they can do by then.
func (w *world) cloudFoundry(base string, adapt ...func(*cloudcontroller.Config)) *cf {
	w.t.Helper()
	k, err := contract()
	if err != nil {
		w.t.Fatal(err)
	}
	clock := cloudcontroller.NewLeap()
	clock.Leapt = func(ctx context.Context, d time.Duration) error {
		w.advance(d)
		w.idle()
		return ctx.Err()
	}
	config := cloudcontroller.Config{
		URL: base, User: brokerUser, Password: brokerPass, Clock: clock,
		Contract: k, Report: func(finding string) { w.t.Errorf("the contract: %s", finding) },
		Observe: w.overhear,
		Org:     cloudcontroller.Place{GUID: org, Name: orgName}, Space: cloudcontroller.Place{GUID: space, Name: spaceName},
		UserGUID: "user-guid-1", Annotations: map[string]string{"example.com/team": "data", "private": "not told"},
	}
	for _, f := range adapt {
		f(&config)
	}
	c, err := cloudcontroller.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	user := &cf{c, w.t, w}
	user.ok(c.CreateServiceBroker(w.t.Context()), "cf create-service-broker")
	return user
}

func speaking(version string) func(*cloudcontroller.Config) {
	return func(c *cloudcontroller.Config) { c.APIVersion = version }
}

// overhear keeps what is said for the search for secrets.
func (w *world) overhear(e cloudcontroller.Exchange) {
	w.leaks.body(string(e.ResponseBody))
	var asked struct{ Parameters json.RawMessage }
	if json.Unmarshal(e.RequestBody, &asked) == nil && len(asked.Parameters) > 0 {
		w.leaks.parameters(string(asked.Parameters))
	}
}

const sqlBusy = `SELECT count(*) FROM identity WHERE lease_until > clock_timestamp() OR due_at <= $1`

// idle waits until nothing is leased and nothing is due by the engines' clock.
// What cannot be done now, because something is down, is due later.
func (w *world) idle() {
	w.t.Helper()
	if !eventually(settleWithin, func() bool {
		var n int
		return w.pool.QueryRow(context.Background(), sqlBusy, w.now()).Scan(&n) == nil && n == 0
	}) {
		w.t.Errorf("the world is still busy: %s", w.restless())
	}
}

func (u *cf) ok(err error, what string) {
	u.t.Helper()
	if err != nil {
		u.t.Fatalf("%s: %v", what, err)
	}
}

// fails demands that a command was refused, and how.
func (u *cf) fails(err error, kind cloudcontroller.Kind, what string) *cloudcontroller.Error {
	u.t.Helper()
	var failure *cloudcontroller.Error
	if !errors.As(err, &failure) || failure.Kind != kind {
		u.t.Fatalf("%s: got %v, want %s", what, err, kind)
	}
	return failure
}

// impatiently does something for whose answers Cloud Controller does not wait
// longer than a second.
func (u *cf) impatiently(f func()) {
	u.SetTimeout(time.Second)
	defer u.SetTimeout(0)
	f()
}

// work lets the queue run dry, as somebody who waits sees it.
func (u *cf) work() {
	u.t.Helper()
	u.ok(u.Work(u.t.Context()), "waiting")
}

func (u *cf) service(name string) cloudcontroller.Instance {
	u.t.Helper()
	i, found := u.Service(name)
	if !found {
		u.t.Fatalf("cf service %s: not found", name)
	}
	return i
}

// shows demands what cf service shows as last operation.
func (u *cf) shows(name, operation string) {
	u.t.Helper()
	if got := u.service(name).LastOperation; got.String() != operation {
		u.t.Errorf("cf service %s: got %q (%s), want %q", name, got, got.Description, operation)
	}
}

// binding gives the only binding of an app, or the only key.
func (u *cf) binding(app, service string) cloudcontroller.Binding {
	u.t.Helper()
	list := u.Bindings(app, service)
	if len(list) != 1 {
		u.t.Fatalf("bindings of %q to %s: got %d, want 1", app, service, len(list))
	}
	return list[0]
}

// connection is the id that the app finds in its VCAP_SERVICES.
func (u *cf) connection(app, service string) string {
	u.t.Helper()
	registered, _ := u.VCAPServices(app)[service]["airflow"].(map[string]any)
	id, _ := registered["connection_id"].(string)
	return id
}

// agrees demands that what Cloud Controller calls made is what the broker holds,
// and that the world is whole.
func (u *cf) agrees() {
	u.t.Helper()
	u.w.check()
	var live []string
	if err := u.w.pool.QueryRow(context.Background(),
		`SELECT coalesce(array_agg(guid ORDER BY guid COLLATE "C"), '{}') FROM binding WHERE succeeded_at IS NOT NULL AND failed_at IS NULL AND unbound_at IS NULL AND removed_at IS NULL`).Scan(&live); err != nil {
		u.t.Fatal(err)
	}
	if known := u.LiveBindings(); !slices.Equal(known, live) {
		u.t.Errorf("live bindings: Cloud Controller knows %q, the broker holds %q", known, live)
	}
}

// mitigated demands how many creates were in doubt.
func (u *cf) mitigated(n int) {
	u.t.Helper()
	if got := u.Mitigations(); got != n {
		u.t.Errorf("orphan mitigations: got %d, want %d", got, n)
	}
}

// between is a router between Cloud Controller and the brokers, each of which gets
// a request in turn. It is asked about every request before it goes on and about
// every answer before it goes back.
type between struct {
	url string

	mu      sync.Mutex
	targets []*url.URL
	turn    int
	// stop answers in the broker's place; 0: it does not.
	stop func(*http.Request) int
	// lose tells whether the broker's answer never arrives, and how.
	lose func(*http.Request) loss
}

type loss int

const (
	arrives loss = iota
	hangs        // until Cloud Controller's time is up
	breaks       // the connection is cut
)

func (w *world) between(bases ...string) *between {
	w.t.Helper()
	b := &between{}
	b.leadTo(bases...)
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{DisableKeepAlives: true},
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(b.next()) },
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		stop, lose := b.stop, b.lose
		b.mu.Unlock()
		if stop != nil {
			if status := stop(r); status != 0 {
				rw.Header().Set("Content-Type", "application/json")
				rw.Header().Set("X-Broker-API-Request-Identity", r.Header.Get("X-Broker-API-Request-Identity"))
				rw.WriteHeader(status)
				_, _ = rw.Write([]byte(`{"description":"no route to the broker"}`))
				return
			}
		}
		way := arrives
		if lose != nil {
			way = lose(r)
		}
		if way == arrives {
			proxy.ServeHTTP(rw, r)
			return
		}
		// The broker does all that it was asked to, and answers into the void.
		proxy.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		if way == hangs {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}))
	w.t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// leadTo changes where requests go.
func (b *between) leadTo(bases ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.targets = nil
	for _, base := range bases {
		target, err := url.Parse(base)
		if err != nil {
			panic(err) // a test server's own address
		}
		b.targets = append(b.targets, target)
	}
}

func (b *between) next() *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	return b.targets[b.turn%len(b.targets)]
}

func (b *between) set(stop func(*http.Request) int, lose func(*http.Request) loss) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop, b.lose = stop, lose
}

// once loses the answer to the first request of a method.
func once(method string, way loss) func(*http.Request) loss {
	var done sync.Once
	return func(r *http.Request) loss {
		lost := arrives
		if r.Method == method {
			done.Do(func() { lost = way })
		}
		return lost
	}
}
