package integration

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/integration/standin"
)

// crashPoint is a moment at which the process is killed.
type crashPoint struct {
	name string
	arm  func(w *world, c *commits, kill func())
}

// at kills around a remote call: when it has arrived and never acts, when it has
// arrived and acts after all, when it has acted and nobody hears the reply.
func at(call remoteCall) []crashPoint {
	arm := func(fault standin.Fault) func(*world, *commits, func()) {
		return func(w *world, _ *commits, kill func()) {
			fault := call.rule(fault)
			if fault.Kind == standin.LoseAfter {
				fault.After = kill
			} else {
				fault.Before = kill
			}
			w.prod().faults(call.system).Add(fault)
		}
	}
	return []crashPoint{
		{call.name + " sent, never acts", arm(standin.Fault{Kind: standin.LoseBefore})},
		{call.name + " sent, acts when nobody is left", arm(standin.Fault{Kind: standin.Notice})},
		{call.name + " acted, reply lost", arm(standin.Fault{Kind: standin.LoseAfter})},
	}
}

// atCommitOf kills around the nth commit of a verb.
func atCommitOf(name string, n int) []crashPoint {
	arm := func(after bool) func(*world, *commits, func()) {
		return func(_ *world, c *commits, kill func()) { c.at(atCommit{skip: n, after: after, act: kill}) }
	}
	return []crashPoint{
		{name + " not committed", arm(false)},
		{name + " committed, nobody told", arm(true)},
	}
}

// bothActed kills when both calls of a round have acted and neither was answered.
func bothActed(name string, a, b remoteCall) crashPoint {
	return crashPoint{name, func(w *world, _ *commits, kill func()) {
		var left atomic.Int32
		left.Store(2)
		for _, call := range []remoteCall{a, b} {
			w.prod().faults(call.system).Add(call.rule(standin.Fault{Kind: standin.LoseAfter, After: func() {
				if left.Add(-1) == 0 {
					kill()
				}
			}}))
		}
	}}
}

func bindCrashes() []crashPoint {
	points := atCommitOf("wish and intents", 0)
	for _, call := range bindCalls {
		points = append(points, at(call)...)
	}
	points = append(points, bothActed("both made, neither answered", bindCalls[2], bindCalls[4]))
	return append(points, atCommitOf("outcomes and answer", 1)...)
}

func unbindCrashes() []crashPoint {
	points := atCommitOf("wish and intents", 0)
	for _, call := range unbindCalls {
		points = append(points, at(call)...)
	}
	points = append(points, bothActed("both taken, neither answered", unbindCalls[1], unbindCalls[4]))
	return append(points, atCommitOf("outcomes and answer", 1)...)
}

// TestKillAtEveryStep kills the real program with SIGKILL at every step of bind
// and of unbind; once it is started again, once a second one was there all along.
// A time-out of 1 s makes a lease of 6 s and a quiet time of 2 s.
func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	var rows atomic.Int32
	t.Run("rows", func(t *testing.T) {
		for _, survivor := range []string{"restart", "second broker"} {
			for _, point := range bindCrashes() {
				t.Run(survivor+"/bind/"+point.name, func(t *testing.T) {
					t.Parallel()
					rows.Add(1)
					killedBind(t, point, survivor == "second broker")
				})
			}
			for _, point := range unbindCrashes() {
				t.Run(survivor+"/unbind/"+point.name, func(t *testing.T) {
					t.Parallel()
					rows.Add(1)
					killedUnbind(t, point, survivor == "second broker")
				})
			}
		}
	})
	t.Logf("rows: %d (%d points of bind, %d of unbind, each with a restart and with a second broker)",
		rows.Load(), len(bindCrashes()), len(unbindCrashes()))
}

var crashOptions = options{timeout: time.Second, budget: 12 * time.Second}

func killedBind(t *testing.T, point crashPoint, second bool) {
	w := newWorld(t, crashOptions)
	between, database := newCommits(t, w.url)
	victim := w.program(database)
	survivor := victim
	if second {
		survivor = w.program("")
	}
	want(t, victim.provision("i1", nil), http.StatusCreated, "provision")
	killed := w.armed(point, between, victim)
	if a := victim.bind("i1", "b1", "app-1", nil); a.err == nil {
		t.Errorf("bind: got %d %s from a process that was to be killed", a.status, a.text)
	}
	awaitKill(t, killed)
	if !second {
		victim.start()
	}
	// Whole or gone, before the platform does anything about it.
	w.check()
	if a := survivor.bind("i1", "b1", "app-1", nil); a.status != http.StatusOK && a.status != http.StatusCreated {
		t.Errorf("the same bind again: got %d %s, want 200 or 201", a.status, a.text)
	}
	w.check()
	want(t, survivor.unbind("i1", "b1"), http.StatusOK, "unbind")
	w.check()
	w.nothingLeft()
}

func killedUnbind(t *testing.T, point crashPoint, second bool) {
	w := newWorld(t, crashOptions)
	between, database := newCommits(t, w.url)
	first := w.program("")
	want(t, first.provision("i1", nil), http.StatusCreated, "provision")
	want(t, first.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
	// A process that has no tokens yet, so that it can be killed at its logins.
	victim := w.program(database)
	survivor := first
	if !second {
		first.kill()
		survivor = victim
	}
	killed := w.armed(point, between, victim)
	if a := victim.unbind("i1", "b1"); a.err == nil {
		t.Errorf("unbind: got %d %s from a process that was to be killed", a.status, a.text)
	}
	awaitKill(t, killed)
	if !second {
		victim.start()
	}
	w.check()
	if a := survivor.unbind("i1", "b1"); a.status != http.StatusOK && a.status != http.StatusGone {
		t.Errorf("unbind again: got %d %s, want 200 or 410", a.status, a.text)
	}
	w.check()
	w.nothingLeft()
}

// awaitKill is needed since a point that was not reached would be waited for without end.
func awaitKill(t *testing.T, killed <-chan struct{}) {
	t.Helper()
	select {
	case <-killed:
	case <-time.After(settleWithin):
		t.Fatal("the victim was not killed: nothing was tested")
	}
}

// armed arranges for the victim to be killed at a point and tells when it was.
func (w *world) armed(point crashPoint, between *commits, victim *program) <-chan struct{} {
	killed := make(chan struct{})
	point.arm(w, between, sync.OnceFunc(func() {
		victim.kill()
		close(killed)
	}))
	return killed
}
