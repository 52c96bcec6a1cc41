package identity

import (
	"context"
	"time"

	"airflow-identity/audit"
)

// UnbindRequest asks for the end of a binding.
type UnbindRequest struct {
	Instance InstanceGUID
	Binding  BindingGUID
	Origin   Origin
}

// Unbind takes a binding away. A repeated one joins the removal. Errors:
// ErrNotFound (never was, or gone already), ErrLate (it goes on; repeat).
func (e *Engine) Unbind(ctx context.Context, req UnbindRequest) error {
	ctx, cancel := e.within(ctx, e.Budget)
	defer cancel()

	var (
		binding Binding
		env     Environment
		lease   Lease
		steps   []Step
		view    View
	)
	now, local := e.Clock(), time.Now()
	err := e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		lease, steps = Lease{}, nil
		instance, err := tx.Instance(ctx, req.Instance)
		if err != nil {
			return err
		}
		found, err := tx.Binding(ctx, req.Binding)
		if err != nil {
			return err
		}
		if instance == nil || found == nil || found.Instance != instance.Row || found.RemovedAt != nil {
			return ErrNotFound
		}
		binding = *found
		if env, err = e.environment(instance.Environment); err != nil {
			return err
		}
		v, err := tx.View(ctx, found.Identity)
		if err != nil {
			return err
		}
		if v.binding(found.Row).RemovedAt != nil {
			return ErrNotFound
		}
		epoch := v.Identity.LeaseEpoch
		v.unbind(found.Row, now)
		v.Identity.RequestID = req.Origin.RequestID
		event := e.asked("unbind", req.Origin, *instance)
		event.Where = whereView(*v)
		event.Where.Binding = string(req.Binding)
		events := []audit.Event{event}
		if !v.leased() {
			// Whoever holds it would read the wish before the next step.
			v.Identity.LeaseEpoch = epoch + 1
			lease = Lease{ID: v.Identity.ID, Epoch: epoch + 1, Until: local.Add(e.lease)}
			var more []audit.Event
			steps, more = e.turn(v, env, nil, now, false)
			events = append(events, more...)
		}
		view = *v
		if err := tx.SaveView(ctx, *v, epoch); err != nil {
			return err
		}
		return tx.Record(ctx, events...)
	})
	if err != nil {
		return err
	}
	if len(steps) > 0 {
		e.converge(ctx, env, lease, view, steps)
	}
	e.Wake()
	return e.awaitRemoved(ctx, binding)
}

func (e *Engine) awaitRemoved(ctx context.Context, binding Binding) error {
	for pause := newPause(); ; {
		current, found, err := e.Store.Binding(ctx, binding.GUID)
		if err == nil && (!found || current.Row != binding.Row || current.RemovedAt != nil) {
			return nil
		}
		if err := pause.wait(ctx); err != nil {
			return ErrLate
		}
	}
}

// DeprovisionRequest asks for the end of an instance.
type DeprovisionRequest struct {
	Instance InstanceGUID
	Origin   Origin
}

// Deprovision takes an instance away, and its bindings with it. It touches many
// rows, so it writes all wishes, holds no lease and waits for the loop. Errors:
// ErrNotFound, ErrLate (it goes on; repeat).
func (e *Engine) Deprovision(ctx context.Context, req DeprovisionRequest) error {
	ctx, cancel := e.within(ctx, e.Budget)
	defer cancel()

	var row RowID
	now := e.Clock()
	err := e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		instance, err := tx.Instance(ctx, req.Instance)
		if err != nil {
			return err
		}
		if instance == nil {
			return ErrNotFound
		}
		row = instance.Row
		if err := tx.LockReservations(ctx, row); err != nil {
			return err
		}
		left, err := tx.Bindings(ctx, row)
		if err != nil {
			return err
		}
		if instance.RemovingAt != nil && len(left) == 0 {
			return ErrNotFound
		}
		if instance.RemovingAt == nil {
			if err := tx.MarkRemoving(ctx, row, now); err != nil {
				return err
			}
		}
		events := []audit.Event{e.asked("deprovision", req.Origin, *instance)}
		for _, b := range left {
			v, err := tx.View(ctx, b.Identity)
			if err != nil {
				return err
			}
			v.unbind(b.Row, now)
			v.Identity.RequestID = req.Origin.RequestID
			if err := tx.SaveView(ctx, *v, v.Identity.LeaseEpoch); err != nil {
				return err
			}
			event := e.asked("unbind", req.Origin, *instance)
			event.Where = whereView(*v)
			event.Where.Binding, event.Reason = string(b.GUID), "deprovision"
			events = append(events, event)
		}
		return tx.Record(ctx, events...)
	})
	if err != nil {
		return err
	}
	e.Wake()
	for pause := newPause(); ; {
		left, err := e.Store.LiveBindings(ctx, row)
		if err == nil && left == 0 {
			return nil
		}
		if err := pause.wait(ctx); err != nil {
			return ErrLate
		}
	}
}
