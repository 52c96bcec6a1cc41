package airflow_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"airflow-identity/airflow"
	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	standinairflow "airflow-identity/integration/standin/airflow"
)

// listed collects all pages.
func listed(client *airflow.Client) (found []identity.FoundConnection, pages int, err error) {
	err = client.List(background, func(page []identity.FoundConnection) error {
		found, pages = append(found, page...), pages+1
		return nil
	})
	return found, pages, err
}

func TestListTellsWhatConcernsUs(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		theirs := marker
		theirs.Broker = "another"
		ofAnother := func(id identity.ConnectionID) string {
			m := marker
			m.Connection = id
			return m.String()
		}
		port := 443
		registered := standinairflow.Connection{
			ConnectionID: "acme_orders", ConnType: "http", Description: orders.Describe(), Host: orders.Host,
			Login: string(orders.Login), Password: secret.Reveal(),
		}
		as := func(change func(*standinairflow.Connection)) standinairflow.Connection {
			c := registered
			change(&c)
			return c
		}
		want := identity.FoundConnection{Connection: orders, Marked: true, Plain: true}
		wanted := func(change func(*identity.FoundConnection)) []identity.FoundConnection {
			f := want
			change(&f)
			return []identity.FoundConnection{f}
		}
		tests := []struct {
			name  string
			there standinairflow.Connection
			want  []identity.FoundConnection
		}{
			{"as it was registered", registered, wanted(func(*identity.FoundConnection) {})},
			{"edited", as(func(c *standinairflow.Connection) { c.Host, c.Login = "https://evil.example.com", "somebody" }),
				wanted(func(f *identity.FoundConnection) { f.Host, f.Login = "https://evil.example.com", "somebody" })},
			{"with another sentence", as(func(c *standinairflow.Connection) { c.Description = "Mine. " + marker.String() }),
				wanted(func(f *identity.FoundConnection) { f.Description = "Mine." })},
			{"with no sentence", as(func(c *standinairflow.Connection) { c.Description = marker.String() }),
				wanted(func(f *identity.FoundConnection) { f.Description = marker.String() })},
			{"with a blank after the marker", as(func(c *standinairflow.Connection) { c.Description += " " }),
				wanted(func(f *identity.FoundConnection) { f.Description = orders.Describe() + " " })},
			{"of another broker", as(func(c *standinairflow.Connection) { c.Description = orders.Description + " " + theirs.String() }),
				wanted(func(f *identity.FoundConnection) { f.Marker = theirs })},
			{"of another type", as(func(c *standinairflow.Connection) { c.ConnType = "generic" }),
				wanted(func(f *identity.FoundConnection) { f.Plain = false })},
			{"with a port", as(func(c *standinairflow.Connection) { c.Port = &port }),
				wanted(func(f *identity.FoundConnection) { f.Plain = false })},
			{"with a schema", as(func(c *standinairflow.Connection) { c.Schema = "https" }),
				wanted(func(f *identity.FoundConnection) { f.Plain = false })},
			{"without a marker, with a login of ours", as(func(c *standinairflow.Connection) { c.Description = "Mine." }),
				wanted(func(f *identity.FoundConnection) {
					f.Marker, f.Marked, f.Description = identity.Marker{Connection: "acme_orders"}, false, "Mine."
				})},
			{"with the marker of another connection", as(func(c *standinairflow.Connection) { c.Description = ofAnother("acme_billing") }),
				wanted(func(f *identity.FoundConnection) {
					f.Marker, f.Marked, f.Description = identity.Marker{Connection: "acme_orders"}, false, ofAnother("acme_billing")
				})},
			{"a stranger's", as(func(c *standinairflow.Connection) { c.Description, c.Login = "", "uafi-1" }), nil},
			{"with nothing but a type", standinairflow.Connection{ConnectionID: "acme_orders", ConnType: "http"}, nil},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				server := d.start(t, standinairflow.Config{})
				server.PutConnection(test.there)

				found, pages, err := listed(d.client(t, airflow.Config{URL: server.URL()}))

				if err != nil || pages != 1 || !slices.Equal(found, test.want) {
					t.Errorf("got  %+v, %d pages, %v\nwant %+v, 1 page", found, pages, err, test.want)
				}
			})
		}
	})
}

// What a hook would heed in extra, as Airflow shows it: with stars for a proxy.
func TestListLooksIntoExtra(t *testing.T) {
	t.Parallel()
	server := startAirflow(t, standinairflow.Config{})
	client := newClient(t, airflow.Config{URL: server.URL()})
	tests := []struct {
		extra               string
		proxied, unverified bool
	}{
		{``, false, false},
		{`{}`, false, false},
		{`not JSON`, false, false},
		{`{"X-Team": "orders"}`, false, false},
		{`{"proxies": {"https": "http://10.0.0.1:3128"}}`, true, false},
		{`{"proxies": "http://10.0.0.1:3128"}`, true, false},
		{`{"proxy": {"https": "http://10.0.0.1:3128"}}`, true, false},
		{`{"proxies": {}}`, false, false},
		{`{"proxies": null}`, false, false},
		{`{"proxies": {}, "proxy": {"https": "x"}}`, false, false},
		{`{"verify": false}`, false, true},
		{`{"verify": 0}`, false, true},
		{`{"verify": ""}`, false, true},
		{`{"verify_ssl": false}`, false, true},
		{`{"verify": true, "verify_ssl": false}`, false, false},
		{`{"verify": null}`, false, false},
		{`{"verify": true}`, false, false},
		{`{"verify": "/etc/ca.pem"}`, false, false},
		{`{"verify": "false"}`, false, false}, // a file of that name, to the hook
		{`{"nested": {"verify": false, "proxies": {"https": "x"}}}`, false, false},
		{`{"verify": false, "proxies": {"https": "x"}}`, true, true},
	}
	for _, test := range tests {
		server.PutConnection(standinairflow.Connection{
			ConnectionID: "acme_orders", ConnType: "http", Description: orders.Describe(), Extra: test.extra,
		})
		found, _, err := listed(client)
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: got %v, %v", test.extra, found, err)
		}
		if got := found[0]; got.Proxied != test.proxied || got.Unverified != test.unverified {
			t.Errorf("%s: got proxied %v, unverified %v; want %v, %v", test.extra, got.Proxied, got.Unverified, test.proxied, test.unverified)
		}
	}
}

// fill makes connections c000, c001 and so on, every third of them ours.
func fill(server *standinairflow.Server, n int) {
	for i := range n {
		c := standinairflow.Connection{ConnectionID: fmt.Sprintf("c%03d", i), ConnType: "http"}
		if i%3 == 0 {
			c.Login = "afi-x"
		}
		server.PutConnection(c)
	}
}

func ids(found []identity.FoundConnection) (ids []string) {
	for _, f := range found {
		ids = append(ids, string(f.Marker.Connection))
	}
	return ids
}

func TestListReadsEveryPage(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		for n, wantPages := range map[int]int{0: 1, 1: 1, 100: 1, 101: 2, 250: 3} {
			server := d.start(t, standinairflow.Config{})
			fill(server, n)
			found, pages, err := listed(d.client(t, airflow.Config{URL: server.URL()}))
			if err != nil || pages != wantPages || len(found) != (n+2)/3 || !slices.IsSorted(ids(found)) {
				t.Errorf("%d connections: got %v in %d pages, %v; want %d of them in %d", n, ids(found), pages, err, (n+2)/3, wantPages)
			}
		}
	})
}

// A page must fit into what is read of an answer.
func TestListOfLongConnections(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		server := d.start(t, standinairflow.Config{})
		for i := range 100 {
			server.PutConnection(standinairflow.Connection{
				ConnectionID: fmt.Sprintf("c%03d", i), ConnType: "http", Login: "afi-x",
				Description: strings.Repeat("d", 2<<10), Extra: `{"key": "` + strings.Repeat("e", 4<<10) + `"}`,
			})
		}
		found, pages, err := listed(d.client(t, airflow.Config{URL: server.URL()}))
		if err != nil || pages != 1 || len(found) != 100 {
			t.Errorf("got %d in %d pages, %v; want 100 in 1", len(found), pages, err)
		}
	})
}

func TestListEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		server := d.start(t, standinairflow.Config{})
		fill(server, 250)
		enough := errors.New("enough")
		pages := 0

		err := d.client(t, airflow.Config{URL: server.URL()}).List(background, func([]identity.FoundConnection) error {
			pages++
			return enough
		})

		if err != enough || pages != 1 {
			t.Errorf("got %v after %d pages, want the page's own error after 1", err, pages)
		}
	})
}

func TestListWhileOthersWrite(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		tests := []struct {
			name  string
			write func(*standinairflow.Server)
			once  bool // c102, which is on the second page, is still found
			twice bool // c099, the last of the first page, comes twice
		}{
			{"one before is deleted", func(s *standinairflow.Server) { s.RemoveConnection("c000") }, true, false},
			{"three before are deleted", func(s *standinairflow.Server) {
				for _, id := range []string{"c000", "c001", "c002"} {
					s.RemoveConnection(id)
				}
			}, false, false},
			{"one before is made", func(s *standinairflow.Server) {
				s.PutConnection(standinairflow.Connection{ConnectionID: "a", ConnType: "http"})
			}, true, true},
			{"all are deleted", func(s *standinairflow.Server) {
				for _, id := range s.ConnectionIDs() {
					s.RemoveConnection(id)
				}
			}, false, false},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				server := d.start(t, standinairflow.Config{})
				fill(server, 200)
				var found []identity.FoundConnection
				pages := 0

				err := d.client(t, airflow.Config{URL: server.URL()}).List(background, func(page []identity.FoundConnection) error {
					found, pages = append(found, page...), pages+1
					if pages == 1 {
						test.write(server)
					}
					return nil
				})

				count := func(id string) (n int) {
					for _, f := range ids(found) {
						if f == id {
							n++
						}
					}
					return n
				}
				if err != nil || pages > 3 || (count("c102") == 1) != test.once || (count("c099") == 2) != test.twice {
					t.Errorf("got %v in %d pages, %v", ids(found), pages, err)
				}
			})
		}
	})
}

// A list comes to its end whatever it is answered.
func TestListEnds(t *testing.T) {
	t.Parallel()
	rows := func(n int) string {
		return strings.TrimSuffix(strings.Repeat(`{"connection_id":"x","conn_type":"http","login":"afi-x"},`, n), ",")
	}
	tests := []struct {
		name         string
		page         func(call int) (rows string, total int)
		pages, found int
	}{
		{"a limit of Airflow's own", func(int) (string, int) { return rows(20), 50 }, 3, 60},
		{"the same page for ever", func(int) (string, int) { return rows(100), 250 }, 3, 300},
		{"a total that grows", func(call int) (string, int) { return rows(100), 150 + 100*call }, 3, 300},
		{"a total that is too high", func(call int) (string, int) { return rows(max(0, 2-call)), 1000 }, 2, 1},
		{"a total that is too low", func(int) (string, int) { return rows(5), 0 }, 1, 5},
		{"a total below zero", func(int) (string, int) { return rows(5), -1 }, 1, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			call := 0
			client := newClient(t, airflow.Config{URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
				call++
				rows, total := test.page(call)
				reply(200, fmt.Sprintf(`{"connections":[%s],"total_entries":%d}`, rows, total))(w, r)
			}).URL})

			found, pages, err := listed(client)

			if err != nil || pages != test.pages || len(found) != test.found {
				t.Errorf("got %d in %d pages, %v; want %d in %d", len(found), pages, err, test.found, test.pages)
			}
		})
	}
}

func TestRequestsOfAList(t *testing.T) {
	t.Parallel()
	var lines []string
	client := newClient(t, airflow.Config{URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
		lines = append(lines, r.Method+" "+r.RequestURI)
		reply(200, `{"connections":[{"connection_id":"a"},{"connection_id":"b"}],"total_entries":3}`)(w, r)
	}).URL})

	_, _, err := listed(client)

	want := []string{
		"GET /api/v2/connections?limit=100&offset=0&order_by=connection_id",
		"GET /api/v2/connections?limit=100&offset=2&order_by=connection_id",
	}
	if err != nil || !reflect.DeepEqual(lines, want) {
		t.Errorf("got  %q, %v\nwant %q", lines, err, want)
	}
}

func TestListByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		works  bool
	}{
		{"nothing there", reply(200, `{"connections":[],"total_entries":0}`), true},
		{"what v1 leaves out", reply(200, `{"connections":[{"connection_id":"x","conn_type":"http"}],"total_entries":1}`), true},
		{"no connections", reply(200, `{"total_entries":0}`), false},
		{"connections that are null", reply(200, `{"connections":null,"total_entries":0}`), false},
		{"no total", reply(200, `{"connections":[]}`), false},
		{"one connection", reply(200, shown("x")), false},
		{"rows that are none", reply(200, `{"connections":[{}],"total_entries":1}`), false},
		{"rows that are texts", reply(200, `{"connections":["x"],"total_entries":1}`), false},
		{"200 and nothing", reply(200, ""), false},
		{"200 and a page", reply(200, page), false},
		{"200 and half a list", hangUp(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"connections\":["), false},
		{"200 and a body without end", reply(200, strings.Repeat(" ", 2<<20)), false},
		{"forbidden", reply(403, `{"detail":"Forbidden"}`), false},
		{"a token that is refused", reply(403, `{"detail":"Invalid JWT token"}`), false},
		{"invalid", reply(422, `{"detail":[{"loc":["query","limit"],"msg":"Input should be less","input":"100"}]}`), false},
		{"an order it does not know", reply(400, `{"detail":"Ordering with 'connection_id' is disallowed or the attribute does not exist on the model"}`), false},
		{"Airflow 2", reply(404, page, "Content-Type", "text/html"), false},
		{"404 with a detail", reply(404, missing), false},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), false},
		{"429", reply(429, page), false},
		{"302", reply(302, "", "Location", "/login"), false},
		{"500", reply(500, page), false},
		{"500 text", reply(500, "Internal Server Error"), false},
		{"hang up", hangUp(t, ""), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, airflow.Config{URL: scripted(t, test.answer).URL})

			_, pages, err := listed(client)

			if test.works {
				if err != nil || pages != 1 {
					t.Errorf("got %d pages, %v; want 1", pages, err)
				}
				return
			}
			if err == nil || pages != 0 {
				t.Fatalf("got %d pages, %v; want none and an error", pages, err)
			}
			if e := remoteError(t, err); e.Call != "GET /connections" {
				t.Errorf("got an error about %q", e.Call)
			}
		})
	}
}

// What was found before a page that fails has been told.
func TestListIsDisturbedOnItsWay(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, d dialect) {
		tests := []struct {
			name  string
			fault standin.Fault
		}{
			{"unavailable", standin.Fault{}},
			{"lost before", standin.Fault{Kind: standin.LoseBefore, Times: 9}},
			{"lost after", standin.Fault{Kind: standin.LoseAfter, Times: 9}},
			{"no route", standin.Fault{Status: 404, Body: routerBody, Header: http.Header{router: {"unknown_route"}}}},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				server := d.start(t, standinairflow.Config{})
				fill(server, 250)
				test.fault.Call, test.fault.Match, test.fault.Skip = "GET "+d.path, standinairflow.IsList, 1
				server.Faults.Add(test.fault)

				found, pages, err := listed(d.client(t, airflow.Config{URL: server.URL()}))

				if err == nil || pages != 1 || len(found) != 34 || !strings.Contains(err.Error(), "from row 100") {
					t.Errorf("got %d in %d pages, %v; want 34 in 1 and an error", len(found), pages, err)
				}
			})
		}
	})
}
