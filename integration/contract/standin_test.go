package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"airflow-identity/identity"
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
)

const (
	ownSecret   = "hunter2-of-the-broker"
	opPassword  = "hunter2-of-the-operator"
	seePassword = "hunter2-of-the-viewer"
)

// ownUAA is a stand-in with the broker's own client, and how a suite finds it.
func ownUAA(t *testing.T, config uaa.Config) (*uaa.Server, UAA) {
	t.Helper()
	config.CheapHashes = true
	config.ContextPath = "/uaa"
	if config.Clients == nil {
		config.Clients = []uaa.Client{{ID: "airflow-identity", Secret: ownSecret, Authorities: []string{"clients.admin", "tokens.revoke"}}}
	}
	server, err := uaa.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, UAA{URL: server.URL(), ClientID: "airflow-identity", Secret: identity.SecretFrom(ownSecret), Transport: transport(t)}
}

// ownAirflow is a stand-in with two users, and how a suite finds it as one of them.
func ownAirflow(t *testing.T, version, user string) (*airflow.Server, Airflow) {
	t.Helper()
	server, err := airflow.Start(airflow.Config{ContextPath: "/airflow", Version: version, Users: map[string]airflow.User{
		"op": {Password: opPassword, Role: airflow.RoleOp}, "viewer": {Password: seePassword, Role: airflow.RoleViewer},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	password := map[string]string{"op": opPassword, "viewer": seePassword}[user]
	way := transport(t)
	authorize := passwordLogin(server.URL(), user, password, way)
	if version == airflow.Version2 {
		authorize = basicLogin(user, password)
	}
	return server, Airflow{URL: server.URL(), Authorize: authorize, Transport: way}
}

func basicLogin(user, password string) func(context.Context, *http.Request) error {
	return func(_ context.Context, r *http.Request) error {
		r.SetBasicAuth(user, password)
		return nil
	}
}

// passwordLogin logs in anew for each call.
func passwordLogin(base, user, password string, way http.RoundTripper) func(context.Context, *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		body, err := json.Marshal(map[string]string{"username": user, "password": password})
		if err != nil {
			return err
		}
		login, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/auth/token", bytes.NewReader(body))
		if err != nil {
			return err
		}
		login.Header.Set("Content-Type", "application/json")
		response, err := way.RoundTrip(login)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		var got struct {
			Token string `json:"access_token"`
		}
		if err := json.NewDecoder(response.Body).Decode(&got); err != nil || got.Token == "" {
			return fmt.Errorf("no token: %d %v", response.StatusCode, err)
		}
		r.Header.Set("Authorization", "Bearer "+got.Token)
		return nil
	}
}

func transport(t *testing.T) *http.Transport {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// zoned goes to this machine whatever the name: those below localhost, as zones have them
// here, are in nobody's DNS.
func zoned(t *testing.T) *http.Transport {
	t.Helper()
	way := transport(t)
	way.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	return way
}

// differences are the cases in which versions differ, and what is always unknown; all
// others hold.
var differences = map[string]map[string]Verdict{
	SuiteUAA: {
		"itemsPerPage is how many clients are on the page": Otherwise,
		"the filter of a list minds upper and lower case":  Otherwise,
	},
	SuiteAirflowV2: {
		"a token that is none is refused with 401": Otherwise,
		"a mask with commas writes each field":     Otherwise,
		"a refusal does not repeat what was sent":  Otherwise,
		"a task reads what the API has":            Unknown,
	},
	SuiteAirflowV1: {
		"a wrong login is refused with 401":                  Otherwise,
		"a mask with a key for each field writes them":       Otherwise,
		"a DELETE that claims JSON and has no body is taken": Otherwise,
		"a list shows extra":                                 Otherwise,
		"a task reads what the API has":                      Unknown,
	},
}

func TestTheStandInsKeepTheContract(t *testing.T) {
	t.Parallel()
	_, uaaTarget := ownUAA(t, uaa.Config{})
	// Each has an Airflow of its own: what one makes is in the lists of all.
	_, v2 := ownAirflow(t, airflow.Version3, "op")
	_, v2Found := ownAirflow(t, airflow.Version3, "op")
	_, prefixed := ownAirflow(t, airflow.Version3, "op")
	_, v1 := ownAirflow(t, airflow.Version2, "op")
	_, v1Found := ownAirflow(t, airflow.Version2, "op")
	_, inZone := ownUAA(t, uaa.Config{
		Zones:   []uaa.Zone{{ID: "id-7", Subdomain: "team7"}},
		Clients: []uaa.Client{{ID: "airflow-identity", Secret: ownSecret, Authorities: []string{"zones.id-7.clients.admin"}}},
	})
	inZone.Zone, inZone.Transport = "team7", zoned(t)
	prefixed.Prefix = "team_"
	for name, run := range map[string]func(context.Context) (Report, error){
		"UAA": uaaTarget.Run, "a zone of UAA": inZone.Run, "Airflow 3": v2.RunV2, "Airflow 2": v1.RunV1,
		"Airflow 3, found": v2Found.Run, "Airflow 2, found": v1Found.Run, "Airflow 3, with a prefix": prefixed.Run,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Findings) < 20 || len(report.Left) > 0 {
				t.Errorf("got %d findings, and %v left behind", len(report.Findings), report.Left)
			}
			for _, f := range report.Findings {
				want, differs := differences[report.Suite][f.Case]
				if !differs {
					want = Holds
				}
				if f.Verdict != want {
					t.Errorf("%s: %s: %s; want: %s", f.Case, f.Verdict, f.Seen, want)
				}
				if f.Source == "" || (f.Seen == "") != (f.Verdict == Holds) || strings.Contains(f.Seen, "\n") {
					t.Errorf("%s: source %q, seen %q", f.Case, f.Source, f.Seen)
				}
			}
		})
	}
}
