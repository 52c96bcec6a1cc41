package uaa_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/identity"
	standin "airflow-identity/integration/standin/uaa"
	"airflow-identity/remote"
	"airflow-identity/uaa"
)

func standinClient(client identity.Client, secret identity.Secret) standin.Client {
	made := standin.Client{ID: string(client.ID), Secret: secret.Reveal()}
	for _, authority := range client.Authorities {
		made.Authorities = append(made.Authorities, string(authority))
	}
	return made
}

// made is UAA's answer to a create, with its lists as given.
func made(authorities, scope, grants string) string {
	return fmt.Sprintf(`{"client_id":%q,"name":"acme_orders","authorities":%s,"scope":%s,"authorized_grant_types":%s,`+
		`"resource_ids":["none"],"autoapprove":[],"required_user_groups":[],"access_token_validity":600,"lastModified":1}`,
		orders.ID, authorities, scope, grants)
}

// labelled adds our labels, and what others have added, to such an answer.
func labelled(answer string) string {
	return strings.Replace(answer, `"lastModified"`, `"afi_broker":"b-1","afi_identity":"i-1","afi_other":[1],"token_salt":"x","lastModified"`, 1)
}

const (
	routerBody = "404 Not Found: Requested route ('uaa.example.com') does not exist.\n"
	router     = "X-Cf-Routererror"
)

func TestCreateByAnswer(t *testing.T) {
	t.Parallel()
	const granted, none, grants = `["orders.write","orders.read"]`, `["uaa.none"]`, `["client_credentials"]`
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   identity.Outcome
	}{
		{"as asked, in another order", reply(201, made(granted, none, grants)), identity.Done},
		{"as asked, with 200", reply(200, made(granted, none, grants)), identity.Done},
		{"an authority too many", reply(201, made(`["orders.write","orders.read","uaa.admin"]`, none, grants)), identity.Differs},
		{"an authority too few", reply(201, made(`["orders.read"]`, none, grants)), identity.Differs},
		{"another scope", reply(201, made(granted, `["openid"]`, grants)), identity.Differs},
		{"another grant type", reply(201, made(granted, none, `["client_credentials","password"]`)), identity.Differs},
		{"no lists", reply(201, fmt.Sprintf(`{"client_id":%q}`, orders.ID)), identity.Differs},
		{"another client", reply(201, strings.Replace(made(granted, none, grants), string(orders.ID), "afi-other", 1)), identity.Unknown},
		{"201 and nothing", reply(201, ""), identity.Unknown},
		{"201 and a page", reply(201, page), identity.Unknown},
		{"201 and half an object", hangUp(t, "HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{\"client_id\":"), identity.Unknown},
		{"201 and JSON that ends early", reply(201, `{"client_id":"afi-`), identity.Unknown},
		{"201 and lists that are none", reply(201, made(`"orders.read"`, none, grants)), identity.Unknown},
		{"201 and a body without end", reply(201, strings.Repeat(" ", 2<<20)), identity.Unknown},
		{"a login page with 200", reply(200, page, "Content-Type", "text/html"), identity.Unknown},
		{"taken", reply(409, `{"error":"invalid_client","error_description":"Client already exists: x"}`), identity.Exists},
		{"a stranger's 409", reply(409, page), identity.Unknown},
		{"not allowed", reply(400, `{"error":"invalid_client","error_description":"uaa.admin is a restricted authority."}`), identity.Rejected},
		{"a 400 whose page became an object", reply(400, `{}`), identity.Rejected},
		{"a 400 page", reply(400, page), identity.Unknown},
		{"a gateway's 400", reply(400, `{"message":"bad request"}`), identity.Unknown},
		{"a 400 of nothing", reply(400, ""), identity.Unknown},
		{"a 400 of null", reply(400, "null"), identity.Unknown},
		{"not permitted", reply(403, `{"error":"insufficient_scope","error_description":"Insufficient scope for this resource","scope":"clients.admin"}`), identity.Rejected},
		{"not permitted in this zone", reply(403, `{}`), identity.Rejected},
		{"an unknown zone", reply(404, `{}`), identity.Unknown},
		{"a stranger's 401", reply(401, page), identity.Unknown},
		{"our token, refused twice", reply(401, `{"error":"invalid_token","error_description":"expired"}`), identity.Later},
		{"408", reply(408, ""), identity.Later},
		{"429 with a page", reply(429, page, "Retry-After", "3"), identity.Later},
		{"the router's 429", reply(429, "", router, "x"), identity.Unknown},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), identity.Unknown},
		{"the router's 502", reply(502, "502 Bad Gateway", router, "endpoint_failure"), identity.Unknown},
		{"unknown path", reply(302, "", "Location", "/uaa/login"), identity.Unknown},
		{"500 page", reply(500, page), identity.Unknown},
		{"500 object", reply(500, `{"error":"server_error"}`), identity.Unknown},
		{"start-up failed", reply(503, "FAILURE", "X-Cf-Uaa-Error", "Server failed to start"), identity.Unknown},
		{"204", reply(204, ""), identity.Unknown},
		{"hang up", hangUp(t, ""), identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: scripted(t, test.answer).URL})

			outcome, err := client.Create(background, orders, secret)

			if outcome != test.want || (err == nil) != (test.want == identity.Done) {
				t.Errorf("got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}

func TestUpdateByAnswer(t *testing.T) {
	t.Parallel()
	const granted, none, grants = `["orders.write","orders.read"]`, `["uaa.none"]`, `["client_credentials"]`
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   identity.Outcome
	}{
		{"as asked, in another order", reply(200, made(granted, none, grants)), identity.Done},
		{"the old authorities", reply(200, made(`["orders.write","orders.read","orders.admin"]`, none, grants)), identity.Differs},
		{"an authority too few", reply(200, made(`["orders.read"]`, none, grants)), identity.Differs},
		{"another scope", reply(200, made(granted, `["openid"]`, grants)), identity.Differs},
		{"another grant type", reply(200, made(granted, none, `["client_credentials","password"]`)), identity.Differs},
		{"another client", reply(200, strings.Replace(made(granted, none, grants), string(orders.ID), "afi-other", 1)), identity.Unknown},
		{"201, which is not how UAA says it", reply(201, made(granted, none, grants)), identity.Unknown},
		{"200 and nothing", reply(200, ""), identity.Unknown},
		{"200 and a page", reply(200, page), identity.Unknown},
		{"200 and half an object", hangUp(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"client_id\":"), identity.Unknown},
		{"UAA's own 404", reply(404, "", "Content-Length", "0"), identity.NotThere},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), identity.Unknown},
		{"the router's 404 without its text", reply(404, "", router, "unknown_route"), identity.Unknown},
		{"a 404 page", reply(404, page), identity.Unknown},
		{"a 404 of an unknown zone", reply(404, `{}`), identity.Unknown},
		{"409, which is about nothing", reply(409, `{"error":"invalid_client"}`), identity.Rejected},
		{"not allowed", reply(400, `{"error":"invalid_client","error_description":"uaa.admin is a restricted authority."}`), identity.Rejected},
		{"a gateway's 400", reply(400, `{"message":"bad request"}`), identity.Unknown},
		{"not permitted", reply(403, `{"error":"insufficient_scope"}`), identity.Rejected},
		{"our token, refused twice", reply(401, `{"error":"invalid_token","error_description":"expired"}`), identity.Later},
		{"429", reply(429, page), identity.Later},
		{"unknown path", reply(302, "", "Location", "/uaa/login"), identity.Unknown},
		{"500, as an object", reply(500, `{}`), identity.Unknown},
		{"hang up", hangUp(t, ""), identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: scripted(t, test.answer).URL})

			outcome, err := client.Update(background, orders)

			if outcome != test.want || (err == nil) != (test.want == identity.Done || test.want == identity.NotThere) {
				t.Errorf("got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}

// A PUT merges: it names all that a create names, with nothing null and no secret.
func TestRequestOfAnUpdate(t *testing.T) {
	t.Parallel()
	const none = `["uaa.none"]`
	tests := []struct {
		name        string
		authorities []identity.Authority
		sent        []any
		answered    string
	}{
		{"some", orders.Authorities, []any{"orders.read", "orders.write"}, `["orders.write","orders.read"]`},
		{"nil", nil, []any{"uaa.none"}, none},
		{"none", []identity.Authority{}, []any{"uaa.none"}, none},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{Zone: "dedicated", URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.Method+" "+r.URL.Path, "PUT /oauth/clients/restricted/"+string(orders.ID); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if got := r.Header.Get("X-Identity-Zone-Subdomain") + " " + r.Header.Get("Content-Type"); got != "dedicated application/json" {
					t.Errorf("got zone and type %q", got)
				}
				var body map[string]any
				err := json.NewDecoder(r.Body).Decode(&body)
				want := map[string]any{
					"client_id":              string(orders.ID),
					"name":                   "acme_orders",
					"authorities":            test.sent,
					"scope":                  []any{"uaa.none"},
					"authorized_grant_types": []any{"client_credentials"},
					"access_token_validity":  600.0,
					"afi_broker":             "b-1",
					"afi_identity":           "i-1",
				}
				if err != nil || !reflect.DeepEqual(body, want) {
					t.Errorf("got body  %v, %v\nwant body %v", body, err, want)
				}
				reply(200, made(test.answered, none, `["client_credentials"]`))(w, r)
			}).URL})
			wished := orders
			wished.Authorities = test.authorities

			outcome, err := client.Update(background, wished)

			if outcome != identity.Done {
				t.Errorf("got %s, %v", outcome, err)
			}
		})
	}
}

func TestDeleteAndReadByAnswer(t *testing.T) {
	t.Parallel()
	whole := labelled(made(`["orders.write","orders.read"]`, `["uaa.none"]`, `["client_credentials"]`))
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   identity.Outcome
	}{
		{"there", reply(200, whole), identity.Done},
		{"UAA's own 404", reply(404, "", "Content-Length", "0"), identity.NotThere},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), identity.Unknown},
		{"the router's 404 without its text", reply(404, "", router, "unknown_route"), identity.Unknown},
		{"a 404 page", reply(404, page), identity.Unknown},
		{"a 404 text", reply(404, "404 page not found"), identity.Unknown},
		{"a 404 of an unknown zone", reply(404, `{}`), identity.Unknown},
		{"200 and nothing", reply(200, ""), identity.Unknown},
		{"200 and a page", reply(200, page), identity.Unknown},
		{"200 and another client", reply(200, `{"client_id":"afi-other"}`), identity.Unknown},
		{"302", reply(302, "", "Location", "/uaa/login"), identity.Unknown},
		{"not permitted", reply(403, `{"error":"insufficient_scope","error_description":"no"}`), identity.Rejected},
		{"500 page", reply(500, page), identity.Unknown},
		{"hang up", hangUp(t, ""), identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: scripted(t, test.answer).URL})
			silent := test.want == identity.Done || test.want == identity.NotThere

			outcome, err := client.Delete(background, orders.ID)
			if outcome != test.want || (err == nil) != silent {
				t.Errorf("deleting: got %s, %v; want %s", outcome, err, test.want)
			}
			outcome, err = client.Read(background, orders)
			if outcome != test.want || (err == nil) != silent {
				t.Errorf("reading: got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}

func TestProbeByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   identity.Outcome
	}{
		{"granted", reply(200, `{"access_token":"t","expires_in":599}`), identity.Done},
		{"bad credentials", reply(401, `{"error":"unauthorized","error_description":"Bad credentials"}`), identity.NotThere},
		{"bad credentials, as other versions say it", reply(401, `{"error":"invalid_client","error_description":"Bad credentials"}`), identity.NotThere},
		{"the grant type refused, the secret not", reply(401, `{"error":"invalid_client","error_description":"Unauthorized grant type: client_credentials"}`), identity.Done},
		{"401 about something else", reply(401, `{"error":"invalid_token","error_description":"x"}`), identity.Unknown},
		{"a 401 page", reply(401, page), identity.Unknown},
		{"the router's 401", reply(401, `{"error":"unauthorized"}`, router, "x"), identity.Unknown},
		{"200 and a page", reply(200, page), identity.Unknown},
		{"200 and no token", reply(200, `{"access_token":""}`), identity.Unknown},
		{"400", reply(400, `{"error":"invalid_request","error_description":"Missing grant type"}`), identity.Rejected},
		{"404 of nothing", reply(404, ""), identity.Rejected},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), identity.Unknown},
		{"429", reply(429, ""), identity.Later},
		{"302", reply(302, "", "Location", "/login"), identity.Unknown},
		{"503", reply(503, "FAILURE"), identity.Unknown},
		{"hang up", hangUp(t, ""), identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: scripted(t, test.answer).URL})

			outcome, err := client.Probe(background, orders, secret)

			if outcome != test.want || (err == nil) != (test.want == identity.Done || test.want == identity.NotThere) {
				t.Errorf("got %s, %v; want %s", outcome, err, test.want)
			}
		})
	}
}

func TestErrorsCarryWhatUAASaid(t *testing.T) {
	t.Parallel()
	client := newClient(t, uaa.Config{URL: scripted(t, reply(429, `{"error":"slow_down","error_description":"Too many"}`, "Retry-After", "7")).URL})

	_, err := client.Create(background, orders, secret)

	want := "creating client " + string(orders.ID) + ": uaa: POST /oauth/clients/restricted: 429 slow_down: Too many"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if e := remoteError(t, err); e.RetryAfter != 7*time.Second || e.Status != 429 || e.Code != "slow_down" || e.Description != "Too many" {
		t.Errorf("got %+v", *e)
	}
}

func TestOwnTokenByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"bad credentials", reply(401, `{"error":"unauthorized","error_description":"Bad credentials"}`)},
		{"a page that repeats the form", func(w http.ResponseWriter, r *http.Request) {
			reply(500, "<html>"+r.FormValue("client_secret")+"</html>", "Content-Type", "text/html")(w, r)
		}},
		{"a text that repeats the form", func(w http.ResponseWriter, r *http.Request) {
			reply(400, "error=x&error_description="+r.FormValue("client_secret"), "Content-Type", "text/plain")(w, r)
		}},
		{"an error that repeats the form", func(w http.ResponseWriter, r *http.Request) {
			reply(400, fmt.Sprintf(`{"error":"x","error_description":"no client has %s"}`, r.FormValue("client_secret")))(w, r)
		}},
		{"200 and a page", reply(200, page)},
		{"200 and no token", reply(200, `{"token_type":"bearer"}`)},
		{"302", reply(302, "", "Location", "/login")},
		{"the router's 404", reply(404, routerBody, router, "unknown_route")},
		{"429", reply(429, "")},
		{"hang up", hangUp(t, "")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/oauth/token" {
					t.Errorf("a call was made without a token: %s %s", r.Method, r.URL.Path)
				}
				_ = r.ParseForm()
				test.answer(w, r)
			}))
			t.Cleanup(server.Close)
			client := newClient(t, uaa.Config{URL: server.URL})

			outcome, err := client.Create(background, orders, secret)

			if outcome != identity.Later || err == nil || strings.Contains(err.Error(), brokerSecret) {
				t.Errorf("got %s, %v; want later and an error without our secret", outcome, err)
			}
		})
	}
}

// A 401 that is not UAA's own tells nothing: the call may have been carried out,
// so it is not repeated.
func TestOnlyUAAItselfCanRefuseAToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		posts  int32
	}{
		{"UAA's own", reply(401, `{"error":"invalid_token","error_description":"expired"}`), 2},
		{"a stranger's", reply(401, page), 1},
		{"the router's", reply(401, `{"error":"invalid_token"}`, router, "x"), 1},
		{"403", reply(403, `{"error":"insufficient_scope"}`), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var posts atomic.Int32
			client := newClient(t, uaa.Config{URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
				posts.Add(1)
				test.answer(w, r)
			}).URL})

			_, err := client.Create(background, orders, secret)

			if err == nil || posts.Load() != test.posts {
				t.Errorf("got %v, posted %d times; want %d", err, posts.Load(), test.posts)
			}
		})
	}
}

func TestOwnTokenIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		expiresIn int
		after     time.Duration
		logins    int32
	}{
		{"long-lived, two minutes before its end", 3600, 58 * time.Minute, 1},
		{"long-lived, within its last minute", 3600, 59*time.Minute + time.Second, 2},
		{"short-lived, before its last quarter", 40, 29 * time.Second, 1},
		{"short-lived, in its last quarter", 40, 31 * time.Second, 2},
		{"expired from the start", -1, 0, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var logins atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/oauth/token" {
					logins.Add(1)
					reply(200, fmt.Sprintf(`{"access_token":"t","expires_in":%d}`, test.expiresIn))(w, r)
					return
				}
				w.WriteHeader(http.StatusNotFound)
			}))
			t.Cleanup(server.Close)
			now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			client := newClient(t, uaa.Config{URL: server.URL, Clock: func() time.Time { return now }})

			for range 2 {
				outcome, err := client.Delete(background, orders.ID)
				if outcome != identity.NotThere {
					t.Fatalf("got %s, %v", outcome, err)
				}
				now = now.Add(test.after)
			}

			if got := logins.Load(); got != test.logins {
				t.Errorf("got %d logins, want %d", got, test.logins)
			}
		})
	}
}

func TestRequestOfACreate(t *testing.T) {
	t.Parallel()
	var body map[string]any
	var header http.Header
	client := newClient(t, uaa.Config{Zone: "dedicated", URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		header = r.Header
		if err := json.Unmarshal(text, &body); err != nil {
			t.Errorf("the body is not JSON: %s", text)
		}
		reply(201, made(`["orders.read","orders.write"]`, `["uaa.none"]`, `["client_credentials"]`))(w, r)
	}).URL})

	outcome, err := client.Create(background, orders, secret)

	if outcome != identity.Done {
		t.Fatalf("got %s: %v", outcome, err)
	}
	want := map[string]any{
		"client_id":              string(orders.ID),
		"client_secret":          secret.Reveal(),
		"name":                   "acme_orders",
		"authorities":            []any{"orders.read", "orders.write"},
		"scope":                  []any{"uaa.none"},
		"authorized_grant_types": []any{"client_credentials"},
		"access_token_validity":  600.0,
		"afi_broker":             "b-1",
		"afi_identity":           "i-1",
	}
	if !reflect.DeepEqual(body, want) {
		t.Errorf("got body  %v\nwant body %v", body, want)
	}
	for name, want := range map[string]string{
		"X-Identity-Zone-Subdomain": "dedicated",
		"Accept":                    "application/json",
		"Content-Type":              "application/json",
		"Authorization":             "Bearer our-own-token-our-own-token",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("got %s: %q, want %q", name, got, want)
		}
	}
}

func TestWhatUAAWouldMisunderstandIsNotSent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*identity.Client, *identity.Secret)
		want   string
	}{
		{"an authority with a comma", func(c *identity.Client, _ *identity.Secret) {
			c.Authorities = []identity.Authority{"orders.read,uaa.admin"}
		}, "split"},
		{"an authority with a space", func(c *identity.Client, _ *identity.Secret) {
			c.Authorities = []identity.Authority{"orders.read uaa.admin"}
		}, "split"},
		{"an empty authority", func(c *identity.Client, _ *identity.Secret) { c.Authorities = []identity.Authority{""} }, "split"},
		{"tokens without a life", func(c *identity.Client, _ *identity.Secret) { c.TokenLifetime = 0 }, "second"},
		{"tokens of less than a second", func(c *identity.Client, _ *identity.Secret) { c.TokenLifetime = time.Millisecond }, "second"},
		{"no secret", func(_ *identity.Client, s *identity.Secret) { *s = identity.Secret{} }, "secret"},
		{"a label that is a field", func(c *identity.Client, _ *identity.Secret) {
			c.Labels = map[string]string{"authorities": "uaa.admin"}
		}, "label"},
		{"more labels than UAA can store", func(c *identity.Client, _ *identity.Secret) {
			c.Labels = map[string]string{"afi_long": strings.Repeat("x", 4000)}
		}, "bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: scripted(t, func(http.ResponseWriter, *http.Request) {
				t.Error("it was sent")
			}).URL})
			asked, with := orders, secret
			test.change(&asked, &with)

			outcome, err := client.Create(background, asked, with)
			if outcome != identity.Rejected || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("creating: got %s, %v; want a rejection about %q", outcome, err, test.want)
			}
			if with.IsZero() {
				return // an update has no secret
			}
			outcome, err = client.Update(background, asked)
			if outcome != identity.Rejected || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("updating: got %s, %v; want a rejection about %q", outcome, err, test.want)
			}
		})
	}
}

func TestZoneAnswersForItself(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Host, "dedicated.localhost:") && r.FormValue("client_id") != brokerID {
			t.Errorf("%s %s came to %s, want the zone's host", r.Method, r.URL.Path, r.Host)
		}
		if r.Header.Get("X-Identity-Zone-Subdomain") != "" {
			t.Errorf("%s %s has a zone header, which means nothing there", r.Method, r.URL.Path)
		}
		switch r.URL.Path {
		case "/uaa/oauth/token":
			reply(200, `{"access_token":"t"}`)(w, r)
		case "/uaa/.well-known/openid-configuration":
			reply(200, `{"issuer":"http://dedicated.localhost/uaa/oauth/token","token_endpoint":"http://dedicated.localhost/uaa/oauth/token","jwks_uri":"http://dedicated.localhost/uaa/token_keys"}`)(w, r)
		default:
			t.Errorf("got %s %s", r.Method, r.URL.Path)
		}
	}))
	t.Cleanup(server.Close)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	client := newClient(t, uaa.Config{URL: "http://localhost" + port + "/uaa/", Zone: "dedicated"})

	outcome, err := client.Probe(background, orders, secret)
	if outcome != identity.Done {
		t.Errorf("probing: got %s, %v", outcome, err)
	}
	endpoints, err := client.Endpoints(background)
	if err != nil || endpoints.ZoneID != "dedicated" {
		t.Errorf("endpoints: got %+v, %v", endpoints, err)
	}
}

func TestDiscoveryByAnswer(t *testing.T) {
	t.Parallel()
	const whole = `{"issuer":"https://uaa/oauth/token","token_endpoint":"https://uaa/oauth/token","jwks_uri":"https://uaa/token_keys"}`
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string // "" for a success
	}{
		{"whole", reply(200, whole), ""},
		{"no issuer", reply(200, `{"token_endpoint":"https://uaa/oauth/token","jwks_uri":"https://uaa/token_keys"}`), "no issuer"},
		{"nothing of it", reply(200, `{}`), "no jwks_uri"},
		{"addresses that are none", reply(200, `{"issuer":"x","token_endpoint":"oauth/token","jwks_uri":"file:///etc"}`), "not an address"},
		{"addresses in clear, though it was asked in secret", reply(200, strings.ReplaceAll(whole, "https:", "http:")), "not https"},
		{"a page", reply(200, page), "HTML"},
		{"302", reply(302, "", "Location", "/login"), "302"},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), "router"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(test.answer)
			t.Cleanup(server.Close)
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			client := newClient(t, uaa.Config{URL: "https://management.invalid", PublicURL: server.URL, CA: ca})

			got, err := client.Endpoints(background)

			if test.want == "" {
				want := identity.Endpoints{Issuer: "https://uaa/oauth/token", TokenURL: "https://uaa/oauth/token", JWKSURL: "https://uaa/token_keys", ZoneID: "uaa"}
				if err != nil || got != want {
					t.Errorf("got %+v, %v; want %+v", got, err, want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want an error about %q", got, err, test.want)
			}
		})
	}
}

func TestNothingTellsTheSecret(t *testing.T) {
	t.Parallel()
	var log logs
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" && r.FormValue("client_id") == brokerID {
			reply(200, `{"access_token":"our-own-token-our-own-token","expires_in":599}`)(w, r)
			return
		}
		text, _ := io.ReadAll(r.Body)
		echo, _ := json.Marshal(string(text) + r.Form.Encode() + r.Header.Get("Authorization"))
		reply(400, fmt.Sprintf(`{"error":%s,"error_description":%s}`, echo, echo))(w, r)
	}))
	t.Cleanup(server.Close)
	client := newClient(t, uaa.Config{URL: server.URL, Logger: log.logger()})

	_, err := client.Create(background, orders, secret)
	_, probeErr := client.Probe(background, orders, secret)
	_, updateErr := client.Update(background, orders)
	_, deleteErr := client.Delete(background, orders.ID)
	_, readErr := client.Read(background, orders)
	_, addErr := client.AddSecret(background, orders.ID, secret)
	_, dropErr := client.DropSecret(background, orders.ID)
	_, replaceErr := client.ReplaceSecret(background, orders.ID, secret)
	_, revokeErr := client.RevokeTokens(background, orders.ID)
	listErr := client.List(background, nil)

	for _, err := range []error{err, probeErr, updateErr, deleteErr, readErr, addErr, dropErr, replaceErr, revokeErr, listErr} {
		log.logger().Error("a call failed", "error", err, "whole", fmt.Sprintf("%v %+v %#v", err, err, err))
		e := remoteError(t, err)
		log.logger().Error("its cause", "error", e, "fields", fmt.Sprintf("%+v %#v", *e, *e))
	}
	for _, word := range []string{secret.Reveal(), brokerSecret, "our-own-token"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log tells %q:\n%s", word, log.String())
		}
	}
}

// What is not UAA's own answer says that UAA is not there, whatever its status.
func TestAvailableByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		down   bool
	}{
		{"a client", reply(200, made(`["orders.read"]`, `["uaa.none"]`, `["client_credentials"]`)), false},
		{"no such client", reply(404, ""), false},
		{"nothing, as after a revocation", reply(200, ""), false},
		{"no such client, as a revocation says it", reply(404, `{"error":"invalid_token","error_description":"Resource not found"}`), false},
		{"refused", reply(400, `{"error":"invalid_client"}`), false},
		{"not permitted", reply(403, `{}`), false},
		{"too many", reply(429, page), false},
		{"a page of maintenance", reply(200, page), true},
		{"a stranger's 404", reply(404, page), true},
		{"no route", reply(404, routerBody, router, "unknown_route"), true},
		{"unknown path", reply(302, "", "Location", "/uaa/login"), true},
		{"500", reply(500, `{"error":"server_error"}`), true},
		{"hang up", hangUp(t, ""), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{
				URL: scripted(t, test.answer).URL, Breaker: remote.Breaker{Failures: 1, Rest: time.Hour},
			})
			if err := client.Available(background); err != nil {
				t.Fatalf("before any call: got %v", err)
			}

			_, err := client.Delete(background, orders.ID)

			if available := client.Available(background); (available != nil) != test.down {
				t.Errorf("after %v: got %v, want down %v", err, available, test.down)
			}
		})
	}
}

func remoteError(t *testing.T, err error) *remote.Error {
	t.Helper()
	var e *remote.Error
	if !asRemote(err, &e) {
		t.Fatalf("got error %v (%T), want a *remote.Error", err, err)
	}
	return e
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := uaa.Config{URL: "https://uaa", ClientID: "x", Secret: remote.Fixed(identity.SecretFrom("x")), Timeout: time.Second}
	tests := []struct {
		name   string
		change func(*uaa.Config)
		want   string
	}{
		{"nothing wrong", func(*uaa.Config) {}, ""},
		{"no address", func(c *uaa.Config) { c.URL = "" }, "uaa: url"},
		{"a public address that is none", func(c *uaa.Config) { c.PublicURL = "uaa" }, "uaa: public_url"},
		{"nobody", func(c *uaa.Config) { c.ClientID = "" }, "client_id"},
		{"no secret", func(c *uaa.Config) { c.Secret = nil }, "secret"},
		{"a zone that is a host", func(c *uaa.Config) { c.Zone = "evil.example.com/" }, "subdomain"},
		{"no time-out", func(c *uaa.Config) { c.Timeout = 0 }, "time-out"},
		{"less than no slot", func(c *uaa.Config) { c.Limits.Concurrency = -1 }, "uaa: limits"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := good
			test.change(&config)
			_, err := uaa.New(config)
			if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one about %q", err, test.want)
			}
		})
	}
}
