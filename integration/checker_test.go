package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"

	"github.com/jackc/pgx/v5"
)

// settleWithin bounds how long the world may take to come to rest after a test
// has done its worst: a lease that has to lapse, then quiet times.
const settleWithin = 45 * time.Second

// check waits until nothing is under way and then goes over the whole world: rows,
// UAA, Airflow and events. Its parts are the invariants of package identity, by
// number.
func (w *world) check() {
	w.t.Helper()
	for _, problem := range w.problems() {
		w.t.Error(problem)
	}
}

// problems is check for tests that expect some.
func (w *world) problems() []string {
	w.t.Helper()
	c := &checker{w: w, events: map[string]int{}}
	if !w.settle() {
		c.report(0, "the world did not come to rest within %s: %s", settleWithin, w.restless())
	}
	c.load()
	c.boundIsWhole()         // 1
	c.nothingWithoutARow()   // 2
	c.removedIsGone()        // 3
	c.nothingTwice()         // 4
	c.foreignIsUntouched()   // 5
	c.reservationsAreTrue()  // 6
	c.everythingIsAnEvent()  // 7
	c.noSecretAnywhereElse() // 7
	c.secretsAreAsTheRow()   // 8
	c.rotatedIsAnEvent()     // 10
	return c.found
}

// What only waits for its time, be it an app client's end, a rotation or the end of
// a soak, is at rest until that time has come, by the engines' clock.
const restless = `lease_until > clock_timestamp() OR due_at IS NOT NULL AND (ended_at IS NOT NULL OR due_at <= $1 OR due_at NOT IN
	(SELECT t FROM unnest(ARRAY[expires_at, rotate_at, retire_at]) t WHERE t IS NOT NULL))`

const sqlRestless = `SELECT count(*) FROM identity WHERE ` + restless

// settle waits until no row is leased and none is due. Debts are for ever, so a
// test with an Airflow that stays down does not call it.
func (w *world) settle() bool {
	return eventually(settleWithin, func() bool {
		var n int
		return w.pool.QueryRow(context.Background(), sqlRestless, w.now()).Scan(&n) == nil && n == 0
	})
}

func (w *world) restless() string {
	rows, err := w.pool.Query(context.Background(),
		`SELECT id || ' client=' || client_phase || ' connection=' || connection_phase || ' attempt=' || attempt || ' second=' || overlap_phase || ' ' || last_error FROM identity WHERE `+restless, w.now())
	if err != nil {
		return err.Error()
	}
	texts, _ := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(texts, "; ")
}

// eventually polls a condition that another process makes true.
func eventually(within time.Duration, condition func() bool) bool {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			return condition()
		case <-tick.C:
		}
	}
	return true
}

type checker struct {
	w          *world
	found      []string
	broker     identity.BrokerID
	identities map[identity.ID]identityRow
	bindings   []bindingRow
	events     map[string]int // how many: "identity action outcome", "binding/action/outcome"
}

type identityRow struct {
	ID             identity.ID
	Kind           identity.Kind
	Environment    identity.EnvironmentName
	Granted        []string
	TokenURL       string
	Connection     string
	Description    string
	Client, Posted string // phases
	Generation     int
	Overlap        identity.Phase
	Published      int  // the generation that is proven to be in Airflow
	Candidate, Old bool // there is one in the row
	Retiring       bool // it is known when the older secret goes
	Asked          bool // a rotation was asked for and is not done
	Held           bool
	Sealed         bool
	Ended, Clean   bool
	Debt           bool
}

// secrets are how many the client has, of a row at rest: in a soak, two.
func (r identityRow) secrets() int {
	if r.Overlap == identity.Present {
		return 2
	}
	return 1
}

type bindingRow struct {
	GUID                                string
	Airflow, Client                     identity.ID
	Succeeded, Failed, Unbound, Removed bool
}

// identities are those the binding refers to.
func (b bindingRow) identities() []identity.ID {
	var ids []identity.ID
	for _, id := range []identity.ID{b.Airflow, b.Client} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

func (b bindingRow) live() bool { return b.Succeeded && !b.Failed && !b.Unbound && !b.Removed }

func (c *checker) report(invariant int, format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf("invariant %d: ", invariant)+fmt.Sprintf(format, args...))
}

func (c *checker) load() {
	ctx := context.Background()
	if err := c.w.pool.QueryRow(ctx, `SELECT id FROM broker`).Scan(&c.broker); err != nil {
		c.w.t.Fatal(err)
	}
	rows, err := c.w.pool.Query(ctx, `SELECT y.id, y.kind, y.environment, y.granted, y.token_url, coalesce(y.connection, ''), y.description, y.client_phase, y.connection_phase,
		y.generation, y.overlap_phase, y.published_generation, y.candidate IS NOT NULL, y.old IS NOT NULL, y.retire_at IS NOT NULL, y.urgent OR y.rotate_above > 0,
		y.held_at IS NOT NULL OR EXISTS (SELECT FROM hold h WHERE h.environment = y.environment), coalesce(y.secret, y.candidate, y.old) IS NOT NULL, y.ended_at IS NOT NULL, y.clean_at IS NOT NULL, coalesce(c.debt_since IS NOT NULL AND c.identity = y.id, false)
		FROM identity y LEFT JOIN connection c ON c.airflow = y.airflow AND c.id = y.connection`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[identityRow])
	if err != nil {
		c.w.t.Fatal(err)
	}
	c.identities = map[identity.ID]identityRow{}
	for _, row := range all {
		c.identities[row.ID] = row
	}
	rows, err = c.w.pool.Query(ctx, `SELECT guid, coalesce(airflow_identity, ''), coalesce(client_identity, ''), succeeded_at IS NOT NULL, failed_at IS NOT NULL, unbound_at IS NOT NULL, removed_at IS NOT NULL FROM binding`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if c.bindings, err = pgx.CollectRows(rows, pgx.RowToStructByPos[bindingRow]); err != nil {
		c.w.t.Fatal(err)
	}
}

// 1. A binding that was made has exactly one client and one connection, and the
// connection's secret is accepted by UAA.
func (c *checker) boundIsWhole() {
	for _, b := range c.bindings {
		if !b.live() {
			if !b.Removed {
				c.report(1, "binding %s is neither live nor removed: %+v", b.GUID, b)
			}
			continue
		}
		for _, id := range b.identities() {
			c.identityIsWhole(b, c.identities[id])
		}
	}
}

func (c *checker) identityIsWhole(b bindingRow, row identityRow) {
	env := c.w.envs[row.Environment]
	if row.Kind == identity.AppIdentity && row.Ended {
		return // it expired; the binding lives on without it
	}
	client, found := env.uaa.Client(string(row.ID.ClientID()))
	if !found {
		c.report(1, "binding %s: client %s is not in UAA", b.GUID, row.ID.ClientID())
		return
	}
	granted := slices.Sorted(slices.Values(row.Granted))
	if len(granted) == 0 {
		granted = []string{"uaa.none"}
	}
	if !slices.Equal(client.Authorities, granted) || client.Secrets != row.secrets() || !slices.Equal(client.GrantTypes, []string{"client_credentials"}) {
		c.report(1, "binding %s: client is %+v, want authorities %v and %d secrets", b.GUID, client, granted, row.secrets())
	}
	if row.Kind == identity.AppIdentity {
		return
	}
	connection, found := env.airflow.Connection(row.Connection)
	if !found {
		c.report(1, "binding %s: connection %s is not in Airflow", b.GUID, row.Connection)
		return
	}
	marker, _ := identity.ParseMarker(connection.Description)
	wantMarker := identity.Marker{Broker: c.broker, Connection: identity.ConnectionID(row.Connection), Identity: row.ID, Generation: row.Generation}
	if connection.ConnType != "http" || connection.Host != row.TokenURL || connection.Login != string(row.ID.ClientID()) || marker != wantMarker {
		c.report(1, "binding %s: connection is %s %s %s %+v, want http %s %s %+v", b.GUID,
			connection.ConnType, connection.Host, connection.Login, marker, row.TokenURL, row.ID.ClientID(), wantMarker)
	}
	if sentence := strings.TrimSuffix(connection.Description, " "+wantMarker.String()); sentence != row.Description {
		c.report(1, "binding %s: the connection's sentence is %q, want %q", b.GUID, sentence, row.Description)
	}
	if status := tokenStatus(connection.Host, connection.Login, connection.Password); status != http.StatusOK {
		c.report(1, "binding %s: UAA answers %d to the connection's secret", b.GUID, status)
	}
}

// tokenStatus asks for a token as a stock HttpHook does.
func tokenStatus(endpoint, id, secret string) int {
	request, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(id, secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// 2. No client or connection of ours exists without a row that wants it, or a debt
// that names it.
func (c *checker) nothingWithoutARow() {
	for name, env := range c.w.envs {
		for _, id := range env.uaa.ClientIDs() {
			uuid, ours := strings.CutPrefix(id, "afi-")
			if !ours {
				continue
			}
			if row, found := c.identities[identity.ID(uuid)]; !found || row.Environment != name || row.Ended {
				c.report(2, "client %s is in the UAA of %s without a row that wants it", id, name)
			}
		}
		for _, id := range env.airflow.ConnectionIDs() {
			connection, _ := env.airflow.Connection(id)
			marker, ours := identity.ParseMarker(connection.Description)
			if !ours || marker.Broker != c.broker {
				continue
			}
			row, found := c.identities[marker.Identity]
			if !found || row.Environment != name || row.Connection != id || row.Ended && !row.Debt {
				c.report(2, "connection %s is in the Airflow of %s without a row that wants it", id, name)
			}
		}
	}
}

// 3. A binding that is removed has left neither client nor connection, but for a
// debt; its secret is no longer in the database.
func (c *checker) removedIsGone() {
	for _, row := range c.identities {
		if !row.Ended {
			continue
		}
		if !row.Clean && !row.Debt {
			c.report(3, "identity %s has ended and is not clean: client %s, connection %s", row.ID, row.Client, row.Posted)
		}
		if row.Clean && row.Sealed {
			c.report(3, "identity %s is gone and its secret is still in its row", row.ID)
		}
	}
}

// 4. Nothing was made twice.
func (c *checker) nothingTwice() {
	held := map[identity.EnvironmentName]map[string]int{}
	for _, row := range c.identities {
		if row.Connection == "" {
			continue
		}
		if held[row.Environment] == nil {
			held[row.Environment] = map[string]int{}
		}
		held[row.Environment][row.Connection]++
	}
	for name, env := range c.w.envs {
		for id, n := range env.uaa.Creates() {
			if n > 1 {
				c.report(4, "client %s was made %d times", id, n)
			}
		}
		for id, n := range env.airflow.Creates() {
			if n > held[name][id] {
				c.report(4, "connection %s was posted %d times by %d identities", id, n, held[name][id])
			}
		}
	}
	live := map[string]int{}
	for _, b := range c.bindings {
		if b.live() {
			live[b.GUID]++
		}
	}
	for guid, n := range live {
		if n > 1 {
			c.report(4, "binding %s is live %d times", guid, n)
		}
	}
}

// 5. A connection that is not ours is as it was.
func (c *checker) foreignIsUntouched() {
	for name, connections := range c.w.foreign {
		for _, want := range connections {
			if got, found := c.w.envs[name].airflow.Connection(want.ConnectionID); !found || got != want {
				c.report(5, "connection %s of somebody else is %+v, want %+v", want.ConnectionID, got, want)
			}
		}
	}
}

// putForeign puts somebody else's connection into an Airflow.
func (w *world) putForeign(name identity.EnvironmentName, connection airflow.Connection) {
	w.envs[name].airflow.PutConnection(connection)
	kept, _ := w.envs[name].airflow.Connection(connection.ConnectionID)
	w.foreign[name] = append(w.foreign[name], kept)
}

// 6. A connection id has at most one holder, and one that is free says so.
func (c *checker) reservationsAreTrue() {
	rows, err := c.w.pool.Query(context.Background(), `SELECT id, coalesce(identity, ''), debt_since IS NOT NULL FROM connection`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	type reservation struct {
		ID       string
		Identity identity.ID
		Debt     bool
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[reservation])
	if err != nil {
		c.w.t.Fatal(err)
	}
	holders := map[identity.ID]bool{}
	for _, r := range all {
		row, found := c.identities[r.Identity]
		switch {
		case r.Identity == "" && r.Debt:
			c.report(6, "connection id %s is free and in debt", r.ID)
		case r.Identity != "" && (!found || row.Clean || row.Connection != r.ID):
			c.report(6, "connection id %s is held by identity %s, which does not hold it", r.ID, r.Identity)
		}
		holders[r.Identity] = true
	}
	for id, row := range c.identities {
		if row.Kind == identity.AirflowIdentity && !row.Clean && !holders[id] {
			c.report(6, "identity %s is not clean and its connection id is not reserved for it", id)
		}
	}
}

// 7. Every outcome of a remote call is an event, every change of a binding is one.
func (c *checker) everythingIsAnEvent() {
	ctx := context.Background()
	rows, err := c.w.pool.Query(ctx, `SELECT e.leaf, e.id::text, e.action, e.outcome, e.binding, e.identity, p.event IS NOT NULL
		FROM event e LEFT JOIN pending p ON p.event = e.id`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	type eventRow struct {
		Leaf                                   []byte
		ID, Action, Outcome, Binding, Identity string
		Pending                                bool
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eventRow])
	if err != nil {
		c.w.t.Fatal(err)
	}
	seen := c.events
	for _, e := range all {
		var leaf struct {
			V       int                                `json:"v"`
			ID      string                             `json:"id"`
			Action  string                             `json:"action"`
			Outcome string                             `json:"outcome"`
			Where   struct{ Identity, Binding string } `json:"where"`
		}
		if err := json.Unmarshal(e.Leaf, &leaf); err != nil || leaf.V != 1 || leaf.ID != e.ID || leaf.Action != e.Action ||
			leaf.Outcome != e.Outcome || leaf.Where.Identity != e.Identity || leaf.Where.Binding != e.Binding || bytes.ContainsRune(e.Leaf, '\n') {
			c.report(7, "event %s: columns and leaf differ: %s", e.ID, e.Leaf)
		}
		if !e.Pending {
			c.report(7, "event %s is neither sealed nor pending", e.ID)
		}
		seen[e.Identity+" "+e.Action+" "+e.Outcome]++
		seen[e.Binding+"/"+e.Action+"/"+e.Outcome]++
	}
	for _, b := range c.bindings {
		expect := map[string]bool{
			b.GUID + "/bind/":       true, // it was asked for
			b.GUID + "/bind/done":   b.Succeeded,
			b.GUID + "/bind/failed": b.Failed,
			b.GUID + "/unbind/":     b.Unbound,
			b.GUID + "/unbind/done": b.Removed,
		}
		for _, id := range b.identities() {
			row := c.identities[id]
			expect[string(id)+" identity.removed done"] = row.Clean
			if !b.live() || row.Ended {
				continue
			}
			if seen[string(id)+" client.make done"]+seen[string(id)+" client.look done"] == 0 {
				c.report(7, "binding %s: no event says how its client came to be", b.GUID)
			}
			if row.Kind == identity.AirflowIdentity && seen[string(id)+" connection.make done"]+seen[string(id)+" connection.look done"] == 0 {
				c.report(7, "binding %s: no event says how its connection came to be", b.GUID)
			}
		}
		for event, due := range expect {
			if due && seen[event] == 0 {
				c.report(7, "binding %s: no event %q", b.GUID, event)
			}
		}
	}
}

// 8. The row knows how many secrets the client has, and which one Airflow has.
func (c *checker) secretsAreAsTheRow() {
	for _, b := range c.bindings {
		row := c.identities[b.Airflow]
		if !b.live() || b.Airflow == "" || row.Held || row.Client != string(identity.Present) || row.Posted != string(identity.Present) {
			continue
		}
		name := "binding " + b.GUID
		if row.Published != row.Generation {
			c.report(8, "%s: generation %d is at rest and %d is the one that was published", name, row.Generation, row.Published)
		}
		if row.Candidate {
			c.report(8, "%s: a candidate is left in a row at rest, whose second secret is %s", name, row.Overlap)
		}
		if row.Asked && row.Overlap == identity.Single {
			c.report(8, "%s: a rotation was asked for and not done", name)
		}
		restored := c.events[string(row.ID)+" identity.held done"] > 0 // what the older one is, nobody knows then
		switch row.Overlap {
		case identity.Single:
			if row.Old || row.Retiring {
				c.report(8, "%s: it has one secret, and the former one is still in the row, or has a time to go", name)
			}
		case identity.Present:
			if !row.Old && !restored || !row.Retiring {
				c.report(8, "%s: it has two secrets, and the former one is not in the row, or has no time to go", name)
			}
		default:
			c.report(8, "%s: its second secret is %s, at rest", name, row.Overlap)
		}
	}
}

// 10. No secret was changed without an event, and every rotation is one. What was under
// way in a broker that died has none, or in one that was overtaken.
func (c *checker) rotatedIsAnEvent() {
	overtaken := strings.Count(c.w.log.String(), `"msg":"handing an identity over"`)
	outcomes := func(id identity.ID, actions ...string) int {
		n := int(c.w.deaths.Load()) + overtaken
		for event, count := range c.events {
			for _, action := range actions {
				if strings.HasPrefix(event, string(id)+" "+action+" ") {
					n += count
				}
			}
		}
		return n
	}
	changes := map[string][]string{uaa.ModeAdd: {"secret.add"}, uaa.ModeDelete: {"secret.retire", "secret.drop"}, uaa.ModeUpdate: {"secret.reset"}}
	for _, row := range c.identities {
		env := c.w.envs[row.Environment]
		client := string(row.ID.ClientID())
		for mode, actions := range changes {
			if n, told := env.uaa.SecretChanges()[client][mode], outcomes(row.ID, actions...); n > told {
				c.report(10, "client %s: %s acted %d times, and events tell of %d", client, mode, n, told)
			}
		}
		// A GET, which the transport may repeat.
		if n := env.uaa.Revocations()[client]; n > 0 && outcomes(row.ID, "secret.revoke") == 0 {
			c.report(10, "client %s: its tokens were revoked %d times, and no event tells of it", client, n)
		}
		published := c.events[string(row.ID)+" identity.rotated done"]
		if row.Kind == identity.AirflowIdentity && row.Published > 0 && c.events[string(row.ID)+" identity.held done"] == 0 && published < row.Published-1 {
			c.report(10, "client %s: generation %d is published, and events tell of %d rotations", client, row.Published, published)
		}
	}
}

func (c *checker) noSecretAnywhereElse() {
	rows, err := c.w.pool.Query(context.Background(), `SELECT convert_from(leaf, 'UTF8') FROM event`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		c.w.t.Fatal(err)
	}
	rows, err = c.w.pool.Query(context.Background(), `SELECT y::text FROM identity y UNION ALL SELECT c::text FROM connection c`)
	if err != nil {
		c.w.t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		c.w.t.Fatal(err)
	}
	c.w.leaks.search(func(found string) { c.report(7, "%s", found) }, map[string]string{
		"the logs":   c.w.log.String(),
		"the events": strings.Join(leaves, "\n"),
		"the rows":   strings.Join(texts, "\n"),
	})
}
