package store

import (
	"context"
	"time"

	"airflow-identity/audit"
	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
)

// Freeze keeps rotations from starting and old secrets from going.
type Freeze struct {
	Kind  FreezeKind `json:"kind"`
	Key   string     `json:"key"`
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty"` // nil: until it is lifted
}

// FreezeKind says what a freeze covers: all identities of an environment, a plan or
// an instance.
type FreezeKind string

const (
	FreezeEnvironment FreezeKind = "environment"
	FreezePlan        FreezeKind = "plan"
	FreezeInstance    FreezeKind = "instance"
)

// Selection is what the freeze covers.
func (f Freeze) Selection() Selection {
	switch f.Kind {
	case FreezeEnvironment:
		return Selection{Environment: identity.EnvironmentName(f.Key)}
	case FreezePlan:
		return Selection{Plan: identity.PlanID(f.Key)}
	default:
		return Selection{Instance: identity.InstanceGUID(f.Key)}
	}
}

func (f Freeze) event(order Order, action string) audit.Event {
	s := f.Selection()
	event := order.event(action, audit.Where{Environment: string(s.Environment), Plan: string(s.Plan), Instance: string(s.Instance)})
	if f.Until != nil {
		event.Detail = "until " + f.Until.UTC().Format(time.RFC3339)
	}
	return event
}

const (
	sqlPause = `INSERT INTO pause (kind, key, until, since) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, key) DO UPDATE SET until = $3`
	sqlUnpause = `DELETE FROM pause WHERE kind = $1 AND key = $2`
	sqlFreezes = `SELECT kind, key, since, until FROM pause ORDER BY kind, key`
)

// Pause begins a freeze, or gives one that is there another end.
func (o *Orders) Pause(ctx context.Context, order Order, f Freeze) error {
	return o.within(ctx, func(ctx context.Context, t *transaction) error {
		if _, err := t.tx.Exec(ctx, sqlPause, f.Kind, f.Key, f.Until, order.At); err != nil {
			return writing("a freeze", err)
		}
		return t.Record(ctx, f.event(order, "pause"))
	})
}

// What a freeze held back is due, in the lane of rotation; what is due before that
// stays where it is.
const sqlResume = `UPDATE identity SET
	lane = CASE WHEN due_at <= least(rotate_at, retire_at) THEN lane ELSE 1 END, due_at = least(due_at, rotate_at, retire_at)
WHERE id = ANY($1) AND (due_at IS NULL OR due_at > least(rotate_at, retire_at))`

// Resume lifts a freeze, and tells whether there was one and how many identities are
// overdue and no longer held back. Lifted again it only makes due what is due: so an
// order that was broken off is finished.
func (o *Orders) Resume(ctx context.Context, order Order, f Freeze) (lifted bool, due int, err error) {
	err = o.within(ctx, func(ctx context.Context, t *transaction) error {
		tag, err := t.tx.Exec(ctx, sqlUnpause, f.Kind, f.Key)
		if lifted = tag.RowsAffected() > 0; err != nil || !lifted {
			return writing("the end of a freeze", err)
		}
		return t.Record(ctx, f.event(order, "resume"))
	})
	if err != nil {
		return lifted, 0, err
	}
	// A row that a broker looked at under the freeze is locked until that is
	// written, so its page sees what the broker left.
	err = o.each(ctx, f.Selection().clause("y.ended_at IS NULL AND y.kind = 'airflow'"),
		func(ctx context.Context, t *transaction, page []identity.View) (func(), error) {
			_, err := t.tx.Exec(ctx, sqlResume, idsOf(page))
			return func() {
				for _, v := range page {
					if overdue(v.Identity, order.At) && !paused(v, order.At) {
						due++
					}
				}
			}, writing("what is due", err)
		})
	return lifted, due, err
}

func overdue(i identity.Identity, now time.Time) bool {
	return i.RotateAt != nil && !i.RotateAt.After(now) || i.RetireAt != nil && !i.RetireAt.After(now)
}

// Freezes lists those there are, also those that are over.
func (l *Ledger) Freezes(ctx context.Context) ([]Freeze, error) {
	rows, err := l.pool.Query(ctx, sqlFreezes)
	if err != nil {
		return nil, reading("the freezes", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Freeze])
	return list, reading("the freezes", err)
}
