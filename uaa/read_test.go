package uaa_test

import (
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/uaa"
)

func TestReadTellsWhatDiffers(t *testing.T) {
	t.Parallel()
	whole := labelled(made(`["orders.write","orders.read"]`, `["uaa.none"]`, `["client_credentials"]`))
	tests := []struct {
		name     string
		was, is  string // in the answer
		asked    func(*identity.Client)
		want     identity.Outcome
		mentions string
	}{
		{name: "nothing", want: identity.Done},
		{name: "an authority too many", was: `"orders.write",`, is: `"orders.write","uaa.admin",`, want: identity.Differs, mentions: "authorities"},
		{name: "an authority too few", was: `"orders.write",`, is: ``, want: identity.Differs, mentions: "authorities"},
		{name: "a scope", was: `["uaa.none"]`, is: `["openid"]`, want: identity.Differs, mentions: "scopes"},
		{name: "a grant type", was: `["client_credentials"]`, is: `["client_credentials","password"]`, want: identity.Differs, mentions: "grant types"},
		{name: "another life", was: `:600`, is: `:60`, want: identity.Differs, mentions: "should live 10m0s, and live 1m0s"},
		{name: "no life", was: `"access_token_validity":600,`, is: ``, want: identity.Differs, mentions: "uaa's own settings"},
		{name: "another name", was: `"name":"acme_orders"`, is: `"name":"acme"`, want: identity.Differs, mentions: `"acme"`},
		{name: "a name that is none", was: `"name":"acme_orders"`, is: `"name":{"a":1}`, want: identity.Differs, mentions: "its name"},
		{name: "no name", was: `"name":"acme_orders",`, is: ``, want: identity.Differs, mentions: "its name"},
		{name: "a label gone", was: `"afi_broker":"b-1",`, is: ``, want: identity.Differs, mentions: "no afi_broker"},
		{name: "another label", was: `"b-1"`, is: `"b-2"`, want: identity.Differs, mentions: `afi_broker should be "b-1", and is "b-2"`},
		{name: "a label that is no text", was: `"b-1"`, is: `["b-1"]`, want: identity.Differs, mentions: "no afi_broker"},
		{name: "every label gone", was: `"afi_broker":"b-1","afi_identity":"i-1",`, is: ``, want: identity.Done},
		{name: "every label gone, and another name", was: `"afi_broker":"b-1","afi_identity":"i-1",`, is: ``,
			asked: func(c *identity.Client) { c.Name = "acme" }, want: identity.Differs, mentions: "its name"},
		{name: "every label gone, and the life", was: `600,"afi_broker":"b-1","afi_identity":"i-1",`, is: `60,`, want: identity.Differs, mentions: "should live"},
		{name: "all additional information gone", was: whole, is: strings.Replace(made(`["orders.write","orders.read"]`, `["uaa.none"]`, `["client_credentials"]`), `"name":"acme_orders",`, ``, 1), want: identity.Done},
		{name: "less is asked", asked: func(c *identity.Client) { c.Labels = nil }, want: identity.Done},
		{name: "nothing is asked, which has a name", was: `["orders.write","orders.read"]`, is: `["uaa.none"]`,
			asked: func(c *identity.Client) { c.Authorities = nil }, want: identity.Done},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(whole, test.was) {
				t.Fatalf("the answer has no %s", test.was)
			}
			client := newClient(t, uaa.Config{URL: scripted(t, reply(200, strings.Replace(whole, test.was, test.is, 1))).URL})
			asked := orders
			if test.asked != nil {
				test.asked(&asked)
			}

			outcome, err := client.Read(background, asked)

			if outcome != test.want || (err == nil) != (test.want == identity.Done) {
				t.Fatalf("got %s, %v; want %s", outcome, err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), test.mentions) {
				t.Errorf("got %v, want an error about %q", err, test.mentions)
			}
		})
	}
}

// Whatever stands in the audit's way must not cost what bindings wait for.
func TestReadCostsNoHash(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})
	outcome, err := client.Create(background, orders, secret)
	if outcome != identity.Done {
		t.Fatalf("creating: got %s, %v", outcome, err)
	}
	before := server.Hashes()

	outcome, err = client.Read(background, orders)
	longer := orders
	longer.TokenLifetime = time.Hour
	differs, _ := client.Read(background, longer)

	if outcome != identity.Done || differs != identity.Differs || server.Hashes() != before {
		t.Errorf("got %s, %v, %s, and %d hashes; want done, differs and none", outcome, err, differs, server.Hashes()-before)
	}
}
