package integration

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/uaa"

	"github.com/jackc/pgx/v5"
)

// The times of a soak run. The program takes whole seconds for the plan's, and its
// rows, leases and timers are real; only the figures are small.
const (
	soakIdentities = 80
	soakPeriod     = 4 * time.Second // a rotation begins 2 to 4 s after the last one
	soakSoak       = 2 * time.Second // of a retired secret; half a period is the most
	soakTimeout    = time.Second
	soakSweep      = 5 * time.Second // the program has an hour, and at least a minute
	// hooksEach is how many clients use each connection.
	hooksEach = 2
	// takeoverGoal is a figure to be told, and no limit: machines are busy.
	takeoverGoal = 30 * time.Second
)

// TestNoRefusal rotates the secrets of many identities again and again, with faults
// on and with two real brokers of which one is killed with SIGKILL over and over,
// while clients log in with what they read from Airflow and keep for up to the whole
// soak. None of them may be refused.
func TestNoRefusal(t *testing.T) {
	seed := *seedWanted
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d: go test ./integration -run TestNoRefusal -v -timeout 60m -args -rotations %d -seed %d", seed, *rotationsWanted, seed)
	s := newSoak(t, seed)
	defer s.lastLine()

	s.bindAll()
	s.calmRotations()
	s.storm()
	s.atRest()
	s.judge()
	s.removeAll()
}

// soakRun is one such run.
type soakRun struct {
	*world
	histories *histories
	hooks     *http.Client

	mu   sync.Mutex // of dice and ids
	dice *rand.Rand

	stays, dies *program
	ids         []string // connection ids
	clients     map[string]string

	weather atomic.Bool
	late    atomic.Int64 // requests that were held and acted later than quiet allows
	fired   sync.Map     // name of a fault → *atomic.Int64

	retired sync.Map // connection id → *retiredSecrets

	tokens, refusals, retiredTried atomic.Int64
	sofar                          atomic.Int64    // rotations
	older                          atomic.Int64    // of the tokens, with what was not the newest any more
	lateness                       []time.Duration // of retires
	kills                          int
	orphaned                       int
	takeovers                      []time.Duration
	rotations                      int
	secrets                        []string
}

func newSoak(t *testing.T, seed uint64) *soakRun {
	w := newWorld(t, options{timeout: soakTimeout, budget: 20 * time.Second})
	s := &soakRun{
		world: w, histories: newHistories(soakSoak, soakTimeout), dice: rand.New(rand.NewPCG(seed, seed)), clients: map[string]string{},
		hooks: &http.Client{Transport: &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000}, Timeout: 20 * time.Second},
	}
	t.Cleanup(s.hooks.CloseIdleConnections)
	for i := range soakIdentities {
		id := fmt.Sprintf("orders_%03d", i)
		s.ids = append(s.ids, id)
		s.retired.Store(id, &retiredSecrets{})
	}
	s.stays, s.dies = s.start(), s.start()
	return s
}

// config is that of the program in this run: short times, and no limits that are
// less than what the run needs.
func (s *soakRun) config() string {
	timeout := fmt.Sprintf("timeout: %s, limits: {concurrency: 64, per_second: 5000}", soakTimeout)
	return fmt.Sprintf(`offering: {id: %s}
sealing_keyset: env:SEALING_KEYSET
budget: 20s
environments:
  prod:
    uaa: {url: %s, client_id: airflow-identity, client_auth: {secret: env:UAA_SECRET}, %s}
    airflow: {url: %s, auth: {kind: password, username: broker, password: env:AIRFLOW_PASSWORD}, %s}
plans:
- id: %s
  name: prod
  environment: prod
  description: identities that rotate every few seconds
  rotation: {period: %s, minimum: %s, maximum: %s, soak: %s}
  token_lifetime: {default: 1s, maximum: 1s}
  default_authorities: [orders.read]
  allow: {authorities: ["orders.*"], connection_ids: ["orders_*"]}
`, offeringID, s.prod().uaa.URL(), timeout, s.prod().airflow.URL(), timeout, prodPlan, soakPeriod, soakPeriod, soakPeriod, soakSoak)
}

func (s *soakRun) start() *program {
	s.t.Helper()
	p := newProgram(s.t, s.log, s.config(), append(s.brokerEnvironment(s.url), "LOG_LEVEL=info")...)
	p.platform = s.platform(p.url())
	p.start()
	return p
}

// order has the program's own command give an order.
func (s *soakRun) order(arguments ...string) {
	s.t.Helper()
	path, err := programPath()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), path, arguments...)
	cmd.Env = append(append(os.Environ(), "AIRFLOW_IDENTITY_CONFIG="+s.stays.config), s.stays.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v: %s", strings.Join(arguments, " "), err, out)
	}
}

func (s *soakRun) freeze() { s.order("pause", "--environment", "prod") }
func (s *soakRun) thaw()   { s.order("resume", "--environment", "prod") }

// roll draws a number below n.
func (s *soakRun) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dice.IntN(n)
}

// upTo draws a duration.
func (s *soakRun) upTo(longest time.Duration) time.Duration {
	return time.Duration(s.roll(int(longest)))
}

// done counts the rotations that were published.
func (s *soakRun) done() (n int) {
	if err := s.pool.QueryRow(context.Background(), `SELECT coalesce(sum(greatest(published_generation - 1, 0)), 0) FROM identity WHERE ended_at IS NULL`).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// bindAll makes the identities, while no rotation starts, and counts what UAA hashed.
func (s *soakRun) bindAll() {
	s.freeze()
	want(s.t, s.stays.provision("i1", nil), http.StatusCreated, "provision")
	before := s.prod().uaa.Hashes()
	waiting := make(chan struct{}, 8)
	statuses, answers := atOnce(len(s.ids), func(i int) answer {
		waiting <- struct{}{}
		defer func() { <-waiting }()
		p := []*program{s.stays, s.dies}[i%2]
		return p.bind("i1", fmt.Sprintf("b%d", i), "", object{"connection_id": s.ids[i]})
	})
	if statuses[http.StatusCreated] != len(s.ids) {
		s.t.Fatalf("binds: got %v, want all 201: %s", statuses, answers[0].text)
	}
	hashes := s.prod().uaa.Hashes() - before
	s.t.Logf("password hashes per bind: %.2f (goal: 1)", float64(hashes)/float64(len(s.ids)))
	if hashes > int64(len(s.ids)) {
		s.t.Errorf("%d binds caused %d password hashes", len(s.ids), hashes)
	}
}

// calmRotations rotates every identity at least once, with no fault and no client,
// and counts what UAA hashed.
func (s *soakRun) calmRotations() {
	before := s.prod().uaa.Hashes()
	began := time.Now()
	s.thaw()
	all := eventually(30*time.Second, func() bool {
		var left int
		return s.pool.QueryRow(context.Background(), `SELECT count(*) FROM identity WHERE published_generation < 2`).Scan(&left) == nil && left == 0
	})
	s.freeze()
	if !all || !s.settle() {
		s.t.Fatalf("not every identity was rotated within 30 s: %s", s.restless())
	}
	n := s.done()
	hashes := s.prod().uaa.Hashes() - before
	s.t.Logf("password hashes per rotation: %.2f (goal: at most 3), over %d rotations in %s", float64(hashes)/float64(n), n, time.Since(began).Round(time.Millisecond))
	if failed := strings.Count(s.log.String(), "airflow-identity.remote call"); failed > 0 {
		s.t.Logf("though no fault was on, %d calls were not answered in time: the machine is too busy to count by", failed)
	} else if hashes > int64(3*n) {
		s.t.Errorf("%d rotations caused %d password hashes", n, hashes)
	}
}

// storm is the run itself: faults, kills and clients until there were enough
// rotations.
func (s *soakRun) storm() {
	s.makeWeather()
	s.weather.Store(true)
	before, began := s.done(), time.Now()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	var everybody, clients sync.WaitGroup
	for n, id := range s.ids {
		for i := range hooksEach {
			clients.Go(func() { s.hook(ctx, id, n*hooksEach+i) })
		}
	}
	everybody.Go(func() { s.watch(ctx) })
	s.thaw()
	killing, stopKilling := context.WithCancel(ctx)
	defer stopKilling()
	everybody.Go(func() { s.keepKilling(killing) })

	enough, last, told := 0, time.Now(), time.Now()
	for enough < *rotationsWanted || s.tally() < 2 {
		time.Sleep(100 * time.Millisecond) // between two looks at a run that goes on by itself
		if n := s.done() - before; n > enough {
			enough, last = n, time.Now()
			s.sofar.Store(int64(n))
		}
		if time.Since(told) > time.Minute {
			told = time.Now()
			s.t.Logf("after %s: %d rotations, %d faults, %d token requests, %d refusals", time.Since(began).Round(time.Second), enough, s.faults(), s.tokens.Load(), s.refusals.Load())
		}
		if time.Since(last) > 2*time.Minute {
			s.t.Errorf("for 2 minutes nothing was rotated, after %d rotations: %s", enough, s.restless())
			break
		}
	}
	took := time.Since(began)
	stopKilling()
	cancel()
	clients.Wait()
	everybody.Wait()
	s.rotations = s.done() - before
	s.t.Logf("rotations per second: %.1f, of %d identities with faults and kills, the period being %s", float64(s.rotations)/took.Seconds(), len(s.ids), soakPeriod)
}

// tally gives the kills so far.
func (s *soakRun) tally() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.takeovers)
}

// makeWeather puts every harm on every call that a broker makes, each after a number
// of calls that the dice say. Clients are known by their User-Agent and left alone.
func (s *soakRun) makeWeather() {
	u, a := s.prod().uaa.Faults, s.prod().airflow.Faults
	of := func(match func(*http.Request, []byte) bool) func(*http.Request, []byte) bool {
		return func(r *http.Request, body []byte) bool {
			return s.weather.Load() && r.UserAgent() == "airflow-identity" && (match == nil || match(r, body))
		}
	}
	html := http.Header{"Content-Type": {"text/html"}}
	for _, call := range []struct {
		name   string
		faults *standin.Faults
		call   string
		match  func(*http.Request, []byte) bool
		often  int // one call in so many, for each harm
	}{
		{"own token", u, "POST /oauth/token", of(ofTheBroker), 16},
		{"probe", u, "POST /oauth/token", of(ofAnIdentity), 150},
		{"add", u, "PUT /oauth/clients/", of(uaa.ChangesSecret(uaa.ModeAdd)), 100},
		{"retire", u, "PUT /oauth/clients/", of(uaa.ChangesSecret(uaa.ModeDelete)), 100},
		{"reset", u, "PUT /oauth/clients/", of(uaa.ChangesSecret(uaa.ModeUpdate)), 4},
		{"read client", u, "GET /oauth/clients", of(nil), 16},
		{"login", a, "POST /auth/token", of(nil), 16},
		{"read connection", a, "GET /api/v2/connections", of(nil), 200},
		{"patch", a, "PATCH /api/v2/connections/", of(nil), 100},
	} {
		for name, harm := range map[string]standin.Fault{
			"lost before it acted":   {Kind: standin.LoseBefore},
			"acted but reply lost":   {Kind: standin.LoseAfter},
			"slow":                   {Kind: standin.Slow, Delay: soakTimeout * 3 / 10},
			"slow past the time-out": {Kind: standin.Slow, Delay: soakTimeout * 12 / 10},
			"acts late":              {Kind: standin.Slow, Delay: soakTimeout * 14 / 10},
			"502":                    {Kind: standin.Answer, Status: http.StatusBadGateway, Body: "<html>502 Bad Gateway</html>", Header: html},
			"429":                    {Kind: standin.Answer, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}},
			"router's 404": {Kind: standin.Answer, Status: http.StatusNotFound, Body: "404 Not Found: Requested route does not exist.",
				Header: http.Header{"X-Cf-Routererror": {"unknown_route"}}},
		} {
			count := &atomic.Int64{}
			s.fired.Store(call.name+": "+name, count)
			harm.Call, harm.Match = call.call, call.match
			s.harm(call.faults, harm, call.often, count)
		}
	}
}

// harm adds a rule that, once it was applied, adds itself anew.
func (s *soakRun) harm(faults *standin.Faults, rule standin.Fault, often int, count *atomic.Int64) {
	var began time.Time
	this := rule
	this.Skip = s.roll(2 * often)
	this.Before = func() {
		began = time.Now()
		count.Add(1)
		s.harm(faults, rule, often, count)
	}
	this.After = func() {
		if time.Since(began) > 2*soakTimeout {
			s.late.Add(1)
		}
	}
	faults.Add(this)
}

// faults counts those that were applied.
func (s *soakRun) faults() (n int64) {
	s.fired.Range(func(_, count any) bool {
		n += count.(*atomic.Int64).Load()
		return true
	})
	return n
}

// kept is a secret as a hook read it.
type kept struct {
	generation      int
	login, password string
	read            time.Duration
}

// readConnection reads a connection as a hook does, and as nobody's request: what
// is stored, in clear.
func (s *soakRun) readConnection(id string, observer int) (kept, bool) {
	call := s.histories.now()
	connection, found := s.prod().airflow.Connection(id)
	back := s.histories.now()
	marker, ours := identity.ParseMarker(connection.Description)
	if !found || !ours {
		s.t.Errorf("connection %s is not as it should be: %q", id, connection.Description)
		return kept{}, false
	}
	s.histories.record(id, observer, call, back, seen{act: "read", secret: marker.Generation}, "")
	return kept{marker.Generation, connection.Login, connection.Password, call}, true
}

// ask asks UAA for a token with Basic credentials, as a stock HttpHook does.
func (s *soakRun) ask(ctx context.Context, id string, observer int, k kept) (said verdict, fresh bool) {
	endpoint := s.prod().uaa.URL() + "/oauth/token"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	if err != nil {
		s.t.Error(err)
		return unanswered, false
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "hook")
	request.SetBasicAuth(k.login, k.password)
	call := s.histories.now()
	response, err := s.hooks.Do(request)
	back := s.histories.now()
	status := 0
	said = unanswered
	if err == nil {
		response.Body.Close()
		status, said = response.StatusCode, refused
		if status == http.StatusOK {
			said = granted
		}
	}
	fresh = s.histories.mustBeGranted(k.read, call, back)
	s.histories.record(id, observer, call, back, seen{act: "token", secret: k.generation, fresh: fresh, read: k.read, asked: call}, said)
	if said == refused && status != http.StatusUnauthorized {
		s.t.Errorf("UAA answers a hook with %d", status)
	}
	return said, fresh
}

// hook is a client that never rests: it reads a connection, keeps what it read for
// up to the whole soak, asks with it again and again, and reads anew. Now and then it
// asks with what it should have given up long ago.
func (s *soakRun) hook(ctx context.Context, id string, observer int) {
	free := context.WithoutCancel(ctx) // a request under way is waited for
	retired, _ := s.retired.Load(id)
	for ctx.Err() == nil {
		k, ok := s.readConnection(id, observer)
		if !ok {
			return
		}
		retired.(*retiredSecrets).remember(k)
		hold := soakSoak
		if s.roll(3) > 0 {
			hold = s.upTo(soakSoak)
		}
		const breath = 5 * time.Millisecond
		for last := false; !last; {
			s.askFresh(free, id, observer, k)
			pause := s.upTo(1200 * time.Millisecond)
			left := k.read + hold - breath - s.histories.now()
			if last = pause >= left; last {
				pause = left
			}
			if !rest(ctx, pause) {
				return
			}
		}
		s.askFresh(free, id, observer, k)
		if s.tokens.Load() > 1000+16*s.sofar.Load() {
			rest(ctx, s.upTo(2*time.Second)) // the machine is busy, and clients are not to be what keeps it so
		}
		switch s.roll(12) {
		case 0: // the first moment after the soak and the next: either
			rest(ctx, breath+s.upTo(soakTimeout))
			_, _ = s.ask(free, id, observer, k)
		case 1: // the same, and gives up at once
			rest(ctx, breath+s.upTo(2*soakTimeout))
			impatient, cancel := context.WithTimeout(free, s.upTo(2*time.Millisecond))
			_, _ = s.ask(impatient, id, observer, k)
			cancel()
		case 2:
			if old, found := retired.(*retiredSecrets).one(); found {
				s.retiredTried.Add(1)
				if said, _ := s.ask(free, id, observer, old); said != refused {
					s.t.Errorf("%s: generation %d is retired, and UAA says: %s", id, old.generation, said)
				}
			}
		}
	}
}

func (s *soakRun) askFresh(ctx context.Context, id string, observer int, k kept) {
	said, fresh := s.ask(ctx, id, observer, k)
	s.tokens.Add(1)
	if connection, _ := s.prod().airflow.Connection(id); connection.Password != k.password {
		s.older.Add(1)
	}
	if said == granted || !fresh {
		return
	}
	s.refusals.Add(1)
	s.t.Errorf("at %s: %s: UAA says %q to generation %d, which was read %s before", time.Now().UTC().Format(time.RFC3339Nano), id, said, k.generation, s.histories.now()-k.read)
}

func rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// retiredSecrets are the last secrets of an identity, and up to which they are known
// to be retired.
type retiredSecrets struct {
	mu    sync.Mutex
	known map[int]kept
	upTo  int
}

func (r *retiredSecrets) remember(k kept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[int]kept{}
	}
	r.known[k.generation] = k
	delete(r.known, k.generation-5)
}

// proven moves the mark, and tells whether it moved.
func (r *retiredSecrets) proven(generation int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	moved := generation > r.upTo
	r.upTo = max(r.upTo, generation)
	return moved
}

func (r *retiredSecrets) one() (kept, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for generation, k := range r.known {
		if generation <= r.upTo {
			return k, true
		}
	}
	return kept{}, false
}

// watch looks at the rows for secrets that are proven to be retired: the client has
// one secret, it is the published one, and the older is wiped. Now and then it makes a
// sweep due.
func (s *soakRun) watch(ctx context.Context) {
	const observer = soakIdentities * hooksEach
	swept := time.Now()
	for rest(ctx, 200*time.Millisecond) {
		call := s.histories.now()
		rows, err := s.pool.Query(ctx, `SELECT connection, generation, coalesce(extract(epoch FROM clock_timestamp() - published_at), 0)::float8 FROM identity
			WHERE overlap_phase = 'single' AND old IS NULL AND candidate IS NULL AND published_generation = generation`)
		if err != nil {
			continue
		}
		type row struct {
			Connection string
			Generation int
			Since      float64 // seconds since it was published
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			continue
		}
		if time.Since(swept) > soakSweep {
			swept = time.Now()
			if _, err := s.pool.Exec(ctx, `UPDATE sweep SET due_at = clock_timestamp()`); err != nil && ctx.Err() == nil {
				s.t.Error(err)
			}
		}
		for _, r := range all {
			of, _ := s.retired.Load(r.Connection)
			if r.Generation < 2 || !of.(*retiredSecrets).proven(r.Generation-1) {
				continue
			}
			s.lateness = append(s.lateness, time.Duration(r.Since*float64(time.Second))-soakSoak-soakTimeout)
			s.readConnection(r.Connection, observer+1) // what was published before is in the history before
			s.histories.record(r.Connection, observer, call, s.histories.now(), seen{act: "retire", secret: r.Generation - 1}, "")
		}
	}
}

// keepKilling kills one of the brokers with whatever it is at, sees how long it takes
// until the other has done all of that, and starts it again.
func (s *soakRun) keepKilling(ctx context.Context) {
	for ctx.Err() == nil {
		if !rest(ctx, time.Second+s.upTo(3*time.Second)) {
			return
		}
		s.dies.kill()
		s.deaths.Add(1)
		killed := time.Now()
		orphans := s.orphans()
		left := slices.Clone(orphans)
		var last lease
		finished := eventually(2*time.Minute, func() bool {
			if len(left) > 0 {
				last = left[0]
			}
			left = slices.DeleteFunc(left, s.finished)
			return len(left) == 0
		})
		took := time.Since(killed)
		if took > takeoverGoal || !finished {
			s.t.Logf("takeover of %s took %s: %s", last.ID, took.Round(time.Millisecond), s.story(last.ID, killed))
		}
		if !finished {
			s.t.Errorf("2 minutes after a broker was killed, some of what it was at is not done: %v: %s", left, s.restless())
		}
		s.mu.Lock()
		s.kills++
		if len(orphans) > 0 {
			s.orphaned += len(orphans)
			s.takeovers = append(s.takeovers, took)
		}
		s.mu.Unlock()
		s.dies.start()
	}
}

// lease is one that a killed broker left behind.
type lease struct {
	ID    string
	Epoch int64
	Until time.Time
}

// orphans are the leases that nobody renews or gives back. Whoever lives does either
// within two time-outs.
func (s *soakRun) orphans() []lease {
	before := s.leases()
	time.Sleep(2*soakTimeout + 100*time.Millisecond)
	after := s.leases()
	return slices.DeleteFunc(before, func(l lease) bool { return !slices.Contains(after, l) })
}

func (s *soakRun) leases() []lease {
	rows, err := s.pool.Query(context.Background(), `SELECT id, lease_epoch, lease_until FROM identity WHERE lease_until > clock_timestamp()`)
	if err != nil {
		return nil
	}
	all, _ := pgx.CollectRows(rows, pgx.RowToStructByPos[lease])
	return all
}

// finished tells whether somebody else has taken a lease and done what was to be
// done: every thing is known again.
func (s *soakRun) finished(l lease) bool {
	var done bool
	err := s.pool.QueryRow(context.Background(), `SELECT lease_epoch > $2 AND client_phase = 'present' AND connection_phase = 'present'
		AND overlap_phase IN ('single', 'present') AND published_generation = generation FROM identity WHERE id = $1`, l.ID, l.Epoch).Scan(&done)
	return err == nil && done
}

// story is what the events of an identity say since a time.
func (s *soakRun) story(id string, since time.Time) string {
	rows, err := s.pool.Query(context.Background(), `SELECT to_char(at, 'MI:SS.MS') || ' ' || action || ' ' || outcome || ' ' || coalesce(convert_from(leaf, 'UTF8')::json->>'reason', '')
		FROM event WHERE identity = $1 AND at > $2 ORDER BY at`, id, since.Add(-5*time.Second))
	if err != nil {
		return err.Error()
	}
	lines, _ := pgx.CollectRows(rows, pgx.RowTo[string])
	var stands string
	if err := s.pool.QueryRow(context.Background(), `SELECT 'lane ' || lane || ', due ' || coalesce(to_char(due_at, 'MI:SS.MS'), 'never') || ', client ' || client_phase ||
		', connection ' || connection_phase || ', second secret ' || overlap_phase FROM identity WHERE id = $1`, id).Scan(&stands); err != nil {
		stands = err.Error()
	}
	return "killed at " + since.UTC().Format("04:05.000") + "; " + strings.Join(lines, "; ") + "; now " + stands
}

// atRest ends the storm and demands that the world is whole.
func (s *soakRun) atRest() {
	s.weather.Store(false)
	s.freeze()
	s.secrets = s.takeSecrets()
	s.check()
	s.secretsAreNowhere()
}

// takeSecrets leaves the checker a few of the secrets that it must find nowhere: it
// searches everything for each of them.
func (s *soakRun) takeSecrets() []string {
	s.leaks.mu.Lock()
	defer s.leaks.mu.Unlock()
	all := slices.Collect(maps.Keys(s.leaks.never))
	for i, text := range all {
		if len(text) == secretLength && i > 50 {
			delete(s.leaks.never, text)
		}
	}
	return all
}

const secretLength = 43

// secretsAreNowhere searches for all of them at once.
func (s *soakRun) secretsAreNowhere() {
	secret := map[string]bool{}
	for _, text := range s.secrets {
		if len(text) == secretLength {
			secret[text] = true
		}
	}
	search := func(text []byte, where string) {
		for _, word := range bytes.FieldsFunc(text, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			for i := 0; i+secretLength <= len(word); i++ {
				if secret[string(word[i:i+secretLength])] {
					s.t.Errorf("a secret is in %s", where)
				}
			}
		}
	}
	search([]byte(s.log.String()), "the logs")
	rows, err := s.pool.Query(s.t.Context(), `SELECT leaf FROM event`)
	if err != nil {
		s.t.Fatal(err)
	}
	events := 0
	var leaf []byte
	if _, err := pgx.ForEachRow(rows, []any{&leaf}, func() error {
		events++
		search(leaf, "an event")
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("none of %d secrets is in %d events or in the logs", len(secret), events)
}

// judge has the model judge every history, and demands that there was something to
// judge.
func (s *soakRun) judge() {
	began := time.Now()
	operations := s.histories.judge(s.t, 5*time.Minute)
	s.t.Logf("porcupine judged %d operations of %d identities in %s", operations, len(s.ids), time.Since(began).Round(time.Millisecond))
	s.fired.Range(func(name, count any) bool {
		if count.(*atomic.Int64).Load() == 0 && !strings.HasPrefix(name.(string), "reset") {
			s.t.Logf("no %s", name)
		}
		return true
	})
	slices.Sort(s.takeovers)
	if n := len(s.takeovers); n > 0 {
		s.t.Logf("takeover after SIGKILL: median %s, longest %s, of %d with %d leases (goal: less than 30 s)", s.takeovers[n/2].Round(time.Millisecond), s.takeovers[n-1].Round(time.Millisecond), n, s.orphaned)
	}
	slices.Sort(s.lateness)
	s.t.Logf("token requests with an older secret than Airflow had by then: %d; retired secrets tried: %d", s.older.Load(), s.retiredTried.Load())
	if n := len(s.lateness); n > 0 {
		s.t.Logf("from the end of a soak until its secret was seen to be retired: median %s (the later they are, the less this run has shown)", s.lateness[n/2].Round(time.Millisecond))
	}
	if n := s.late.Load(); n > 0 {
		s.t.Logf("%d requests were held for longer than two time-outs: the machine is too slow, and what is refused may be its fault", n)
	}
	if s.tokens.Load() < int64(10*s.rotations) || s.faults() < int64(s.rotations/20) || s.kills < 2 || s.rotations < *rotationsWanted || s.retiredTried.Load() == 0 || s.older.Load() < int64(s.rotations) {
		s.t.Errorf("too little traffic")
	}
}

func (s *soakRun) removeAll() {
	waiting := make(chan struct{}, 8)
	statuses, answers := atOnce(len(s.ids), func(i int) answer {
		waiting <- struct{}{}
		defer func() { <-waiting }()
		return s.stays.unbind("i1", fmt.Sprintf("b%d", i))
	})
	if statuses[http.StatusOK] != len(s.ids) {
		s.t.Errorf("unbinds: got %v, want all 200: %s", statuses, answers[0].text)
	}
	want(s.t, s.stays.deprovision("i1"), http.StatusOK, "deprovision")
	s.check()
	s.nothingLeft()
}

func (s *soakRun) lastLine() {
	s.t.Logf("rotations=%d faults=%d kills=%d token_requests=%d refusals=%d", s.rotations, s.faults(), s.kills, s.tokens.Load(), s.refusals.Load())
}
