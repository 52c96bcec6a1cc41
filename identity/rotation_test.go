package identity

import (
	"strings"
	"testing"
	"time"
)

var patient = Environment{
	ClientsPatience:     Patience{Timeout: 10 * time.Second, Quiet: 20 * time.Second},
	ConnectionsPatience: Patience{Timeout: 15 * time.Second, Quiet: 30 * time.Second},
}

// walk takes one identity through turns, in memory. The outcome of every call is
// told, so that the steps between are seen, all of them and in their order.
type walk struct {
	*testing.T
	e     *Engine
	v     View
	now   time.Time
	steps []Step
}

const (
	thePeriod = 4 * time.Hour
	theSoak   = 2 * time.Hour
)

// newWalk begins with an identity that is whole and whose rotation is due.
func newWalk(t *testing.T) *walk {
	w := &walk{T: t, now: noon, v: viewWith(Wanted, Present, Present, 0, 0)}
	w.e = &Engine{Config: Config{Clock: func() time.Time { return w.now }}, lease: time.Minute}
	i := &w.v.Identity
	i.ID, i.Period, i.Soak, i.RotateAt = "pilgrim", thePeriod, theSoak, &noon
	return w
}

// begins claims the row, as it is due or as its last holder has died, which leaves
// nothing but intents.
func (w *walk) begins() *walk {
	w.Helper()
	if w.v.Identity.LeaseUntil.After(w.v.Clock) {
		w.now = w.now.Add(time.Minute) // the dead one's lease ends
	}
	w.v.Clock = w.now
	w.v.Identity.LeaseEpoch++
	w.v.Identity.LeaseUntil = w.now.Add(w.e.lease)
	w.steps, _ = w.e.turn(&w.v, patient, nil, w.now, false)
	return w
}

// does demands the steps, as "secret add", one line each, and tells their outcomes.
func (w *walk) does(want string, outcomes ...Outcome) *walk {
	w.Helper()
	if got := w.planned(); got != want {
		w.Fatalf("steps: got %q, want %q; the row: %+v", got, want, w.v.Identity)
	}
	var results []result
	for n, s := range w.steps {
		r := reply{outcome: outcomes[n]}
		if outcomes[n] == Ahead {
			r.generation = w.v.Identity.Generation + 2
		}
		results = append(results, result{step: s, reply: r, wish: w.v.Identity.WishVersion})
	}
	w.now = w.now.Add(time.Second)
	w.v.Clock = w.now
	w.steps, _ = w.e.turn(&w.v, patient, results, w.now, false)
	return w
}

func (w *walk) planned() string {
	var all []string
	for _, s := range w.steps {
		all = append(all, string(s.Thing)+" "+string(s.Act))
	}
	return strings.Join(all, ", ")
}

// rests demands that nothing is done now, and goes on when the row is due, however
// often it is looked at in vain.
func (w *walk) rests() *walk {
	w.Helper()
	if len(w.steps) > 0 {
		w.Fatalf("steps: got %q, want rest", w.planned())
	}
	for range 5 {
		if w.v.Identity.DueAt == nil {
			w.Fatal("it is never due again")
		}
		if w.now = *w.v.Identity.DueAt; len(w.begins().steps) > 0 {
			return w
		}
	}
	w.Fatalf("it is due again and again, and nothing is done; the row: %+v", w.v.Identity)
	return w
}

// is demands how the second secret stands, of which generation, and which secrets
// are known beside the one of the row.
func (w *walk) is(overlap Phase, generation int, candidate, old bool) *walk {
	w.Helper()
	i := w.v.Identity
	if i.Overlap != overlap || i.Generation != generation || i.Candidate.IsZero() == candidate || i.Old.IsZero() == old {
		w.Fatalf("the second secret is %s, the generation %d, candidate=%t old=%t; want %s, %d, %t, %t",
			i.Overlap, i.Generation, !i.Candidate.IsZero(), !i.Old.IsZero(), overlap, generation, candidate, old)
	}
	return w
}

// adds goes as far as that the newer secret is to be proven.
func (w *walk) adds() *walk {
	w.Helper()
	return w.does("connection check", Done).is(Creating, 5, true, false).does("secret add", Done)
}

// publishes goes as far as that it soaks.
func (w *walk) publishes() *walk {
	w.Helper()
	return w.adds().does("secret verify", Done).does("connection set", Done)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWalk(t).begins()
	former := w.v.Identity.Secret
	// The marker is read before anything is added, and the candidate is written
	// before it is sent.
	w.does("connection check", Done).is(Creating, 5, true, false)
	candidate := w.v.Identity.Candidate
	w.does("secret add", Done).is(Creating, 5, true, false)
	w.does("secret verify", Done).is(Present, 6, false, true)
	if i := w.v.Identity; i.Secret != candidate || i.Old != former || i.Published.Phase != Changing || i.RetireAt != nil || i.PublishedGeneration != 5 {
		t.Errorf("while it is published: %+v", i)
	}
	w.does("connection set", Done).is(Present, 6, false, true)
	published := w.now
	i := w.v.Identity
	if want := published.Add(theSoak + 15*time.Second); !i.RetireAt.Equal(want) {
		t.Errorf("the older one goes at %s, want the soak and the longest time-out after the publish, %s", i.RetireAt, want)
	}
	if i.PublishedGeneration != 6 || !i.PublishedAt.Equal(published) || !i.RotateAt.After(published.Add(thePeriod/2)) || i.RotateAt.After(published.Add(thePeriod)) {
		t.Errorf("once it is published: %+v", i)
	}
	if !i.DueAt.Equal(*i.RetireAt) || i.Lane != LaneRotation {
		t.Errorf("in soak it is due at %s in lane %d", i.DueAt, i.Lane)
	}
	w.rests().does("connection check", Done).is(Removing, 6, false, true)
	w.does("secret retire", Done).is(Single, 6, false, false)
	if i := w.v.Identity; i.RetireAt != nil || !i.DueAt.Equal(*i.RotateAt) || i.Secret != candidate {
		t.Errorf("in the end: %+v", i)
	}
	w.rests().does("connection check", Done).does("secret add", Done)
}

// TestRotationAfterCrash: whoever comes next knows what was intended and nothing
// else. The same secret is sent again, and nothing is said twice.
func TestRotationAfterCrash(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*walk){
		"before the add": func(w *walk) {
			w.begins().does("connection check", Done).begins().is(Creating, 5, true, false)
			candidate := w.v.Identity.Candidate
			w.does("secret verify", NotThere).is(Missing, 5, true, false)
			w.rests() // until the add cannot act any more
			w.does("connection check", Done).does("secret add", Done).does("secret verify", Done).does("connection set", Done)
			if w.v.Identity.Secret != candidate {
				w.Error("another secret was sent than the one that may have been added")
			}
		},
		"after the add": func(w *walk) {
			w.begins().does("connection check", Done).begins().does("secret verify", Done).is(Present, 6, false, true).does("connection set", Done).is(Present, 6, false, true)
		},
		"the add acts as it is sent again": func(w *walk) {
			w.begins().does("connection check", Done).begins().does("secret verify", NotThere).rests()
			w.does("connection check", Done).does("secret add", Exists).is(Crowded, 5, true, false).does("secret sort", Done).is(Present, 6, false, true)
		},
		"before verify":  func(w *walk) { w.begins().adds().begins().does("secret verify", Done).does("connection set", Done) },
		"before publish": func(w *walk) { w.begins().adds().does("secret verify", Done).begins().does("connection set", Done) },
		"after publish":  func(w *walk) { w.begins().publishes().begins().is(Present, 6, false, true) },
		"while it sorts": func(w *walk) { w.begins().twoAlready().begins().does("secret sort", Done).is(Present, 6, false, true) },
		"while it resets": func(w *walk) {
			w.begins().twoAlready().does("secret sort", NotThere).is(Changing, 5, true, false).begins()
			w.does("connection check", Done).does("secret reset", Done).is(Missing, 5, true, false)
			w.rests().does("connection check", Done).does("secret add", Done)
		},
		"before the older goes": func(w *walk) {
			w.begins().publishes().rests().does("connection check", Done).begins().is(Removing, 6, false, true)
			w.rests().does("secret confirm", Exists).is(Present, 6, false, true)
			w.does("connection check", Done).does("secret retire", Done).is(Single, 6, false, false)
		},
		"after the older went": func(w *walk) {
			w.begins().publishes().rests().does("connection check", Done).begins()
			w.rests().does("secret confirm", Done).is(Single, 6, false, false)
		},
		"and the one that Airflow has is refused": func(w *walk) {
			w.begins().publishes().rests().does("connection check", Done).begins()
			w.rests().does("secret confirm", Refused).is(Stray, 6, false, true)
			w.does("connection check", Done).does("secret reset", Done).is(Single, 6, false, false)
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newWalk(t))
		})
	}
}

// twoAlready goes as far as that UAA holds two, the newer of them not proven.
func (w *walk) twoAlready() *walk {
	w.Helper()
	return w.does("connection check", Done).does("secret add", Exists).is(Crowded, 5, true, false)
}

func TestRotationElsewise(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*walk){
		// Logins go on with what Airflow has, and the stray dies.
		"two, of which the newer is not ours": func(w *walk) {
			w.begins().twoAlready().does("secret sort", NotThere).is(Changing, 5, true, false)
			w.does("secret reset", Done).is(Creating, 5, true, false)
			w.does("secret add", Done).does("secret verify", Done).does("connection set", Done).is(Present, 6, false, true)
		},
		"one only when the older is to go": func(w *walk) {
			w.begins().publishes().rests().does("connection check", Done).does("secret retire", Alone).is(Unproven, 6, false, true)
			w.does("secret confirm", Done).is(Single, 6, false, false)
		},
		"retire is lost": func(w *walk) {
			w.begins().publishes().rests().does("connection check", Done).does("secret retire", Unknown).is(Removing, 6, false, true)
			lost := w.now
			if waited := w.rests().now.Sub(lost); waited < patient.ClientsPatience.Quiet {
				w.Errorf("it asks after %s, while the retire may still act", waited)
			}
			w.does("secret confirm", Done).is(Single, 6, false, false)
		},
		// With the older secret, which tasks in soak hold, then the newer one.
		"the client is lost in soak": func(w *walk) {
			w.begins().publishes()
			w.v.Identity.Client.Phase = Doubted
			w.begins().does("client check", NotThere).is(Missing, 6, false, true)
			w.does("connection check", Done)
			if oldest := w.v.Identity.oldest(); oldest != w.v.Identity.Old || w.v.Identity.newest() != w.v.Identity.Secret {
				w.Error("the client is not made again with the older secret first")
			}
			w.does("client restore", Done).does("secret add", Done).does("secret verify", Done).is(Present, 6, false, true)
			w.rests().does("connection check", Done).does("secret retire", Done).is(Single, 6, false, false)
		},
		"the client is lost before the publish": func(w *walk) {
			w.begins().adds()
			w.v.Identity.Client.Phase = Doubted
			w.begins().does("client check", NotThere).is(Missing, 5, true, false)
			if oldest := w.v.Identity.oldest(); oldest != w.v.Identity.Secret || w.v.Identity.newest() != w.v.Identity.Candidate {
				w.Error("the client is not made again with what Airflow has first")
			}
			w.does("connection check", Done).does("client restore", Done).does("secret add", Done).does("secret verify", Done).does("connection set", Done).is(Present, 6, false, true)
		},
		"both are lost": func(w *walk) {
			w.begins().publishes()
			w.v.Identity.Client.Phase, w.v.Identity.Published.Phase = Doubted, Doubted
			w.begins().does("client check, connection check", NotThere, NotThere).stops()
		},
		"the connection is lost": func(w *walk) {
			w.begins().does("connection check", NotThere).does("client check", Done).does("connection restore", Done)
			w.does("secret add", Done) // it was read as it was made
		},
		"somebody edited the connection": func(w *walk) {
			w.begins().does("connection check", Differs).does("connection set", Done).does("secret add", Done)
		},
		"somebody removed the marker": func(w *walk) { w.begins().does("connection check", Foreign).stops() },
		"UAA refuses what Airflow has": func(w *walk) {
			w.v.Identity.RotateAt, w.v.Identity.Client.Phase = &later, Doubted
			w.begins().does("client check", Refused).is(Stray, 5, false, false)
			w.does("connection check", Done).does("secret reset", Done).is(Single, 5, false, false)
		},
		"the client has other lists": func(w *walk) {
			w.begins().adds().does("secret verify", Differs).does("client check", Differs).does("client set", Done).does("connection set", Done).is(Present, 6, false, true)
		},
		"a freeze": func(w *walk) {
			w.v.PausedUntil = &later
			w.begins().rests().does("connection check", Done)
			if !w.now.After(later) {
				w.Error("it did not wait for the freeze to end")
			}
			// What was begun before a freeze is published in it, and the older stays.
			w.v.Paused = true
			w.does("secret add", Done).does("secret verify", Done).does("connection set", Done)
			w.now = w.v.Identity.RetireAt.Add(time.Minute)
			w.begins().is(Present, 6, false, true)
			if len(w.steps) > 0 {
				w.Errorf("in a freeze: %s", w.planned())
			}
			w.v.Paused = false
			w.begins().does("connection check", Done).does("secret retire", Done).is(Single, 6, false, false)
		},
		"unbound in mid-rotation": func(w *walk) {
			w.begins().adds()
			w.v.Bindings[0].UnboundAt = &w.now
			w.v.wishChanged(w.now)
			w.does("secret verify", Done).does("client take, connection take", Done, Done)
			if i := w.v.Identity; i.Generation != 5 || !i.Secret.IsZero() || !i.Candidate.IsZero() || !i.Old.IsZero() {
				w.Errorf("nothing is left of it, and the row has %+v", i)
			}
		},
		// The soak that has begun ends when it was said to.
		"another period": func(w *walk) {
			w.begins().publishes()
			retire := *w.v.Identity.RetireAt
			if !w.v.retime(time.Hour, time.Minute, w.now) || w.v.retime(time.Hour, time.Minute, w.now) {
				w.Error("a retime says whether anything changes")
			}
			i := w.v.Identity
			if !i.RetireAt.Equal(retire) || i.RotateAt.After(i.PublishedAt.Add(time.Hour)) {
				w.Errorf("retire at %s, rotate at %s", i.RetireAt, i.RotateAt)
			}
			// The next one is due before the older has gone, and waits for it.
			w.now = *i.RotateAt
			w.begins().rests().does("connection check", Done).does("secret retire", Done).does("secret add", Done)
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newWalk(t))
		})
	}
}

// stops demands that nothing is done, and that only a time of the rotation or
// nothing at all makes the row due.
func (w *walk) stops() *walk {
	w.Helper()
	if len(w.steps) > 0 {
		w.Fatalf("steps: got %q, want rest", w.planned())
	}
	if again := w.begins(); len(again.steps) > 0 {
		w.Fatalf("steps, when it is looked at again: got %q, want rest", w.planned())
	}
	return w
}

// TestUrgentRotation: once a secret has leaked nothing but quiet is waited for,
// and in the end tokens are revoked.
func TestUrgentRotation(t *testing.T) {
	t.Parallel()
	leak := func(w *walk) *walk {
		w.v.Identity.Urgent, w.v.Identity.RotateAbove, w.v.Paused = true, w.v.Identity.Generation, true
		return w
	}
	ends := func(w *walk, generation int) {
		w.Helper()
		w.does("secret revoke", Done).is(Single, generation, false, false)
		if i := w.v.Identity; i.Urgent || i.RotateAbove != 0 || len(w.steps) > 0 {
			w.Errorf("a leak that is mended: %+v, %q", i, w.planned())
		}
	}
	t.Run("in rest", func(t *testing.T) {
		t.Parallel()
		w := newWalk(t)
		w.v.Identity.RotateAt = &later
		leak(w).begins().publishes().does("secret retire", Done)
		ends(w, 6)
	})
	t.Run("in soak", func(t *testing.T) {
		t.Parallel()
		// The older one goes at once, and so does the newer once it is replaced.
		w := leak(newWalk(t).begins().publishes()).begins()
		w.does("connection check", Done).does("secret retire", Done).is(Creating, 6, true, false)
		w.does("secret add", Done).does("secret verify", Done).does("connection set", Done).does("secret retire", Done)
		ends(w, 7)
	})
	t.Run("before the publish", func(t *testing.T) {
		t.Parallel()
		w := leak(newWalk(t).begins().adds()).begins()
		w.does("secret verify", Done).does("connection set", Done).does("secret retire", Done)
		ends(w, 6)
	})
	t.Run("quiet is waited for", func(t *testing.T) {
		t.Parallel()
		w := leak(newWalk(t)).begins().publishes().does("secret retire", Unknown).is(Removing, 6, false, true)
		lost := w.now
		w.rests().does("secret confirm", Done)
		if waited := w.now.Sub(lost); waited < patient.ClientsPatience.Quiet {
			t.Errorf("it confirms after %s", waited)
		}
		ends(w, 6)
	})
	t.Run("a revoke that is lost is sent again", func(t *testing.T) {
		t.Parallel()
		w := leak(newWalk(t)).begins().publishes().does("secret retire", Done).does("secret revoke", Unknown)
		ends(w.rests(), 6)
	})
}

// TestRestoredDatabase: a marker that is newer than its row holds it.
func TestRestoredDatabase(t *testing.T) {
	t.Parallel()
	t.Run("held", func(t *testing.T) {
		t.Parallel()
		w := newWalk(t).begins().does("connection check", Ahead).stops()
		i := &w.v.Identity
		if i.HeldAt == nil || i.HeldGeneration != 7 || i.DueAt != nil {
			t.Errorf("held: %+v", i)
		}
		i.Client.Phase, i.RetireAt, i.Urgent = Doubted, &noon, true
		w.begins().stops()
		w.v.Bindings[0].UnboundAt = &w.now
		w.begins().does("client take, connection take", Done, Done)
	})
	t.Run("its environment is", func(t *testing.T) {
		t.Parallel()
		w := newWalk(t)
		w.v.EnvironmentHeld = true
		w.begins().stops()
		if w.v.Identity.DueAt != nil {
			t.Errorf("due at %s", w.v.Identity.DueAt)
		}
	})
	// An operator lets go: what the row knows of secrets is of before, and which
	// of UAA's two is older than the published one is not known.
	accepted := func(t *testing.T) *walk {
		w := newWalk(t)
		i := &w.v.Identity
		i.Generation, i.PublishedGeneration, i.Restored, i.Published.Phase = 7, 7, true, Doubted
		return w.begins()
	}
	t.Run("accepted", func(t *testing.T) {
		t.Parallel()
		w := accepted(t).does("connection check", Differs) // another description, perhaps
		w.does("secret add", Exists).does("secret sort", NotThere).is(Dropping, 7, true, false)
		w.does("secret drop", Done).does("secret add", Done).does("secret verify", Done).is(Present, 8, false, false)
		if w.v.Identity.Restored {
			t.Error("what the row knows is of after the restore again")
		}
		w.does("connection set", Done).is(Present, 8, false, false).rests()
		w.does("connection check", Done).does("secret retire", Unknown).is(Removing, 8, false, false)
		// Nobody knows the older one, so it cannot be asked with.
		w.rests().does("connection check", Done).does("secret retire", Alone).is(Unproven, 8, false, false).does("secret confirm", Done).is(Single, 8, false, false)
	})
	t.Run("accepted, and there was one only", func(t *testing.T) {
		t.Parallel()
		w := accepted(t).does("connection check", Done).does("secret add", Done).does("secret verify", Done)
		w.is(Present, 8, false, false).does("connection set", Done).rests().does("connection check", Done).does("secret retire", Done).is(Single, 8, false, false)
	})
	t.Run("accepted, and the drop is lost", func(t *testing.T) {
		t.Parallel()
		w := accepted(t).does("connection check", Done).does("secret add", Exists).does("secret sort", NotThere).does("secret drop", Unknown)
		w.rests().does("connection check", Done).does("secret drop", Alone).does("secret add", Done).does("secret verify", Done).is(Present, 8, false, false)
	})
}

// TestFirstPublish: the connection that a bind made is the first publish.
func TestFirstPublish(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	i := &w.v.Identity
	i.Generation, i.PublishedGeneration, i.RotateAt = 1, 0, nil
	i.Client.Phase, i.Published.Phase = Absent, Absent
	w.begins().does("client make, connection make", Done, Done).is(Single, 1, false, false)
	if i.PublishedGeneration != 1 || !i.PublishedAt.Equal(w.now) || i.RetireAt != nil || !i.DueAt.Equal(*i.RotateAt) || len(w.steps) > 0 {
		t.Errorf("after the create: %+v", i)
	}
}

// TestNextRotation: in the second half of a period, at a place that the identity
// keeps, which is another one for each.
func TestNextRotation(t *testing.T) {
	t.Parallel()
	for _, period := range []time.Duration{time.Minute, thePeriod, 7*time.Hour + 1, 31 * 24 * time.Hour} {
		buckets := map[time.Duration]int{}
		half := period / 2
		for n := range 10_000 {
			id := NewID()
			published := noon.Add(time.Duration(n) * 977 * time.Millisecond)
			at := nextRotation(id, published, period)
			if !at.After(published.Add(half)) || at.After(published.Add(period)) {
				t.Fatalf("a period of %s: %s after the publish", period, at.Sub(published))
			}
			place := time.Duration(at.UnixNano() % int64(half))
			buckets[place*100/half]++
			// Each publish comes a little after its time, up to an outage.
			for _, late := range []time.Duration{0, time.Second, half / 3, 5 * period} {
				at = nextRotation(id, at.Add(late), period)
				if again := time.Duration(at.UnixNano() % int64(half)); again != place {
					t.Fatalf("a period of %s, %s late: its place was %s and is %s", period, late, place, again)
				}
			}
			if steady := nextRotation(id, at.Add(time.Second), period).Sub(at); steady != 2*half {
				t.Fatalf("a period of %s: from one rotation to the next it is %s", period, steady)
			}
		}
		for bucket, count := range buckets {
			if count > 500 {
				t.Errorf("a period of %s: %d of 10,000 are due in the hundredth part %d", period, count, bucket)
			}
		}
	}
}
