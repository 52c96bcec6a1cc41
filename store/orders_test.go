package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"airflow-identity/audit"
	"airflow-identity/identity"
	"airflow-identity/integration/postgres/pgtest"
)

// operated is a database with an operator.
type operated struct {
	*testing.T
	store  *Store
	orders *Orders
	count  int
}

func operate(t *testing.T) *operated {
	s := open(t)
	return &operated{T: t, store: s, orders: &Orders{&Ledger{s.pool}, s}}
}

var anOrder = Order{
	Actor: audit.Actor{Kind: "operator", User: "jane", Claimed: true, OSUser: "vcap"}, RequestID: "an-order", At: noon.Add(time.Hour),
}

// stands inserts an identity that is whole and published, and changes its columns.
func (o *operated) stands(set string, args ...any) identity.ID {
	o.Helper()
	o.count++
	v := sample(o.count)
	insert(o.T, o.store, v)
	o.sql(`UPDATE identity SET client_phase = 'present', client_quiet_until = NULL, connection_phase = 'present', generation = 3, published_generation = 3,
		lease_until = 'epoch', lane = 1, due_at = $2, rotate_at = $2, published_at = $3, overlap_phase = 'single' WHERE id = $1`,
		v.Identity.ID, noon.Add(4*time.Hour), noon)
	if set != "" {
		o.sql(`UPDATE identity SET `+set+` WHERE id = $1`, append([]any{v.Identity.ID}, args...)...)
	}
	return v.Identity.ID
}

func (o *operated) sql(text string, args ...any) {
	o.Helper()
	if _, err := o.store.pool.Exec(o.Context(), text, args...); err != nil {
		o.Fatalf("%v: %s", err, text)
	}
}

func (o *operated) row(id identity.ID) identity.Identity {
	o.Helper()
	v, err := o.store.View(o.Context(), id)
	if err != nil {
		o.Fatal(err)
	}
	return v.Identity
}

// told are the events of the order, as "action reason detail", with their identity.
func (o *operated) told() map[identity.ID][]string {
	o.Helper()
	rows, err := o.store.pool.Query(o.Context(), `SELECT e.leaf FROM event e JOIN pending p ON p.event = e.id WHERE e.request_id = 'an-order' ORDER BY e.action`)
	if err != nil {
		o.Fatal(err)
	}
	defer rows.Close()
	told := map[identity.ID][]string{}
	for rows.Next() {
		var leaf []byte
		if err := rows.Scan(&leaf); err != nil {
			o.Fatal(err)
		}
		var e LedgerEvent
		if err := json.Unmarshal(leaf, &e); err != nil || e.Actor != anOrder.Actor {
			o.Errorf("an event is %s, %v, want one by %+v", leaf, err, anOrder.Actor)
		}
		id := identity.ID(e.Where.Identity)
		told[id] = append(told[id], fmt.Sprint(e.Action, " ", e.Reason, " ", e.Detail))
	}
	return told
}

func (o *operated) rotate(s Selection, leaked bool) Rotated {
	o.Helper()
	got, err := o.orders.Rotate(o.Context(), anOrder, s, leaked)
	if err != nil {
		o.Fatal(err)
	}
	return got
}

func (o *operated) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

// acted tells whether a broker would take the row up at once, in that lane, with a
// wish that is newer than it was.
func (o *operated) acted(what string, i identity.Identity, lane identity.Lane) {
	o.Helper()
	if i.DueAt == nil || i.DueAt.After(anOrder.At) || i.Lane != lane || i.WishVersion <= 1 || i.Attempt != 0 || i.RequestID != anOrder.RequestID {
		o.Errorf("%s: due %v, lane %d, wish %d, attempt %d, request %s; want it to be acted on at once, in lane %d",
			what, i.DueAt, i.Lane, i.WishVersion, i.Attempt, i.RequestID, lane)
	}
}

func TestRotateAsksAndJoins(t *testing.T) {
	t.Parallel()
	o := operate(t)
	idle := o.stands("attempt = 7")
	publishing := o.stands("generation = 4")
	asked := o.stands("rotate_above = 2")
	waiting := o.stands("lane = 0, due_at = $2", noon)
	left := map[Reason]identity.ID{
		IsApp:     o.stands("kind = 'app', connection_phase = 'absent'"),
		IsHeld:    o.stands("held_at = now()"),
		IsNew:     o.stands("published_generation = 0, connection_phase = 'creating'"),
		IsForeign: o.stands("connection_phase = 'foreign'"),
		IsLost:    o.stands("connection_phase = 'lost', client_phase = 'lost'"),
	}
	o.stands("ended_at = now()")
	o.stands("revoked_at = now()")

	got := o.rotate(Selection{}, false)
	if got.Asked != 3 || got.Joined != 1 || len(got.Apps) != 0 || len(got.Left) != len(left) {
		t.Errorf("got %+v, want 3 asked, 1 joined and %d left", got, len(left))
	}
	for _, group := range got.Left {
		if group.Count != 1 || len(group.Some) != 1 || group.Some[0].ID != left[group.Reason] {
			t.Errorf("left: got %+v, want %s", group, left[group.Reason])
		}
	}
	told := o.told()
	for id, above := range map[identity.ID]int{idle: 3, publishing: 3, asked: 2, waiting: 3} {
		i := o.row(id)
		lane := identity.LaneRotation
		if id == waiting {
			lane = identity.LanePeople
		}
		o.acted("rotate", i, lane)
		if i.RotateAbove != above || i.Urgent || i.RotateAt == nil || i.RotateAt.After(anOrder.At) {
			t.Errorf("generation %d: asked for one above %d, urgent %v, at %v; want above %d", i.Generation, i.RotateAbove, i.Urgent, i.RotateAt, above)
		}
		if !slices.Equal(told[id], []string{"rotate asked "}) {
			t.Errorf("events: got %q", told[id])
		}
	}
	for reason, id := range left {
		if i := o.row(id); i.RotateAbove != 0 || i.WishVersion != 1 || told[id] != nil {
			t.Errorf("%s: it was changed: %+v, %q", reason, i.Rotation, told[id])
		}
	}
	if again := o.rotate(Selection{}, false); again.Asked != 0 || again.Joined != 4 || o.row(idle).RotateAbove != 3 {
		t.Errorf("again: got %+v, want all 4 joined", again)
	}
}

func TestRotateALeakedSecret(t *testing.T) {
	t.Parallel()
	o := operate(t)
	idle := o.stands("")
	asked := o.stands("rotate_above = 3")
	before := o.stands("rotate_above = 2, urgent = true") // published, and not yet retired
	app := o.stands("kind = 'app', connection_phase = 'absent'")
	held := o.stands("")
	o.sql(`UPDATE identity SET environment = 'dev' WHERE id = ANY($1)`, []identity.ID{held})
	o.sql(`INSERT INTO hold (environment, since) VALUES ('dev', now())`)
	o.must(o.orders.Pause(t.Context(), anOrder, Freeze{Kind: FreezeEnvironment, Key: "prod"}))

	got := o.rotate(Selection{}, true)
	if got.Asked != 2 || got.Joined != 1 || !slices.Equal(got.Apps, []identity.ID{app}) || got.Left.Count(IsHeld) != 1 || got.Total() != 4 {
		t.Errorf("got %+v, want 2 asked, 1 joined, an app revoked, one held", got)
	}
	for id, above := range map[identity.ID]int{idle: 3, asked: 3, before: 2} {
		i := o.row(id)
		o.acted("rotate --now", i, identity.LanePeople)
		if i.RotateAbove != above || !i.Urgent {
			t.Errorf("got above %d, urgent %v, want above %d at once", i.RotateAbove, i.Urgent, above)
		}
	}
	i := o.row(app)
	o.acted("an app's client", i, identity.LanePeople)
	if i.RevokedAt == nil || !i.RevokedAt.Equal(anOrder.At) || i.Urgent {
		t.Errorf("an app's client: revoked at %v, urgent %v", i.RevokedAt, i.Urgent)
	}
	if told := o.told(); told[idle][0] != "rotate leaked " || len(told[app]) != 1 || told[held] != nil {
		t.Errorf("events: got %q", told)
	}
}

func TestASelectionIsOfOneKind(t *testing.T) {
	t.Parallel()
	o := operate(t)
	first, second := o.stands(""), o.stands("")
	o.sql(`UPDATE instance SET plan = 'q' WHERE guid = 'i2'`)
	for name, s := range map[string]Selection{
		"identity": {Identity: second}, "instance": {Instance: "i2"}, "plan": {Plan: "q"},
	} {
		o.sql(`UPDATE identity SET rotate_above = 0`)
		if got := o.rotate(s, false); got.Asked != 1 || o.row(second).RotateAbove != 3 || o.row(first).RotateAbove != 0 {
			t.Errorf("%s: got %+v, want just the second", name, got)
		}
	}
	if got := o.rotate(Selection{Environment: "dev"}, false); got.Total() != 0 {
		t.Errorf("another environment: got %+v", got)
	}
}

func TestOrdersGoThroughPages(t *testing.T) {
	t.Parallel()
	o := operate(t)
	o.stands("")
	const more = 2*orderPage + 7
	o.sql(`INSERT INTO identity (id, kind, instance, environment, holder, granted, token_lifetime, issuer, token_url, jwks_url, zone_id, generation,
			published_generation, description, client_phase, connection_phase, lane, lease_until, lease_epoch, wish_version, request_id, created_at)
		SELECT gen_random_uuid(), kind, instance, environment, holder, granted, token_lifetime, issuer, token_url, jwks_url, zone_id, generation,
			published_generation, description, client_phase, connection_phase, lane, lease_until, lease_epoch, wish_version, request_id, created_at
		FROM identity, generate_series(1, $1)`, more)
	got := o.rotate(Selection{Environment: "prod"}, false)
	if got.Asked != more+1 || len(o.told()) != more+1 {
		t.Errorf("got %d asked and %d events, want %d", got.Asked, len(o.told()), more+1)
	}
	groups, err := o.orders.Progress(t.Context(), Selection{}, nil, noon)
	if err != nil || groups.Count(IsAtWork) != more+1 || len(groups[0].Some) != some {
		t.Errorf("progress: got %d, %v, want %d", groups.Count(IsAtWork), err, more+1)
	}
}

func TestProgressSaysWhyItIsNotDone(t *testing.T) {
	t.Parallel()
	o := operate(t)
	want := map[Reason][]identity.ID{
		IsAtWork:  {o.stands("rotate_above = 3, attempt = 4, last_error = 'e'"), o.stands("rotate_above = 3, urgent = true, overlap_phase = 'present', retire_at = $2", noon.Add(time.Hour))},
		IsFailing: {o.stands("rotate_above = 3, attempt = 5, last_error = 'add secret: 503'")},
		IsSoaking: {o.stands("rotate_above = 3, overlap_phase = 'present', retire_at = $2", noon.Add(time.Hour))},
		IsHeld:    {o.stands("rotate_above = 3, held_at = now()")},
		IsForeign: {o.stands("rotate_above = 3, connection_phase = 'foreign'")},
		IsLost:    {o.stands("rotate_above = 3, connection_phase = 'lost', client_phase = 'lost'")},
		IsPaused:  {o.stands("rotate_above = 3")},
	}
	o.must(o.orders.Pause(t.Context(), anOrder, Freeze{Kind: FreezeInstance, Key: fmt.Sprintf("i%d", o.count)}))
	ended := noon.Add(-time.Second)
	o.must(o.orders.Pause(t.Context(), anOrder, Freeze{Kind: FreezeEnvironment, Key: "prod", Until: &ended}))
	o.stands("")                                      // done
	o.stands("rotate_above = 3, ended_at = $2", noon) // unbound meanwhile
	going, gone := o.stands("kind = 'app', revoked_at = now(), ended_at = now()"), o.stands("kind = 'app', revoked_at = now(), clean_at = now()")
	want[IsAtWork] = append(want[IsAtWork], going)

	groups, err := o.orders.Progress(t.Context(), Selection{}, []identity.ID{going, gone}, noon)
	o.must(err)
	got := map[Reason][]identity.ID{}
	for _, group := range groups {
		for _, n := range group.Some {
			got[group.Reason] = append(got[group.Reason], n.ID)
		}
		if group.Count != len(group.Some) || group.Reason == IsFailing && group.Some[0].LastError != "add secret: 503" {
			t.Errorf("got %+v", group)
		}
	}
	for _, ids := range want {
		slices.Sort(ids)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	o := operate(t)
	id, ended := o.stands(""), o.stands("ended_at = now()")
	for _, c := range []struct {
		id   identity.ID
		want bool
	}{{id, true}, {id, false}, {ended, false}} {
		if got, err := o.orders.Revoke(t.Context(), anOrder, c.id); err != nil || got != c.want {
			t.Errorf("got %v, %v, want %v", got, err, c.want)
		}
	}
	i := o.row(id)
	o.acted("revoke", i, identity.LanePeople)
	if i.RevokedAt == nil || o.row(ended).RevokedAt != nil {
		t.Errorf("revoked at %v and %v, want the first alone", i.RevokedAt, o.row(ended).RevokedAt)
	}
	if told := o.told(); !reflect.DeepEqual(told, map[identity.ID][]string{id: {"revoke asked "}}) {
		t.Errorf("events: got %q", told)
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	o := operate(t)
	past, future := noon, noon.Add(24*time.Hour)
	overdue := o.stands("due_at = NULL, rotate_at = $2", past)
	soaked := o.stands("due_at = NULL, rotate_at = $2, retire_at = $3", future, past)
	ahead := o.stands("due_at = NULL, rotate_at = $2", future)
	people := o.stands("lane = 0, due_at = $2, rotate_at = $3", past.Add(-time.Hour), past)
	ended := o.stands("due_at = NULL, rotate_at = $2, ended_at = $2", past)
	both := o.stands("due_at = NULL, rotate_at = $2", past)

	freeze := Freeze{Kind: FreezeEnvironment, Key: "prod"}
	o.must(o.orders.Pause(t.Context(), anOrder, freeze))
	o.must(o.orders.Pause(t.Context(), anOrder, Freeze{Kind: FreezeInstance, Key: fmt.Sprintf("i%d", o.count)}))
	freeze.Until = &future
	later := anOrder
	later.At = future
	o.must(o.orders.Pause(t.Context(), later, freeze))
	list, err := o.orders.Freezes(t.Context())
	if err != nil || len(list) != 2 || list[0].Until == nil || !list[0].Until.Equal(future) || !list[0].Since.Equal(anOrder.At) || list[1].Until != nil {
		t.Errorf("freezes: got %+v, %v", list, err)
	}
	if v, err := o.store.View(t.Context(), overdue); err != nil || v.Paused || v.PausedUntil == nil || !v.PausedUntil.Equal(future) {
		t.Errorf("what a broker sees: %v %v, %v", v.Paused, v.PausedUntil, err)
	}

	lifted, due, err := o.orders.Resume(t.Context(), anOrder, freeze)
	if err != nil || !lifted || due != 3 {
		t.Errorf("resume: got %v, %d due, %v, want 3: what another freeze covers goes on later", lifted, due, err)
	}
	for id, want := range map[identity.ID]*time.Time{overdue: &past, soaked: &past, ahead: &future, both: &past, ended: nil} {
		if i := o.row(id); (i.DueAt == nil) != (want == nil) || want != nil && !i.DueAt.Equal(*want) || i.Lane != identity.LaneRotation {
			t.Errorf("after resume: due %v in lane %d, want %v in lane 1", i.DueAt, i.Lane, want)
		}
	}
	if i := o.row(people); !i.DueAt.Equal(past.Add(-time.Hour)) || i.Lane != identity.LanePeople {
		t.Errorf("what people wait for: due %v in lane %d", i.DueAt, i.Lane)
	}
	// Broken off before it made anything due.
	o.sql(`UPDATE identity SET due_at = NULL WHERE id = $1`, overdue)
	if lifted, _, err := o.orders.Resume(t.Context(), anOrder, freeze); err != nil || lifted || o.row(overdue).DueAt == nil {
		t.Errorf("resume again: got %v, %v, due %v", lifted, err, o.row(overdue).DueAt)
	}
	told := o.told()[""]
	if want := []string{"pause  ", "pause  ", "pause  until 2026-11-25T12:00:00Z", "resume  until 2026-11-25T12:00:00Z"}; !slices.Equal(slices.Sorted(slices.Values(told)), want) {
		t.Errorf("events: got %q, want %q", told, want)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	o := operate(t)
	debt := o.stands("ended_at = now(), client_phase = 'gone'")
	o.sql(`UPDATE connection SET debt_since = now() WHERE identity = $1`, debt)
	stuck := o.stands("ended_at = now(), last_error = 'take client: 403', attempt = 9")
	leaving := o.stands("ended_at = now()")
	live := o.stands("")
	clean := o.stands("ended_at = now(), clean_at = now(), last_error = 'e'")

	forgotten, err := o.orders.Forget(t.Context(), anOrder, Selection{Environment: "prod"}, "it is gone, OPS-1")
	if err != nil || len(forgotten) != 2 {
		t.Errorf("got %v, %v, want the debt and the client that cannot be deleted", forgotten, err)
	}
	if n, err := o.orders.Unclean(t.Context(), "prod"); err != nil || n != 1 {
		t.Errorf("left: got %d, %v, want the one that is being removed", n, err)
	}
	for _, id := range []identity.ID{debt, stuck} {
		i := o.row(id)
		o.acted("forget", i, identity.LanePeople)
		if i.ForgottenAt == nil || !slices.Equal(o.told()[id], []string{"forget asked it is gone, OPS-1"}) {
			t.Errorf("forgotten at %v, events %q", i.ForgottenAt, o.told()[id])
		}
	}
	if _, err := o.orders.Forget(t.Context(), anOrder, Selection{Identity: leaving}, "r"); err != nil || o.row(leaving).ForgottenAt == nil {
		t.Errorf("one that is named: %v, %v", o.row(leaving).ForgottenAt, err)
	}
	for _, id := range []identity.ID{live, clean} {
		if got, err := o.orders.Forget(t.Context(), anOrder, Selection{Identity: id}, "r"); err != nil || len(got) > 0 || o.row(id).ForgottenAt != nil {
			t.Errorf("live or gone: got %v, %v", got, err)
		}
	}
}

func TestAcceptRestore(t *testing.T) {
	t.Parallel()
	o := operate(t)
	held := o.stands(`held_at = now(), held_generation = 8, due_at = NULL, urgent = true, rotate_above = 3, retire_at = now(), overlap_phase = 'present',
		candidate = '\x00', old = '\x00', connection_phase = 'doubted'`)
	behind := o.stands("held_at = now(), held_generation = 2, connection_phase = 'doubted'")
	other := o.stands("due_at = NULL")
	resting := o.stands("due_at = NULL, connection_phase = 'lost'")
	atWork := o.stands("held_at = now(), held_generation = 8, lease_until = now() + interval '1 hour'")
	elsewhere := o.stands("environment = 'dev', held_at = now(), held_generation = 8")
	o.sql(`INSERT INTO hold (environment, since) VALUES ('prod', now())`)

	waits, err := o.orders.Restored(t.Context(), "prod", nil)
	if err != nil || waits.Held != 3 || len(waits.Environments) != 1 || !waits.Waits() {
		t.Errorf("waiting: got %+v, %v", waits, err)
	}
	got, err := o.orders.AcceptRestore(t.Context(), anOrder, "prod")
	if err != nil || got.Released != 2 || got.Doubted != 1 || got.Leased != 1 || !slices.Equal(got.Environments, []identity.EnvironmentName{"prod"}) {
		t.Errorf("accepted: got %+v, %v", got, err)
	}
	for id, generation := range map[identity.ID]int{held: 8, behind: 3} {
		i := o.row(id)
		o.acted("accept-restore", i, identity.LaneRotation)
		want := identity.Rotation{
			Period: i.Period, Soak: i.Soak, PublishedAt: i.PublishedAt, RotateAt: i.RotateAt,
			Overlap: identity.Single, PublishedGeneration: generation, Restored: true,
		}
		if !reflect.DeepEqual(i.Rotation, want) || i.Generation != generation || !i.Candidate.IsZero() || !i.Old.IsZero() ||
			i.Published.Phase != identity.Doubted || !i.RotateAt.Equal(anOrder.At) {
			t.Errorf("released: generation %d, %s, %+v, want %d, %+v", i.Generation, i.Published.Phase, i.Rotation, generation, want)
		}
	}
	i := o.row(other)
	o.acted("the others", i, identity.LaneSweep)
	if i.Published.Phase != identity.Doubted || i.Generation != 3 {
		t.Errorf("the others: got %s, generation %d", i.Published.Phase, i.Generation)
	}
	if i := o.row(resting); i.DueAt == nil || i.Published.Phase != identity.Lost {
		t.Errorf("one that had been put to rest: due %v, %s", i.DueAt, i.Published.Phase)
	}
	if o.row(atWork).HeldAt == nil || o.row(elsewhere).HeldAt == nil {
		t.Error("one that a broker is at work on, or of another environment, was let go")
	}
	waits, err = o.orders.Restored(t.Context(), "", got.Environments)
	if err != nil || len(waits.Environments) != 0 || waits.Held != 2 || waits.Doubted != 3 {
		t.Errorf("afterwards: got %+v, %v", waits, err)
	}

	// Broken off before they were due.
	o.sql(`UPDATE identity SET due_at = NULL WHERE id = $1`, other)
	o.sql(`UPDATE identity SET lease_until = 'epoch' WHERE id = $1`, atWork)
	got, err = o.orders.AcceptRestore(t.Context(), anOrder, "")
	if err != nil || got.Released != 2 || o.row(other).DueAt == nil || o.row(elsewhere).HeldAt != nil {
		t.Errorf("again: got %+v, %v, due %v", got, err, o.row(other).DueAt)
	}
	told := o.told()
	if !slices.Equal(told[held], []string{"accept-restore held "}) || !slices.Equal(told[other], []string{"accept-restore environment_held "}) || len(told[""]) != 1 {
		t.Errorf("events: got %q", told)
	}
}

func TestRemake(t *testing.T) {
	t.Parallel()
	o := operate(t)
	app := o.stands("kind = 'app', client_phase = 'lost', connection_phase = 'absent'")
	both := o.stands(`client_phase = 'lost', connection_phase = 'lost', overlap_phase = 'present', candidate = '\x00', old = '\x00', retire_at = now()`)
	held := o.stands("client_phase = 'lost', connection_phase = 'lost', held_at = now()")
	leased := o.stands("client_phase = 'lost', connection_phase = 'lost', lease_until = now() + interval '1 hour'")
	half := o.stands("client_phase = 'lost'")
	o.stands("client_phase = 'lost', connection_phase = 'lost', ended_at = now()")

	for _, dry := range []bool{true, false} {
		got, err := o.orders.Remake(t.Context(), anOrder, "", dry)
		if err != nil || len(got.Made) != 2 || got.Left.Count(IsHeld) != 1 || got.Left.Count(IsLeased) != 1 {
			t.Errorf("dry %v: got %+v, %v", dry, got, err)
		}
		if dry && (o.row(app).Client.Phase != identity.Lost || len(o.told()) > 0) {
			t.Error("a dry run has changed something")
		}
	}
	i := o.row(app)
	o.acted("an app's client", i, identity.LanePeople)
	if i.Client.Phase != identity.Missing || i.Secret.IsZero() {
		t.Errorf("an app's client: got %s, without its secret %v", i.Client.Phase, i.Secret.IsZero())
	}
	i = o.row(both)
	o.acted("both", i, identity.LanePeople)
	if i.Client.Phase != identity.Absent || i.Published.Phase != identity.Absent || i.Overlap != identity.Single || !i.Candidate.IsZero() || !i.Old.IsZero() || i.RetireAt != nil || i.Secret.IsZero() {
		t.Errorf("both: got %s, %s, %s, retire %v", i.Client.Phase, i.Published.Phase, i.Overlap, i.RetireAt)
	}
	for _, id := range []identity.ID{held, leased, half} {
		if i := o.row(id); i.Client.Phase != identity.Lost || o.told()[id] != nil {
			t.Errorf("one that is to be left: got %s", i.Client.Phase)
		}
	}
	if told := o.told(); !slices.Equal(told[both], []string{"apply lost "}) || len(told) != 2 {
		t.Errorf("events: got %q", told)
	}
}

// Whoever gives orders has no keyset.
func TestOrdersNeedNoKeyset(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	orders, err := OpenOrders(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer orders.Close()
	for kind, want := range map[FreezeKind]bool{FreezeEnvironment: true, FreezePlan: true, FreezeInstance: true} {
		if known, err := orders.Known(t.Context(), kind, "x"); err != nil || known == want {
			t.Errorf("%s x: known %v, %v", kind, known, err)
		}
	}
}
