package integration

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/store"
)

// rotationKill is a moment of a rotation at which the process is killed. One at a call
// kills once three identities have come to it, and each call ends in another way.
type rotationKill struct {
	name string
	now  bool // of a `rotate --now`
	call *rotationCall
	// commit is the one that is not made, or made with nobody told.
	commit int
	made   bool
}

// The commits of a rotation, as the loop makes them.
var (
	rotationCommits = []string{
		"the marker is to be read", "intent to add", "added, to be verified", "verified, intent to publish",
		"published", "soaked, the marker is to be read", "intent to retire", "retired",
	}
	nowCommits = []string{"", "", "", "", "published, intent to retire", "retired, intent to revoke", "revoked"}
)

func rotationKills() []rotationKill {
	markerBeforeRetire := markerBeforeRetire
	markerBeforeRetire.skip = 2 // of all that are read
	var kills []rotationKill
	for _, c := range []namedCall{markerBeforeAdd, add, verify, markerBeforePatch, publish, markerBeforeRetire, retire} {
		kills = append(kills, rotationKill{name: c.name, call: &c.rotationCall})
	}
	kills = append(kills, rotationKill{name: revoke.name, now: true, call: &revoke.rotationCall})
	for _, now := range []bool{false, true} {
		commits := rotationCommits
		if now {
			commits = nowCommits
		}
		for n, name := range commits {
			if name != "" {
				kills = append(kills,
					rotationKill{name: name + ": not committed", now: now, commit: n},
					rotationKill{name: name + ": committed, nobody told", now: now, commit: n, made: true})
			}
		}
	}
	return kills
}

// killOptions: a lease of 5.5 s and a quiet time of 1 s.
var killOptions = options{timeout: 500 * time.Millisecond, budget: 20 * time.Second}

// killedSoak is in real time, since the program's clock is not a test's.
const killedSoak = time.Second

// TestKillInMidRotation kills the real program with SIGKILL in the middle of a rotation;
// by turns it is started again, or another takes over.
func TestKillInMidRotation(t *testing.T) {
	t.Parallel()
	var rows atomic.Int32
	t.Run("rows", func(t *testing.T) {
		for n, kill := range rotationKills() {
			another := (n^n>>1)&1 == 1 // in another order than made
			survivor := "restart"
			if another {
				survivor = "another broker"
			}
			order := whenDue.name
			if kill.now {
				order = atOnceNow.name
			}
			t.Run(order+"/"+kill.name+"/"+survivor, func(t *testing.T) {
				t.Parallel()
				rows.Add(int32(killedRotation(t, kill, another)))
			})
		}
	})
	t.Logf("rows: %d", rows.Load())
}

// killedRotation gives the number of rows.
func killedRotation(t *testing.T, kill rotationKill, another bool) int {
	r := &rotating{world: newWorld(t, killOptions), soak: killedSoak}
	names := []string{"one"}
	if kill.call != nil {
		names = nil
		for _, d := range deaths[:3] {
			names = append(names, d.name)
		}
	}
	first := r.broker()
	r.bindAll(first.platform, names...)
	first.stop()
	// Less than a plan may have whose tokens live longer: nobody fetches one.
	if _, err := r.pool.Exec(t.Context(), `UPDATE identity SET soak = $1`, r.soak); err != nil {
		t.Fatal(err)
	}
	between, database := newCommits(t, r.url)
	victim := r.program(database)

	killed := make(chan struct{})
	die := sync.OnceFunc(func() {
		r.deaths.Add(1)
		victim.kill()
		close(killed)
	})
	if kill.call == nil {
		between.at(atCommit{skip: kill.commit, after: kill.made, act: die})
	} else {
		gate := newGathering(len(names), die)
		for i, s := range r.subjects {
			r.dying(*kill.call, s, deaths[i], sync.OnceFunc(gate.arrive))
		}
	}
	for _, s := range r.subjects {
		s.mu.Lock()
		s.leaked = kill.now
		s.mu.Unlock()
	}
	if err := r.ask(store.Selection{Instance: "i1"}, kill.now); err != nil {
		t.Fatal(err)
	}
	awaitKill(t, killed)
	survivor := victim
	if another {
		survivor = r.program("")
	} else {
		victim.start()
	}
	r.face = survivor.platform
	r.await("retired", sqlNotRetired, 2)
	for _, s := range r.subjects {
		if n := s.formerAccepted(r.world); n != 0 {
			t.Errorf("%s: UAA accepts %d former secrets after the retire, want none", s.name, n)
		}
	}
	r.verdict(t, 1)
	r.ends()
	return len(names)
}
