package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// systems are the UAA and the Airflow of an environment, stand-ins or real ones. The
// story does not know which: what their public APIs tell it asks there.
type systems interface {
	// what they are, as the story begins with.
	what() string
	// at is where they are, without a slash at the end.
	at() addresses
	// readAsTask reads a connection where Airflow's workers do.
	readAsTask(ctx context.Context, connection string) (taskConnection, error)
	// runTask runs the lines of the DAG and gives its token.
	runTask(ctx context.Context) (token string, err error)
	Close() error
}

// addresses are base URLs.
type addresses struct{ uaa, airflow string }

// demoEnvironment is an environment of the story: its systems, and the relays through
// which the brokers reach them.
type demoEnvironment struct {
	systems
	uaa, airflow *relay

	client          taskConnection // the broker's own, at UAA
	login, password string         // the broker's, at Airflow
	token           string         // that Airflow gave for them
}

// relayed puts relays before all systems of a stage. Brokers that start from now on go
// through them, and tell tasks where UAA itself is; Airflow's address in the credentials
// is the relay's, since there is but one.
func relayed(s *stage) (_ map[string]*demoEnvironment, err error) {
	environments := map[string]*demoEnvironment{}
	defer func() {
		if err != nil {
			closeRelays(environments)
		}
	}()
	for name, env := range s.environments {
		at := env.systems.at()
		e := &demoEnvironment{
			systems: env.systems,
			client:  taskConnection{at.uaa + "/oauth/token", stageClient, s.state.UAASecret},
			login:   stageAirflow, password: s.state.AirflowLogin,
		}
		environments[name] = e
		if e.uaa, err = startRelay(at.uaa); err != nil {
			return nil, err
		}
		if e.airflow, err = startRelay(at.airflow); err != nil {
			return nil, err
		}
		env.told = addresses{e.uaa.url(), e.airflow.url()}
	}
	return environments, s.writeConfig()
}

func closeRelays(environments map[string]*demoEnvironment) {
	for _, e := range environments {
		for _, relay := range []*relay{e.uaa, e.airflow} {
			if relay != nil {
				relay.close()
			}
		}
	}
}

// ask gets something, with a token if there is one.
func ask(ctx context.Context, address, token string) (status int, body map[string]any, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("writing a request: %w", err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Accept", "application/json")
	return fetch(request)
}

// askAirflow asks its API, logged in as the broker is.
func (e *demoEnvironment) askAirflow(ctx context.Context, path string) (status int, body map[string]any, err error) {
	if e.token == "" {
		if err := e.logIn(ctx); err != nil {
			return 0, nil, fmt.Errorf("logging in to Airflow: %w", err)
		}
	}
	return ask(ctx, e.at().airflow+path, e.token)
}

// logIn gets a token that is good for longer than the story.
func (e *demoEnvironment) logIn(ctx context.Context) error {
	login, err := json.Marshal(map[string]string{"username": e.login, "password": e.password})
	if err != nil {
		return fmt.Errorf("writing a request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.at().airflow+"/auth/token", bytes.NewReader(login))
	if err != nil {
		return fmt.Errorf("writing a request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := expect(http.StatusCreated)(fetch(request))
	e.token, _ = answer["access_token"].(string)
	return err
}

// airflowConnection is a connection as Airflow's API shows it.
type airflowConnection struct{ ConnType, Host, Login, Description string }

func (e *demoEnvironment) connection(ctx context.Context, id string) (airflowConnection, error) {
	body, err := expect(http.StatusOK)(e.askAirflow(ctx, "/api/v2/connections/"+url.PathEscape(id)))
	if err != nil {
		return airflowConnection{}, fmt.Errorf("asking Airflow for the connection %s: %w", id, err)
	}
	text := func(key string) string { value, _ := body[key].(string); return value }
	return airflowConnection{text("conn_type"), text("host"), text("login"), text("description")}, nil
}

// connections are the ids of all that Airflow has.
func (e *demoEnvironment) connections(ctx context.Context) ([]string, error) {
	body, err := expect(http.StatusOK)(e.askAirflow(ctx, "/api/v2/connections?limit=100"))
	if err != nil {
		return nil, fmt.Errorf("asking Airflow for its connections: %w", err)
	}
	return column(body, "connections", "connection_id")
}

// clients are the ids of all clients of ours that UAA has.
func (e *demoEnvironment) clients(ctx context.Context) ([]string, error) {
	token, status, err := e.client.token(ctx)
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("the broker's own token request came to %d %w", status, err)
	}
	body, err := expect(http.StatusOK)(ask(ctx, e.at().uaa+"/oauth/clients?count=100&filter="+url.QueryEscape(`client_id sw "afi-"`), token))
	if err != nil {
		return nil, fmt.Errorf("asking UAA for its clients: %w", err)
	}
	return column(body, "resources", "client_id")
}

// accepted are those of the secrets sent for a client that UAA grants a token for.
func (e *demoEnvironment) accepted(ctx context.Context, client string) (secrets []string, err error) {
	for _, secret := range e.uaa.secrets()[client] {
		_, status, err := taskConnection{e.client.Host, client, secret}.token(ctx)
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			secrets = append(secrets, secret)
		case status != http.StatusUnauthorized:
			return nil, fmt.Errorf("UAA answers a token request of %s with %d", client, status)
		}
	}
	return secrets, nil
}

// column is one key of all objects in a list.
func column(body map[string]any, list, key string) ([]string, error) {
	rows, found := body[list].([]any)
	if !found {
		return nil, errors.New("the answer has no list of " + list)
	}
	values := make([]string, 0, len(rows))
	for _, row := range rows {
		object, _ := row.(map[string]any)
		values = append(values, fmt.Sprint(object[key]))
	}
	return values, nil
}
