package remote

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"testing"
	"time"

	"go.uber.org/goleak"

	"airflow-identity/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newSystem gives the way to a system with a time-out that no good answer needs.
func newSystem(t *testing.T, config Config) *System {
	t.Helper()
	config.Name = "test"
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	s, err := New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func serveTLS(t *testing.T, handler http.HandlerFunc) (server *httptest.Server, ca []byte) {
	t.Helper()
	server = httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = discard
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func post(url string) Request {
	return Request{Call: "POST /thing", Method: http.MethodPost, URL: url, Body: []byte(`{"secret":"` + hushHush + `"}`),
		Secrets: []identity.Secret{identity.SecretFrom(hushHush)}}
}

const hushHush = "hush-hush-hush-hush-hush"

func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v (%T), want a *remote.Error", err, err)
	}
	return e
}

// cut ends the connection of a request without an answer.
func cut(t *testing.T, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("hijacking: %v", err)
		return
	}
	_ = conn.Close()
}

var background = context.Background()

func gotConn(conn net.Conn) httptrace.GotConnInfo { return httptrace.GotConnInfo{Conn: conn} }
