//go:build e2e

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/cloudcontroller"
	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/integration/real"
	"airflow-identity/store"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/jackc/pgx/v5/pgxpool"
)

// fetchToken is a task of a DAG, as its author writes it. It writes down what it
// got, since Airflow masks what a task prints; the password only so that the test
// can try it after it was taken away.
const fetchToken = `
import json
from airflow.providers.http.hooks.http import HttpHook
token = HttpHook("POST", http_conn_id="CONNECTION").run(data={"grant_type": "client_credentials"}).json()["access_token"]
kept = HttpHook.get_connection("CONNECTION")
json.dump({"token": token, "login": kept.login, "password": kept.password, "host": kept.host}, open("KEPT", "w"))
`

// TestE2EMainJob is the main job on a real UAA and every real Airflow, by the real
// program: provision, bind, a token through the registered connection by Airflow's
// own HttpHook, the token checked by UAA, unbind, and all of it gone.
func TestE2EMainJob(t *testing.T) {
	t.Parallel()
	for _, version := range real.Versions(real.AirflowSystem) {
		t.Run("Airflow "+version, func(t *testing.T) {
			t.Parallel()
			mainJob(t, version)
		})
	}
}

func mainJob(t *testing.T, version string) {
	began := time.Now()
	lap := func(what string) {
		t.Logf("%6.2fs  %s", time.Since(began).Seconds(), what)
		began = time.Now()
	}
	uaa, airflow := sharedReal(t, version)
	lap("a real UAA and a real Airflow " + version + " are up")
	p := realBroker(t, uaa, airflow, 40*time.Second)
	lap("the broker is ready")

	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	lap("provision")
	bound := p.bind("i1", "b1", "app-1", object{"authorities": []string{"orders.read"}})
	want(t, bound, http.StatusCreated, "bind")
	lap("bind")
	if got := connectionOf(bound); got != "acme_orders" {
		t.Fatalf("connection id: got %q, want acme_orders", got)
	}
	credentials := bound.body["credentials"].(map[string]any)
	if credentials["issuer"] != uaa.URL+"/oauth/token" || credentials["jwks_url"] != uaa.URL+"/token_keys" {
		t.Errorf("credentials: issuer %v, keys %v, want those of %s", credentials["issuer"], credentials["jwks_url"], uaa.URL)
	}
	want(t, p.bind("i1", "b1", "app-1", object{"authorities": []string{"orders.read"}}), http.StatusOK, "the same bind")

	kept := runTask(t, airflow, "acme_orders")
	lap("a token by Airflow's own HttpHook")
	status, checked := postForm(t, uaa.URL+"/check_token", uaa.Broker.ID, uaa.Broker.Secret, url.Values{"token": {kept.Token}})
	if status != http.StatusOK {
		t.Fatalf("check_token: got %d %v, want 200", status, checked)
	}
	if got := texts(checked["authorities"]); !slices.Equal(got, []string{"orders.read"}) {
		t.Errorf("authorities of the token: got %v, want exactly orders.read", got)
	}
	verifyAsAnAPI(t, uaa.URL+"/oauth/token", kept.Token)
	lap("the token is accepted by check_token, and by an API that verifies it offline")

	connection := airflowGet(t, airflow, "acme_orders")
	marker, found := identity.ParseMarker(connection.description)
	if connection.status != http.StatusOK || !found || string(marker.Identity.ClientID()) != kept.Login {
		t.Errorf("connection in Airflow: %d %q, want one whose marker names the client", connection.status, connection.description)
	}
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	lap("unbind")
	if gone := airflowGet(t, airflow, "acme_orders"); gone.status != http.StatusNotFound {
		t.Errorf("connection after unbind: Airflow answers %d, want 404", gone.status)
	}
	if status := clientStatus(t, uaa, kept.Login); status != http.StatusNotFound {
		t.Errorf("client after unbind: UAA answers %d, want 404", status)
	}
	if status, body := postForm(t, uaa.URL+"/check_token", uaa.Broker.ID, uaa.Broker.Secret, url.Values{"token": {kept.Token}}); status != http.StatusBadRequest {
		t.Errorf("the token after unbind: check_token answers %d %v, want 400", status, body)
	}
	if status := tokenStatus(kept.Host, kept.Login, kept.Password); status != http.StatusUnauthorized {
		t.Errorf("the secret after unbind: UAA answers %d, want 401", status)
	}
	want(t, p.unbind("i1", "b1"), http.StatusGone, "unbind again")
	want(t, p.deprovision("i1"), http.StatusOK, "deprovision")
	for what, secret := range map[string]string{
		"the client's secret": kept.Password, "the token": kept.Token, "the broker's own secret": uaa.Broker.Secret, "Airflow's password": airflow.Password,
	} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("%s is in the log", what)
		}
	}
}

// realBroker is the real program before the real systems.
func realBroker(t *testing.T, uaa *real.UAA, airflow *real.Airflow, budget time.Duration) *program {
	t.Helper()
	return startBroker(t, uaa, airflow, realConfig(uaa, airflow, 10*time.Second, budget, ""))
}

// realConfig is what an operator would write for an Airflow of this version; which API
// it has is found out. settings are more of the plan's.
func realConfig(uaa *real.UAA, airflow *real.Airflow, timeout, budget time.Duration, settings string) string {
	return fmt.Sprintf(`offering: {id: %s}
sealing_keyset: env:SEALING_KEYSET
budget: %s
environments:
  prod:
    uaa: {url: %s, client_id: airflow-identity, client_auth: {secret: env:UAA_SECRET}, timeout: %s}
    airflow: {url: %s, auth: {kind: %s, username: %s, password: env:AIRFLOW_PASSWORD}, timeout: %s}
plans:
- id: %s
  name: prod
  environment: prod
  description: identities for production DAGs
  app_client: {allowed: true}
  default_authorities: [orders.read]
  allow: {authorities: ["orders.*", "{{org}}.{{space}}.*"], connection_ids: ["{{org}}_*", "orders_*"]}
  %s
`, offeringID, budget, uaa.URL, timeout, airflow.URL, airflow.Login, airflow.User, timeout, prodPlan, settings)
}

// startBroker starts the real program on a database of its own.
func startBroker(t *testing.T, uaa *real.UAA, airflow *real.Airflow, config string) *program {
	t.Helper()
	database := pgtest.New(t)
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	keyset, err := store.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, &safeBuffer{}, config, brokerEnvironment(database, keyset.Reveal(), uaa.Broker.Secret, airflow.Password)...)
	p.platform = &platform{w: &world{t: t, leaks: &leaks{}, pool: pool}, base: p.url()}
	p.start()
	return p
}

// TestE2ECloudFoundry types the cf CLI's commands into a faithful Cloud Controller
// in front of the real program, a real UAA and a real Airflow. What a person would
// see afterwards is asked of the real systems.
func TestE2ECloudFoundry(t *testing.T) {
	t.Parallel()
	uaa, airflow := sharedReal(t, newestAirflow())
	k, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	inTime := realBroker(t, uaa, airflow, 40*time.Second)
	for _, version := range cloudcontroller.Versions {
		cfStory(t, realPlatform(t, inTime, version, k), uaa, airflow, true)
	}
	// With a budget that no bind meets, everything goes on behind a 202.
	hurried := realBroker(t, uaa, airflow, 60*time.Millisecond)
	u := realPlatform(t, hurried, "2.15", k)
	cfStory(t, u, uaa, airflow, false)
	behind := 0
	for _, e := range u.Exchanges() {
		if e.Status == http.StatusAccepted {
			behind++
		}
	}
	t.Logf("answered with 202: %d", behind)
	// What is purged is not told to the broker: it keeps what it has.
	u = realPlatform(t, inTime, "2.15", k)
	u.ok(u.CreateService(t.Context(), offeringName, "prod", "purged", nil), "cf create-service")
	u.ok(u.BindService(t.Context(), "etl", "purged", cloudcontroller.Bind{}), "cf bind-service")
	asked := len(u.Exchanges())
	u.PurgeServiceInstance("purged")
	if got := len(u.Exchanges()); got != asked {
		t.Errorf("cf purge-service-instance asked the broker %d times", got-asked)
	}
	if kept := airflowGet(t, airflow, cfOrgName+"_purged"); kept.status != http.StatusOK {
		t.Errorf("the connection of what was purged: Airflow answers %d, want 200", kept.status)
	}
	if behind == 0 {
		t.Error("nothing went on behind a 202: nothing was tested")
	}
}

// cfOrgName keeps its default connection ids apart from those of other tests, which
// share the Airflow.
const cfOrgName = "skyline"

// realPlatform is a Cloud Controller whose clock leaps only once the broker has
// done what it can.
func realPlatform(t *testing.T, p *program, version string, k *cloudcontroller.Contract) *cf {
	t.Helper()
	clock := cloudcontroller.NewLeap()
	clock.Leapt = func(ctx context.Context, _ time.Duration) error {
		// The broker's clock is the real one, so what is due later is waited for.
		if !p.w.settle() {
			t.Errorf("the broker does not come to rest: %s", p.w.restless())
		}
		return ctx.Err()
	}
	cc, err := cloudcontroller.New(cloudcontroller.Config{
		URL: p.url(), User: brokerUser, Password: brokerPass, APIVersion: version, Clock: clock,
		Contract: k, Report: func(finding string) { t.Errorf("the contract: %s", finding) },
		Org: cloudcontroller.Place{GUID: org, Name: cfOrgName}, Space: cloudcontroller.Place{GUID: space, Name: spaceName},
		UserGUID: "user-guid-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	u := &cf{cc, t, p.w}
	u.ok(u.CreateServiceBroker(t.Context()), "cf create-service-broker")
	return u
}

// cfStory is typed once. inTime: the broker answers binds within its budget.
func cfStory(t *testing.T, u *cf, uaa *real.UAA, airflow *real.Airflow, inTime bool) {
	t.Helper()
	ctx := t.Context()
	// do types a command and waits for what goes on behind it, as cf --wait does.
	do := func(err error, what string) {
		t.Helper()
		u.ok(err, what)
		u.work()
	}
	const connection = "orders_nightly" // before 2.15 no names are told, and the default is one of guids
	do(u.CreateService(ctx, offeringName, "prod", "orders", object{"authorities": []string{"orders.read", "orders.write"}}), "cf create-service")
	do(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{Parameters: object{"connection_id": connection}}), "cf bind-service")
	kept := runTask(t, airflow, connection)
	if got := authoritiesAtUAA(t, uaa, kept.Token); !slices.Equal(got, []string{"orders.read", "orders.write"}) {
		t.Errorf("the token's authorities: got %v, want read and write", got)
	}
	do(u.CreateServiceKey(ctx, "orders", "ci", object{"airflow": false, "app_client": true, "expires_in": "1h", "authorities": []string{"orders.write"}}), "cf create-service-key")
	key, err := u.ServiceKey("orders", "ci")
	u.ok(err, "cf service-key")
	endpoint, _ := key["token_url"].(string)
	id, _ := key["client_id"].(string)
	secret, _ := key["client_secret"].(string)
	if status := tokenStatus(endpoint, id, secret); status != http.StatusOK {
		t.Errorf("the key's client: UAA answers %d, want 200", status)
	}

	do(u.UpdateService(ctx, "orders", "", read), "cf update-service")
	if got := authoritiesAtUAA(t, uaa, runTask(t, airflow, connection).Token); !slices.Equal(got, []string{"orders.read"}) {
		t.Errorf("the token's authorities after the update: got %v, want orders.read", got)
	}
	if status, _ := postForm(t, uaa.URL+"/check_token", uaa.Broker.ID, uaa.Broker.Secret, url.Values{"token": {kept.Token}}); status != http.StatusBadRequest {
		t.Errorf("a token from before the narrowing: check_token answers %d, want 400", status)
	}
	// The same app once more joins the connection, which outlives the older binding.
	do(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{Multiple: true, Parameters: object{"app_client": true}}), "cf bind-service --strategy multiple")
	do(u.CleanupOutdatedServiceBindings(ctx, "etl", 1), "cf cleanup-outdated-service-bindings")
	if got := authoritiesAtUAA(t, uaa, runTask(t, airflow, connection).Token); !slices.Equal(got, []string{"orders.read"}) {
		t.Errorf("the token's authorities after the older binding went: got %v, want orders.read", got)
	}
	u.fails(u.UpgradeService(ctx, "orders"), cloudcontroller.Refused, "cf upgrade-service, of a plan without maintenance_info")
	u.fails(u.BindService(ctx, "sneaky", "orders", cloudcontroller.Bind{Parameters: object{"authorities": []string{"uaa.admin"}}}),
		cloudcontroller.RequestRejected, "cf bind-service with too much")
	do(u.UnbindService(ctx, "sneaky", "orders"), "cf unbind-service of a bind that was refused")
	do(u.RenameService(ctx, "orders", "renamed"), "cf rename-service")
	if inTime {
		// A push binds at once, and does not let the broker take its time.
		do(u.Push(ctx, "pushed", "renamed"), "cf push with services in the manifest")
		do(u.DeleteApp(ctx, "pushed"), "cf delete APP")
	}
	do(u.DeleteServiceKey(ctx, "renamed", "ci"), "cf delete-service-key")
	if status := tokenStatus(endpoint, id, secret); status != http.StatusUnauthorized {
		t.Errorf("the key's client after cf delete-service-key: UAA answers %d, want 401", status)
	}
	if !inTime {
		// Cloud Controller deletes no service whose unbinding takes its time.
		do(u.UnbindService(ctx, "etl", "renamed"), "cf unbind-service")
	}
	do(u.DeleteService(ctx, "renamed"), "cf delete-service")
	if gone := airflowGet(t, airflow, connection); gone.status != http.StatusNotFound {
		t.Errorf("the connection after cf delete-service: Airflow answers %d, want 404", gone.status)
	}
	if status := clientStatus(t, uaa, kept.Login); status != http.StatusNotFound {
		t.Errorf("the client after cf delete-service: UAA answers %d, want 404", status)
	}
}

func authoritiesAtUAA(t *testing.T, uaa *real.UAA, token string) []string {
	t.Helper()
	status, checked := postForm(t, uaa.URL+"/check_token", uaa.Broker.ID, uaa.Broker.Secret, url.Values{"token": {token}})
	if status != http.StatusOK {
		t.Errorf("check_token: got %d %v, want 200", status, checked)
	}
	return slices.Sorted(slices.Values(texts(checked["authorities"])))
}

// keptByTask is what a task got hold of.
type keptByTask struct{ Token, Login, Password, Host string }

func runTask(t *testing.T, airflow *real.Airflow, connection string) (kept keptByTask) {
	t.Helper()
	path := filepath.Join(airflow.Dir(), "kept-"+connection+".json") // tests share the folder
	if out, err := airflow.RunPython(t.Context(), strings.NewReplacer("KEPT", path, "CONNECTION", connection).Replace(fetchToken)); err != nil {
		t.Fatalf("running a task: %v\n%s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	return kept
}

// verifyAsAnAPI verifies signature, iss, aud and exp, as the README tells APIs to.
func verifyAsAnAPI(t *testing.T, issuer, token string) {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatalf("discovery of the real UAA: %v", err)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "orders"}).Verify(t.Context(), token); err != nil {
		t.Errorf("an API for orders refuses the token: %v", err)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "billing"}).Verify(t.Context(), token); err == nil {
		t.Error("an API for billing accepts the token, whose audience is orders")
	}
}

func texts(list any) []string {
	values, _ := list.([]any)
	var texts []string
	for _, value := range values {
		text, _ := value.(string)
		texts = append(texts, text)
	}
	return texts
}

func send(t *testing.T, request *http.Request) (int, map[string]any) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body map[string]any
	_ = json.NewDecoder(response.Body).Decode(&body) // UAA's 404 has no body
	return response.StatusCode, body
}

func postForm(t *testing.T, target, user, password string, form url.Values) (int, map[string]any) {
	t.Helper()
	return send(t, formRequest(t, target, user, password, form))
}

func formRequest(t *testing.T, target, user, password string, form url.Values) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(user, password)
	return request
}

func clientStatus(t *testing.T, uaa *real.UAA, id string) int {
	t.Helper()
	_, answer := postForm(t, uaa.URL+"/oauth/token", uaa.Admin.ID, uaa.Admin.Secret, url.Values{"grant_type": {"client_credentials"}})
	token, _ := answer["access_token"].(string)
	status, _ := send(t, bearer(t, uaa.URL+"/oauth/clients/"+id, token))
	return status
}

type airflowConnection struct {
	status      int
	description string
}

// airflowGet reads a connection as the broker's user, past the broker.
func airflowGet(t *testing.T, airflow *real.Airflow, id string) airflowConnection {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, airflow.URL+"/api/"+airflow.API+"/connections/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	switch airflow.Login {
	case "basic":
		request.SetBasicAuth(airflow.User, airflow.Password)
	case "password":
		request.Header.Set("Authorization", "Bearer "+airflowToken(t, airflow))
	default:
		t.Fatalf("a login of kind %q", airflow.Login)
	}
	status, body := send(t, request)
	description, _ := body["description"].(string)
	return airflowConnection{status, description}
}

func airflowToken(t *testing.T, airflow *real.Airflow) string {
	t.Helper()
	login, err := json.Marshal(map[string]string{"username": airflow.User, "password": airflow.Password})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, airflow.URL+"/auth/token", strings.NewReader(string(login)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	_, answer := send(t, request)
	token, _ := answer["access_token"].(string)
	return token
}

func bearer(t *testing.T, target, token string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	return request
}
