package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
)

// querier is what a pool and a transaction have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

const sqlInstanceByGUID = `SELECT ` + instanceColumns + `
FROM instance i WHERE i.guid = $1 ORDER BY i.removing_at IS NULL DESC, i.created_at DESC LIMIT 1`

// Instance gives the newest row of that guid.
func (s *Store) Instance(ctx context.Context, guid identity.InstanceGUID) (identity.Instance, bool, error) {
	i, err := scanInstance(s.pool.QueryRow(ctx, sqlInstanceByGUID, guid))
	if errors.Is(err, pgx.ErrNoRows) {
		return identity.Instance{}, false, nil
	}
	return i, err == nil, reading("the instance", err)
}

// Binding gives the newest row of that guid.
func (s *Store) Binding(ctx context.Context, guid identity.BindingGUID) (identity.Binding, bool, error) {
	b, err := oneBinding(ctx, s.pool, guid)
	if errors.Is(err, pgx.ErrNoRows) {
		return identity.Binding{}, false, nil
	}
	return b, err == nil, reading("the binding", err)
}

func oneBinding(ctx context.Context, q querier, guid identity.BindingGUID) (identity.Binding, error) {
	rows, err := q.Query(ctx, sqlBindingByGUID, guid)
	if err != nil {
		return identity.Binding{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanBinding)
}

const (
	sqlReservationOf = `SELECT ` + reservationColumns + ` FROM connection c
WHERE (c.airflow, c.id) = (SELECT y.airflow, y.connection FROM identity y WHERE y.id = $1)`
	sqlBindingsOf     = `SELECT ` + bindingColumns + ` FROM binding b WHERE b.airflow_identity = $1 OR b.client_identity = $1 ORDER BY b.row`
	sqlIdentityInFull = `SELECT ` + identityColumns + `, ` + instanceColumns + `, ` + viewColumns + `
FROM identity y JOIN instance i ON i.row = y.instance WHERE y.id = $1`
)

// View reads an identity with all that belongs to it, as of one moment.
func (s *Store) View(ctx context.Context, id identity.ID) (v identity.View, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		v, err = readView(ctx, tx, s.sealer, id, sqlReservationOf, sqlBindingsOf, "", sqlIdentityInFull)
		return err
	})
	return v, err
}

// readView reads a view with the statements given, in one round trip. lock may be "".
func readView(ctx context.Context, q querier, sealer *Sealer, id identity.ID, reservation, bindings, lock, whole string) (v identity.View, err error) {
	var (
		batch pgx.Batch
		row   identityRow
	)
	batch.Queue(reservation, id).QueryRow(func(r pgx.Row) error {
		v.Reservation, err = scanReservation(r)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // an app identity has none
		}
		return err
	})
	batch.Queue(bindings, id).Query(func(rows pgx.Rows) error {
		v.Bindings, err = pgx.CollectRows(rows, scanBinding)
		return err
	})
	if lock != "" {
		batch.Queue(lock, id)
	}
	batch.Queue(whole, id).QueryRow(func(r pgx.Row) error {
		targets := append(row.targets(), instanceTargets(&v.Instance)...)
		return r.Scan(append(targets, viewTargets(&v)...)...)
	})
	if err := q.SendBatch(ctx, &batch).Close(); err != nil {
		return identity.View{}, reading(fmt.Sprintf("identity %s", id), err)
	}
	v.Identity, err = row.finish(sealer)
	return v, err
}

// viewColumns are what stands in no row of its own.
const (
	viewColumns = `(SELECT count(*) > count(p.until) FROM pause p WHERE ` + covers + `),
	(SELECT max(p.until) FROM pause p WHERE ` + covers + `),
	EXISTS (SELECT FROM hold h WHERE h.environment = y.environment), clock_timestamp()`
	covers = `(p.kind = 'environment' AND p.key = y.environment OR p.kind = 'plan' AND p.key = i.plan OR p.kind = 'instance' AND p.key = i.guid)`
)

func viewTargets(v *identity.View) []any {
	return []any{&v.Paused, &v.PausedUntil, &v.EnvironmentHeld, &v.Clock}
}

const sqlCountBindings = `SELECT count(*) FROM binding b WHERE b.instance = $1 AND b.removed_at IS NULL`

// LiveBindings counts an instance's bindings that are not removed.
func (s *Store) LiveBindings(ctx context.Context, instance identity.RowID) (n int, err error) {
	err = s.pool.QueryRow(ctx, sqlCountBindings, instance).Scan(&n)
	return n, reading("the instance's bindings", err)
}

const sqlOutdated = `SELECT count(*) FROM identity y
WHERE y.instance = $1 AND y.ended_at IS NULL AND y.client_phase IN ('outdated', 'changing', 'doubted')`

// Outdated counts an instance's identities whose client is not yet as the row says.
func (s *Store) Outdated(ctx context.Context, instance identity.RowID) (n int, err error) {
	err = s.pool.QueryRow(ctx, sqlOutdated, instance).Scan(&n)
	return n, reading("the instance's identities", err)
}

const sqlClaim = `
WITH due AS (
    SELECT id FROM identity
    WHERE environment = $5 AND lane = $4 AND due_at <= $1 AND lease_until <= clock_timestamp()
    ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE identity y SET lease_until = clock_timestamp() + $2::interval, lease_epoch = y.lease_epoch + 1
FROM due WHERE y.id = due.id
RETURNING y.id, y.lease_epoch`

// Claim leases what is due and nobody holds.
func (s *Store) Claim(ctx context.Context, environment identity.EnvironmentName, lane identity.Lane, now time.Time, lease time.Duration, limit int) ([]identity.Lease, error) {
	until := time.Now().Add(lease)
	rows, err := s.pool.Query(ctx, sqlClaim, now, lease, limit, lane, environment)
	if err != nil {
		return nil, fmt.Errorf("claiming due identities: %w", err)
	}
	leases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (identity.Lease, error) {
		l := identity.Lease{Until: until}
		return l, row.Scan(&l.ID, &l.Epoch)
	})
	if err != nil {
		return nil, fmt.Errorf("claiming due identities: %w", err)
	}
	return leases, nil
}

// In the order of the index, so that it reads one entry of each lane however many
// rows there are.
const sqlDue = `
SELECT e.name, l.lane, d.due_at
FROM unnest($1::text[]) AS e (name) CROSS JOIN (VALUES (0), (1), (2)) AS l (lane)
CROSS JOIN LATERAL (
    SELECT y.due_at FROM identity y
    WHERE y.environment = e.name AND y.lane = l.lane AND y.due_at IS NOT NULL AND y.lease_until <= clock_timestamp()
    ORDER BY y.due_at LIMIT 1
) d`

// Due tells when the first row that nobody holds is due, in each lane.
func (s *Store) Due(ctx context.Context, environments []identity.EnvironmentName) ([]identity.Due, error) {
	rows, err := s.pool.Query(ctx, sqlDue, environments)
	if err != nil {
		return nil, reading("the due times", err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[identity.Due])
	return due, reading("the due times", err)
}
