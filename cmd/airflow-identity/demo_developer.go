package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

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
	if !slices.Contains(c.environments["prod"].uaa.secrets()[client.Login], client.Password) {
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
