package identity

import (
	"context"
	"time"

	"airflow-identity/audit"
)

// work is a row that a verb has leased, with the steps whose intents it wrote.
type work struct {
	env   Environment
	lease Lease
	view  View
	steps []Step
}

// carryOut converges rows that a verb has leased, side by side, and waits for them
// within the budget. When it is over the calls are cut, and writing their outcomes
// goes on behind the answer.
func (e *Engine) carryOut(ctx context.Context, all []work) {
	done := make(chan struct{}, len(all))
	for _, w := range all {
		e.behind.Go(func() {
			e.converge(ctx, w.env, w.lease, w.view, w.steps)
			done <- struct{}{}
		})
	}
	for range all {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// take saves a view whose wish was just written, and begins to carry it out if
// nobody holds the row; whoever does reads the wish before the next step.
func (e *Engine) take(ctx context.Context, tx Tx, v *View, env Environment, now, local time.Time) (work, []audit.Event, error) {
	epoch := v.Identity.LeaseEpoch
	if v.leased() {
		return work{}, nil, tx.SaveView(ctx, *v, epoch)
	}
	v.Identity.LeaseEpoch = epoch + 1
	steps, events := e.turn(v, env, nil, now, false)
	w := work{env, Lease{v.Identity.ID, epoch + 1, local.Add(e.lease)}, *v, steps}
	return w, events, tx.SaveView(ctx, *v, epoch)
}
