package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

const (
	longestConnectionID = 200 // Airflow's REST API takes no more, in 2.x and 3.x
	suffixedConnection  = 193 // so that "_" and 6 hex fit
)

// bindPlan is what a new binding comes to: an identity with a new reservation, or
// one that it joins, or neither; or an identity on its way out that must go first.
type bindPlan struct {
	grant       Grant
	reservation *Reservation
	join        *Identity
	pay         ID
}

// choice makes a bindPlan, under the instance's lock.
type choice struct {
	req      BindRequest
	instance Instance
	siblings []Binding // of the instance, not removed
	env      Environment
	now      time.Time
}

func (c choice) make(ctx context.Context, tx Tx) (bindPlan, error) {
	var (
		named *Reservation
		own   *Identity // the one of this instance that holds the named id
		err   error
	)
	if c.req.Connection != "" {
		if named, own, err = c.lookUpNamed(ctx, tx); err != nil {
			return bindPlan{}, err
		}
	}
	grant, err := c.req.Judge(c.instance, own != nil)
	if err != nil || !grant.Airflow {
		return bindPlan{grant: grant}, err
	}
	if named == nil {
		if own, err = c.ofTheSameApp(ctx, tx); err != nil {
			return bindPlan{}, err
		}
	}
	plan := bindPlan{grant: grant}
	switch {
	case own != nil:
		plan.join, err = own, c.mayJoin(*own, grant)
	case named != nil:
		plan.reservation, plan.pay, err = c.asker().named(ctx, tx, named)
	default:
		plan.reservation, plan.pay, err = c.byDefault(ctx, tx)
	}
	return plan, err
}

func (c choice) asker() asker {
	return asker{holder: HolderOf(c.instance.GUID, c.req.App), space: c.instance.Space}
}

// lookUpNamed locks the named id and finds whether an identity of this very
// instance holds it, which is then joined.
func (c choice) lookUpNamed(ctx context.Context, tx Tx) (*Reservation, *Identity, error) {
	r, err := tx.Reserve(ctx, c.env.Airflow, c.req.Connection, c.instance.Space)
	if err != nil || r.Identity == "" {
		return r, nil, err
	}
	current, err := tx.Identity(ctx, r.Identity)
	if err != nil || current.Instance != c.instance.Row || current.EndedAt != nil {
		return r, nil, err
	}
	return r, current, nil
}

// ofTheSameApp finds the Airflow identity of the app's oldest live binding, so
// that binding again (--strategy multiple) keeps the connection's name.
func (c choice) ofTheSameApp(ctx context.Context, tx Tx) (*Identity, error) {
	var oldest *Binding
	for i := range c.siblings {
		b := &c.siblings[i]
		if c.req.App == "" || b.App != c.req.App || b.Airflow.Identity == "" || !b.Live(c.now) {
			continue
		}
		if oldest == nil || b.CreatedAt.Before(oldest.CreatedAt) {
			oldest = b
		}
	}
	if oldest == nil {
		return nil, nil
	}
	current, err := tx.Identity(ctx, oldest.Airflow.Identity)
	if err != nil || current.EndedAt != nil && current.RevokedAt == nil {
		return nil, err
	}
	return current, nil
}

// mayJoin: one connection has one client, so whoever shares it asks for the same.
func (c choice) mayJoin(i Identity, grant Grant) error {
	switch {
	case i.RevokedAt != nil:
		return &TakenError{i.Connection, "its identity was revoked; name another connection_id"}
	case i.Published.Phase == Strange && i.PublishedGeneration > 0:
		return &TakenError{i.Connection, "somebody has removed the broker's marker in Airflow, so it is no longer the broker's; name another connection_id"}
	case i.Published.Phase == Lost && i.Client.Phase == Lost:
		return &TakenError{i.Connection, "neither it nor its client is there any more, and an operator has to apply; name another connection_id"}
	}
	if (i.Asked == nil) == (grant.Asked == nil) && sameSet(i.Asked, grant.Asked) && i.TokenLifetime == grant.TokenLifetime {
		return nil
	}
	return &TakenError{i.Connection, fmt.Sprintf(
		"this instance's connection holds %s with a token life of %s and cannot also hold %s with %s; ask for the same to share it, or name another connection_id",
		listOf(i.Asked), i.TokenLifetime, listOf(grant.Asked), grant.TokenLifetime)}
}

func listOf(asked []Authority) string {
	if asked == nil {
		return "what the instance gives by default"
	}
	return strings.Join(texts(asked), ", ")
}

func (c choice) byDefault(ctx context.Context, tx Tx) (*Reservation, ID, error) {
	for _, candidate := range defaultConnections(c.instance, c.req) {
		reservation, pay, err := c.asker().byDefault(ctx, tx, candidate, c.env)
		if reservation != nil || pay != "" || err != nil {
			return reservation, pay, err
		}
	}
	return nil, "", &TakenError{c.instance.ConnectionBase, "it and its suffixed forms are held by others; name one with connection_id"}
}

// defaultConnections are the ids to try in order: the base that was fixed at
// provision, then the base with a suffix that is the same whenever it is asked for.
func defaultConnections(instance Instance, req BindRequest) []ConnectionID {
	who := string(req.App)
	if who == "" {
		who = string(req.Binding)
	}
	sum := sha256.Sum256([]byte(string(instance.GUID) + "/" + who))
	suffix := hex.EncodeToString(sum[:])
	base := string(instance.ConnectionBase)

	var candidates []ConnectionID
	if len(base) <= longestConnectionID {
		candidates = append(candidates, ConnectionID(base))
	}
	for _, digits := range []int{6, 12} {
		cut := min(len(base), suffixedConnection-(digits-6))
		candidates = append(candidates, ConnectionID(base[:cut]+"_"+suffix[:digits]))
	}
	return candidates
}

// asker is who wants an id.
type asker struct {
	holder Holder
	space  SpaceGUID
}

// byDefault tries one default id: nil without an error means that it belongs to
// somebody else.
func (a asker) byDefault(ctx context.Context, tx Tx, id ConnectionID, env Environment) (*Reservation, ID, error) {
	r, err := tx.Reserve(ctx, env.Airflow, id, a.space)
	if err != nil {
		return nil, "", err
	}
	if r.Identity == "" {
		if r.Holder == "" || r.Holder == a.holder {
			return r, "", nil
		}
		return nil, "", nil
	}
	current, err := tx.Identity(ctx, r.Identity)
	if err != nil {
		return nil, "", err
	}
	if current.EndedAt != nil && (current.Holder == a.holder || r.Holder == a.holder) {
		// Ours, or a failed create of somebody else, which reserves nothing.
		return nil, current.ID, nil
	}
	return nil, "", nil
}

// named tries the id that was asked for, which is locked.
func (a asker) named(ctx context.Context, tx Tx, r *Reservation) (*Reservation, ID, error) {
	own := r.Holder == a.holder || r.Space == a.space
	if r.Identity == "" {
		if r.Holder == "" || own {
			return r, "", nil
		}
		return nil, "", &TakenError{r.ID, "it is reserved for its last holder in another space; choose another connection_id"}
	}
	current, err := tx.Identity(ctx, r.Identity)
	if err != nil {
		return nil, "", err
	}
	if current.EndedAt != nil && own {
		return nil, current.ID, nil
	}
	return nil, "", &TakenError{r.ID, "another instance's binding holds it; choose another connection_id"}
}
