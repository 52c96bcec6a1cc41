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
func (idleStore) Claim(context.Context, Lane, time.Time, time.Duration, int) ([]Lease, error) {
	return nil, nil
}
func (idleStore) NextDue(context.Context, Lane) (time.Time, bool, error) {
	return time.Time{}, false, nil
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
