package store

import (
	"context"
	"fmt"
	"time"

	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
)

const sqlBeginSweep = `
INSERT INTO sweep AS s (environment, due_at) VALUES ($1, $3)
ON CONFLICT (environment) DO UPDATE SET due_at = $3, probe_all = false, probed_all_at = CASE WHEN s.probe_all THEN $2 ELSE s.probed_all_at END
WHERE s.due_at <= $2
RETURNING coalesce(probed_all_at = $2, false)`

// BeginSweep claims an environment's sweep.
func (s *Store) BeginSweep(ctx context.Context, environment identity.EnvironmentName, now, until time.Time) (begun, probeAll bool, err error) {
	rows, err := s.pool.Query(ctx, sqlBeginSweep, environment, now, until)
	if err != nil {
		return false, false, fmt.Errorf("beginning a sweep: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	if err != nil || len(found) == 0 {
		return false, false, writing("the sweep", err)
	}
	return true, found[0], nil
}

const sqlEndSweep = `UPDATE sweep SET due_at = $2 WHERE environment = $1 AND NOT probe_all`

// EndSweep says when the next one is due, unless somebody wants one at once.
func (s *Store) EndSweep(ctx context.Context, environment identity.EnvironmentName, next time.Time) error {
	_, err := s.pool.Exec(ctx, sqlEndSweep, environment, next)
	return writing("the sweep", err)
}

const sqlBreakOffSweep = `UPDATE sweep SET due_at = $2, probe_all = probe_all OR $3 WHERE environment = $1`

// BreakOffSweep says when a sweep that failed is due again.
func (s *Store) BreakOffSweep(ctx context.Context, environment identity.EnvironmentName, again time.Time, probeAll bool) error {
	_, err := s.pool.Exec(ctx, sqlBreakOffSweep, environment, again, probeAll)
	return writing("the sweep", err)
}

const sqlSuspect = `
INSERT INTO sweep AS s (environment, due_at, probe_all) VALUES ($1, $2, true)
ON CONFLICT (environment) DO UPDATE SET due_at = $2, probe_all = true
WHERE s.probed_all_at IS NULL OR s.probed_all_at <= $3`

func (t *transaction) Suspect(ctx context.Context, environment identity.EnvironmentName, now time.Time, period time.Duration) error {
	_, err := t.tx.Exec(ctx, sqlSuspect, environment, now, now.Add(-period))
	return writing("a suspicion", err)
}

const sqlExpected = `SELECT ` + identityColumns + `, ` + instanceColumns + `
FROM identity y JOIN instance i ON i.row = y.instance WHERE y.id = ANY($1) AND y.ended_at IS NULL`

// Expected reads identities without their secrets and bindings.
func (s *Store) Expected(ctx context.Context, ids []identity.ID) ([]identity.View, error) {
	rows, err := s.pool.Query(ctx, sqlExpected, ids)
	if err != nil {
		return nil, reading("the identities of a page", err)
	}
	views, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v identity.View, err error) {
		var r identityRow
		if err := row.Scan(append(r.targets(), instanceTargets(&v.Instance)...)...); err != nil {
			return v, err
		}
		v.Identity, err = r.finish(nil)
		return v, err
	})
	return views, reading("the identities of a page", err)
}

const sqlUnclaimed = `SELECT x FROM unnest($1::text[]) x WHERE NOT EXISTS (SELECT FROM identity y WHERE y.id = x)`

// Unclaimed gives those of the ids of which there is no row at all.
func (s *Store) Unclaimed(ctx context.Context, ids []identity.ID) ([]identity.ID, error) {
	rows, err := s.pool.Query(ctx, sqlUnclaimed, ids)
	if err != nil {
		return nil, reading("what no row knows", err)
	}
	unclaimed, err := pgx.CollectRows(rows, pgx.RowTo[identity.ID])
	return unclaimed, reading("what no row knows", err)
}

const sqlStanding = `SELECT y.id FROM identity y
WHERE y.environment = $1 AND y.ended_at IS NULL AND y.id > $3 AND y.client_phase = 'present'
	AND (y.kind = 'app' AND y.created_at < $2 OR y.published_at < $2)
ORDER BY y.id LIMIT $4`

// Standing pages through identities that were there before a time.
func (s *Store) Standing(ctx context.Context, environment identity.EnvironmentName, before time.Time, after identity.ID, limit int) ([]identity.ID, error) {
	rows, err := s.pool.Query(ctx, sqlStanding, environment, before, after, limit)
	if err != nil {
		return nil, reading("a page of identities", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[identity.ID])
	return ids, reading("a page of identities", err)
}

// Identities are drawn from a random place of the index on, and from its begin if
// there are not enough: ids are random, so that is as good as a draw of each.
const sqlSample = `
(SELECT id FROM identity WHERE environment = $1 AND ended_at IS NULL AND id >= $3 AND client_phase = 'present' ORDER BY id LIMIT $2)
UNION
(SELECT id FROM identity WHERE environment = $1 AND ended_at IS NULL AND id < $3 AND client_phase = 'present' ORDER BY id LIMIT $2)
LIMIT $2`

// Sample draws some identities of an environment.
func (s *Store) Sample(ctx context.Context, environment identity.EnvironmentName, n int) ([]identity.ID, error) {
	rows, err := s.pool.Query(ctx, sqlSample, environment, n, identity.NewID())
	if err != nil {
		return nil, reading("a sample of identities", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[identity.ID])
	return ids, reading("a sample of identities", err)
}

// What is held is looked at no more: it is known not to agree.
const sqlDoubt = `UPDATE identity y SET
	client_phase = CASE WHEN $2 = 'client' THEN 'doubted' ELSE client_phase END,
	connection_phase = CASE WHEN $2 = 'connection' THEN 'doubted' ELSE connection_phase END,
	due_at = least(due_at, $3), lane = CASE WHEN due_at <= $3 THEN lane ELSE 2 END
WHERE id = ANY($1) AND ended_at IS NULL AND lease_until <= clock_timestamp() AND held_at IS NULL
	AND NOT EXISTS (SELECT FROM hold h WHERE h.environment = y.environment)
	AND CASE WHEN $2 = 'client' THEN client_phase ELSE connection_phase END IN ('present', 'lost', 'foreign')`

// Doubt makes things of identities be looked at again.
func (s *Store) Doubt(ctx context.Context, ids []identity.ID, thing identity.ThingName, now time.Time) error {
	_, err := s.pool.Exec(ctx, sqlDoubt, ids, thing, now)
	return writing("what is doubted", err)
}

// One at a time, so that of several that find themselves ahead at once the last
// sees them all.
const sqlLockHold = `SELECT pg_advisory_xact_lock($1, hashtext($2))`

const sqlHoldEnvironment = `
INSERT INTO hold (environment, since)
SELECT $1, $3 FROM identity WHERE environment = $1 AND ended_at IS NULL AND kind = 'airflow'
HAVING count(held_at) > $2::float8 * count(*)
ON CONFLICT DO NOTHING`

func (t *transaction) HoldEnvironment(ctx context.Context, environment identity.EnvironmentName, above float64, now time.Time) error {
	if _, err := t.tx.Exec(ctx, sqlLockHold, holdLocks, environment); err != nil {
		return fmt.Errorf("locking the environment's hold: %w", err)
	}
	_, err := t.tx.Exec(ctx, sqlHoldEnvironment, environment, above, now)
	return writing("the environment's hold", err)
}
