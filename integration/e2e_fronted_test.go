//go:build e2e

package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/real"
	"airflow-identity/remote"
	uaaclient "airflow-identity/uaa"

	"golang.org/x/sync/errgroup"
)

const (
	zoneID   = "zone-id-7"
	zoneName = "team7"
)

// zonesResolve lets Python find the zone: names below localhost are this machine's
// (RFC 6761), and most resolvers do not know it.
const zonesResolve = `
import socket
ask = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: ask("127.0.0.1" if host.endswith(".localhost") else host, *more, **named)
`

// ofTheTeam looks connections up as a task of the team does. A script is of none.
const ofTheTeam = `
from airflow.secrets.metastore import MetastoreBackend
look_up = MetastoreBackend.get_connection
MetastoreBackend.get_connection = lambda self, conn_id, team_name=None, **named: look_up(self, conn_id, "` + orgName + `", **named)
`

// TestE2EZoneTeamAndAttributes is what an environment can be on the real systems: an
// identity zone of a UAA, where the broker has the right to its clients and nothing
// else; a team of an Airflow of several; and a DAG's token that says which run it is
// for, as docs/token-attributes.md has it.
func TestE2EZoneTeamAndAttributes(t *testing.T) {
	uaa, airflow := startFronted(t)
	admin := grantedIn(t, uaa, "", uaa.Admin.ID, uaa.Admin.Secret)
	body := fmt.Sprintf(`{"id":%q,"subdomain":%q,"name":"seven"}`, zoneID, zoneName)
	if status, answer := postJSON(t, uaa.URL+"/identity-zones", admin, body); status != http.StatusCreated {
		t.Fatalf("making a zone: got %d %v", status, answer)
	}
	zone := strings.Replace(uaa.URL, "//", "//"+zoneName+".", 1)
	p := frontedBroker(t, uaa, airflow)

	want(t, p.provision("i1", nil), http.StatusCreated, "provision")
	refused := p.bind("i1", "b0", "app-1", nil)
	if refused.status != http.StatusBadRequest || !strings.Contains(refused.description(), `Airflow has no team "acme"`) {
		t.Errorf("bind without the team: got %d %s, want 400 and how it is made", refused.status, refused.text)
	}
	if said, err := airflow.RunCLI(t.Context(), nil, "teams", "create", orgName); err != nil {
		t.Fatalf("making a team: %v\n%s", err, said)
	}
	bound := p.bind("i1", "b1", "app-1", object{"authorities": []string{"orders.read"}, "app_client": true})
	want(t, bound, http.StatusCreated, "bind")
	credentials := bound.body["credentials"].(map[string]any)
	for key, value := range map[string]string{
		"issuer": zone + "/oauth/token", "token_url": zone + "/oauth/token", "jwks_url": zone + "/token_keys", "zone_id": zoneID,
	} {
		if credentials[key] != value {
			t.Errorf("credentials: %s is %v, want %s", key, credentials[key], value)
		}
	}
	if team := teamOf(t, airflow, connectionOf(bound)); team != orgName {
		t.Errorf("the connection's team is %q, want %s", team, orgName)
	}

	if _, said, err := documentedToken(t, airflow, connectionOf(bound), zonesResolve); err == nil || !strings.Contains(err.Error()+said, "isn't defined") {
		t.Errorf("the example outside of the team: got %v, want that there is no such connection", err)
	}
	token, said, err := documentedToken(t, airflow, connectionOf(bound), zonesResolve+ofTheTeam)
	if err != nil {
		t.Fatalf("the example: %v\n%s", err, said)
	}
	claims := claimsOf(t, token)
	attributes, _ := json.Marshal(claims["az_attr"])
	if string(attributes) != `{"dag":"d1","run":"r1"}` {
		t.Errorf("az_attr of the DAG's token: got %s", attributes)
	}
	if claims["iss"] != zone+"/oauth/token" || claims["zid"] != zoneID || !slices.Equal(texts(claims["authorities"]), []string{"orders.read"}) {
		t.Errorf("the DAG's token: got iss %v, zid %v and authorities %v, want the zone's, and orders.read alone", claims["iss"], claims["zid"], claims["authorities"])
	}

	// A revocation in a zone: UAA itself sees it at once.
	checker := real.Client{ID: "checker", Secret: "checker-secret"}
	if status, answer := postJSON(t, uaa.URL+"/oauth/clients", admin, `{"client_id":"checker","client_secret":"checker-secret",
		"authorities":["uaa.resource"],"authorized_grant_types":["client_credentials"]}`, "X-Identity-Zone-Id", zoneID); status != http.StatusCreated {
		t.Fatalf("making a resource server in the zone: got %d %v", status, answer)
	}
	client, secret := credentials["client_id"].(string), credentials["client_secret"].(string)
	token = grantedIn(t, uaa, zoneName, client, secret)
	checks := func() int {
		status, _ := formIn(t, uaa, zoneName, "/check_token", checker.ID, checker.Secret, url.Values{"token": {token}})
		return status
	}
	if got := checks(); got != http.StatusOK {
		t.Fatalf("check_token before the revocation: got %d, want 200", got)
	}
	clients, err := uaaclient.New(uaaclient.Config{
		URL: uaa.URL, Zone: zoneName, ClientID: identity.ClientID(uaa.Broker.ID), Secret: remote.Fixed(identity.SecretFrom(uaa.Broker.Secret)),
		Strict: true, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	if outcome, err := clients.RevokeTokens(t.Context(), identity.ClientID(client)); outcome != identity.Done {
		t.Fatalf("revoking: got %s, %v; want done", outcome, err)
	}
	if got := checks(); got != http.StatusBadRequest {
		t.Errorf("check_token after the revocation: got %d, want 400", got)
	}
	if outcome, err := clients.RevokeTokens(t.Context(), "afi-nobody"); outcome != identity.NotThere {
		t.Errorf("revoking nobody's: got %s, %v; want not_there", outcome, err)
	}
	if err := clients.Permitted(t.Context()); err != nil {
		t.Errorf("strict: got %v, want that the right to the zone's clients is enough", err)
	}
	if status, _ := postForm(t, uaa.URL+"/oauth/token", client, secret, url.Values{"grant_type": {"client_credentials"}}); status != http.StatusUnauthorized {
		t.Errorf("the zone's client in the default zone: got %d, want 401", status)
	}
	want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind")
	if gone := airflowGet(t, airflow, connectionOf(bound)); gone.status != http.StatusNotFound {
		t.Errorf("connection after unbind: Airflow answers %d, want 404", gone.status)
	}
}

// startFronted starts a UAA whose client of the broker may nothing but manage the
// clients of a zone, and an Airflow of several teams.
func startFronted(t *testing.T) (*real.UAA, *real.Airflow) {
	t.Helper()
	var (
		uaa     *real.UAA
		airflow *real.Airflow
		group   errgroup.Group
	)
	group.Go(func() (err error) {
		uaa, err = real.StartUAA(t.Context(), real.UAAConfig{Broker: real.Client{Authorities: []string{"zones." + zoneID + ".clients.admin"}}})
		return err
	})
	group.Go(func() (err error) {
		airflow, err = real.StartAirflow(t.Context(), real.AirflowConfig{Env: []string{
			// A member of a team that is not there yet keeps this Airflow from starting: an admin is in none.
			"AIRFLOW__CORE__MULTI_TEAM=True", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=broker:admin",
		}})
		return err
	})
	err := group.Wait()
	t.Cleanup(func() {
		if uaa != nil {
			if err := uaa.Stop(); err != nil {
				t.Errorf("stopping UAA: %v", err)
			}
		}
		if airflow != nil {
			if err := airflow.Stop(); err != nil {
				t.Errorf("stopping Airflow: %v", err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return uaa, airflow
}

// frontedBroker is the real program with a zone and a team in its configuration.
func frontedBroker(t *testing.T, uaa *real.UAA, airflow *real.Airflow) *program {
	t.Helper()
	config := strings.NewReplacer(
		"client_id: airflow-identity,", "client_id: airflow-identity, zone: "+zoneName+",",
		"auth: {kind: password,", `team: "{{org}}", auth: {kind: password,`,
	).Replace(realConfig(uaa, airflow, 10*time.Second, 40*time.Second, ""))
	return startBroker(t, uaa, airflow, config)
}

// documentedToken runs the example of docs/token-attributes.md in Airflow's own Python.
func documentedToken(t *testing.T, airflow *real.Airflow, connection, prelude string) (token, said string, err error) {
	t.Helper()
	text, err := os.ReadFile("../docs/token-attributes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```python\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/token-attributes.md has no example")
	}
	path := filepath.Join(airflow.Dir(), "token")
	script := prelude + example + fmt.Sprintf("\nopen(%q, \"w\").write(token_for(%q, \"d1\", \"r1\"))\n", path, connection)
	if said, err = airflow.RunPython(t.Context(), script); err != nil {
		return "", said, err
	}
	written, err := os.ReadFile(path)
	return string(written), said, err
}

func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// formIn posts a form in a zone, which UAA tells by the host that it was called by.
func formIn(t *testing.T, uaa *real.UAA, zone, path, user, password string, form url.Values) (int, map[string]any) {
	t.Helper()
	request := formRequest(t, uaa.URL+path, user, password, form)
	if zone != "" {
		request.Host = zone + "." + request.URL.Host
	}
	return send(t, request)
}

func grantedIn(t *testing.T, uaa *real.UAA, zone, id, secret string) string {
	t.Helper()
	status, answer := formIn(t, uaa, zone, "/oauth/token", id, secret, url.Values{"grant_type": {"client_credentials"}})
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("a token of %s: got %d", id, status)
	}
	return token
}

func postJSON(t *testing.T, target, token, body string, header ...string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return send(t, request)
}

// teamOf is what Airflow says of a connection's team.
func teamOf(t *testing.T, airflow *real.Airflow, id string) string {
	t.Helper()
	_, body := send(t, bearer(t, airflow.URL+"/api/v2/connections/"+id, airflowToken(t, airflow)))
	team, _ := body["team_name"].(string)
	return team
}
