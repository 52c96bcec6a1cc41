package airflow

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

type fixture struct {
	*Server
	t      *testing.T
	client *http.Client
}

// start gives a server with a user for every role; each password is the role and
// "-password".
func start(t *testing.T, cfg Config) *fixture {
	t.Helper()
	cfg.Users = map[string]User{}
	for _, role := range []string{RoleViewer, RoleUser, RoleOp, RoleAdmin} {
		cfg.Users[role] = User{Password: role + "-password", Role: role}
	}
	server, err := Start(cfg)
	if err != nil {
		t.Fatalf("Start: got error %v, want none", err)
	}
	t.Cleanup(server.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 20}
	t.Cleanup(transport.CloseIdleConnections)
	return &fixture{Server: server, t: t, client: &http.Client{Transport: transport}}
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

// is tells whether the answer has this status and this very JSON.
func (a answer) is(t *testing.T, status int, body string) bool {
	t.Helper()
	return a.status == status && canonical(t, a.body) == canonical(t, body)
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return text
	}
	sorted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(sorted)
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
	reply, err := f.client.Do(request)
	if err != nil {
		f.t.Fatalf("%s %s: got error %v, want a reply", method, path, err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{status: reply.StatusCode, header: reply.Header, body: string(text)}
}

func (f *fixture) login(body string) answer {
	f.t.Helper()
	return f.do(http.MethodPost, "/auth/token", body, "Content-Type", "application/json")
}

// token gives a token of the user of a role.
func (f *fixture) token(role string) string {
	f.t.Helper()
	got := f.login(`{"username":"` + role + `","password":"` + role + `-password"}`)
	if got.status != http.StatusCreated {
		f.t.Fatalf("login of %s: got %d %s, want 201", role, got.status, got.body)
	}
	return got.json(f.t)["access_token"].(string)
}

func (f *fixture) as(role, method, path, body string) answer {
	f.t.Helper()
	return f.do(method, path, body, "Authorization", "Bearer "+f.token(role), "Content-Type", "application/json")
}
