package uaa_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
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

	outcome, err := client.Probe(background, orders.ID, secret)
	expect("probing before it is there", identity.NotThere, outcome, err)
	outcome, err = client.Delete(background, orders.ID)
	expect("deleting before it is there", identity.NotThere, outcome, err)

	outcome, err = client.Create(background, orders, secret)
	expect("creating", identity.Done, outcome, err)
	outcome, err = client.Create(background, orders, secret)
	expect("creating again", identity.Exists, outcome, err)
	outcome, err = client.Probe(background, orders.ID, secret)
	expect("probing", identity.Done, outcome, err)
	outcome, err = client.Probe(background, orders.ID, identity.NewSecret())
	expect("probing with another secret", identity.NotThere, outcome, err)

	got, outcome, err := client.Get(background, orders.ID)
	expect("reading", identity.Done, outcome, err)
	want := orders
	if !reflect.DeepEqual(got.Client, want) {
		t.Errorf("reading: got %+v, want %+v", got.Client, want)
	}
	if !reflect.DeepEqual(got.Scope, []string{"uaa.none"}) || !reflect.DeepEqual(got.GrantTypes, []string{"client_credentials"}) {
		t.Errorf("reading: got scope %q and grant types %q", got.Scope, got.GrantTypes)
	}
	if got.LastModified.IsZero() {
		t.Error("reading: it does not say when it was modified")
	}

	outcome, err = client.Delete(background, orders.ID)
	expect("deleting", identity.Done, outcome, err)
	outcome, err = client.Delete(background, orders.ID)
	expect("deleting again", identity.NotThere, outcome, err)
	_, outcome, err = client.Get(background, orders.ID)
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

func TestWhatIsKnownWhenUAAIsDisturbed(t *testing.T) {
	t.Parallel()
	create := func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) {
		return c.Create(ctx, orders, secret)
	}
	remove := func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) { return c.Delete(ctx, orders.ID) }
	probe := func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) {
		return c.Probe(ctx, orders.ID, secret)
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })

	const (
		created = "POST /oauth/clients/restricted"
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
