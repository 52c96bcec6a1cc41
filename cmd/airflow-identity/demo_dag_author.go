package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// dagLines are what a task does with the connection. With real systems they are run.
const dagLines = `    token = HttpHook("POST", http_conn_id="acme_orders").run(
        data={"grant_type": "client_credentials"}).json()["access_token"]`

const dagSource = `@task
def count_orders():
` + dagLines + `
    ...`

func dagAuthor(ctx context.Context, t *story, c *cast) error {
	t.show(strings.Split(dagSource, "\n")...)
	prod := c.environments["prod"]
	connection, err := prod.connection(ctx, storyConnection)
	if err != nil {
		return err
	}
	t.say("Airflow has the connection: %s %s, login %s", connection.ConnType, connection.Host, connection.Login)
	t.show(connection.Description)

	if c.kept, err = prod.readAsTask(ctx, storyConnection); err != nil {
		return err
	}
	token, err := prod.runTask(ctx)
	if err != nil {
		return err
	}
	claims, err := decode(token)
	if err != nil {
		return err
	}
	t.say("a task reads it and UAA grants a token:")
	t.show(claims...)
	answer, why, err := c.orders.get(ctx, token)
	if err != nil || answer != 200 {
		return fmt.Errorf("prod's orders API answered %d %s %w", answer, why, err)
	}
	t.say("prod's orders API verifies signature, iss, aud and exp against prod's UAA: 200")
	return rotatedTwice(ctx, t, c)
}

// taskConnection is a connection as a running task gets it.
type taskConnection struct {
	Host     string `json:"host"`
	Login    string `json:"login"`
	Password string `json:"password"`
}

// token asks for a token as the stock HttpHook does: a POST to the host as it
// stands, login and password as Basic credentials.
func (c taskConnection) token(ctx context.Context) (token string, status int, err error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Host, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, fmt.Errorf("writing a request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(c.Login, c.Password)
	status, body, err := fetch(request)
	token, _ = body["access_token"].(string)
	return token, status, err
}

// decode prints the claims that matter. Verifying is the API's business.
func decode(token string) ([]string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("decoding the token: %w", err)
	}
	var claims struct {
		Iss         string
		Aud         []string
		Authorities []string
		Exp         int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("decoding the token: %w", err)
	}
	slices.Sort(claims.Aud) // UAA has them in no order
	slices.Sort(claims.Authorities)
	return []string{
		"iss          " + claims.Iss,
		"aud          " + strings.Join(claims.Aud, " "),
		"authorities  " + strings.Join(claims.Authorities, " "),
		"exp          in " + time.Until(time.Unix(claims.Exp, 0)).Round(time.Second).String(),
	}, nil
}
