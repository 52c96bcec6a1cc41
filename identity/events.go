package identity

import (
	"context"

	"airflow-identity/audit"

	"github.com/google/uuid"
)

// Denial is a request that the guardrails refused.
type Denial struct {
	Action string
	Rules  []string // ids of the rules that were broken
	Where  audit.Where
	Origin Origin
}

// Deny records a refusal: denied is audited like allowed.
func (e *Engine) Deny(ctx context.Context, d Denial) error {
	event := audit.Event{
		ID:        uuid.New(),
		At:        e.Clock(),
		Actor:     d.Origin.Actor,
		RequestID: d.Origin.RequestID,
		Action:    d.Action,
		Decision:  audit.Denied,
		Policy:    d.Origin.Policy,
		Where:     d.Where,
	}
	for i, rule := range d.Rules {
		if i > 0 {
			event.Reason += ","
		}
		event.Reason += rule
	}
	return e.Store.Within(ctx, func(ctx context.Context, tx Tx) error { return tx.Record(ctx, event) })
}

// event tells of something the broker did, or learnt, about an identity.
func (e *Engine) event(v View, action, outcome string) audit.Event {
	return audit.Event{
		ID:          uuid.New(),
		At:          e.Clock(),
		Actor:       audit.Broker,
		RequestID:   v.Identity.RequestID,
		Action:      action,
		Outcome:     outcome,
		Where:       whereView(v),
		Authorities: texts(v.Identity.Granted),
	}
}

func (e *Engine) bindingEvent(v View, b Binding, action, outcome string) audit.Event {
	event := e.event(v, action, outcome)
	event.Where.Binding = string(b.GUID)
	return event
}

func (e *Engine) failed(v View, b Binding) audit.Event {
	event := e.bindingEvent(v, b, "bind", "failed")
	event.Reason, event.Detail = string(b.Failure.Code), b.Failure.Message
	return event
}

func whereView(v View) audit.Where {
	where := whereInstance(v.Instance)
	where.Identity = string(v.Identity.ID)
	where.Connection = string(v.Identity.Connection)
	return where
}
