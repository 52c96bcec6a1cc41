package main

import (
	"context"
	"fmt"
	"os"
)

// cast is who plays in the demo.
type cast struct {
	stage         *stage
	pace          pace
	program       string // this one
	first, second *demoBroker
	environments  map[string]*demoEnvironment
	orders        *ordersAPI // prod's

	kept taskConnection // what a task has read and not let go
}

func (c *cast) enter(ctx context.Context) (err error) {
	if c.environments, err = relayed(c.stage); err != nil {
		return err
	}
	if c.program, err = os.Executable(); err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if c.first, err = startBroker(ctx, c.stage, c.program, "broker-1"); err != nil {
		return err
	}
	if c.second, err = startBroker(ctx, c.stage, c.program, "broker-2"); err != nil {
		return err
	}
	c.orders, err = startOrdersAPI(ctx, c.environments["prod"].client.Host)
	return err
}

// heardSecrets is every secret that went over the wire to a UAA.
func (c *cast) heardSecrets() (all []string) {
	for _, env := range c.environments {
		for _, secrets := range env.uaa.secrets() {
			all = append(all, secrets...)
		}
	}
	return all
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
	closeRelays(c.environments)
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
