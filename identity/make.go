package identity

import (
	"context"
	"time"

	"airflow-identity/audit"
)

// maker writes the rows of a new binding, in the first transaction of a bind.
type maker struct {
	*Engine
	req       BindRequest
	grant     Grant
	instance  Instance
	env       Environment
	endpoints Endpoints
	now       time.Time
	clock     time.Time // the database's
	local     time.Time // from before the transaction
}

// insert writes the binding and its identities, with their first intents under
// leases that are ours, or joins an identity that is there.
func (m maker) insert(ctx context.Context, tx Tx, b *Binding, plan bindPlan) ([]work, error) {
	var views []*View
	if plan.reservation != nil {
		v := m.newView(AirflowIdentity, *plan.reservation)
		b.Airflow.Identity = v.Identity.ID
		views = append(views, &v)
	}
	if plan.join != nil {
		b.Airflow.Identity = plan.join.ID
	}
	if plan.grant.AppClient {
		v := m.newView(AppIdentity, Reservation{})
		b.Client.Identity = v.Identity.ID
		views = append(views, &v)
	}
	var (
		all    []work
		events = []audit.Event{m.askedFor(*b, plan)}
	)
	for _, v := range views {
		v.Bindings = []Binding{*b}
		steps, more := m.turn(v, m.env, nil, m.now, false)
		events = append(events, more...)
		if err := tx.InsertIdentity(ctx, *v); err != nil {
			return nil, err
		}
		all = append(all, work{m.env, Lease{v.Identity.ID, v.Identity.LeaseEpoch, m.local.Add(m.lease)}, *v, steps})
	}
	if err := tx.InsertBinding(ctx, *b); err != nil {
		return nil, err
	}
	if plan.join != nil {
		more, err := m.join(ctx, tx, b)
		if err != nil {
			return nil, err
		}
		events = append(events, more...)
	}
	return all, tx.Record(ctx, events...)
}

// join lets a new binding share an identity: with one that is whole there is
// nothing to wait for.
func (m maker) join(ctx context.Context, tx Tx, b *Binding) ([]audit.Event, error) {
	v, err := tx.View(ctx, b.Airflow.Identity)
	if err != nil {
		return nil, err
	}
	if v.Identity.EndedAt != nil {
		return nil, ErrBusy // it ended just now
	}
	epoch := v.Identity.LeaseEpoch
	events := m.settle(v, m.now)
	if joined := v.binding(b.Row); joined != nil {
		*b = *joined
	}
	if !v.leased() && v.Identity.DueAt == nil {
		v.release(0, m.now) // the new binding's finish_by may have to be looked at
	}
	return events, tx.SaveView(ctx, *v, epoch)
}

func (m maker) askedFor(b Binding, plan bindPlan) audit.Event {
	event := m.asked("bind", m.req.Origin, m.instance)
	event.Where.Binding = string(b.GUID)
	event.Where.Identity = string(b.Airflow.Identity)
	if plan.reservation != nil {
		event.Where.Connection = string(plan.reservation.ID)
	}
	if plan.join != nil {
		event.Where.Connection, event.Reason = string(plan.join.Connection), "join"
	}
	event.Authorities = texts(plan.grant.Authorities)
	return event
}

func (m maker) newView(kind Kind, reservation Reservation) View {
	id := NewID()
	identity := Identity{
		ID:            id,
		Kind:          kind,
		Instance:      m.instance.Row,
		Environment:   m.instance.Environment,
		Holder:        HolderOf(m.instance.GUID, m.req.App),
		Asked:         m.grant.Asked,
		Granted:       m.grant.Authorities,
		TokenLifetime: m.grant.TokenLifetime,
		Endpoints:     m.endpoints,
		Generation:    1,
		Secret:        NewSecret(),
		Client:        Thing{Phase: Absent},
		Published:     Thing{Phase: Absent},
		Lane:          LanePeople,
		DueAt:         &m.now,
		LeaseUntil:    m.clock.Add(m.lease),
		LeaseEpoch:    1,
		WishVersion:   1,
		RequestID:     m.req.Origin.RequestID,
		CreatedAt:     m.now,
	}
	identity.Overlap = Single
	if kind == AppIdentity {
		expires := m.now.Add(m.grant.ExpiresIn)
		identity.ExpiresAt = &expires
		return View{Identity: identity, Instance: m.instance, Clock: m.clock}
	}
	identity.Airflow, identity.Connection = reservation.Airflow, reservation.ID
	identity.Team = m.grant.Team
	identity.Period, identity.Soak = m.grant.Period, m.grant.soak()
	identity.Description = describe(m.instance, m.grant.Authorities)
	reservation.Identity, reservation.Space, reservation.ReleasedAt = id, m.instance.Space, nil
	return View{Identity: identity, Reservation: reservation, Instance: m.instance, Clock: m.clock}
}
