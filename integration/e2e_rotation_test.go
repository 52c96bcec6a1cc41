//go:build e2e

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	airflowclient "airflow-identity/airflow"
	"airflow-identity/identity"
	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/integration/real"
	"airflow-identity/remote"
	"airflow-identity/store"
	uaaclient "airflow-identity/uaa"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// seedVariable names the seed of the faults, to see those of another run again.
	seedVariable = "AIRFLOW_IDENTITY_SEED"

	rotationBindings = 6
	rotationsInAll   = 50
	rotationsEach    = 4 // at least
	// rotationFaults is the share of the brokers' requests that something is done to:
	// one rotation makes seven.
	rotationFaults = 0.12

	rotationPeriod  = 12 * time.Second
	rotationSoak    = 4 * time.Second // and the life of tokens
	rotationTimeout = 4 * time.Second // of both remotes: a busy machine's UAA takes a second
	rotationWithin  = 8 * time.Minute // of a machine that does much else
	// taskBreath lets a UAA that hashes twenty passwords a second also hear the broker.
	taskBreath = 150 * time.Millisecond
	taskEvery  = 15 * time.Second // a real task takes seconds to start
)

// TestRealRotation replaces secrets in a real UAA and a real Airflow by two of the
// real program, with relays before both systems that lose and delay what the brokers
// say, and one broker killed on the way; while tasks, past the relays, ask for tokens
// all the time with what Airflow has. No task is ever refused.
func TestRealRotation(t *testing.T) {
	t.Parallel()
	began := time.Now()
	lap := func(what string) {
		t.Logf("%6.2fs  %s", time.Since(began).Seconds(), what)
		began = time.Now()
	}
	uaa, airflow := sharedReal(t, newestAirflow())
	lap("a real UAA and a real Airflow are up")
	t.Run("the adapters' calls", func(t *testing.T) { adapterCalls(t, uaa, airflow) })
	r := newRealRotation(t, uaa, airflow)
	r.bindAll()
	lap("two brokers are up, and everything is bound")
	for _, relay := range r.relays {
		relay.disturb(rotationFaults)
	}
	crowd := r.startTasks()
	r.awaitRotations()
	lap("rotated")
	r.comeToRest()
	lap("what was under way has ended")
	asked, checked, refused := crowd.end()
	for _, relay := range r.relays {
		relay.disturb(0)
	}
	rotations := r.rotations()
	r.airflowHasWhatWeHeard()
	r.oldAreRefused()
	lap("Airflow has what it was sent, and UAA refuses all else")
	r.leak()
	lap("rotate --now")

	faults := 0
	for name, relay := range r.relays {
		n, each := relay.faults()
		faults += n
		t.Logf("between the brokers and %s: %v", name, each)
		if n == 0 {
			t.Errorf("nothing was done to what the brokers say to %s: nothing was tested", name)
		}
	}
	r.unbindAll()
	lap("unbound, and nothing is left")
	if asked == 0 || checked == 0 {
		t.Errorf("tasks asked for %d tokens and had %d checked: nothing was tested", asked, checked)
	}
	t.Logf("rotations=%d faults=%d token_requests=%d refusals=%d", rotations, faults, asked, refused)
}

// realRotation is two of the real program before the real systems, relays between.
type realRotation struct {
	t       *testing.T
	uaa     *real.UAA
	airflow *real.Airflow
	relays  map[string]*relay
	brokers []*program
	pool    *pgxpool.Pool
	env     []string
	at      int // whose turn it is to be a task

	mu      sync.Mutex
	held    map[string][]keptByTask    // by connection id, what Airflow has had, the present last
	secrets map[string]map[string]bool // by client id, all that UAA was ever told
}

func newRealRotation(t *testing.T, uaa *real.UAA, airflow *real.Airflow) *realRotation {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv(seedVariable); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		seed = given
	}
	t.Logf("%s=%d", seedVariable, seed)
	r := &realRotation{t: t, uaa: uaa, airflow: airflow, held: map[string][]keptByTask{}, secrets: map[string]map[string]bool{}}
	toUAA := newRelay(t, uaa.URL, seed, rotationTimeout)
	toAirflow := newRelay(t, airflow.URL, seed+1, rotationTimeout)
	toUAA.sent, toAirflow.heard = r.hearUAA, r.hearAirflow
	r.relays = map[string]*relay{"UAA": toUAA, "Airflow": toAirflow}

	database := pgtest.New(t)
	var err error
	if r.pool, err = pgxpool.New(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.pool.Close)
	keyset, err := store.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	r.env = brokerEnvironment(database, keyset.Reveal(), uaa.Broker.Secret, airflow.Password)
	for range 2 {
		p := newProgram(t, &safeBuffer{}, r.config(), r.env...)
		p.platform = &platform{w: &world{t: t, leaks: &leaks{}, pool: r.pool}, base: p.url()}
		p.start()
		r.brokers = append(r.brokers, p)
	}
	return r
}

// config leads the brokers' calls through the relays; what they publish is UAA's own
// address.
func (r *realRotation) config() string {
	return fmt.Sprintf(`offering: {id: %s}
sealing_keyset: env:SEALING_KEYSET
environments:
  prod:
    uaa: {url: %s, public_url: %s, client_id: airflow-identity, client_auth: {secret: env:UAA_SECRET}, timeout: %s}
    airflow: {url: %s, auth: {kind: password, username: broker, password: env:AIRFLOW_PASSWORD}, timeout: %s}
plans:
- id: %s
  name: prod
  environment: prod
  description: identities for production DAGs
  rotation: {period: %s, minimum: %s, maximum: 24h, soak: %s}
  token_lifetime: {default: %s, maximum: %s}
  default_authorities: [orders.read]
  allow: {authorities: ["orders.*"], connection_ids: ["{{org}}_*"]}
- id: %s
  name: calm
  environment: prod
  description: identities that are not rotated while anybody looks
  default_authorities: [orders.read]
  allow: {authorities: ["orders.*"], connection_ids: ["{{org}}_*"]}
`, offeringID, r.relays["UAA"].url(), r.uaa.URL, rotationTimeout, r.relays["Airflow"].url(), rotationTimeout,
		prodPlan, rotationPeriod, rotationPeriod, rotationSoak, rotationSoak, rotationSoak, devPlan)
}

// hearUAA writes down every secret that UAA is told.
func (r *realRotation) hearUAA(path string, body []byte) {
	var told struct {
		ID     string `json:"client_id"`
		First  string `json:"client_secret"`
		Second string `json:"secret"`
	}
	if !strings.Contains(path, "/oauth/clients/") || json.Unmarshal(body, &told) != nil || told.First+told.Second == "" {
		return
	}
	if told.ID == "" { // PUT /uaa/oauth/clients/{id}/secret
		told.ID = filepath.Base(strings.TrimSuffix(path, "/secret"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.secrets[told.ID] == nil {
		r.secrets[told.ID] = map[string]bool{}
	}
	r.secrets[told.ID][told.First+told.Second] = true
}

// hearAirflow writes down what Airflow has taken, whether or not a broker heard so.
// Its API shows no password.
func (r *realRotation) hearAirflow(path string, body []byte, status int) {
	var put struct {
		ID       string `json:"connection_id"`
		Host     string `json:"host"`
		Login    string `json:"login"`
		Password string `json:"password"`
	}
	if !strings.HasPrefix(path, "/api/v2/connections") || status/100 != 2 || json.Unmarshal(body, &put) != nil || put.Password == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[put.ID] = append(r.held[put.ID], keptByTask{Login: put.Login, Password: put.Password, Host: put.Host})
}

// has is what Airflow has under an id.
func (r *realRotation) has(id string) keptByTask {
	r.t.Helper()
	all := r.since(id, 0)
	if len(all) == 0 {
		r.t.Fatalf("%s was never sent to Airflow", id)
	}
	return all[len(all)-1]
}

// since is what Airflow has had under an id, but for the first n of them.
func (r *realRotation) since(id string, n int) []keptByTask {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.held[id][n:])
}

func (r *realRotation) connections() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.held))
}

func (r *realRotation) bindAll() {
	r.t.Helper()
	want(r.t, r.brokers[0].provision("i1", nil), http.StatusCreated, "provision")
	for i := range rotationBindings {
		bound := r.brokers[i%2].bind("i1", fmt.Sprintf("b%d", i), fmt.Sprintf("app-%d", i), object{"connection_id": fmt.Sprintf("acme_%d", i)})
		want(r.t, bound, http.StatusCreated, "bind")
	}
	if got := r.connections(); len(got) != rotationBindings {
		r.t.Fatalf("connections: got %q, want %d", got, rotationBindings)
	}
}

// rotationTasks are tasks that never rest.
type rotationTasks struct {
	t       *testing.T
	r       *realRotation
	stop    context.CancelFunc
	running sync.WaitGroup

	mu                      sync.Mutex
	asked, checked, refused int
}

// startTasks starts one task for each connection.
func (r *realRotation) startTasks() *rotationTasks {
	ctx, stop := context.WithCancel(r.t.Context())
	c := &rotationTasks{t: r.t, r: r, stop: stop}
	r.t.Cleanup(func() { stop(); c.running.Wait() })
	for _, id := range r.connections() {
		c.running.Go(func() {
			for ctx.Err() == nil {
				c.keepOne(ctx, id)
			}
		})
	}
	return c
}

// keepOne is the life of one secret in a task's hands: it is read, and good for the
// soak. A token is good for its life: one of each second is shown to UAA again later.
func (c *rotationTasks) keepOne(ctx context.Context, id string) {
	kept := c.r.has(id)
	var earlier string
	var got time.Time
	for read := time.Now(); ctx.Err() == nil && time.Since(read) < rotationSoak; time.Sleep(taskBreath) {
		status, answer, err := form(kept.Host, kept.Login, kept.Password, url.Values{"grant_type": {"client_credentials"}})
		token, _ := answer["access_token"].(string)
		c.count(&c.asked, id+": a token", status, answer, err)
		if earlier != "" && time.Since(got) > rotationSoak/4 {
			status, answer, err := form(c.r.uaa.URL+"/check_token", c.r.uaa.Broker.ID, c.r.uaa.Broker.Secret, url.Values{"token": {earlier}})
			// On a slow machine its life may be over, which is no refusal.
			if expired := status == http.StatusBadRequest && strings.Contains(fmt.Sprint(answer), "expired"); !expired {
				c.count(&c.checked, id+": a token shown to UAA", status, answer, err)
			}
			earlier = ""
		}
		if earlier == "" {
			earlier, got = token, time.Now()
		}
	}
}

func (c *rotationTasks) count(of *int, what string, status int, answer map[string]any, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*of++
	if status != http.StatusOK {
		c.refused++
		c.t.Errorf("%s: %d %v %v", what, status, answer["error_description"], err)
	}
}

func (c *rotationTasks) end() (asked, checked, refused int) {
	c.stop()
	c.running.Wait()
	return c.asked, c.checked, c.refused
}

// form is one request of a task. Unlike postForm it may be called outside the test.
func form(target, user, password string, values url.Values) (status int, answer map[string]any, err error) {
	request, err := http.NewRequest(http.MethodPost, target, strings.NewReader(values.Encode()))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.SetBasicAuth(user, password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&answer)
	return response.StatusCode, answer, err
}

// awaitRotations waits until each secret was replaced often enough, which comes by
// itself. In the middle one broker is killed, and started again.
func (r *realRotation) awaitRotations() {
	r.t.Helper()
	began := time.Now()
	task, killed := began, false
	for {
		least, all := r.progress()
		if all >= rotationsInAll && least >= rotationsEach {
			return
		}
		if time.Since(began) > rotationWithin {
			r.t.Fatalf("after %s: %d rotations, %d of the slowest: %s\n%s", rotationWithin, all, least, r.brokers[0].w.restless(), r.tail())
		}
		if !killed && all >= rotationsInAll/2 {
			killed = true
			r.brokers[1].kill()
			r.brokers[1].start()
		}
		if time.Since(task) > taskEvery {
			task = time.Now()
			r.aTaskReads()
		}
		time.Sleep(100 * time.Millisecond) // between two looks at a run that goes on by itself
	}
}

// progress tells how often the secret was replaced that was replaced least, and all.
func (r *realRotation) progress() (least, all int) {
	r.t.Helper()
	if err := r.pool.QueryRow(r.t.Context(), `SELECT min(published_generation) - 1, sum(published_generation - 1) FROM identity`).Scan(&least, &all); err != nil {
		r.t.Fatal(err)
	}
	return least, all
}

func (r *realRotation) rotations() int {
	_, all := r.progress()
	return all
}

// order runs one of the operator's verbs.
func (r *realRotation) order(arguments ...string) {
	r.t.Helper()
	path, err := programPath()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.t.Context(), path, arguments...)
	cmd.Env = append(os.Environ(), r.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("airflow-identity %s: %v\n%s\n%s", strings.Join(arguments, " "), err, out, r.tail())
	}
}

// aTaskReads runs a real task: what it gets from Airflow is what we heard on the way,
// and Airflow's own hook fetches a token with it.
func (r *realRotation) aTaskReads() {
	r.t.Helper()
	ids := r.connections()
	id := ids[r.at%len(ids)]
	r.at++
	before := len(r.since(id, 0))
	kept := runTask(r.t, r.airflow, id)
	kept.Token = ""
	if !slices.Contains(r.since(id, before-1), kept) {
		r.t.Errorf("%s: Airflow has another secret than the one that it was sent", id)
	}
}

// comeToRest asks for longer periods, as a developer would, and waits for the end of
// what is under way.
func (r *realRotation) comeToRest() {
	r.t.Helper()
	longer := r.brokers[0].update("i1", object{"parameters": object{"rotation_period": "24h"}})
	if longer.status != http.StatusOK && longer.status != http.StatusAccepted {
		r.t.Fatalf("update: got %d %s %v, want 200 or 202", longer.status, longer.text, longer.err)
	}
	quiet := eventually(2*time.Minute, func() bool {
		n := -1
		err := r.pool.QueryRow(context.Background(), `SELECT count(*) FROM identity
			WHERE overlap_phase <> 'single' OR rotate_above > 0 OR lease_until > clock_timestamp()`).Scan(&n)
		return err == nil && n == 0
	})
	if !quiet {
		r.t.Fatalf("the rotations do not end: %s\n%s", r.brokers[0].w.restless(), r.tail())
	}
}

// tail is the end of what the brokers have to say, where something went wrong.
func (r *realRotation) tail() string {
	var text strings.Builder
	for i, p := range r.brokers {
		lines := strings.Split(p.log.String(), "\n")
		fmt.Fprintf(&text, "broker %d:\n%s\n", i, strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
	return text.String()
}

const readConnections = `
import json
from airflow.providers.http.hooks.http import HttpHook
read = {}
for id in IDS:
    c = HttpHook.get_connection(id)
    read[id] = {"login": c.login, "password": c.password, "host": c.host}
json.dump(read, open("KEPT", "w"))
`

func (r *realRotation) airflowHasWhatWeHeard() {
	r.t.Helper()
	ids, err := json.Marshal(r.connections())
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.airflow.Dir(), "all.json")
	if out, err := r.airflow.RunPython(r.t.Context(), strings.NewReplacer("KEPT", path, "IDS", string(ids)).Replace(readConnections)); err != nil {
		r.t.Fatalf("reading the connections: %v\n%s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	var read map[string]keptByTask
	if err := json.Unmarshal(text, &read); err != nil {
		r.t.Fatal(err)
	}
	for _, id := range r.connections() {
		if read[id] != r.has(id) {
			r.t.Errorf("%s: Airflow has another login or secret than it was sent", id)
		}
	}
}

// oldAreRefused tries every secret that UAA was ever told, also those that were
// never published.
func (r *realRotation) oldAreRefused() {
	r.t.Helper()
	old := 0
	for _, id := range r.connections() {
		now := r.has(id)
		if status := tokenStatus(now.Host, now.Login, now.Password); status != http.StatusOK {
			r.t.Errorf("%s: UAA answers %d to the secret in Airflow, want 200", id, status)
		}
		for secret := range r.secretsOf(now.Login) {
			if secret == now.Password {
				continue
			}
			old++
			if status := tokenStatus(now.Host, now.Login, secret); status != http.StatusUnauthorized {
				r.t.Errorf("%s: UAA answers %d to an old secret, want 401", id, status)
			}
		}
	}
	r.t.Logf("old secrets: %d, all refused", old)
	if rotations := r.rotations(); old < rotations {
		r.t.Errorf("%d old secrets of %d rotations: not all were tried", old, rotations)
	}
}

func (r *realRotation) secretsOf(client string) map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.secrets[client])
}

// leak rotates a secret that has leaked, of an identity whose tokens live for minutes
// and whose soak is two hours: the old secret and its tokens go at once.
func (r *realRotation) leak() {
	r.t.Helper()
	const id = "acme_leak"
	p := r.brokers[1]
	provision, bind := p.provisionBody(nil), p.bindBody("app-leak", object{"connection_id": id})
	provision["plan_id"], bind["plan_id"] = devPlan, devPlan
	instance, binding, ids := "/v2/service_instances/i2", bindingPath("i2", "leak"), strings.ReplaceAll(ids, prodPlan, devPlan)
	want(r.t, p.send(http.MethodPut, instance, provision), http.StatusCreated, "provision")
	want(r.t, p.send(http.MethodPut, binding, bind), http.StatusCreated, "bind")
	leaked := r.has(id)
	token := r.token(leaked)
	if status, why := r.checkToken(token); status != http.StatusOK {
		r.t.Fatalf("check_token before rotate --now: got %d %s, want 200", status, why)
	}
	began := time.Now()
	r.order("rotate", id, "--now", "--timeout", "1m")
	r.t.Logf("rotate --now took %.1f s", time.Since(began).Seconds())
	if status := tokenStatus(leaked.Host, leaked.Login, leaked.Password); status != http.StatusUnauthorized {
		r.t.Errorf("the leaked secret after rotate --now: UAA answers %d, want 401", status)
	}
	if status, why := r.checkToken(token); status != http.StatusBadRequest || !strings.Contains(why, "revocable signature mismatch") {
		r.t.Errorf("its token after rotate --now: check_token answers %d %s, want 400 and a revocable signature mismatch", status, why)
	}
	kept := runTask(r.t, r.airflow, id)
	if now := r.has(id); kept.Password != now.Password || now.Password == leaked.Password {
		r.t.Error("Airflow does not have the new secret")
	}
	if status, why := r.checkToken(kept.Token); status != http.StatusOK {
		r.t.Errorf("a token of the new secret: check_token answers %d %s, want 200", status, why)
	}
	want(r.t, p.send(http.MethodDelete, binding+ids, nil), http.StatusOK, "unbind")
	want(r.t, p.send(http.MethodDelete, instance+ids, nil), http.StatusOK, "deprovision")
}

func (r *realRotation) token(of keptByTask) string {
	r.t.Helper()
	status, answer := postForm(r.t, of.Host, of.Login, of.Password, url.Values{"grant_type": {"client_credentials"}})
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		r.t.Fatalf("a token for %s: got %d %v", of.Login, status, answer)
	}
	return token
}

func (r *realRotation) checkToken(token string) (status int, why string) {
	r.t.Helper()
	status, answer := postForm(r.t, r.uaa.URL+"/check_token", r.uaa.Broker.ID, r.uaa.Broker.Secret, url.Values{"token": {token}})
	why, _ = answer["error_description"].(string)
	return status, why
}

// unbindAll takes everything away again, and looks whether anything is left.
func (r *realRotation) unbindAll() {
	r.t.Helper()
	for i := range rotationBindings {
		want(r.t, r.brokers[i%2].unbind("i1", fmt.Sprintf("b%d", i)), http.StatusOK, "unbind")
	}
	want(r.t, r.brokers[1].deprovision("i1"), http.StatusOK, "deprovision")
	for _, id := range r.connections() {
		if gone := airflowGet(r.t, r.airflow, id); gone.status != http.StatusNotFound {
			r.t.Errorf("connection %s after unbind: Airflow answers %d, want 404", id, gone.status)
		}
		if status := clientStatus(r.t, r.uaa, r.has(id).Login); status != http.StatusNotFound {
			r.t.Errorf("client of %s after unbind: UAA answers %d, want 404", id, status)
		}
	}
	clients, connections := adapters(r.t, r.uaa, r.airflow)
	for client := range listClients(r.t, clients) { // of other tests too, which share the systems
		if r.secretsOf(string(client)) != nil {
			r.t.Errorf("client left: %s", client)
		}
	}
	ours := r.connections()
	for connection := range listConnections(r.t, connections) {
		if slices.Contains(ours, string(connection)) {
			r.t.Errorf("connection left: %s", connection)
		}
	}
	var sealed int
	if err := r.pool.QueryRow(r.t.Context(), `SELECT count(*) FROM identity WHERE coalesce(secret, candidate, old) IS NOT NULL`).Scan(&sealed); err != nil {
		r.t.Fatal(err)
	}
	if sealed > 0 {
		r.t.Errorf("sealed secrets left: %d", sealed)
	}
	for i, p := range r.brokers {
		log := p.log.String()
		for client := range r.secrets {
			for secret := range r.secrets[client] {
				if strings.Contains(log, secret) {
					r.t.Errorf("a secret of %s is in the log of broker %d", client, i)
				}
			}
		}
	}
}

// adapters are the broker's own clients of the real systems, with no relay between.
func adapters(t *testing.T, uaa *real.UAA, airflow *real.Airflow) (*uaaclient.Client, *airflowclient.Client) {
	t.Helper()
	clients, err := uaaclient.New(uaaclient.Config{
		URL: uaa.URL, ClientID: identity.ClientID(uaa.Broker.ID), Secret: remote.Fixed(identity.SecretFrom(uaa.Broker.Secret)), Timeout: 15 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clients.Close)
	connections, err := airflowclient.New(airflowclient.Config{
		URL: airflow.URL, Login: airflowclient.Password{Username: airflow.User, Password: remote.Fixed(identity.SecretFrom(airflow.Password))}, Timeout: 15 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connections.Close)
	return clients, connections
}

func listClients(t *testing.T, clients *uaaclient.Client) map[identity.ClientID]identity.FoundClient {
	t.Helper()
	found := map[identity.ClientID]identity.FoundClient{}
	err := clients.List(t.Context(), func(page []identity.FoundClient) error {
		for _, client := range page {
			found[client.ID] = client
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func listConnections(t *testing.T, connections *airflowclient.Client) map[identity.ConnectionID]identity.FoundConnection {
	t.Helper()
	found := map[identity.ConnectionID]identity.FoundConnection{}
	err := connections.List(t.Context(), func(page []identity.FoundConnection) error {
		for _, connection := range page {
			found[connection.Marker.Connection] = connection
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// adapterCalls makes the calls of rotation and of sweeps one after the other, and
// holds each outcome to the contract that the core relies on.
func adapterCalls(t *testing.T, uaa *real.UAA, airflow *real.Airflow) {
	clients, connections := adapters(t, uaa, airflow)
	ctx := t.Context()
	id := identity.NewID()
	client := identity.Client{
		ID: id.ClientID(), Name: "Airflow Identity", Authorities: []identity.Authority{"orders.read"}, TokenLifetime: time.Minute,
		Labels: map[string]string{"afi_broker": "broker-1"},
	}
	other := client
	other.Authorities = []identity.Authority{"orders.write"}
	nobody := identity.NewID().ClientID()
	var secrets []identity.Secret
	for range 4 {
		secrets = append(secrets, identity.NewSecret())
	}
	var token string
	type step struct {
		what string
		want identity.Outcome
		do   func() (identity.Outcome, error)
	}
	probe := func(secret identity.Secret) func() (identity.Outcome, error) {
		return func() (identity.Outcome, error) { return clients.Probe(ctx, client, secret) }
	}
	add := func(to identity.ClientID, secret identity.Secret) func() (identity.Outcome, error) {
		return func() (identity.Outcome, error) { return clients.AddSecret(ctx, to, secret) }
	}
	drop := func(of identity.ClientID) func() (identity.Outcome, error) {
		return func() (identity.Outcome, error) { return clients.DropSecret(ctx, of) }
	}
	run := func(steps []step) {
		t.Helper()
		for _, s := range steps {
			if got, err := s.do(); got != s.want {
				t.Errorf("%s: got %s (%v), want %s", s.what, got, err, s.want)
			}
		}
	}
	run([]step{
		{"create", identity.Done, func() (identity.Outcome, error) { return clients.Create(ctx, client, secrets[0]) }},
		{"read", identity.Done, func() (identity.Outcome, error) { return clients.Read(ctx, client) }},
		{"read, other lists", identity.Differs, func() (identity.Outcome, error) { return clients.Read(ctx, other) }},
		{"drop the only one", identity.Alone, drop(client.ID)},
		{"add", identity.Done, add(client.ID, secrets[1])},
		{"add a third", identity.Exists, add(client.ID, secrets[2])},
		{"the older", identity.Done, probe(secrets[0])},
		{"the newer", identity.Done, probe(secrets[1])},
		{"the third", identity.NotThere, probe(secrets[2])},
		{"drop", identity.Done, drop(client.ID)},
		{"the dropped", identity.NotThere, probe(secrets[0])},
		{"the one that is left", identity.Done, probe(secrets[1])},
		{"add another", identity.Done, add(client.ID, secrets[2])},
		{"replace both", identity.Done, func() (identity.Outcome, error) { return clients.ReplaceSecret(ctx, client.ID, secrets[3]) }},
		{"the older, replaced", identity.NotThere, probe(secrets[1])},
		{"the newer, replaced", identity.NotThere, probe(secrets[2])},
		{"the only one", identity.Done, probe(secrets[3])},
		{"read, after all that", identity.Done, func() (identity.Outcome, error) { return clients.Read(ctx, client) }},
	})
	status, answer := postForm(t, uaa.URL+"/oauth/token", string(client.ID), secrets[3].Reveal(), url.Values{"grant_type": {"client_credentials"}})
	token, _ = answer["access_token"].(string)
	if status != http.StatusOK {
		t.Fatalf("a token: got %d %v", status, answer)
	}
	check := func() int {
		status, _ := postForm(t, uaa.URL+"/check_token", uaa.Broker.ID, uaa.Broker.Secret, url.Values{"token": {token}})
		return status
	}
	if before := check(); before != http.StatusOK {
		t.Errorf("check_token: got %d, want 200", before)
	}
	run([]step{{"revoke", identity.Done, func() (identity.Outcome, error) { return clients.RevokeTokens(ctx, client.ID) }}})
	if after := check(); after != http.StatusBadRequest {
		t.Errorf("check_token after the revocation: got %d, want 400", after)
	}
	found, listed := listClients(t, clients)[client.ID]
	if !listed || !found.Plain || !slices.Equal(found.Authorities, client.Authorities) || found.TokenLifetime != client.TokenLifetime || !maps.Equal(found.Labels, client.Labels) {
		t.Errorf("list: got %+v, want %+v", found, client)
	}
	run([]step{
		{"read, after the revocation", identity.Done, func() (identity.Outcome, error) { return clients.Read(ctx, client) }},
		{"delete", identity.Done, func() (identity.Outcome, error) { return clients.Delete(ctx, client.ID) }},
		{"read what is gone", identity.NotThere, func() (identity.Outcome, error) { return clients.Read(ctx, client) }},
		{"add to nobody", identity.NotThere, add(nobody, secrets[0])},
		{"drop of nobody", identity.NotThere, drop(nobody)},
		{"replace of nobody", identity.NotThere, func() (identity.Outcome, error) { return clients.ReplaceSecret(ctx, nobody, secrets[0]) }},
		{"revoke of nobody", identity.NotThere, func() (identity.Outcome, error) { return clients.RevokeTokens(ctx, nobody) }},
	})
	if _, listed := listClients(t, clients)[client.ID]; listed {
		t.Error("a client that is gone is listed")
	}

	connection := identity.Connection{
		Marker: identity.Marker{Broker: "5b0e4c7a-9d4e-4f0b-8f53-0d6f1f1c7a11", Connection: "acme_calls", Identity: id, Generation: 2},
		Host:   uaa.URL + "/oauth/token", Login: client.ID, Description: "Managed by Airflow Identity.",
	}
	older, newer := connection, connection
	older.Marker.Generation, newer.Marker.Generation = 1, 3
	read := func(as identity.Connection) func() (identity.Outcome, error) {
		return func() (identity.Outcome, error) {
			_, outcome, err := connections.Read(ctx, as)
			return outcome, err
		}
	}
	update := func(to identity.Connection) func() (identity.Outcome, error) {
		return func() (identity.Outcome, error) {
			_, outcome, err := connections.Update(ctx, to, secrets[1])
			return outcome, err
		}
	}
	run([]step{
		{"read nothing", identity.NotThere, read(connection)},
		{"update nothing", identity.NotThere, update(connection)},
		{"post", identity.Done, func() (identity.Outcome, error) { return connections.Put(ctx, connection, secrets[0]) }},
		{"post again", identity.Exists, func() (identity.Outcome, error) { return connections.Put(ctx, connection, secrets[0]) }},
		{"read it", identity.Done, read(connection)},
		{"read an older one", identity.Differs, read(newer)},
		{"read a newer one", identity.Ahead, read(older)},
		{"update a newer one", identity.Ahead, update(older)},
		{"update", identity.Done, update(newer)},
		{"read what was updated", identity.Done, read(newer)},
	})
	shown, listed := listConnections(t, connections)["acme_calls"]
	if !listed || !shown.Marked || !shown.Plain || shown.Proxied || shown.Unverified || shown.Connection != newer {
		t.Errorf("list: got %+v, want %+v", shown, newer)
	}
	run([]step{
		{"remove", identity.Done, func() (identity.Outcome, error) { return connections.Remove(ctx, newer.Marker) }},
		{"remove again", identity.NotThere, func() (identity.Outcome, error) { return connections.Remove(ctx, newer.Marker) }},
	})
	if _, listed := listConnections(t, connections)["acme_calls"]; listed {
		t.Error("a connection that is gone is listed")
	}
}
