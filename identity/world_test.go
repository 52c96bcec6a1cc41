package identity

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// world is a UAA and an Airflow with one identity's things, as much of them as the
// core can tell: two secrets at most, and a marker. A call to it may be lost and act
// at once, later within its time, or never.
type world struct {
	env     Environment // which it is
	now     time.Time
	random  *rand.Rand
	trouble float64 // the share of calls that are lost

	client  bool
	secrets []Secret // the older first
	listed  bool     // the client's lists are as they should be

	connection *standing
	published  []heldSecret // what tasks may hold that read the connection

	late []lateCall
}

type standing struct {
	marked, edited bool
	generation     int
	secret         Secret
}

// heldSecret is one that a task has read, and how long it may use it.
type heldSecret struct {
	secret Secret
	until  time.Time
}

type lateCall struct {
	at  time.Time
	act func() Outcome
}

var errLost = errors.New("lost")

// mutate carries a call out, or loses it.
func (w *world) mutate(timeout time.Duration, act func() Outcome) (Outcome, error) {
	if w.random.Float64() >= w.trouble {
		return act(), nil
	}
	switch w.random.IntN(4) {
	case 0: // the reply is lost
		act()
	case 1: // the request is
	case 2: // the request is slow: it may act until two time-outs after it was sent
		w.late = append(w.late, lateCall{w.now.Add(time.Duration(w.random.Int64N(int64(2 * timeout)))), act})
	default:
		return Later, errLost
	}
	return Unknown, errLost
}

func (w *world) ask(answer func() Outcome) (Outcome, error) {
	if w.random.Float64() < w.trouble {
		return Unknown, errLost
	}
	return answer(), nil
}

// to lets time pass; what was late acts in it.
func (w *world) to(at time.Time) {
	slices.SortFunc(w.late, func(a, b lateCall) int { return a.at.Compare(b.at) })
	for len(w.late) > 0 && !w.late[0].at.After(at) {
		call := w.late[0]
		w.late = w.late[1:]
		w.now = call.at
		call.act()
	}
	w.now = at
}

func (w *world) accepts(s Secret) bool { return w.client && slices.Contains(w.secrets, s) }

// uaa and theAirflow are the faces of a world.
type uaa struct {
	*world
	Clients
}

type theAirflow struct {
	*world
	Connections
}

func (u uaa) Create(_ context.Context, _ Client, secret Secret) (Outcome, error) {
	return u.mutate(u.env.ClientsPatience.Timeout, func() Outcome {
		if u.client {
			return Exists
		}
		u.client, u.listed, u.secrets = true, true, []Secret{secret}
		return Done
	})
}

func (u uaa) Update(context.Context, Client) (Outcome, error) {
	return u.onClient(func() Outcome { u.listed = true; return Done })
}

func (u uaa) Delete(context.Context, ClientID) (Outcome, error) {
	return u.onClient(func() Outcome { u.client, u.secrets = false, nil; return Done })
}

func (u uaa) AddSecret(_ context.Context, _ ClientID, secret Secret) (Outcome, error) {
	return u.onClient(func() Outcome {
		if len(u.secrets) > 1 {
			return Exists
		}
		u.secrets = append(slices.Clone(u.secrets), secret)
		return Done
	})
}

func (u uaa) DropSecret(context.Context, ClientID) (Outcome, error) {
	return u.onClient(func() Outcome {
		if len(u.secrets) < 2 {
			return Alone
		}
		u.secrets = slices.Clone(u.secrets[1:])
		return Done
	})
}

func (u uaa) ReplaceSecret(_ context.Context, _ ClientID, secret Secret) (Outcome, error) {
	return u.onClient(func() Outcome { u.secrets = []Secret{secret}; return Done })
}

func (u uaa) RevokeTokens(context.Context, ClientID) (Outcome, error) {
	return u.onClient(func() Outcome { return Done })
}

func (u uaa) onClient(act func() Outcome) (Outcome, error) {
	return u.mutate(u.env.ClientsPatience.Timeout, func() Outcome {
		if !u.client {
			return NotThere
		}
		return act()
	})
}

func (u uaa) Probe(_ context.Context, _ Client, secret Secret) (Outcome, error) {
	return u.ask(func() Outcome {
		switch {
		case !u.accepts(secret):
			return NotThere
		case !u.listed:
			return Differs
		default:
			return Done
		}
	})
}

func (u uaa) Read(context.Context, Client) (Outcome, error) {
	return u.ask(func() Outcome {
		switch {
		case !u.client:
			return NotThere
		case !u.listed:
			return Differs
		default:
			return Done
		}
	})
}

func (a theAirflow) Put(_ context.Context, c Connection, secret Secret) (Outcome, error) {
	return a.mutate(a.env.ConnectionsPatience.Timeout, func() Outcome {
		if a.connection != nil {
			return Exists
		}
		a.connection = &standing{marked: true, generation: c.Marker.Generation, secret: secret}
		return Done
	})
}

func (a theAirflow) is(c Connection) Outcome {
	switch found := a.connection; {
	case found == nil:
		return NotThere
	case !found.marked:
		return Foreign
	case found.generation > c.Marker.Generation:
		return Ahead
	case found.edited || found.generation < c.Marker.Generation:
		return Differs
	default:
		return Done
	}
}

func (a theAirflow) Read(_ context.Context, c Connection) (generation int, outcome Outcome, err error) {
	outcome, err = a.ask(func() Outcome { return a.is(c) })
	if a.connection != nil {
		generation = a.connection.generation
	}
	return generation, outcome, err
}

func (a theAirflow) Update(_ context.Context, c Connection, secret Secret) (generation int, outcome Outcome, err error) {
	outcome, err = a.mutate(a.env.ConnectionsPatience.Timeout, func() Outcome {
		if is := a.is(c); is != Done && is != Differs {
			return is
		}
		if a.connection.secret != secret {
			a.published = append(a.published, heldSecret{a.connection.secret, a.now.Add(theSoak)})
		}
		a.connection = &standing{marked: true, generation: c.Marker.Generation, secret: secret}
		return Done
	})
	if a.connection != nil {
		generation = a.connection.generation
	}
	return generation, outcome, err
}

func (a theAirflow) Remove(context.Context, Marker) (Outcome, error) {
	return a.mutate(a.env.ConnectionsPatience.Timeout, func() Outcome {
		if a.connection == nil {
			return NotThere
		}
		a.connection = nil
		return Done
	})
}

// life is an identity that is converged in a world, by holders that die.
type life struct {
	*testing.T
	*world
	e     *Engine
	v     View
	death float64 // of the holder, in a round
	told  []string
	// watch: what Airflow has, and what a task may hold, is accepted at any time.
	watch bool
}

func newLife(t *testing.T, seed uint64) *life {
	w := &world{now: noon, random: rand.New(rand.NewPCG(seed, seed)), client: true, listed: true}
	l := &life{T: t, world: w, v: viewWith(Wanted, Present, Present, 0, 0)}
	l.e = &Engine{Config: Config{Clock: func() time.Time { return w.now }}, lease: 15 * time.Second}
	w.env = Environment{Clients: uaa{world: w}, Connections: theAirflow{world: w},
		ClientsPatience: PatienceOf(10 * time.Second), ConnectionsPatience: PatienceOf(10 * time.Second)}
	i := &l.v.Identity
	i.ID, i.Period, i.Soak, i.RotateAt, i.DueAt, i.Secret = "pilgrim", thePeriod, theSoak, &noon, &noon, NewSecret()
	w.secrets = []Secret{i.Secret}
	w.connection = &standing{marked: true, generation: i.Generation, secret: i.Secret}
	return l
}

// wakes lets the row be claimed once and converged until it rests or its holder
// dies. Rounds without a rest have an end: what is in vain is waited for.
func (l *life) wakes() {
	l.Helper()
	l.v.Clock = l.now
	l.v.Identity.LeaseEpoch++
	l.v.Identity.LeaseUntil = l.now.Add(l.e.lease)
	var results []result
	for range 50 {
		steps, _ := l.e.turn(&l.v, l.env, results, l.now, false)
		l.holds()
		if len(steps) == 0 {
			return
		}
		dies := l.random.Float64() < l.death
		if dies && l.random.IntN(2) == 0 {
			l.to(l.v.Identity.LeaseUntil)
			return // before anything was sent
		}
		results = nil
		for _, n := range l.random.Perm(len(steps)) { // side by side, in any order
			s := steps[n]
			r := l.e.call(l.Context(), l.env, Lease{Until: time.Now().Add(time.Hour)}, l.v, s)
			results = append(results, result{step: s, reply: r, wish: l.v.Identity.WishVersion})
			l.told = append(l.told, fmt.Sprintf("%s %s %s: %s", l.now.Format("15:04:05.0"), s.Act, s.Thing, r.outcome))
		}
		l.holds()
		if dies {
			l.to(l.v.Identity.LeaseUntil)
			return
		}
		l.to(l.now.Add(50 * time.Millisecond))
		l.v.Clock = l.now
	}
	l.fails("fifty rounds without a rest")
}

// holds: nobody is locked out, if that is watched.
func (l *life) holds() {
	l.Helper()
	if !l.watch {
		return
	}
	if !l.accepts(l.connection.secret) {
		l.fails("UAA refuses what Airflow has")
	}
	for _, held := range l.published {
		if l.now.Before(held.until) && !l.accepts(held.secret) {
			l.fails("UAA refuses what a task has read within the soak")
		}
	}
}

func (l *life) fails(what string) {
	l.Helper()
	l.Fatalf("%s; the row: %s secret of generation %d, client %s, connection %s; %d secrets; what was done last: %q", what,
		l.v.Identity.Overlap, l.v.Identity.Generation, l.v.Identity.Client.Phase, l.v.Identity.Published.Phase, len(l.secrets), l.told[max(0, len(l.told)-25):])
}

// lives for that long, or until nothing makes the row due any more.
func (l *life) lives(long time.Duration) {
	l.Helper()
	for end := l.now.Add(long); l.now.Before(end); {
		due := l.v.Identity.LeaseUntil // its holder has died
		if !due.After(l.now) {
			if l.v.Identity.DueAt == nil {
				return
			}
			due = *l.v.Identity.DueAt
		}
		if due.After(l.now) {
			l.to(due)
		}
		l.wakes()
	}
}

// TestNobodyIsLockedOut: whatever is lost, and whoever dies, what Airflow has is
// accepted at any time, and so is what a task has read for as long as the soak.
// Once the trouble is over rotation goes on.
func TestNobodyIsLockedOut(t *testing.T) {
	t.Parallel()
	published := 0
	for seed := range uint64(300) {
		published += newLife(t, seed).isNeverLockedOut(seed%2 == 0)
	}
	t.Logf("%d publishes", published)
}

func (l *life) isNeverLockedOut(hasty bool) (published int) {
	l.Helper()
	l.watch, l.trouble, l.death = true, 0.2, 0.05
	if hasty {
		l.v.Identity.Period = theSoak // so that the next add follows each retire at once
	}
	l.wakes()
	l.lives(5 * 24 * time.Hour)
	l.trouble, l.death = 0, 0
	before := l.v.Identity.Generation
	l.lives(thePeriod + theSoak)
	if l.v.Identity.Generation == before {
		l.fails("the trouble is over and nothing is rotated")
	}
	return l.v.Identity.Generation
}

const newerDropped = "the newer secret is dropped"

// meddling is what others do to what is ours.
var meddling = map[string]func(*life){
	"the connection is deleted": func(l *life) { l.connection = nil },
	"the connection is edited": func(l *life) {
		if l.connection != nil {
			l.connection.edited = true
		}
	},
	"the client is deleted":         func(l *life) { l.client, l.secrets = false, nil },
	"the client's lists are edited": func(l *life) { l.listed = false },
	"a secret is added": func(l *life) {
		if len(l.secrets) == 1 {
			l.secrets = append(slices.Clone(l.secrets), NewSecret())
		}
	},
	"the secret is replaced": func(l *life) {
		if l.client {
			l.secrets = []Secret{NewSecret()}
		}
	},
	"the older secret is dropped": func(l *life) {
		if len(l.secrets) == 2 {
			l.secrets = l.secrets[1:]
		}
	},
	newerDropped: func(l *life) { // as when UAA is restored
		if len(l.secrets) == 2 {
			l.secrets = l.secrets[:1]
		}
	},
	"a sweep": func(l *life) { l.sweep() },
}

func (l *life) marks() {
	if l.connection != nil {
		l.connection.marked = true
	}
}

// sweep doubts both things, as one does that finds a difference.
func (l *life) sweep() {
	if l.v.Identity.LeaseUntil.After(l.now) {
		return
	}
	for _, p := range []*Phase{&l.v.Identity.Client.Phase, &l.v.Identity.Published.Phase} {
		if *p == Present || *p == Lost || *p == Strange {
			*p = Doubted
		}
	}
	now := l.now
	l.v.Identity.DueAt = &now
}

// TestMeddling: whatever others do, nothing turns in circles, and after the next
// sweep what Airflow has is accepted again, unless both were taken away.
func TestMeddling(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range meddling {
			if !yield(name) {
				return
			}
		}
	})
	for seed := range uint64(400) {
		l := newLife(t, seed)
		l.wakes()
		l.trouble, l.death = 0.1, 0.02
		for range 30 {
			l.lives(time.Duration(l.random.Int64N(int64(thePeriod / 2))))
			name := names[l.random.IntN(len(names))]
			l.told = append(l.told, l.now.Format("15:04:05.0 ")+name)
			meddling[name](l)
		}
		l.trouble, l.death = 0, 0
		l.marks()
		l.lives(time.Minute) // what is late has acted
		for range 3 {
			l.sweep()
			l.lives(time.Minute)
		}
		if l.v.Identity.Client.Phase == Lost && l.v.Identity.Published.Phase == Lost {
			continue // an operator decides
		}
		if l.connection == nil || !l.client || !l.accepts(l.connection.secret) {
			l.fails("after a sweep UAA refuses what Airflow has")
		}
		before := l.v.Identity.Generation
		l.lives(2*thePeriod + theSoak)
		if l.v.Identity.Generation == before {
			l.fails("nothing is rotated any more")
		}
	}
}

// TestRestoredRows: the database is restored, and an operator lets go of what is
// held. What Airflow has is accepted all the time, and in the end it rotates again.
func TestRestoredRows(t *testing.T) {
	t.Parallel()
	held := 0
	for seed := range uint64(300) {
		if newLife(t, seed).isRestored(true) {
			held++
		}
	}
	t.Logf("%d were held", held)
}

func (l *life) isRestored(swept bool) (held bool) {
	l.Helper()
	l.trouble, l.death = 0.1, 0.02
	l.wakes()
	within := func(most time.Duration) { l.lives(time.Duration(l.random.Int64N(int64(most)))) }
	within(2 * thePeriod)
	before := l.v
	within(3 * thePeriod)
	for l.secrets[len(l.secrets)-1] != l.connection.secret {
		// Between add and publish nothing tells which one Airflow has.
		within(time.Minute)
	}
	l.v, l.late, l.published, l.watch = before, nil, nil, true
	l.told = append(l.told, l.now.Format("15:04:05.0 ")+"the database is restored")
	l.lives(thePeriod)
	if held = l.v.Identity.HeldAt != nil; held {
		l.letsGo()
	}
	for range 5 {
		within(20 * time.Second)
		if swept {
			l.sweep()
		}
	}
	l.trouble, l.death = 0, 0
	generation := l.v.Identity.Generation
	l.lives(2*thePeriod + theSoak)
	if l.v.Identity.Generation == generation || l.v.Identity.Restored {
		l.fails("nothing is rotated any more")
	}
	return held
}

// letsGo is what an operator's accept-restore writes.
func (l *life) letsGo() {
	i, now := &l.v.Identity, l.now
	i.Generation = max(i.Generation, i.HeldGeneration)
	i.PublishedGeneration, i.HeldAt, i.HeldGeneration, i.Restored = i.Generation, nil, 0, true
	i.Candidate, i.Old, i.Overlap, i.RetireAt = Secret{}, Secret{}, Single, nil
	i.Published.Phase, i.RotateAt, i.DueAt, i.Urgent, i.RotateAbove = Doubted, &now, &now, false, 0
	i.WishVersion++
	l.told = append(l.told, l.now.Format("15:04:05.0 ")+"the restore is accepted")
}
