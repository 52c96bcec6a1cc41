package store

import (
	"context"
	"fmt"
	"time"

	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
)

// Rotated is what became of an order to rotate.
type Rotated struct {
	// Asked is how many got the order, Joined how many had it already and were not
	// done.
	Asked  int `json:"asked"`
	Joined int `json:"joined"`
	// Apps are clients whose secret has leaked and which cannot be rotated: they
	// were revoked.
	Apps []identity.ID `json:"revoked"`
	// Left got no order, and why.
	Left Groups `json:"left"`
}

// Total is how many are to be waited for.
func (r Rotated) Total() int { return r.Asked + r.Joined + len(r.Apps) }

// What was asked for and is not done is joined. Where a publish is under way the
// newer secret is what was asked for.
const sqlRotate = `UPDATE identity SET
	rotate_above = CASE WHEN rotate_above > 0 THEN rotate_above
		WHEN published_generation BETWEEN 1 AND generation - 1 THEN published_generation ELSE generation END,
	rotate_at = least(rotate_at, $2),
	lane = CASE WHEN due_at <= $2 THEN least(lane, 1) ELSE 1 END, due_at = least(due_at, $2), ` + wished + `
WHERE id = ANY($1)`

// Whoever is urgent already goes on: an order that is given again ends like the
// first.
const sqlRotateNow = `UPDATE identity SET
	rotate_above = CASE WHEN urgent AND rotate_above > 0 THEN rotate_above ELSE greatest(rotate_above, generation) END,
	urgent = true, lane = 0, due_at = least(due_at, $2), ` + wished + `
WHERE id = ANY($1)`

const sqlRevoke = `UPDATE identity SET revoked_at = coalesce(revoked_at, $2), lane = 0, due_at = least(due_at, $2), ` + wished + `
WHERE id = ANY($1)`

// Rotate asks for new secrets. leaked: at once, without a soak, and the tokens go
// too; then clients of apps, whose secret cannot be replaced, are revoked.
func (o *Orders) Rotate(ctx context.Context, order Order, s Selection, leaked bool) (Rotated, error) {
	result := Rotated{Apps: []identity.ID{}, Left: Groups{}}
	err := o.each(ctx, s.clause("y.ended_at IS NULL AND y.revoked_at IS NULL"), func(ctx context.Context, t *transaction, page []identity.View) (func(), error) {
		var rotate, revoke []identity.View
		sql, reason := sqlRotate, "asked"
		if leaked {
			sql, reason = sqlRotateNow, "leaked"
		}
		for _, v := range page {
			switch left := notRotated(v, leaked); {
			case left != "":
			case v.Identity.Kind == identity.AppIdentity:
				revoke = append(revoke, v)
			default:
				rotate = append(rotate, v)
			}
		}
		if err := t.change(ctx, sql, order, rotate); err != nil {
			return nil, err
		}
		if err := t.change(ctx, sqlRevoke, order, revoke); err != nil {
			return nil, err
		}
		events := order.events("rotate", reason, "", rotate)
		events = append(events, order.events("revoke", reason, "the secret of an app's client cannot be replaced", revoke)...)
		return func() { result.count(page, leaked) }, t.Record(ctx, events...)
	})
	return result, err
}

// notRotated says why an order to rotate would do nothing; "" if it does.
func notRotated(v identity.View, leaked bool) Reason {
	i := v.Identity
	switch {
	case i.Kind == identity.AppIdentity && leaked:
		return "" // taking a client away needs nothing to be known of secrets
	case i.Kind == identity.AppIdentity:
		return IsApp
	case held(v):
		return IsHeld
	case i.Published.Phase == identity.Strange:
		return IsForeign
	case i.Client.Phase == identity.Lost && i.Published.Phase == identity.Lost:
		return IsLost
	case !leaked && i.PublishedGeneration == 0 && unmade[i.Published.Phase]:
		return IsNew
	default:
		return ""
	}
}

var unmade = map[identity.Phase]bool{identity.Absent: true, identity.Creating: true, identity.Missing: true}

func (r *Rotated) count(page []identity.View, leaked bool) {
	for _, v := range page {
		i := v.Identity
		left := notRotated(v, leaked)
		switch {
		case left != "":
			r.Left.add(left, named(v))
		case i.Kind == identity.AppIdentity:
			r.Apps = append(r.Apps, i.ID)
		case i.RotateAbove > 0 && (i.Urgent || !leaked):
			r.Joined++
		default:
			r.Asked++
		}
	}
}

// Progress tells how those stand that were asked to rotate and are not done, and
// the clients of apps that are not gone yet.
func (o *Orders) Progress(ctx context.Context, s Selection, apps []identity.ID, now time.Time) (Groups, error) {
	c := s.clause("y.ended_at IS NULL AND y.rotate_above > 0")
	at, gone := fmt.Sprintf("$%d", len(c.args)+1), fmt.Sprintf("$%d", len(c.args)+2)
	rows, err := o.pool.Query(ctx, fmt.Sprintf(sqlProgress, at, c.text, gone, some), append(c.args, now, apps)...)
	if err != nil {
		return nil, reading("the progress", err)
	}
	groups := Groups{}
	var (
		reason Reason
		count  int
		n      Named
	)
	_, err = pgx.ForEachRow(rows, []any{&reason, &count, &n.ID, &n.Connection, &n.Environment, &n.LastError}, func() error {
		groups.add(reason, n)
		groups[len(groups)-1].Count = count
		return nil
	})
	return groups, reading("the progress", err)
}

// failingAttempts is after how many tries in vain something is called failing: it
// is tried on, but a person should know.
const failingAttempts = "5"

const sqlProgress = `
WITH waiting AS (
	SELECT y.id, y.connection, y.environment, y.last_error, CASE
		WHEN y.held_at IS NOT NULL OR EXISTS (SELECT FROM hold h WHERE h.environment = y.environment) THEN 'held'
		WHEN y.connection_phase = 'foreign' THEN 'foreign'
		WHEN y.client_phase = 'lost' AND y.connection_phase = 'lost' THEN 'lost'
		WHEN NOT y.urgent AND EXISTS (SELECT FROM pause p WHERE ` + covers + ` AND (p.until IS NULL OR p.until > %[1]s)) THEN 'paused'
		WHEN NOT y.urgent AND y.overlap_phase = 'present' AND y.retire_at > %[1]s THEN 'soaking'
		WHEN y.attempt >= ` + failingAttempts + ` AND y.last_error <> '' THEN 'failing'
		ELSE 'at_work' END AS reason
	FROM identity y JOIN instance i ON i.row = y.instance WHERE %[2]s
	UNION ALL
	SELECT y.id, y.connection, y.environment, y.last_error,
		CASE WHEN y.attempt >= ` + failingAttempts + ` AND y.last_error <> '' THEN 'failing' ELSE 'at_work' END
	FROM identity y WHERE y.id = ANY(%[3]s) AND y.clean_at IS NULL
), numbered AS (
	SELECT *, count(*) OVER (PARTITION BY reason) AS total, row_number() OVER (PARTITION BY reason ORDER BY id) AS n FROM waiting
)
SELECT reason, total, id, coalesce(connection, ''), environment, last_error FROM numbered WHERE n <= %[4]d ORDER BY reason, id`

// Revoke cuts an identity off. It tells whether the order was new: one that has
// ended, or was revoked, is being removed already.
func (o *Orders) Revoke(ctx context.Context, order Order, id identity.ID) (bool, error) {
	revoked := false
	err := o.each(ctx, Selection{Identity: id}.clause("y.ended_at IS NULL AND y.revoked_at IS NULL"),
		func(ctx context.Context, t *transaction, page []identity.View) (func(), error) {
			if err := t.change(ctx, sqlRevoke, order, page); err != nil {
				return nil, err
			}
			return func() { revoked = true }, t.Record(ctx, order.events("revoke", "asked", "", page)...)
		})
	return revoked, err
}
