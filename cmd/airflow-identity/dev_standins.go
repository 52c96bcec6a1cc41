package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	airflowstandin "airflow-identity/integration/standin/airflow"
	uaastandin "airflow-identity/integration/standin/uaa"
)

// standIns are the systems of an environment that is there in no time.
type standIns struct {
	uaa     *uaastandin.Server
	airflow *airflowstandin.Server
}

// openStandIns starts them on the ports that the folder remembers. At first there are
// none: each takes the one that the system gives it.
func openStandIns(_ context.Context, s *stage, environment string) (*stageEnvironment, error) {
	ports := s.state.Ports[environment]
	uaa, err := uaastandin.Start(uaastandin.Config{
		Addr: loopbackAddress(ports.UAA), BcryptCost: s.options.bcryptCost, Snapshot: s.snapshot(environment, "uaa"),
		Clients: []uaastandin.Client{{
			ID: stageClient, Secret: s.state.UAASecret,
			Authorities: []string{"clients.admin", "clients.read", "clients.write", "tokens.revoke", "uaa.resource"},
		}},
	})
	if err != nil {
		return nil, err
	}
	airflow, err := airflowstandin.Start(airflowstandin.Config{
		Addr: loopbackAddress(ports.Airflow), Snapshot: s.snapshot(environment, "airflow"),
		Users: map[string]airflowstandin.User{stageAirflow: {Password: s.state.AirflowLogin, Role: airflowstandin.RoleOp}},
	})
	if err != nil {
		uaa.Close()
		return nil, err
	}
	return &stageEnvironment{systems: &standIns{uaa, airflow}, uaa: uaa, airflow: airflow}, nil
}

func (s *standIns) what() string { return "a UAA and an Airflow" }

func (s *standIns) at() addresses { return addresses{s.uaa.URL(), s.airflow.URL()} }

// readAsTask asks the API server, as the process of a task does in Airflow 3.
func (s *standIns) readAsTask(ctx context.Context, connection string) (taskConnection, error) {
	address := s.airflow.URL() + "/execution/connections/" + url.PathEscape(connection)
	body, err := expect(http.StatusOK)(ask(ctx, address, s.airflow.TaskToken()))
	if err != nil {
		return taskConnection{}, fmt.Errorf("reading the connection as a task: %w", err)
	}
	text := func(key string) string { value, _ := body[key].(string); return value }
	return taskConnection{text("host"), text("login"), text("password")}, nil
}

// runTask asks for the token as the hook does: there is no Python here.
func (s *standIns) runTask(ctx context.Context) (string, error) {
	task, err := s.readAsTask(ctx, storyConnection)
	if err != nil {
		return "", err
	}
	token, status, err := task.token(ctx)
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("the task's token request came to %d %w", status, err)
	}
	return token, nil
}

func (s *standIns) Close() error {
	s.uaa.Close()
	s.airflow.Close()
	return nil
}
