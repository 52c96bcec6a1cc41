package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"airflow-identity/identity"
)

// within gives the context of a call that has so much time.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(background, d)
	t.Cleanup(cancel)
	return ctx
}

func mute(limits Limits, breaker Breaker) *gate {
	return newGate("uaa", limits, breaker, slog.New(slog.DiscardHandler))
}

func TestNoMoreCallsAtOnceThanSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := mute(Limits{Concurrency: 3}, Breaker{})
		ctx := within(t, time.Hour)
		var running, most, done int
		var mu sync.Mutex
		began := time.Now()

		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				err := g.pass(ctx, func() error {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					time.Sleep(time.Second) // the bubble's: no time passes
					mu.Lock()
					running--
					done++
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Errorf("got %v, want a slot", err)
				}
			})
		}
		calls.Wait()

		if most != 3 || done != 10 || time.Since(began) != 4*time.Second {
			t.Errorf("got %d calls, %d at most at once, in %s; want 10, 3, 4s", done, most, time.Since(began))
		}
	})
}

func TestNoMoreCallsInASecondThanTheRate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		rate  float64
		calls int
		want  time.Duration
	}{
		{"a second's worth, at once", 10, 10, 0},
		{"two seconds' worth and a half", 10, 25, 1500 * time.Millisecond},
		{"less than one a second", 0.5, 3, 4 * time.Second},
		{"no limit", 0, 1000, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := mute(Limits{PerSecond: test.rate}, Breaker{})
				ctx := within(t, time.Hour)
				began := time.Now()

				var calls sync.WaitGroup
				for range test.calls {
					calls.Go(func() {
						err := g.pass(ctx, func() error { return nil })
						if err != nil {
							t.Errorf("got %v, want a place", err)
						}
					})
				}
				calls.Wait()

				if got := time.Since(began).Round(time.Millisecond); got != test.want {
					t.Errorf("it took %s, want %s", got, test.want)
				}
			})
		})
	}
}

// A call that waits longer than half of its time is better not sent: it would be
// cut off, and nobody would know what it did.
func TestWaitingEndsWhileThereIsTimeForTheCall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits Limits
		cancel bool
		waited time.Duration
		want   string
	}{
		{"for a slot", Limits{Concurrency: 1}, false, 5 * time.Second, "none of uaa's 1 slots came free in time"},
		{"for the rate, which knows at once", Limits{PerSecond: 0.01}, false, 0, "no more than 0.01 calls a second"},
		{"for a slot, given up", Limits{Concurrency: 1}, true, time.Second, "context canceled"},
		{"for the rate, given up", Limits{PerSecond: 0.25}, true, time.Second, "context canceled"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := mute(test.limits, Breaker{})
				end := make(chan struct{})
				var first sync.WaitGroup
				first.Go(func() {
					err := g.pass(within(t, time.Hour), func() error { <-end; return nil })
					if err != nil {
						t.Errorf("the first call: got %v", err)
					}
				})
				synctest.Wait()
				ctx, cancel := context.WithTimeout(background, 10*time.Second)
				defer cancel()
				if test.cancel {
					time.AfterFunc(time.Second, cancel)
				}
				began := time.Now()

				err := g.pass(ctx, func() error { t.Error("it was sent"); return nil })

				if err == nil || !strings.Contains(err.Error(), test.want) || time.Since(began) != test.waited {
					t.Errorf("got %v after %s, want an error with %q after %s", err, time.Since(began), test.want, test.waited)
				}
				close(end)
				first.Wait()
				err = g.pass(within(t, time.Hour), func() error { return nil })
				if err != nil {
					t.Errorf("afterwards: got %v: what was waited for is lost", err)
				}
			})
		})
	}
}

// Calls side by side at two systems, begun in either order, with a slot each.
func TestCallsSideBySideDoNotWaitInACircle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, other := mute(Limits{Concurrency: 1}, Breaker{}), mute(Limits{Concurrency: 1}, Breaker{})
		ctx := within(t, time.Hour)
		began := time.Now()
		var calls sync.WaitGroup
		for i := range 20 {
			pair := []*gate{one, other}
			if i%2 == 0 {
				pair = []*gate{other, one}
			}
			for _, g := range pair {
				calls.Go(func() {
					err := g.pass(ctx, func() error { time.Sleep(time.Second); return nil })
					if err != nil {
						t.Errorf("got %v", err)
					}
				})
			}
		}
		calls.Wait()
		if got := time.Since(began); got != 20*time.Second {
			t.Errorf("it took %s, want 20s: both systems work at the same time", got)
		}
	})
}

var errDown = errors.New("it is down")

func TestBreaker(t *testing.T) {
	t.Parallel()
	const up, silent = "up", "silent"
	outcome := map[string]error{up: nil, silent: errSaysNothing, "down": errDown}
	// Each step is a call that says so, "refused", or a time that passes.
	tests := []struct {
		name    string
		breaker Breaker
		steps   string
	}{
		{"opens after five in a row", Breaker{}, "down down down down down refused refused"},
		{"a success between them", Breaker{}, "down down down down up down down down down up"},
		{"calls that say nothing, between them", Breaker{}, "down down silent down down silent down refused"},
		{"as configured", Breaker{Failures: 2, Rest: time.Minute}, "down down refused 59s refused 2s up up"},
		{"a long rest is over at last", Breaker{}, "down down down down down 9s refused 2s up down down down down up"},
		{"still down when it is tried", Breaker{}, "down down down down down 11s down refused 9s refused 2s up"},
		{"tried by a call that says nothing", Breaker{}, "down down down down down 11s silent silent up down"},
		{"never", Breaker{Failures: -1}, strings.Repeat("down ", 50) + "up"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := mute(Limits{Concurrency: 1}, test.breaker)
				for i, step := range strings.Fields(test.steps) {
					if d, err := time.ParseDuration(step); err == nil {
						time.Sleep(d)
						continue
					}
					available := g.available()

					sent := false
					err := g.pass(within(t, time.Hour), func() error { sent = true; return outcome[step] })

					want := step != "refused"
					if sent != want || (err == nil) != want || (available == nil) != want {
						t.Fatalf("step %d, %s: sent %v, got %v, available %v; want sent %v", i, step, sent, err, available, want)
					}
				}
			})
		})
	}
}

func TestUnavailableSaysWhyAndUntilWhen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := mute(Limits{}, Breaker{Failures: 1})
		if err := g.available(); err != nil {
			t.Fatalf("before: got %v", err)
		}
		_ = g.pass(within(t, time.Hour), func() error { return errDown })

		until := time.Now().Add(10 * time.Second)
		err := g.available()
		var u *Unavailable
		if !errors.As(err, &u) || u.System != "uaa" || !u.Until.Equal(until) || u.Last != errDown {
			t.Fatalf("open: got %#v, want uaa's, until %s", err, until)
		}
		if want := "uaa is down, and is called again after 2000-01-01T00:00:10Z; last failure: it is down"; err.Error() != want {
			t.Errorf("open: got %q, want %q", err, want)
		}

		time.Sleep(11 * time.Second)
		end := make(chan struct{})
		var trial sync.WaitGroup
		trial.Go(func() { _ = g.pass(within(t, time.Hour), func() error { <-end; return nil }) })
		synctest.Wait()
		err = g.pass(within(t, time.Hour), func() error { t.Error("a second call is let through"); return nil })
		if !errors.As(err, &u) || !u.Until.IsZero() || !strings.Contains(err.Error(), "one call is finding out") {
			t.Errorf("while it is tried: got %v", err)
		}
		close(end)
		trial.Wait()
		if err := g.available(); err != nil {
			t.Errorf("once it has answered: got %v", err)
		}
	})
}

// Whoever stands in the queue when the breaker opens is turned away, too.
func TestQueueIsTurnedAwayWhenTheBreakerOpens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := mute(Limits{Concurrency: 1}, Breaker{Failures: 1})
		end := make(chan struct{})
		var calls sync.WaitGroup
		calls.Go(func() { _ = g.pass(within(t, time.Hour), func() error { <-end; return errDown }) })
		synctest.Wait()
		for range 5 {
			calls.Go(func() {
				err := g.pass(within(t, time.Hour), func() error { t.Error("it was sent"); return nil })
				var u *Unavailable
				if !errors.As(err, &u) {
					t.Errorf("got %v, want unavailable", err)
				}
			})
		}
		synctest.Wait()
		close(end)
		calls.Wait()
	})
}

func TestBreakerIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines strings.Builder
		g := newGate("uaa", Limits{}, Breaker{Failures: 1}, slog.New(slog.NewTextHandler(&lines, nil)))
		_ = g.pass(within(t, time.Hour), func() error { return errDown })
		time.Sleep(11 * time.Second)
		_ = g.pass(within(t, time.Hour), func() error { return nil })
		for _, want := range []string{
			`level=WARN msg="remote system is down and left alone" system=uaa rest=10s error="it is down"`,
			`level=INFO msg="remote system is back" system=uaa`,
		} {
			if !strings.Contains(lines.String(), want) {
				t.Errorf("got log %s, want %s", lines.String(), want)
			}
		}
	})
}

// What each kind of call tells the breaker, over real connections.
func TestWhatCountsAsDown(t *testing.T) {
	t.Parallel()
	answer := func(status int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
		}
	}
	own := func(a Answer) bool { return string(a.Body) == "mine" }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		own     func(Answer) bool
		down    bool
	}{
		{"200", answer(200), nil, false},
		{"400", answer(400), nil, false},
		{"401", answer(401), nil, false},
		{"404", answer(404), nil, false},
		{"408", answer(408), nil, false},
		{"429", answer(429), nil, false},
		{"302", answer(302, "Location", "/login"), nil, true},
		{"500", answer(500), nil, true},
		{"503", answer(503), nil, true},
		{"the router's 404", answer(404, "X-Cf-Routererror", "unknown_route"), nil, true},
		{"200 that is not its own", answer(200), own, true},
		{"400 that is not its own", answer(400), own, true},
		{"500 that is its own", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, "mine")
		}, own, false},
		{"no answer", func(w http.ResponseWriter, _ *http.Request) { cut(t, w) }, nil, true},
		{"a body without end", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, bodyLimit+1))
		}, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, Config{Own: test.own, Breaker: Breaker{Failures: 1, Rest: time.Hour}})

			_, _ = s.Do(background, post(serve(t, test.handler).URL))

			if down := s.Available() != nil; down != test.down {
				t.Errorf("got down %v, want %v: %v", down, test.down, s.Available())
			}
		})
	}
}

// An answer to a guess that is not the system's own is what a wrong guess gets. Only a
// good one tells anything, and none at all.
func TestGuessesCountLess(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		down    bool
	}{
		"a page":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, false},
		"no answer": {func(w http.ResponseWriter, _ *http.Request) { cut(t, w) }, true},
	} {
		s := newSystem(t, Config{Breaker: Breaker{Failures: 1, Rest: time.Hour}})
		guess := post(serve(t, test.handler).URL)
		guess.Guess = true
		_, _ = s.Do(background, guess)
		if err := s.Available(); (err != nil) != test.down {
			t.Errorf("%s: got %v, want down %v", name, err, test.down)
		}
	}
}

func TestWhatCountsOfCallsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T) string {
		listener := listen(t)
		_ = listener.Close()
		return "http://" + listener.Addr().String()
	}
	deaf := func(t *testing.T) string { return "http://" + listen(t).Addr().String() }
	gone := func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(background)
		cancel()
		return ctx, cancel
	}
	short := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(background, 20*time.Millisecond)
	}
	whole := func() (context.Context, context.CancelFunc) { return context.WithCancel(background) }
	const brief = 50 * time.Millisecond
	tests := []struct {
		name    string
		url     func(*testing.T) string
		ctx     func() (context.Context, context.CancelFunc)
		timeout time.Duration
		down    bool
	}{
		{"nobody listens", refused, whole, 0, true},
		{"nobody answers in time", deaf, whole, brief, true},
		{"it was given up before it began", deaf, gone, 0, false},
		{"it had little time", deaf, short, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, Config{Timeout: test.timeout, Breaker: Breaker{Failures: 1, Rest: time.Hour}})
			ctx, cancel := test.ctx()
			defer cancel()

			_, err := s.Do(ctx, post(test.url(t)))

			if down := s.Available() != nil; err == nil || down != test.down {
				t.Errorf("got %v, down %v; want down %v", err, down, test.down)
			}
		})
	}
}

func TestOpenBreakerSendsNothing(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	})
	s := newSystem(t, Config{Breaker: Breaker{Failures: 2, Rest: time.Hour}})
	for range 2 {
		_, err := s.Do(background, post(server.URL))
		if err != nil {
			t.Fatalf("Do: %v", err)
		}
	}

	_, err := s.Do(background, post(server.URL))

	e := asError(t, err)
	if e.Written || e.Outcome() != identity.Later || arrived.Load() != 2 {
		t.Errorf("got written %v, outcome %s, %d arrived; want later, and two: %v", e.Written, e.Outcome(), arrived.Load(), err)
	}
	var u *Unavailable
	if !errors.As(err, &u) || !strings.Contains(err.Error(), "test: POST /thing: never sent: test is down") || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want an error that says why", err)
	}
}

func TestBreakerClosesWhenTheSystemIsBack(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			cut(t, w)
		}
	})
	s := newSystem(t, Config{Breaker: Breaker{Failures: 1, Rest: time.Nanosecond}})
	_, err := s.Do(background, post(server.URL))
	if got := OutcomeOf(err); got != identity.Unknown {
		t.Fatalf("while it is down: got %s, %v", got, err)
	}
	down.Store(false)

	_, err = s.Do(background, post(server.URL))

	if err != nil || s.Available() != nil {
		t.Errorf("got %v, available %v; want an answer and a closed breaker", err, s.Available())
	}
}

// No more requests are under way than there are slots, logins among them, and
// nobody who holds a slot waits for another one.
func TestSlotsOverRealConnections(t *testing.T) {
	t.Parallel()
	const slots = 2
	var running, most atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := running.Add(1)
		defer running.Add(-1)
		for {
			was := most.Load()
			if n <= was || most.CompareAndSwap(was, n) {
				break
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	s := newSystem(t, Config{Timeout: time.Minute, Limits: Limits{Concurrency: slots}})
	var logins atomic.Int32
	session := NewSession(s, func(ctx context.Context) (Token, error) {
		answer, err := s.Do(ctx, post(server.URL))
		if err != nil || answer.Status != http.StatusOK {
			return Token{}, fmt.Errorf("logging in: %d, %w", answer.Status, err)
		}
		// Worthless at once: every caller logs in.
		return Token{Bearer: identity.SecretFrom(fmt.Sprint("t", logins.Add(1)))}, nil
	}, unauthorized)

	var callers sync.WaitGroup
	for range 30 {
		callers.Go(func() {
			answer, err := session.Do(background, post(server.URL))
			if err != nil || answer.Status != http.StatusOK {
				t.Errorf("got status %d, %v", answer.Status, err)
			}
		})
	}
	callers.Wait()

	if most.Load() > slots || logins.Load() != 30 {
		t.Errorf("got %d at once and %d logins, want %d at most, and 30", most.Load(), logins.Load(), slots)
	}
}

func TestCallWithoutASlotIsNeverSent(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	here, end := make(chan struct{}), make(chan struct{})
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		arrived.Add(1)
		close(here)
		<-end
	})
	s := newSystem(t, Config{Timeout: time.Minute, Limits: Limits{Concurrency: 1}})
	var first sync.WaitGroup
	first.Go(func() {
		_, err := s.Do(background, post(server.URL))
		if err != nil {
			t.Errorf("the first call: %v", err)
		}
	})
	<-here
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()

	_, err := s.Do(ctx, post(server.URL))

	if got := OutcomeOf(err); got != identity.Later || !strings.Contains(err.Error(), "slots") || arrived.Load() != 1 {
		t.Errorf("got %s, %v, and %d arrived; want later, for want of a slot", got, err, arrived.Load())
	}
	close(end)
	first.Wait()
	if s.Available() != nil {
		t.Errorf("a full queue opened the breaker: %v", s.Available())
	}
}

func TestLimitsAreChecked(t *testing.T) {
	t.Parallel()
	for _, limits := range []Limits{{Concurrency: -1}, {PerSecond: -1}} {
		_, err := New(Config{Name: "uaa", Timeout: time.Second, Limits: limits})
		if err == nil || !strings.Contains(err.Error(), "less than 0") {
			t.Errorf("%+v: got %v, want a refusal", limits, err)
		}
	}
}
