package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"airflow-identity/integration/standin"

	"github.com/jackc/pgx/v5"
)

func operator(ctx context.Context, t *story, c *cast) error {
	if err := killedInMidRotation(ctx, t, c); err != nil {
		return err
	}
	if err := killedInMidBind(ctx, t, c); err != nil {
		return err
	}
	if err := retired(ctx, t, c); err != nil {
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
	prod := c.environments["prod"]
	killed := make(chan struct{})
	prod.airflow.faults.Add(standin.Fault{
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
	clients, connections := prod.uaa.made(), prod.airflow.made()
	for _, made := range []map[string]int{clients, connections} {
		for id, n := range made {
			if n != 1 {
				return fmt.Errorf("%s was made %d times", id, n)
			}
		}
	}
	t.say("in prod: %d clients and %d connections, each made once", len(clients), len(connections))
	return nil
}

func nothingLeft(ctx context.Context, t *story, c *cast) error {
	if _, status, err := c.kept.token(ctx); err != nil || status != 401 {
		return fmt.Errorf("the secret that a task kept is answered with %d %w, want 401", status, err)
	}
	t.say("the secret that a task has kept: 401")
	for name, env := range c.environments {
		clients, err := env.clients(ctx)
		if err != nil {
			return err
		}
		connections, err := env.connections(ctx)
		if err != nil {
			return err
		}
		if len(clients)+len(connections) > 0 {
			return fmt.Errorf("%s still has clients %q and connections %q", name, clients, connections)
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
		(SELECT count(*) FROM identity WHERE coalesce(secret, candidate, old) IS NOT NULL), (SELECT count(*) FROM event)`).Scan(&live, &secrets, &events)
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
	all, found := append(own, c.heardSecrets()...), 0
	for _, secret := range all {
		if strings.Contains(string(searched), secret) {
			found++
		}
	}
	t.say("secrets of the story: %d; found in %d bytes of logs and events: %d", len(all), len(searched), found)
	if found > 0 {
		return errors.New("a secret is in the logs or events")
	}
	return nil
}
