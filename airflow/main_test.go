package airflow_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"airflow-identity/airflow"
	"airflow-identity/identity"
	standin "airflow-identity/integration/standin/airflow"
	"airflow-identity/remote"
)

// TestMain is also the command that the tests of Exec run.
func TestMain(m *testing.M) {
	if part := os.Getenv(execPart); part != "" {
		os.Exit(playCommand(part))
	}
	goleak.VerifyTestMain(m)
}

const (
	username = "broker"
	password = "brokers-own-very-secret-word"
	ownToken = "our-own-token-our-own-token"
)

var (
	background = context.Background()
	secret     = identity.SecretFrom("AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG")
	marker     = identity.Marker{
		Broker:     "7d0f0000-0000-4000-8000-000000000001",
		Connection: "acme_orders",
		Identity:   "5d3c0000-0000-4000-8000-000000000002",
		Generation: 7,
	}
	orders = identity.Connection{
		Marker:      marker,
		Host:        "https://uaa.example.com/oauth/token",
		Login:       "afi-5d3c0000-0000-4000-8000-000000000002",
		Description: "Managed by Airflow Identity for acme/prod/orders: orders.read. Edits are undone.",
	}
)

// atGeneration is orders as it was, or will be, at another generation.
func atGeneration(generation int) identity.Connection {
	other := orders
	other.Marker.Generation = generation
	return other
}

func startAirflow(t *testing.T, config standin.Config) *standin.Server {
	t.Helper()
	config.ContextPath = "/airflow"
	if config.Users == nil {
		config.Users = map[string]standin.User{username: {Password: password, Role: standin.RoleOp}}
	}
	server, err := standin.Start(config)
	if err != nil {
		t.Fatalf("starting the stand-in: %v", err)
	}
	t.Cleanup(server.Close)
	return server
}

// dialect is one of the two Airflows that everything must do with.
type dialect struct {
	api     airflow.API
	version string // of the stand-in
	path    string // of the list of connections
}

var (
	airflow2 = dialect{airflow.V1, standin.Version2, "/api/v1/connections"}
	airflow3 = dialect{airflow.V2, standin.Version3, "/api/v2/connections"}
)

func overBoth(t *testing.T, test func(*testing.T, dialect)) {
	t.Helper()
	for _, d := range []dialect{airflow2, airflow3} {
		t.Run(string(d.api), func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

func (d dialect) start(t *testing.T, config standin.Config) *standin.Server {
	t.Helper()
	config.Version = d.version
	return startAirflow(t, config)
}

func (d dialect) client(t *testing.T, config airflow.Config) *airflow.Client {
	t.Helper()
	config.API = d.api
	return newClient(t, config)
}

func fixed(text string) remote.Credential { return remote.Fixed(identity.SecretFrom(text)) }

// newClient fills in what a test does not care for.
func newClient(t *testing.T, config airflow.Config) *airflow.Client {
	t.Helper()
	if config.API == "" {
		config.API = airflow.V2
	}
	if config.Login == nil && config.API == airflow.V1 {
		config.Login = airflow.Basic{Username: username, Password: fixed(password)}
	}
	if config.Login == nil {
		config.Login = airflow.Password{Username: username, Password: fixed(password)}
	}
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	client, err := airflow.New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// scripted is an Airflow that lets us log in and answers all else as told.
func scripted(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/token" {
			reply(201, `{"access_token":"`+ownToken+`"}`)(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// byMethod answers GET in one way and everything else in another.
func byMethod(get, other http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			get(w, r)
			return
		}
		other(w, r)
	}
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

const page = "<!DOCTYPE html>\n<html><body><h1>Airflow 404</h1></body></html>"

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

func remoteError(t *testing.T, err error) *remote.Error {
	t.Helper()
	var e *remote.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v (%T), want a *remote.Error", err, err)
	}
	return e
}

// oneFailure opens the breaker at once and lets the next call through.
var oneFailure = remote.Breaker{Failures: 1, Rest: time.Nanosecond}
