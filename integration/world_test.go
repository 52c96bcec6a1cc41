package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	airflowclient "airflow-identity/airflow"
	"airflow-identity/broker"
	"airflow-identity/catalog"
	"airflow-identity/identity"
	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/remote"
	"airflow-identity/store"
	uaaclient "airflow-identity/uaa"

	"github.com/jackc/pgx/v5/pgxpool"
)

// The world's fixed names.
const (
	offeringID   = "0a7ad6f6-3d5c-4f0e-9f1a-52c1a5b7f001"
	prodPlan     = "6a4e0c1b-9f2d-4f57-8f5e-52c1a5b7f002"
	devPlan      = "6a4e0c1b-9f2d-4f57-8f5e-52c1a5b7f003"
	brokerUser   = "platform"
	brokerPass   = "platform-password-9e1"
	uaaSecret    = "uaa-client-secret-2c7"
	airflowPass  = "airflow-password-8d4"
	org, space   = "org-guid-1", "space-guid-1"
	orgName      = "acme"
	spaceName    = "prod"
	instanceName = "orders"
)

// options are how a world differs from the ordinary one. Tests shorten the
// time-outs, and with them leases and quiet times, and the loop's poll.
type options struct {
	timeout time.Duration // of both remotes; 0 means 400 ms
	quiet   time.Duration // 0 means two time-outs, as the product has it
	budget  time.Duration // 0 means 8 s
	polling time.Duration // the plan's maximum_polling_duration; 0 means a minute
	quota   catalog.Quota // 0: any number
	breaker bool          // leave a remote that is down alone, for a second at a time
	dev     bool          // a second environment, dev
	// sweep is the period of sweeps; 0: there are none, so that what a test sees is
	// what its verbs caused.
	sweep time.Duration
	// rotation is the plan's; zeros are the product's.
	rotation catalog.Rotation
	// leaseGrace is how much longer than its time-out a lease lasts; 0: as the product
	// has it.
	leaseGrace time.Duration
	// team is the plan's; uaa and airflow change the stand-ins, and tune how the broker
	// sees them: what stands before them, and as whom it comes.
	team    string
	uaa     func(*uaa.Config)
	airflow func(*airflow.Config)
	tune    func(identity.EnvironmentName, *uaaclient.Config, *airflowclient.Config)
}

// world is a whole system in one process: Postgres, a UAA and an Airflow for each
// environment, and any number of brokers on the same rows.
type world struct {
	t       *testing.T
	options options
	url     string
	pool    *pgxpool.Pool
	sealer  *store.Sealer
	keyset  identity.Secret
	envs    map[identity.EnvironmentName]*environment
	log     *safeBuffer
	leaks   *leaks
	foreign map[identity.EnvironmentName][]airflow.Connection
	deaths  atomic.Int64 // brokers that died with a call under way, whose outcome nobody lived to tell of
	ahead   atomic.Int64 // how far the engines' clock is ahead, in nanoseconds
}

// now is the engines' clock, which tests move forward.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) advance(by time.Duration) { w.ahead.Add(int64(by)) }

type environment struct {
	uaa     *uaa.Server
	airflow *airflow.Server
}

// uaaKey is one UAA's snapshot with its signing key, which is slow to make.
var uaaKey = sync.OnceValues(func() ([]byte, error) {
	server, err := uaa.Start(uaa.Config{})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	return server.Snapshot()
})

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	if o.timeout == 0 {
		o.timeout = 400 * time.Millisecond
	}
	if o.quiet == 0 {
		o.quiet = 2 * o.timeout
	}
	if o.budget == 0 {
		o.budget = 8 * time.Second
	}
	if o.sweep == 0 {
		o.sweep = -1
	}
	if o.polling == 0 {
		o.polling = time.Minute
	}
	w := &world{
		t: t, options: o, url: pgtest.New(t),
		envs:    map[identity.EnvironmentName]*environment{},
		log:     &safeBuffer{},
		leaks:   &leaks{},
		foreign: map[identity.EnvironmentName][]airflow.Connection{},
	}
	var err error
	if w.pool, err = pgxpool.New(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	if w.keyset, err = store.NewKeyset(); err != nil {
		t.Fatal(err)
	}
	if w.sealer, err = store.NewSealer(w.keyset); err != nil {
		t.Fatal(err)
	}
	w.leaks.secret(w.keyset.Reveal(), brokerPass, uaaSecret, airflowPass)
	w.addEnvironment("prod")
	if o.dev {
		w.addEnvironment("dev")
	}
	return w
}

func (w *world) addEnvironment(name identity.EnvironmentName) {
	w.t.Helper()
	key, err := uaaKey()
	if err != nil {
		w.t.Fatal(err)
	}
	uaaConfig := uaa.Config{
		Snapshot: key, CheapHashes: true,
		Clients: []uaa.Client{{ID: "airflow-identity", Secret: uaaSecret, Authorities: []string{"clients.admin", "clients.read", "clients.write", "tokens.revoke", "uaa.resource"}}},
	}
	if w.options.uaa != nil {
		w.options.uaa(&uaaConfig)
	}
	u, err := uaa.Start(uaaConfig)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(u.Close)
	airflowConfig := airflow.Config{Users: map[string]airflow.User{"broker": {Password: airflowPass, Role: airflow.RoleOp}}}
	if w.options.airflow != nil {
		w.options.airflow(&airflowConfig)
	}
	a, err := airflow.Start(airflowConfig)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(a.Close)
	// A rule that only listens: every secret that ever goes to UAA is one that
	// must be found nowhere else.
	u.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Match: func(_ *http.Request, body []byte) bool {
		var client struct {
			Name   string `json:"name"`
			Secret string `json:"client_secret"`
		}
		if json.Unmarshal(body, &client) == nil && client.Secret != "" {
			if strings.HasPrefix(client.Name, "app client") {
				w.leaks.handedOut(client.Secret)
			} else {
				w.leaks.secret(client.Secret)
			}
		}
		return false
	}})
	u.Faults.Add(standin.Fault{Call: "PUT /oauth/clients/", Match: func(_ *http.Request, body []byte) bool {
		var change struct {
			Secret string `json:"secret"`
		}
		if json.Unmarshal(body, &change) == nil && change.Secret != "" {
			w.leaks.secret(change.Secret)
		}
		return false
	}})
	w.envs[name] = &environment{u, a}
}

// prod is the environment that most tests use.
func (w *world) prod() *environment { return w.envs["prod"] }

// process is one broker in the world: its engine, its loop and its HTTP face.
type process struct {
	*platform
	engine *identity.Engine
	store  *store.Store
	stop   func()
}

// environments are what a broker sees of the world's remotes; closers end its clients.
func (w *world) environments(logger *slog.Logger) (map[identity.EnvironmentName]identity.Environment, []func()) {
	w.t.Helper()
	environments := map[identity.EnvironmentName]identity.Environment{}
	var closers []func()
	// An open breaker would hide most of what the fault tables are about.
	breaker := remote.Breaker{Failures: -1}
	if w.options.breaker {
		breaker = remote.Breaker{Rest: time.Second}
	}
	for name, env := range w.envs {
		uaaConfig := uaaclient.Config{
			URL: env.uaa.URL(), ClientID: "airflow-identity", Secret: remote.Fixed(identity.SecretFrom(uaaSecret)),
			Timeout: w.options.timeout, Logger: logger, Breaker: breaker,
		}
		airflowConfig := airflowclient.Config{
			URL:     env.airflow.URL(),
			Login:   airflowclient.Password{Username: "broker", Password: remote.Fixed(identity.SecretFrom(airflowPass))},
			Timeout: w.options.timeout, Logger: logger, Breaker: breaker,
		}
		if w.options.tune != nil {
			w.options.tune(name, &uaaConfig, &airflowConfig)
		}
		clients, err := uaaclient.New(uaaConfig)
		if err != nil {
			w.t.Fatal(err)
		}
		connections, err := airflowclient.New(airflowConfig)
		if err != nil {
			w.t.Fatal(err)
		}
		closers = append(closers, clients.Close, connections.Close)
		patience := identity.Patience{Timeout: w.options.timeout, Quiet: w.options.quiet}
		environments[name] = identity.Environment{
			Name: name, Airflow: identity.AirflowURL(airflowConfig.URL), Clients: clients, Connections: connections, Permitted: clients.Permitted,
			ClientsPatience: patience, ConnectionsPatience: patience,
		}
	}
	return environments, closers
}

// broker starts one more broker on the world's rows.
func (w *world) broker() *process {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), w.url, w.sealer)
	if err != nil {
		w.t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	environments, closers := w.environments(logger)
	engine, err := identity.NewEngine(identity.Config{
		Store: s, Broker: s.Broker(), Environments: environments, Budget: w.options.budget,
		Poll: 50 * time.Millisecond, Logger: logger, Clock: w.now,
		SweepPeriod: w.options.sweep, LeaseGrace: w.options.leaseGrace,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	airflows := map[identity.EnvironmentName]identity.AirflowURL{}
	for name, env := range environments {
		airflows[name] = env.Airflow
	}
	handler, err := broker.New(broker.Config{
		Catalog: w.catalog(), Engine: engine, Environments: airflows,
		Credentials: []broker.Credential{{User: brokerUser, Password: identity.SecretFrom(brokerPass)}},
		Logger:      logger, Ready: s.Ready,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	ctx, cancel := context.WithCancel(context.Background())
	looped := make(chan error, 1)
	go func() { looped <- engine.Run(ctx) }()
	p := &process{platform: w.platform(server.URL), engine: engine, store: s}
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-looped; err != nil && !errors.Is(err, context.Canceled) {
			w.t.Errorf("the loop ended with: %v", err)
		}
		server.Close()
		for _, c := range closers {
			c()
		}
		s.Close()
	})
	w.t.Cleanup(p.stop)
	return p
}

func (w *world) catalog() *catalog.Catalog {
	w.t.Helper()
	allow := catalog.Allow{
		Authorities:   []string{"orders.*", "{{org}}.{{space}}.*"},
		ConnectionIDs: []string{"{{org}}_*", "orders_*"},
	}
	plans := []catalog.Plan{{
		ID: prodPlan, Name: "prod", Environment: "prod", Description: "identities for production DAGs",
		DefaultAuthorities: []identity.Authority{"orders.read"}, Allow: allow,
		TokenLifetime: catalog.TokenLifetime{Maximum: 30 * time.Minute}, AppClient: catalog.AppClient{Allowed: true, Maximum: 720 * time.Hour},
		Team: w.options.team, MaximumPollingDuration: w.options.polling, Quota: w.options.quota, Rotation: w.options.rotation,
	}}
	if w.options.dev {
		plans = append(plans, catalog.Plan{
			ID: devPlan, Name: "dev", Environment: "dev", Description: "identities for trying out",
			DefaultAuthorities: []identity.Authority{"orders.read"}, Allow: allow,
		})
	}
	c, err := catalog.New(catalog.Offering{ID: offeringID}, plans)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// platform is a client that asks as Cloud Controller does, and remembers every
// body for the search for leaks.
type platform struct {
	w    *world
	base string
}

func (w *world) platform(base string) *platform { return &platform{w, base} }

// answer is what the broker said.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
	err    error // no answer at all
}

func (a answer) word() string {
	word, _ := a.body["error"].(string)
	return word
}

func (a answer) description() string {
	text, _ := a.body["description"].(string)
	return text
}

func (p *platform) send(method, path string, body any, headers ...string) answer {
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			return answer{err: err}
		}
	}
	request, err := http.NewRequest(method, p.base+path, bytes.NewReader(text))
	if err != nil {
		return answer{err: err}
	}
	request.SetBasicAuth(brokerUser, brokerPass)
	request.Header.Set("X-Broker-Api-Version", "2.15")
	request.Header.Set("X-Broker-API-Request-Identity", "request-1")
	request.Header.Set("X-Broker-Api-Originating-Identity", "cloudfoundry eyJ1c2VyX2lkIjoidXNlci1ndWlkLTEifQ==")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Del(headers[i])
		if headers[i+1] != "" {
			request.Header.Set(headers[i], headers[i+1])
		}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	var read bytes.Buffer
	if _, err := read.ReadFrom(response.Body); err != nil {
		return answer{err: err}
	}
	p.w.leaks.body(read.String())
	a := answer{status: response.StatusCode, header: response.Header, text: read.String()}
	_ = json.Unmarshal(read.Bytes(), &a.body)
	return a
}

type object = map[string]any

func (p *platform) provision(instance string, parameters object) answer {
	return p.send(http.MethodPut, "/v2/service_instances/"+instance+"?accepts_incomplete=true", p.provisionBody(parameters))
}

func (p *platform) provisionBody(parameters object) object {
	body := object{
		"service_id": offeringID, "plan_id": prodPlan, "organization_guid": org, "space_guid": space,
		"context": object{
			"platform": "cloudfoundry", "organization_guid": org, "organization_name": orgName,
			"space_guid": space, "space_name": spaceName, "instance_name": instanceName,
		},
	}
	p.addParameters(body, parameters)
	return body
}

func (p *platform) bindBody(app string, parameters object) object {
	body := object{
		"service_id": offeringID, "plan_id": prodPlan,
		"context": object{"platform": "cloudfoundry", "organization_guid": org, "space_guid": space},
	}
	if app != "" {
		body["app_guid"] = app
		body["bind_resource"] = object{"app_guid": app, "space_guid": space}
	}
	p.addParameters(body, parameters)
	return body
}

func (p *platform) addParameters(body, parameters object) {
	if parameters == nil {
		return
	}
	body["parameters"] = parameters
	if text, err := json.Marshal(parameters); err == nil {
		p.w.leaks.parameters(string(text))
	}
}

func bindingPath(instance, binding string) string {
	return "/v2/service_instances/" + instance + "/service_bindings/" + binding
}

const ids = "?service_id=" + offeringID + "&plan_id=" + prodPlan

func (p *platform) bind(instance, binding, app string, parameters object) answer {
	return p.send(http.MethodPut, bindingPath(instance, binding)+"?accepts_incomplete=true", p.bindBody(app, parameters))
}

func (p *platform) unbind(instance, binding string) answer {
	return p.send(http.MethodDelete, bindingPath(instance, binding)+ids+"&accepts_incomplete=true", nil)
}

func (p *platform) update(instance string, body object) answer {
	full := object{"service_id": offeringID}
	for key, value := range body {
		full[key] = value
	}
	return p.send(http.MethodPatch, "/v2/service_instances/"+instance+"?accepts_incomplete=true", full)
}

// poll asks for a binding's last operation, or with "" for an instance's.
func (p *platform) poll(instance, binding string, of answer) answer {
	path := "/v2/service_instances/" + instance
	if binding != "" {
		path = bindingPath(instance, binding)
	}
	operation, _ := of.body["operation"].(string)
	return p.send(http.MethodGet, path+"/last_operation"+ids+"&operation="+url.QueryEscape(operation), nil)
}

func (p *platform) deprovision(instance string) answer {
	return p.send(http.MethodDelete, "/v2/service_instances/"+instance+ids+"&accepts_incomplete=true", nil)
}

func (p *platform) get(instance, binding string) answer {
	if binding == "" {
		return p.send(http.MethodGet, "/v2/service_instances/"+instance, nil)
	}
	return p.send(http.MethodGet, bindingPath(instance, binding), nil)
}

// want fails the test if an answer has another status.
func want(t *testing.T, a answer, status int, what string) {
	t.Helper()
	if a.err != nil {
		t.Fatalf("%s: no answer: %v", what, a.err)
	}
	if a.status != status {
		t.Fatalf("%s: got %d %s, want %d", what, a.status, a.text, status)
	}
}

// connectionOf reads the connection id out of a binding's credentials.
func connectionOf(a answer) string {
	credentials, _ := a.body["credentials"].(map[string]any)
	registered, _ := credentials["airflow"].(map[string]any)
	id, _ := registered["connection_id"].(string)
	return id
}

// safeBuffer is a log that several brokers write to.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// leaks remembers what must be found nowhere, and where it could be found.
type leaks struct {
	mu      sync.Mutex
	never   map[string]string // text → what it is
	bodies  []string
	ignored int
}

func (l *leaks) secret(texts ...string)     { l.add("a secret", texts...) }
func (l *leaks) parameters(texts ...string) { l.add("raw parameters", texts...) }

// handedOut is the secret of an app client: it is told to whoever bound, as
// client_secret, and nowhere else.
func (l *leaks) handedOut(texts ...string) { l.add("an app client's secret", texts...) }

func (l *leaks) add(kind string, texts ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.never == nil {
		l.never = map[string]string{}
	}
	for _, text := range texts {
		if len(text) < 8 {
			l.ignored++ // "{}" is everywhere
			continue
		}
		l.never[text] = kind
	}
}

func (l *leaks) body(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bodies = append(l.bodies, text)
}

// search looks for everything in everything. It gives the bytes it searched.
// Parameters are told back to the platform by GET, as OSB wants, so successful
// answers are searched for secrets alone.
func (l *leaks) search(report func(string), texts map[string]string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	searched := 0
	for where, text := range texts {
		searched += len(text)
		for never, kind := range l.never {
			if strings.Contains(text, never) || strings.Contains(text, quoted(never)) {
				report(fmt.Sprintf("%s is in %s", kind, where))
			}
		}
	}
	for _, body := range l.bodies {
		searched += len(body)
		for never, kind := range l.never {
			if kind == "raw parameters" && !strings.Contains(body, `"description"`) {
				continue
			}
			if kind == "an app client's secret" && strings.Contains(body, `"client_secret":"`+never+`"`) {
				continue
			}
			if strings.Contains(body, never) {
				report(fmt.Sprintf("%s is in an answer: %s", kind, body))
			}
		}
	}
	return searched
}

// quoted is the text as it would stand inside a JSON string.
func quoted(text string) string {
	q, err := json.Marshal(text)
	if err != nil {
		return text
	}
	return string(q[1 : len(q)-1])
}

// airflowDown makes every call to an Airflow fail until the function it gives is
// called.
func (e *environment) airflowDown() (back func()) {
	e.airflow.Faults.Add(standin.Fault{Kind: standin.Answer, Status: http.StatusServiceUnavailable, Times: 1 << 30})
	return e.airflow.Faults.Clear
}
