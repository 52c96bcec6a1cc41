package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/identity"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// counter gives tokens t1, t2 … that live an hour and are renewed after half of it.
type counter struct {
	clock  *clock
	logins atomic.Int32
	fails  atomic.Bool
}

func (c *counter) login(context.Context) (Token, error) {
	n := c.logins.Add(1)
	if c.fails.Load() {
		return Token{}, errors.New("the login is down")
	}
	now := c.clock.Now()
	return Token{
		Bearer:    identity.SecretFrom(fmt.Sprintf("t%d", n)),
		RefreshAt: now.Add(30 * time.Minute),
		ExpiresAt: now.Add(time.Hour),
	}, nil
}

func unauthorized(a Answer) bool { return a.Status == http.StatusUnauthorized }

func newSession(t *testing.T) (*Session, *counter) {
	t.Helper()
	c := &counter{clock: &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}}
	return NewSession(newSystem(t, Config{Clock: c.clock.Now}), c.login, unauthorized), c
}

// guard answers 200 to the tokens it knows, and counts all requests.
func guard(t *testing.T, known ...string) (url string, arrived *atomic.Int32) {
	t.Helper()
	arrived = new(atomic.Int32)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		for _, token := range known {
			if token == bearer {
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	return server.URL, arrived
}

func TestOneLoginServesManyCallers(t *testing.T) {
	t.Parallel()
	session, counter := newSession(t)
	url, arrived := guard(t, "t1")

	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			answer, err := session.Do(background, post(url))
			if err != nil || answer.Status != http.StatusOK {
				t.Errorf("got status %d, error %v", answer.Status, err)
			}
		})
	}
	callers.Wait()

	if logins, calls := counter.logins.Load(), arrived.Load(); logins != 1 || calls != 20 {
		t.Errorf("got %d logins and %d calls, want 1 and 20", logins, calls)
	}
}

func TestTokenIsRenewedEarly(t *testing.T) {
	t.Parallel()
	session, counter := newSession(t)
	url, _ := guard(t, "t1", "t3")
	call := func(doing string) {
		t.Helper()
		answer, err := session.Do(background, post(url))
		if err != nil || answer.Status != http.StatusOK {
			t.Errorf("%s: got status %d, error %v", doing, answer.Status, err)
		}
	}

	call("the first time")
	counter.clock.pass(31 * time.Minute)
	counter.fails.Store(true)
	call("while no new token can be had and the old one is good")
	counter.fails.Store(false)
	call("with a new token")

	if got := counter.logins.Load(); got != 3 {
		t.Errorf("got %d logins, want 3", got)
	}
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		known         string
		status        int
		calls, logins int32
	}{
		{"the next one is good", "t2", http.StatusOK, 2, 2},
		{"the next one is refused too", "t3", http.StatusUnauthorized, 2, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			session, counter := newSession(t)
			url, arrived := guard(t, test.known)

			answer, err := session.Do(background, post(url))

			if err != nil || answer.Status != test.status {
				t.Errorf("got status %d, error %v; want %d", answer.Status, err, test.status)
			}
			if calls, logins := arrived.Load(), counter.logins.Load(); calls != test.calls || logins != test.logins {
				t.Errorf("got %d calls and %d logins, want %d and %d", calls, logins, test.calls, test.logins)
			}
		})
	}
}

func TestCallWithoutATokenIsNeverSent(t *testing.T) {
	t.Parallel()
	session, counter := newSession(t)
	url, arrived := guard(t)
	counter.fails.Store(true)

	_, err := session.Do(background, post(url))

	if got := OutcomeOf(err); got != identity.Later || !strings.Contains(err.Error(), "the login is down") {
		t.Errorf("got outcome %s, error %v; want later and its reason", got, err)
	}
	if got := arrived.Load(); got != 0 {
		t.Errorf("%d calls arrived, want none", got)
	}
}

func TestNoOtherTokenAfterARefusal(t *testing.T) {
	t.Parallel()
	session, counter := newSession(t)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		counter.fails.Store(true)
		w.WriteHeader(http.StatusUnauthorized)
	})

	_, err := session.Do(background, post(server.URL))

	if got := OutcomeOf(err); got != identity.Later {
		t.Errorf("got outcome %s, want later: the refused call did nothing: %v", got, err)
	}
}

func TestWaitingForALoginEndsWithTheCall(t *testing.T) {
	t.Parallel()
	session, _ := newSession(t)
	session.turn <- struct{}{} // somebody logs in, for ever
	ctx, cancel := context.WithCancel(background)
	cancel()

	_, err := session.Do(ctx, post("http://127.0.0.1:1"))

	if got := OutcomeOf(err); got != identity.Later || !errors.Is(err, context.Canceled) {
		t.Errorf("got outcome %s, error %v", got, err)
	}
}

func TestFixedCredential(t *testing.T) {
	t.Parallel()
	_, err := Fixed(identity.Secret{})()
	if err == nil {
		t.Error("an empty credential was given out")
	}
	got, err := Fixed(identity.SecretFrom("x"))()
	if err != nil || got.Reveal() != "x" {
		t.Errorf("got %v, error %v", got, err)
	}
}

// A login that has no other token is not asked the same thing twice.
func TestSameTokenIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	system := newSystem(t, Config{})
	logins := 0
	session := NewSession(system, func(context.Context) (Token, error) {
		logins++
		return Token{Bearer: identity.SecretFrom("t1")}, nil // due for renewal at once
	}, unauthorized)
	url, arrived := guard(t, "t2")

	answer, err := session.Do(background, post(url))

	if err != nil || answer.Status != http.StatusUnauthorized || logins != 2 || arrived.Load() != 1 {
		t.Errorf("got status %d, error %v after %d logins and %d calls; want 401 after 2 and 1", answer.Status, err, logins, arrived.Load())
	}
}

func TestSchemeOfAToken(t *testing.T) {
	t.Parallel()
	system := newSystem(t, Config{})
	session := NewSession(system, func(context.Context) (Token, error) {
		return Token{Scheme: "Basic", Bearer: identity.SecretFrom("YWZpOnNlY3JldA=="), MadeOf: []identity.Secret{identity.SecretFrom("secret-secret")},
			ExpiresAt: time.Now().Add(time.Hour)}, nil
	}, unauthorized)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Basic YWZpOnNlY3JldA==" {
			t.Errorf("got %q", got)
		}
		w.WriteHeader(http.StatusBadRequest)
	})

	before := session.LoggedIn()
	answer, err := session.Do(background, post(server.URL))

	if err != nil || before || !session.LoggedIn() {
		t.Errorf("got error %v, logged in before %v, after %v", err, before, session.LoggedIn())
	}
	if e := answer.Refused(true, "", "wrong: secret-secret"); e.Description != leftOut {
		t.Errorf("what the token is made of is told: %v", e)
	}
}
