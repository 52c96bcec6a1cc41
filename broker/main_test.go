package broker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"airflow-identity/catalog"
	"airflow-identity/identity"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serviceID = "0a7ad6f6-0000-4000-8000-000000000000"
	prodPlan  = "6a4e0000-0000-4000-8000-000000000001"
	devPlan   = "6a4e0000-0000-4000-8000-000000000002"
	smallPlan = "6a4e0000-0000-4000-8000-000000000003" // of prod's environment, and gives less
	oldPlan   = "6a4e0000-0000-4000-8000-000000000004" // of prod's environment, retired
	org       = "11111111-aaaa-4000-8000-000000000000"
	space     = "22222222-bbbb-4000-8000-000000000000"

	instanceURL = "/v2/service_instances/i1"
	bindingURL  = instanceURL + "/service_bindings/b1"
	ids         = "?service_id=" + serviceID + "&plan_id=" + prodPlan
)

// core is an engine that does nothing but remember, and answers as it is told.
type core struct {
	mu    sync.Mutex
	calls []string

	// instance is the one that exists; nil if none does.
	instance *identity.Instance
	bound    identity.Bound
	existed  bool
	err      error
	findErr  error
	denyErr  error
	panics   any
	// joins is what Bind says of a connection that was named.
	joins bool
	// held lives in the instance; progress is that of any operation.
	held     []identity.Held
	progress identity.Progress

	provisioned   []identity.ProvisionRequest
	binds         []identity.BindRequest
	grants        []identity.Grant
	unbinds       []identity.UnbindRequest
	deprovisioned []identity.DeprovisionRequest
	denials       []identity.Denial
	updates       []identity.UpdateRequest
	revisions     []identity.Revision
	polled        []identity.Operation
}

func (c *core) called(name string) func() {
	c.mu.Lock()
	c.calls = append(c.calls, name)
	if c.panics != nil {
		defer c.mu.Unlock()
		panic(c.panics)
	}
	return c.mu.Unlock
}

func (c *core) Provision(_ context.Context, req identity.ProvisionRequest) (identity.Instance, bool, error) {
	defer c.called("provision")()
	c.provisioned = append(c.provisioned, req)
	return identity.Instance{GUID: req.Instance, Plan: req.Plan, RotationPeriod: req.RotationPeriod}, !c.existed, c.err
}

// Update judges as the real one does: under the lock of an instance that is there.
func (c *core) Update(_ context.Context, req identity.UpdateRequest) error {
	defer c.called("update")()
	c.updates = append(c.updates, req)
	if c.instance == nil {
		return identity.ErrNotFound
	}
	revision, err := req.Judge(*c.instance, c.held)
	if err != nil {
		return err
	}
	c.revisions = append(c.revisions, revision)
	return c.err
}

func (c *core) InstanceProgress(_ context.Context, _ identity.InstanceGUID, op identity.Operation) (identity.Progress, error) {
	defer c.called("find")()
	c.polled = append(c.polled, op)
	return c.progress, c.findErr
}

func (c *core) BindingProgress(_ context.Context, _ identity.InstanceGUID, _ identity.BindingGUID, op identity.Operation) (identity.Progress, error) {
	defer c.called("find")()
	c.polled = append(c.polled, op)
	return c.progress, c.findErr
}

func (c *core) Deprovision(_ context.Context, req identity.DeprovisionRequest) error {
	defer c.called("deprovision")()
	c.deprovisioned = append(c.deprovisioned, req)
	return c.err
}

// Bind judges as the real one does: only where nothing else is in the way.
func (c *core) Bind(_ context.Context, req identity.BindRequest) (identity.Bound, bool, error) {
	defer c.called("bind")()
	c.binds = append(c.binds, req)
	switch {
	case c.err != nil:
		return identity.Bound{}, false, c.err
	case c.instance == nil:
		return identity.Bound{}, false, identity.ErrNotFound
	case req.Space != "" && req.Space != c.instance.Space:
		return identity.Bound{}, false, identity.ErrForeignSpace
	case c.existed:
		return c.bound, false, nil
	}
	grant, err := req.Judge(*c.instance, c.joins)
	if err != nil {
		return identity.Bound{}, false, err
	}
	c.grants = append(c.grants, grant)
	bound := identity.Bound{Instance: c.bound.Instance, Binding: c.bound.Binding}
	if grant.Airflow {
		made := *c.bound.Airflow
		made.Granted, bound.Airflow = grant.Authorities, &made
	}
	if grant.AppClient {
		made := *c.bound.Client
		made.Granted, bound.Client = grant.Authorities, &made
	}
	return bound, true, nil
}

func (c *core) Unbind(_ context.Context, req identity.UnbindRequest) error {
	defer c.called("unbind")()
	c.unbinds = append(c.unbinds, req)
	return c.err
}

func (c *core) FindInstance(context.Context, identity.InstanceGUID) (identity.Instance, error) {
	defer c.called("find")()
	switch {
	case c.findErr != nil:
		return identity.Instance{}, c.findErr
	case c.instance == nil:
		return identity.Instance{}, identity.ErrNotFound
	default:
		return *c.instance, nil
	}
}

func (c *core) FindBinding(context.Context, identity.InstanceGUID, identity.BindingGUID) (identity.Bound, error) {
	defer c.called("find")()
	switch {
	case c.findErr != nil:
		return identity.Bound{}, c.findErr
	case c.bound.Airflow == nil && c.bound.Client == nil:
		return identity.Bound{}, identity.ErrNotFound
	default:
		return c.bound, nil
	}
}

func (c *core) Deny(_ context.Context, d identity.Denial) error {
	defer c.called("deny")()
	c.denials = append(c.denials, d)
	return c.denyErr
}

// asked are the calls that could have changed something.
func (c *core) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.calls), func(call string) bool { return call == "find" || call == "deny" })
}

// ordersInstance is in acme's space dev, made of the plan prod.
func ordersInstance() *identity.Instance {
	return &identity.Instance{
		GUID: "i1", Plan: prodPlan, Environment: "prod", Org: org, Space: space,
		Names:          identity.Names{Org: "acme", Space: "dev", Instance: "orders"},
		Parameters:     []byte(`{"authorities":["orders.read","orders.write"]}`),
		ConnectionBase: "acme_orders",
	}
}

func ordersBound() identity.Bound {
	return identity.Bound{
		Instance: *ordersInstance(),
		Binding:  identity.Binding{GUID: "b1", Parameters: []byte(`{"authorities":["orders.read"]}`)},
		Airflow: &identity.Identity{
			Kind: identity.AirflowIdentity, ID: "5d3c0000-0000-4000-8000-000000000000", Environment: "prod", Granted: []identity.Authority{"orders.read"},
			Secret:  identity.SecretFrom("thesecretofthisidentity"),
			Airflow: "http://airflow.internal:8080", Connection: "acme_orders",
			Endpoints: identity.Endpoints{
				Issuer: "https://uaa.example.com/oauth/token", TokenURL: "https://uaa.example.com/oauth/token",
				JWKSURL: "https://uaa.example.com/token_keys", ZoneID: "uaa",
			},
		},
	}
}

// clientBound has a client of the caller's own beside its connection.
func clientBound() identity.Bound {
	bound := ordersBound()
	ends := time.Date(2026, 12, 24, 10, 0, 0, 987654321, time.FixedZone("", 3600))
	client := *bound.Airflow
	client.Kind, client.ID, client.Airflow, client.Connection = identity.AppIdentity, "77b10000-0000-4000-8000-000000000000", "", ""
	client.Secret, client.ExpiresAt = identity.SecretFrom("handed-out-once"), &ends
	bound.Client = &client
	return bound
}

// world is a broker over HTTP with everything that it said.
type world struct {
	t      *testing.T
	core   *core
	server *httptest.Server
	log    *lockedBuffer
	ready  error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func testCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	plan := func(id identity.PlanID, name string, environment identity.EnvironmentName) catalog.Plan {
		return catalog.Plan{
			ID: id, Name: name, Description: "Identities of " + name, Environment: environment,
			DefaultAuthorities: []identity.Authority{"orders.read"},
			Allow: catalog.Allow{
				Authorities:   []string{"orders.*", "{{org}}.{{space}}.*"},
				ConnectionIDs: []string{"{{org}}_*"},
			},
			TokenLifetime: catalog.TokenLifetime{Default: 10 * time.Minute, Maximum: 30 * time.Minute},
		}
	}
	prod, dev := plan(prodPlan, "prod", "prod"), plan(devPlan, "dev", "dev")
	small, old := plan(smallPlan, "small", "prod"), plan(oldPlan, "old", "prod")
	prod.AppClient = catalog.AppClient{Allowed: true, Maximum: 720 * time.Hour}
	prod.Quota = catalog.Quota{InstancesPerSpace: 20, BindingsPerInstance: 50}
	small.Allow.Authorities = []string{"orders.read"}
	small.Rotation.Period = 2 * time.Hour
	old.Retired = true
	c, err := catalog.New(catalog.Offering{ID: serviceID}, []catalog.Plan{prod, dev, small, old})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newWorld(t *testing.T, core *core) *world {
	t.Helper()
	w := &world{t: t, core: core, log: &lockedBuffer{}}
	handler, err := w.handler(testCatalog(t))
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(handler)
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) handler(catalog *catalog.Catalog) (http.Handler, error) {
	return New(Config{
		Catalog: catalog,
		Engine:  w.core,
		Credentials: []Credential{
			{User: "cloud-controller", Password: identity.SecretFrom("first-password")},
			{User: "cloud-controller-2", Password: identity.SecretFrom("second-password")},
		},
		Environments: map[identity.EnvironmentName]identity.AirflowURL{"prod": "https://airflow.example.com"},
		Ready:        func(context.Context) error { return w.ready },
		Logger:       slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("got Content-Type %q for %s, want application/json", got, r.body)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(r.body), &object); err != nil {
		t.Fatalf("the body is not a JSON object: %v: %s", err, r.body)
	}
	return object
}

func (r reply) word(t *testing.T) string        { return text(r.object(t)["error"]) }
func (r reply) description(t *testing.T) string { return text(r.object(t)["description"]) }

func text(value any) string {
	s, _ := value.(string)
	return s
}

// send asks as Cloud Controller does. Headers come in pairs; one with the value
// "-" is left out.
func (w *world) send(method, path, body string, headers ...string) reply {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, w.server.URL+path, content)
	if err != nil {
		w.t.Fatal(err)
	}
	r.SetBasicAuth("cloud-controller", "first-password")
	r.Header.Set("X-Broker-Api-Version", "2.15")
	r.Header.Set("X-Broker-Api-Request-Identity", "7e57c0de-0000-4000-8000-000000000000")
	r.Header.Set("X-Broker-Api-Originating-Identity", originating("cloudfoundry", `{"user_id":"u-1"}`))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "-" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.server.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(said)}
}

func originating(platform, object string) string {
	return platform + " " + base64.StdEncoding.EncodeToString([]byte(object))
}

// with changes a request's body: nil takes a field out.
func with(body map[string]any, changes ...any) string {
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == nil {
			delete(body, changes[i].(string))
			continue
		}
		body[changes[i].(string)] = changes[i+1]
	}
	marshalled, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("marshalling a request: %v", err))
	}
	return string(marshalled)
}

func provisionBody(changes ...any) string {
	return with(map[string]any{
		"service_id": serviceID, "plan_id": prodPlan, "organization_guid": org, "space_guid": space,
		"context": map[string]any{
			"platform": "cloudfoundry", "organization_guid": org, "organization_name": "acme",
			"space_guid": space, "space_name": "dev", "instance_name": "orders",
			"organization_annotations": map[string]any{"prefix/key": "value"},
		},
		"maintenance_info": map[string]any{},
	}, changes...)
}

func bindBody(changes ...any) string {
	return with(map[string]any{
		"service_id": serviceID, "plan_id": prodPlan, "app_guid": "app-1",
		"bind_resource": map[string]any{"app_guid": "app-1", "space_guid": space, "app_annotations": map[string]any{}},
		"context":       map[string]any{"platform": "cloudfoundry", "space_guid": space, "space_name": "someone-elses-name", "organization_name": "someone-elses-org"},
	}, changes...)
}

func updateBody(changes ...any) string {
	return with(map[string]any{
		"service_id":      serviceID,
		"previous_values": map[string]any{"plan_id": prodPlan, "service_id": serviceID, "organization_id": org, "space_id": space, "maintenance_info": nil},
		"context": map[string]any{
			"platform": "cloudfoundry", "organization_guid": org, "organization_name": "acme",
			"space_guid": space, "space_name": "dev", "instance_name": "orders",
		},
	}, changes...)
}

type object = map[string]any
