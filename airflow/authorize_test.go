package airflow_test

import (
	"net/http"
	"strings"
	"testing"

	"airflow-identity/airflow"
	standinairflow "airflow-identity/integration/standin/airflow"
)

// A request that is made by hand carries the configured login, of whatever kind it is.
func TestAuthorizePutsTheLoginIntoARequest(t *testing.T) {
	t.Parallel()
	three := startAirflow(t, standinairflow.Config{Tokens: map[string]string{"ready-token": standinairflow.RoleOp},
		Users: map[string]standinairflow.User{"op": {Password: "op-password-1", Role: standinairflow.RoleOp}}})
	two := startAirflow(t, standinairflow.Config{Version: standinairflow.Version2,
		Users: map[string]standinairflow.User{"op": {Password: "op-password-1", Role: standinairflow.RoleOp}}})
	tests := []struct {
		name  string
		url   string
		login airflow.Login
		says  string // of the error; empty: the request is taken
	}{
		{"password", three.URL() + "/api/v2/connections", airflow.Password{Username: "op", Password: fixed("op-password-1")}, ""},
		{"token", three.URL() + "/api/v2/connections", airflow.Token{Token: fixed("ready-token")}, ""},
		{"basic", two.URL() + "/api/v1/connections", airflow.Basic{Username: "op", Password: fixed("op-password-1")}, ""},
		{"a wrong password", three.URL() + "/api/v2/connections", airflow.Password{Username: "op", Password: fixed("wrong-password-1")}, "401"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			base, _, _ := strings.Cut(test.url, "/api/")
			client := newClient(t, airflow.Config{URL: base, API: airflow.Auto, Login: test.login})
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
			if err != nil {
				t.Fatal(err)
			}

			err = client.Authorize(t.Context(), request)

			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "wrong-password-1") || request.Header.Get("Authorization") != "" {
					t.Errorf("got %v, %q; want an error that says %s, and no login", err, request.Header.Get("Authorization"), test.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("got %d, want that the login is taken", response.StatusCode)
			}
		})
	}
}
