package store

import (
	"context"

	"airflow-identity/identity"
)

const sqlForget = `UPDATE identity SET forgotten_at = coalesce(forgotten_at, $2), lane = 0, due_at = least(due_at, $2), ` + wished + `
WHERE id = ANY($1)`

// Forget writes off what is left of identities that have ended: a debt in Airflow
// that can never be paid, or a client that cannot be deleted. Of a whole environment
// only those are written off that were tried in vain: the others are being removed.
func (o *Orders) Forget(ctx context.Context, order Order, s Selection, reason string) (forgotten []Named, err error) {
	c := s.clause("y.ended_at IS NOT NULL AND y.clean_at IS NULL")
	if s.Identity == "" {
		c.text += ` AND (y.last_error <> '' OR EXISTS (
			SELECT FROM connection c WHERE (c.airflow, c.id) = (y.airflow, y.connection) AND c.identity = y.id AND c.debt_since IS NOT NULL))`
	}
	err = o.each(ctx, c, func(ctx context.Context, t *transaction, page []identity.View) (func(), error) {
		if err := t.change(ctx, sqlForget, order, page); err != nil {
			return nil, err
		}
		return func() {
			for _, v := range page {
				forgotten = append(forgotten, named(v))
			}
		}, t.Record(ctx, order.events("forget", "asked", reason, page)...)
	})
	return forgotten, err
}

const sqlUnclean = `SELECT count(*) FROM identity y WHERE y.environment = $1 AND y.ended_at IS NOT NULL AND y.clean_at IS NULL AND y.forgotten_at IS NULL`

// Unclean counts what is left of identities of an environment that have ended.
func (o *Orders) Unclean(ctx context.Context, environment identity.EnvironmentName) (n int, err error) {
	err = o.pool.QueryRow(ctx, sqlUnclean, environment).Scan(&n)
	return n, reading("what is left", err)
}
