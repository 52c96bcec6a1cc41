package uaa_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/identity"
	standin "airflow-identity/integration/standin/uaa"
	"airflow-identity/uaa"
)

// listed gives all that a list gives, and how many pages that took.
func listed(client *uaa.Client) (found []identity.FoundClient, pages int, err error) {
	err = client.List(background, func(page []identity.FoundClient) error {
		pages++
		found = append(found, page...)
		return nil
	})
	return found, pages, err
}

func TestListGivesOursAlone(t *testing.T) {
	t.Parallel()
	server := startUAA(t)
	client := newClient(t, uaa.Config{URL: server.URL()})
	found, pages, err := listed(client)
	if err != nil || pages != 0 {
		t.Fatalf("with none of ours: got %v, %d pages, %v", found, pages, err)
	}
	bare := identity.Client{ID: "afi-bare", TokenLifetime: time.Minute}
	for _, made := range []identity.Client{orders, bare} {
		if outcome, err := client.Create(background, made, secret); outcome != identity.Done {
			t.Fatalf("creating: got %s, %v", outcome, err)
		}
	}
	for _, other := range []standin.Client{
		{ID: "AFI-upper"}, {ID: "Afi-title"}, {ID: "afi_underscore"}, {ID: "afixed"}, {ID: "not-afi-"},
		{ID: "afi-scope", Scope: []string{"openid"}},
		{ID: "afi-grants", GrantTypes: []string{"client_credentials", "password"}, Authorities: []string{"b.r", "a.r"}},
	} {
		other.Secret = "x"
		if err := server.AddClient(other); err != nil {
			t.Fatalf("adding %s: %v", other.ID, err)
		}
	}

	found, pages, err = listed(client)

	want := []identity.FoundClient{
		{Client: orders, Plain: true},
		{Client: identity.Client{ID: "afi-bare", TokenLifetime: time.Minute, Labels: map[string]string{}}, Plain: true},
		{Client: identity.Client{ID: "afi-grants", Authorities: []identity.Authority{"a.r", "b.r"}, Labels: map[string]string{}}},
		{Client: identity.Client{ID: "afi-scope", Labels: map[string]string{}}},
	}
	if err != nil || pages != 1 || !reflect.DeepEqual(found, want) {
		t.Errorf("got  %+v, %d pages, %v\nwant %+v in one", found, pages, err, want)
	}
}

// paged is a UAA with many clients. total says how many there are when the n-th page
// is asked for; most is how many it shows at once.
func paged(t *testing.T, most int, total func(n int) int) string {
	var pages atomic.Int32
	return scripted(t, func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		start, _ := strconv.Atoi(query.Get("startIndex"))
		count, _ := strconv.Atoi(query.Get("count"))
		if query.Get("filter") != `client_id sw "afi-"` || query.Get("sortBy") != "client_id" || query.Get("sortOrder") != "ascending" ||
			start < 1 || count < 1 || r.URL.Path != "/oauth/clients" || r.Method != http.MethodGet {
			t.Errorf("got %s %s", r.Method, r.URL)
		}
		all := total(int(pages.Add(1)) - 1)
		clients := []string{}
		for i := start; i < start+min(count, most) && i <= all; i++ {
			clients = append(clients, fmt.Sprintf(`{"client_id":"afi-%06d","authorities":[],"scope":["uaa.none"],"authorized_grant_types":["client_credentials"]}`, i))
		}
		// itemsPerPage is what it is in UAA, and no help.
		reply(200, fmt.Sprintf(`{"resources":[%s],"startIndex":%d,"itemsPerPage":%d,"totalResults":%d,"schemas":[]}`,
			strings.Join(clients, ","), start, min(count, all), all))(w, r)
	}).URL
}

func TestListGoesThroughAllPages(t *testing.T) {
	t.Parallel()
	always := func(total int) func(int) int { return func(int) int { return total } }
	tests := []struct {
		name  string
		most  int // per page
		total func(n int) int
		want  int // clients
		pages int
		err   string
	}{
		{"none", 500, always(0), 0, 0, ""},
		{"one", 500, always(1), 1, 1, ""},
		{"a full page", 500, always(200), 200, 1, ""},
		{"a full page and one", 500, always(201), 201, 2, ""},
		{"many", 500, always(1001), 1001, 6, ""},
		{"less at once than is asked for", 7, always(20), 20, 3, ""},
		{"some are made meanwhile", 10, func(n int) int { return 20 + n }, 22, 3, ""},
		{"some are deleted meanwhile", 10, func(n int) int { return 40 - 10*n }, 20, 2, ""},
		{"all are deleted meanwhile", 10, func(n int) int { return 20 * (1 - n) }, 10, 1, ""},
		{"more and more are made", 10, func(n int) int { return 100 * (n + 1) }, 400, 40, "no end after 400"},
		{"pages of nothing", 0, always(3), 0, 0, "and there should be 3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: paged(t, test.most, test.total)})

			found, pages, err := listed(client)

			if len(found) != test.want || pages != test.pages {
				t.Errorf("got %d clients on %d pages, want %d on %d", len(found), pages, test.want, test.pages)
			}
			if (test.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got error %v, want one about %q", err, test.err)
			}
			for i, client := range found {
				if want := fmt.Sprintf("afi-%06d", i+1); string(client.ID) != want {
					t.Fatalf("client %d: got %s, want %s", i, client.ID, want)
				}
			}
		})
	}
}

func TestListEndsWhenItsReaderWants(t *testing.T) {
	t.Parallel()
	client := newClient(t, uaa.Config{URL: paged(t, 10, func(int) int { return 100 })})
	enough, pages := errors.New("enough"), 0

	err := client.List(background, func([]identity.FoundClient) error {
		pages++
		if pages == 2 {
			return enough
		}
		return nil
	})

	if err != enough || pages != 2 {
		t.Errorf("got %v after %d pages, want %v after 2", err, pages, enough)
	}
}

// A page of clients that have all the labels UAA can store is not too long to be read.
func TestListReadsTheLongestPage(t *testing.T) {
	t.Parallel()
	client := newClient(t, uaa.Config{URL: scripted(t, func(w http.ResponseWriter, r *http.Request) {
		count, _ := strconv.Atoi(r.URL.Query().Get("count"))
		clients := make([]string, count)
		for i := range clients {
			clients[i] = labelled(strings.Replace(made(`["orders.read"]`, `["uaa.none"]`, `["client_credentials"]`),
				`"name"`, `"afi_long":"`+strings.Repeat("x", 4096)+`","name"`, 1))
		}
		reply(200, fmt.Sprintf(`{"resources":[%s],"startIndex":1,"totalResults":%d}`, strings.Join(clients, ","), count))(w, r)
	}).URL})

	found, _, err := listed(client)

	if err != nil || len(found) == 0 {
		t.Errorf("got %d clients, %v", len(found), err)
	}
}

func TestListByAnswer(t *testing.T) {
	t.Parallel()
	list := func(resources string) http.HandlerFunc {
		return reply(200, `{"resources":[`+resources+`],"startIndex":1,"itemsPerPage":1,"totalResults":1}`)
	}
	whole := made(`["orders.write","orders.read"]`, `["uaa.none"]`, `["client_credentials"]`)
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   identity.Outcome // Done: no error
	}{
		{"a client", list(whole), identity.Done},
		{"a client with a name that is none", list(strings.Replace(whole, `"acme_orders"`, `[7]`, 1)), identity.Done},
		{"another's client", list(`{"client_id":"AFI-1","name":"x"}`), identity.Done},
		{"what is no client", list(`{"id":"afi-1"}`), identity.Unknown},
		{"a list in a list", list(`[]`), identity.Unknown},
		{"no list", reply(200, `{"startIndex":1,"totalResults":0}`), identity.Unknown},
		{"no total", reply(200, `{"resources":[],"startIndex":1}`), identity.Unknown},
		{"another page", reply(200, `{"resources":[],"startIndex":2,"totalResults":0}`), identity.Unknown},
		{"200 and a page", reply(200, page), identity.Unknown},
		{"200 and nothing", reply(200, ""), identity.Unknown},
		{"200 and half an object", hangUp(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"resources\":["), identity.Unknown},
		{"200 without end", reply(200, strings.Repeat(" ", 2<<20)), identity.Unknown},
		{"not permitted", reply(403, `{"error":"insufficient_scope"}`), identity.Rejected},
		{"404 of nothing", reply(404, ""), identity.Rejected},
		{"the router's 404", reply(404, routerBody, router, "unknown_route"), identity.Unknown},
		{"429", reply(429, ""), identity.Later},
		{"302", reply(302, "", "Location", "/uaa/login"), identity.Unknown},
		{"500, as it answers filters", reply(500, `{}`), identity.Unknown},
		{"hang up", hangUp(t, ""), identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, uaa.Config{URL: scripted(t, test.answer).URL})

			_, _, err := listed(client)

			if test.want == identity.Done {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("got no error")
			}
			if got := remoteError(t, err).Outcome(); got != test.want {
				t.Errorf("got %s, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestListErrorsTellNoSecret(t *testing.T) {
	t.Parallel()
	echo, _ := json.Marshal(secret.Reveal())
	client := newClient(t, uaa.Config{URL: scripted(t, reply(200, `{"resources":[`+string(echo)+`],"startIndex":1,"totalResults":1}`)).URL})

	_, _, err := listed(client)

	if err == nil || strings.Contains(err.Error(), secret.Reveal()) {
		t.Errorf("got %v, want an error that does not quote the body", err)
	}
}
