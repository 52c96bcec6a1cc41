package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"airflow-identity/integration/standin"
)

// relay stands between the brokers and one remote. It hears what they say and what
// they are answered, and what networks do to them is done here, by its faults: so it
// is all the same whether a stand-in or a real system is behind it. Whoever is not a
// broker goes past it.
type relay struct {
	faults *standin.Faults // paths as of a remote at the root
	server *standin.Server
	direct *http.Transport
	target *url.URL

	mu    sync.Mutex
	heard []exchange
}

// exchange is a request that was passed on. It may have acted before its status is
// known here, and its status is known here although nobody else hears of it.
type exchange struct {
	method, path string
	status       int // 0: not answered yet
	said         said
}

// said is what the story wants to know of a request's body.
type said struct {
	Client       string `json:"client_id"`
	ClientSecret string `json:"client_secret"` // of a client that is made
	Secret       string `json:"secret"`        // of one that gets another
	Mode         string `json:"changeMode"`    // what is done with it
	Connection   string `json:"connection_id"`
}

func startRelay(target string) (*relay, error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("starting a relay: %w", err)
	}
	r := &relay{faults: &standin.Faults{}, target: parsed}
	// A connection for each request: one that the remote is about to close would lose
	// the next, which no fault of ours asked for.
	r.direct = &http.Transport{DisableKeepAlives: true, DisableCompression: true, ResponseHeaderTimeout: 30 * time.Second}
	if r.server, err = standin.Listen(standin.ServerConfig{Faults: r.faults}); err != nil {
		return nil, fmt.Errorf("starting a relay: %w", err)
	}
	r.server.Serve(&httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(parsed) },
		Transport: r,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the broker's log tells
	})
	return r, nil
}

func (r *relay) url() string { return r.server.URL() }

func (r *relay) close() { r.server.Close() }

// RoundTrip passes a request on and listens.
func (r *relay) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		if body, err = io.ReadAll(request.Body); err != nil {
			return nil, fmt.Errorf("reading a request: %w", err)
		}
	}
	this := exchange{method: request.Method, path: strings.TrimPrefix(request.URL.Path, r.target.Path)}
	_ = json.Unmarshal(body, &this.said) // what is no JSON says nothing of this
	r.mu.Lock()
	at := len(r.heard)
	r.heard = append(r.heard, this)
	r.mu.Unlock()

	passed := request.Clone(request.Context())
	passed.Body = io.NopCloser(bytes.NewReader(body))
	answer, err := r.direct.RoundTrip(passed)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard[at].status = answer.StatusCode
	return answer, nil
}

// look shows every exchange so far.
func (r *relay) look(at func(exchange)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.heard {
		at(e)
	}
}

// secrets are those which UAA was sent, by client, the oldest first.
func (r *relay) secrets() map[string][]string {
	sent := map[string][]string{}
	r.look(func(e exchange) {
		secret := e.said.ClientSecret + e.said.Secret
		if secret == "" || !strings.HasPrefix(e.path, "/oauth/clients/") {
			return
		}
		client := e.said.Client
		if strings.HasSuffix(e.path, "/secret") {
			client = path.Base(path.Dir(e.path))
		}
		if !slices.Contains(sent[client], secret) { // it is sent again when nobody heard the answer
			sent[client] = append(sent[client], secret)
		}
	})
	return sent
}

// secretChanges counts those of a client that UAA says it has made.
func (r *relay) secretChanges(client, mode string) int {
	n := 0
	r.look(func(e exchange) {
		if e.method == http.MethodPut && e.path == "/oauth/clients/"+client+"/secret" && e.status == http.StatusOK && e.said.Mode == mode {
			n++
		}
	})
	return n
}

// made counts how often the remote says that it has made each client or connection.
func (r *relay) made() map[string]int {
	made := map[string]int{}
	r.look(func(e exchange) {
		if id := e.said.Client + e.said.Connection; e.method == http.MethodPost && e.status == http.StatusCreated && id != "" {
			made[id]++
		}
	})
	return made
}
