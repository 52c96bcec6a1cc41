//go:build e2e && unix

package real

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The whole idea, by hand: a scoped client of UAA, a connection of Airflow's that
// holds it, and the provider's own hook that turns one into the other's token.
func TestE2EHookFetchesATokenThroughTheConnection(t *testing.T) {
	t.Parallel()
	uaa, airflow := startBoth(t)

	client := Client{ID: "afi-smoke", Secret: random(), Authorities: []string{"orders.read"}}
	broker := tokenOf(t, uaa, uaa.Broker)
	created := call(t, http.StatusCreated, http.MethodPost, uaa.URL+"/oauth/clients/restricted", bearer(broker), map[string]any{
		"client_id":              client.ID,
		"client_secret":          client.Secret,
		"authorized_grant_types": []string{"client_credentials"},
		"authorities":            client.Authorities,
	})
	if got := list(created["authorities"]); !slices.Equal(got, client.Authorities) {
		t.Errorf("authorities as UAA answers them: got %v, want %v", got, client.Authorities)
	}

	login := call(t, http.StatusCreated, http.MethodPost, airflow.URL+"/auth/token", nil, map[string]any{
		"username": airflow.User, "password": airflow.Password,
	})
	op := bearer(login["access_token"].(string))
	call(t, http.StatusCreated, http.MethodPost, airflow.URL+"/api/v2/connections", op, map[string]any{
		"connection_id": "acme_orders",
		"conn_type":     "http",
		"host":          uaa.URL + "/oauth/token",
		"login":         client.ID,
		"password":      client.Secret,
	})

	if err := airflow.WriteDAG("fetch.py", dag); err != nil {
		t.Fatal(err)
	}
	for name, fetch := range map[string]func() (said string, err error){
		"a line of Python": func() (string, error) { return airflow.RunPython(t.Context(), line) },
		"dags test":        func() (string, error) { return airflow.RunCLI(t.Context(), nil, "dags", "test", "fetch") },
		"tasks test":       func() (string, error) { return airflow.RunCLI(t.Context(), nil, "tasks", "test", "fetch", "token") },
	} {
		t.Run(name, func(t *testing.T) {
			said, err := fetch()
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			file := filepath.Join(airflow.Dir(), "token")
			token, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("the token that was fetched: %v\n%s", err, said)
			}
			if err := os.Remove(file); err != nil { // the next one has to fetch its own
				t.Fatal(err)
			}

			checked := form(t, http.StatusOK, uaa.URL+"/check_token", uaa.Broker, url.Values{"token": {string(token)}})
			if got := list(checked["authorities"]); !slices.Equal(got, client.Authorities) {
				t.Errorf("authorities of the token: got %v, want exactly %v", got, client.Authorities)
			}
			if checked["client_id"] != client.ID || checked["iss"] != uaa.URL+"/oauth/token" {
				t.Errorf("token: got client %v of %v, want %s of %s/oauth/token", checked["client_id"], checked["iss"], client.ID, uaa.URL)
			}
		})
	}

	t.Run("a script that stays up", func(t *testing.T) { answersQuestions(t, airflow, client.ID) })

	for name, server := range map[string]interface {
		Stop() error
		Pid() int
		Dir() string
	}{"UAA": uaa, "Airflow": airflow} {
		if err := server.Stop(); err != nil {
			t.Errorf("stop %s: %v", name, err)
		}
		if err := syscall.Kill(-server.Pid(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s's process group after Stop: got %v, want no such process", name, err)
		}
		if _, err := os.Stat(server.Dir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s's folder after Stop: got %v, want it gone", name, err)
		}
	}
}

// answersQuestions asks a script twice, and then for what it stumbles over.
func answersQuestions(t *testing.T, airflow *Airflow, login string) {
	script, err := airflow.StartPython(`
import os, sys
from airflow.providers.http.hooks.http import HttpHook

answers = open(int(os.environ["ANSWERS"]), "w")
for question in sys.stdin:
    print("noise that is no answer")
    print(HttpHook.get_connection(question.strip()).login, file=answers, flush=True)
`)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := script.Ask(t.Context(), "acme_orders"); err != nil || got != login {
			t.Errorf("the connection's login: got %q %v, want %s", got, err, login)
		}
	}
	if got, err := script.Ask(t.Context(), "nothing"); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("a connection that is not there: got %q %v, want what Python says of it", got, err)
	}
	if err := script.Stop(); err != nil {
		t.Errorf("stop the script: %v", err)
	}
	silent, err := airflow.StartPython("import sys; sys.stdin.read()")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := silent.Ask(ctx, "anything"); !errors.Is(err, context.Canceled) {
		t.Errorf("a script that says nothing: got %q %v, want no more waiting than the context allows", got, err)
	}
	if err := silent.Stop(); err != nil {
		t.Errorf("stop the silent script: %v", err)
	}
}

// The token goes into a file: Airflow puts much around what a task prints, and a
// mask over what it takes for a secret.
const line = `
import os
from airflow.providers.http.hooks.http import HttpHook

token = HttpHook("POST", http_conn_id="acme_orders").run(data={"grant_type": "client_credentials"}).json()["access_token"]
with open(os.environ["AIRFLOW_HOME"] + "/token", "w") as file:
    file.write(token)
`

var dag = `
import pendulum
from airflow.sdk import dag, task

@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False)
def fetch():
    @task
    def token():
` + strings.ReplaceAll(line, "\n", "\n        ") + `
    token()

fetch()
`

func startBoth(t *testing.T) (*UAA, *Airflow) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	begun := time.Now()
	var uaa *UAA
	failed := make(chan error, 1)
	go func() {
		var err error
		uaa, err = StartUAA(ctx, UAAConfig{})
		t.Logf("UAA: %.1f s", time.Since(begun).Seconds())
		failed <- err
	}()
	airflow, airflowErr := StartAirflow(ctx, AirflowConfig{})
	t.Logf("Airflow: %.1f s", time.Since(begun).Seconds())
	uaaErr := <-failed
	if uaaErr == nil {
		t.Cleanup(func() { _ = uaa.Stop() })
	}
	if airflowErr == nil {
		t.Cleanup(func() { _ = airflow.Stop() })
	}
	if err := errors.Join(uaaErr, airflowErr); err != nil {
		t.Fatal(err)
	}
	return uaa, airflow
}

func tokenOf(t *testing.T, uaa *UAA, client Client) string {
	t.Helper()
	answer := form(t, http.StatusOK, uaa.URL+"/oauth/token", client, url.Values{"grant_type": {"client_credentials"}})
	return answer["access_token"].(string)
}

func form(t *testing.T, want int, address string, client Client, values url.Values) map[string]any {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client.ID, client.Secret)
	return do(t, want, request)
}

func call(t *testing.T, want int, method, address string, header http.Header, body any) map[string]any {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header.Clone()
	}
	request.Header.Set("Content-Type", "application/json")
	return do(t, want, request)
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

func do(t *testing.T, want int, request *http.Request) map[string]any {
	t.Helper()
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != want {
		t.Fatalf("%s %s: got %d %s, want %d", request.Method, request.URL, response.StatusCode, body, want)
	}
	var decoded map[string]any
	if err := json.Unmarshal(body, &decoded); err != nil {
		t.Fatalf("%s %s: %v in %s", request.Method, request.URL, err, body)
	}
	return decoded
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func list(values any) []string {
	var texts []string
	items, _ := values.([]any)
	for _, item := range items {
		texts = append(texts, fmt.Sprint(item))
	}
	return texts
}
