package cloudcontroller

import (
	"context"
	"net/http"
	"net/url"
)

func (b *Binding) path() string { return b.Instance.path() + "/service_bindings/" + b.GUID }

// incomplete says that a 202 is understood, where it is.
func (c *Controller) incomplete(query url.Values) url.Values {
	if c.features.asyncBindings {
		query.Set("accepts_incomplete", "true")
	}
	return query
}

// bind makes a binding at the broker. A key has no app, and no name either.
func (c *Controller) bind(ctx context.Context, b *Binding, parameters object, async bool) error {
	body := object{
		"service_id": b.Instance.Plan.offering.ID, "plan_id": b.Instance.Plan.ID,
		"context": c.context(), "bind_resource": object{},
	}
	if !b.isKey() {
		resource := object{"app_guid": c.appGUID(b.App), "space_guid": c.config.Space.GUID}
		if c.features.annotations {
			resource["app_annotations"] = c.annotations()
		}
		body["app_guid"], body["bind_resource"] = c.appGUID(b.App), resource
	}
	if len(parameters) > 0 {
		body["parameters"] = parameters
	}
	query := url.Values{}
	if async {
		query = c.incomplete(query)
	}
	b.LastOperation = LastOperation{Type: Create, State: StateInProgress}
	a, failure := c.send(ctx, request{call: CallBind, method: http.MethodPut, path: b.path(), query: query, body: body})
	kind := Done
	if failure == nil {
		kind, failure = read(CallBind, a)
	}
	if failure != nil {
		b.LastOperation.State, b.LastOperation.Description = StateFailed, failure.Error()
		if mitigates(failure) {
			c.mitigateBinding(b)
		}
		return failure
	}
	if kind == Done {
		b.complete(a)
		return nil
	}
	if !c.features.fetches || !b.Instance.Plan.offering.BindingsRetrieved {
		b.LastOperation.State = StateFailed
		b.LastOperation.Description = "The broker responded asynchronously but does not support fetching binding data"
		return &Error{Kind: OperationFailed, Call: CallBind, Status: a.status, Message: b.LastOperation.Description}
	}
	b.LastOperation.accepted(a)
	if b.patience == 0 {
		b.patience = c.patience(b.Instance)
	}
	c.pollBinding(ctx, b, func(ctx context.Context) {
		fetched, err := c.fetchBinding(ctx, b)
		if err != nil {
			b.LastOperation.State, b.LastOperation.Description = StateFailed, err.Error()
			return
		}
		b.complete(fetched)
	}, func() { c.mitigateBinding(b) })
	return b.LastOperation.failure()
}

func (b *Binding) complete(a answer) {
	b.Credentials, _ = a.body["credentials"].(object)
	b.LastOperation.State, b.LastOperation.Description = StateSucceeded, ""
}

func (c *Controller) fetchBinding(ctx context.Context, b *Binding) (answer, error) {
	r := request{call: CallFetchBinding, method: http.MethodGet, path: b.path()}
	if c.features.fetchesWithHints {
		r.query = b.Instance.ids()
	}
	a, failure := c.send(ctx, r)
	if failure == nil {
		_, failure = read(CallFetchBinding, a)
	}
	if failure != nil {
		return answer{}, failure
	}
	return a, nil
}

func (c *Controller) pollBinding(ctx context.Context, b *Binding, succeeded func(context.Context), late func()) {
	o := b.LastOperation
	c.poll(ctx, polling{
		name: string(o.Type) + " binding", limit: b.patience,
		gone: func() bool {
			return !c.holds(b) || b.LastOperation.Type != o.Type || b.LastOperation.State != StateInProgress
		},
		ask: func(ctx context.Context) (bool, string) {
			state, description, retryAfter := c.lastOperation(ctx, c.ask(CallLastBindingOperation, b.path(), b.Instance.ids(), o), o.Type)
			b.LastOperation.Polls++
			b.LastOperation.State, b.LastOperation.Description = state, description
			if state == StateSucceeded {
				succeeded(ctx)
			}
			return state != StateInProgress, retryAfter
		},
		tooLate: func() {
			verb := "bind"
			if o.Type == Delete {
				verb = "unbind"
			}
			b.LastOperation.State, b.LastOperation.Description = StateFailed, "Service Broker failed to "+verb+" within the required time."
			late()
		},
	})
}

func (c *Controller) unbind(b *Binding) request {
	return request{call: CallUnbind, method: http.MethodDelete, path: b.path(), query: c.incomplete(b.Instance.ids())}
}

// deleteBinding unbinds. Nothing but 200, 202 and 410 ever takes a binding out of
// the database: after any other answer it stays, and so does its app.
func (c *Controller) deleteBinding(ctx context.Context, b *Binding) error {
	if b.LastOperation.is(Delete, StateInProgress) {
		return nil // its own job goes on with it
	}
	before := b.LastOperation
	a, failure := c.send(ctx, c.unbind(b))
	kind := Done
	if failure == nil {
		kind, failure = read(CallUnbind, a)
	}
	switch {
	case failure != nil && failure.Kind == ConcurrencyError:
		b.LastOperation = before
		return failure
	case failure != nil:
		b.LastOperation = LastOperation{Type: Delete, State: StateFailed, Description: failure.Error()}
		return failure
	case kind != Accepted:
		c.forgetBinding(b)
		return nil
	}
	b.LastOperation = LastOperation{Type: Delete}
	b.LastOperation.accepted(a)
	b.patience = c.patience(b.Instance)
	c.pollBinding(ctx, b, func(context.Context) { c.forgetBinding(b) }, func() {})
	return b.LastOperation.failure()
}
