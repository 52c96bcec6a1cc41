package integration

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/uaa"
)

// The real program has no clock to move, so its rows are made due.
const (
	sqlRotateDue = `UPDATE identity SET rotate_at = now(), due_at = now(), lane = 1`
	sqlRetireDue = `UPDATE identity SET retire_at = now(), due_at = now(), lane = 1`
)

func (o *operator) sql(text string) {
	o.t.Helper()
	if _, err := o.pool.Exec(o.t.Context(), text); err != nil {
		o.t.Fatal(err)
	}
}

// retiresNow ends the soak of an identity of real programs.
func (s *standing) retiresNow() {
	s.o.t.Helper()
	if s.row().Overlap == identity.Single {
		return
	}
	s.o.sql(sqlRetireDue)
	s.o.awaits("the end of a soak", func() bool { return s.row().Overlap == identity.Single })
}

// TestManyBrokersRotateOnce: of any number of brokers one works on a row.
func TestManyBrokersRotateOnce(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	brokers := []*process{o.broker(), o.broker(), o.broker()}
	all := o.bound(brokers[0].platform, 12)
	o.rests()
	o.advance(4 * time.Hour)
	for _, s := range all {
		s.published(2)
	}
	brokers[0].stop()
	for _, s := range all {
		s.retires()
	}
	o.rests()
	for _, s := range all {
		made, generation := o.prod().uaa.SecretChanges()[s.client], s.row().Generation
		if made[uaa.ModeAdd] != generation-1 || made[uaa.ModeUpdate] != 0 || o.prod().airflow.Updates()[s.connection] != generation-1 {
			t.Errorf("%s at generation %d: %s, and patched %d times", s.connection, generation, s.changes(), o.prod().airflow.Updates()[s.connection])
		}
	}
	o.check()
	o.unbindAll(brokers[1].platform, all...)
}

// relief is two real programs on one identity, of which the second does nothing until
// the first has come to a point of its rotation.
type relief struct {
	*operator
	s             *standing
	first, second *program
	firstLog      *safeBuffer
}

func newRelief(t *testing.T) *relief {
	o := newWorld(t, crashOptions).operator()
	return o.reliefOn(o.url)
}

// reliefOn has the first one reach its database through something else.
func (o *operator) reliefOn(database string) *relief {
	o.t.Helper()
	c := &relief{operator: o, firstLog: &safeBuffer{}}
	c.first = newProgram(o.t, c.firstLog, o.configFile(), o.brokerEnvironment(database)...)
	c.first.platform = o.platform(c.first.url())
	c.first.start()
	c.second = o.program("")
	c.s = o.bound(c.first.platform, 1)[0]
	o.rests()
	c.signal(c.second, syscall.SIGSTOP)
	o.t.Cleanup(func() { c.signal(c.second, syscall.SIGCONT) })
	return c
}

// signal does not wait for anything.
func (c *relief) signal(p *program, s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !strings.Contains(err.Error(), "finished") {
		c.t.Errorf("%s: %v", s, err)
	}
}

// uncertain is what the checker finds of a call whose outcome nobody lived to tell of.
const uncertain = "acted 1 times, and events tell of 0"

// ends checks what the second has made of it, and takes it away.
func (c *relief) ends() {
	c.t.Helper()
	c.rests()
	c.checkBut(uncertain)
	c.s.retiresNow()
	c.rests()
	c.checkBut(uncertain)
	c.unbindAll(c.second.platform, c.s)
}

var rotationPoints = []struct {
	name, system string
	fault        standin.Fault
}{
	{"add", "uaa", standin.Fault{Call: "PUT /oauth/clients/", Match: uaa.ChangesSecret(uaa.ModeAdd)}},
	{"publish", "airflow", standin.Fault{Call: "PATCH /api/v2/connections/"}},
	{"retire", "uaa", standin.Fault{Call: "PUT /oauth/clients/", Match: uaa.ChangesSecret(uaa.ModeDelete)}},
}

// TestTakeover: a broker is killed in the middle of a rotation, or is told to stop.
func TestTakeover(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name   string
		signal syscall.Signal
		within time.Duration
	}{{"SIGKILL", syscall.SIGKILL, 30 * time.Second}, {"SIGTERM", syscall.SIGTERM, 12 * time.Second}} {
		for _, point := range rotationPoints {
			t.Run(end.name+" at the "+point.name, func(t *testing.T) {
				t.Parallel()
				c := newRelief(t)
				over := c.s.watched()
				if point.name == "retire" {
					c.sql(sqlRotateDue)
					c.s.published(2)
					c.rests()
				}
				ended := make(chan time.Time, 1)
				fault := point.fault
				fault.Kind, fault.After = standin.LoseAfter, sync.OnceFunc(func() {
					told := time.Now()
					c.first.signal(end.signal)
					if took := time.Since(told); end.signal == syscall.SIGTERM {
						t.Logf("it stopped in %s", took.Round(time.Millisecond))
						if took > 8*time.Second {
							t.Errorf("it stopped in %s, want 8 s at most", took)
						}
					}
					c.signal(c.second, syscall.SIGCONT)
					ended <- time.Now()
				})
				c.prod().faults(point.system).Add(fault)
				if point.name == "retire" {
					c.sql(sqlRetireDue)
				} else {
					c.sql(sqlRotateDue)
				}
				at := <-ended
				c.awaits("the other has finished", func() bool {
					i := c.s.row()
					return i.PublishedGeneration == 2 && i.Generation == 2 && (i.Overlap == identity.Single) == (point.name == "retire") && i.Published.Phase == identity.Present
				})
				took := time.Since(at)
				t.Logf("%s at the %s: the other had finished after %s", end.name, point.name, took.Round(time.Millisecond))
				if took > end.within {
					t.Errorf("it took over in %s, want %s at most", took, end.within)
				}
				c.rests()
				over()
				c.ends()
			})
		}
	}
}

// TestStoppedInTheMiddleOfAnAdd: its request is under way, and arrives when another has
// long gone on.
func TestStoppedInTheMiddleOfAnAdd(t *testing.T) {
	t.Parallel()
	c := newRelief(t)
	over := c.s.watched()
	stopped, release := make(chan struct{}), make(chan struct{})
	c.prod().uaa.Faults.Add(standin.Fault{Call: "PUT /oauth/clients/", Kind: standin.Slow, Release: release, Before: func() {
		c.signal(c.first, syscall.SIGSTOP)
		c.signal(c.second, syscall.SIGCONT)
		close(stopped)
	}})
	c.sql(sqlRotateDue)
	<-stopped
	began := time.Now()
	c.s.published(2)
	t.Logf("the other had published after %s", time.Since(began).Round(time.Millisecond))
	c.rests()
	c.resumes(func() { close(release) })
	over()
	c.ends()
}

// resumes lets the first go on and demands that it changes nothing.
func (c *relief) resumes(also func()) {
	c.t.Helper()
	before, mutated := c.snapshot(), c.mutations()
	c.signal(c.first, syscall.SIGCONT)
	also()
	// It finds its lease lost, or the commit that it waited for too late.
	c.awaits("the one that was stopped notices", func() bool { return strings.Contains(c.firstLog.String(), "handing an identity over") })
	if after := c.snapshot(); after != before {
		c.t.Errorf("the one that was stopped changed something:\n%s\nwas\n%s", after, before)
	}
	if now := c.mutations(); now != mutated {
		c.t.Errorf("the one that was stopped changed\n%s\nto\n%s", mutated, now)
	}
}
