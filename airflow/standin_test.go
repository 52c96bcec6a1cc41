package airflow_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"airflow-identity/airflow"
	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	standinairflow "airflow-identity/integration/standin/airflow"
	"airflow-identity/remote"
)

func TestLifeOfAConnection(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		server := d.start(t, standinairflow.Config{})
		client := d.client(t, airflow.Config{URL: server.URL() + "/"})
		expect := func(doing string, want, got identity.Outcome, err error) {
			t.Helper()
			if got != want {
				t.Fatalf("%s: got %s, want %s: %v", doing, got, want, err)
			}
		}

		_, outcome, err := client.Read(background, orders)
		expect("reading before it is there", identity.NotThere, outcome, err)
		outcome, err = client.Remove(background, marker)
		expect("removing before it is there", identity.NotThere, outcome, err)

		outcome, err = client.Put(background, orders, secret)
		expect("posting", identity.Done, outcome, err)
		got, _ := server.Connection("acme_orders")
		want := standinairflow.Connection{
			ConnectionID: "acme_orders",
			ConnType:     "http",
			Description:  orders.Describe(),
			Host:         "https://uaa.example.com/oauth/token",
			Login:        string(orders.Login),
			Password:     secret.Reveal(),
		}
		if got != want {
			t.Errorf("posting: got %+v, want %+v", got, want)
		}
		outcome, err = client.Put(background, orders, secret)
		expect("posting again", identity.Exists, outcome, err)

		generation, outcome, err := client.Read(background, orders)
		expect("reading", identity.Done, outcome, err)
		if generation != 7 {
			t.Errorf("reading: got generation %d, want 7", generation)
		}

		newer, another := atGeneration(8), identity.NewSecret()
		_, outcome, err = client.Read(background, newer)
		expect("reading what is older", identity.Differs, outcome, err)
		newer.Host, newer.Description = "https://uaa.example.org/oauth/token", "Another sentence."
		_, outcome, err = client.Update(background, newer, another)
		expect("updating", identity.Done, outcome, err)
		want.Description, want.Host, want.Password = newer.Describe(), newer.Host, another.Reveal()
		if got, _ := server.Connection("acme_orders"); got != want {
			t.Errorf("updating: got %+v, want %+v", got, want)
		}
		_, outcome, err = client.Update(background, newer, another)
		expect("updating to what it is", identity.Done, outcome, err)
		if n := server.Updates()["acme_orders"]; n != 2 {
			t.Errorf("updating: Airflow counted %d, want 2", n)
		}

		_, outcome, err = client.Read(background, newer)
		expect("reading what was updated", identity.Done, outcome, err)
		_, outcome, err = client.Read(background, orders)
		expect("reading what is newer", identity.Ahead, outcome, err)
		_, outcome, err = client.Update(background, orders, secret)
		expect("updating what is newer", identity.Ahead, outcome, err)
		if got, _ := server.Connection("acme_orders"); got != want {
			t.Errorf("updating what is newer: got %+v, want it left alone: %+v", got, want)
		}

		outcome, err = client.Remove(background, marker)
		expect("removing", identity.Done, outcome, err)
		_, outcome, err = client.Update(background, newer, another)
		expect("updating what is gone", identity.NotThere, outcome, err)
		outcome, err = client.Remove(background, marker)
		expect("removing again", identity.NotThere, outcome, err)
	})
}

func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		another := func(change func(*identity.Marker)) string {
			m := marker
			change(&m)
			return "Made by somebody. " + m.String()
		}
		tests := []struct {
			name, description string
		}{
			{"no description", ""},
			{"a description by hand", "the orders API, ask Ann"},
			{"another broker", another(func(m *identity.Marker) { m.Broker = "another" })},
			{"another connection", another(func(m *identity.Marker) { m.Connection = "acme_billing" })},
			{"another identity", another(func(m *identity.Marker) { m.Identity = "another" })},
			{"our marker and something after it", marker.String() + " (edited)"},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				server := d.start(t, standinairflow.Config{})
				server.PutConnection(standinairflow.Connection{ConnectionID: "acme_orders", ConnType: "http", Description: test.description})
				client := d.client(t, airflow.Config{URL: server.URL()})

				outcome, err := client.Put(background, orders, secret)
				if outcome != identity.Exists || err == nil {
					t.Errorf("posting: got %s, %v; want exists", outcome, err)
				}
				_, outcome, err = client.Read(background, orders)
				if outcome != identity.Foreign || err == nil {
					t.Errorf("reading: got %s, %v; want foreign", outcome, err)
				}
				_, outcome, err = client.Update(background, orders, secret)
				if outcome != identity.Foreign || err == nil {
					t.Errorf("updating: got %s, %v; want foreign", outcome, err)
				}
				outcome, err = client.Remove(background, marker)
				if outcome != identity.Foreign || err == nil {
					t.Errorf("removing: got %s, %v; want foreign", outcome, err)
				}
				if got, there := server.Connection("acme_orders"); !there || got.Description != test.description {
					t.Errorf("afterwards: got %+v, there %v", got, there)
				}
			})
		}
	})
}

// Everything but extra is ours and is mended; extra belongs to Airflow's operators.
func TestUpdateMendsEverythingButExtra(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		server := d.start(t, standinairflow.Config{})
		port := 8443
		server.PutConnection(standinairflow.Connection{
			ConnectionID: "acme_orders", ConnType: "generic", Host: "https://evil.example.com", Login: "somebody", Schema: "https",
			Port: &port, Password: "else", Extra: `{"verify": "/etc/ca.pem"}`, Description: "Edited. " + marker.String(),
		})
		client := d.client(t, airflow.Config{URL: server.URL()})

		_, outcome, err := client.Update(background, orders, secret)

		got, _ := server.Connection("acme_orders")
		want := standinairflow.Connection{
			ConnectionID: "acme_orders", ConnType: "http", Host: orders.Host, Login: string(orders.Login),
			Password: secret.Reveal(), Extra: `{"verify": "/etc/ca.pem"}`, Description: orders.Describe(),
		}
		if outcome != identity.Done || got != want {
			t.Errorf("got %s, %v, and %+v; want done, and %+v", outcome, err, got, want)
		}
	})
}

func TestAvailableOnceAirflowIsBack(t *testing.T) {
	t.Parallel()
	server := startAirflow(t, standinairflow.Config{})
	server.Faults.Add(standin.Fault{Call: "POST /auth/token", Status: 502, Times: 5})
	client := newClient(t, airflow.Config{URL: server.URL()})
	for range 5 {
		if err := client.Available(background); err != nil {
			t.Fatalf("too early: %v", err)
		}
		outcome, err := client.Put(background, orders, secret)
		if outcome != identity.Later {
			t.Fatalf("got %s, %v", outcome, err)
		}
	}

	outcome, err := client.Put(background, orders, secret)
	if outcome != identity.Later || !strings.Contains(err.Error(), "airflow is down") || client.Available(background) == nil {
		t.Errorf("got %s, %v, available %v; want later, since airflow is down", outcome, err, client.Available(background))
	}
	quick := newClient(t, airflow.Config{URL: server.URL(), Breaker: remote.Breaker{Failures: 1, Rest: time.Nanosecond}})
	server.Faults.Add(standin.Fault{Call: "GET /api/v2/connections/"})
	_, outcome, err = quick.Read(background, orders)
	if outcome != identity.Unknown {
		t.Fatalf("while it is down: got %s, %v", outcome, err)
	}
	outcome, err = quick.Put(background, orders, secret)
	if outcome != identity.Done || quick.Available(background) != nil {
		t.Errorf("once it is back: got %s, %v, available %v", outcome, err, quick.Available(background))
	}
}

// A method takes one slot at a time, also where it logs in first and reads then.
func TestOneSlotServesManyCallers(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		server := d.start(t, standinairflow.Config{})
		server.PutConnection(standinairflow.Connection{ConnectionID: "acme_orders", ConnType: "http", Description: orders.Describe()})
		client := d.client(t, airflow.Config{URL: server.URL(), Timeout: time.Minute, Limits: remote.Limits{Concurrency: 1, PerSecond: 10_000}})

		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				_, outcome, err := client.Update(background, orders, secret)
				if outcome != identity.Done {
					t.Errorf("got %s, %v", outcome, err)
				}
			})
		}
		callers.Wait()
	})
}

func TestWhatIsKnownWhenAirflowIsDisturbed(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		put := func(ctx context.Context, c *airflow.Client) (identity.Outcome, error) {
			return c.Put(ctx, orders, secret)
		}
		read := func(ctx context.Context, c *airflow.Client) (identity.Outcome, error) {
			_, outcome, err := c.Read(ctx, orders)
			return outcome, err
		}
		update := func(ctx context.Context, c *airflow.Client) (identity.Outcome, error) {
			_, outcome, err := c.Update(ctx, orders, secret)
			return outcome, err
		}
		remove := func(ctx context.Context, c *airflow.Client) (identity.Outcome, error) { return c.Remove(ctx, marker) }
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })

		var (
			posted  = "POST " + d.path
			got     = "GET " + d.path + "/"
			patched = "PATCH " + d.path + "/"
			deleted = "DELETE " + d.path + "/"
			login   = "POST /auth/token"
		)
		tests := []struct {
			name   string
			call   func(context.Context, *airflow.Client) (identity.Outcome, error)
			exists bool // before the call
			fault  standin.Fault
			want   identity.Outcome
			after  bool // it exists afterwards
		}{
			{"put, lost before", put, false, standin.Fault{Call: posted, Kind: standin.LoseBefore}, identity.Unknown, false},
			{"put, lost after", put, false, standin.Fault{Call: posted, Kind: standin.LoseAfter}, identity.Unknown, true},
			{"put, too slow", put, false, standin.Fault{Call: posted, Kind: standin.Slow, Release: release}, identity.Unknown, false},
			{"put, unavailable", put, false, standin.Fault{Call: posted}, identity.Unknown, false},
			{"put, too many", put, false, standin.Fault{Call: posted, Status: 429}, identity.Later, false},
			{"put, no login", put, false, standin.Fault{Call: login, Status: 500, Body: page}, identity.Later, false},
			{"put, login too slow", put, false, standin.Fault{Call: login, Kind: standin.Slow, Release: release}, identity.Later, false},
			{"read, lost", read, true, standin.Fault{Call: got, Kind: standin.LoseAfter, Times: 9}, identity.Unknown, true},
			{"read, unavailable", read, true, standin.Fault{Call: got}, identity.Unknown, true},
			{"update, read lost", update, true, standin.Fault{Call: got, Kind: standin.LoseAfter, Times: 9}, identity.Later, true},
			{"update, read unavailable", update, true, standin.Fault{Call: got}, identity.Later, true},
			{"update, read too slow", update, true, standin.Fault{Call: got, Kind: standin.Slow, Release: release}, identity.Later, true},
			{"update, no login", update, true, standin.Fault{Call: login}, identity.Later, true},
			{"update, patch lost before", update, true, standin.Fault{Call: patched, Kind: standin.LoseBefore}, identity.Unknown, true},
			{"update, patch lost after", update, true, standin.Fault{Call: patched, Kind: standin.LoseAfter}, identity.Unknown, true},
			{"update, patch too slow", update, true, standin.Fault{Call: patched, Kind: standin.Slow, Release: release}, identity.Unknown, true},
			{"update, patch unavailable", update, true, standin.Fault{Call: patched}, identity.Unknown, true},
			{"update, patch too many", update, true, standin.Fault{Call: patched, Status: 429}, identity.Later, true},
			{"remove, read lost", remove, true, standin.Fault{Call: got, Kind: standin.LoseAfter, Times: 9}, identity.Later, true},
			{"remove, read unavailable", remove, true, standin.Fault{Call: got}, identity.Later, true},
			{"remove, read too slow", remove, true, standin.Fault{Call: got, Kind: standin.Slow, Release: release}, identity.Later, true},
			{"remove, no login", remove, true, standin.Fault{Call: login}, identity.Later, true},
			{"remove, no route to read", remove, true, standin.Fault{Call: got, Status: 404, Body: "404 Not Found: Requested route does not exist.\n",
				Header: map[string][]string{"X-Cf-Routererror": {"unknown_route"}}}, identity.Later, true},
			{"remove, delete lost before", remove, true, standin.Fault{Call: deleted, Kind: standin.LoseBefore}, identity.Unknown, true},
			{"remove, delete lost after", remove, true, standin.Fault{Call: deleted, Kind: standin.LoseAfter}, identity.Unknown, false},
			{"remove, delete unavailable", remove, true, standin.Fault{Call: deleted}, identity.Unknown, true},
			{"remove, delete too many", remove, true, standin.Fault{Call: deleted, Status: 429}, identity.Later, true},
		}
		for _, test := range tests {
			if test.fault.Call == login && d.api == airflow.V1 {
				continue // its login is no call of its own
			}
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				server := d.start(t, standinairflow.Config{})
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				if test.fault.Kind == standin.Slow {
					test.fault.Before = cancel // its time is over once it has arrived
				}
				if test.exists {
					server.PutConnection(standinairflow.Connection{ConnectionID: "acme_orders", ConnType: "http", Description: orders.Describe()})
				}
				server.Faults.Add(test.fault)
				client := d.client(t, airflow.Config{URL: server.URL()})

				outcome, err := test.call(ctx, client)

				if outcome != test.want || err == nil {
					t.Errorf("got %s, %v; want %s and an error", outcome, err, test.want)
				}
				if server.Faults.Hits() == 0 {
					t.Error("the fault was never met")
				}
				if _, there := server.Connection("acme_orders"); there != test.after {
					t.Errorf("afterwards the connection exists: %v, want %v", there, test.after)
				}
			})
		}
	})
}

func TestTwoRemovalsAtOnce(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		server := d.start(t, standinairflow.Config{})
		server.PutConnection(standinairflow.Connection{ConnectionID: "acme_orders", ConnType: "http", Description: orders.Describe()})
		server.Faults.Add(standin.Fault{Call: "DELETE " + d.path + "/", Kind: standin.Notice,
			Before: func() { server.RemoveConnection("acme_orders") }})
		client := d.client(t, airflow.Config{URL: server.URL()})

		outcome, err := client.Remove(background, marker)

		if outcome != identity.NotThere || err != nil {
			t.Errorf("got %s, %v; want not_there", outcome, err)
		}
	})
}

func TestPermissionMissing(t *testing.T) {
	t.Parallel()
	server := startAirflow(t, standinairflow.Config{
		Users: map[string]standinairflow.User{username: {Password: password, Role: standinairflow.RoleViewer}},
	})
	client := newClient(t, airflow.Config{URL: server.URL()})

	outcome, err := client.Put(background, orders, secret)

	if outcome != identity.Rejected || !strings.Contains(err.Error(), "403: Forbidden") {
		t.Errorf("got %s, %v; want rejected, forbidden", outcome, err)
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	server := startAirflow(t, standinairflow.Config{})
	current := "not-the-password-any-more"
	client := newClient(t, airflow.Config{URL: server.URL(), Login: airflow.Password{Username: username, Password: func() (identity.Secret, error) {
		return identity.SecretFrom(current), nil
	}}})

	outcome, err := client.Put(background, orders, secret)
	if outcome != identity.Later || !strings.Contains(err.Error(), "Invalid credentials") {
		t.Fatalf("got %s, %v; want later, for invalid credentials", outcome, err)
	}
	current = password
	outcome, err = client.Put(background, orders, secret)
	if outcome != identity.Done {
		t.Errorf("with the new password: got %s, %v; want done", outcome, err)
	}
}

// The stand-in refuses what it does not know with the whole request as "input",
// as Airflow does; an id that Airflow does not take is the way to get there.
func TestRefusalThatEchoesTheRequest(t *testing.T) {
	t.Parallel()
	server := startAirflow(t, standinairflow.Config{})
	var log logs
	client := newClient(t, airflow.Config{URL: server.URL(), Logger: log.logger()})
	odd := orders
	odd.Marker.Connection = "not an id"

	outcome, err := client.Put(background, odd, secret)

	if outcome != identity.Rejected || !strings.Contains(err.Error(), "connection_id") {
		t.Errorf("got %s, %v; want a rejection that names the field", outcome, err)
	}
	if strings.Contains(err.Error()+log.String(), secret.Reveal()) {
		t.Errorf("the secret is told: %v\n%s", err, log.String())
	}
}
