package standin

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestListenRefuses(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		cfg  ServerConfig
		want string
	}{
		"every interface":          {ServerConfig{Addr: ":0"}, "loopback"},
		"another host":             {ServerConfig{Addr: "192.0.2.1:0"}, "loopback"},
		"a name":                   {ServerConfig{Addr: "example.com:0"}, "loopback"},
		"no port":                  {ServerConfig{Addr: "127.0.0.1"}, "address of a stand-in"},
		"a path without a slash":   {ServerConfig{ContextPath: "uaa"}, "context path"},
		"a path that ends with it": {ServerConfig{ContextPath: "/uaa/"}, "context path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			server, err := Listen(c.cfg)
			if err == nil {
				server.Close()
				t.Fatalf("got no error, want one about %q", c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to contain %q", err, c.want)
			}
		})
	}
}

func TestListenOnATakenPort(t *testing.T) {
	t.Parallel()

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if server, err := Listen(ServerConfig{Addr: taken.Addr().String()}); err == nil {
		server.Close()
		t.Error("got no error, want one")
	}
}

func TestContextPath(t *testing.T) {
	t.Parallel()

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.URL.Path))
	})
	server, client := start(t, ServerConfig{ContextPath: "/uaa"}, handler)
	root := strings.TrimSuffix(server.URL(), "/uaa")

	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/uaa/healthz":      {200, "/healthz"},
		"/uaa/oauth//token": {200, "/oauth//token"},
		"/healthz":          {404, "404 page not found\n"},
		"/uaax/healthz":     {404, "404 page not found\n"},
	} {
		status, body, err := post(client, root+path, "")
		if err != nil || status != want.status || body != want.body {
			t.Errorf("%s: got %d %q (%v), want %d %q", path, status, body, err, want.status, want.body)
		}
	}
}

func TestLatencyIsAdded(t *testing.T) {
	t.Parallel()

	var acted atomic.Int64
	server, client := start(t, ServerConfig{Latency: 20 * time.Millisecond}, counting(&acted))
	began := time.Now()
	if _, _, err := post(client, server.URL()+"/", ""); err != nil {
		t.Fatalf("got error %v, want a reply", err)
	}
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("took %v, want at least 20ms", took)
	}
}

func TestCloseCutsLatencyShort(t *testing.T) {
	t.Parallel()

	var acted atomic.Int64
	server, _ := start(t, ServerConfig{Latency: time.Hour}, counting(&acted))
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if got := acted.Load(); got != 0 {
		t.Errorf("acted: got %d, want 0", got)
	}
}

// A request that breaks off in its body has not arrived, and must not act.
func TestBrokenBodyDoesNotAct(t *testing.T) {
	t.Parallel()

	var acted atomic.Int64
	ended := make(chan struct{})
	var faults Faults
	handler := faults.Wrap(counting(&acted))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()

	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	<-ended
	if got := acted.Load(); got != 0 {
		t.Errorf("acted: got %d, want 0", got)
	}
}

func TestCloseBeforeServe(t *testing.T) {
	t.Parallel()

	server, err := Listen(ServerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
}

func TestLogHasNoBody(t *testing.T) {
	t.Parallel()

	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var acted atomic.Int64
	server, client := start(t, ServerConfig{Logger: logger}, counting(&acted))
	if _, _, err := post(client, server.URL()+"/thing", "confidential"); err != nil {
		t.Fatalf("got error %v, want a reply", err)
	}
	server.Close()

	if got := log.String(); !strings.Contains(got, "path=/thing status=201") || strings.Contains(got, "confidential") {
		t.Errorf("log: got %q, want path and status and no body", got)
	}
}
