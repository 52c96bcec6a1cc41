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
}

// For says whom an identity is for.
func (r LedgerRow) For() string {
	return strings.Join([]string{r.Org, r.Space, r.InstanceName}, "/") + " " + string(r.Holder)
}

// State says in a few words how an identity stands.
func (r LedgerRow) State() string {
	switch {
	case r.CleanAt != nil:
		return "gone"
	case r.DebtSince != nil:
		return "debt since " + r.DebtSince.UTC().Format(time.RFC3339) + ": its connection could not be removed"
	case r.EndedAt != nil:
		return "being removed"
	case r.ClientPhase == identity.Present && (r.Kind == identity.AppIdentity || r.ConnectionPhase == identity.Present):
		return "whole"
	case r.ClientPhase == identity.Outdated || r.ClientPhase == identity.Changing ||
		r.ConnectionPhase == identity.Outdated || r.ConnectionPhase == identity.Changing:
		return "being changed"
	default:
		return "being made"
	}
}

const ledgerColumns = `SELECT y.id, y.kind, y.environment, coalesce(y.connection, ''), y.holder, i.guid, i.org_name, i.space_name,
	i.instance_name,
	(SELECT count(*) FROM binding b WHERE (b.airflow_identity = y.id OR b.client_identity = y.id) AND b.removed_at IS NULL),
	y.granted, y.token_lifetime, y.generation, y.client_phase, y.connection_phase, y.last_error,
	CASE WHEN c.identity = y.id THEN c.debt_since END, y.due_at, y.created_at, y.expires_at, y.ended_at, y.clean_at
FROM identity y JOIN instance i ON i.row = y.instance
LEFT JOIN connection c ON c.airflow = y.airflow AND c.id = y.connection `

const (
	sqlLedger = ledgerColumns + `WHERE y.clean_at IS NULL AND ($1 = '' OR y.environment = $1)
ORDER BY y.environment, y.connection, y.created_at`
	sqlLedgerOne = ledgerColumns + `WHERE y.id = $1 OR y.connection = $1 ORDER BY y.clean_at IS NULL DESC, y.created_at DESC LIMIT 1`
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
