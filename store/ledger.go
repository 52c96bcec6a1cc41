package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"airflow-identity/audit"
	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Ledger reads what exists, for people. It needs no keyset, since it never reads
// a secret, and it changes nothing.
type Ledger struct{ pool *pgxpool.Pool }

// OpenLedger connects and checks the schema.
func OpenLedger(ctx context.Context, url string) (*Ledger, error) {
	pool, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := (&Store{pool: pool}).Ready(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return &Ledger{pool}, nil
}

// Close closes every connection.
func (l *Ledger) Close() { l.pool.Close() }

// LedgerRow is an identity as people want to see it.
type LedgerRow struct {
	ID              identity.ID              `json:"id"`
	Kind            identity.Kind            `json:"kind"`
	Environment     identity.EnvironmentName `json:"environment"`
	Connection      identity.ConnectionID    `json:"connection,omitempty"`
	Holder          identity.Holder          `json:"holder"`
	Instance        identity.InstanceGUID    `json:"instance"`
	Org             string                   `json:"org"`
	Space           string                   `json:"space"`
	InstanceName    string                   `json:"instance_name"`
	Bindings        int                      `json:"bindings"`
	Authorities     []string                 `json:"authorities"`
	TokenLifetime   time.Duration            `json:"token_lifetime_ns"`
	Generation      int                      `json:"generation"`
	ClientPhase     identity.Phase           `json:"client_phase"`
	ConnectionPhase identity.Phase           `json:"connection_phase"`
	LastError       string                   `json:"last_error,omitempty"`
	DebtSince       *time.Time               `json:"debt_since,omitempty"`
	DueAt           *time.Time               `json:"due_at,omitempty"`
	CreatedAt       time.Time                `json:"created_at"`
	ExpiresAt       *time.Time               `json:"expires_at,omitempty"`
	EndedAt         *time.Time               `json:"ended_at,omitempty"`
	CleanAt         *time.Time               `json:"clean_at,omitempty"`
	// Of an Airflow identity's secrets.
	OverlapPhase identity.Phase `json:"overlap_phase"`
	Period       time.Duration  `json:"rotation_period_ns"`
	PublishedAt  *time.Time     `json:"last_rotation_at,omitempty"`
	RotateAt     *time.Time     `json:"next_rotation_at,omitempty"`
	Late         time.Duration  `json:"rotation_late_ns,omitempty"`
	RetireAt     *time.Time     `json:"retire_at,omitempty"`
	RotateAbove  int            `json:"rotate_above,omitempty"`
	Urgent       bool           `json:"urgent,omitempty"`
	Paused       bool           `json:"paused,omitempty"`
	PausedUntil  *time.Time     `json:"paused_until,omitempty"`
	// What an operator did, or has to do.
	HeldAt          *time.Time `json:"held_at,omitempty"`
	HeldGeneration  int        `json:"held_generation,omitempty"`
	EnvironmentHeld bool       `json:"environment_held,omitempty"`
	Restored        bool       `json:"restored,omitempty"`
	RevokedAt       *time.Time `json:"revoked_at,omitempty"`
	ForgottenAt     *time.Time `json:"forgotten_at,omitempty"`
	Attempt         int        `json:"attempt,omitempty"`
}

// For says whom an identity is for.
func (r LedgerRow) For() string {
	return strings.Join([]string{r.Org, r.Space, r.InstanceName}, "/") + " " + string(r.Holder)
}

// State says in a few words how an identity stands, and what an operator has to do.
func (r LedgerRow) State() string {
	if words := r.ended(); words != "" {
		return words
	}
	app := r.Kind == identity.AppIdentity
	clientLost, connectionLost := r.ClientPhase == identity.Lost, r.ConnectionPhase == identity.Lost
	switch {
	case r.HeldAt != nil:
		return fmt.Sprintf("held: Airflow has generation %d, the database was restored; see apply --accept-restore", r.HeldGeneration)
	case r.EnvironmentHeld && !app:
		return "held with its environment: the database was restored; see apply --accept-restore"
	case clientLost && app:
		return "its client is lost; apply makes it again"
	case clientLost && connectionLost:
		return "client and connection are lost; apply makes them again"
	case r.ConnectionPhase == identity.Strange:
		return "marker removed: hands off its connection"
	case r.Urgent:
		return "being rotated: its secret has leaked"
	case r.OverlapPhase == identity.Stray && !app:
		return "a secret that is not ours is at UAA: being mended"
	case clientLost || connectionLost:
		return "lost in part: being made again"
	case r.is(identity.Doubted):
		return "being looked at"
	case r.is(identity.Outdated) || r.is(identity.Changing):
		return "being changed"
	case r.ClientPhase != identity.Present || !app && r.ConnectionPhase != identity.Present:
		return "being made"
	case r.Paused:
		return "whole; rotation is paused"
	case r.PausedUntil != nil:
		return "whole; rotation is paused until " + r.PausedUntil.UTC().Format(time.RFC3339)
	case r.RotateAbove > 0:
		return "whole; a rotation was asked for"
	default:
		return "whole"
	}
}

// ended says how far the removal of one that has ended is; "" for all others.
func (r LedgerRow) ended() string {
	switch {
	case r.CleanAt != nil:
		return "gone"
	case r.ForgottenAt != nil:
		return "being written off"
	case r.DebtSince != nil:
		return "debt since " + r.DebtSince.UTC().Format(time.RFC3339) + ": its connection could not be removed"
	case r.RevokedAt != nil:
		return "revoked, being removed"
	case r.EndedAt != nil:
		return "being removed"
	default:
		return ""
	}
}

func (r LedgerRow) is(phase identity.Phase) bool {
	return r.ClientPhase == phase || r.ConnectionPhase == phase
}

const ledgerColumns = `SELECT y.id, y.kind, y.environment, coalesce(y.connection, ''), y.holder, i.guid, i.org_name, i.space_name,
	i.instance_name,
	(SELECT count(*) FROM binding b WHERE (b.airflow_identity = y.id OR b.client_identity = y.id) AND b.removed_at IS NULL),
	y.granted, y.token_lifetime, y.generation, y.client_phase, y.connection_phase, y.last_error,
	CASE WHEN c.identity = y.id THEN c.debt_since END, y.due_at, y.created_at, y.expires_at, y.ended_at, y.clean_at,
	y.overlap_phase, y.period, y.published_at, y.rotate_at,
	CASE WHEN y.kind = 'airflow' AND y.ended_at IS NULL AND y.revoked_at IS NULL AND y.rotate_at < now() THEN now() - y.rotate_at ELSE '0' END,
	y.retire_at, y.rotate_above, y.urgent,
	(SELECT count(*) > count(p.until) FROM pause p WHERE ` + covers + `),
	(SELECT max(p.until) FROM pause p WHERE p.until > now() AND ` + covers + `),
	y.held_at, y.held_generation, EXISTS (SELECT FROM hold h WHERE h.environment = y.environment), y.restored,
	y.revoked_at, y.forgotten_at, y.attempt
FROM identity y JOIN instance i ON i.row = y.instance
LEFT JOIN connection c ON c.airflow = y.airflow AND c.id = y.connection `

const (
	sqlLedger = ledgerColumns + `WHERE y.clean_at IS NULL AND ($1 = '' OR y.environment = $1)
ORDER BY y.environment, y.connection, y.created_at`
	sqlLedgerOne   = ledgerColumns + `WHERE y.id = $1 OR y.connection = $1 ORDER BY y.clean_at IS NULL DESC, y.created_at DESC LIMIT 1`
	sqlLedgerNamed = `SELECT y.id, coalesce(y.connection, ''), y.environment, y.last_error FROM identity y
WHERE y.connection = $1 AND y.clean_at IS NULL ORDER BY y.environment, y.created_at`
)

// Identities lists those that are there or on their way in or out; environment ""
// means all.
func (l *Ledger) Identities(ctx context.Context, environment identity.EnvironmentName) ([]LedgerRow, error) {
	rows, err := l.pool.Query(ctx, sqlLedger, environment)
	if err != nil {
		return nil, reading("the identities", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LedgerRow])
	return list, reading("the identities", err)
}

// Named lists those of a connection id that are there, or on their way: there may
// be one in each environment, and one that is being removed beside its successor.
func (l *Ledger) Named(ctx context.Context, connection identity.ConnectionID) ([]Named, error) {
	rows, err := l.pool.Query(ctx, sqlLedgerNamed, connection)
	if err != nil {
		return nil, reading("the identities", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Named])
	return list, reading("the identities", err)
}

const sqlKnown = `SELECT EXISTS (SELECT FROM instance WHERE $1 = 'environment' AND environment = $2
	OR $1 = 'plan' AND plan = $2 OR $1 = 'instance' AND guid = $2)`

// Known tells whether anything was ever made in an environment, of a plan or in an
// instance.
func (l *Ledger) Known(ctx context.Context, kind FreezeKind, key string) (known bool, err error) {
	err = l.pool.QueryRow(ctx, sqlKnown, kind, key).Scan(&known)
	return known, reading("the instances", err)
}

// ErrNoIdentity says that there is no such identity, and no tombstone of one.
var ErrNoIdentity = errors.New("no such identity")

// Identity finds one by its uuid or its connection id: the newest that is there.
func (l *Ledger) Identity(ctx context.Context, key string) (LedgerRow, error) {
	rows, err := l.pool.Query(ctx, sqlLedgerOne, key)
	if err != nil {
		return LedgerRow{}, reading("the identity", err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[LedgerRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return LedgerRow{}, ErrNoIdentity
	}
	return row, reading("the identity", err)
}

// LedgerEvent is an event as it was written.
type LedgerEvent struct {
	At        string         `json:"at"`
	Actor     audit.Actor    `json:"actor"`
	RequestID string         `json:"request_id,omitempty"`
	Action    string         `json:"action"`
	Reason    string         `json:"reason,omitempty"`
	Decision  audit.Decision `json:"decision,omitempty"`
	Outcome   string         `json:"outcome,omitempty"`
	Detail    string         `json:"detail,omitempty"`
	Where     audit.Where    `json:"where"`
}

// Sentence tells the event on one line.
func (e LedgerEvent) Sentence() string {
	who := e.Actor.Kind
	if e.Actor.User != "" {
		who = e.Actor.User
	}
	line := fmt.Sprintf("%s  %s", e.At, e.Action)
	for _, part := range []string{e.Outcome, string(e.Decision)} {
		if part != "" {
			line += " " + part
		}
	}
	if e.Reason != "" {
		line += " (" + e.Reason + ")"
	}
	if e.Detail != "" {
		line += ": " + e.Detail
	}
	if e.Actor.Claimed {
		who += " (claimed)"
	}
	return line + ", by " + who
}

const sqlTimeline = `SELECT leaf FROM (
	SELECT e.leaf, e.at FROM event e WHERE e.identity = $1
	UNION ALL SELECT e.leaf, e.at FROM event e JOIN binding b ON b.guid = e.binding
	WHERE (b.airflow_identity = $1 OR b.client_identity = $1) AND e.identity = ''
) t ORDER BY at`

// Timeline tells what happened to an identity, in order.
func (l *Ledger) Timeline(ctx context.Context, id identity.ID) ([]LedgerEvent, error) {
	rows, err := l.pool.Query(ctx, sqlTimeline, id)
	if err != nil {
		return nil, reading("the timeline", err)
	}
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, reading("the timeline", err)
	}
	events := make([]LedgerEvent, len(leaves))
	for i, leaf := range leaves {
		if err := json.Unmarshal(leaf, &events[i]); err != nil {
			return nil, fmt.Errorf("reading an event: %w", err)
		}
	}
	return events, nil
}
