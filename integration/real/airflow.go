//go:build unix

package real

import (
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// AirflowConfig says how to start an Airflow. Every zero value does.
type AirflowConfig struct {
	// Version is one of Versions(AirflowSystem); "" means the newest.
	Version string
	// Cache is the folder that Install filled; "" means Cache().
	Cache string
	// Dir is the working folder, AIRFLOW_HOME, with the log; "" means a temporary one.
	Dir string
	// User is the broker's login in the role "op" ("Op" of Airflow 2), which may edit
	// connections; "" means "broker". An empty password means a random one.
	User, Password string
	// Env adds to its environment, or beats what is there: "AIRFLOW__CORE__…=value".
	Env []string
}

// Airflow is a running API server on SQLite. It has no scheduler and no worker: a
// DAG is run by RunCLI, a line of a task by RunPython.
type Airflow struct {
	*server
	Version        string
	API            string // as the broker's configuration calls it: "v1" of Airflow 2, "v2" of Airflow 3
	Login          string // its auth.kind there: "basic" of Airflow 2, "password" of Airflow 3
	URL            string
	User, Password string

	venv  string
	env   []string
	major major
}

// major is how a major version of Airflow is run.
type major struct {
	api, login string
	// settings are environment variables beside those that all versions share; files
	// that they name are written.
	settings func(a *Airflow, port int) ([]string, error)
	// users is a script that makes a login in a new database, rename one that gives it
	// $NEW_USER and $NEW_PASSWORD; "" where logins are not kept there.
	users, rename string
	serve         func(a *Airflow, port int) []string // arguments of its Python
	health        string                              // path that answers 200 once it is up
}

var majors = map[string]major{
	"2": {
		api: "v1", login: "basic", settings: airflow2Settings, health: "/health",
		users: airflow2Users, rename: airflow2Rename, serve: airflow2Serve,
	},
	"3": {
		api: "v2", login: "password", settings: airflow3Settings, health: "/api/v2/monitor/health",
		serve: airflow3Serve,
	},
}

func majorOf(version string) (major, error) {
	number, _, _ := strings.Cut(version, ".")
	how, known := majors[number]
	if !known {
		return major{}, fmt.Errorf("nobody has said how Airflow %s is run: add its major version to majors", number)
	}
	return how, nil
}

// StartAirflow starts an Airflow and returns when it answers, which takes some
// ten seconds. The context bounds the start alone.
func StartAirflow(ctx context.Context, c AirflowConfig) (*Airflow, error) {
	return onFreePort(ctx, c, startAirflow)
}

func startAirflow(ctx context.Context, c AirflowConfig) (_ *Airflow, err error) {
	if c.Version == "" {
		c.Version = Versions(AirflowSystem)[0]
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start Airflow %s: %w", c.Version, err)
		}
	}()
	major, err := majorOf(c.Version)
	if err != nil {
		return nil, err
	}
	venv, err := installed(c.Cache, Target{AirflowSystem, c.Version}.String())
	if err != nil {
		return nil, err
	}
	server, err := newServer(c.Dir, "airflow")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, server.Stop())
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}

	airflow := &Airflow{
		server:   server,
		Version:  c.Version,
		API:      major.api,
		Login:    major.login,
		URL:      "http://127.0.0.1:" + strconv.Itoa(port),
		User:     c.User,
		Password: c.Password,
		venv:     venv,
		major:    major,
	}
	if airflow.User == "" {
		airflow.User = "broker"
	}
	if airflow.Password == "" {
		airflow.Password = random()
	}
	if err := airflow.configure(port); err != nil {
		return nil, err
	}
	airflow.env = append(airflow.env, c.Env...)
	if err := airflow.prepare(ctx); err != nil {
		return nil, err
	}
	// As a module, and not by a script, whose first line cannot hold a path that is
	// long or has a space in it.
	if err := server.launch(airflow.env, airflowPython(venv), major.serve(airflow, port)...); err != nil {
		return nil, err
	}
	if err := server.awaitReady(ctx, airflow.URL+major.health); err != nil {
		return nil, err
	}
	return airflow, nil
}

func (a *Airflow) configure(port int) error {
	dags := filepath.Join(a.dir, "dags")
	if err := os.MkdirAll(dags, 0o755); err != nil {
		return fmt.Errorf("make the DAGs' folder: %w", err)
	}
	settings, err := a.major.settings(a, port)
	if err != nil {
		return err
	}
	var fernet [32]byte
	crand.Read(fernet[:]) // never fails

	a.env = append(cleanEnvironment(),
		"PATH="+filepath.Join(a.venv, "bin")+":"+os.Getenv("PATH"),
		"NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost",
		"AIRFLOW_HOME="+a.dir,
		"AIRFLOW__CORE__DAGS_FOLDER="+dags,
		"AIRFLOW__CORE__FERNET_KEY="+base64.URLEncoding.EncodeToString(fernet[:]),
		"AIRFLOW__CORE__LOAD_EXAMPLES=False",
		"AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS=False",
		"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:///"+filepath.Join(a.dir, "airflow.db"),
		"AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING",
	)
	a.env = append(a.env, settings...)
	return nil
}

// prepare gives the server a database: the one that its folder has from an earlier
// start, or a copy of the empty one. The login is this start's.
func (a *Airflow) prepare(ctx context.Context) error {
	database := filepath.Join(a.dir, "airflow.db")
	if _, err := os.Stat(database); errors.Is(err, os.ErrNotExist) {
		empty, err := os.ReadFile(airflowDatabase(a.venv))
		if err != nil {
			return fmt.Errorf("read the empty database: %w", err)
		}
		if err := os.WriteFile(database, empty, 0o600); err != nil {
			return fmt.Errorf("copy the empty database: %w", err)
		}
	}
	if a.major.rename == "" {
		return nil
	}
	if _, err := a.RunPython(ctx, a.major.rename, "NEW_USER="+a.User, "NEW_PASSWORD="+a.Password); err != nil {
		return fmt.Errorf("write down the login: %w", err)
	}
	return nil
}

// cleanEnvironment is ours without what would configure an Airflow or a Python.
func cleanEnvironment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "AIRFLOW"), strings.HasPrefix(name, "PYTHON"), strings.HasPrefix(name, "VIRTUAL_ENV"),
			strings.HasPrefix(name, "GUNICORN"), name == "PATH", strings.EqualFold(name, "no_proxy"):
		default:
			kept = append(kept, variable)
		}
	}
	return kept
}

// RunPython runs a script in Airflow's own Python, with its configuration and
// database, and gives what it printed. env adds to the environment, "NAME=value".
//
// It stands for a line of a task, outside any DAG: an Airflow 3 task asks the API
// server for its connections, and a script that says it is the server may look them
// up itself. That variable is internal to Airflow, and nothing to Airflow 2; it is for
// tests, not for users.
func (a *Airflow) RunPython(ctx context.Context, script string, env ...string) (stdout string, err error) {
	all := append(a.with(env), "_AIRFLOW_PROCESS_CONTEXT=server")
	stdout, err = a.runToEnd(ctx, all, airflowPython(a.venv), "-c", script)
	if err != nil {
		return stdout, fmt.Errorf("run a script in Airflow's Python: %w", err)
	}
	return stdout, nil
}

// WriteDAG puts a file into the DAGs' folder, in place of one of the same name.
func (a *Airflow) WriteDAG(name, source string) error {
	_, err := a.file(filepath.Join("dags", name), source)
	return err
}

// RunCLI runs `airflow` with these arguments, such as "dags", "test", "my_dag" or
// "tasks", "test", "my_dag", "my_task", and gives what it printed.
func (a *Airflow) RunCLI(ctx context.Context, env []string, arguments ...string) (stdout string, err error) {
	stdout, err = a.runToEnd(ctx, a.with(env), airflowPython(a.venv), append([]string{"-m", "airflow"}, arguments...)...)
	if err != nil {
		return stdout, fmt.Errorf("run airflow %s: %w", strings.Join(arguments, " "), err)
	}
	return stdout, nil
}

func (a *Airflow) with(env []string) []string {
	return append(a.env[:len(a.env):len(a.env)], env...)
}
