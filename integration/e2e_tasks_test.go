//go:build e2e

package integration

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"airflow-identity/integration/real"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// storiesSoak is waited for once by each story that looks at what comes after it,
	// together with the time-out, for which a secret is good beyond the soak: together
	// they are long enough for what a task does meanwhile on a busy machine.
	storiesSoak    = 6 * time.Second
	storiesTimeout = 5 * time.Second
	// storyPatience is for one rotation, soak and all.
	storyPatience = 90 * time.Second
)

// storiesDAG is what tasks do while the secrets of their connections are replaced.
//
//go:embed testdata/dags/stories.py
var storiesDAG string

// saw is what a task told: a status for each thing that it did.
type saw map[string]any

// wantStories is what each story of storiesDAG has to see, and is the table of
// docs/dag-authors.md. 200 and 401 are UAA's to a secret, 200 its to a token that it
// is shown, 200, 401 and 403 the API's.
var wantStories = map[string]saw{
	"hook":       {"orders": 200., "billing": 401., "write": 403.},
	"operator":   {"orders": 200.},
	"deferrable": {"orders": 200.},
	"retried-1":  {"orders": 200.},
	"retried-2":  {"orders": 200.},
	"long": {
		"first": 200., "first_at_uaa": 200., "session_in_soak": 200., "hook_in_soak": 200.,
		"second": 200., "second_at_uaa": 200., "session_after": 401.,
	},
	"authlib":  {"before": 200., "in_soak": 200., "after": "unauthorized", "renewed": true},
	"deferred": {"before": 200., "kept_secret": 401., "kept_token": 401., "read_again": 200.},
}

// storyConnections have a binding each, so that no story is in another's rotation.
var storyConnections = []string{"acme_hook", "acme_operator", "acme_deferrable", "acme_retried", "acme_long", "acme_authlib", "acme_deferred", "acme_nightly"}

// TestE2ETasks has real DAG runs of both majors fetch tokens and call an API that
// verifies them, over real rotations by the real program; and the example that people
// copy from docs/dag-authors.md.
func TestE2ETasks(t *testing.T) {
	t.Parallel()
	for _, version := range newestOfEachMajor() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newStories(t, version)
			s.run("stories", storiesDAG)
			for _, name := range slices.Sorted(maps.Keys(wantStories)) {
				if got, want := s.sawIn(name), wantStories[name]; !maps.Equal(got, want) {
					t.Errorf("%s saw %v, want %v", name, got, want)
				}
			}
			before := s.accepted()
			s.run("orders", example(t))
			if got := s.accepted() - before; got != 4 {
				t.Errorf("the example's four tasks had %d tokens accepted, want one each", got)
			}
			s.unbindAll()
		})
	}
}

// newestOfEachMajor are the Airflows whose tasks differ.
func newestOfEachMajor() []string {
	var newest []string
	seen := map[string]bool{}
	for _, version := range real.Versions(real.AirflowSystem) {
		major, _, _ := strings.Cut(version, ".")
		if !seen[major] {
			newest = append(newest, version)
		}
		seen[major] = true
	}
	return newest
}

// example is the DAG of docs/dag-authors.md.
func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/dag-authors.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```python\n(# orders.py\n.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/dag-authors.md has no orders.py")
	}
	return string(found[1])
}

// stories is a broker before the real systems, and a server that is for its tasks
// their API, the operator whom they ask for rotations, and the one they tell.
type stories struct {
	t       *testing.T
	uaa     *real.UAA
	airflow *real.Airflow
	broker  *program
	server  *httptest.Server
	issuer  *oidc.Provider

	mu     sync.Mutex
	told   map[string]saw
	tokens int // that the API has accepted
}

func newStories(t *testing.T, version string) *stories {
	t.Helper()
	s := &stories{t: t, told: map[string]saw{}}
	s.uaa, s.airflow = sharedReal(t, version)
	s.broker = startBroker(t, s.uaa, s.airflow, realConfig(s.uaa, s.airflow, storiesTimeout, 40*time.Second,
		fmt.Sprintf("rotation: {period: 4h, minimum: 1h, maximum: 24h, soak: %s}\n  token_lifetime: {default: %[1]s, maximum: %[1]s}", storiesSoak)))
	want(t, s.broker.provision("i1", nil), http.StatusCreated, "provision")
	for _, id := range storyConnections {
		want(t, s.broker.bind("i1", id, "app-"+id, object{"connection_id": id, "authorities": []string{"orders.read"}}), http.StatusCreated, "bind")
	}
	var err error
	if s.issuer, err = oidc.NewProvider(t.Context(), s.uaa.URL+"/oauth/token"); err != nil {
		t.Fatalf("discovery of the real UAA: %v", err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /orders", s.api("orders", "orders.read"))
	routes.HandleFunc("GET /orders/write", s.api("orders", "orders.write"))
	routes.HandleFunc("GET /billing", s.api("billing", "orders.read"))
	routes.HandleFunc("GET /check_token", s.checkToken)
	routes.HandleFunc("POST /tell/{story}", s.tell)
	routes.HandleFunc("POST /rotate/{id}", s.rotate())
	routes.HandleFunc("POST /leaked/{id}", s.rotate("--now"))
	routes.HandleFunc("POST /retired/{id}", s.retired)
	s.server = httptest.NewServer(routes)
	t.Cleanup(s.server.Close)
	return s
}

// run has Airflow run a DAG as its own command does: without a scheduler, triggers
// inline.
func (s *stories) run(dag, source string) {
	s.t.Helper()
	if err := s.airflow.WriteDAG(dag+".py", source); err != nil {
		s.t.Fatal(err)
	}
	began := time.Now()
	env := []string{"STORIES=" + s.server.URL, "AIRFLOW_CONN_ORDERS_API=" + s.apiConnection()}
	if out, err := s.airflow.RunCLI(s.t.Context(), env, "dags", "test", dag); err != nil {
		s.t.Errorf("%v\n%s", err, out)
	}
	s.t.Logf("airflow %s: dags test %s took %.1f s", s.airflow.Version, dag, time.Since(began).Seconds())
}

// apiConnection is the task's own connection to the API, as Airflow reads it from its
// environment.
func (s *stories) apiConnection() string {
	text, err := json.Marshal(map[string]string{"conn_type": "http", "host": s.server.URL})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// api verifies a token offline: signature, issuer, audience, exp, and then the
// authority. 401 is a token that is not for this API, 403 one that does not suffice.
func (s *stories) api(audience, authority string) http.HandlerFunc {
	verifier := s.issuer.Verifier(&oidc.Config{ClientID: audience})
	return func(w http.ResponseWriter, r *http.Request) {
		token, err := verifier.Verify(r.Context(), bearerOf(r))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		var claims struct {
			Authorities []string `json:"authorities"`
		}
		if err := token.Claims(&claims); err != nil || !slices.Contains(claims.Authorities, authority) {
			http.Error(w, fmt.Sprintf("%v has not %s", claims.Authorities, authority), http.StatusForbidden)
			return
		}
		if !slices.Equal(claims.Authorities, []string{"orders.read"}) {
			s.t.Errorf("authorities of a task's token: got %v, want exactly orders.read", claims.Authorities)
		}
		s.mu.Lock()
		s.tokens++
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintln(w, `{"count": 3}`) // a task that has gone is found otherwise
	}
}

func bearerOf(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func (s *stories) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

// checkToken is an API that asks UAA instead.
func (s *stories) checkToken(w http.ResponseWriter, r *http.Request) {
	status, _, err := form(s.uaa.URL+"/check_token", s.uaa.Broker.ID, s.uaa.Broker.Secret, url.Values{"token": {bearerOf(r)}})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(status)
}

func (s *stories) tell(w http.ResponseWriter, r *http.Request) {
	var what saw
	if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[r.PathValue("story")] = what
}

func (s *stories) sawIn(story string) saw {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[story]
}

// rotate answers when the new secret is in Airflow. The soak has begun then; --now is
// for a secret that has leaked, and knows none.
func (s *stories) rotate(how ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), storyPatience)
		defer cancel()
		arguments := append([]string{"rotate", r.PathValue("id"), "--timeout", "1m"}, how...)
		path, err := programPath()
		if err == nil {
			cmd := exec.CommandContext(ctx, path, arguments...)
			cmd.Env = append(os.Environ(), s.broker.env...)
			var out []byte
			if out, err = cmd.CombinedOutput(); err != nil {
				err = fmt.Errorf("airflow-identity %s: %w\n%s", strings.Join(arguments, " "), err, out)
			}
		}
		if err != nil {
			s.t.Error(err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// retired answers when the older secret is gone.
func (s *stories) retired(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	gone := eventually(storyPatience, func() bool {
		n := 0
		err := s.broker.w.pool.QueryRow(r.Context(), `SELECT count(*) FROM identity
			WHERE connection = $1 AND overlap_phase = 'single' AND published_generation > 1`, id).Scan(&n)
		return err == nil && n == 1
	})
	if !gone {
		s.t.Errorf("the older secret of %s does not go: %s", id, s.broker.w.restless())
		http.Error(w, "it does not go", http.StatusInternalServerError)
	}
}

func (s *stories) unbindAll() {
	s.t.Helper()
	for _, id := range storyConnections {
		want(s.t, s.broker.unbind("i1", id), http.StatusOK, "unbind")
		if gone := airflowGet(s.t, s.airflow, id); gone.status != http.StatusNotFound {
			s.t.Errorf("connection %s after unbind: Airflow answers %d, want 404", id, gone.status)
		}
	}
	want(s.t, s.broker.deprovision("i1"), http.StatusOK, "deprovision")
}
