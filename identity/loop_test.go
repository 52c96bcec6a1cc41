package identity

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// idleStore has nothing due. Whatever else it is asked for is a bug.
type idleStore struct{ Store }

func (idleStore) Purge(context.Context, time.Time) error { return nil }
func (idleStore) Due(context.Context, []EnvironmentName) ([]Due, error) {
	return nil, nil
}

func TestVerbsEndWithTheLoop(t *testing.T) {
	t.Parallel()
	for range 200 {
		e, err := NewEngine(Config{Store: idleStore{}, Broker: "b", Budget: time.Second, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		verb, done := e.within(t.Context(), time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		looped := make(chan error, 1)
		go func() { looped <- e.Run(ctx) }()
		cancel()
		if err := <-looped; err != nil {
			t.Fatal(err)
		}
		if e.stopping.Err() == nil {
			t.Fatal("the loop has ended and verbs go on")
		}
		<-verb.Done()
		done()
	}
}

// TestSlots: what nobody waits for takes half of an environment's slots at most,
// and waits for some to be free rather than claiming row by row.
func TestSlots(t *testing.T) {
	t.Parallel()
	e := &Engine{Config: Config{Concurrency: 16, Environments: map[EnvironmentName]Environment{"prod": {}, "test": {}}}}
	l := newLoop(e)
	s := l.slots["prod"]
	for taken := range 8 {
		if free, busy := s.free(LaneRotation), s.busy(LaneRotation); free != 8-taken || busy != (taken > 6) {
			t.Errorf("with %d taken by rotation: %d free for sweeps and busy=%t, want %d and %t", taken, free, busy, 8-taken, taken > 6)
		}
		s.take(LaneRotation)
	}
	if s.free(LaneSweep) != 0 || s.free(LanePeople) != 8 || s.busy(LanePeople) {
		t.Errorf("with its half taken: %d free for sweeps and %d for people", s.free(LaneSweep), s.free(LanePeople))
	}
	for range 8 {
		s.take(LanePeople)
	}
	s.give(LaneRotation)
	if s.free(LanePeople) != 1 || s.free(LaneRotation) != 1 {
		t.Errorf("one was given back: %d free for people and %d for rotation", s.free(LanePeople), s.free(LaneRotation))
	}
	if l.slots["test"].free(LanePeople) != 16 {
		t.Error("another environment's slots are not its own")
	}
}
