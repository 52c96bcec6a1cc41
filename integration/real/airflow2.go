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

func airflow2Settings(a *Airflow, _ int) ([]string, error) {
	return []string{
		"AIRFLOW__API__AUTH_BACKENDS=airflow.api.auth.backend.basic_auth",
		"AIRFLOW__WEBSERVER__BASE_URL=" + a.URL,
		"AIRFLOW__WEBSERVER__SECRET_KEY=" + random(),
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

// airflow2Serve starts gunicorn as `airflow webserver` does, and not that command:
// it watches gunicorn's children, takes any passing one for a worker, and then sends a
// signal that stops a gunicorn which is still loading. A busy machine is enough for it.
// Master and worker share a process group, and end together.
func airflow2Serve(a *Airflow, port int) []string {
	return []string{
		"-m", "gunicorn", "--workers", "1", "--timeout", "120", "--bind", "127.0.0.1:" + strconv.Itoa(port),
		"--pid", filepath.Join(a.dir, "webserver.pid"), "--config", "python:airflow.www.gunicorn_config",
		"--no-control-socket", // else one in the home folder, for all that run there
		"--preload", "airflow.www.app:cached_app()",
	}
}
