package main

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"airflow-identity/integration/standin"
)

// TestRelayHearsWhatIsLost: what the story counts is what the remote did, whether or
// not anybody hears of it.
func TestRelayHearsWhatIsLost(t *testing.T) {
	t.Parallel()
	acted := make(chan string, 3)
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		acted <- r.Host + r.URL.Path + " " + string(body)
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
	}))
	t.Cleanup(remote.Close)
	r, err := startRelay(remote.URL + "/uaa")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	ask := func(method, path, body string) (status int, err error) {
		request, err := http.NewRequestWithContext(t.Context(), method, r.url()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}

	const create, add = `{"client_id":"afi-1","client_secret":"first"}`, `{"clientId":"afi-1","secret":"second","changeMode":"ADD"}`
	if status, err := ask(http.MethodPost, "/oauth/clients/restricted", create); status != http.StatusCreated || err != nil {
		t.Fatalf("make a client: got %d %v, want 201", status, err)
	}
	r.faults.Add(standin.Fault{Call: "PUT /oauth/clients/afi-1/secret", Kind: standin.LoseAfter})
	if status, err := ask(http.MethodPut, "/oauth/clients/afi-1/secret", add); err == nil {
		t.Errorf("a reply that was to be lost: got %d, want none", status)
	}
	r.faults.Add(standin.Fault{Call: "PUT /oauth/clients/afi-1/secret", Kind: standin.LoseBefore})
	if status, err := ask(http.MethodPut, "/oauth/clients/afi-1/secret", strings.Replace(add, "second", "third", 1)); err == nil {
		t.Errorf("a request that was to be lost: got %d, want none", status)
	}

	host := strings.TrimPrefix(remote.URL, "http://")
	var got []string
	for len(acted) > 0 {
		got = append(got, <-acted)
	}
	if want := []string{host + "/uaa/oauth/clients/restricted " + create, host + "/uaa/oauth/clients/afi-1/secret " + add}; !slices.Equal(got, want) {
		t.Errorf("the remote: got %q, want %q", got, want)
	}
	if got, want := r.secrets()["afi-1"], []string{"first", "second"}; !slices.Equal(got, want) {
		t.Errorf("secrets: got %q, want %q", got, want)
	}
	if got, want := r.made(), map[string]int{"afi-1": 1}; !maps.Equal(got, want) {
		t.Errorf("made: got %v, want %v", got, want)
	}
	if added, dropped := r.secretChanges("afi-1", "ADD"), r.secretChanges("afi-1", "DELETE"); added != 1 || dropped != 0 {
		t.Errorf("changes: %d secrets added and %d dropped, want 1 and 0", added, dropped)
	}
}
