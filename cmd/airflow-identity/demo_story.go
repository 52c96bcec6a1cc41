package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"airflow-identity/integration/standin"

	"github.com/jackc/pgx/v5"
)

// cast is who plays in the demo.
type cast struct {
	stage         *stage
	first, second *demoBroker
	orders        *ordersAPI // prod's

	secrets []string // every secret that went over the wire
	kept    taskConnection
}

func (c *cast) enter(ctx context.Context) (err error) {
	c.listen()
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if c.first, err = startBroker(ctx, c.stage, program, "broker-1"); err != nil {
		return err
	}
	if c.second, err = startBroker(ctx, c.stage, program, "broker-2"); err != nil {
		return err
	}
	c.orders, err = startOrdersAPI(ctx, c.stage.environments["prod"].uaa.Issuer())
	return err
}

// listen remembers every secret that is sent to a UAA, to search for it later.
func (c *cast) listen() {
	for _, env := range c.stage.environments {
		env.uaa.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Match: func(_ *http.Request, body []byte) bool {
			var client struct {
				Secret string `json:"client_secret"`
			}
			if json.Unmarshal(body, &client) == nil {
				c.secrets = append(c.secrets, client.Secret)
			}
			return false
		}})
	}
}

func (c *cast) close() {
	for _, b := range []*demoBroker{c.first, c.second} {
		if b != nil {
			b.stop()
		}
	}
	if c.orders != nil {
		c.orders.close()
	}
}

type act struct {
	who  string
	play func(ctx context.Context, t *story, c *cast) error
}

var acts = []act{
	{"The developer", developer},
	{"The DAG author", dagAuthor},
	{"The security officer", securityOfficer},
	{"The operator", operator},
}

// The platform's ids in the story.
const (
	storyOrg   = "b1a7a8a6-org"
	storySpace = "c2b8b9b7-space"
)

func (c *cast) create(plan, name string, parameters any) (string, map[string]any) {
	return "/v2/service_instances/" + name + "-" + plan, map[string]any{
		"service_id": c.stage.state.Offering, "plan_id": c.stage.state.Plans[plan],
		"organization_guid": storyOrg, "space_guid": storySpace, "parameters": parameters,
		"context": map[string]any{
			"platform": "cloudfoundry", "organization_guid": storyOrg, "organization_name": "acme",
			"space_guid": storySpace, "space_name": "etl", "instance_name": name,
		},
	}
}

func (c *cast) bind(plan, name, app string, parameters any) (string, map[string]any) {
	return "/v2/service_instances/" + name + "-" + plan + "/service_bindings/" + app, map[string]any{
		"service_id": c.stage.state.Offering, "plan_id": c.stage.state.Plans[plan], "parameters": parameters,
		"context":       map[string]any{"platform": "cloudfoundry", "organization_guid": storyOrg, "space_guid": storySpace},
		"bind_resource": map[string]any{"app_guid": app, "space_guid": storySpace},
	}
}

func (c *cast) ids(plan string) string {
	return "?service_id=" + c.stage.state.Offering + "&plan_id=" + c.stage.state.Plans[plan]
}

// expect is a call whose status is part of the story.
func expect(status int) func(int, map[string]any, error) (map[string]any, error) {
	return func(got int, body map[string]any, err error) (map[string]any, error) {
		if err != nil {
			return nil, err
		}
		if got != status {
			return nil, fmt.Errorf("the answer was %d %v, want %d", got, body, status)
		}
		return body, nil
	}
}

func developer(ctx context.Context, t *story, c *cast) error {
	t.cf("cf marketplace -e airflow-identity")
	catalog, err := expect(200)(c.first.call(ctx, http.MethodGet, "/v2/catalog", nil))
	if err != nil {
		return err
	}
	t.say("plans: %s", strings.Join(planNames(catalog), ", "))

	t.cf(`cf create-service airflow-identity prod orders -c '{"authorities":["orders.read","orders.write"]}'`)
	path, body := c.create("prod", "orders", map[string]any{"authorities": []string{"orders.read", "orders.write"}})
	if _, err := expect(201)(c.first.call(ctx, http.MethodPut, path, body)); err != nil {
		return err
	}
	t.say("201, and no remote system was touched")

	t.cf(`cf bind-service etl orders -c '{"authorities":["orders.read"]}'`)
	path, body = c.bind("prod", "orders", "etl", map[string]any{"authorities": []string{"orders.read"}})
	bound, err := expect(201)(c.first.call(ctx, http.MethodPut, path, body))
	if err != nil {
		return err
	}
	t.say("201; the app finds this in VCAP_SERVICES, and no secret in it:")
	credentials, err := json.MarshalIndent(bound["credentials"], "", "  ")
	if err != nil {
		return fmt.Errorf("printing the credentials: %w", err)
	}
	if strings.Contains(string(credentials), "secret") {
		return errors.New("there is a secret in the credentials")
	}
	t.show(strings.Split(string(credentials), "\n")...)
	if err := joining(ctx, t, c, bound["credentials"]); err != nil {
		return err
	}
	return clientOfItsOwn(ctx, t, c)
}

// joining binds an app once more: both bindings share what the first one made.
func joining(ctx context.Context, t *story, c *cast, first any) error {
	t.cf(`cf bind-service etl orders --strategy multiple --binding-name again -c '{"authorities":["orders.read"]}'`)
	path, body := c.bind("prod", "orders", "etl-again", map[string]any{"authorities": []string{"orders.read"}})
	body["bind_resource"] = map[string]any{"app_guid": "etl", "space_guid": storySpace}
	again, err := expect(201)(c.second.call(ctx, http.MethodPut, path, body))
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(again["credentials"], first) {
		return fmt.Errorf("the second binding of an app has other credentials: %v", again["credentials"])
	}
	t.say("201: the same app joins its connection, and the last one out takes it away")
	return nil
}

// clientOfItsOwn makes a service key with a client in it, and narrows it.
func clientOfItsOwn(ctx context.Context, t *story, c *cast) error {
	t.cf(`cf create-service-key orders ci -c '{"airflow":false,"app_client":true,"expires_in":"720h"}'`)
	path, body := c.bind("prod", "orders", "ci", map[string]any{"airflow": false, "app_client": true, "expires_in": "720h"})
	body["bind_resource"] = map[string]any{}
	bound, err := expect(201)(c.second.call(ctx, http.MethodPut, path, body))
	if err != nil {
		return err
	}
	credentials, _ := bound["credentials"].(map[string]any)
	text := func(key string) string { value, _ := credentials[key].(string); return value }
	client := taskConnection{text("token_url"), text("client_id"), text("client_secret")}
	if !slices.Contains(c.secrets, client.Password) {
		return errors.New("the key's secret is not the one that UAA was given")
	}
	t.say("201, with the one secret that is told, to whoever asked for it:")
	t.show("client_id      "+client.Login, "client_secret  "+strings.Repeat("•", 6), "expires_at     "+text("expires_at"))
	if err := client.mayDo(ctx, t, "orders.read orders.write"); err != nil {
		return err
	}

	t.cf(`cf update-service orders -c '{"authorities":["orders.read"]}'`)
	path, body = c.create("prod", "orders", map[string]any{"authorities": []string{"orders.read"}})
	if _, err := expect(200)(c.first.call(ctx, http.MethodPatch, path, body)); err != nil {
		return err
	}
	t.say("200; whatever lives in the instance is narrowed at once")
	return client.mayDo(ctx, t, "orders.read")
}

// mayDo asks UAA for a token, and holds what is in it to what it should be.
func (c taskConnection) mayDo(ctx context.Context, t *story, authorities string) error {
	token, status, err := c.token(ctx)
	if err != nil || status != 200 {
		return fmt.Errorf("the token request of %s came to %d %w", c.Login, status, err)
	}
	claims, err := decode(token)
	if err != nil {
		return err
	}
	if want := "authorities  " + authorities; !slices.Contains(claims, want) {
		return fmt.Errorf("%s holds %q, want %s", c.Login, claims, want)
	}
	t.say("UAA grants the key's client a token for %s", authorities)
	return nil
}

func planNames(catalog map[string]any) []string {
	var names []string
	services, _ := catalog["services"].([]any)
	for _, s := range services {
		service, _ := s.(map[string]any)
		plans, _ := service["plans"].([]any)
		for _, p := range plans {
			plan, _ := p.(map[string]any)
			names = append(names, fmt.Sprint(plan["name"]))
		}
	}
	return names
}

const dagSource = `@task
def count_orders():
    token = HttpHook("POST", http_conn_id="acme_orders").run(
        data={"grant_type": "client_credentials"}).json()["access_token"]
    ...`

func dagAuthor(ctx context.Context, t *story, c *cast) error {
	t.show(strings.Split(dagSource, "\n")...)
	airflow := c.stage.environments["prod"].airflow
	connection, found := airflow.Connection("acme_orders")
	if !found {
		return errors.New("there is no connection acme_orders in Airflow")
	}
	t.say("Airflow has the connection: %s %s, login %s", connection.ConnType, connection.Host, connection.Login)
	t.show(connection.Description)

	task, err := c.readAsTask(ctx, "prod", "acme_orders")
	if err != nil {
		return err
	}
	c.kept = task
	token, status, err := task.token(ctx)
	if err != nil || status != 200 {
		return fmt.Errorf("the task's token request came to %d %w", status, err)
	}
	claims, err := decode(token)
	if err != nil {
		return err
	}
	t.say("a task reads it and UAA grants a token:")
	t.show(claims...)
	answer, why, err := c.orders.get(ctx, token)
	if err != nil || answer != 200 {
		return fmt.Errorf("prod's orders API answered %d %s %w", answer, why, err)
	}
	t.say("prod's orders API verifies signature, iss, aud and exp against prod's UAA: 200")
	return nil
}

// taskConnection is a connection as a running task gets it.
type taskConnection struct {
	Host     string `json:"host"`
	Login    string `json:"login"`
	Password string `json:"password"`
}

// readAsTask reads a connection where Airflow's workers do.
func (c *cast) readAsTask(ctx context.Context, environment, id string) (taskConnection, error) {
	airflow := c.stage.environments[environment].airflow
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, airflow.URL()+"/execution/connections/"+url.PathEscape(id), nil)
	if err != nil {
		return taskConnection{}, fmt.Errorf("writing a request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+airflow.TaskToken())
	body, err := expect(200)(fetch(request))
	if err != nil {
		return taskConnection{}, fmt.Errorf("reading the connection as a task: %w", err)
	}
	text := func(key string) string { value, _ := body[key].(string); return value }
	return taskConnection{text("host"), text("login"), text("password")}, nil
}

// token asks for a token as the stock HttpHook does: a POST to the host as it
// stands, login and password as Basic credentials.
func (c taskConnection) token(ctx context.Context) (token string, status int, err error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Host, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, fmt.Errorf("writing a request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(c.Login, c.Password)
	status, body, err := fetch(request)
	token, _ = body["access_token"].(string)
	return token, status, err
}

// decode prints the claims that matter. Verifying is the API's business.
func decode(token string) ([]string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("decoding the token: %w", err)
	}
	var claims struct {
		Iss         string
		Aud         []string
		Authorities []string
		Exp         int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("decoding the token: %w", err)
	}
	slices.Sort(claims.Authorities)
	return []string{
		"iss          " + claims.Iss,
		"aud          " + strings.Join(claims.Aud, " "),
		"authorities  " + strings.Join(claims.Authorities, " "),
		"exp          in " + time.Until(time.Unix(claims.Exp, 0)).Round(time.Second).String(),
	}, nil
}

func securityOfficer(ctx context.Context, t *story, c *cast) error {
	t.cf(`cf bind-service hack orders -c '{"authorities":["orders.read,uaa.admin"]}'`)
	path, body := c.bind("prod", "orders", "hack", map[string]any{"authorities": []string{"orders.read,uaa.admin"}})
	refused, err := expect(400)(c.second.call(ctx, http.MethodPut, path, body))
	if err != nil {
		return err
	}
	t.say("400 %v: %v", refused["error"], refused["description"])

	t.cf(`cf bind-service hack orders -c '{"authorities":["clients.admin"]}'`)
	path, body = c.bind("prod", "orders", "hack", map[string]any{"authorities": []string{"clients.admin"}})
	if refused, err = expect(400)(c.second.call(ctx, http.MethodPut, path, body)); err != nil {
		return err
	}
	t.say("400 %v: %v", refused["error"], refused["description"])

	t.cf("cf create-service airflow-identity dev orders && cf bind-service etl orders")
	path, body = c.create("dev", "orders", nil)
	if _, err := expect(201)(c.second.call(ctx, http.MethodPut, path, body)); err != nil {
		return err
	}
	path, body = c.bind("dev", "orders", "etl-dev", nil)
	if _, err := expect(201)(c.second.call(ctx, http.MethodPut, path, body)); err != nil {
		return err
	}
	task, err := c.readAsTask(ctx, "dev", "acme_orders")
	if err != nil {
		return err
	}
	token, status, err := task.token(ctx)
	if err != nil || status != 200 {
		return fmt.Errorf("dev's token request came to %d %w", status, err)
	}
	answer, why, err := c.orders.get(ctx, token)
	if err != nil || answer != 401 {
		return fmt.Errorf("prod's API answered %d to dev's token %w", answer, err)
	}
	t.say("dev has its own acme_orders, and prod's API refuses its token: 401, %s", why)
	return nil
}

func operator(ctx context.Context, t *story, c *cast) error {
	if err := killedInMidBind(ctx, t, c); err != nil {
		return err
	}
	t.cf("cf unbind-service etl orders && cf delete-service orders")
	path, _ := c.bind("prod", "orders", "etl", nil)
	if _, err := expect(200)(c.second.call(ctx, http.MethodDelete, path+c.ids("prod"), nil)); err != nil {
		return err
	}
	t.say("200")
	for _, plan := range []string{"prod", "dev"} {
		path, _ := c.create(plan, "orders", nil)
		if _, err := expect(200)(c.second.call(ctx, http.MethodDelete, path+c.ids(plan), nil)); err != nil {
			return err
		}
	}
	t.say("200; what was still bound went with it, once nothing the killed broker had sent could still act")
	return nothingLeft(ctx, t, c)
}

// killedInMidBind kills the first broker while Airflow has its request and nobody
// will hear the reply.
func killedInMidBind(ctx context.Context, t *story, c *cast) error {
	prod := c.stage.environments["prod"]
	killed := make(chan struct{})
	prod.airflow.Faults.Add(standin.Fault{
		Call: "POST /api/v2/connections", Kind: standin.LoseAfter,
		After: func() { c.first.kill(); close(killed) },
	})
	t.cf("cf bind-service nightly orders   # and kill -9 of the broker that does it")
	path, body := c.bind("prod", "orders", "nightly", nil)
	if status, _, err := c.first.call(ctx, http.MethodPut, path, body); err == nil {
		return fmt.Errorf("the broker that was to be killed answered %d", status)
	}
	select {
	case <-killed:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.say("killed after Airflow had acted: UAA and Airflow have their requests, and no outcome is written")
	err := until(ctx, func() bool {
		status, _, err := c.second.call(ctx, http.MethodGet, path, nil)
		return err == nil && status == 200
	})
	if err != nil {
		return fmt.Errorf("the other broker did not take over: %w", err)
	}
	t.say("the other took over when the lease ended, looked, and found everything there")
	for id, n := range prod.uaa.Creates() {
		if n != 1 {
			return fmt.Errorf("client %s was made %d times", id, n)
		}
	}
	for id, n := range prod.airflow.Creates() {
		if n != 1 {
			return fmt.Errorf("connection %s was made %d times", id, n)
		}
	}
	t.say("in prod: %d clients and %d connections, each made once", len(prod.uaa.Creates()), len(prod.airflow.Creates()))
	return nil
}

func nothingLeft(ctx context.Context, t *story, c *cast) error {
	if _, status, err := c.kept.token(ctx); err != nil || status != 401 {
		return fmt.Errorf("the secret that a task kept is answered with %d %w, want 401", status, err)
	}
	t.say("the secret that a task has kept: 401")
	for name, env := range c.stage.environments {
		clients := slices.DeleteFunc(env.uaa.ClientIDs(), func(id string) bool { return id == stageClient })
		if len(clients)+len(env.airflow.ConnectionIDs()) > 0 {
			return fmt.Errorf("%s still has clients %q and connections %q", name, clients, env.airflow.ConnectionIDs())
		}
	}
	t.say("clients left: 0, connections left: 0")
	conn, err := pgx.Connect(ctx, c.stage.databaseURL())
	if err != nil {
		return fmt.Errorf("connecting to the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var live, secrets, events int
	err = conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM binding WHERE removed_at IS NULL),
		(SELECT count(*) FROM identity WHERE secret IS NOT NULL), (SELECT count(*) FROM event)`).Scan(&live, &secrets, &events)
	if err != nil {
		return fmt.Errorf("reading the rows: %w", err)
	}
	if live+secrets > 0 {
		return fmt.Errorf("%d bindings and %d sealed secrets are left in the rows", live, secrets)
	}
	t.say("bindings left in the rows: 0, sealed secrets: 0; events that tell what happened: %d", events)
	return searchLogs(ctx, t, c, conn)
}

// searchLogs looks for every secret of the story in all logs and events.
func searchLogs(ctx context.Context, t *story, c *cast, conn *pgx.Conn) error {
	logs, err := filepath.Glob(filepath.Join(c.stage.folder, "*.log"))
	if err != nil {
		return fmt.Errorf("finding the logs: %w", err)
	}
	var searched []byte
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading a log: %w", err)
		}
		searched = append(searched, text...)
	}
	var leaves []byte
	if err := conn.QueryRow(ctx, `SELECT string_agg(leaf, '\x0a'::bytea) FROM event`).Scan(&leaves); err != nil {
		return fmt.Errorf("reading the events: %w", err)
	}
	searched = append(searched, leaves...)
	own := []string{c.stage.state.Password, c.stage.state.UAASecret, c.stage.state.AirflowLogin, c.stage.state.Keyset}
	found := 0
	for _, secret := range append(own, c.secrets...) {
		if strings.Contains(string(searched), secret) {
			found++
		}
	}
	t.say("secrets of the story: %d; found in %d bytes of logs and events: %d", len(own)+len(c.secrets), len(searched), found)
	if found > 0 {
		return errors.New("a secret is in the logs or events")
	}
	return nil
}
