package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"airflow-identity/audit"
	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// transaction is identity.Tx.
type transaction struct {
	tx     pgx.Tx
	sealer *Sealer
}

// Advisory locks of spaces and of environments' holds are kept apart by these.
const (
	spaceLocks = 1
	holdLocks  = 2
)

const sqlLockSpace = `SELECT pg_advisory_xact_lock($1, hashtext($2))`

func (t *transaction) LockSpace(ctx context.Context, space identity.SpaceGUID) error {
	if _, err := t.tx.Exec(ctx, sqlLockSpace, spaceLocks, space); err != nil {
		return fmt.Errorf("locking the space: %w", err)
	}
	return nil
}

const sqlLockInstance = `SELECT ` + instanceColumns + `
FROM instance i WHERE i.guid = $1 ORDER BY i.removing_at IS NULL DESC, i.created_at DESC LIMIT 1 FOR UPDATE`

func (t *transaction) Instance(ctx context.Context, guid identity.InstanceGUID) (*identity.Instance, error) {
	i, err := scanInstance(t.tx.QueryRow(ctx, sqlLockInstance, guid))
	return oneOrNil(&i, "the instance", err)
}

const (
	sqlMakeReservation = `INSERT INTO connection (airflow, id, space) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	sqlLockReservation = `SELECT ` + reservationColumns + ` FROM connection c WHERE c.airflow = $1 AND c.id = $2 FOR UPDATE`
)

func (t *transaction) Reserve(ctx context.Context, airflow identity.AirflowURL, id identity.ConnectionID, space identity.SpaceGUID) (*identity.Reservation, error) {
	if _, err := t.tx.Exec(ctx, sqlMakeReservation, airflow, id, space); err != nil {
		return nil, fmt.Errorf("reserving the connection id: %w", err)
	}
	r, err := scanReservation(t.tx.QueryRow(ctx, sqlLockReservation, airflow, id))
	return &r, reading("the connection id", err)
}

const sqlLockReservationsOfInstance = `
SELECT 1 FROM connection c
WHERE (c.airflow, c.id) IN (SELECT y.airflow, y.connection FROM identity y WHERE y.instance = $1 AND y.clean_at IS NULL)
ORDER BY c.airflow, c.id FOR UPDATE`

func (t *transaction) LockReservations(ctx context.Context, instance identity.RowID) error {
	if _, err := t.tx.Exec(ctx, sqlLockReservationsOfInstance, instance); err != nil {
		return fmt.Errorf("locking the connection ids: %w", err)
	}
	return nil
}

const sqlBindingByGUID = `SELECT ` + bindingColumns + `
FROM binding b WHERE b.guid = $1 ORDER BY b.removed_at IS NULL DESC, b.created_at DESC LIMIT 1`

func (t *transaction) Binding(ctx context.Context, guid identity.BindingGUID) (*identity.Binding, error) {
	b, err := oneBinding(ctx, t.tx, guid)
	return oneOrNil(&b, "the binding", err)
}

const sqlBindingsOfInstance = `SELECT ` + bindingColumns + `
FROM binding b WHERE b.instance = $1 AND b.removed_at IS NULL ORDER BY b.airflow_identity, b.row`

func (t *transaction) Bindings(ctx context.Context, instance identity.RowID) ([]identity.Binding, error) {
	rows, err := t.tx.Query(ctx, sqlBindingsOfInstance, instance)
	if err != nil {
		return nil, reading("the instance's bindings", err)
	}
	bindings, err := pgx.CollectRows(rows, scanBinding)
	return bindings, reading("the instance's bindings", err)
}

const sqlIdentity = `SELECT ` + identityColumns + ` FROM identity y WHERE y.id = $1`

func (t *transaction) Identity(ctx context.Context, id identity.ID) (*identity.Identity, error) {
	i, err := scanIdentity(t.tx.QueryRow(ctx, sqlIdentity, id), t.sealer)
	return &i, reading("the identity", err)
}

// Each statement of a locked view waits for its lock and then reads the row as
// it is after that, so together they are as good as one statement. What stands in no
// row of the view is read by a statement that begins once the identity is locked: one
// that has waited for a lock sees its own rows anew, and all others as they were before.
const (
	sqlLockReservationOf = `SELECT ` + reservationColumns + ` FROM connection c
WHERE (c.airflow, c.id) = (SELECT y.airflow, y.connection FROM identity y WHERE y.id = $1) FOR UPDATE`
	sqlLockBindingsOf = `SELECT ` + bindingColumns + `
FROM binding b WHERE b.airflow_identity = $1 OR b.client_identity = $1 ORDER BY b.row FOR UPDATE`
	sqlLockIdentity   = `SELECT FROM identity WHERE id = $1 FOR UPDATE`
	sqlLockedIdentity = `SELECT ` + identityColumns + `, ` + instanceColumns + `, ` + viewColumns + `
FROM identity y JOIN instance i ON i.row = y.instance WHERE y.id = $1`
)

func (t *transaction) View(ctx context.Context, id identity.ID) (*identity.View, error) {
	v, err := readView(ctx, t.tx, t.sealer, id, sqlLockReservationOf, sqlLockBindingsOf, sqlLockIdentity, sqlLockedIdentity)
	return &v, err
}

const sqlClock = `SELECT clock_timestamp()`

func (t *transaction) Clock(ctx context.Context) (now time.Time, err error) {
	err = t.tx.QueryRow(ctx, sqlClock).Scan(&now)
	return now, reading("the database's clock", err)
}

const sqlInsertInstance = `INSERT INTO instance
	(row, guid, plan, environment, org, space, org_name, space_name, instance_name, parameters, ceiling, rotation_period,
	 connection_base, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

func (t *transaction) InsertInstance(ctx context.Context, i identity.Instance) error {
	_, err := t.tx.Exec(ctx, sqlInsertInstance, i.Row, i.GUID, i.Plan, i.Environment, i.Org, i.Space,
		i.Names.Org, i.Names.Space, i.Names.Instance, i.Parameters, i.Ceiling, i.RotationPeriod, i.ConnectionBase, i.CreatedAt)
	return writing("the instance", err)
}

const sqlUpdateInstance = `UPDATE instance
SET plan = $2, org_name = $3, space_name = $4, instance_name = $5, parameters = $6, ceiling = $7, rotation_period = $8, updates = $9, update_by = $10
WHERE row = $1`

func (t *transaction) UpdateInstance(ctx context.Context, i identity.Instance) error {
	_, err := t.tx.Exec(ctx, sqlUpdateInstance, i.Row, i.Plan, i.Names.Org, i.Names.Space, i.Names.Instance,
		i.Parameters, i.Ceiling, i.RotationPeriod, i.Updates, i.UpdateBy)
	return writing("the instance", err)
}

const sqlCountInstances = `SELECT count(*) FROM instance i WHERE i.space = $1 AND i.plan = $2 AND i.removing_at IS NULL`

func (t *transaction) CountInstances(ctx context.Context, space identity.SpaceGUID, plan identity.PlanID) (n int, err error) {
	err = t.tx.QueryRow(ctx, sqlCountInstances, space, plan).Scan(&n)
	return n, reading("the space's instances", err)
}

const sqlMarkRemoving = `UPDATE instance SET removing_at = $2 WHERE row = $1`

func (t *transaction) MarkRemoving(ctx context.Context, row identity.RowID, at time.Time) error {
	_, err := t.tx.Exec(ctx, sqlMarkRemoving, row, at)
	return writing("the instance's end", err)
}

const sqlInsertIdentity = `INSERT INTO identity
	(id, kind, instance, environment, holder, asked, granted, token_lifetime, issuer, token_url, jwks_url, zone_id,
	 generation, secret, airflow, connection, description, client_phase, client_quiet_until, connection_phase, lane, due_at,
	 attempt, lease_until, lease_epoch, wish_version, last_error, request_id, created_at, expires_at, ended_at, clean_at,
	 period, soak, overlap_phase, team)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
	$26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36)`

func (t *transaction) InsertIdentity(ctx context.Context, v identity.View) error {
	i := v.Identity
	sealed, err := t.sealer.seal(i.Secret, string(i.ID))
	if err != nil {
		return err
	}
	var batch pgx.Batch
	if v.Identity.Connection != "" {
		queueReservation(&batch, v.Reservation)
	}
	batch.Queue(sqlInsertIdentity, i.ID, i.Kind, i.Instance, i.Environment, i.Holder, i.Asked, orEmpty(i.Granted), i.TokenLifetime,
		i.Endpoints.Issuer, i.Endpoints.TokenURL, i.Endpoints.JWKSURL, i.Endpoints.ZoneID, i.Generation, sealed,
		textOrNull(i.Airflow), textOrNull(i.Connection), i.Description, i.Client.Phase, timeOrNull(i.Client.QuietUntil),
		i.Published.Phase, i.Lane, i.DueAt, i.Attempt, i.LeaseUntil, i.LeaseEpoch, i.WishVersion, i.LastError, i.RequestID,
		i.CreatedAt, i.ExpiresAt, i.EndedAt, i.CleanAt, i.Period, i.Soak, i.Overlap, i.Team)
	return writing("the new identity", t.tx.SendBatch(ctx, &batch).Close())
}

const sqlInsertBinding = `INSERT INTO binding
	(row, guid, instance, airflow_identity, client_identity, app, parameters, finish_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

func (t *transaction) InsertBinding(ctx context.Context, b identity.Binding) error {
	_, err := t.tx.Exec(ctx, sqlInsertBinding, b.Row, b.GUID, b.Instance, textOrNull(b.Airflow.Identity), textOrNull(b.Client.Identity),
		b.App, b.Parameters, b.FinishBy, b.CreatedAt)
	return writing("the new binding", err)
}

const sqlWakeIdentities = `UPDATE identity SET due_at = $2, lane = 0, attempt = 0, wish_version = wish_version + 1
WHERE id = ANY($1) AND clean_at IS NULL`

func (t *transaction) WakeIdentities(ctx context.Context, ids []identity.ID, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := t.tx.Exec(ctx, sqlWakeIdentities, ids, now); err != nil {
		return writing("what is due", err)
	}
	return t.notify(ctx)
}

const sqlSaveReservation = `UPDATE connection
SET space = $3, holder = $4, identity = $5, quiet_until = $6, debt_since = $7, released_at = $8 WHERE airflow = $1 AND id = $2`

func queueReservation(batch *pgx.Batch, r identity.Reservation) {
	batch.Queue(sqlSaveReservation, r.Airflow, r.ID, r.Space, r.Holder, textOrNull(r.Identity), r.QuietUntil, r.DebtSince, r.ReleasedAt)
}

const sqlSaveIdentity = `UPDATE identity
SET secret = $3, client_phase = $4, client_quiet_until = $5, connection_phase = $6, due_at = $7,
	attempt = $8, lease_until = $9, lease_epoch = $10, wish_version = $11, last_error = $12, request_id = $13,
	ended_at = $14, clean_at = $15, granted = $16, description = $17, lane = $18,
	candidate = $19, old = $20, generation = $21, period = $22, soak = $23, overlap_phase = $24, published_generation = $25,
	published_at = $26, rotate_at = $27, retire_at = $28, rotate_above = $29, urgent = $30, seen_epoch = $31,
	held_at = $32, held_generation = $33, restored = $34
WHERE id = $1 AND lease_epoch = $2`

const sqlSaveBinding = `UPDATE binding
SET succeeded_at = $2, failed_at = $3, failure_code = $4, failure_message = $5, unbound_at = $6, removed_at = $7,
	airflow_ready = $8, airflow_done = $9, client_ready = $10, client_done = $11, finish_by = $12, async_at = $13 WHERE row = $1`

func (t *transaction) SaveView(ctx context.Context, v identity.View, epoch int64) error {
	i := v.Identity
	secret, candidate, old, err := sealedSecrets(t.sealer, i)
	if err != nil {
		return err
	}
	var batch pgx.Batch
	batch.Queue(sqlSaveIdentity, i.ID, epoch, secret, i.Client.Phase, timeOrNull(i.Client.QuietUntil),
		i.Published.Phase, i.DueAt, i.Attempt, i.LeaseUntil, i.LeaseEpoch, i.WishVersion, i.LastError, i.RequestID,
		i.EndedAt, i.CleanAt, orEmpty(i.Granted), i.Description, i.Lane,
		candidate, old, i.Generation, i.Period, i.Soak, i.Overlap, i.PublishedGeneration,
		i.PublishedAt, i.RotateAt, i.RetireAt, i.RotateAbove, i.Urgent, i.SeenEpoch,
		i.HeldAt, i.HeldGeneration, i.Restored).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != 1 {
			return fmt.Errorf("identity %s is leased under another epoch than %d", i.ID, epoch)
		}
		return nil
	})
	for _, b := range v.Bindings {
		batch.Queue(sqlSaveBinding, b.Row, b.SucceededAt, b.FailedAt, b.Failure.Code, b.Failure.Message, b.UnboundAt, b.RemovedAt,
			b.Airflow.Ready, b.Airflow.Done, b.Client.Ready, b.Client.Done, b.FinishBy, b.AsyncAt)
	}
	// A reservation that was released and taken again belongs to another identity.
	if v.Reservation.ID != "" && (v.Reservation.Identity == i.ID || i.CleanAt != nil && v.Reservation.Identity == "") {
		queueReservation(&batch, v.Reservation)
	}
	return writing("the identity", t.tx.SendBatch(ctx, &batch).Close())
}

const (
	sqlInsertEvent = `INSERT INTO event (id, leaf, at, action, decision, outcome, actor, request_id, instance, binding, identity)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`
	sqlInsertPending = `INSERT INTO pending (event) VALUES ($1) ON CONFLICT DO NOTHING`
)

func (t *transaction) Record(ctx context.Context, events ...audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	var batch pgx.Batch
	for _, e := range events {
		leaf, err := e.Leaf()
		if err != nil {
			return err
		}
		batch.Queue(sqlInsertEvent, e.ID, leaf, e.At, e.Action, e.Decision, e.Outcome, e.Actor.Kind+":"+e.Actor.User,
			e.RequestID, e.Where.Instance, e.Where.Binding, e.Where.Identity)
		batch.Queue(sqlInsertPending, e.ID)
	}
	return writing("the events", t.tx.SendBatch(ctx, &batch).Close())
}

func writing(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing %s: %w", what, err)
}

func oneOrNil[T any](found *T, what string, err error) (*T, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return found, reading(what, err)
}
