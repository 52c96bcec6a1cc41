package identity

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

func stillEngine() *Engine {
	return &Engine{Config: Config{Clock: func() time.Time { return noon }}, lease: time.Minute}
}

func TestTheErrorOfARoundIsKept(t *testing.T) {
	t.Parallel()
	v := viewWith(Wanted, Creating, Creating, 0, 0)
	stillEngine().apply(&v, Environment{}, []result{
		{step: Step{Thing: TheClient, Act: Make}, reply: replied(Unknown, errors.New("timed out")), event: uuid.New()},
		{step: Step{Thing: TheConnection, Act: Make}, reply: replied(Done, nil), event: uuid.New()},
	}, noon, false)
	if v.Identity.LastError == "" {
		t.Error("the client's make was lost, and the row's last error is empty")
	}
}

// TestNothingHoldsTheOtherThingBack: a connection that is tried in vain is waited
// for longer than the quiet time of the client.
func TestNothingHoldsTheOtherThingBack(t *testing.T) {
	t.Parallel()
	v := viewWith(Unwanted, Present, Present, 3*time.Second, 0)
	v.Identity.Attempt, v.Identity.EndedAt = 9, &noon
	inVain := result{step: Step{Thing: TheConnection, Act: Take, before: Thing{Phase: Present}}, reply: replied(Later, errors.New("no route")), event: uuid.New()}
	stillEngine().turn(&v, Environment{}, []result{inVain}, noon, false)
	if wait := v.Identity.DueAt.Sub(noon); wait != 3*time.Second {
		t.Errorf("the client may be taken after 3 s and is looked at after %s", wait)
	}
}

// TestIntents: what is written before a call is what remains true if nothing more
// is ever heard of it, and its quiet time counts from the end of the lease.
func TestIntents(t *testing.T) {
	t.Parallel()
	env := Environment{ClientsPatience: Patience{Quiet: 20 * time.Second}, ConnectionsPatience: Patience{Quiet: 30 * time.Second}}
	for _, test := range []struct {
		wish        Wish
		phase, want Phase
	}{
		{Wanted, Absent, Creating}, {Wanted, Missing, Creating}, {Wanted, Outdated, Changing}, {Wanted, Changing, Changing},
		{Unwanted, Present, Removing}, {Unwanted, Removing, Removing},
	} {
		v := viewWith(test.wish, test.phase, test.phase, 0, 0)
		if test.wish == Unwanted {
			v.Identity.EndedAt = &noon
		}
		steps, _ := stillEngine().turn(&v, env, nil, noon, false)
		if len(steps) != 2 || v.Identity.LeaseUntil != db.Add(time.Minute) {
			t.Errorf("%s %s: %d steps under a lease until %s, want 2 until %s", test.wish, test.phase, len(steps), v.Identity.LeaseUntil, db.Add(time.Minute))
		}
		for thing, quiet := range map[ThingName]time.Duration{TheClient: 20 * time.Second, TheConnection: 30 * time.Second} {
			if got := v.thing(thing); got.Phase != test.want || got.QuietUntil != db.Add(time.Minute+quiet) {
				t.Errorf("%s %s: the %s is intended as %+v, want %s and quiet until the lease's end and %s", test.wish, test.phase, thing, got, test.want, quiet)
			}
		}
	}
}

// TestReadyPartRests: an identity that is whole does not wait for the create of
// another one that shares its binding.
func TestReadyPartRests(t *testing.T) {
	t.Parallel()
	v := viewWith(Wanted, Present, Present, 0, 0)
	v.Identity.ID = "airflow"
	v.Bindings = []Binding{{Airflow: Part{Identity: "airflow"}, Client: Part{Identity: "app"}, FinishBy: noon.Add(time.Minute)}}
	stillEngine().turn(&v, Environment{}, nil, noon, false)
	if b := v.Bindings[0]; !b.Airflow.Ready || b.SucceededAt != nil {
		t.Errorf("the binding's part: %+v, succeeded %v; want ready and not yet succeeded", b.Airflow, b.SucceededAt)
	}
	if v.Identity.DueAt != nil {
		t.Errorf("the identity is due at %s, want rest", v.Identity.DueAt)
	}

	v.Bindings[0].Airflow.Ready, v.Identity.Client.Phase = false, Creating
	v.Identity.LeaseUntil = time.Time{}
	stillEngine().turn(&v, Environment{}, nil, noon, true)
	if v.Identity.DueAt == nil {
		t.Error("an identity that is not whole is never looked at again")
	}
}
