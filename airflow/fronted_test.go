package airflow_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/airflow"
	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	standinairflow "airflow-identity/integration/standin/airflow"
)

// front is what stands before an Airflow: a reverse proxy with a certificate of a
// private CA, that knows one path and passes on what is below it.
func front(t *testing.T, upstream, path string, wrap func(http.Handler) http.Handler) (at string, ca []byte) {
	t.Helper()
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var handler http.Handler = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Path, r.Out.URL.RawPath = strings.TrimPrefix(r.In.URL.Path, path), ""
			r.SetURL(target)
			r.SetXForwarded()
		},
	}
	if wrap != nil {
		handler = wrap(handler)
	}
	mux := http.NewServeMux()
	mux.Handle(path+"/", handler)
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail, as they should
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL + path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// Airflow at https://host/team-a/airflow, behind a private CA: everything works, the
// version and the login are found below the path, and nothing is asked beside it.
func TestBehindAPathAndAPrivateCA(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]dialect{"2": airflow2, "3": airflow3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := d.start(t, standinairflow.Config{Tokens: map[string]string{ownToken: standinairflow.RoleOp}})
			at, ca := front(t, server.URL(), "/team-a/airflow", nil)
			logins := map[string]airflow.Login{"token": airflow.Token{Token: fixed(ownToken)}}
			if d.api == airflow.V2 {
				logins["password"] = airflow.Password{Username: username, Password: fixed(password)}
			}
			for name, login := range logins {
				client := newClient(t, airflow.Config{URL: at, API: airflow.Auto, Login: login, CA: ca})
				life(t, name, client, orders)
			}
		})
	}
}

// life puts a connection, looks at it in every way, changes it and takes it away.
func life(t *testing.T, name string, client *airflow.Client, connection identity.Connection) {
	t.Helper()
	expect := func(doing string, want, got identity.Outcome, err error) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s: got %s, want %s: %v", name, doing, got, want, err)
		}
	}
	outcome, err := client.Put(background, connection, secret)
	expect("posting", identity.Done, outcome, err)
	_, outcome, err = client.Read(background, connection)
	expect("reading", identity.Done, outcome, err)
	newer := connection
	newer.Marker.Generation++
	_, outcome, err = client.Update(background, newer, identity.NewSecret())
	expect("patching", identity.Done, outcome, err)
	listed := 0
	err = client.List(background, func(page []identity.FoundConnection) error { listed += len(page); return nil })
	if err != nil || listed != 1 {
		t.Errorf("%s: listing: got %d connections, %v; want 1", name, listed, err)
	}
	outcome, err = client.Remove(background, connection.Marker)
	expect("removing", identity.Done, outcome, err)
	_, outcome, err = client.Read(background, connection)
	expect("reading what is removed", identity.NotThere, outcome, err)
}

// A certificate that nobody vouches for: nothing is sent, and the error says what to do.
func TestWrongCA(t *testing.T) {
	t.Parallel()
	server := airflow3.start(t, standinairflow.Config{})
	at, ca := front(t, server.URL(), "/airflow", nil)
	other := privateCA(t)
	for name, c := range map[string]struct {
		url  string
		ca   []byte
		says string
	}{
		"no CA":          {at, nil, "set ca to the PEM file of the CA that signed it"},
		"another CA":     {at, other, "set ca to the PEM file of the CA that signed it"},
		"another's name": {strings.Replace(at, "127.0.0.1", "localhost", 1), ca, "use one of its names in the url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, airflow.Config{URL: c.url, CA: c.ca})
			outcome, err := client.Put(background, orders, secret)
			if outcome != identity.Later || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "never sent") {
				t.Errorf("got %s, %v; want later, never sent, and %q", outcome, err, c.says)
			}
		})
	}
	_, err := airflow.New(airflow.Config{URL: at, CA: []byte("none"), Timeout: time.Second,
		Login: airflow.Password{Username: username, Password: fixed(password)}})
	if err == nil || !strings.Contains(err.Error(), "the CA file holds no PEM certificate") {
		t.Errorf("a CA that is none: got %v", err)
	}
}

// privateCA is a certificate of a CA that signed nothing here.
func privateCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	signed, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
}

// A gateway that gives up waits no longer, whatever Airflow does meanwhile: its page
// says nothing of what became of the call, and a look does.
func TestGatewayThatTimesOut(t *testing.T) {
	t.Parallel()
	for name, acts := range map[string]bool{"after it acted": true, "before it acted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := airflow3.start(t, standinairflow.Config{})
			var late atomic.Bool
			at, ca := front(t, server.URL(), "/airflow", func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet || !late.Load() {
						next.ServeHTTP(w, r)
						return
					}
					if acts {
						next.ServeHTTP(httptest.NewRecorder(), r)
					}
					reply(http.StatusGatewayTimeout, "<html><head><title>504 Gateway Time-out</title></head></html>", "Content-Type", "text/html")(w, r)
				})
			})
			client := newClient(t, airflow.Config{URL: at, CA: ca})
			look := func(doing string, done, undone identity.Outcome, connection identity.Connection) {
				t.Helper()
				want := undone
				if acts {
					want = done
				}
				_, outcome, err := client.Read(background, connection)
				if outcome != want {
					t.Errorf("%s, and a look: got %s, %v; want %s", doing, outcome, err, want)
				}
			}
			unknown := func(doing string, outcome identity.Outcome, err error) {
				t.Helper()
				if outcome != identity.Unknown || !strings.Contains(err.Error(), "504") {
					t.Errorf("%s: got %s, %v; want unknown", doing, outcome, err)
				}
			}
			_, outcome, err := client.Read(background, orders) // which logs in
			if outcome != identity.NotThere {
				t.Fatalf("reading: got %s, %v", outcome, err)
			}

			late.Store(true)
			outcome, err = client.Put(background, orders, secret)
			unknown("posting", outcome, err)
			look("posting", identity.Done, identity.NotThere, orders)
			late.Store(false)
			if outcome, err := client.Put(background, orders, secret); acts && outcome != identity.Exists || !acts && outcome != identity.Done {
				t.Fatalf("posting again: got %s, %v", outcome, err)
			}
			late.Store(true)
			_, outcome, err = client.Update(background, atGeneration(8), identity.NewSecret())
			unknown("patching", outcome, err)
			look("patching", identity.Done, identity.Differs, atGeneration(8))
			outcome, err = client.Remove(background, marker)
			unknown("removing", outcome, err)
			look("removing", identity.NotThere, identity.Differs, atGeneration(8))
		})
	}
}

// A token that Airflow takes no longer, whatever it said of its life, is renewed once,
// and the call that met it goes on: 401 for one that has expired, 403 for one that was
// signed with a key of before a restart.
func TestTokenThatEndsEarly(t *testing.T) {
	t.Parallel()
	for name, fab := range map[string]bool{"simple": false, "FAB": true} {
		for cause, end := range map[string]func(*standinairflow.Server, *hand) error{
			"expired":         func(_ *standinairflow.Server, theirs *hand) error { theirs.pass(2 * time.Hour); return nil },
			"another key":     func(s *standinairflow.Server, _ *hand) error { return s.ChangeKey() },
			"key and expired": func(s *standinairflow.Server, theirs *hand) error { theirs.pass(2 * time.Hour); return s.ChangeKey() },
		} {
			t.Run(name+", "+cause, func(t *testing.T) {
				t.Parallel()
				theirs := newHand() // ours stays
				server := airflow3.start(t, standinairflow.Config{FAB: fab, Now: theirs.Now, TokenLifetime: time.Hour})
				var logins, posts atomic.Int32
				count := func(call string, into *atomic.Int32) {
					server.Faults.Add(standin.Fault{Call: call, Kind: standin.Notice, Times: 1 << 30, Before: func() { into.Add(1) }})
				}
				count("POST /auth/token", &logins)
				count("POST /api/v2/connections", &posts)
				client := newClient(t, airflow.Config{URL: server.URL()})
				_, outcome, err := client.Read(background, orders)
				if outcome != identity.NotThere || logins.Load() != 1 {
					t.Fatalf("reading: got %s, %v after %d logins; want not_there after 1", outcome, err, logins.Load())
				}

				if err := end(server, theirs); err != nil {
					t.Fatal(err)
				}
				outcome, err = client.Put(background, orders, secret)
				if outcome != identity.Done || logins.Load() != 2 || posts.Load() != 2 || server.Creates()["acme_orders"] != 1 {
					t.Errorf("posting: got %s, %v with %d logins, %d posts and %d connections; want done with 2, 2 and 1",
						outcome, err, logins.Load(), posts.Load(), server.Creates()["acme_orders"])
				}
				_, outcome, err = client.Read(background, orders)
				if outcome != identity.Done || logins.Load() != 2 {
					t.Errorf("reading: got %s, %v with %d logins; want done with no other", outcome, err, logins.Load())
				}
			})
		}
	}
}

// A viewer's account is not asked for twice, and what it lacks is said.
func TestViewersAccount(t *testing.T) {
	t.Parallel()
	for name, fab := range map[string]bool{"simple": false, "FAB": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := airflow3.start(t, standinairflow.Config{FAB: fab, Users: map[string]standinairflow.User{
				username: {Password: password, Role: standinairflow.RoleViewer},
			}})
			client := newClient(t, airflow.Config{URL: server.URL()})
			refused(t, client, orders, "takes the role Op, or one that may read, create, edit and delete connections")
			_, outcome, err := client.Update(background, orders, secret)
			if outcome != identity.Later {
				t.Errorf("patching: got %s, %v; want later: nothing was begun", outcome, err)
			}
		})
	}
}

// Airflow 2 answers a viewer and a wrong password alike, so it is asked for something that
// a viewer may: the first is refused for good, the second may pass.
func TestViewersAccountOfAirflow2(t *testing.T) {
	t.Parallel()
	server := airflow2.start(t, standinairflow.Config{Users: map[string]standinairflow.User{
		username: {Password: password, Role: standinairflow.RoleViewer},
	}})
	refused(t, airflow2.client(t, airflow.Config{URL: server.URL()}), orders, "takes the role Op")
	wrong := airflow2.client(t, airflow.Config{URL: server.URL(), Login: airflow.Basic{Username: username, Password: fixed("not-the-right-word")}})
	outcome, err := wrong.Put(background, orders, secret)
	if outcome != identity.Later || !strings.Contains(err.Error(), "a wrong login") {
		t.Errorf("with a wrong password: got %s, %v; want later", outcome, err)
	}
	server.Faults.Add(standin.Fault{Call: "GET /api/v1/pools", Kind: standin.Answer, Status: http.StatusBadGateway, Times: 1})
	outcome, err = airflow2.client(t, airflow.Config{URL: server.URL()}).Put(background, orders, secret)
	if outcome != identity.Later {
		t.Errorf("where that is not answered: got %s, %v; want later", outcome, err)
	}
}

// refused posts a connection that is refused for good, in words for who asked.
func refused(t *testing.T, client *airflow.Client, connection identity.Connection, says string) {
	t.Helper()
	outcome, err := client.Put(background, connection, secret)
	reason := identity.ReasonFor(err)
	if outcome != identity.Rejected || !strings.Contains(reason, says) {
		t.Errorf("posting: got %s, %v for the reason %q; want rejected for %q", outcome, err, reason, says)
	}
}

func TestTeams(t *testing.T) {
	t.Parallel()
	teamed := orders
	teamed.Team = "acme"
	with := func(config standinairflow.Config, d dialect) (*standinairflow.Server, *airflow.Client) {
		config.Users = map[string]standinairflow.User{username: {Password: password, Role: standinairflow.RoleOp, Teams: []string{"acme"}}}
		server := d.start(t, config)
		return server, d.client(t, airflow.Config{URL: server.URL()})
	}
	server, client := with(standinairflow.Config{Teams: []string{"acme", "other"}}, airflow3)
	life(t, "of a team", client, teamed)
	outcome, err := client.Put(background, teamed, secret)
	if outcome != identity.Done {
		t.Fatalf("posting: got %s, %v", outcome, err)
	}
	if got, _ := server.Connection("acme_orders"); got.Team != "acme" {
		t.Errorf("posting: got team %q, want acme", got.Team)
	}

	server.EditConnection("acme_orders", func(c *standinairflow.Connection) { c.Team = "" })
	_, outcome, err = client.Read(background, teamed)
	if outcome != identity.Differs || !strings.Contains(err.Error(), "team_name") {
		t.Errorf("reading what was taken from the team: got %s, %v; want that it differs", outcome, err)
	}
	_, outcome, err = client.Read(background, orders)
	if outcome != identity.Done {
		t.Errorf("reading what shall have no team: got %s, %v; want done", outcome, err)
	}
	_, outcome, err = client.Update(background, teamed, secret)
	if got, _ := server.Connection("acme_orders"); outcome != identity.Done || got.Team != "acme" {
		t.Errorf("mending: got %s, %v and team %q; want acme", outcome, err, got.Team)
	}
	_, outcome, err = client.Update(background, orders, secret)
	if got, _ := server.Connection("acme_orders"); outcome != identity.Done || got.Team != "acme" {
		t.Errorf("patching what shall have no team: got %s, %v and team %q; want that it is left alone", outcome, err, got.Team)
	}

	for name, c := range map[string]struct {
		config standinairflow.Config
		d      dialect
		team   identity.Team
		says   string
	}{
		"unknown":          {standinairflow.Config{Teams: []string{"acme"}}, airflow3, "nope", `Airflow has no team "nope"; it is made with: airflow teams create nope`},
		"another's":        {standinairflow.Config{Teams: []string{"acme", "other"}}, airflow3, "other", `and to be in its team "other"`},
		"switched off":     {standinairflow.Config{}, airflow3, "acme", `this Airflow has multi_team switched off`},
		"older than teams": {standinairflow.Config{NoTeams: true}, airflow3, "acme", "older than 3.2 and has no teams"},
		"Airflow 2":        {standinairflow.Config{}, airflow2, "acme", "this is Airflow 2, which has none"},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := with(c.config, c.d)
			connection := orders
			connection.Team = c.team
			refused(t, client, connection, c.says)
			if ids := server.ConnectionIDs(); len(ids) != 0 {
				t.Errorf("there is %v, want nothing", ids)
			}
		})
	}
}
