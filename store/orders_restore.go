package store

import (
	"context"
	"slices"

	"airflow-identity/audit"
	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
)

// Restore is what waits for an operator after the database was restored.
type Restore struct {
	// Environments are held as a whole.
	Environments []identity.EnvironmentName `json:"environments"`
	// Held is how many identities are known to be older here than in Airflow.
	Held int `json:"held"`
	// Doubted is how many are to be looked at.
	Doubted int `json:"doubted"`
}

// Waits tells whether there is anything to accept, or to look at.
func (r Restore) Waits() bool { return len(r.Environments)+r.Held+r.Doubted > 0 }

const (
	sqlHeldEnvironments = `SELECT environment FROM hold WHERE $1 = '' OR environment = $1 ORDER BY environment`
	sqlHeldRows         = `SELECT count(*) FROM identity WHERE held_at IS NOT NULL AND ended_at IS NULL AND ($1 = '' OR environment = $1)`
	sqlDoubtedRows      = `SELECT count(*) FROM identity WHERE ended_at IS NULL AND held_at IS NULL AND connection_phase = 'doubted' AND environment = ANY($1)`
)

// Restored tells what there is to accept in an environment, "" means all; and how
// many identities are not looked at yet in those environments that accepting began in.
func (o *Orders) Restored(ctx context.Context, environment identity.EnvironmentName, begun []identity.EnvironmentName) (r Restore, err error) {
	rows, err := o.pool.Query(ctx, sqlHeldEnvironments, environment)
	if err != nil {
		return r, reading("the held environments", err)
	}
	if r.Environments, err = pgx.CollectRows(rows, pgx.RowTo[identity.EnvironmentName]); err != nil {
		return r, reading("the held environments", err)
	}
	if err = o.pool.QueryRow(ctx, sqlHeldRows, environment).Scan(&r.Held); err != nil {
		return r, reading("the held identities", err)
	}
	if len(begun) > 0 {
		err = o.pool.QueryRow(ctx, sqlDoubtedRows, begun).Scan(&r.Doubted)
	}
	return r, reading("the doubted identities", err)
}

// Accepted is what accepting a restore did.
type Accepted struct {
	// Environments are those in which anything was let go.
	Environments []identity.EnvironmentName `json:"environments"`
	Released     int                        `json:"released"` // identities that were held themselves
	Doubted      int                        `json:"doubted"`  // the others of held environments
	Leased       int                        `json:"leased"`   // a broker is at work on them: left for the next time
}

func (a *Accepted) in(name identity.EnvironmentName) {
	if !slices.Contains(a.Environments, name) {
		a.Environments = append(a.Environments, name)
	}
}

// The row goes on from what Airflow has: its secrets are of before, so what it
// knows of them is wiped, and a new one is published as soon as it may be.
const sqlRelease = `UPDATE identity SET
	generation = greatest(generation, held_generation), published_generation = greatest(generation, held_generation),
	held_at = NULL, held_generation = 0, restored = true, candidate = NULL, old = NULL, overlap_phase = 'single', retire_at = NULL,
	urgent = false, rotate_above = 0, connection_phase = 'doubted', rotate_at = $2, due_at = $2, lane = 1, ` + wished + `
WHERE id = ANY($1)`

const sqlLookAgain = `UPDATE identity SET connection_phase = 'doubted', lane = CASE WHEN due_at <= $2 THEN lane ELSE 2 END, ` + wished + `
WHERE id = ANY($1)`

// A broker that claimed a row while its environment was held has put it to rest, so
// all that wait are made due once the hold is gone.
const sqlDueAgain = `UPDATE identity SET
	lane = CASE WHEN due_at <= $2 THEN lane WHEN restored THEN 1 ELSE 2 END, due_at = least(due_at, $2), attempt = 0
WHERE id = ANY($1) AND (due_at IS NULL OR connection_phase IN ('doubted', 'outdated', 'changing', 'lost') OR client_phase IN ('doubted', 'lost'))`

const sqlUnhold = `DELETE FROM hold WHERE environment = $1`

// AcceptRestore lets go of what is held in an environment, "" means all. Nothing of
// it acts before the environment's own hold is deleted, and whoever begins again
// after that finds what is left: held rows, and doubted ones that are to be due.
func (o *Orders) AcceptRestore(ctx context.Context, order Order, environment identity.EnvironmentName) (Accepted, error) {
	before, err := o.Restored(ctx, environment, nil)
	if err != nil {
		return Accepted{}, err
	}
	result := Accepted{Environments: slices.Clone(before.Environments)}
	for _, name := range before.Environments {
		err := o.each(ctx, Selection{Environment: name}.clause("y.ended_at IS NULL AND y.held_at IS NULL AND y.connection_phase = 'present'"),
			result.let(order, sqlLookAgain, "environment_held", func(identity.View) { result.Doubted++ }))
		if err != nil {
			return result, err
		}
	}
	err = o.each(ctx, Selection{Environment: environment}.clause("y.ended_at IS NULL AND y.held_at IS NOT NULL"),
		result.let(order, sqlRelease, "held", func(v identity.View) {
			result.Released++
			result.in(v.Identity.Environment)
		}))
	if err != nil {
		return result, err
	}
	for _, name := range before.Environments {
		if err := o.unhold(ctx, order, name); err != nil {
			return result, err
		}
	}
	c := Selection{Environment: environment}.clause("y.ended_at IS NULL AND y.held_at IS NULL").
		and("(y.environment = ANY(?) OR y.connection_phase = 'doubted' OR y.client_phase = 'doubted')", result.Environments)
	return result, o.each(ctx, c, func(ctx context.Context, t *transaction, page []identity.View) (func(), error) {
		_, err := t.tx.Exec(ctx, sqlDueAgain, idsOf(page), order.At)
		return func() {}, writing("what is due", err)
	})
}

// let changes those of a page that no broker is at work on, and counts them.
func (a *Accepted) let(order Order, sql, reason string, count func(identity.View)) func(context.Context, *transaction, []identity.View) (func(), error) {
	return func(ctx context.Context, t *transaction, page []identity.View) (func(), error) {
		free := slices.DeleteFunc(slices.Clone(page), leased)
		if err := t.change(ctx, sql, order, free); err != nil {
			return nil, err
		}
		return func() {
			a.Leased += len(page) - len(free)
			for _, v := range free {
				count(v)
			}
		}, t.Record(ctx, order.events("accept-restore", reason, "", free)...)
	}
}

func (o *Orders) unhold(ctx context.Context, order Order, name identity.EnvironmentName) error {
	return o.within(ctx, func(ctx context.Context, t *transaction) error {
		tag, err := t.tx.Exec(ctx, sqlUnhold, name)
		if err != nil || tag.RowsAffected() == 0 {
			return writing("the end of a hold", err)
		}
		return t.Record(ctx, order.event("accept-restore", audit.Where{Environment: string(name)}))
	})
}

// Perhaps both were removed by an unbind that our backup does not know of; so only
// an operator has them made again.
const lost = `y.ended_at IS NULL AND y.revoked_at IS NULL AND y.client_phase = 'lost' AND (y.kind = 'app' OR y.connection_phase = 'lost')`

const sqlRemake = `UPDATE identity SET
	client_phase = CASE WHEN kind = 'app' THEN 'missing' ELSE 'absent' END,
	connection_phase = CASE WHEN kind = 'app' THEN connection_phase ELSE 'absent' END,
	overlap_phase = 'single', candidate = NULL, old = NULL, retire_at = NULL, lane = 0, due_at = $2, ` + wished + `
WHERE id = ANY($1)`

// Remade is what became of an order to make again what was lost.
type Remade struct {
	Made []Named `json:"made"`
	Left Groups  `json:"left"`
}

// Remake has identities made again, with the secrets that they had, of which nothing
// was found any more. dry: it only tells which.
func (o *Orders) Remake(ctx context.Context, order Order, environment identity.EnvironmentName, dry bool) (Remade, error) {
	result := Remade{Made: []Named{}, Left: Groups{}}
	err := o.each(ctx, Selection{Environment: environment}.clause(lost), func(ctx context.Context, t *transaction, page []identity.View) (func(), error) {
		var made []identity.View
		for _, v := range page {
			if notRemade(v) == "" {
				made = append(made, v)
			}
		}
		count := func() {
			for _, v := range page {
				if left := notRemade(v); left != "" {
					result.Left.add(left, named(v))
				}
			}
			for _, v := range made {
				result.Made = append(result.Made, named(v))
			}
		}
		if dry {
			return count, nil
		}
		if err := t.change(ctx, sqlRemake, order, made); err != nil {
			return nil, err
		}
		return count, t.Record(ctx, order.events("apply", "lost", "", made)...)
	})
	return result, err
}

func notRemade(v identity.View) Reason {
	switch {
	case held(v):
		return IsHeld
	case leased(v):
		return IsLeased
	default:
		return ""
	}
}
