package uaa_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	standinuaa "airflow-identity/integration/standin/uaa"
	"airflow-identity/uaa"
)

var newer = identity.SecretFrom("ZyXwVuTsRqPoNmLkJiHgFeDcBa9876543210zYxWvUt")

func TestTwoSecretsOfAClient(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})
	add := func(secret identity.Secret) func() (identity.Outcome, error) {
		return func() (identity.Outcome, error) { return client.AddSecret(background, orders.ID, secret) }
	}
	drop := func() (identity.Outcome, error) { return client.DropSecret(background, orders.ID) }
	replace := func(secret identity.Secret) func() (identity.Outcome, error) {
		return func() (identity.Outcome, error) { return client.ReplaceSecret(background, orders.ID, secret) }
	}
	probe := func(secret identity.Secret) func() (identity.Outcome, error) {
		return func() (identity.Outcome, error) { return client.Probe(background, orders, secret) }
	}
	for _, step := range []struct {
		doing string
		do    func() (identity.Outcome, error)
		want  identity.Outcome
	}{
		{"adding before it is there", add(newer), identity.NotThere},
		{"dropping before it is there", drop, identity.NotThere},
		{"replacing before it is there", replace(newer), identity.NotThere},
		{"creating", func() (identity.Outcome, error) { return client.Create(background, orders, secret) }, identity.Done},
		{"dropping the only one", drop, identity.Alone},
		{"adding", add(newer), identity.Done},
		{"adding again", add(newer), identity.Exists},
		{"probing the older", probe(secret), identity.Done},
		{"probing the newer", probe(newer), identity.Done},
		{"reading, which sees no secret", func() (identity.Outcome, error) { return client.Read(background, orders) }, identity.Done},
		{"dropping", drop, identity.Done},
		{"dropping again", drop, identity.Alone},
		{"probing what was dropped", probe(secret), identity.NotThere},
		{"probing what is left", probe(newer), identity.Done},
		{"adding once more", add(secret), identity.Done},
		{"replacing both", replace(secret), identity.Done},
		{"probing what was replaced", probe(newer), identity.NotThere},
		{"probing what replaced it", probe(secret), identity.Done},
		{"replacing it by itself", replace(secret), identity.Done},
	} {
		outcome, err := step.do()
		if outcome != step.want {
			t.Fatalf("%s: got %s, want %s: %v", step.doing, outcome, step.want, err)
		}
		if silent := step.want == identity.Done || step.want == identity.NotThere; (err == nil) != silent {
			t.Errorf("%s: got error %v, want one %v", step.doing, err, !silent)
		}
	}
	want := map[string]int{standinuaa.ModeAdd: 2, standinuaa.ModeDelete: 1, standinuaa.ModeUpdate: 2}
	if got := server.SecretChanges()[string(orders.ID)]; !reflect.DeepEqual(got, want) {
		t.Errorf("UAA counted %v, want %v", got, want)
	}
}

func TestChangeOfASecretByAnswer(t *testing.T) {
	t.Parallel()
	type outcomes [3]identity.Outcome // of adding, dropping, replacing
	all := func(outcome identity.Outcome) outcomes { return outcomes{outcome, outcome, outcome} }
	refused := func(text string) http.HandlerFunc {
		return reply(400, `{"error":"invalid_client","error_description":"`+text+`"}`)
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   outcomes
	}{
		{"added", reply(200, `{"status":"ok","message":"Secret is added"}`), all(identity.Done)},
		{"updated", reply(200, `{"status":"ok","message":"secret updated"}`), all(identity.Done)},
		{"two already", refused("client secret is either empty or client already has two secrets."), all(identity.Exists)},
		{"one only", refused("client secret is either empty or client has only one secret."), all(identity.Alone)},
		{"one only, as a 409", reply(409, `{"error":"invalid_client","error_description":"client secret is either empty or client has only one secret."}`), all(identity.Rejected)},
		{"the words elsewhere", refused("it is not so that client has only one secret."), all(identity.Rejected)},
		{"two already, says a router", reply(400, `{"error":"invalid_client","error_description":"client secret is either empty or client already has two secrets."}`, router, "x"), all(identity.Unknown)},
		{"too long", refused("Client Secret must be no more than 255 characters in length."), all(identity.Rejected)},
		{"not another's", refused("Bad request. Not permitted to change another client's secret"), all(identity.Rejected)},
		{"a 400 whose page became an object", reply(400, `{}`), all(identity.Rejected)},
		{"a 400 page", reply(400, page), all(identity.Unknown)},
		{"a gateway's 400", reply(400, `{"message":"bad request"}`), all(identity.Unknown)},
		{"UAA's own 404", reply(404, "", "Content-Length", "0"), all(identity.NotThere)},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), all(identity.Unknown)},
		{"the router's 404 without its text", reply(404, "", router, "unknown_route"), all(identity.Unknown)},
		{"a 404 page", reply(404, page), all(identity.Unknown)},
		{"a 404 of an unknown zone", reply(404, `{}`), all(identity.Unknown)},
		{"a 404 of a revocation", reply(404, `{"error":"invalid_token","error_description":"Resource not found"}`), all(identity.Unknown)},
		{"200 and nothing", reply(200, ""), all(identity.Unknown)},
		{"200 and a page", reply(200, page), all(identity.Unknown)},
		{"200 and ok, which a gateway says too", reply(200, `{"status":"ok"}`), all(identity.Unknown)},
		{"200 and no ok", reply(200, `{"status":"failed","message":"no secret"}`), all(identity.Unknown)},
		{"200 and half an object", hangUp(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"status\":"), all(identity.Unknown)},
		{"201", reply(201, `{"status":"ok","message":"Secret is added"}`), all(identity.Unknown)},
		{"not permitted", reply(403, `{"error":"insufficient_scope"}`), all(identity.Rejected)},
		{"our token, refused twice", reply(401, `{"error":"invalid_token","error_description":"expired"}`), all(identity.Later)},
		{"429", reply(429, page), all(identity.Later)},
		{"unknown path", reply(302, "", "Location", "/uaa/login"), all(identity.Unknown)},
		{"500, as an object", reply(500, `{}`), all(identity.Unknown)},
		{"500 page", reply(500, page), all(identity.Unknown)},
		{"the router's 502", reply(502, "502 Bad Gateway", router, "endpoint_failure"), all(identity.Unknown)},
		{"hang up", hangUp(t, ""), all(identity.Unknown)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: scripted(t, test.answer).URL})

			for i, change := range changes {
				outcome, err := change.call(background, client)

				silent := test.want[i] == identity.Done || test.want[i] == identity.NotThere
				if outcome != test.want[i] || (err == nil) != silent {
					t.Errorf("%s: got %s, %v; want %s", change.mode, outcome, err, test.want[i])
				}
			}
		})
	}
}

// changes are the three of them, in the order of the table above.
var changes = []struct {
	mode string
	call func(context.Context, *uaa.Client) (identity.Outcome, error)
	sent map[string]any
}{
	{standinuaa.ModeAdd, func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) {
		return c.AddSecret(ctx, orders.ID, newer)
	}, map[string]any{"clientId": string(orders.ID), "changeMode": "ADD", "secret": newer.Reveal()}},
	{standinuaa.ModeDelete, func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) {
		return c.DropSecret(ctx, orders.ID)
	}, map[string]any{"clientId": string(orders.ID), "changeMode": "DELETE"}},
	{standinuaa.ModeUpdate, func(ctx context.Context, c *uaa.Client) (identity.Outcome, error) {
		return c.ReplaceSecret(ctx, orders.ID, newer)
	}, map[string]any{"clientId": string(orders.ID), "changeMode": "UPDATE", "secret": newer.Reveal()}},
}

func TestRequestOfAChangeOfASecret(t *testing.T) {
	t.Parallel()
	for _, change := range changes {
		t.Run(change.mode, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{Zone: "dedicated", URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.Method+" "+r.RequestURI, "PUT /oauth/clients/"+string(orders.ID)+"/secret"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if got := r.Header.Get("X-Identity-Zone-Subdomain") + " " + r.Header.Get("Content-Type"); got != "dedicated application/json" {
					t.Errorf("got zone and type %q", got)
				}
				var body map[string]any
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !reflect.DeepEqual(body, change.sent) {
					t.Errorf("got body  %v, %v\nwant body %v", body, err, change.sent)
				}
				reply(200, `{"status":"ok","message":"secret updated"}`)(w, r)
			}).URL})

			outcome, err := change.call(background, client)

			if outcome != identity.Done {
				t.Errorf("got %s, %v", outcome, err)
			}
		})
	}
}

func TestNoSecretIsNotSent(t *testing.T) {
	t.Parallel()
	client := newClient(t, uaa.Config{URL: scripted(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }).URL})

	added, addErr := client.AddSecret(background, orders.ID, identity.Secret{})
	replaced, replaceErr := client.ReplaceSecret(background, orders.ID, identity.Secret{})

	if added != identity.Rejected || replaced != identity.Rejected || addErr == nil || replaceErr == nil {
		t.Errorf("got %s, %v and %s, %v; want two rejections", added, addErr, replaced, replaceErr)
	}
}

func TestWhatIsKnownOfSecretsWhenUAAIsDisturbed(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	const token = "POST /oauth/token"
	faults := []struct {
		name  string
		fault standin.Fault
		want  identity.Outcome
		acted bool
	}{
		{"lost before", standin.Fault{Kind: standin.LoseBefore}, identity.Unknown, false},
		{"lost after", standin.Fault{Kind: standin.LoseAfter}, identity.Unknown, true},
		{"too slow", standin.Fault{Kind: standin.Slow, Release: release}, identity.Unknown, false},
		{"unavailable", standin.Fault{}, identity.Unknown, false},
		{"too many", standin.Fault{Status: 429}, identity.Later, false},
		{"no route", standin.Fault{Status: 404, Body: routerBody, Header: http.Header{router: {"unknown_route"}}}, identity.Unknown, false},
		{"no token", standin.Fault{Call: token, Status: 503}, identity.Later, false},
		{"token lost", standin.Fault{Call: token, Kind: standin.LoseAfter}, identity.Later, false},
	}
	for _, change := range changes {
		for _, test := range faults {
			t.Run(change.mode+", "+test.name, func(t *testing.T) {
				t.Parallel()
				server := startUAA(t)
				if err := server.AddClient(standinClient(orders, secret)); err != nil {
					t.Fatalf("adding the client: %v", err)
				}
				if change.mode == standinuaa.ModeDelete {
					if _, err := server.SetSecrets(string(orders.ID), secret.Reveal(), newer.Reveal()); err != nil {
						t.Fatalf("giving it two secrets: %v", err)
					}
				}
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				fault := test.fault
				if fault.Call == "" {
					fault.Call, fault.Match = "PUT /oauth/clients/", standinuaa.ChangesSecret(change.mode)
				}
				if fault.Kind == standin.Slow {
					fault.Before = cancel // its time is over once it has arrived
				}
				server.Faults.Add(fault)
				client := newClient(t, uaa.Config{URL: server.URL()})

				outcome, err := change.call(ctx, client)

				if outcome != test.want || err == nil {
					t.Errorf("got %s, %v; want %s and an error", outcome, err, test.want)
				}
				if server.Faults.Pending() != 0 {
					t.Error("the fault was never met")
				}
				if acted := server.SecretChanges()[string(orders.ID)][change.mode] == 1; acted != test.acted {
					t.Errorf("it acted: %v, want %v", acted, test.acted)
				}
			})
		}
	}
}

func TestRevokeTokens(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	if err := server.AddClient(standinuaa.Client{ID: brokerID, Secret: brokerSecret, Authorities: []string{"clients.admin", "tokens.revoke"}}); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, uaa.Config{URL: server.URL()})

	outcome, err := client.RevokeTokens(background, orders.ID)
	if outcome != identity.NotThere || err != nil {
		t.Errorf("before it is there: got %s, %v", outcome, err)
	}
	if outcome, err := client.Create(background, orders, secret); outcome != identity.Done {
		t.Fatalf("creating: got %s, %v", outcome, err)
	}
	for range 2 {
		outcome, err = client.RevokeTokens(background, orders.ID)
		if outcome != identity.Done || err != nil {
			t.Errorf("got %s, %v", outcome, err)
		}
	}
	if n := server.Revocations()[string(orders.ID)]; n != 2 {
		t.Errorf("UAA counted %d, want 2", n)
	}
	outcome, err = client.Read(background, orders)
	if outcome != identity.Done {
		t.Errorf("reading what is salted now: got %s, %v", outcome, err)
	}
	outcome, err = client.Probe(background, orders, secret)
	if outcome != identity.Done {
		t.Errorf("probing, since only tokens are gone: got %s, %v", outcome, err)
	}
}

func TestRevokeTokensNeedsAnAuthority(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})

	outcome, err := client.RevokeTokens(background, orders.ID)

	if outcome != identity.Rejected || err == nil {
		t.Fatalf("got %s, %v; want a rejection", outcome, err)
	}
	for _, word := range []string{"tokens.revoke", "uaa.admin", brokerID} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got %v, want it to name %s", err, word)
		}
	}
}

func TestRevokeTokensByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   identity.Outcome
	}{
		{"200 and nothing", reply(200, ""), identity.Done},
		{"200 and a page", reply(200, page), identity.Unknown},
		{"200 and an object", reply(200, `{}`), identity.Unknown},
		{"the router's 200", reply(200, "", router, "x"), identity.Unknown},
		{"204", reply(204, ""), identity.Unknown},
		{"no such client", reply(404, `{"error":"invalid_token","error_description":"Resource not found"}`), identity.NotThere},
		{"no such client, as other calls say it", reply(404, ""), identity.NotThere},
		{"no such client, says a router", reply(404, `{"error":"invalid_token","error_description":"Resource not found"}`, router, "x"), identity.Unknown},
		{"a 404 of another kind", reply(404, `{"error":"not_found","error_description":"Resource not found"}`), identity.Unknown},
		{"a 404 of an unknown zone", reply(404, `{}`), identity.Unknown},
		{"a 404 page", reply(404, page), identity.Unknown},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), identity.Unknown},
		{"not permitted", reply(403, `{"error":"insufficient_scope"}`), identity.Rejected},
		{"a 403 page", reply(403, page), identity.Unknown},
		{"our token, refused twice", reply(401, `{"error":"invalid_token","error_description":"expired"}`), identity.Later},
		{"not a call of its own", reply(400, `{"error":"invalid_request","error_description":"Missing grant type"}`), identity.Rejected},
		{"429", reply(429, ""), identity.Later},
		{"302", reply(302, "", "Location", "/uaa/login"), identity.Unknown},
		{"500 page", reply(500, page), identity.Unknown},
		{"500 object", reply(500, `{}`), identity.Unknown},
		{"hang up", hangUp(t, ""), identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.Method+" "+r.RequestURI, "GET /oauth/token/revoke/client/"+string(orders.ID); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				test.answer(w, r)
			}).URL})

			outcome, err := client.RevokeTokens(background, orders.ID)

			if outcome != test.want || (err == nil) != (test.want == identity.Done || test.want == identity.NotThere) {
				t.Errorf("got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}

// In a zone it is a PUT of another salt.
func TestRevokeTokensInAZoneByAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   identity.Outcome
	}{
		"200 with the client":     {reply(200, `{"client_id":"`+string(orders.ID)+`"}`), identity.Done},
		"200 with another client": {reply(200, `{"client_id":"other"}`), identity.Unknown},
		"200 and nothing":         {reply(200, ""), identity.Unknown},
		"no such client":          {reply(404, ""), identity.NotThere},
		"no such zone":            {reply(404, `{}`), identity.Unknown},
		"not permitted there":     {reply(403, `{}`), identity.Rejected},
		"500 page":                {reply(500, page), identity.Unknown},
		"hang up":                 {hangUp(t, ""), identity.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{Zone: "dedicated", URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if got, want := r.Method+" "+r.RequestURI, "PUT /oauth/clients/restricted/"+string(orders.ID); got != want || !strings.Contains(string(body), "token_salt") {
					t.Errorf("got %s with %s, want %s with a salt", got, body, want)
				}
				if got := r.Header.Get("X-Identity-Zone-Subdomain"); got != "dedicated" {
					t.Errorf("got zone %q", got)
				}
				test.answer(w, r)
			}).URL})

			outcome, err := client.RevokeTokens(background, orders.ID)

			if outcome != test.want || (err == nil) != (test.want == identity.Done || test.want == identity.NotThere) {
				t.Errorf("got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}
