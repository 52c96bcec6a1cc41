//go:build e2e && unix

package real

import (
	"bytes"
	"context"
	"encoding/base64"
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
	uaa := runningUAA(t)
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

	t.Run("by", func(t *testing.T) {
		for _, version := range Versions(AirflowSystem) {
			t.Run(version, func(t *testing.T) {
				t.Parallel()
				hookFetches(t, uaa, version, client)
			})
		}
	})
	stopped(t, "UAA", uaa.server)
}

func hookFetches(t *testing.T, uaa *UAA, version string, client Client) {
	airflow := runningAirflow(t, version)
	login, status := bearer(""), http.StatusOK
	switch airflow.Login {
	case "basic":
		login.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(airflow.User+":"+airflow.Password)))
	case "password":
		answer := call(t, http.StatusCreated, http.MethodPost, airflow.URL+"/auth/token", nil, map[string]any{
			"username": airflow.User, "password": airflow.Password,
		})
		login, status = bearer(answer["access_token"].(string)), http.StatusCreated
	default:
		t.Fatalf("a login of kind %q", airflow.Login)
	}
	call(t, status, http.MethodPost, airflow.URL+"/api/"+airflow.API+"/connections", login, map[string]any{
		"connection_id": "acme_orders",
		"conn_type":     "http",
		"host":          uaa.URL + "/oauth/token",
		"login":         client.ID,
		"password":      client.Secret,
	})

	if said, err := airflow.RunPython(t.Context(), line); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	token, err := os.ReadFile(filepath.Join(airflow.Dir(), "token"))
	if err != nil {
		t.Fatal(err)
	}
	checked := form(t, http.StatusOK, uaa.URL+"/check_token", uaa.Broker, url.Values{"token": {string(token)}})
	if got := list(checked["authorities"]); !slices.Equal(got, client.Authorities) {
		t.Errorf("authorities of the token: got %v, want exactly %v", got, client.Authorities)
	}
	if checked["client_id"] != client.ID || checked["iss"] != uaa.URL+"/oauth/token" {
		t.Errorf("token: got client %v of %v, want %s of %s/oauth/token", checked["client_id"], checked["iss"], client.ID, uaa.URL)
	}
	t.Run("a script that stays up", func(t *testing.T) { answersQuestions(t, airflow, client.ID) })
	stopped(t, "Airflow", airflow.server)
}

// stopped stops a server and looks whether anything of it is left.
func stopped(t *testing.T, name string, server *server) {
	t.Helper()
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

// startPatience is for a machine that starts several at once.
const startPatience = 3 * time.Minute

func runningUAA(t *testing.T) *UAA {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	begun := time.Now()
	uaa, err := StartUAA(ctx, UAAConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = uaa.Stop() })
	t.Logf("UAA: %.1f s", time.Since(begun).Seconds())
	return uaa
}

func runningAirflow(t *testing.T, version string) *Airflow {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	begun := time.Now()
	airflow, err := StartAirflow(ctx, AirflowConfig{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = airflow.Stop() })
	t.Logf("Airflow %s: %.1f s", version, time.Since(begun).Seconds())
	return airflow
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
