//go:build e2e

package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// relayFault is what a relay does to one request.
type relayFault string

const (
	passOn     relayFault = ""
	loseBefore relayFault = "lost before" // it never arrives
	loseAfter  relayFault = "reply lost"  // it acts, and nobody hears of it
	badBefore  relayFault = "502 before"  // a router that did not reach the system
	badAfter   relayFault = "502 after"   // a router that lost the system's answer
	tooLate    relayFault = "late"        // it arrives when its sender has given up, and acts
)

var relayFaults = []relayFault{loseBefore, loseAfter, badBefore, badAfter, tooLate}

// relay stands between the brokers and one remote system, and does to their requests
// what networks and routers do. What it does is drawn from a seed, one request after
// the other.
type relay struct {
	server  *httptest.Server
	target  *url.URL
	timeout time.Duration // of the brokers' calls
	// heard is told of each request that the system has answered, whether or not the
	// answer reaches anybody; sent of each that was sent to it.
	sent  func(path string, body []byte)
	heard func(path string, body []byte, status int)

	mu     sync.Mutex
	random *rand.Rand
	share  float64 // of requests that something is done to
	did    map[relayFault]int
}

// newRelay stands before the system at target, at first doing nothing.
func newRelay(t *testing.T, target string, seed uint64, timeout time.Duration) *relay {
	t.Helper()
	parsed, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{
		target: parsed, timeout: timeout, random: rand.New(rand.NewPCG(seed, 0)), did: map[relayFault]int{},
		sent: func(string, []byte) {}, heard: func(string, []byte, int) {},
	}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

// url is the system's, as the brokers are told it.
func (r *relay) url() string { return r.server.URL + r.target.Path }

// disturb does something to this share of the requests from now on.
func (r *relay) disturb(share float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.share = share
}

// faults counts what was done so far.
func (r *relay) faults() (total int, each map[relayFault]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	each = map[relayFault]int{}
	for fault, n := range r.did {
		each[fault] = n
		total += n
	}
	return total, each
}

// draw decides about one request. delay is how long one that is late takes to
// arrive: longer than its sender waits, and shorter than what the broker counts on,
// which is two time-outs until it has acted.
func (r *relay) draw() (fault relayFault, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.random.Float64() >= r.share {
		return passOn, 0
	}
	fault = relayFaults[r.random.IntN(len(relayFaults))]
	r.did[fault]++
	return fault, r.timeout + time.Duration((0.05+0.3*r.random.Float64())*float64(r.timeout))
}

func (r *relay) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // it did not arrive whole
	}
	fault, delay := r.draw()
	switch fault {
	case loseBefore:
		panic(http.ErrAbortHandler)
	case badBefore:
		badGateway(w)
		return
	case tooLate:
		time.Sleep(delay)
	}
	answer, text, err := r.forward(request, body)
	switch {
	case err != nil || fault == loseAfter || fault == tooLate:
		panic(http.ErrAbortHandler)
	case fault == badAfter:
		badGateway(w)
		return
	}
	for key, values := range answer.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(text) // whoever asked may have gone
}

// forward sends the request on, whatever becomes of its sender.
func (r *relay) forward(request *http.Request, body []byte) (*http.Response, []byte, error) {
	out := request.Clone(context.WithoutCancel(request.Context()))
	out.RequestURI, out.Body, out.ContentLength = "", io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.URL.Scheme, out.URL.Host, out.Host = r.target.Scheme, r.target.Host, r.target.Host
	r.sent(request.URL.Path, body)
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return nil, nil, fmt.Errorf("passing a request on: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("passing an answer on: %w", err)
	}
	r.heard(request.URL.Path, body, answer.StatusCode)
	return answer, text, nil
}

// badGateway is what Cloud Foundry's router says.
func badGateway(w http.ResponseWriter) {
	w.Header().Set("X-Cf-Routererror", "endpoint_failure")
	http.Error(w, "502 Bad Gateway: Registered endpoint failed to handle the request.", http.StatusBadGateway)
}

// TestRelay holds the relay to what its faults say: which of them act.
func TestRelay(t *testing.T) {
	t.Parallel()
	acted := make(chan string, 1)
	system := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		acted <- r.URL.Path
	}))
	t.Cleanup(system.Close)
	const timeout = 50 * time.Millisecond
	r := newRelay(t, system.URL, 1, timeout)
	r.disturb(1)
	client := &http.Client{Timeout: timeout}
	seen := map[relayFault]int{}
	for len(seen) < len(relayFaults) {
		_, before := r.faults()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url()+"/thing", nil)
		if err != nil {
			t.Fatal(err)
		}
		status := 0
		if response, err := client.Do(request); err == nil {
			status = response.StatusCode
			response.Body.Close()
		}
		did := map[string]bool{}
		select {
		case path := <-acted:
			did[path] = true
		case <-time.After(4 * timeout):
		}
		_, after := r.faults()
		for fault, n := range after {
			if n == before[fault] {
				continue
			}
			seen[fault]++
			wantActs := fault == loseAfter || fault == badAfter || fault == tooLate
			wantStatus := map[relayFault]int{badBefore: http.StatusBadGateway, badAfter: http.StatusBadGateway}[fault]
			if did["/thing"] != wantActs || status != wantStatus {
				t.Errorf("%s: acted %v and answered %d, want %v and %d", fault, did, status, wantActs, wantStatus)
			}
		}
	}
}
