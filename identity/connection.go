package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

const (
	longestConnectionID = 200 // Airflow's REST API takes no more, in 2.x and 3.x
	suffixedConnection  = 193 // so that "_" and 6 hex fit
)

// chooseConnection finds the id for a new identity and locks its row. If the id
// is on its way out for the same holder it gives the identity that must go first.
func (e *Engine) chooseConnection(ctx context.Context, tx Tx, req BindRequest, grant Grant, instance Instance, env Environment) (_ *Reservation, pay ID, err error) {
	asker := asker{holder: HolderOf(instance.GUID, req.App), space: instance.Space}
	if grant.Connection != "" {
		return asker.named(ctx, tx, grant.Connection, env)
	}
	if err := e.refuseSecondOfApp(ctx, tx, req, instance); err != nil {
		return nil, "", err
	}
	for _, candidate := range defaultConnections(instance, req) {
		reservation, pay, err := asker.byDefault(ctx, tx, candidate, env)
		if reservation != nil || pay != "" || err != nil {
			return reservation, pay, err
		}
	}
	return nil, "", &TakenError{instance.ConnectionBase, "it and its suffixed forms are held by others; name one with connection_id"}
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
	if current.EndedAt != nil && current.Holder == a.holder {
		return nil, current.ID, nil
	}
	return nil, "", nil
}

// named tries the id that was asked for.
func (a asker) named(ctx context.Context, tx Tx, id ConnectionID, env Environment) (*Reservation, ID, error) {
	r, err := tx.Reserve(ctx, env.Airflow, id, a.space)
	if err != nil {
		return nil, "", err
	}
	own := r.Holder == a.holder || r.Space == a.space
	if r.Identity == "" {
		if r.Holder == "" || own {
			return r, "", nil
		}
		return nil, "", &TakenError{id, "it is reserved for its last holder in another space; choose another connection_id"}
	}
	current, err := tx.Identity(ctx, r.Identity)
	if err != nil {
		return nil, "", err
	}
	if current.EndedAt != nil && own {
		return nil, current.ID, nil
	}
	return nil, "", &TakenError{id, "another binding holds it; choose another connection_id"}
}

// refuseSecondOfApp keeps an app to one default connection for each instance. A
// second binding of it will share the first one's connection once joins exist.
func (e *Engine) refuseSecondOfApp(ctx context.Context, tx Tx, req BindRequest, instance Instance) error {
	if req.App == "" {
		return nil
	}
	bindings, err := tx.Bindings(ctx, instance.Row)
	if err != nil {
		return err
	}
	now := e.Clock()
	for _, b := range bindings {
		if b.App != req.App || !b.Live(now) {
			continue
		}
		current, err := tx.Identity(ctx, b.Identity)
		if err != nil {
			return err
		}
		return &TakenError{current.Connection, fmt.Sprintf("binding %s of the same app holds it; unbind that first, or name another connection_id", b.GUID)}
	}
	return nil
}
