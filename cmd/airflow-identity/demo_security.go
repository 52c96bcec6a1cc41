package main

import (
	"context"
	"fmt"
	"net/http"
)

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
	task, err := c.environments["dev"].readAsTask(ctx, storyConnection)
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
