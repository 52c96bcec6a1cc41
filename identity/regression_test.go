package identity

import (
	"context"
	"testing"
	"time"
)

// Each of these failed once: it shows what was wrong, and must stay mended.

// 1. A secret's calls go to UAA, and are waited for as an Airflow is. Where UAA has
// the longer time-out, a retire that is late takes the published secret away.
func TestPatienceOfSecrets(t *testing.T) {
	t.Parallel()
	if got := patient.patience(TheSecret); got != patient.ClientsPatience {
		t.Errorf("a secret is waited for as %+v, want that of UAA, %+v", got, patient.ClientsPatience)
	}
	for seed := range uint64(50) {
		l := newLife(t, seed)
		l.env.ClientsPatience, l.env.ConnectionsPatience, l.e.lease = PatienceOf(20*time.Second), PatienceOf(5*time.Second), 25*time.Second
		l.isNeverLockedOut(true)
	}
}

// 2. UAA has the older secret only, as when it was restored: the newer must be added
// again. Retire and confirm take turns without a pause, for ever.
func TestNewerSecretGone(t *testing.T) {
	t.Parallel()
	l := newLife(t, 1)
	l.wakes()
	meddling[newerDropped](l)
	l.lives(theSoak + time.Hour)
	if !l.accepts(l.connection.secret) {
		l.fails("UAA refuses what Airflow has")
	}
}

// 3. After a restore the row's secret is one of before, so that UAA refuses it says
// nothing. It is taken for a stray, and what is dropped is what Airflow has.
func TestRestoredIsNoStray(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		newLife(t, seed).isRestored(true)
	}
}

// 3b. The same before there is a candidate: the secret of before the restore is added
// and never published, and the row stays restored and present for ever.
func TestRestoredWithoutCandidate(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	i := &w.v.Identity
	i.Generation, i.PublishedGeneration, i.Restored, i.Client.Phase = 7, 7, true, Doubted
	w.begins().does("client check", Refused)
	for _, step := range []struct {
		want    string
		outcome Outcome
	}{{"connection check", Done}, {"secret drop", Alone}, {"secret add", Done}, {"secret verify", Done}} {
		if w.planned() == step.want {
			w.does(step.want, step.outcome)
		}
	}
	if i.Overlap == Present && i.Restored && len(w.steps) == 0 {
		t.Errorf("it is restored and rests until %s with a second secret that nobody publishes: %+v", i.DueAt, i)
	}
}

// 4. Where the older secret is not known, retiring again asks for the marker whatever
// the connection is. One that is not ours any more is read again and again.
func TestMarkerOfForeignConnection(t *testing.T) {
	t.Parallel()
	for _, phase := range []Phase{Strange, Lost} {
		w := newWalk(t)
		w.v.Identity.Overlap, w.v.Identity.Published.Phase = Removing, phase
		quiet := w.now.Add(20 * time.Second)
		w.v.Reservation.QuietUntil = &quiet
		w.begins()
		rounds := 0
		for ; len(w.steps) > 0 && w.now.Before(noon.Add(10*time.Second)); rounds++ {
			outcome := map[Phase]Outcome{Strange: Foreign, Lost: NotThere}[phase]
			if w.steps[0].Thing == TheClient {
				outcome = Done
			}
			w.does(w.planned(), outcome)
		}
		if rounds > 3 {
			t.Errorf("%s: %d rounds without a rest", phase, rounds)
		}
	}
}

// 5. Rounds in vain are forgotten as soon as one is not, since client and connection
// are there all the time: a UAA that never accepts the newer secret is asked, and
// hashes, at the first pause for ever.
func TestBackOffOfSecrets(t *testing.T) {
	t.Parallel()
	w := newWalk(t).begins()
	acts := 0
	for w.now.Before(noon.Add(time.Hour)) {
		for len(w.steps) > 0 {
			acts++
			outcome := map[Act]Outcome{Check: Done, Add: Done, Verify: NotThere}[w.steps[0].Act]
			w.does(w.planned(), outcome)
		}
		w.rests()
	}
	if acts > 200 {
		t.Errorf("%d calls in an hour, each second of them to UAA, in vain", acts)
	}
}

// 6. A make that is refused for good ended its create, and with it the wish. What an
// operator has made again ("apply" of both lost) has no create, so it is made and
// refused without a pause, for ever.
func TestRefusedRemake(t *testing.T) {
	t.Parallel()
	for _, thing := range []string{"client", "connection"} {
		w := newWalk(t)
		w.v.Identity.Client.Phase, w.v.Identity.Published.Phase = Absent, Present
		if thing == "connection" {
			w.v.Identity.Client.Phase, w.v.Identity.Published.Phase = Present, Absent
		}
		w.v.Identity.RotateAt = &later
		w.begins()
		rounds := 0
		for ; len(w.steps) > 0 && rounds < 20; rounds++ {
			w.does(thing+" make", Rejected)
		}
		if rounds == 20 {
			t.Errorf("a %s is refused twenty times, without a rest", thing)
		}
	}
}

// 7. A revoke changes the client, is no repetition of what is under way, and is sent
// within its quiet time; and one whose holder died leaves no quiet time.
func TestQuietOfRevoke(t *testing.T) {
	t.Parallel()
	v := facts{wish: Wanted, kind: AirflowIdentity, client: Present, connection: Present, secret: Single,
		urgent: mended, clientQuiet: 10 * time.Second, seen: true, published: true}.view()
	if d := next(v, noon); len(d.steps) > 0 {
		t.Errorf("within the quiet time: %+v", d.steps)
	}
	v = facts{wish: Wanted, kind: AirflowIdentity, client: Present, connection: Present, secret: Single,
		urgent: mended, seen: true, published: true}.view()
	if stillEngine().turn(&v, patient, nil, noon, false); !v.Identity.Client.QuietUntil.After(db) {
		t.Error("a revoke is intended and no quiet time is written")
	}
}

// 8. An identity that lost a thing, or whose marker was removed by hand, is taken for
// one that is still being made: its instance cannot be narrowed any more.
func TestUpdateOfWhatIsLost(t *testing.T) {
	t.Parallel()
	for _, phase := range []Phase{Lost, Strange} {
		v := viewWith(Wanted, Present, phase, 0, 0)
		v.Identity.ID, v.Bindings[0].Airflow.Identity = "i", "i"
		views, unfinished, err := liveViews(t.Context(), rowsOf{v: v}, "instance", noon)
		if err != nil || unfinished || len(views) != 1 {
			t.Errorf("%s: %d identities are updated, unfinished=%t, %v", phase, len(views), unfinished, err)
		}
	}
}

// rowsOf is a transaction that finds one identity.
type rowsOf struct {
	Tx
	v View
}

func (r rowsOf) Bindings(context.Context, RowID) ([]Binding, error) { return r.v.Bindings, nil }
func (r rowsOf) View(context.Context, ID) (*View, error)            { return &r.v, nil }

// 9. A rotation that begins in a sweep's look is one: it does not wait behind all
// other rotations if its process dies.
func TestLaneOfARotation(t *testing.T) {
	t.Parallel()
	v := viewWith(Wanted, Present, Present, 0, 0)
	past := noon.Add(-time.Minute)
	v.Identity.Kind, v.Identity.Overlap, v.Identity.Lane = AirflowIdentity, Single, LaneSweep
	v.Identity.Generation, v.Identity.PublishedGeneration = 1, 1
	v.Identity.RotateAt, v.Identity.LeaseEpoch, v.Identity.SeenEpoch = &past, 3, 3
	steps, _ := stillEngine().turn(&v, Environment{}, nil, noon, false)
	if len(steps) != 1 || steps[0].Act != Add || v.Identity.Lane != LaneRotation {
		t.Errorf("steps %+v in lane %d, want an add in the lane of rotation", steps, v.Identity.Lane)
	}
}
