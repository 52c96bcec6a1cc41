//go:build unix

package real

import (
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
		"AIRFLOW__WEBSERVER__UPDATE_FAB_PERMS=False", // the roles are in the database
	}, nil
}

// airflow2Users adds a login in the role Op. `airflow users create` knows no such role
// before a web server was started once.
const airflow2Users = `
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    manager = builder.sm
    manager.sync_roles()
    assert manager.add_user("broker", "broker", "e2e", "broker@example.org", manager.find_role("Op"), "replaced at each start")
`

// airflow2Rename makes it ours. It leaves Airflow out, whose import alone takes seconds.
const airflow2Rename = `
import os, sqlite3
from werkzeug.security import generate_password_hash
with sqlite3.connect(os.environ["AIRFLOW_HOME"] + "/airflow.db") as database:
    changed = database.execute("UPDATE ab_user SET username = ?, password = ?",
        (os.environ["NEW_USER"], generate_password_hash(os.environ["NEW_PASSWORD"])))
    assert changed.rowcount == 1, changed.rowcount
`

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
