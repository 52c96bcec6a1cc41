package integration

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airflow-identity/integration/standin"
)

// epoch reads the lease's epoch of the world's one identity.
func (w *world) epoch() (n int) {
	_ = w.pool.QueryRow(context.Background(), `SELECT max(lease_epoch) FROM identity`).Scan(&n)
	return n
}

// TestOvertakenHolderWritesNothing stops a broker while its call is under way until
// another has taken over and finished, and lets it go on: what it learnt is nobody's
// business any more.
func TestOvertakenHolderWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crashOptions)
	victimLog := &safeBuffer{}
	victim := newProgram(t, victimLog, w.configFile(), w.brokerEnvironment(w.url)...)
	victim.platform = w.platform(victim.url())
	victim.start()
	w.program("")
	want(t, victim.provision("i1", nil), http.StatusCreated, "provision")
	stopped := make(chan struct{})
	w.prod().uaa.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Kind: standin.Notice, Before: func() {
		_ = victim.cmd.Process.Signal(syscall.SIGSTOP)
		close(stopped)
	}})
	go victim.bind("i1", "b1", "app-1", nil)
	<-stopped
	if !eventually(30*time.Second, func() bool { return w.epoch() > 1 }) {
		t.Fatal("nobody took over")
	}
	if !w.settle() {
		t.Fatal("the other broker did not finish")
	}
	before := w.snapshot()
	if err := victim.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !eventually(20*time.Second, func() bool { return strings.Contains(victimLog.String(), "the lease was lost") }) {
		t.Error("the holder that was overtaken did not notice")
	}
	if after := w.snapshot(); after != before {
		t.Errorf("the holder that was overtaken changed something:\n%s\nwas\n%s", after, before)
	}
	w.check()
}

// TestVerbsNeverSteal: a removal that meets a lease waits for its holder, which reads
// the wish and carries it out.
func TestVerbsNeverSteal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 4 * time.Second, budget: 20 * time.Second})
	first, second := w.broker(), w.broker()
	want(t, first.provision("i1", nil), http.StatusCreated, "provision")
	arrived, release := make(chan struct{}), make(chan struct{})
	w.prod().uaa.Faults.Add(standin.Fault{Call: "POST /oauth/clients/restricted", Kind: standin.Slow, Release: release, Before: func() { close(arrived) }})
	made, gone := make(chan answer), make(chan answer)
	go func() { made <- first.bind("i1", "b1", "app-1", nil) }()
	<-arrived
	go func() { gone <- second.unbind("i1", "b1") }()
	asked := eventually(10*time.Second, func() bool {
		var n int
		return w.pool.QueryRow(context.Background(), `SELECT count(*) FROM binding WHERE unbound_at IS NOT NULL`).Scan(&n) == nil && n == 1
	})
	if epoch := w.epoch(); !asked || epoch != 1 {
		t.Errorf("while the create was under way: removal asked for %t, epoch %d, want 1", asked, epoch)
	}
	close(release)
	if a := <-made; a.status != http.StatusUnprocessableEntity {
		t.Errorf("the bind: got %d %s, want 422", a.status, a.text)
	}
	want(t, <-gone, http.StatusOK, "the unbind")
	if epoch := w.epoch(); epoch != 1 {
		t.Errorf("the lease was taken over %d times, and its holder was well", epoch-1)
	}
	w.check()
	w.nothingLeft()
}

// TestUnbindWhileTheDeadHoldALease: the broker that made the client is dead, its
// lease is not over, and the platform asks for the removal elsewhere.
func TestUnbindWhileTheDeadHoldALease(t *testing.T) {
	t.Parallel()
	for _, call := range []remoteCall{bindCalls[2], bindCalls[4]} {
		for _, point := range at(call) {
			t.Run(point.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, crashOptions)
				between, database := newCommits(t, w.url)
				victim, survivor := w.program(database), w.program("")
				want(t, victim.provision("i1", nil), http.StatusCreated, "provision")
				killed := w.armed(point, between, victim)
				victim.bind("i1", "b1", "app-1", nil)
				awaitKill(t, killed)
				if a := survivor.unbind("i1", "b1"); a.status == http.StatusAccepted {
					survivor.pollToTheEnd(t, "i1", "b1", a)
				} else {
					want(t, a, http.StatusOK, "unbind at the other broker")
				}
				w.check()
				w.nothingLeft()
			})
		}
	}
}

// TestFinishByDecides: a create whose broker died is found by another only after its
// finish_by. Nobody asks for its removal, and it goes.
func TestFinishByDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: time.Second, budget: time.Second})
	victim := w.program("")
	want(t, victim.provision("i1", nil), http.StatusCreated, "provision")
	killed := make(chan struct{})
	w.prod().airflow.Faults.Add(bindCalls[4].rule(standin.Fault{Kind: standin.LoseAfter, After: sync.OnceFunc(func() { victim.kill(); close(killed) })}))
	victim.bind("i1", "b1", "app-1", nil)
	awaitKill(t, killed)
	over := eventually(30*time.Second, func() bool {
		var is bool
		return w.pool.QueryRow(context.Background(), `SELECT finish_by < clock_timestamp() FROM binding`).Scan(&is) == nil && is
	})
	if !over {
		t.Fatal("finish_by did not pass")
	}
	survivor := w.program("")
	w.check()
	want(t, survivor.get("i1", "b1"), http.StatusNotFound, "get after finish_by")
	w.nothingLeft()
	var code string
	if err := w.pool.QueryRow(t.Context(), `SELECT failure_code FROM binding`).Scan(&code); err != nil || code != "Late" {
		t.Errorf("the binding failed as %q (%v), want Late", code, err)
	}
}

// TestSecondCommitUnknown cuts the connection at the COMMIT of the outcome, before
// and after it is made, in a process that lives on.
func TestSecondCommitUnknown(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for skip := range 2 {
			t.Run(fmt.Sprintf("commit %d, made %t", skip+1, after), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, options{budget: 20 * time.Second})
				between, database := newCommits(t, w.url)
				direct := w.url
				w.url = database
				p := w.broker()
				w.url = direct
				want(t, p.provision("i1", nil), http.StatusCreated, "provision")
				between.at(atCommit{skip: skip, after: after, act: func() {}})
				bound := p.bind("i1", "b1", "app-1", nil)
				w.check()
				if made := bound.status == http.StatusCreated; made != (p.get("i1", "b1").status == http.StatusOK) {
					t.Errorf("bind was answered with %d %s, and GET says otherwise", bound.status, bound.text)
				}
				between.at(atCommit{skip: skip, after: after, act: func() {}})
				if gone := p.unbind("i1", "b1"); gone.status >= 500 {
					want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind again")
				}
				w.check()
				w.nothingLeft()
			})
		}
	}
}
