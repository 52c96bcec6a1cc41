package identity

import (
	"bytes"
	"context"
	"time"

	"airflow-identity/audit"

	"github.com/google/uuid"
)

// ProvisionRequest asks for an instance. It has been judged already: the ceiling
// lies within the plan's allow-list.
type ProvisionRequest struct {
	Instance    InstanceGUID
	Plan        PlanID
	Environment EnvironmentName
	Org         OrgGUID
	Space       SpaceGUID
	Names       Names
	Parameters  []byte // canonical JSON
	Ceiling     []Authority
	// RotationPeriod is the one that was asked for; 0: the plan's.
	RotationPeriod time.Duration
	// Quota is how many instances of the plan the space may hold; 0: any number.
	Quota int
	// ConnectionBase is the default connection id, prefix included. It may be
	// longer than Airflow takes: it is then cut when it is used.
	ConnectionBase ConnectionID
	Origin         Origin
}

// Provision makes an instance, or finds that the very same one exists. It
// touches no remote system. Errors: ErrConflict, ErrBusy, *QuotaError.
func (e *Engine) Provision(ctx context.Context, req ProvisionRequest) (instance Instance, created bool, err error) {
	now := e.Clock()
	err = e.Store.Within(ctx, func(ctx context.Context, tx Tx) error {
		created = false
		if err := tx.LockSpace(ctx, req.Space); err != nil {
			return err
		}
		existing, err := tx.Instance(ctx, req.Instance)
		if err != nil {
			return err
		}
		if existing != nil && existing.RemovingAt == nil {
			if !existing.sameAs(req) {
				return ErrConflict
			}
			instance = *existing
			return nil
		}
		if existing != nil {
			left, err := tx.Bindings(ctx, existing.Row)
			if err != nil {
				return err
			}
			if len(left) > 0 {
				return ErrBusy
			}
		}
		if err := withinQuota(ctx, req.Quota, "instances of this plan in this space", func(ctx context.Context) (int, error) {
			return tx.CountInstances(ctx, req.Space, req.Plan)
		}); err != nil {
			return err
		}
		created = true
		instance = Instance{
			Row:            RowID(uuid.NewString()),
			GUID:           req.Instance,
			Plan:           req.Plan,
			Environment:    req.Environment,
			Org:            req.Org,
			Space:          req.Space,
			Names:          req.Names,
			Parameters:     req.Parameters,
			Ceiling:        req.Ceiling,
			RotationPeriod: req.RotationPeriod,
			ConnectionBase: req.ConnectionBase,
			CreatedAt:      now,
		}
		if err := tx.InsertInstance(ctx, instance); err != nil {
			return err
		}
		event := e.asked("provision", req.Origin, instance)
		event.Authorities = texts(req.Ceiling)
		return tx.Record(ctx, event)
	})
	return instance, created, err
}

// withinQuota counts under the lock that whatever adds to the count takes too.
func withinQuota(ctx context.Context, quota int, of string, count func(context.Context) (int, error)) error {
	if quota == 0 {
		return nil
	}
	n, err := count(ctx)
	if err != nil {
		return err
	}
	if n >= quota {
		return &QuotaError{Of: of, Limit: quota}
	}
	return nil
}

func (i Instance) sameAs(req ProvisionRequest) bool {
	return i.Plan == req.Plan && i.Org == req.Org && i.Space == req.Space && bytes.Equal(i.Parameters, req.Parameters)
}

// asked is the event of an operation that was allowed.
func (e *Engine) asked(action string, origin Origin, instance Instance) audit.Event {
	return audit.Event{
		ID:        uuid.New(),
		At:        e.Clock(),
		Actor:     origin.Actor,
		RequestID: origin.RequestID,
		Action:    action,
		Decision:  audit.Allowed,
		Policy:    origin.Policy,
		Where:     whereInstance(instance),
	}
}

func whereInstance(i Instance) audit.Where {
	return audit.Where{
		Environment: string(i.Environment),
		Plan:        string(i.Plan),
		Org:         string(i.Org),
		Space:       string(i.Space),
		Instance:    string(i.GUID),
	}
}

func texts(authorities []Authority) []string {
	if authorities == nil {
		return nil
	}
	list := make([]string, len(authorities))
	for i, a := range authorities {
		list[i] = string(a)
	}
	return list
}
