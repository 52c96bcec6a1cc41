package uaa_test

import (
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
	standin "airflow-identity/integration/standin/uaa"
	"airflow-identity/uaa"
)

// A zone as an environment: everything that is done there is done there and nowhere
// else, with nothing but the right to the clients of that zone.
func TestZoneAsAnEnvironment(t *testing.T) {
	t.Parallel()
	server := startUAAOf(t, standin.Config{
		Clients: []standin.Client{
			{ID: brokerID, Secret: brokerSecret, Authorities: []string{"zones.id-7.clients.admin"}},
			{ID: string(orders.ID), Secret: "of-the-default-zone", Authorities: []string{"billing.read"}},
		},
		Zones: []standin.Zone{{ID: "id-7", Subdomain: "team7"}, {ID: "id-8", Subdomain: "team8"}},
	})
	zone := server.Zone("team7")
	client := newClient(t, uaa.Config{URL: server.URL(), Zone: "team7", Strict: true})

	endpoints, err := client.Endpoints(background)
	want := identity.Endpoints{
		Issuer: zone.Issuer(), TokenURL: zone.URL() + "/oauth/token", JWKSURL: zone.URL() + "/token_keys", ZoneID: "id-7",
	}
	if err != nil || endpoints != want {
		t.Errorf("endpoints: got %+v, %v; want %+v", endpoints, err, want)
	}
	if err := client.Permitted(background); err != nil {
		t.Errorf("permitted: got %v, want that the zone's clients are enough", err)
	}
	expect := func(doing string, want, got identity.Outcome, err error) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %s, %v; want %s", doing, got, err, want)
		}
	}
	outcome, err := client.Create(background, orders, secret)
	expect("creating", identity.Done, outcome, err)
	outcome, err = client.Probe(background, orders, secret)
	expect("probing", identity.Done, outcome, err)
	outcome, err = client.AddSecret(background, orders.ID, identity.NewSecret())
	expect("adding a secret", identity.Done, outcome, err)
	outcome, err = client.Update(background, orders)
	expect("updating", identity.Done, outcome, err)
	outcome, err = client.RevokeTokens(background, orders.ID)
	expect("revoking", identity.Done, outcome, err)
	outcome, err = client.RevokeTokens(background, "afi-nobody")
	expect("revoking nobody's", identity.NotThere, outcome, err)
	state, _ := zone.Client(string(orders.ID))
	if state.AdditionalInformation["token_salt"] == nil || state.Secrets != 2 || state.AccessTokenValidity != 600 {
		t.Errorf("after a revocation: got %+v, want a salt and all else as it was", state)
	}
	outcome, err = client.Read(background, orders)
	expect("reading", identity.Done, outcome, err)
	listed := 0
	err = client.List(background, func(page []identity.FoundClient) error { listed += len(page); return nil })
	if err != nil || listed != 1 {
		t.Errorf("listing: got %d clients, %v; want the zone's own", listed, err)
	}
	outcome, err = client.Delete(background, orders.ID)
	expect("deleting", identity.Done, outcome, err)

	// The client of the same id in the default zone is another's.
	if other, found := server.Client(string(orders.ID)); !found || other.Updated != 0 || other.Secrets != 1 || !server.Accepts(string(orders.ID), "of-the-default-zone") {
		t.Errorf("the default zone's: got %+v, %v; want it untouched", other, found)
	}
}

// A zone that is not there, or not ours, fails before anything is made, and says what
// is missing.
func TestZoneThatIsNotOurs(t *testing.T) {
	t.Parallel()
	server := startUAAOf(t, standin.Config{
		Clients: []standin.Client{{ID: brokerID, Secret: brokerSecret, Authorities: []string{"zones.id-8.clients.admin"}}},
		Zones:   []standin.Zone{{ID: "id-7", Subdomain: "team7"}},
	})
	nowhere := newClient(t, uaa.Config{URL: server.URL(), Zone: "nope"})
	if _, err := nowhere.Endpoints(background); err == nil || !strings.Contains(err.Error(), `perhaps uaa has no zone with the subdomain "nope"`) {
		t.Errorf("an unknown zone: got %v", err)
	}
	outcome, err := nowhere.Create(background, orders, secret)
	if outcome != identity.Unknown {
		t.Errorf("creating in an unknown zone: got %s, %v; want unknown", outcome, err)
	}
	foreign := newClient(t, uaa.Config{URL: server.URL(), Zone: "team7"})
	outcome, err = foreign.Create(background, orders, secret)
	if reason := identity.ReasonFor(err); outcome != identity.Rejected || !strings.Contains(reason, "zones.<the zone's id>.clients.admin") {
		t.Errorf("creating in a zone of others: got %s, %v for %q; want rejected, naming the authority", outcome, err, reason)
	}
	if ids := server.Zone("team7").ClientIDs(); len(ids) != 0 {
		t.Errorf("in the zone there is %v, want nothing", ids)
	}
}

// Our own client must hold what it needs, and no more. Which is what, is said; and what
// was mended counts soon, with no restart.
func TestStrict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone   string
		held   []string
		says   []string
		mended []string
	}{
		"just right":             {"", []string{"clients.admin", "tokens.revoke"}, nil, nil},
		"what that implies":      {"", []string{"clients.admin", "clients.read", "clients.write", "clients.secret", "tokens.revoke", "uaa.resource"}, nil, nil},
		"too few":                {"", []string{"clients.read", "uaa.resource"}, []string{"add clients.admin, tokens.revoke"}, []string{"clients.admin", "tokens.revoke"}},
		"nothing":                {"", []string{"uaa.none"}, []string{"add clients.admin, tokens.revoke"}, []string{"clients.admin", "tokens.revoke"}},
		"too many":               {"", []string{"clients.admin", "tokens.revoke", "uaa.admin", "scim.write"}, []string{"remove scim.write, uaa.admin"}, []string{"clients.admin", "tokens.revoke"}},
		"both":                   {"", []string{"clients.admin", "cloud_controller.admin"}, []string{"add tokens.revoke", "remove cloud_controller.admin"}, []string{"tokens.revoke", "clients.admin"}},
		"a zone":                 {"team7", []string{"zones.id-7.clients.admin", "zones.id-7.clients.read"}, nil, nil},
		"a zone, too many":       {"team7", []string{"zones.id-7.clients.admin", "clients.admin", "tokens.revoke"}, []string{"remove clients.admin, tokens.revoke"}, []string{"zones.id-7.clients.admin"}},
		"a zone, its admin":      {"team7", []string{"zones.id-7.admin"}, []string{"add zones.id-7.clients.admin", "remove zones.id-7.admin"}, []string{"zones.id-7.clients.admin"}},
		"a zone, too few":        {"team7", []string{"uaa.none"}, []string{"add zones.<the id of zone team7>.clients.admin"}, []string{"zones.id-7.clients.admin"}},
		"a zone, and another":    {"team7", []string{"zones.id-7.clients.admin", "zones.id-8.clients.admin"}, []string{"add zones.<the id of zone team7>.clients.admin", "remove zones.id-7.clients.admin, zones.id-8.clients.admin"}, []string{"zones.id-7.clients.admin"}},
		"a zone, and by default": {"", []string{"clients.admin", "tokens.revoke", "zones.id-7.clients.admin"}, []string{"remove zones.id-7.clients.admin"}, []string{"tokens.revoke", "clients.admin"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := &ticking{now: time.Now()}
			server := startUAAOf(t, standin.Config{
				Clients: []standin.Client{{ID: brokerID, Secret: brokerSecret, Authorities: c.held}},
				Zones:   []standin.Zone{{ID: "id-7", Subdomain: "team7"}, {ID: "id-8", Subdomain: "team8"}},
			})
			client := newClient(t, uaa.Config{URL: server.URL(), Zone: c.zone, Strict: true, Clock: now.time})
			lax := newClient(t, uaa.Config{URL: server.URL(), Zone: c.zone})
			if err := lax.Permitted(background); err != nil {
				t.Errorf("not strict: got %v, want that everything may be changed", err)
			}
			err := client.Permitted(background)
			if (err == nil) != (c.says == nil) {
				t.Errorf("got %v, want an objection: %v", err, c.says != nil)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want %q", err, says)
				}
			}
			if c.says == nil {
				return
			}

			tokens := server.TokenCount()
			for range 100 {
				_ = client.Permitted(background)
			}
			if got := server.TokenCount(); got != tokens {
				t.Errorf("UAA was asked for %d tokens more by whoever asks at once, want none", got-tokens)
			}
			server.SetAuthorities(brokerID, c.mended...)
			now.pass(6 * time.Second)
			if err := client.Permitted(background); err != nil {
				t.Errorf("after it was mended: got %v", err)
			}
			server.SetAuthorities(brokerID, c.held...)
			now.pass(4 * time.Minute)
			if err := client.Permitted(background); err != nil {
				t.Errorf("shortly after it was spoilt: got %v, want what is known still", err)
			}
			now.pass(2 * time.Minute)
			if err := client.Permitted(background); err == nil {
				t.Error("some minutes after it was spoilt: got nothing, want an objection")
			}
		})
	}
}

// What is not known is no objection: the calls themselves find out that UAA is down.
func TestStrictWhileUAAIsDown(t *testing.T) {
	t.Parallel()
	now := &ticking{now: time.Now()}
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL(), Strict: true, Clock: now.time, Timeout: time.Second})
	if err := client.Permitted(background); err == nil { // it lacks tokens.revoke
		t.Fatal("got nothing, want an objection")
	}
	server.Close()
	now.pass(time.Minute)
	if err := client.Permitted(background); err == nil {
		t.Error("with UAA down after an objection: got nothing, want it still")
	}
	if err := newClient(t, uaa.Config{URL: server.URL(), Strict: true, Timeout: time.Second}).Permitted(background); err != nil {
		t.Errorf("with UAA down from the start: got %v, want nothing", err)
	}
}
