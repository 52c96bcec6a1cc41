package standin

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves the handler behind faults, with a client of its own that keeps no
// connection: Go's transport would repeat a GET on one that it had used before.
func start(t *testing.T, cfg ServerConfig, handler http.Handler) (*Server, *http.Client) {
	t.Helper()
	server, err := Listen(cfg)
	if err != nil {
		t.Fatalf("Listen: got error %v, want none", err)
	}
	t.Cleanup(server.Close)
	server.Serve(handler)

	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return server, &http.Client{Transport: transport}
}

// post gives status and body, or the error of a reply that was lost.
func post(client *http.Client, url, body string) (int, string, error) {
	reply, err := client.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(text), err
}
