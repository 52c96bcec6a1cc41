package uaa

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	t.Parallel()
	clock := newClock()
	f := start(t, Config{Now: clock.Now})
	for _, id := range []string{"afi-b", "afi-a", "AFI-C", "afixd", "Afi-e", "xafi-f", "afi-%g"} {
		clock.advance(1e9)
		if got := f.as("admin", http.MethodPost, "/oauth/clients", workload(id, map[string]any{"afi_x": "y"})); got.status != 201 {
			t.Fatalf("got %d, want 201", got.status)
		}
	}
	everybody := len(f.ClientIDs())
	const ours = `client_id sw "afi-"`

	for _, c := range []struct {
		query string // filter, sortBy, sortOrder, startIndex, count
		want  string // the page's ids, startIndex, itemsPerPage, totalResults; or a status
	}{
		{ours, "AFI-C Afi-e afi-%g afi-a afi-b, 1 5 5"},
		{ours + "|client_id|ascending", "AFI-C Afi-e afi-%g afi-a afi-b, 1 5 5"},
		{ours + "|CLIENT_ID|ASCENDING", "AFI-C Afi-e afi-%g afi-a afi-b, 1 5 5"},
		{ours + "|client_id|descending", "afi-b afi-a afi-%g Afi-e AFI-C, 1 5 5"},
		{ours + "|client_id|asc", "afi-b afi-a afi-%g Afi-e AFI-C, 1 5 5"},
		{ours + "|lastmodified", "afi-b afi-a AFI-C Afi-e afi-%g, 1 5 5"},
		{`client_id sw "AFI-"`, "AFI-C Afi-e afi-%g afi-a afi-b, 1 5 5"},
		{`CLIENT_ID SW 'afi-'`, "AFI-C Afi-e afi-%g afi-a afi-b, 1 5 5"},
		{`client_id sw "afi_"`, "AFI-C Afi-e afi-%g afi-a afi-b afixd, 1 6 6"},
		{`client_id sw "afi-%"`, "AFI-C Afi-e afi-%g afi-a afi-b, 1 5 5"},
		{`client_id sw "a%-b"`, "afi-b, 1 1 1"},
		{`client_id co "afi"`, "AFI-C Afi-e afi-%g afi-a afi-b afixd xafi-f, 1 7 7"},
		{`client_id eq "afi-a"`, "afi-a, 1 1 1"},
		{`client_id eq "AFI-A"`, "afi-a, 1 1 1"},
		{`client_id eq "afi_a"`, ", 1 0 0"},
		{`client_id sw "nothing"`, ", 1 0 0"},
		{ours + "|client_id||2|2", "Afi-e afi-%g, 2 2 5"},
		{ours + "|||4|3", "afi-a afi-b, 4 3 5"},
		{ours + "|||4", "afi-a afi-b, 4 5 5"},
		{ours + "|||6|2", ", 6 2 5"},
		{ours + "|||99", ", 99 5 5"},
		{ours + "||||0", ", 1 0 5"},
		{ours + "||||-1", ", 1 -1 5"},
		{ours + "||||100000", "AFI-C Afi-e afi-%g afi-a afi-b, 1 5 5"},
		{ours + "|||0", "500"},
		{ours + "|||-1", "500"},
		{ours + "|||x", "400"},
		{ours + "||||x", "400"},
		{ours + "|nope", "500"},
		{ours + "|scope", "500"},
		{`nope sw "x"`, "500"},
		{`name eq "x"`, "500"},
		{`client_id zz "x"`, "500"},
		{`client_id ew "x"`, "500"},
		{`client_id sw x`, "500"},
		{`client_id sw`, "500"},
		{`client_id sw "a"b"`, "500"},
		{`client_id pr "x"`, "500"},
		{`scope zz "x"`, "500"},
		{`garbage`, "500"},
		{`scope eq "uaa.none"`, "501"},
		{ours + ` and client_id co "a"`, "501"},
	} {
		query := url.Values{}
		for i, value := range strings.Split(c.query, "|") {
			if value != "" {
				query.Set([]string{"filter", "sortBy", "sortOrder", "startIndex", "count"}[i], value)
			}
		}
		got := f.as("reader", http.MethodGet, "/oauth/clients?"+query.Encode(), nil)
		said := fmt.Sprint(got.status)
		if got.status == 200 {
			said = pageOf(t, got)
		}
		if said != c.want {
			t.Errorf("%s: got %s, want %s", c.query, said, c.want)
		}
	}

	for _, query := range []string{"", "?filter=", "?filter=client_id+pr", `?filter=client_id+sw+""`} {
		got := f.as("minter", http.MethodGet, "/oauth/clients"+query, nil).json(t)
		if got["totalResults"] != float64(everybody) || len(got["resources"].([]any)) != everybody {
			t.Errorf("%q: got %v of %v, want all %d", query, got["itemsPerPage"], got["totalResults"], everybody)
		}
	}
	one := f.as("reader", http.MethodGet, "/oauth/clients/afi-a", nil).json(t)
	delete(one, "required_user_groups")
	listed := f.as("root", http.MethodGet, `/oauth/clients?filter=client_id+eq+"afi-a"`, nil).json(t)
	if got := listed["resources"].([]any)[0]; fmt.Sprint(got) != fmt.Sprint(one) {
		t.Errorf("got %v, want %v: what GET shows but for the groups", got, one)
	}
	if got := fmt.Sprint(listed["schemas"]); got != "[http://cloudfoundry.org/schema/scim/oauth-clients-1.0]" {
		t.Errorf("schemas: got %s", got)
	}
	if got := f.as("reader", http.MethodGet, "/oauth/clients?attributes=client_id", nil); got.status != 501 {
		t.Errorf("attributes: got %d, want 501", got.status)
	}
}

// pageOf gives a page's ids, and what it says of itself.
func pageOf(t *testing.T, got answer) string {
	t.Helper()
	body := got.json(t)
	var ids []string
	for _, resource := range body["resources"].([]any) {
		ids = append(ids, resource.(map[string]any)["client_id"].(string))
	}
	return fmt.Sprintf("%s, %v %v %v", strings.Join(ids, " "), body["startIndex"], body["itemsPerPage"], body["totalResults"])
}

func TestListShows500AtMost(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	for i := range 601 {
		f.store.put(&record{ID: fmt.Sprintf("afi-%03d", i)})
	}
	for query, want := range map[string]string{
		"":                           "100 100",
		"&count=500":                 "500 500",
		"&count=501":                 "500 500",
		"&count=1000&startIndex=501": "101 500",
	} {
		got := f.as("reader", http.MethodGet, `/oauth/clients?filter=client_id+sw+"afi-"`+query, nil).json(t)
		if said := fmt.Sprint(len(got["resources"].([]any)), got["itemsPerPage"]); said != want || got["totalResults"] != 601.0 {
			t.Errorf("%q: got %s of %v, want %s of 601", query, said, got["totalResults"], want)
		}
	}
}
