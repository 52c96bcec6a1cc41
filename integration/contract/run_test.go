package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	airflowclient "airflow-identity/airflow"
	"airflow-identity/identity"
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/remote"
	uaaclient "airflow-identity/uaa"
)

// found gives the finding about a case.
func (r Report) found(t *testing.T, name string) Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Case == name {
			return f
		}
	}
	t.Fatalf("there is no case %q", name)
	return Finding{}
}

// With other rights than it needs, or none, a login is told which.
func TestAccountsThatDoNotDo(t *testing.T) {
	t.Parallel()
	client := func(secret string, authorities ...string) func(*testing.T) func(context.Context) (Report, error) {
		return func(t *testing.T) func(context.Context) (Report, error) {
			_, target := ownUAA(t, uaa.Config{Clients: []uaa.Client{{ID: "airflow-identity", Secret: secret, Authorities: authorities}}})
			return target.Run
		}
	}
	partly := func(t *testing.T) func(context.Context) (Report, error) {
		_, target := ownAirflow(t, airflow.Version3, "op")
		target.Transport = broken{target.Transport, func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if r.Method == http.MethodDelete || r.Method == http.MethodPatch {
				return reply{}.with(403, `{"detail":"Forbidden"}`)
			}
			return next(r, body)
		}}
		return target.Run
	}
	login := func(version, user string, wrong bool) func(*testing.T) func(context.Context) (Report, error) {
		return func(t *testing.T) func(context.Context) (Report, error) {
			server, target := ownAirflow(t, version, user)
			if wrong {
				target.Authorize = basicLogin(user, "wrong")
				if version == airflow.Version3 {
					target.Authorize = passwordLogin(server.URL(), user, "wrong", target.Transport)
				}
			}
			return target.Run
		}
	}
	const manage, revoke, spare = "our own client may manage clients", "our own client may revoke tokens", "our own client holds nothing that it does not need"
	const may = "the login may read, create, edit and delete connections"
	tests := []struct {
		name  string
		start func(*testing.T) func(context.Context) (Report, error)
		finds string
		says  string
		rest  bool // the cases after it are tried
	}{
		{"a wrong secret", client("another", "clients.admin"), "our own client gets a token with its credentials in a form", "client airflow-identity cannot log in: 401", false},
		{"too few privileges", client(ownSecret, "clients.read", "tokens.revoke"), manage, "lacks the authority clients.admin", false},
		{"no revocation", client(ownSecret, "clients.admin"), revoke, "lacks the authority tokens.revoke", true},
		{"too many privileges", client(ownSecret, "clients.admin", "tokens.revoke", "uaa.admin", "scim.write"), spare, "does not need scim.write, uaa.admin: take it away", true},
		{"a viewer of Airflow 3", login(airflow.Version3, "viewer", false), may, "403 Forbidden: the login may not read, create, edit, delete connections", false},
		{"one that may only make them", partly, may, "403 Forbidden: the login may not edit, delete connections", false},
		{"a viewer of Airflow 2", login(airflow.Version2, "viewer", false), may, "403 Forbidden to everything: the login is wrong, or may not", false},
		{"a wrong password of Airflow 3", login(airflow.Version3, "op", true), may, "cannot log in", false},
		{"a wrong password of Airflow 2", login(airflow.Version2, "op", true), may, "Airflow 2 answers both alike", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			report, err := test.start(t)(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := report.found(t, test.finds)
			if got.Verdict != Broken || !strings.Contains(got.Seen, test.says) {
				t.Errorf("got %s: %s; want that it does not hold: %s", got.Verdict, got.Seen, test.says)
			}
			if report.Sound() || report.Count(Broken) != 1 || (report.Count(Holds) > 10) != test.rest || len(report.Left) > 0 {
				t.Errorf("got %d that hold, %d that do not, left %v", report.Count(Holds), report.Count(Broken), report.Left)
			}
		})
	}
}

// Where our client may not revoke, what rests on that is not known.
func TestWithoutAPrivilegeACaseTellsNothing(t *testing.T) {
	t.Parallel()
	_, target := ownUAA(t, uaa.Config{Clients: []uaa.Client{{ID: "airflow-identity", Secret: ownSecret, Authorities: []string{"clients.admin"}}}})
	report, err := target.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"revoking is answered with 200, and ends the tokens so far", "revoking for a client that is not there is 404, empty or UAA's words for it"} {
		if got := report.found(t, name); got.Verdict != Unknown || !strings.Contains(got.Seen, "tokens.revoke") {
			t.Errorf("%s: %s %s", name, got.Verdict, got.Seen)
		}
	}
}

func TestAUAAThatForgets(t *testing.T) {
	t.Parallel()
	_, target := ownUAA(t, uaa.Config{Forgets: true})
	report, err := target.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := report.found(t, "additional information is kept and shown")
	if got.Verdict != Otherwise || !strings.Contains(got.Seen, "reported and never removed") || !report.Sound() {
		t.Errorf("got %s %s, and %d that do not hold", got.Verdict, got.Seen, report.Count(Broken))
	}
}

// What is made goes away again, whatever stops the suite.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	ends := map[string]func(stop func()) layer{
		"to the end": func(func()) layer {
			return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply { return next(r, body) }
		},
		"broken off after a thing was made": func(stop func()) layer {
			return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
				got := next(r, body)
				if r.Method == http.MethodPost && (got.status == http.StatusCreated || isOne(r) || strings.HasSuffix(r.URL.Path, "/connections") && got.status == http.StatusOK) {
					stop()
				}
				return got
			}
		},
		"a reply that is lost": func(func()) layer {
			return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
				got := next(r, body)
				if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "token") && got.status/100 == 2 {
					return reply{err: fmt.Errorf("the connection was cut")}
				}
				return got
			}
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, uaaTarget := ownUAA(t, uaa.Config{})
			v2, v2Target := ownAirflow(t, airflow.Version3, "op")
			v1, v1Target := ownAirflow(t, airflow.Version2, "op")
			for suite, run := range map[string]func(context.Context, layer) (Report, error){
				SuiteUAA: func(ctx context.Context, l layer) (Report, error) {
					uaaTarget.Transport = broken{uaaTarget.Transport, l}
					return uaaTarget.Run(ctx)
				},
				SuiteAirflowV2: func(ctx context.Context, l layer) (Report, error) {
					v2Target.Transport = broken{v2Target.Transport, l}
					return v2Target.RunV2(ctx)
				},
				SuiteAirflowV1: func(ctx context.Context, l layer) (Report, error) {
					v1Target.Transport = broken{v1Target.Transport, l}
					return v1Target.RunV1(ctx)
				},
			} {
				ctx, cancel := context.WithCancel(t.Context())
				report, err := run(ctx, end(cancel))
				stopped := ctx.Err() != nil
				cancel()
				if err != nil || len(report.Left) > 0 || len(report.Findings) < 20 {
					t.Errorf("%s: got %d findings, left %v, %v", suite, len(report.Findings), report.Left, err)
				}
				if stopped && (report.Count(Broken) > 0 || report.Count(Unknown) < 5) {
					t.Errorf("%s was broken off, and says of %d cases that they do not hold, of %d that nothing is known", suite, report.Count(Broken), report.Count(Unknown))
				}
			}
			if got := u.ClientIDs(); !slices.Equal(got, []string{"airflow-identity"}) {
				t.Errorf("clients are left: %v", got)
			}
			if got := append(v2.ConnectionIDs(), v1.ConnectionIDs()...); len(got) > 0 {
				t.Errorf("connections are left: %v", got)
			}
		})
	}
}

// What cannot be removed is named, all of it.
func TestWhatIsLeftIsNamed(t *testing.T) {
	t.Parallel()
	u, target := ownUAA(t, uaa.Config{})
	refuse := func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
		if r.Method == http.MethodDelete {
			return reply{}.with(500, `{}`)
		}
		return next(r, body)
	}
	target.Transport = broken{target.Transport, refuse}
	report, err := target.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, id := range u.ClientIDs() {
		if id != "airflow-identity" {
			want = append(want, "client "+id)
		}
	}
	for _, name := range want {
		if !slices.Contains(report.Left, name) {
			t.Errorf("%s is there, and the report does not name it", name)
		}
	}
	if report.Sound() || len(want) < 20 {
		t.Errorf("%d clients are there, and the report is sound: %t", len(want), report.Sound())
	}
}

// A UAA that is gone costs one call's time and not one for each case.
func TestSilenceEndsASuite(t *testing.T) {
	t.Parallel()
	server, target := ownUAA(t, uaa.Config{})
	server.Close()
	report, err := target.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Count(Broken) != 1 || report.Count(Unknown) != len(uaaCases)-1 || !strings.Contains(report.Findings[0].Seen, "no answer") {
		t.Errorf("got %d that do not hold, %d unknown: %+v", report.Count(Broken), report.Count(Unknown), report.Findings[0])
	}
}

func TestNoAirflowIsFound(t *testing.T) {
	t.Parallel()
	u, _ := ownUAA(t, uaa.Config{})
	report, err := Airflow{URL: u.URL(), Authorize: basicLogin("a", "b"), Transport: transport(t)}.Run(t.Context())
	if err != nil || report.Sound() || len(report.Findings) != 1 || !strings.Contains(report.Findings[0].Seen, "/api/v2/version: got 302") {
		t.Errorf("got %+v, %v; want that there is none", report, err)
	}
}

// No secret that goes to a remote, or comes from it, is in a report, whatever a remote
// repeats of it.
func TestReportsHoldNoSecret(t *testing.T) {
	t.Parallel()
	var secrets []string
	echo := func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
		var sent map[string]any
		if json.Unmarshal(body, &sent) == nil {
			for _, key := range []string{"client_secret", "secret", "password"} {
				if text := textOf(sent[key]); text != "" {
					secrets = append(secrets, text)
				}
			}
		}
		if _, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found {
			secrets = append(secrets, token)
		}
		got := next(r, body)
		var answered map[string]any
		if json.Unmarshal(got.body, &answered) == nil && textOf(answered["access_token"]) != "" {
			secrets = append(secrets, textOf(answered["access_token"]))
			return got
		}
		if len(secrets) == 0 {
			return got
		}
		all := strings.Join(secrets[max(0, len(secrets)-5):], " ")
		return got.with(418, map[string]any{"error": "x " + all, "error_description": all, "detail": all, "title": "y"})
	}
	_, uaaTarget := ownUAA(t, uaa.Config{})
	_, v2Target := ownAirflow(t, airflow.Version3, "op")
	uaaTarget.Transport = broken{uaaTarget.Transport, echo}
	v2Target.Transport = broken{v2Target.Transport, echo}
	for _, run := range []func(context.Context) (Report, error){uaaTarget.Run, v2Target.RunV2} {
		secrets = nil
		report, err := run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		if report.Count(Broken) == 0 {
			t.Errorf("%s: everything holds, though each answer was another", report.Suite)
		}
		for _, secret := range append(secrets, ownSecret, opPassword) {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s: the report holds %q", report.Suite, secret)
			}
		}
	}
}

// No sweep takes what a suite makes for an identity.
func TestSweepsDoNotMindASuite(t *testing.T) {
	t.Parallel()
	_, uaaTarget := ownUAA(t, uaa.Config{})
	_, target := ownAirflow(t, airflow.Version3, "op")
	clients, err := uaaclient.New(uaaclient.Config{
		URL: uaaTarget.URL, ClientID: "airflow-identity", Secret: remote.Fixed(identity.SecretFrom(ownSecret)), Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clients.Close)
	connections, err := airflowclient.New(airflowclient.Config{
		URL: target.URL, Login: airflowclient.Password{Username: "op", Password: remote.Fixed(identity.SecretFrom(opPassword))}, Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connections.Close)

	// Each time something was made both are asked what they list of ours.
	lists, seen := 0, 0
	look := func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
		got := next(r, body)
		if r.Method == http.MethodPost && got.status == http.StatusCreated && !strings.HasSuffix(r.URL.Path, "/auth/token") {
			lists++
			err := clients.List(r.Context(), func(page []identity.FoundClient) error { seen += len(page); return nil })
			if err == nil {
				err = connections.List(r.Context(), func(page []identity.FoundConnection) error { seen += len(page); return nil })
			}
			if err != nil {
				t.Error(err)
			}
		}
		return got
	}
	uaaTarget.Transport = broken{uaaTarget.Transport, look}
	target.Transport = broken{target.Transport, look}
	for _, run := range []func(context.Context) (Report, error){uaaTarget.Run, target.Run} {
		if report, err := run(t.Context()); err != nil || !report.Sound() {
			t.Errorf("%v: %+v", err, report)
		}
	}
	if lists < 30 || seen > 0 {
		t.Errorf("in %d looks %d things were taken for ours", lists, seen)
	}
}
