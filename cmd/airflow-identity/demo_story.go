package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"airflow-identity/integration/standin"
)

// cast is who plays in the demo.
type cast struct {
	stage         *stage
	program       string // this one
	first, second *demoBroker
	orders        *ordersAPI // prod's

	kept taskConnection // what a task has read and not let go

	mu      sync.Mutex
	secrets []string // every secret that went over the wire
}

func (c *cast) enter(ctx context.Context) (err error) {
	c.listen()
	if c.program, err = os.Executable(); err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if c.first, err = startBroker(ctx, c.stage, c.program, "broker-1"); err != nil {
		return err
	}
	if c.second, err = startBroker(ctx, c.stage, c.program, "broker-2"); err != nil {
		return err
	}
	c.orders, err = startOrdersAPI(ctx, c.stage.environments["prod"].uaa.Issuer())
	return err
}

// listen remembers every secret that is sent to a UAA, to search for it later.
func (c *cast) listen() {
	for _, env := range c.stage.environments {
		env.uaa.Faults.Add(standin.Fault{Match: func(r *http.Request, body []byte) bool {
			var sent struct {
				First  string `json:"client_secret"` // of a client that is made
				Second string `json:"secret"`        // of one that gets another
			}
			if strings.HasPrefix(r.URL.Path, "/oauth/clients/") && json.Unmarshal(body, &sent) == nil {
				c.heard(sent.First + sent.Second)
			}
			return false
		}})
	}
}

func (c *cast) heard(secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if secret != "" && !slices.Contains(c.secrets, secret) {
		c.secrets = append(c.secrets, secret)
	}
}

func (c *cast) heardSecrets() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.secrets)
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

// storyConnection is what bind-service of orders registers in Airflow.
const storyConnection = "acme_orders"

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
