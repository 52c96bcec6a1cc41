package store

import (
	"fmt"
	"time"

	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
)

// Columns stand in one place for each table, in the order of the scan beside it.

const instanceColumns = `i.row, i.guid, i.plan, i.environment, i.org, i.space, i.org_name, i.space_name, i.instance_name,
	i.parameters, i.ceiling, i.rotation_period, i.connection_base, i.updates, i.update_by, i.created_at, i.removing_at`

func instanceTargets(i *identity.Instance) []any {
	return []any{&i.Row, &i.GUID, &i.Plan, &i.Environment, &i.Org, &i.Space, &i.Names.Org, &i.Names.Space, &i.Names.Instance,
		&i.Parameters, &i.Ceiling, &i.RotationPeriod, &i.ConnectionBase, &i.Updates, &i.UpdateBy, &i.CreatedAt, &i.RemovingAt}
}

func scanInstance(row pgx.Row) (i identity.Instance, err error) {
	err = row.Scan(instanceTargets(&i)...)
	return i, err
}

const reservationColumns = `c.airflow, c.id, c.space, c.holder, coalesce(c.identity, ''), c.quiet_until, c.debt_since, c.released_at`

func scanReservation(row pgx.Row) (r identity.Reservation, err error) {
	err = row.Scan(&r.Airflow, &r.ID, &r.Space, &r.Holder, &r.Identity, &r.QuietUntil, &r.DebtSince, &r.ReleasedAt)
	return r, err
}

const bindingColumns = `b.row, b.guid, b.instance, coalesce(b.airflow_identity, ''), b.airflow_ready, b.airflow_done,
	coalesce(b.client_identity, ''), b.client_ready, b.client_done, b.app, b.parameters, b.finish_by, b.created_at, b.async_at,
	b.succeeded_at, b.failed_at, b.failure_code, b.failure_message, b.unbound_at, b.removed_at`

func scanBinding(row pgx.CollectableRow) (b identity.Binding, err error) {
	err = row.Scan(&b.Row, &b.GUID, &b.Instance, &b.Airflow.Identity, &b.Airflow.Ready, &b.Airflow.Done,
		&b.Client.Identity, &b.Client.Ready, &b.Client.Done, &b.App, &b.Parameters, &b.FinishBy, &b.CreatedAt, &b.AsyncAt,
		&b.SucceededAt, &b.FailedAt, &b.Failure.Code, &b.Failure.Message, &b.UnboundAt, &b.RemovedAt)
	return b, err
}

const identityColumns = `y.id, y.kind, y.instance, y.environment, y.holder, y.asked, y.granted, y.token_lifetime,
	y.issuer, y.token_url, y.jwks_url, y.zone_id, y.generation, y.secret, y.candidate, y.old,
	coalesce(y.airflow, ''), coalesce(y.connection, ''), y.team, y.description,
	y.client_phase, y.client_quiet_until, y.connection_phase, y.lane, y.due_at, y.attempt, y.lease_until, y.lease_epoch,
	y.wish_version, y.last_error, y.request_id, y.created_at, y.expires_at, y.revoked_at, y.forgotten_at, y.ended_at, y.clean_at,
	y.period, y.soak, y.overlap_phase, y.published_generation, y.published_at, y.rotate_at, y.retire_at, y.rotate_above, y.urgent,
	y.seen_epoch, y.held_at, y.held_generation, y.restored`

// identityRow is an identity on its way out of its row.
type identityRow struct {
	identity.Identity
	sealed struct{ secret, candidate, old []byte }
	quiet  *time.Time
}

func (r *identityRow) targets() []any {
	i := &r.Identity
	return []any{&i.ID, &i.Kind, &i.Instance, &i.Environment, &i.Holder, &i.Asked, &i.Granted, &i.TokenLifetime,
		&i.Endpoints.Issuer, &i.Endpoints.TokenURL, &i.Endpoints.JWKSURL, &i.Endpoints.ZoneID, &i.Generation,
		&r.sealed.secret, &r.sealed.candidate, &r.sealed.old,
		&i.Airflow, &i.Connection, &i.Team, &i.Description, &i.Client.Phase, &r.quiet, &i.Published.Phase, &i.Lane, &i.DueAt,
		&i.Attempt, &i.LeaseUntil, &i.LeaseEpoch, &i.WishVersion, &i.LastError, &i.RequestID, &i.CreatedAt, &i.ExpiresAt,
		&i.RevokedAt, &i.ForgottenAt, &i.EndedAt, &i.CleanAt,
		&i.Period, &i.Soak, &i.Overlap, &i.PublishedGeneration, &i.PublishedAt, &i.RotateAt, &i.RetireAt, &i.RotateAbove, &i.Urgent,
		&i.SeenEpoch, &i.HeldAt, &i.HeldGeneration, &i.Restored}
}

// finish unseals the secrets; without a sealer there are none.
func (r *identityRow) finish(sealer *Sealer) (i identity.Identity, err error) {
	i = r.Identity
	if r.quiet != nil {
		i.Client.QuietUntil = *r.quiet
	}
	if sealer == nil {
		return i, nil
	}
	for _, s := range []struct {
		to     *identity.Secret
		sealed []byte
		place  string
	}{{&i.Secret, r.sealed.secret, ""}, {&i.Candidate, r.sealed.candidate, candidatePlace}, {&i.Old, r.sealed.old, oldPlace}} {
		if *s.to, err = sealer.unseal(s.sealed, string(i.ID)+s.place); err != nil {
			return i, err
		}
	}
	return i, nil
}

// The three secrets of a row are sealed for their places, so that one cannot be
// put in another's.
const (
	candidatePlace = " candidate"
	oldPlace       = " old"
)

// sealedSecrets are a row's three secrets as they are written.
func sealedSecrets(sealer *Sealer, i identity.Identity) (secret, candidate, old []byte, err error) {
	if secret, err = sealer.seal(i.Secret, string(i.ID)); err != nil {
		return nil, nil, nil, err
	}
	if candidate, err = sealer.seal(i.Candidate, string(i.ID)+candidatePlace); err != nil {
		return nil, nil, nil, err
	}
	old, err = sealer.seal(i.Old, string(i.ID)+oldPlace)
	return secret, candidate, old, err
}

func scanIdentity(row pgx.Row, sealer *Sealer) (identity.Identity, error) {
	var r identityRow
	if err := row.Scan(r.targets()...); err != nil {
		return identity.Identity{}, err
	}
	return r.finish(sealer)
}

// timeOrNull keeps "none" out of comparisons in SQL.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func textOrNull[T ~string](text T) *T {
	if text == "" {
		return nil
	}
	return &text
}

func reading(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading %s: %w", what, err)
}

// orEmpty keeps a list that holds nothing apart from no list at all.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
