package uaa_test

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/remote"
	"airflow-identity/uaa"
)

func TestLifeOfAClient(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})
	expect := func(doing string, want, got identity.Outcome, err error) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: got %s, want %s: %v", doing, got, want, err)
		}
	}

	outcome, err := client.Probe(background, orders, secret)
	expect("probing before it is there", identity.NotThere, outcome, err)
	outcome, err = client.Delete(background, orders.ID)
	expect("deleting before it is there", identity.NotThere, outcome, err)

	outcome, err = client.Create(background, orders, secret)
	expect("creating", identity.Done, outcome, err)
	outcome, err = client.Create(background, orders, secret)
	expect("creating again", identity.Exists, outcome, err)
	outcome, err = client.Probe(background, orders, secret)
	expect("probing", identity.Done, outcome, err)
	outcome, err = client.Probe(background, orders, identity.NewSecret())
	expect("probing with another secret", identity.NotThere, outcome, err)

	outcome, err = client.Read(background, orders)
	expect("reading", identity.Done, outcome, err)

	wider := orders
	wider.Name, wider.TokenLifetime = "acme_orders_2", time.Minute
	wider.Authorities = []identity.Authority{"billing.read", "orders.read", "orders.write"}
	wider.Labels = map[string]string{"afi_broker": "b-1", "afi_identity": "i-2"}
	outcome, err = client.Read(background, wider)
	expect("reading before it is wider", identity.Differs, outcome, err)
	outcome, err = client.Update(background, wider)
	expect("widening", identity.Done, outcome, err)
	outcome, err = client.Read(background, wider)
	expect("reading what is wider", identity.Done, outcome, err)
	outcome, err = client.Read(background, orders)
	expect("reading for what it was before", identity.Differs, outcome, err)
	outcome, err = client.Update(background, wider)
	expect("updating to what it is", identity.Done, outcome, err)
	outcome, err = client.Probe(background, orders, secret)
	expect("probing for what it was before", identity.Differs, outcome, err)
	outcome, err = client.Probe(background, wider, secret)
	expect("probing for what it is", identity.Done, outcome, err)
	if n := server.Updates()[string(orders.ID)]; n != 2 {
		t.Errorf("updating: UAA counted %d, want 2", n)
	}

	outcome, err = client.Delete(background, orders.ID)
	expect("deleting", identity.Done, outcome, err)
	outcome, err = client.Update(background, wider)
	expect("updating what is gone", identity.NotThere, outcome, err)
	outcome, err = client.Delete(background, orders.ID)
	expect("deleting again", identity.NotThere, outcome, err)
	outcome, err = client.Read(background, wider)
	expect("reading what is gone", identity.NotThere, outcome, err)
}

func TestClientThatMayDoNothing(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})
	bare := identity.Client{ID: orders.ID, TokenLifetime: time.Second}

	outcome, err := client.Create(background, bare, secret)

	if outcome != identity.Done {
		t.Fatalf("got %s: %v", outcome, err)
	}
	state, _ := server.Client(string(bare.ID))
	if !reflect.DeepEqual(state.Authorities, []string{"uaa.none"}) || state.AccessTokenValidity != 1 {
		t.Errorf("got %+v, want no authority and tokens of a second", state)
	}
}

func TestUAARefusesItsOwnAuthorities(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})
	root := orders
	root.Authorities = []identity.Authority{"uaa.admin"}

	outcome, err := client.Create(background, root, secret)

	if outcome != identity.Rejected || !strings.Contains(err.Error(), "restricted authority") {
		t.Errorf("got %s, %v; want a rejection that says why", outcome, err)
	}
}

// UAA keeps the old list on an empty one, so nothing has a name of its own.
func TestClientIsNarrowedToNothing(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})
	outcome, err := client.Create(background, orders, secret)
	if outcome != identity.Done {
		t.Fatalf("creating: got %s, %v", outcome, err)
	}
	bare := orders
	bare.Authorities = nil

	outcome, err = client.Update(background, bare)

	state, _ := server.Client(string(orders.ID))
	if outcome != identity.Done || !reflect.DeepEqual(state.Authorities, []string{"uaa.none"}) {
		t.Errorf("got %s, %v, and %q; want done, and uaa.none", outcome, err, state.Authorities)
	}
	if state.AdditionalInformation["afi_broker"] != "b-1" || state.AdditionalInformation["name"] != "acme_orders" || state.AccessTokenValidity != 600 {
		t.Errorf("got %+v, want name, labels and the life of tokens as before", state)
	}
}

func TestAvailableOnceUAAIsBack(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	server.Faults.Add(standin.Fault{Call: "POST /oauth/token", Status: 503, Times: 3})
	client := newClient(t, uaa.Config{URL: server.URL(), Breaker: remote.Breaker{Failures: 3, Rest: time.Hour}})
	quick := newClient(t, uaa.Config{URL: server.URL(), Breaker: remote.Breaker{Failures: 1, Rest: time.Nanosecond}})

	for range 3 {
		if err := client.Available(background); err != nil {
			t.Fatalf("too early: %v", err)
		}
		outcome, err := client.Create(background, orders, secret)
		if outcome != identity.Later {
			t.Fatalf("got %s, %v", outcome, err)
		}
	}
	outcome, err := client.Create(background, orders, secret)
	if outcome != identity.Later || !strings.Contains(err.Error(), "uaa is down") || client.Available(background) == nil {
		t.Errorf("got %s, %v, available %v; want later, since uaa is down", outcome, err, client.Available(background))
	}

	server.Faults.Add(standin.Fault{Call: "POST /oauth/token", Status: 503})
	outcome, err = quick.Create(background, orders, secret)
	if outcome != identity.Later {
		t.Fatalf("while it is down: got %s, %v", outcome, err)
	}
	outcome, err = quick.Create(background, orders, secret)
	if outcome != identity.Done || quick.Available(background) != nil {
		t.Errorf("once it is back: got %s, %v, available %v", outcome, err, quick.Available(background))
	}
}

// A method takes one slot at a time, also where it logs in first.
func TestOneSlotServesManyCallers(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL(), Timeout: time.Minute, Limits: remote.Limits{Concurrency: 1, PerSecond: 10_000}})

	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			outcome, err := client.Delete(background, orders.ID)
			if outcome != identity.NotThere {
				t.Errorf("got %s, %v", outcome, err)
			}
		})
	}
	callers.Wait()
}

func TestWhatIsKnownWhenUAAIsDisturbed(t *testing.T) {
	t.Parallel()
	create := func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) {
		return c.Create(ctx, orders, secret)
	}
	remove := func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) { return c.Delete(ctx, orders.ID) }
	update := func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) { return c.Update(ctx, orders) }
	probe := func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) {
		return c.Probe(ctx, orders, secret)
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })

	const (
		created = "POST /oauth/clients/restricted"
		updated = "PUT /oauth/clients/restricted/"
		deleted = "DELETE /oauth/clients/"
		token   = "POST /oauth/token"
	)
	tests := []struct {
		name   string
		call   func(context.Context, *uaa.Client) (identity.Outcome, error)
		exists bool // before the call
		fault  standin.Fault
		want   identity.Outcome
		after  bool // it exists afterwards
	}{
		{"create, lost before", create, false, standin.Fault{Call: created, Kind: standin.LoseBefore}, identity.Unknown, false},
		{"create, lost after", create, false, standin.Fault{Call: created, Kind: standin.LoseAfter}, identity.Unknown, true},
		{"create, too slow", create, false, standin.Fault{Call: created, Kind: standin.Slow, Release: release}, identity.Unknown, false},
		{"create, unavailable", create, false, standin.Fault{Call: created}, identity.Unknown, false},
		{"create, too many", create, false, standin.Fault{Call: created, Status: 429}, identity.Later, false},
		{"create, no token", create, false, standin.Fault{Call: token, Status: 503}, identity.Later, false},
		{"create, token lost", create, false, standin.Fault{Call: token, Kind: standin.LoseAfter}, identity.Later, false},
		{"create, token too slow", create, false, standin.Fault{Call: token, Kind: standin.Slow, Release: release}, identity.Later, false},
		{"update, lost before", update, true, standin.Fault{Call: updated, Kind: standin.LoseBefore}, identity.Unknown, true},
		{"update, lost after", update, true, standin.Fault{Call: updated, Kind: standin.LoseAfter}, identity.Unknown, true},
		{"update, too slow", update, true, standin.Fault{Call: updated, Kind: standin.Slow, Release: release}, identity.Unknown, true},
		{"update, unavailable", update, true, standin.Fault{Call: updated}, identity.Unknown, true},
		{"update, too many", update, true, standin.Fault{Call: updated, Status: 429}, identity.Later, true},
		{"update, no token", update, true, standin.Fault{Call: token, Status: 503}, identity.Later, true},
		{"update, no route", update, false, standin.Fault{Call: updated, Status: 404, Body: "404 Not Found: Requested route does not exist.\n",
			Header: map[string][]string{"X-Cf-Routererror": {"unknown_route"}}}, identity.Unknown, false},
		{"delete, lost before", remove, true, standin.Fault{Call: deleted, Kind: standin.LoseBefore}, identity.Unknown, true},
		{"delete, lost after", remove, true, standin.Fault{Call: deleted, Kind: standin.LoseAfter}, identity.Unknown, false},
		{"delete, unavailable", remove, true, standin.Fault{Call: deleted}, identity.Unknown, true},
		{"delete, too many", remove, true, standin.Fault{Call: deleted, Status: 429}, identity.Later, true},
		{"delete, no route", remove, true, standin.Fault{Call: deleted, Status: 404, Body: "404 Not Found: Requested route does not exist.\n",
			Header: map[string][]string{"X-Cf-Routererror": {"unknown_route"}}}, identity.Unknown, true},
		{"probe, lost", probe, true, standin.Fault{Call: token, Kind: standin.LoseAfter}, identity.Unknown, true},
		{"probe, unavailable", probe, true, standin.Fault{Call: token}, identity.Unknown, true},
		{"probe, too many", probe, true, standin.Fault{Call: token, Status: 429}, identity.Later, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := startUAA(t)
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			if test.fault.Kind == standin.Slow {
				test.fault.Before = cancel // its time is over once it has arrived
			}
			if test.exists {
				err := server.AddClient(standinClient(orders, secret))
				if err != nil {
					t.Fatalf("adding the client: %v", err)
				}
			}
			server.Faults.Add(test.fault)
			client := newClient(t, uaa.Config{URL: server.URL()})

			outcome, err := test.call(ctx, client)

			if outcome != test.want || err == nil {
				t.Errorf("got %s, %v; want %s and an error", outcome, err, test.want)
			}
			if server.Faults.Pending() != 0 {
				t.Error("the fault was never met")
			}
			if _, there := server.Client(string(orders.ID)); there != test.after {
				t.Errorf("afterwards the client exists: %v, want %v", there, test.after)
			}
		})
	}
}

// A token that UAA no longer accepts, as after a change of its keys or of our
// own secret, costs one login and nothing else: the call is repeated.
func TestRefusedTokenIsRenewed(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})
	outcome, err := client.Delete(background, orders.ID)
	if outcome != identity.NotThere {
		t.Fatalf("logging in: got %s, %v", outcome, err)
	}
	changed, err := server.SetSecrets(brokerID, brokerSecret) // a new hash: UAA refuses the old token
	if !changed || err != nil {
		t.Fatalf("changing our secret: %v, %v", changed, err)
	}
	before := server.TokenCount()

	outcome, err = client.Create(background, orders, secret)

	if outcome != identity.Done {
		t.Errorf("got %s, want done: %v", outcome, err)
	}
	if got := server.TokenCount() - before; got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
	if got := server.Creates()[string(orders.ID)]; got != 1 {
		t.Errorf("the client was created %d times, want once", got)
	}
}

func TestOurSecretIsReadAtEveryLogin(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	current := "not-the-secret-any-more"
	client := newClient(t, uaa.Config{URL: server.URL(), Secret: func() (identity.Secret, error) {
		return identity.SecretFrom(current), nil
	}})

	outcome, err := client.Create(background, orders, secret)
	if outcome != identity.Later || !strings.Contains(err.Error(), "Bad credentials") || strings.Contains(err.Error(), current) {
		t.Fatalf("with the old secret: got %s, %v; want later, for bad credentials", outcome, err)
	}
	current = brokerSecret
	outcome, err = client.Create(background, orders, secret)
	if outcome != identity.Done {
		t.Errorf("with the new secret: got %s, %v; want done", outcome, err)
	}
}

func TestEndpointsAreRemembered(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	server.Faults.Add(standin.Fault{Call: "GET /.well-known/", Status: 502})
	client := newClient(t, uaa.Config{URL: server.URL()})

	_, err := client.Endpoints(background)
	if err == nil {
		t.Error("got endpoints from an answer that is not UAA's")
	}
	first, err := client.Endpoints(background)
	if err != nil {
		t.Fatalf("Endpoints: %v", err)
	}
	want := identity.Endpoints{
		Issuer:   server.Issuer(),
		TokenURL: server.URL() + "/oauth/token",
		JWKSURL:  server.URL() + "/token_keys",
		ZoneID:   "uaa",
	}
	if first != want {
		t.Errorf("got %+v, want %+v", first, want)
	}
	server.Close()
	second, err := client.Endpoints(background)
	if err != nil || second != first {
		t.Errorf("once UAA is gone: got %+v, %v", second, err)
	}
}
