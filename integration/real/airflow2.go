//go:build unix

package real

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// Airflow 2's API is part of its web server, and its users are rows that Basic
// logins are compared with, at every call.

func airflow2Settings(a *Airflow, port int) ([]string, error) {
	return []string{
		"AIRFLOW__API__AUTH_BACKENDS=airflow.api.auth.backend.basic_auth",
		"AIRFLOW__WEBSERVER__BASE_URL=" + a.URL,
		"AIRFLOW__WEBSERVER__SECRET_KEY=" + random(),
		"AIRFLOW__WEBSERVER__WEB_SERVER_HOST=127.0.0.1",
		"AIRFLOW__WEBSERVER__WEB_SERVER_PORT=" + strconv.Itoa(port),
		"AIRFLOW__WEBSERVER__WORKERS=1",
		// Else gunicorn opens a socket in the home folder, one for all its instances.
		"GUNICORN_CMD_ARGS=--no-control-socket",
	}, nil
}

// airflow2Users adds the broker's login. `airflow users create` knows no role Op
// before a web server was started once.
const airflow2Users = `
import os
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    manager, user = builder.sm, os.environ["NEW_USER"]
    manager.sync_roles()
    assert manager.add_user(user, user, "e2e", user + "@example.org", manager.find_role("Op"), os.environ["NEW_PASSWORD"])
`

func airflow2Prepare(ctx context.Context, a *Airflow) error {
	if _, err := a.RunCLI(ctx, nil, "db", "migrate"); err != nil {
		return err
	}
	if _, err := a.RunPython(ctx, airflow2Users, "NEW_USER="+a.User, "NEW_PASSWORD="+a.Password); err != nil {
		return fmt.Errorf("add the user: %w", err)
	}
	return nil
}

// The web server's master and worker are in its process group, and end with it.
func airflow2Serve(a *Airflow) []string {
	return []string{"webserver", "--pid", filepath.Join(a.dir, "webserver.pid")}
}
