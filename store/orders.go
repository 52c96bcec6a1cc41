package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"airflow-identity/audit"
	"airflow-identity/identity"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Orders writes what operators want into the rows, and brokers act. An order that
// concerns many identities goes through them in pages of one transaction each, with
// the event of each change beside it, so that it can be broken off and given again.
//
// It needs no keyset, since it never reads a secret: what it writes are wishes.
type Orders struct {
	*Ledger
	store *Store
}

// OpenOrders connects and checks the schema.
func OpenOrders(ctx context.Context, url string) (*Orders, error) {
	ledger, err := OpenLedger(ctx, url)
	if err != nil {
		return nil, err
	}
	return &Orders{ledger, &Store{pool: ledger.pool}}, nil
}

// Order is who gives an order, and when.
type Order struct {
	Actor audit.Actor
	// RequestID stands in every event of the order and in the rows it changes, so
	// that what follows from it can be found by it.
	RequestID string
	At        time.Time
}

func (o Order) event(action string, where audit.Where) audit.Event {
	return audit.Event{
		ID: uuid.New(), At: o.At, Actor: o.Actor, RequestID: o.RequestID, Action: action, Decision: audit.Allowed, Where: where,
	}
}

// events tells of the same change of many identities.
func (o Order) events(action, reason, detail string, views []identity.View) []audit.Event {
	events := make([]audit.Event, len(views))
	for i, v := range views {
		events[i] = o.event(action, whereOf(v))
		events[i].Reason, events[i].Detail = reason, detail
	}
	return events
}

func whereOf(v identity.View) audit.Where {
	return audit.Where{
		Environment: string(v.Identity.Environment), Plan: string(v.Instance.Plan), Org: string(v.Instance.Org),
		Space: string(v.Instance.Space), Instance: string(v.Instance.GUID),
		Identity: string(v.Identity.ID), Connection: string(v.Identity.Connection),
	}
}

// Selection says which identities an order is for; empty fields restrict nothing.
type Selection struct {
	Identity    identity.ID
	Instance    identity.InstanceGUID
	Plan        identity.PlanID
	Environment identity.EnvironmentName
}

// clause is a condition with its arguments. It is composed, not one for all cases,
// so that Postgres sees which index serves it.
type clause struct {
	text string
	args []any
}

func (s Selection) clause(conditions ...string) clause {
	c := clause{strings.Join(conditions, " AND "), nil}
	for _, equal := range []struct {
		column string
		value  string
	}{
		{"y.id", string(s.Identity)}, {"i.guid", string(s.Instance)}, {"i.plan", string(s.Plan)}, {"y.environment", string(s.Environment)},
	} {
		if equal.value != "" {
			c = c.and(equal.column+" = ?", equal.value)
		}
	}
	return c
}

// and adds a condition, in which ? stands for the value.
func (c clause) and(condition string, value any) clause {
	args := append(append([]any{}, c.args...), value)
	text := strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(args)))
	if c.text != "" {
		text = c.text + " AND " + text
	}
	return clause{text, args}
}

// orderPage is how many rows one transaction of an order locks.
const orderPage = 200

const sqlOrderPage = `SELECT ` + identityColumns + `, ` + instanceColumns + `, ` + viewColumns + `
FROM identity y JOIN instance i ON i.row = y.instance WHERE %s ORDER BY y.id LIMIT %d FOR UPDATE OF y`

// page locks and reads identities, without their secrets, bindings and reservations.
func (t *transaction) page(ctx context.Context, c clause, after identity.ID) ([]identity.View, error) {
	c = c.and("y.id > ?", after)
	rows, err := t.tx.Query(ctx, fmt.Sprintf(sqlOrderPage, c.text, orderPage), c.args...)
	if err != nil {
		return nil, reading("a page of identities", err)
	}
	views, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v identity.View, err error) {
		var r identityRow
		targets := append(r.targets(), instanceTargets(&v.Instance)...)
		if err := row.Scan(append(targets, viewTargets(&v)...)...); err != nil {
			return v, err
		}
		v.Identity, err = r.finish(nil)
		return v, err
	})
	return views, reading("a page of identities", err)
}

// each goes through identities, page by page. change writes one page's changes and
// events; since its transaction may be tried again, what it counts is counted by the
// function it gives, once that is committed.
func (o *Orders) each(ctx context.Context, c clause, change func(ctx context.Context, t *transaction, page []identity.View) (func(), error)) error {
	for after := identity.ID(""); ; {
		var (
			page  []identity.View
			count func()
		)
		err := o.within(ctx, func(ctx context.Context, t *transaction) (err error) {
			if page, err = t.page(ctx, c, after); err != nil || len(page) == 0 {
				return err
			}
			if count, err = change(ctx, t, page); err != nil {
				return err
			}
			return t.notify(ctx)
		})
		if err != nil || len(page) == 0 {
			return err
		}
		count()
		after = page[len(page)-1].Identity.ID
	}
}

func (o *Orders) within(ctx context.Context, fn func(ctx context.Context, t *transaction) error) error {
	return o.store.Within(ctx, func(ctx context.Context, tx identity.Tx) error { return fn(ctx, tx.(*transaction)) })
}

// change runs a statement over identities, whose first arguments are their ids, the
// order's time and its request id.
func (t *transaction) change(ctx context.Context, sql string, o Order, views []identity.View, args ...any) error {
	if len(views) == 0 {
		return nil
	}
	_, err := t.tx.Exec(ctx, sql, append([]any{idsOf(views), o.At, o.RequestID}, args...)...)
	return writing("an order", err)
}

func idsOf(views []identity.View) []identity.ID {
	ids := make([]identity.ID, len(views))
	for i, v := range views {
		ids[i] = v.Identity.ID
	}
	return ids
}

// leased tells whether a broker is at work on the row. Wishes are written all the
// same; what is known of remote things is not, since an outcome may be on its way.
func leased(v identity.View) bool { return v.Identity.LeaseUntil.After(v.Clock) }

func held(v identity.View) bool { return v.Identity.HeldAt != nil || v.EnvironmentHeld }

func paused(v identity.View, now time.Time) bool {
	return v.Paused || v.PausedUntil != nil && now.Before(*v.PausedUntil)
}

// wished is what every order does to a row that is to be acted on at once.
const wished = `attempt = 0, wish_version = wish_version + 1, request_id = $3`

// Named is an identity as people find it again.
type Named struct {
	ID          identity.ID              `json:"id"`
	Connection  identity.ConnectionID    `json:"connection,omitempty"`
	Environment identity.EnvironmentName `json:"environment"`
	LastError   string                   `json:"last_error,omitempty"`
}

func (n Named) String() string {
	if n.Connection == "" {
		return string(n.ID.ClientID())
	}
	return string(n.Connection) + " (" + string(n.ID.ClientID()) + ")"
}

func named(v identity.View) Named {
	return Named{v.Identity.ID, v.Identity.Connection, v.Identity.Environment, v.Identity.LastError}
}

// Reason says in a word why an order does nothing for an identity, or not now.
type Reason string

const (
	IsApp     Reason = "app"     // its secret is in an app's credentials
	IsHeld    Reason = "held"    // a restore is not accepted yet
	IsNew     Reason = "new"     // it is being made
	IsForeign Reason = "foreign" // the marker of its connection was removed
	IsLost    Reason = "lost"    // what it is made of was taken away
	IsPaused  Reason = "paused"
	IsSoaking Reason = "soaking" // tasks may still hold the older secret
	IsLeased  Reason = "leased"  // a broker is at work on it
	IsFailing Reason = "failing" // tried often, and in vain
	IsAtWork  Reason = "at_work" // it is being done
)

// Group is how many identities stand alike, and the first of them.
type Group struct {
	Reason Reason  `json:"reason"`
	Count  int     `json:"count"`
	Some   []Named `json:"some"`
}

// some is how many of a group are named.
const some = 5

// Groups are those of one order.
type Groups []Group

func (g *Groups) add(reason Reason, n Named) {
	for i := range *g {
		if at := &(*g)[i]; at.Reason == reason {
			at.Count++
			if len(at.Some) < some {
				at.Some = append(at.Some, n)
			}
			return
		}
	}
	*g = append(*g, Group{reason, 1, []Named{n}})
}

// Count is how many there are of some reasons.
func (g Groups) Count(reasons ...Reason) int {
	count := 0
	for _, group := range g {
		for _, reason := range reasons {
			if group.Reason == reason {
				count += group.Count
			}
		}
	}
	return count
}
