package broker

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
)

const (
	commonCredentials = `"environment":"prod","authorities":["orders.read"],"roles":[],` +
		`"issuer":"https://uaa.example.com/oauth/token","token_url":"https://uaa.example.com/oauth/token","jwks_url":"https://uaa.example.com/token_keys",` +
		`"audience":["orders"],"zone_id":"uaa"`
	airflowPart  = `,"airflow":{"url":"https://airflow.example.com","connection_id":"acme_orders","client_id":"afi-5d3c0000-0000-4000-8000-000000000000"}`
	clientPart   = `,"client_id":"afi-77b10000-0000-4000-8000-000000000000"`
	secretPart   = `,"client_secret":"handed-out-once"`
	endPart      = `,"expires_at":"2026-12-24T09:00:00.9Z"`
	endMetadata  = `,"metadata":{"expires_at":"2026-12-24T09:00:00.9Z"}`
	expiredPart  = `,"expired":true`
	revokedPart  = `,"revoked":true`
	noParameters = `{"authorities":["orders.read"]}`
)

func TestCredentials(t *testing.T) {
	t.Parallel()

	without := func() identity.Bound { bound := clientBound(); bound.Client = nil; return bound }
	alone := func() identity.Bound { bound := clientBound(); bound.Airflow = nil; return bound }
	wiped := func() identity.Bound { bound := clientBound(); bound.Client.Secret = identity.Secret{}; return bound }
	ended := func() identity.Bound {
		bound := clientBound()
		now := time.Now()
		bound.Client.EndedAt = &now
		return bound
	}
	revoked := func(bound identity.Bound, whose func(identity.Bound) *identity.Identity) identity.Bound {
		now := time.Now()
		whose(bound).RevokedAt = &now
		return bound
	}
	airflow := func(b identity.Bound) *identity.Identity { return b.Airflow }
	client := func(b identity.Bound) *identity.Identity { return b.Client }
	narrowed := func() identity.Bound {
		bound := without()
		bound.Airflow.Granted = []identity.Authority{}
		return bound
	}
	rows := []struct {
		name        string
		bound       identity.Bound
		credentials string
		metadata    string
	}{
		{"a connection", without(), commonCredentials + airflowPart, ""},
		{"a connection and a client", clientBound(), commonCredentials + airflowPart + clientPart + secretPart + endPart, endMetadata},
		{"a client alone", alone(), commonCredentials + clientPart + secretPart + endPart, endMetadata},
		{"a client whose secret is wiped", wiped(), commonCredentials + airflowPart + clientPart + endPart + expiredPart, endMetadata},
		{"a client that has ended and is being taken away", ended(), commonCredentials + airflowPart + clientPart + endPart + expiredPart, endMetadata},
		{"a connection that was revoked", revoked(without(), airflow), commonCredentials + airflowPart + revokedPart, ""},
		{"a client that was revoked", revoked(alone(), client), commonCredentials + clientPart + endPart + revokedPart, endMetadata},
		{"a client that was revoked and is gone", revoked(wiped(), client), commonCredentials + airflowPart + clientPart + endPart + revokedPart, endMetadata},
		{"a client beside a connection that was revoked", revoked(clientBound(), airflow), commonCredentials + airflowPart + clientPart + secretPart + endPart + revokedPart, endMetadata},
		{"narrowed to nothing", narrowed(), strings.NewReplacer(`["orders.read"]`, `[]`, `["orders"]`, `[]`).Replace(commonCredentials) + airflowPart, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &core{instance: ordersInstance(), bound: row.bound, existed: true})
			got := w.send(http.MethodPut, bindingURL, bindBody())
			if want := `{"credentials":{` + row.credentials + `}` + row.metadata + `}`; got.status != http.StatusOK || strings.TrimSpace(got.body) != want {
				t.Errorf("the identical bind: got %d\n%swant 200\n%s", got.status, got.body, want)
			}
			got = w.send(http.MethodGet, bindingURL, "")
			if want := `{"credentials":{` + row.credentials + `}` + row.metadata + `,"parameters":` + noParameters + `}`; got.status != http.StatusOK || strings.TrimSpace(got.body) != want {
				t.Errorf("GET: got %d\n%swant 200\n%s", got.status, got.body, want)
			}
			if strings.Contains(w.log.String(), "handed-out-once") {
				t.Errorf("a secret is in the log: %s", w.log)
			}
		})
	}
}

func TestABindGivesWhatWasAsked(t *testing.T) {
	t.Parallel()

	rows := []struct {
		name       string
		parameters object
		grant      identity.Grant
		has, lacks []string
	}{
		{"a connection", object{}, identity.Grant{Airflow: true, TokenLifetime: 10 * time.Minute}, []string{`"airflow":{`}, []string{"client_secret", "expires_at", "metadata"}},
		{"a connection, said", object{"airflow": true, "app_client": false}, identity.Grant{Airflow: true, TokenLifetime: 10 * time.Minute}, []string{`"airflow":{`}, []string{"client_secret"}},
		{"both", object{"app_client": true, "expires_in": "24h", "token_lifetime": "20m"}, identity.Grant{Airflow: true, AppClient: true, ExpiresIn: 24 * time.Hour, TokenLifetime: 20 * time.Minute},
			[]string{`"airflow":{`, `"client_secret":"handed-out-once"`, endMetadata}, nil},
		{"a client alone", object{"airflow": false, "app_client": true}, identity.Grant{AppClient: true, ExpiresIn: 720 * time.Hour, TokenLifetime: 10 * time.Minute},
			[]string{`"client_id":"afi-77b1`, `"client_secret":"handed-out-once"`, endMetadata}, []string{`"airflow"`, "connection_id"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &core{instance: ordersInstance(), bound: clientBound()})
			got := w.send(http.MethodPut, bindingURL, bindBody("parameters", row.parameters))
			if got.status != http.StatusCreated {
				t.Fatalf("got %d %s, want 201", got.status, got.body)
			}
			grant := w.core.grants[0]
			if grant.Airflow != row.grant.Airflow || grant.AppClient != row.grant.AppClient || grant.ExpiresIn != row.grant.ExpiresIn || grant.TokenLifetime != row.grant.TokenLifetime {
				t.Errorf("got %+v, want %+v", grant, row.grant)
			}
			for _, has := range row.has {
				if !strings.Contains(got.body, has) {
					t.Errorf("the answer lacks %s: %s", has, got.body)
				}
			}
			for _, lacks := range row.lacks {
				if strings.Contains(got.body, lacks) {
					t.Errorf("the answer has %s: %s", lacks, got.body)
				}
			}
		})
	}
}

func TestAConnectionThatIsJoinedIsNotJudgedAgain(t *testing.T) {
	t.Parallel()
	for _, joins := range []bool{true, false} {
		w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound(), joins: joins})
		got := w.send(http.MethodPut, bindingURL, bindBody("parameters", object{"connection_id": "once_allowed"}))
		if (got.status == http.StatusCreated) != joins || w.core.binds[0].Connection != "once_allowed" {
			t.Errorf("joins %v: got %d %s", joins, got.status, got.body)
		}
	}
}

func TestNothingIsSaidOfAnAirflowSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance(), bound: clientBound()})
	for _, got := range []reply{
		w.send(http.MethodPut, bindingURL, bindBody("parameters", object{"app_client": true})),
		w.send(http.MethodGet, bindingURL, ""),
	} {
		if strings.Contains(got.body, "thesecretofthisidentity") || strings.Count(strings.ToLower(got.body), "secret") != 1 {
			t.Errorf("the answer tells more than client_secret: %s", got.body)
		}
	}
}
