package uaa_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"airflow-identity/identity"
	standin "airflow-identity/integration/standin/uaa"
	"airflow-identity/remote"
	"airflow-identity/uaa"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	brokerID     = "airflow-identity"
	brokerSecret = "brokers-own-very-secret-word"
)

var (
	background = context.Background()
	secret     = identity.SecretFrom("AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG")
	orders     = identity.Client{
		ID:            "afi-5d3c8f0e-0000-4000-8000-000000000001",
		Name:          "acme_orders",
		Authorities:   []identity.Authority{"orders.read", "orders.write"},
		TokenLifetime: 10 * time.Minute,
		Labels:        map[string]string{"afi_broker": "b-1", "afi_identity": "i-1"},
	}
)

// startUAA starts a stand-in that knows us.
func startUAA(t *testing.T) *standin.Server {
	t.Helper()
	return startUAAOf(t, standin.Config{
		Clients: []standin.Client{{ID: brokerID, Secret: brokerSecret, Authorities: []string{"clients.admin"}}},
	})
}

func startUAAOf(t *testing.T, config standin.Config) *standin.Server {
	t.Helper()
	config.ContextPath = "/uaa"
	server, err := standin.Start(config)
	if err != nil {
		t.Fatalf("starting the stand-in: %v", err)
	}
	t.Cleanup(server.Close)
	return server
}

// newClient fills in what a test does not care for.
func newClient(t *testing.T, config uaa.Config) *uaa.Client {
	t.Helper()
	config.ClientID = brokerID
	if config.Secret == nil {
		config.Secret = remote.Fixed(identity.SecretFrom(brokerSecret))
	}
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	client, err := uaa.New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// scripted is a UAA that grants us tokens, each another, and answers all else as told.
func scripted(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	var granted atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/oauth/token") && r.FormValue("client_id") == brokerID {
			again := strings.Repeat("-again", int(granted.Add(1))-1)
			reply(200, `{"access_token":"our-own-token-our-own-token`+again+`","token_type":"bearer","expires_in":599}`)(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// reply claims JSON, whatever it sends, unless it is told otherwise.
func reply(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// hangUp ends the connection after half an answer, or none.
func hangUp(t *testing.T, half string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijacking: %v", err)
			return
		}
		_, _ = conn.Write([]byte(half))
		_ = conn.Close()
	}
}

const page = "<!DOCTYPE html>\n<html><body><h2>Uh oh.</h2><p>Something went amiss.</p></body></html>"

// logs keeps what was logged, at any level.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func asRemote(err error, e **remote.Error) bool { return errors.As(err, e) }

// ticking is a clock that tests move.
type ticking struct {
	mu  sync.Mutex
	now time.Time
}

func (c *ticking) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *ticking) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
