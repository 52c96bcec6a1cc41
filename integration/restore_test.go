package integration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/store"
)

// rowTables are what a backup holds, but for the events: those are as they are, so
// that the checker finds them.
var rowTables = []string{"binding", "identity", "connection", "instance", "pause", "hold"}

// backup takes one of the rows. restore puts it back; no broker may be at work then.
func (o *operator) backup() (restore func()) {
	o.t.Helper()
	var save, restored strings.Builder
	save.WriteString("CREATE SCHEMA yesterday;\n")
	restored.WriteString("SET LOCAL session_replication_role = replica;\n")
	for _, table := range rowTables {
		fmt.Fprintf(&save, "CREATE TABLE yesterday.%[1]s AS TABLE public.%[1]s;\n", table)
		fmt.Fprintf(&restored, "DELETE FROM public.%[1]s; INSERT INTO public.%[1]s TABLE yesterday.%[1]s;\n", table)
	}
	if _, err := o.pool.Exec(o.t.Context(), save.String()); err != nil {
		o.t.Fatal(err)
	}
	return func() {
		o.t.Helper()
		if _, err := o.pool.Exec(o.t.Context(), restored.String()); err != nil {
			o.t.Fatal(err)
		}
	}
}

// accepts is apply --accept-restore.
func (o *operator) accepts() {
	o.t.Helper()
	var begun []identity.EnvironmentName
	o.awaits("the restore is accepted", func() bool {
		accepted, err := o.orders.AcceptRestore(context.Background(), o.order(), "")
		if err != nil {
			o.t.Errorf("apply --accept-restore: %v", err)
			return true
		}
		for _, name := range accepted.Environments {
			if !slices.Contains(begun, name) {
				begun = append(begun, name)
			}
		}
		open, err := o.orders.Restored(context.Background(), "", begun)
		return err == nil && !open.Waits()
	})
}

func (o *operator) environmentHeld() (held bool) {
	o.t.Helper()
	if err := o.pool.QueryRow(context.Background(), `SELECT EXISTS (SELECT FROM hold WHERE environment = 'prod')`).Scan(&held); err != nil {
		o.t.Fatal(err)
	}
	return held
}

// refusing has a stand-in answer some calls as a gateway does whose system is gone,
// until over is called. The other rules stay.
func refusing(f *standin.Faults, call string, match func(*http.Request, []byte) bool) (hits func() int, over func()) {
	var off atomic.Bool
	var met atomic.Int64
	f.Add(standin.Fault{
		Call: call, Kind: standin.Answer, Status: http.StatusServiceUnavailable, Times: 1 << 30, Before: func() { met.Add(1) },
		Match: func(r *http.Request, body []byte) bool { return !off.Load() && (match == nil || match(r, body)) },
	})
	return func() int { return int(met.Load()) }, func() { off.Store(true) }
}

// TestDatabaseRestoredFromYesterday: what Airflow has is newer than what the rows say.
func TestDatabaseRestoredFromYesterday(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	all := o.bound(p.platform, 4)
	retired, unbound, soaking, gone := all[0], all[1], all[2], all[3]
	restore := o.backup()
	o.advance(4 * time.Hour)
	for _, s := range all {
		s.published(2)
	}
	for _, s := range all {
		s.retires()
	}
	want(t, p.unbind("i1", gone.binding), http.StatusOK, "unbind")
	soaking.rotates()
	late := p.bind("i1", "late", "app-late", nil)
	want(t, late, http.StatusCreated, "bind")
	orphan := o.standing("late", late)
	o.rests()
	// The clock may have led further than was meant, by chance.
	generations, changes := map[*standing]int{}, map[*standing]map[string]int{}
	u := o.prod().uaa
	for _, s := range []*standing{retired, soaking} {
		generations[s], changes[s] = s.row().Generation, u.SecretChanges()[s.client]
	}
	if got := soaking.row().Overlap; got != identity.Present {
		t.Fatalf("the second secret of the one in its soak is %s", got)
	}
	retiredBefore := retired.row().Overlap
	p.stop()
	restore()

	before := o.mutations()
	watches := []func(){retired.watched(), soaking.watched(), orphan.watched()}
	p = o.broker()
	o.advance(9 * time.Hour)
	o.awaits("the environment is held", o.environmentHeld)
	o.sweeps()
	o.advance(48 * time.Hour)
	for _, leaked := range []bool{false, true} {
		got, err := o.orders.Rotate(t.Context(), o.order(), store.Selection{}, leaked)
		if err != nil || got.Total() != 0 || got.Left.Count(store.IsHeld) != len(all) {
			t.Errorf("rotate, leaked %t: got %+v %v, want all %d left as held", leaked, got, err, len(all))
		}
	}
	if remade, err := o.orders.Remake(t.Context(), o.order(), "", false); err != nil || len(remade.Made) != 0 {
		t.Errorf("apply made %+v (%v)", remade, err)
	}
	o.sweeps()
	if now := o.mutations(); now != before {
		t.Errorf("unasked, what was\n%s\nis\n%s", before, now)
	}
	if state := retired.state(); !strings.HasPrefix(state, "held") {
		t.Errorf("the state of one that is held: %q", state)
	}
	// What the platform asks for is done.
	want(t, p.unbind("i1", unbound.binding), http.StatusOK, "unbind of one that is held")
	if _, there := o.prod().airflow.Connection(unbound.connection); there {
		t.Error("the connection of the one that was unbound is there")
	}
	if _, there := u.Client(unbound.client); there {
		t.Error("the client of the one that was unbound is there")
	}

	o.accepts()
	for s, generation := range generations {
		s.published(generation + 1)
		if s.registered().Password != s.row().Secret.Reveal() {
			t.Errorf("%s: Airflow has another secret than the row", s.connection)
		}
	}
	o.rests()
	for _, over := range watches {
		over()
	}
	for s, generation := range generations {
		s.retires()
		done := u.SecretChanges()[s.client]
		drops := 1
		if s == soaking || retiredBefore == identity.Present {
			drops = 2 // the older of two went first
		}
		if add, drop, reset := done[uaa.ModeAdd]-changes[s][uaa.ModeAdd], done[uaa.ModeDelete]-changes[s][uaa.ModeDelete], done[uaa.ModeUpdate]; add != 1 || drop != drops || reset != 0 {
			t.Errorf("%s, from generation %d: add %d, drop %d, reset %d; want 1, %d, 0", s.connection, generation, add, drop, reset, drops)
		}
	}
	o.sweeps()
	if state := gone.state(); state != "client and connection are lost; apply makes them again" {
		t.Errorf("the state of one that was unbound after the backup: %q", state)
	}
	want(t, p.unbind("i1", gone.binding), http.StatusOK, "the platform finds it and unbinds again")
	if !orphan.accepted() {
		t.Error("what is without a row was touched")
	}
	u.RemoveClient(orphan.client)
	o.prod().airflow.RemoveConnection(orphan.connection)
	// The events are of today, and tell of what the row of one that went never saw.
	o.checkBut("connection "+orphan.connection+" was posted 1 times by 0 identities", "generation 1 is published, and events tell of ")
	o.unbindAll(p.platform, retired, soaking)
}

// TestHeldAboveAShare: one of many that is ahead may have many reasons; two of 21 are
// a restored database.
func TestHeldAboveAShare(t *testing.T) {
	t.Parallel()
	const of = 21
	for _, ahead := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d of %d", ahead, of), func(t *testing.T) {
			t.Parallel()
			o := newWorld(t, patient).operator()
			p := o.broker()
			all := o.bound(p.platform, of)
			restore := o.backup()
			for _, s := range all[:ahead] {
				if _, err := o.orders.Rotate(t.Context(), o.order(), store.Selection{Identity: s.id}, false); err != nil {
					t.Fatal(err)
				}
				s.published(2)
			}
			o.rests()
			p.stop()
			restore()
			p = o.broker()
			o.sweeps()
			for _, s := range all[:ahead] {
				if s.row().HeldAt == nil {
					t.Errorf("%s is ahead and not held", s.connection)
				}
			}
			if held := o.environmentHeld(); held != (ahead == 2) {
				t.Errorf("the environment is held: %t", held)
			}
			before := o.mutations()
			o.advance(4 * time.Hour)
			if ahead == 1 {
				for _, s := range all[1:] {
					s.published(2)
				}
				if got := all[0].changes(); got != "add 1, reset 0, drop 0" {
					t.Errorf("the one that is held: %s", got)
				}
			}
			o.sweeps()
			if now := o.mutations(); ahead == 2 && now != before {
				t.Errorf("unasked, what was\n%s\nis\n%s", before, now)
			}
			o.accepts()
			for _, s := range all[:ahead] {
				s.published(3)
			}
			o.rests()
			o.check()
			want(t, p.deprovision("i1"), http.StatusOK, "deprovision")
			o.nothingLeft()
		})
	}
}

// midRotation stops a rotation at a call until over is called.
type midRotation struct {
	name string
	stop func(o *operator) (hits func() int, over func())
	// soaks: the soak has to end first.
	soaks bool
}

var midRotations = []midRotation{
	{"while it was added", func(o *operator) (func() int, func()) {
		return refusing(o.prod().uaa.Faults, "POST /oauth/token", ofAnIdentity)
	}, false},
	{"while it was published", func(o *operator) (func() int, func()) {
		return refusing(o.prod().airflow.Faults, "PATCH /api/v2/connections/", nil)
	}, false},
	{"while it soaked", nil, false},
	{"while the older one was retired", func(o *operator) (func() int, func()) {
		return refusing(o.prod().uaa.Faults, "PUT /oauth/clients/", uaa.ChangesSecret(uaa.ModeDelete))
	}, true},
}

// backupIn takes a backup in the middle of the rotation to generation 2.
func (m midRotation) backupIn(o *operator, p *process, s *standing) (after *process, restore func()) {
	o.t.Helper()
	over := func() {}
	if m.stop != nil {
		var hits func() int
		hits, over = m.stop(o)
		o.leapTo(s.row().RotateAt)
		if m.soaks {
			s.published(2)
			o.leapTo(s.row().RetireAt)
		}
		o.awaits("the rotation is stopped", func() bool { return hits() > 0 })
	} else {
		s.rotates()
	}
	p.stop()
	restore = o.backup()
	over()
	return o.broker(), restore
}

// TestRestoredIntoARotation: the backup was taken in the middle of a rotation, and
// another has followed since.
func TestRestoredIntoARotation(t *testing.T) {
	t.Parallel()
	for _, m := range midRotations {
		for _, inSoak := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in a soak %t", m.name, inSoak), func(t *testing.T) {
				t.Parallel()
				o := newWorld(t, patient).operator()
				p := o.broker()
				s := o.bound(p.platform, 1)[0]
				p, restore := m.backupIn(o, p, s)
				s.published(2)
				s.retires()
				s.rotates()
				if !inSoak {
					s.retires()
				}
				o.rests()
				generation := s.row().Generation
				p.stop()
				restore()
				before := o.mutations()
				over := s.watched()
				p = o.broker()
				o.advance(9 * time.Hour)
				o.awaits("it is held", func() bool { return s.row().HeldAt != nil })
				o.sweeps()
				if now := o.mutations(); now != before {
					t.Errorf("unasked, what was\n%s\nis\n%s", before, now)
				}
				o.accepts()
				s.published(generation + 1)
				o.rests()
				over()
				s.retires()
				o.check()
				o.unbindAll(p.platform, s)
			})
		}
	}
}

// TestRestoredWithinARotation: the backup was taken in the middle of a rotation that
// has ended since. Nothing is newer than the row, and nobody has to do anything.
func TestRestoredWithinARotation(t *testing.T) {
	t.Parallel()
	for _, m := range midRotations {
		for _, inSoak := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in its soak %t", m.name, inSoak), func(t *testing.T) {
				t.Parallel()
				o := newWorld(t, patient).operator()
				p := o.broker()
				s := o.bound(p.platform, 1)[0]
				p, restore := m.backupIn(o, p, s)
				s.published(2)
				if !inSoak {
					s.retires()
				}
				o.rests()
				p.stop()
				restore()
				over := s.watched()
				p = o.broker()
				s.published(2)
				s.retires()
				o.rests()
				over()
				if s.row().HeldAt != nil {
					t.Error("it is held")
				}
				// The events are of today, so they tell of that publish twice.
				o.checkBut("and events tell of 2 rotations")
				s.rotates()
				s.retires()
				o.checkBut("and events tell of 3 rotations")
				o.unbindAll(p.platform, s)
			})
		}
	}
}

// TestRestoredBetweenAddAndPublish: of two secrets at UAA the older one is the one in
// Airflow, which nothing tells. It is refused until the new one is published.
func TestRestoredBetweenAddAndPublish(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	s := o.bound(p.platform, 1)[0]
	restore := o.backup()
	s.rotates()
	s.retires()
	o.rests()
	generation := s.row().Generation
	if _, err := o.prod().uaa.SetSecrets(s.client, s.row().Secret.Reveal(), "added-and-not-published"); err != nil {
		t.Fatal(err)
	}
	p.stop()
	restore()
	p = o.broker()
	o.advance(9 * time.Hour)
	o.awaits("it is held", func() bool { return s.row().HeldAt != nil })
	o.accepts()
	s.published(generation + 1)
	s.retires()
	o.check()
	o.unbindAll(p.platform, s)
}

// TestFreezesAndHoldsAreReadUnderTheLock: whoever lifts one makes the rows due after
// that, under their locks. A broker that waits for the lock of such a row must see that
// it was lifted, or it puts the row to rest and nobody wakes it.
func TestFreezesAndHoldsAreReadUnderTheLock(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	s := o.bound(p.platform, 1)[0]
	o.rests()
	stale := func(v identity.View) bool { return v.EnvironmentHeld || v.Paused }
	for range 5 { // a lock that is waited for too long is asked for anew
		for _, sql := range []string{
			`INSERT INTO hold (environment, since) VALUES ('prod', now())`,
			`INSERT INTO pause (kind, key, since) VALUES ('environment', 'prod', now())`,
		} {
			o.sql(sql)
		}
		free := o.hang(`SELECT 1 FROM identity FOR UPDATE`)
		seen := make(chan bool, 1)
		go func() {
			var view identity.View
			if err := o.rows.Within(context.Background(), func(ctx context.Context, tx identity.Tx) error {
				v, err := tx.View(ctx, s.id)
				if err == nil {
					view = *v
				}
				return err
			}); err != nil {
				t.Error(err)
			}
			seen <- stale(view)
		}()
		o.awaits("the broker waits for the lock", func() bool {
			var waits bool
			return o.pool.QueryRow(context.Background(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits) == nil && waits
		})
		o.sql(`DELETE FROM hold`)
		o.sql(`DELETE FROM pause`)
		free()
		if <-seen {
			t.Fatal("the freeze and the hold were lifted before the row was locked, and it is read as held")
		}
	}
	o.check()
	o.unbindAll(p.platform, s)
}
