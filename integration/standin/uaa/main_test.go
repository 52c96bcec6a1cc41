package uaa

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// savedKey spares the tests a new RSA key for every server.
var savedKey = sync.OnceValues(func() ([]byte, error) {
	server, err := Start(Config{})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	return server.Snapshot()
})

// callers are the clients that the tests act as; each secret is the id and "-secret".
func callers() []Client {
	var clients []Client
	for id, authorities := range map[string]string{
		"admin":    "uaa.admin clients.admin clients.read clients.write",
		"minter":   "clients.admin",
		"root":     "uaa.admin",
		"writer":   "clients.write",
		"reader":   "clients.read",
		"resource": "uaa.resource",
		"changer":  "clients.secret",
		"revoker":  "tokens.revoke",
		"nobody":   "",
	} {
		clients = append(clients, Client{ID: id, Secret: id + "-secret", Authorities: strings.Fields(authorities)})
	}
	return clients
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a server and a client that follows no redirect.
type fixture struct {
	*Server
	t      *testing.T
	client *http.Client
}

func start(t *testing.T, cfg Config) *fixture {
	t.Helper()
	if cfg.Snapshot == nil {
		key, err := savedKey()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Snapshot = key
	}
	cfg.Clients = append(callers(), cfg.Clients...)
	server, err := Start(cfg)
	if err != nil {
		t.Fatalf("Start: got error %v, want none", err)
	}
	t.Cleanup(server.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 20}
	t.Cleanup(transport.CloseIdleConnections)
	return &fixture{Server: server, t: t, client: &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// answer is a reply, read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("body: got %q, want a JSON object: %v", a.body, err)
	}
	return body
}

// failure gives the two texts of an OAuth2 error.
func (a answer) failure(t *testing.T) (code, description string) {
	t.Helper()
	body := a.json(t)
	code, _ = body["error"].(string)
	description, _ = body["error_description"].(string)
	return code, description
}

func (f *fixture) do(method, path, body string, header ...string) answer {
	f.t.Helper()
	request, err := http.NewRequest(method, f.URL()+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return f.send(request)
}

func (f *fixture) send(request *http.Request) answer {
	f.t.Helper()
	reply, err := f.client.Do(request)
	if err != nil {
		f.t.Fatalf("%s %s: got error %v, want a reply", request.Method, request.URL, err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{status: reply.StatusCode, header: reply.Header, body: string(text)}
}

// form posts fields, with Basic credentials unless id is empty.
func (f *fixture) form(path, id, secret string, fields url.Values) answer {
	f.t.Helper()
	request, err := http.NewRequest(http.MethodPost, f.URL()+path, strings.NewReader(fields.Encode()))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		request.SetBasicAuth(id, secret)
	}
	return f.send(request)
}

func (f *fixture) grant(id, secret string) answer {
	f.t.Helper()
	return f.form("/oauth/token", id, secret, url.Values{"grant_type": {"client_credentials"}})
}

// token gives an access token of one of the callers.
func (f *fixture) token(id string) string {
	f.t.Helper()
	got := f.grant(id, id+"-secret")
	if got.status != http.StatusOK {
		f.t.Fatalf("token of %s: got %d %s, want 200", id, got.status, got.body)
	}
	return got.json(f.t)["access_token"].(string)
}

// as calls the API with the token of one of the callers and a JSON body.
func (f *fixture) as(caller, method, path string, body any) answer {
	f.t.Helper()
	text, isText := body.(string)
	if !isText && body != nil {
		var out bytes.Buffer
		if err := json.NewEncoder(&out).Encode(body); err != nil {
			f.t.Fatal(err)
		}
		text = out.String()
	}
	return f.do(method, path, text, "Authorization", "Bearer "+f.token(caller), "Content-Type", "application/json")
}

// workload is the body of a client as a broker makes it.
func workload(id string, changes map[string]any) map[string]any {
	body := map[string]any{
		"client_id":              id,
		"client_secret":          "workload-secret",
		"authorities":            []string{"orders.read"},
		"authorized_grant_types": []string{"client_credentials"},
		"access_token_validity":  600,
	}
	for key, value := range changes {
		if value == nil {
			delete(body, key)
			continue
		}
		body[key] = value
	}
	return body
}
