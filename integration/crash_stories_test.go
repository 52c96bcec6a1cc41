package integration

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/integration/standin"
)

// crashStory is something that a broker is killed in the middle of. What prepare
// makes is there before; act is what the victim does when it is killed, and it may
// be answered or not; again is what the platform asks of whoever is left.
type crashStory struct {
	name    string
	points  []crashPoint
	budget  time.Duration
	prepare func(t *testing.T, p *platform)
	act     func(w *world, p *platform)
	again   func(t *testing.T, p *platform)
}

var ending = object{"app_client": true, "expires_in": "3s"}

func crashStories() []crashStory {
	update := append(atCommitOf("wish", 0), atCommitOf("intents", 1)...)
	for _, call := range []remoteCall{updateCalls[1], updateCalls[4]} {
		update = append(update, at(call)...)
	}
	lastOut := append(atCommitOf("wish and intents", 0), at(unbindCalls[1])...)
	lastOut = append(append(lastOut, at(unbindCalls[4])...), atCommitOf("outcomes", 1)...)
	end := append(atCommitOf("intents", 0), at(unbindCalls[1])...)
	async := at(bindCalls[4])
	return []crashStory{
		{
			name: "update", points: append(update, atCommitOf("outcomes", 2)...),
			prepare: func(t *testing.T, p *platform) {
				want(t, p.provision("i1", object{"authorities": []string{"orders.read", "orders.write"}}), http.StatusCreated, "provision")
				want(t, p.bind("i1", "b1", "app-1", nil), http.StatusCreated, "bind")
			},
			act: func(_ *world, p *platform) { p.update("i1", object{"parameters": read}) },
			again: func(t *testing.T, p *platform) {
				want(t, p.update("i1", object{"parameters": read}), http.StatusOK, "the same update again")
			},
		},
		{
			name: "join", points: append(atCommitOf("wish", 0), at(bindCalls[2])...),
			prepare: func(t *testing.T, p *platform) { bindOne(t, nil, p) },
			act:     func(_ *world, p *platform) { p.bind("i1", "b2", "app-1", object{"app_client": true}) },
			again: func(t *testing.T, p *platform) {
				if a := p.bind("i1", "b2", "app-1", object{"app_client": true}); a.status != http.StatusOK && a.status != http.StatusCreated {
					t.Errorf("the same bind again: got %d %s, want 200 or 201", a.status, a.text)
				}
			},
		},
		{
			name: "the last one out", points: lastOut,
			prepare: func(t *testing.T, p *platform) {
				bindOne(t, nil, p)
				want(t, p.bind("i1", "b2", "app-1", nil), http.StatusCreated, "join")
				want(t, p.unbind("i1", "b1"), http.StatusOK, "unbind of one of two")
			},
			act: func(_ *world, p *platform) { p.unbind("i1", "b2") },
			again: func(t *testing.T, p *platform) {
				if a := p.unbind("i1", "b2"); a.status != http.StatusOK && a.status != http.StatusGone {
					t.Errorf("unbind again: got %d %s, want 200 or 410", a.status, a.text)
				}
			},
		},
		{
			name: "an app client ends", points: append(end, atCommitOf("outcomes", 1)...),
			prepare: func(t *testing.T, p *platform) {
				want(t, p.provision("i1", nil), http.StatusCreated, "provision")
				want(t, p.bind("i1", "b1", "app-1", ending), http.StatusCreated, "bind")
			},
			act: func(*world, *platform) {}, // the loop does it, when its time has come
			again: func(t *testing.T, p *platform) {
				var a answer
				ended := eventually(settleWithin, func() bool {
					a = p.get("i1", "b1")
					credentials, _ := a.body["credentials"].(map[string]any)
					return a.status == http.StatusOK && credentials["expired"] == true
				})
				if !ended {
					t.Errorf("the binding of an ended client: got %d %s, want 200 and expired", a.status, a.text)
				}
			},
		},
		{
			name: "async bind", points: async, budget: 500 * time.Millisecond,
			prepare: func(t *testing.T, p *platform) { want(t, p.provision("i1", nil), http.StatusCreated, "provision") },
			act: func(w *world, p *platform) {
				if a := p.bind("i1", "b1", "app-1", nil); a.err == nil && a.status != http.StatusAccepted {
					w.t.Errorf("bind with an Airflow that is down: got %d %s, want 202", a.status, a.text)
				}
			},
			again: func(t *testing.T, p *platform) {
				if state := p.pollToTheEnd(t, "i1", "b1", answer{}); state != "succeeded" {
					t.Errorf("the bind ended as %q, want succeeded", state)
				}
			},
		},
	}
}

// TestKillInTheMiddle kills the real program in the middle of updates, joins, the
// last one out, the end of an app client, and of what goes on behind a 202; once
// it is started again, once another takes over.
func TestKillInTheMiddle(t *testing.T) {
	t.Parallel()
	var rows atomic.Int32
	t.Run("rows", func(t *testing.T) {
		for _, survivor := range []string{"restart", "another broker"} {
			for _, story := range crashStories() {
				for _, point := range story.points {
					t.Run(survivor+"/"+story.name+"/"+point.name, func(t *testing.T) {
						t.Parallel()
						rows.Add(1)
						killedInTheMiddle(t, story, point, survivor == "another broker")
					})
				}
			}
		}
	})
	t.Logf("rows: %d", rows.Load())
}

func killedInTheMiddle(t *testing.T, story crashStory, point crashPoint, another bool) {
	o := crashOptions
	w := newWorld(t, o)
	first := w.program("")
	story.prepare(t, first.platform)
	first.kill()

	if story.budget > 0 {
		w.options.budget = story.budget
		// Airflow is down for as long as the verb has patience.
		w.prod().airflow.Faults.Add(standin.Fault{Call: "POST /api/v2/connections", Kind: standin.Answer, Status: http.StatusServiceUnavailable, Times: 3})
	}
	between, database := newCommits(t, w.url)
	victim := w.program(database)
	killed := w.armed(point, between, victim)
	story.act(w, victim.platform)
	awaitKill(t, killed)
	w.options.budget = o.budget
	survivor := victim
	if another {
		survivor = w.program("")
	} else {
		victim.start()
	}
	w.check()
	story.again(t, survivor.platform)
	w.check()
	if a := survivor.deprovision("i1"); a.status == http.StatusAccepted {
		survivor.pollToTheEnd(t, "i1", "", a)
	} else {
		want(t, a, http.StatusOK, "deprovision")
	}
	w.check()
	w.nothingLeft()
}
