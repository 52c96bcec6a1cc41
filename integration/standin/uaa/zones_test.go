package uaa

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// What 4.30.0 answered about zones, tried.
func TestZones(t *testing.T) {
	t.Parallel()
	client := func(id string, authorities ...string) Client {
		return Client{ID: id, Secret: id + "-secret", Authorities: authorities}
	}
	f := startZoned(t, Config{
		Clients: []Client{
			client("root", "uaa.admin"), client("keeper", "zones.id-7.clients.admin", "tokens.revoke"), client("zoneadmin", "zones.id-7.admin", "tokens.revoke"),
			client("zonereader", "zones.id-7.clients.read"), client("other", "zones.id-8.clients.admin"), client("minter", "clients.admin"),
		},
		Zones: []Zone{{ID: "id-7", Subdomain: "team7", Clients: []Client{client("keeper", "orders.read")}}, {ID: "id-8", Subdomain: "team8"}},
	})
	zone := f.Zone("team7")
	seven := []string{"X-Identity-Zone-Subdomain", "team7", "Accept", "application/json"}
	body := `{"client_id":"afi-1","client_secret":"s","authorities":["orders.read"],"scope":["uaa.none"],"authorized_grant_types":["client_credentials"]}`
	for _, c := range []struct {
		name, by, method, path, body string
		header                       []string
		status                       int
		says                         string
	}{
		{"without a header", "keeper", "POST", "/oauth/clients/restricted", body, nil, 403, "insufficient_scope"},
		{"into another zone", "other", "POST", "/oauth/clients/restricted", body, seven, 403, "{}"},
		{"clients.admin of the default zone", "minter", "POST", "/oauth/clients/restricted", body, seven, 403, "{}"},
		{"into an unknown zone", "keeper", "POST", "/oauth/clients/restricted", body, []string{"X-Identity-Zone-Subdomain", "nope", "Accept", "application/json"}, 404, "{}"},
		{"into the default zone by name", "keeper", "POST", "/oauth/clients/restricted", body, []string{"X-Identity-Zone-Id", "uaa", "Accept", "application/json"}, 403, "{}"},
		{"reader", "zonereader", "POST", "/oauth/clients/restricted", body, seven, 403, "zones.id-7.admin"},
		{"by subdomain", "keeper", "POST", "/oauth/clients/restricted", body, seven, 201, "afi-1"},
		{"by id, again", "keeper", "POST", "/oauth/clients/restricted", body, []string{"X-Identity-Zone-Id", "id-7"}, 409, "already exists"},
		{"looked at", "zonereader", "GET", "/oauth/clients/afi-1", "", seven, 200, "afi-1"},
		{"not there by default", "root", "GET", "/oauth/clients/afi-1", "", nil, 404, ""},
		{"not there in another", "root", "GET", "/oauth/clients/afi-1", "", []string{"X-Identity-Zone-Id", "id-8"}, 404, ""},
		{"tokens.revoke is of no use", "keeper", "GET", "/oauth/token/revoke/client/afi-1", "", seven, 403, "uaa.admin tokens.revoke"},
		{"nor for the zone's admin", "zoneadmin", "GET", "/oauth/token/revoke/client/afi-1", "", seven, 403, "uaa.admin tokens.revoke"},
		{"but for root", "root", "GET", "/oauth/token/revoke/client/afi-1", "", seven, 200, ""},
		{"the zone's admin", "zoneadmin", "GET", "/oauth/clients/afi-1", "", seven, 200, "afi-1"},
	} {
		got := f.send(f.URL(), c.method, c.path, f.tokenOf(f.URL(), c.by, c.by+"-secret"), c.body, c.header...)
		if got.status != c.status || !strings.Contains(got.body, c.says) || c.says == "" && got.body != "" {
			t.Errorf("%s: got %d %s, want %d with %q", c.name, got.status, got.body, c.status, c.says)
		}
	}

	// The same id in two zones is two clients, told apart by iss and zid and not by key.
	token := f.tokenOf(zone.URL(), "afi-1", "s")
	claims, err := f.key.open(token)
	if err != nil || claims["iss"] != zone.Issuer() || claims["zid"] != "id-7" || zone.Issuer() != "http://team7."+strings.TrimPrefix(f.Issuer(), "http://") {
		t.Errorf("a token of the zone: got %v, %v; want iss %s and zid id-7, by the default zone's key", claims, err, zone.Issuer())
	}
	for name, c := range map[string]struct {
		at, id, secret string
		status         int
	}{
		"keeper by default":         {f.URL(), "keeper", "keeper-secret", 200},
		"another keeper":            {zone.URL(), "keeper", "keeper-secret", 200},
		"the zone's, by default":    {f.URL(), "afi-1", "s", 401},
		"the zone's, in another":    {f.Zone("team8").URL(), "afi-1", "s", 401},
		"the default's, in a zone":  {zone.URL(), "minter", "minter-secret", 401},
		"at a zone that is unknown": {strings.Replace(zone.URL(), "team7", "nope", 1), "afi-1", "s", 404},
	} {
		got := f.send(c.at, "POST", "/oauth/token", "", "grant_type=client_credentials&client_id="+c.id+"&client_secret="+c.secret, "X-Identity-Zone-Subdomain", "team7")
		if got.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, c.status)
		}
	}
	for name, c := range map[string]struct{ at, token string }{
		"the zone's token by default":   {f.URL(), token},
		"the default's token in a zone": {zone.URL(), f.tokenOf(f.URL(), "root", "root-secret")},
	} {
		got := f.send(c.at, "GET", "/oauth/clients/afi-1", c.token, "")
		if got.status != 401 || !strings.Contains(got.body, "did not match expected") {
			t.Errorf("%s: got %d %s, want 401: another issuer", name, got.status, got.body)
		}
	}
	if got := f.send(zone.URL(), "GET", "/.well-known/openid-configuration", "", ""); !strings.Contains(got.body, `"token_endpoint":"`+zone.URL()+`/oauth/token"`) {
		t.Errorf("discovery of the zone: got %s", got.body)
	}
}

// zoned is a server with zones, and a client that finds names below localhost.
type zoned struct {
	*Server
	t      *testing.T
	client *http.Client
}

func startZoned(t *testing.T, cfg Config) *zoned {
	t.Helper()
	cfg.CheapHashes = true
	server, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: toLoopback}
	t.Cleanup(transport.CloseIdleConnections)
	return &zoned{server, t, &http.Client{Transport: transport}}
}

// toLoopback dials names below localhost, which resolvers do not know.
func toLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

func (z *zoned) send(at, method, path, token, body string, header ...string) answer {
	z.t.Helper()
	request, err := http.NewRequest(method, at+path, strings.NewReader(body))
	if err != nil {
		z.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(body, "grant_type") {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	reply, err := z.client.Do(request)
	if err != nil {
		z.t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		z.t.Fatal(err)
	}
	return answer{status: reply.StatusCode, header: reply.Header, body: string(text)}
}

func (z *zoned) tokenOf(at, id, secret string) string {
	z.t.Helper()
	got := z.send(at, "POST", "/oauth/token", "", "grant_type=client_credentials&client_id="+id+"&client_secret="+secret)
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 {
		z.t.Fatalf("token of %s at %s: got %d %s", id, at, got.status, got.body)
	}
	return body.Token
}
