package remote

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/identity"
)

var discard = log.New(io.Discard, "", 0)

func TestWhatIsKnownOfACallWithoutAnAnswer(t *testing.T) {
	t.Parallel()

	raw := func(reply string) func(*testing.T) (string, Config) {
		return func(t *testing.T) (string, Config) {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Errorf("hijacking: %v", err)
					return
				}
				_, _ = io.WriteString(conn, reply)
				_ = conn.Close()
			})
			return server.URL, Config{}
		}
	}
	tests := []struct {
		name    string
		server  func(t *testing.T) (url string, config Config)
		written bool
		want    identity.Outcome
	}{
		{"nobody listens", func(t *testing.T) (string, Config) {
			listener := listen(t)
			_ = listener.Close()
			return "http://" + listener.Addr().String(), Config{}
		}, false, identity.Later},
		{"a certificate that nobody vouches for", func(t *testing.T) (string, Config) {
			server, _ := serveTLS(t, func(http.ResponseWriter, *http.Request) {
				t.Error("the request arrived in spite of its certificate")
			})
			return server.URL, Config{}
		}, false, identity.Later},
		{"TLS that never shakes hands", func(t *testing.T) (string, Config) {
			// The kernel accepts for the listener; nobody ever answers.
			return "https://" + listen(t).Addr().String(), Config{Timeout: 50 * time.Millisecond}
		}, false, identity.Later},
		{"an address that is none", func(*testing.T) (string, Config) {
			return "http://127.0.0.1:port", Config{}
		}, false, identity.Later},
		{"a server that hangs", func(t *testing.T) (string, Config) {
			return "http://" + listen(t).Addr().String(), Config{Timeout: time.Second}
		}, true, identity.Unknown},
		{"a server that hangs behind TLS", func(t *testing.T) (string, Config) {
			release := make(chan struct{})
			server, ca := serveTLS(t, func(http.ResponseWriter, *http.Request) { <-release })
			t.Cleanup(func() { close(release) })
			return server.URL, Config{Timeout: time.Second, CA: ca}
		}, true, identity.Unknown},
		{"a reply that is lost", raw(""), true, identity.Unknown},
		{"a reply that is cut in its head", raw("HTTP/1.1 201 Cre"), true, identity.Unknown},
		{"a reply that is cut in its body", raw("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"half\":"), true, identity.Unknown},
		{"a reply that is no HTTP", raw("SSH-2.0-OpenSSH\r\n"), true, identity.Unknown},
		{"a reply that repeats the request", raw("HTTP/1.1 " + hushHush + "\r\n\r\n"), true, identity.Unknown},
		{"a body without end", func(t *testing.T) (string, Config) {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				for chunk := strings.Repeat("x", 64<<10); ; {
					if _, err := io.WriteString(w, chunk); err != nil {
						return
					}
				}
			})
			return server.URL, Config{}
		}, true, identity.Unknown},
		{"a head without end", func(t *testing.T) (string, Config) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Long", strings.Repeat("x", 2*headerLimit))
			})
			return server.URL, Config{}
		}, true, identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url, config := test.server(t)
			s := newSystem(t, config)

			answer, err := s.Do(background, post(url))

			if err == nil {
				t.Fatalf("got answer %d, want an error", answer.Status)
			}
			e := asError(t, err)
			if e.Written != test.written {
				t.Errorf("got written %v, want %v: %v", e.Written, test.written, err)
			}
			if got := OutcomeOf(err); got != test.want {
				t.Errorf("got outcome %s, want %s: %v", got, test.want, err)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", e.Err)} {
				if strings.Contains(text, "hush") {
					t.Errorf("the error tells the secret: %s", text)
				}
			}
		})
	}
}

func TestCallAfterItsTimeIsNeverSent(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request arrived") })
	s := newSystem(t, Config{})
	ctx, cancel := context.WithCancel(background)
	cancel()

	_, err := s.Do(ctx, post(server.URL))

	if got := OutcomeOf(err); got != identity.Later {
		t.Errorf("got outcome %s, want later: %v", got, err)
	}
}

func TestNothingIsSentAfterClose(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	server := serve(t, func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
	s := newSystem(t, Config{})
	_, err := s.Do(background, post(server.URL))
	if err != nil {
		t.Fatalf("before: %v", err)
	}
	s.Close()
	s.Close() // twice does no harm

	_, err = s.Do(background, post(server.URL))

	if got := OutcomeOf(err); got != identity.Later || arrived.Load() != 1 {
		t.Errorf("got outcome %s, %v, and %d calls arrived; want later, and one", got, err, arrived.Load())
	}
}

func TestRedirectsAreAnswersAndNotFollowed(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		http.Redirect(w, r, "/login", http.StatusFound)
	})
	s := newSystem(t, Config{})

	answer, err := s.Do(background, post(server.URL))
	if err != nil || answer.Status != http.StatusFound {
		t.Fatalf("got status %d, error %v; want 302", answer.Status, err)
	}
	response, err := s.HTTPClient("GET /").Get(server.URL)
	if err != nil || response.StatusCode != http.StatusFound {
		t.Fatalf("through the lent client: got %v, error %v; want 302", response, err)
	}
	_ = response.Body.Close()
	if got := visits.Load(); got != 2 {
		t.Errorf("the server was visited %d times, want 2", got)
	}
}

func TestPrivateCAOverHTTP1(t *testing.T) {
	t.Parallel()
	server, ca := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("the request came over %s, want HTTP/1.1", r.Proto)
		}
		if got := r.Header.Get("User-Agent"); got != "airflow-identity" {
			t.Errorf("got user agent %q", got)
		}
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	s := newSystem(t, Config{CA: ca})

	answer, err := s.Do(background, post(server.URL))

	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	var body struct{ OK bool }
	if err := answer.JSON(&body); err != nil || !body.OK {
		t.Errorf("got body %s, error %v", answer.Body, err)
	}
}

// A request that changes something is sent once, also where net/http itself
// would like to repeat it: on a connection that served before and is then cut.
func TestMutationsAreSentOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int32
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.Method == http.MethodGet {
					return
				}
				arrived.Add(1)
				cut(t, w)
			})
			s := newSystem(t, Config{})
			_, err := s.Do(background, Request{Method: http.MethodGet, URL: server.URL})
			if err != nil {
				t.Fatalf("warming the connection up: %v", err)
			}

			r := post(server.URL)
			r.Method = method
			if method == http.MethodDelete {
				r.Body = nil
			}
			_, err = s.Do(background, r)

			if got := OutcomeOf(err); got != identity.Unknown {
				t.Errorf("got outcome %s, want unknown: %v", got, err)
			}
			if got := arrived.Load(); got != 1 {
				t.Errorf("it arrived %d times, want once", got)
			}
		})
	}
}

func TestNamesBelowLocalhostAreLoopback(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })
	s := newSystem(t, Config{})
	port := server.URL[strings.LastIndex(server.URL, ":"):]

	answer, err := s.Do(background, Request{Method: http.MethodGet, URL: "http://zone.localhost" + port})

	if err != nil || string(answer.Body) != "zone.localhost"+port {
		t.Errorf("got host %q, error %v; want zone.localhost", answer.Body, err)
	}
}

func TestCallsAreLoggedWithoutTheirSecrets(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { cut(t, w) })
	var lines strings.Builder
	logger := slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := newSystem(t, Config{Logger: logger})

	_, _ = s.Do(background, post(server.URL))

	if got := lines.String(); !strings.Contains(got, `"call":"POST /thing"`) || strings.Contains(got, "hush") {
		t.Errorf("got log %s", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config Config
		want   string
	}{
		{"no name", Config{Timeout: time.Second}, "needs a name"},
		{"no time-out", Config{Name: "uaa"}, "time-out"},
		{"a CA that is none", Config{Name: "uaa", Timeout: time.Second, CA: []byte("not a certificate")}, "PEM"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one about %q", err, test.want)
			}
		})
	}
}

func TestBase(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, address, want string
	}{
		{"a host", "https://uaa.example.com", "https://uaa.example.com"},
		{"a slash at the end", "https://uaa.example.com/", "https://uaa.example.com"},
		{"a path", "http://localhost:8080/uaa/", "http://localhost:8080/uaa"},
		{"no scheme", "uaa.example.com", ""},
		{"another scheme", "ftp://uaa.example.com", ""},
		{"no host", "https:///uaa", ""},
		{"a login", "https://admin:hush@uaa.example.com", ""},
		{"a login in what is no URL", "https://admin:hush@uaa.example.com:port", ""},
		{"a query", "https://uaa.example.com?x=1", ""},
		{"a fragment", "https://uaa.example.com#x", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Base(test.address)
			if test.want == "" {
				if err == nil || strings.Contains(err.Error(), "hush") {
					t.Errorf("got %v, error %v; want an error without the password", got, err)
				}
				return
			}
			if err != nil || got.String() != test.want {
				t.Errorf("got %v, error %v; want %s", got, err, test.want)
			}
		})
	}
}
