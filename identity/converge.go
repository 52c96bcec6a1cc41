package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// converge carries a row's wish out as far as it can be now: steps, then the
// turn that writes their outcomes and decides the next, until there are none.
// It ends early when ctx does; the row then stays due.
func (e *Engine) converge(ctx context.Context, env Environment, lease Lease, v View, steps []Step) {
	for len(steps) > 0 {
		results := e.do(ctx, env, lease, v, steps)
		var err error
		v, steps, err = e.advance(ctx, env, &lease, results)
		if err != nil {
			e.Logger.Warn("handing an identity over", "identity", lease.ID, "error", err)
			return
		}
	}
	e.Wake()
}

// do makes the calls of all steps side by side, each within its remote's
// time-out and the lease.
func (e *Engine) do(ctx context.Context, env Environment, lease Lease, v View, steps []Step) []result {
	results := make([]result, len(steps))
	var calls sync.WaitGroup
	for i, s := range steps {
		calls.Go(func() {
			r := e.call(ctx, env, lease, v, s)
			if r.err != nil {
				e.Logger.Warn("remote call", "identity", v.Identity.ID, "thing", s.Thing, "act", s.Act,
					"reason", s.Reason, "outcome", r.outcome, "error", r.err, "request_id", v.Identity.RequestID)
			}
			results[i] = result{step: s, reply: r, event: uuid.New(), wish: v.Identity.WishVersion}
		})
	}
	calls.Wait()
	return results
}

// call makes a step's call within its remote's time-out and the lease.
func (e *Engine) call(ctx context.Context, env Environment, lease Lease, v View, s Step) reply {
	ctx, cancel := context.WithDeadline(ctx, earliest(lease.Until, time.Now().Add(env.patience(s.Thing).Timeout)))
	defer cancel()
	if err := ctx.Err(); err != nil {
		return replied(Later, fmt.Errorf("not sent: %w", err))
	}
	act, known := calls[s.Thing][s.Act]
	if !known {
		return replied(Later, fmt.Errorf("no call is known for %s of %s", s.Act, s.Thing))
	}
	if !s.Act.reads() {
		if err := env.permitted(ctx); err != nil {
			return replied(Later, fmt.Errorf("not sent: %w", err))
		}
	}
	return act(ctx, env, wanted{View: v, client: e.client(v), connection: v.connection(v.marker(e.Broker))})
}

// labelBroker is the label of a client that names the broker which made it.
const labelBroker = "afi_broker"

// client is the UAA client as the row says it should be.
func (e *Engine) client(v View) Client {
	i := v.Identity
	return Client{
		ID:            i.ID.ClientID(),
		Name:          nameOf(i),
		Authorities:   i.Granted,
		TokenLifetime: i.TokenLifetime,
		Labels: map[string]string{
			labelBroker:    string(e.Broker),
			"afi_identity": string(i.ID),
			"afi_instance": string(v.Instance.GUID),
		},
	}
}

// nameOf is what UAA's operators see in a list of clients.
func nameOf(i Identity) string {
	if i.Kind == AppIdentity {
		return fmt.Sprintf("app client (%s)", i.Environment)
	}
	return fmt.Sprintf("Airflow connection %s (%s)", i.Connection, i.Environment)
}

// connection is the connection as the row says it should be.
func (v View) connection(marker Marker) Connection {
	i := v.Identity
	return Connection{Marker: marker, Team: i.Team, Host: i.Endpoints.TokenURL, Login: i.ID.ClientID(), Description: i.Description}
}

// describe composes the sentence for the person who finds the connection at 3 a.m.
func describe(instance Instance, authorities []Authority) string {
	return fmt.Sprintf("Managed by Airflow Identity for %s/%s/%s: %s. Edits are undone.",
		instance.Names.Org, instance.Names.Space, instance.Names.Instance, strings.Join(texts(authorities), ", "))
}

// advance is the transaction between two rounds. An answer that does not come is
// no answer: it is tried again for as long as the lease lasts, which is safe,
// because outcomes set what is known and add nothing to it.
func (e *Engine) advance(ctx context.Context, env Environment, lease *Lease, results []result) (View, []Step, error) {
	for pause := newPause(); ; {
		v, steps, until, err := e.tryAdvance(ctx, env, *lease, results)
		if err == nil {
			lease.Until = until
			return v, steps, nil
		}
		if errors.Is(err, errFenced) || time.Now().After(lease.Until) || e.stopping.Err() != nil {
			return View{}, nil, err
		}
		waiting, cancel := detached(ctx, e.lease)
		_ = pause.wait(waiting)
		cancel()
	}
}

func (e *Engine) tryAdvance(ctx context.Context, env Environment, lease Lease, results []result) (v View, steps []Step, until time.Time, err error) {
	stop := ctx.Err() != nil
	ctx, cancel := detached(ctx, e.LeaseGrace)
	defer cancel()

	local := time.Now()
	err = e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		view, err := tx.View(ctx, lease.ID)
		if err != nil {
			return err
		}
		now := e.Clock() // after the locks, which may have been waited for
		wasHeld := view.held()
		if view.Identity.LeaseEpoch != lease.Epoch || !view.leased() {
			return errFenced
		}
		live := view.liveRows(now)
		more, events := e.turn(view, env, results, now, stop)
		v, steps = *view, more
		if err := tx.SaveView(ctx, *view, lease.Epoch); err != nil {
			return err
		}
		if !wasHeld && view.held() {
			if err := tx.HoldEnvironment(ctx, view.Identity.Environment, e.HoldAbove, now); err != nil {
				return err
			}
		}
		if secretRefused(results) && !view.Identity.Restored {
			if err := tx.Suspect(ctx, view.Identity.Environment, now, e.SweepPeriod); err != nil {
				return err
			}
		}
		if err := tx.WakeIdentities(ctx, view.leftAlone(live, now), now); err != nil {
			return err
		}
		return tx.Record(ctx, events...)
	})
	return v, steps, local.Add(e.lease), err
}

// secretRefused tells whether UAA refuses what Airflow has: it may have been
// restored, and then it refuses many.
func secretRefused(results []result) bool {
	return slices.ContainsFunc(results, func(r result) bool { return r.step.Act == Check && r.outcome == Refused })
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
