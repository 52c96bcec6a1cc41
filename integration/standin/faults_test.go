package standin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counting acts by counting, and answers with the body that it was sent.
func counting(acted *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		acted.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Acted", "yes")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	})
}

func TestFaultKinds(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		fault  Fault
		lost   bool
		acted  int64
		status int
		body   string
		calls  string // what was called, in order
	}{
		"answer": {
			fault:  Fault{Kind: Answer, Status: 404, Header: http.Header{"X-Cf-Routererror": {"unknown_route"}}, Body: "nobody"},
			status: 404, body: "nobody", calls: "before",
		},
		"answer without a status": {fault: Fault{Kind: Answer}, status: 503, calls: "before"},
		"lose before":             {fault: Fault{Kind: LoseBefore}, lost: true, calls: "before"},
		"lose after":              {fault: Fault{Kind: LoseAfter}, lost: true, acted: 1, calls: "before after"},
		"slow":                    {fault: Fault{Kind: Slow}, acted: 1, status: 201, body: "sent", calls: "before after"},
		"notice":                  {fault: Fault{Kind: Notice}, acted: 1, status: 201, body: "sent", calls: "before after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var acted atomic.Int64
			var faults Faults
			server, client := start(t, ServerConfig{Faults: &faults}, counting(&acted))
			var calls []string
			c.fault.Before = func() {
				if got := acted.Load(); got != 0 {
					t.Errorf("acted before Before: got %d, want 0", got)
				}
				calls = append(calls, "before")
			}
			c.fault.After = func() {
				if got := acted.Load(); got != 1 {
					t.Errorf("acted before After: got %d, want 1", got)
				}
				calls = append(calls, "after")
			}
			faults.Add(c.fault)

			status, body, err := post(client, server.URL()+"/thing", "sent")
			server.Close() // the handler has ended, so calls may be read

			if lost := err != nil; lost != c.lost {
				t.Fatalf("reply lost: got %v (%v), want %v", lost, err, c.lost)
			}
			if status != c.status || body != c.body {
				t.Errorf("reply: got %d %q, want %d %q", status, body, c.status, c.body)
			}
			if got := acted.Load(); got != c.acted {
				t.Errorf("acted: got %d, want %d", got, c.acted)
			}
			if got := strings.Join(calls, " "); got != c.calls {
				t.Errorf("calls: got %q, want %q", got, c.calls)
			}
			if faults.Pending() != 0 || faults.Hits() != 1 {
				t.Errorf("pending, hits: got %d, %d, want 0, 1", faults.Pending(), faults.Hits())
			}
		})
	}
}

func TestFaultAnswersWithHeader(t *testing.T) {
	t.Parallel()

	var faults Faults
	server, client := start(t, ServerConfig{Faults: &faults}, http.NotFoundHandler())
	faults.Add(Fault{Status: 502, Header: http.Header{"content-type": {"text/html"}}})

	reply, err := client.Get(server.URL() + "/")
	if err != nil {
		t.Fatalf("got error %v, want a reply", err)
	}
	defer reply.Body.Close()
	if got := reply.Header.Get("Content-Type"); got != "text/html" {
		t.Errorf("content type: got %q, want text/html", got)
	}
}

func TestFaultMatching(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		fault Fault
		want  bool
	}{
		"method and path":   {Fault{Call: "POST /oauth/clients"}, true},
		"path prefix":       {Fault{Call: "POST /oauth/cl"}, true},
		"other path":        {Fault{Call: "POST /oauth/token"}, false},
		"other method":      {Fault{Call: "DELETE /oauth/clients"}, false},
		"path only":         {Fault{Call: "/oauth"}, true},
		"every call":        {Fault{}, true},
		"body that matches": {Fault{Match: func(_ *http.Request, b []byte) bool { return string(b) == "hello" }}, true},
		"body that differs": {Fault{Match: func(_ *http.Request, b []byte) bool { return len(b) == 0 }}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var acted atomic.Int64
			var faults Faults
			server, client := start(t, ServerConfig{Faults: &faults, ContextPath: "/uaa"}, counting(&acted))
			faults.Add(c.fault)

			if _, _, err := post(client, server.URL()+"/oauth/clients/x", "hello"); err != nil {
				t.Fatalf("got error %v, want a reply", err)
			}
			if got := acted.Load() == 0; got != c.want {
				t.Errorf("rule applied: got %v, want %v", got, c.want)
			}
		})
	}
}

func TestFaultSkipAndTimes(t *testing.T) {
	t.Parallel()

	var acted atomic.Int64
	var faults Faults
	server, client := start(t, ServerConfig{Faults: &faults}, counting(&acted))
	faults.Add(Fault{Status: 500, Skip: 1, Times: 2}, Fault{Status: 429, Skip: 4})

	var got []int
	for range 7 {
		status, _, err := post(client, server.URL()+"/", "")
		if err != nil {
			t.Fatalf("got error %v, want a reply", err)
		}
		got = append(got, status)
	}
	// The second rule counts only what the first one let through.
	want := []int{201, 500, 500, 201, 201, 201, 429}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("statuses: got %v, want %v", got, want)
		}
	}
	if faults.Pending() != 0 || faults.Hits() != 3 {
		t.Errorf("pending, hits: got %d, %d, want 0, 3", faults.Pending(), faults.Hits())
	}

	faults.Add(Fault{}, Fault{})
	if got := faults.Pending(); got != 2 {
		t.Errorf("pending: got %d, want 2", got)
	}
	faults.Clear()
	if got := faults.Pending(); got != 0 {
		t.Errorf("pending after Clear: got %d, want 0", got)
	}
}

// A slow request acts although nobody waits for it any more: the case that the
// broker's quiet time exists for.
func TestSlowActsAfterItsClientHasGone(t *testing.T) {
	t.Parallel()

	var acted atomic.Int64
	var faults Faults
	server, client := start(t, ServerConfig{Faults: &faults}, counting(&acted))
	arrived, release, after := make(chan struct{}), make(chan struct{}), make(chan struct{})
	faults.Add(Fault{
		Kind: Slow, Release: release,
		Before: func() { close(arrived) }, After: func() { close(after) },
	})

	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, server.URL()+"/thing", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-arrived
		cancel()
	}()
	reply, err := client.Do(request)
	if err == nil {
		reply.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("held request: got error %v, want %v", err, context.Canceled)
	}
	if got := acted.Load(); got != 0 {
		t.Fatalf("acted while held: got %d, want 0", got)
	}

	close(release)
	<-after
	if got := acted.Load(); got != 1 {
		t.Errorf("acted once released: got %d, want 1", got)
	}
}

func TestSlowWaitsForItsDelay(t *testing.T) {
	t.Parallel()

	var acted atomic.Int64
	var faults Faults
	server, client := start(t, ServerConfig{Faults: &faults}, counting(&acted))
	faults.Add(Fault{Kind: Slow, Delay: 20 * time.Millisecond})

	began := time.Now()
	if status, _, err := post(client, server.URL()+"/", ""); err != nil || status != 201 {
		t.Fatalf("got %d, %v, want 201", status, err)
	}
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("took %v, want at least 20ms", took)
	}
}

func TestCloseEndsWhatIsHeld(t *testing.T) {
	t.Parallel()

	var acted atomic.Int64
	var faults Faults
	server, client := start(t, ServerConfig{Faults: &faults}, counting(&acted))
	arrived := make(chan struct{})
	faults.Add(Fault{Kind: Slow, Release: make(chan struct{}), Before: func() { close(arrived) }})

	lost := make(chan error, 1)
	go func() {
		_, _, err := post(client, server.URL()+"/", "")
		lost <- err
	}()
	<-arrived
	server.Close()
	server.Close() // again is harmless

	if err := <-lost; err == nil {
		t.Error("held request: got a reply, want none")
	}
	if got := acted.Load(); got != 0 {
		t.Errorf("acted: got %d, want 0: a process that is gone does not act", got)
	}
}

func TestFaultsAreSafeForManyAtOnce(t *testing.T) {
	t.Parallel()

	var acted atomic.Int64
	var faults Faults
	server, client := start(t, ServerConfig{Faults: &faults}, counting(&acted))
	faults.Add(Fault{Status: 500, Times: 10})

	var group sync.WaitGroup
	var refused atomic.Int64
	for range 30 {
		group.Go(func() {
			status, _, err := post(client, server.URL()+"/", "x")
			if err != nil {
				t.Errorf("got error %v, want a reply", err)
			}
			if status == 500 {
				refused.Add(1)
			}
		})
	}
	group.Wait()
	if refused.Load() != 10 || acted.Load() != 20 {
		t.Errorf("refused, acted: got %d, %d, want 10, 20", refused.Load(), acted.Load())
	}
}
