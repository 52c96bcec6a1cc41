package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"airflow-identity/integration/real"

	"golang.org/x/sync/errgroup"
)

// realSystems are the systems of an environment in demo --real.
type realSystems struct {
	uaa      *real.UAA
	airflow  *real.Airflow
	python   *real.Python
	versions struct{ uaa, airflow string } // as they say themselves
}

// installReal puts the real systems into the cache folder if they are not there, and
// gives the folder. What takes its time is said on progress.
func installReal(ctx context.Context, progress io.Writer) (cache string, err error) {
	if cache, err = real.Cache(); err != nil {
		return "", err
	}
	if !real.Complete(cache, real.Newest()...) {
		fmt.Fprintf(progress, "installing a real UAA and a real Airflow into %s, once; this takes minutes\n", cache)
		if err := real.Install(ctx, cache, progress, real.Newest()...); err != nil {
			return "", err
		}
	}
	fmt.Fprintln(progress, "starting a UAA and an Airflow for dev and for prod; this takes about a minute")
	return cache, nil
}

// openReal starts them from the cache folder, which takes half a minute.
func openReal(cache string) opener {
	return func(ctx context.Context, s *stage, environment string) (_ *stageEnvironment, err error) {
		r := &realSystems{}
		defer func() {
			if err != nil {
				err = errors.Join(err, r.Close())
			}
		}()
		folder := func(system string) string { return filepath.Join(s.folder, environment+"-"+system) }
		group, starting := errgroup.WithContext(ctx)
		group.Go(func() (err error) {
			r.uaa, err = real.StartUAA(starting, real.UAAConfig{
				Cache: cache, Dir: folder("uaa"), Broker: real.Client{ID: stageClient, Secret: s.state.UAASecret},
			})
			return err
		})
		group.Go(func() (err error) {
			r.airflow, err = real.StartAirflow(starting, real.AirflowConfig{
				Cache: cache, Dir: folder("airflow"), User: stageAirflow, Password: s.state.AirflowLogin,
			})
			return err
		})
		if err := group.Wait(); err != nil {
			return nil, err
		}
		if r.python, err = r.airflow.StartPython(taskScript); err != nil {
			return nil, err
		}
		if err := r.askVersions(ctx); err != nil {
			return nil, err
		}
		return &stageEnvironment{systems: r}, nil
	}
}

func (r *realSystems) askVersions(ctx context.Context) error {
	info, err := expect(http.StatusOK)(ask(ctx, r.uaa.URL+"/info", ""))
	if err != nil {
		return fmt.Errorf("asking UAA for its version: %w", err)
	}
	app, _ := info["app"].(map[string]any)
	r.versions.uaa = fmt.Sprint(app["version"])
	version, err := expect(http.StatusOK)(ask(ctx, r.airflow.URL+"/api/v2/version", ""))
	if err != nil {
		return fmt.Errorf("asking Airflow for its version: %w", err)
	}
	r.versions.airflow = fmt.Sprint(version["version"])
	return nil
}

func (r *realSystems) what() string {
	return fmt.Sprintf("a real UAA %s and a real Airflow %s", r.versions.uaa, r.versions.airflow)
}

func (r *realSystems) at() addresses { return addresses{r.uaa.URL, r.airflow.URL} }

// taskScript is Airflow's side of readAsTask and runTask: a question is the id of a
// connection, or nothing for a run of the DAG's lines.
const taskScript = `
import json, os, sys
from airflow.providers.http.hooks.http import HttpHook

def run():
` + dagLines + `
    return token

def read(connection):
    found = HttpHook.get_connection(connection)
    return {"host": found.host, "login": found.login, "password": found.password}

with os.fdopen(int(os.environ["ANSWERS"]), "w") as answers:
    for question in sys.stdin:
        connection = question.strip()
        print(json.dumps(read(connection) if connection else run()), file=answers, flush=True)
`

// readAsTask lets Airflow's own hook look the connection up.
func (r *realSystems) readAsTask(ctx context.Context, connection string) (taskConnection, error) {
	var read taskConnection
	err := r.ask(ctx, connection, &read)
	return read, err
}

// runTask runs the lines of the DAG in Airflow's Python.
func (r *realSystems) runTask(ctx context.Context) (token string, err error) {
	err = r.ask(ctx, "", &token)
	return token, err
}

func (r *realSystems) ask(ctx context.Context, question string, answer any) error {
	said, err := r.python.Ask(ctx, question)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(said), answer); err != nil {
		return fmt.Errorf("reading what Airflow's Python says: %w", err)
	}
	return nil
}

// Close stops what was started, Airflow's Python before Airflow.
func (r *realSystems) Close() error {
	var closing errgroup.Group
	if r.uaa != nil {
		closing.Go(r.uaa.Stop)
	}
	if r.airflow != nil {
		closing.Go(func() (err error) {
			if r.python != nil {
				err = r.python.Stop()
			}
			return errors.Join(err, r.airflow.Stop())
		})
	}
	return closing.Wait()
}
