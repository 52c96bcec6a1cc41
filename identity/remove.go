package identity

import (
	"context"
	"time"

	"airflow-identity/audit"
)

// UnbindRequest asks for the end of a binding.
type UnbindRequest struct {
	Instance     InstanceGUID
	Binding      BindingGUID
	Origin       Origin
	AsyncAllowed bool
}

// Unbind takes a binding away. A repeated one joins the removal. Errors:
// ErrNotFound (never was, or gone already), ErrLate (it goes on; repeat),
// *PendingError.
func (e *Engine) Unbind(ctx context.Context, req UnbindRequest) error {
	ctx, cancel := e.within(ctx, e.Budget)
	defer cancel()

	var (
		binding Binding
		all     []work
	)
	local := time.Now()
	err := e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		all = nil
		instance, err := tx.Instance(ctx, req.Instance)
		if err != nil {
			return err
		}
		now := e.Clock()
		found, err := tx.Binding(ctx, req.Binding)
		if err != nil {
			return err
		}
		if instance == nil || found == nil || found.Instance != instance.Row || found.RemovedAt != nil {
			return ErrNotFound
		}
		binding = *found
		env, err := e.environment(instance.Environment)
		if err != nil {
			return err
		}
		event := e.asked("unbind", req.Origin, *instance)
		event.Where.Binding = string(req.Binding)
		events := []audit.Event{event}
		for _, id := range found.Identities() {
			v, err := tx.View(ctx, id)
			if err != nil {
				return err
			}
			if v.binding(found.Row).RemovedAt != nil {
				return ErrNotFound
			}
			v.unbind(found.Row, now)
			v.Identity.RequestID = req.Origin.RequestID
			w, more, err := e.take(ctx, tx, v, env, now, local)
			if err != nil {
				return err
			}
			all, events = append(all, w), append(events, more...)
		}
		return tx.Record(ctx, events...)
	})
	if err != nil {
		return err
	}
	e.carryOut(ctx, all)
	return e.awaitRemoved(ctx, binding, req.AsyncAllowed)
}

func (e *Engine) awaitRemoved(ctx context.Context, binding Binding, async bool) error {
	if !until(ctx, func() bool {
		current, found, err := e.Store.Binding(ctx, binding.GUID)
		return err == nil && (!found || current.Row != binding.Row || current.RemovedAt != nil)
	}) {
		return late(async, operation(opUnbind, binding.Row))
	}
	return nil
}

// DeprovisionRequest asks for the end of an instance.
type DeprovisionRequest struct {
	Instance     InstanceGUID
	Origin       Origin
	AsyncAllowed bool
}

// Deprovision takes an instance away, and its bindings with it. It touches many
// rows, so it writes all wishes, holds no lease and waits for the loop. Errors:
// ErrNotFound, ErrLate (it goes on; repeat), *PendingError.
func (e *Engine) Deprovision(ctx context.Context, req DeprovisionRequest) error {
	ctx, cancel := e.within(ctx, e.Budget)
	defer cancel()

	var row RowID
	err := e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		instance, err := tx.Instance(ctx, req.Instance)
		if err != nil {
			return err
		}
		if instance == nil {
			return ErrNotFound
		}
		now := e.Clock() // after the lock, which may have been waited for
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
			if err := e.unbindWith(ctx, tx, b, req.Origin.RequestID, now); err != nil {
				return err
			}
			event := e.asked("unbind", req.Origin, *instance)
			event.Where.Binding, event.Reason = string(b.GUID), "deprovision"
			events = append(events, event)
		}
		return tx.Record(ctx, events...)
	})
	if err != nil {
		return err
	}
	e.Wake()
	if !until(ctx, func() bool {
		left, err := e.Store.LiveBindings(ctx, row)
		return err == nil && left == 0
	}) {
		return late(req.AsyncAllowed, operation(opDeprovision, row))
	}
	return nil
}

// unbindWith writes the wish that one of many bindings be gone.
func (e *Engine) unbindWith(ctx context.Context, tx Tx, b Binding, request string, now time.Time) error {
	for _, id := range b.Identities() {
		v, err := tx.View(ctx, id)
		if err != nil {
			return err
		}
		v.unbind(b.Row, now)
		v.Identity.RequestID = request
		if err := tx.SaveView(ctx, *v, v.Identity.LeaseEpoch); err != nil {
			return err
		}
	}
	return nil
}
