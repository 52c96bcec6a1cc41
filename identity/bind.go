package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// BindRequest asks for a binding.
type BindRequest struct {
	Instance   InstanceGUID
	Binding    BindingGUID
	Plan       PlanID
	Space      SpaceGUID // of the one who binds; "" if the platform did not say
	App        AppGUID   // "" for a service key
	Parameters []byte    // canonical JSON
	Origin     Origin
	// Judge applies the guardrails to the instance as it is now, under its
	// lock. It is pure; its error is returned as it is and nothing is written.
	Judge func(Instance) (Grant, error)
}

// Grant is what the guardrails made of a bind.
type Grant struct {
	Asked         []Authority // nil: nothing was asked for
	Authorities   []Authority
	TokenLifetime time.Duration
	// Connection is the id that was asked for; "" for the default.
	Connection ConnectionID
}

// Bound is a binding that succeeded.
type Bound struct {
	Binding  Binding
	Identity Identity
	Instance Instance
}

// Bind makes a binding and everything that belongs to it, or finds that the very
// same one exists. Errors: ErrNotFound (no such instance), ErrConflict, ErrBusy,
// ErrForeignSpace, ErrUnavailable, ErrLate, *TakenError, *FailedError, Judge's.
func (e *Engine) Bind(ctx context.Context, req BindRequest) (bound Bound, created bool, err error) {
	ctx, cancel := e.within(ctx, e.Budget)
	defer cancel()
	for {
		attempt, err := e.startBind(ctx, req)
		if err != nil {
			return Bound{}, false, err
		}
		if attempt.pay != "" {
			// The id is being taken from the same holder, or is owed: that is
			// the old identity's own converge, and it comes first.
			if err := e.payFirst(ctx, attempt.pay); err != nil {
				return Bound{}, false, err
			}
			continue
		}
		if attempt.created {
			v, known := e.converge(ctx, attempt.env, attempt.lease, attempt.view, attempt.steps)
			if b := v.binding(attempt.binding.Row); known && b.SucceededAt != nil && b.UnboundAt == nil {
				return Bound{Binding: *b, Identity: v.Identity, Instance: v.Instance}, true, nil
			}
		}
		bound, err = e.awaitBound(ctx, attempt.binding)
		return bound, attempt.created, err
	}
}

// bindAttempt is what the first transaction of a bind came to.
type bindAttempt struct {
	binding Binding
	created bool
	pay     ID
	env     Environment
	lease   Lease
	view    View
	steps   []Step
}

func (e *Engine) startBind(ctx context.Context, req BindRequest) (attempt bindAttempt, err error) {
	instance, found, err := e.Store.Instance(ctx, req.Instance)
	if err != nil {
		return attempt, err
	}
	if !found {
		return attempt, ErrNotFound
	}
	env, err := e.environment(instance.Environment)
	if err != nil {
		return attempt, err
	}
	// Outside the transaction, since it may call UAA; a binding that exists
	// already does without.
	endpoints, endpointsErr := env.Clients.Endpoints(ctx)

	now, local := e.Clock(), time.Now()
	err = e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		attempt = bindAttempt{env: env}
		instance, err := tx.Instance(ctx, req.Instance)
		if err != nil {
			return err
		}
		if instance == nil || instance.RemovingAt != nil {
			return ErrNotFound
		}
		if req.Space != "" && req.Space != instance.Space {
			return ErrForeignSpace
		}
		existing, err := tx.Binding(ctx, req.Binding)
		if err != nil {
			return err
		}
		if existing != nil && existing.RemovedAt == nil {
			attempt.binding = *existing
			return existing.meets(req, *instance, now)
		}
		grant, err := req.Judge(*instance)
		if err != nil {
			return err
		}
		if endpointsErr != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, endpointsErr)
		}
		reservation, pay, err := e.chooseConnection(ctx, tx, req, grant, *instance, env)
		if err != nil || pay != "" {
			attempt.pay = pay
			return err
		}
		clock, err := tx.Clock(ctx)
		if err != nil {
			return err
		}
		v := e.newView(req, grant, *instance, *reservation, endpoints, now, clock)
		attempt.created, attempt.binding = true, v.Bindings[0]
		attempt.lease = Lease{ID: v.Identity.ID, Epoch: 1, Until: local.Add(e.lease)}
		attempt.steps, _ = e.turn(&v, env, nil, now, false)
		attempt.view = v
		if err := tx.InsertView(ctx, v); err != nil {
			return err
		}
		event := e.asked("bind", req.Origin, *instance)
		event.Where = whereView(v)
		event.Where.Binding = string(req.Binding)
		event.Authorities = texts(grant.Authorities)
		return tx.Record(ctx, event)
	})
	return attempt, err
}

// meets tells what a request for a binding that exists comes to: nil if it is
// the same one.
func (b Binding) meets(req BindRequest, instance Instance, now time.Time) error {
	if !b.Live(now) {
		return ErrBusy // being removed: it can be created anew once it is gone
	}
	same := b.Instance == instance.Row && req.Plan == instance.Plan && b.App == req.App && bytes.Equal(b.Parameters, req.Parameters)
	if !same {
		return ErrConflict
	}
	return nil
}

func (e *Engine) newView(req BindRequest, grant Grant, instance Instance, reservation Reservation, endpoints Endpoints, now, clock time.Time) View {
	id := NewID()
	reservation.Identity = id
	reservation.Space = instance.Space
	reservation.ReleasedAt = nil
	identity := Identity{
		ID:            id,
		Kind:          AirflowIdentity,
		Instance:      instance.Row,
		Environment:   instance.Environment,
		Holder:        HolderOf(instance.GUID, req.App),
		Asked:         grant.Asked,
		Granted:       grant.Authorities,
		TokenLifetime: grant.TokenLifetime,
		Endpoints:     endpoints,
		Generation:    1,
		Secret:        NewSecret(),
		Airflow:       reservation.Airflow,
		Connection:    reservation.ID,
		Description:   describe(instance, grant.Authorities),
		Client:        Thing{Phase: Absent},
		Published:     Thing{Phase: Absent},
		Lane:          LanePeople,
		DueAt:         &now,
		LeaseUntil:    clock.Add(e.lease),
		LeaseEpoch:    1,
		WishVersion:   1,
		RequestID:     req.Origin.RequestID,
		CreatedAt:     now,
	}
	binding := Binding{
		Row:        RowID(uuid.NewString()),
		GUID:       req.Binding,
		Instance:   instance.Row,
		Identity:   id,
		App:        req.App,
		Parameters: req.Parameters,
		FinishBy:   now.Add(e.Budget + finishGrace),
		CreatedAt:  now,
	}
	return View{Identity: identity, Bindings: []Binding{binding}, Reservation: reservation, Instance: instance, Clock: clock}
}

// awaitBound waits for a binding to be whole or to have failed. Past the budget
// a create is given up: it is failed, and cleaned up behind.
func (e *Engine) awaitBound(ctx context.Context, binding Binding) (Bound, error) {
	for pause := newPause(); ; {
		current, found, err := e.Store.Binding(ctx, binding.GUID)
		switch {
		case err != nil:
			// Not knowing is no answer: read again until the budget ends.
		case !found || current.Row != binding.Row:
			return Bound{}, ErrBusy // it was removed while it was being made
		default:
			if done, bound, err := e.answerBind(ctx, current); done {
				return bound, err
			}
		}
		if err := pause.wait(ctx); err != nil {
			return e.giveUp(ctx, binding)
		}
	}
}

func (e *Engine) answerBind(ctx context.Context, b Binding) (done bool, bound Bound, err error) {
	now := e.Clock()
	switch {
	case b.UnboundAt != nil:
		return true, Bound{}, ErrBusy
	case b.FailedAt != nil:
		return true, Bound{}, b.failure()
	case b.SucceededAt != nil:
		v, err := e.Store.View(ctx, b.Identity)
		if err != nil {
			return false, Bound{}, nil
		}
		return true, Bound{Binding: b, Identity: v.Identity, Instance: v.Instance}, nil
	case !b.Live(now):
		return true, Bound{}, ErrLate
	default:
		return false, Bound{}, nil
	}
}

func (b Binding) failure() error {
	if b.Failure.Code == FailedLate {
		return ErrLate
	}
	return &FailedError{b.Failure}
}

// giveUp fails a create whose budget is over, unless it has succeeded in the
// last moment. If the database does not answer, finish_by does the same.
func (e *Engine) giveUp(ctx context.Context, binding Binding) (Bound, error) {
	ctx, cancel := detached(ctx, finishGrace)
	defer cancel()
	now := e.Clock()
	err := e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		v, err := tx.View(ctx, binding.Identity)
		if err != nil {
			return err
		}
		b := v.binding(binding.Row)
		if b == nil || !b.Live(now) || b.SucceededAt != nil {
			return nil
		}
		b.fail(lateFailure, now)
		v.wishChanged(now)
		if err := tx.SaveView(ctx, *v, v.Identity.LeaseEpoch); err != nil {
			return err
		}
		return tx.Record(ctx, e.failed(*v, *b))
	})
	e.Wake()
	if err != nil {
		return Bound{}, errors.Join(ErrLate, err)
	}
	current, found, err := e.Store.Binding(ctx, binding.GUID)
	if err != nil || !found || current.Row != binding.Row {
		return Bound{}, ErrLate
	}
	if done, bound, err := e.answerBind(ctx, current); done {
		return bound, err
	}
	return Bound{}, ErrLate
}

var lateFailure = Failure{FailedLate, "it was not finished in time"}

// payFirst makes an identity that is on its way out due and waits until its
// connection id is free.
func (e *Engine) payFirst(ctx context.Context, id ID) error {
	if err := e.hurry(ctx, id); err != nil {
		return err
	}
	for pause := newPause(); ; {
		v, err := e.Store.View(ctx, id)
		if err == nil && v.Identity.CleanAt != nil {
			return nil
		}
		if err := pause.wait(ctx); err != nil {
			return ErrBusy
		}
	}
}

// hurry makes an identity due now, whatever it was waiting for.
func (e *Engine) hurry(ctx context.Context, id ID) error {
	now := e.Clock()
	defer e.Wake()
	return e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		v, err := tx.View(ctx, id)
		if err != nil || v.Identity.CleanAt != nil {
			return err
		}
		v.wishChanged(now)
		return tx.SaveView(ctx, *v, v.Identity.LeaseEpoch)
	})
}
