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
	// Connection is the id that was asked for; "" for the default.
	Connection ConnectionID
	// AsyncAllowed: past the budget the create goes on behind a 202, for as long
	// as MaximumPolling. Without it, it is given up.
	AsyncAllowed   bool
	MaximumPolling time.Duration
	// Quota is how many bindings the instance may hold; 0: any number.
	Quota int
	// Judge applies the guardrails to the instance as it is now, under its
	// lock. joins: the connection that was named is one of the instance's own,
	// and the allow-list does not judge it again. Judge is pure; its error is
	// returned as it is and nothing is written.
	Judge func(instance Instance, joins bool) (Grant, error)
}

// Grant is what the guardrails made of a bind.
type Grant struct {
	Asked         []Authority // nil: nothing was asked for
	Authorities   []Authority
	TokenLifetime time.Duration
	// Period is how often the secret in Airflow is replaced, Soak how long the
	// former one stays valid.
	Period, Soak time.Duration
	// Airflow: an Airflow identity is made or joined. AppClient: the caller gets
	// a client of its own, which lives for ExpiresIn. At least one is set.
	Airflow   bool
	AppClient bool
	ExpiresIn time.Duration
	// Team is Airflow's team that a new connection belongs to; "": none.
	Team Team
}

// soak is never shorter than a token lives.
func (g Grant) soak() time.Duration { return max(g.Soak, g.TokenLifetime) }

// Bound is a binding that succeeded, with its identities.
type Bound struct {
	Binding  Binding
	Instance Instance
	Airflow  *Identity // nil: the binding has none
	Client   *Identity // nil: the binding has none. Its secret is zero once it ended.
}

// Bind makes a binding and everything that belongs to it, or finds that the very
// same one exists. Errors: ErrNotFound (no such instance), ErrConflict, ErrBusy,
// ErrForeignSpace, ErrUnavailable, ErrLate, *TakenError, *QuotaError,
// *FailedError, *PendingError, Judge's.
func (e *Engine) Bind(ctx context.Context, req BindRequest) (bound Bound, created bool, err error) {
	ctx, cancel := e.within(ctx, e.Budget)
	defer cancel()
	finishBy := e.Clock().Add(e.Budget + finishGrace)
	for {
		attempt, err := e.startBind(ctx, req, finishBy)
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
		e.carryOut(ctx, attempt.work)
		bound, err = e.awaitBound(ctx, attempt.binding, req, attempt.created)
		return bound, attempt.created, err
	}
}

// bindAttempt is what the first transaction of a bind came to.
type bindAttempt struct {
	binding Binding
	created bool
	pay     ID
	work    []work
}

func (e *Engine) startBind(ctx context.Context, req BindRequest, finishBy time.Time) (attempt bindAttempt, err error) {
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
	endpoints, clientsDown := e.uaaReachable(ctx, env)

	local := time.Now()
	decided := false
	err = e.Store.Within(ctx, func(ctx context.Context, tx Tx) (err error) {
		defer func() { decided = err == nil }()
		attempt = bindAttempt{}
		instance, err := tx.Instance(ctx, req.Instance)
		if err != nil {
			return err
		}
		now := e.Clock() // after the lock, which may have been waited for
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
		siblings, err := tx.Bindings(ctx, instance.Row)
		if err != nil {
			return err
		}
		if err := withinQuota(ctx, req.Quota, "bindings of this instance", func(context.Context) (int, error) { return len(siblings), nil }); err != nil {
			return err
		}
		c := choice{req: req, instance: *instance, siblings: siblings, env: env, now: now}
		plan, err := c.make(ctx, tx)
		if err != nil || plan.pay != "" {
			attempt.pay = plan.pay
			return err
		}
		if err := plan.reachable(ctx, env, clientsDown); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		clock, err := tx.Clock(ctx)
		if err != nil {
			return err
		}
		attempt.created = true
		b := bindingOf(req, *instance, now, finishBy)
		m := maker{Engine: e, req: req, grant: plan.grant, instance: *instance, env: env, endpoints: endpoints, now: now, clock: clock, local: local}
		attempt.work, err = m.insert(ctx, tx, &b, plan)
		attempt.binding = b
		return err
	})
	if err != nil && decided && attempt.created {
		return e.wasCommitted(ctx, req, attempt, err)
	}
	return attempt, err
}

// wasCommitted finds out whether a commit whose reply was lost was made, under
// the lock that it held. If so its create goes on: whoever waits is answered, and
// what is answered with a failure is taken away again.
func (e *Engine) wasCommitted(ctx context.Context, req BindRequest, attempt bindAttempt, lost error) (bindAttempt, error) {
	for pause := newPause(); ; {
		var found *Binding
		err := e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
			if _, err := tx.Instance(ctx, req.Instance); err != nil {
				return err
			}
			var err error
			found, err = tx.Binding(ctx, req.Binding)
			return err
		})
		switch {
		case err == nil && found != nil && found.Row == attempt.binding.Row:
			return attempt, nil
		case err == nil:
			return attempt, lost
		}
		if err := pause.wait(ctx); err != nil {
			return attempt, errors.Join(ErrLate, lost)
		}
	}
}

// uaaReachable asks UAA for what a new identity needs, before anything is written.
func (e *Engine) uaaReachable(ctx context.Context, env Environment) (Endpoints, error) {
	if err := env.Clients.Available(ctx); err != nil {
		return Endpoints{}, err
	}
	if err := env.permitted(ctx); err != nil {
		return Endpoints{}, err
	}
	return env.Clients.Endpoints(ctx)
}

// reachable tells why what the plan makes cannot be made now: each new identity
// needs UAA, and a new connection its Airflow too.
func (p bindPlan) reachable(ctx context.Context, env Environment, clientsDown error) error {
	switch {
	case p.reservation != nil:
		return errors.Join(clientsDown, env.Connections.Available(ctx))
	case p.grant.AppClient:
		return clientsDown
	default:
		return nil
	}
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

func bindingOf(req BindRequest, instance Instance, now, finishBy time.Time) Binding {
	return Binding{
		Row:        RowID(uuid.NewString()),
		GUID:       req.Binding,
		Instance:   instance.Row,
		App:        req.App,
		Parameters: req.Parameters,
		FinishBy:   finishBy,
		CreatedAt:  now,
	}
}

// awaitBound waits for a binding to be whole or to have failed. Past the budget
// it goes on behind a 202 if that is allowed; else whoever made it gives it up,
// and whoever repeated the request is told that it is under way.
func (e *Engine) awaitBound(ctx context.Context, binding Binding, req BindRequest, made bool) (Bound, error) {
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
			return e.budgetOver(ctx, binding, req, made)
		}
	}
}

func (e *Engine) answerBind(ctx context.Context, b Binding) (done bool, bound Bound, err error) {
	switch {
	case b.UnboundAt != nil:
		return true, Bound{}, ErrBusy
	case b.FailedAt != nil:
		return true, Bound{}, b.failure()
	case b.SucceededAt != nil:
		bound, err := e.bound(ctx, b)
		return err == nil, bound, nil
	case !b.Live(e.Clock()):
		return true, Bound{}, ErrLate
	default:
		return false, Bound{}, nil
	}
}

// bound reads what belongs to a binding that succeeded.
func (e *Engine) bound(ctx context.Context, b Binding) (Bound, error) {
	bound := Bound{Binding: b}
	for _, part := range []struct {
		id ID
		to **Identity
	}{{b.Airflow.Identity, &bound.Airflow}, {b.Client.Identity, &bound.Client}} {
		if part.id == "" {
			continue
		}
		v, err := e.Store.View(ctx, part.id)
		if err != nil {
			return Bound{}, err
		}
		if v.Identity.Expired(e.Clock()) {
			v.Identity.Secret = Secret{} // the loop wipes it in its own time
		}
		bound.Instance, *part.to = v.Instance, &v.Identity
	}
	return bound, nil
}

func (b Binding) failure() error {
	if b.Failure.Code == FailedLate {
		return ErrLate
	}
	return &FailedError{b.Failure}
}

// budgetOver records a 202 or gives the create up, unless it has ended in the
// last moment. If the database does not answer, finish_by gives it up.
func (e *Engine) budgetOver(ctx context.Context, binding Binding, req BindRequest, made bool) (Bound, error) {
	if !req.AsyncAllowed && !made {
		return Bound{}, ErrBusy
	}
	// Past finish_by at the latest, so that what is answered with a failure
	// cannot succeed any more.
	ctx, cancel := detached(ctx, finishGrace+time.Second)
	defer cancel()
	now := e.Clock()
	err := e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		// Every identity of the binding is locked, so that neither sees it half
		// given up.
		var views []*View
		for _, id := range binding.Identities() {
			v, err := tx.View(ctx, id)
			if err != nil {
				return err
			}
			views = append(views, v)
		}
		for _, v := range views {
			b := v.binding(binding.Row)
			if b == nil || !b.Live(now) || b.SucceededAt != nil || b.AsyncAt != nil {
				return nil // it has ended, or a 202 was answered to somebody
			}
			if req.AsyncAllowed {
				b.AsyncAt, b.FinishBy = &now, now.Add(req.MaximumPolling)
			} else {
				b.fail(lateFailure, now)
			}
			v.wishChanged(now)
			if err := tx.SaveView(ctx, *v, v.Identity.LeaseEpoch); err != nil {
				return err
			}
		}
		if !req.AsyncAllowed && len(views) > 0 {
			return tx.Record(ctx, e.failed(*views[0], *views[0].binding(binding.Row)))
		}
		return nil
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
	switch {
	case current.AsyncAt == nil:
		return Bound{}, ErrLate
	case req.AsyncAllowed:
		return Bound{}, &PendingError{operation(opBind, current.Row)}
	default:
		return Bound{}, ErrBusy
	}
}

var lateFailure = Failure{FailedLate, "it was not finished in time"}

// payFirst makes an identity that is on its way out due and waits until its
// connection id is free.
func (e *Engine) payFirst(ctx context.Context, id ID) error {
	if err := e.hurry(ctx, id); err != nil {
		return err
	}
	if !until(ctx, func() bool {
		v, err := e.Store.View(ctx, id)
		return err == nil && v.Identity.CleanAt != nil
	}) {
		return ErrBusy
	}
	return nil
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
