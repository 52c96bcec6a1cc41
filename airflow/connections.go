package airflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	callPost   = "POST /connections"
	callGet    = "GET /connections/{id}"
	callPatch  = "PATCH /connections/{id}"
	callDelete = "DELETE /connections/{id}"
)

// connType is the type of every connection of ours.
const connType = "http"

// posted is the body of a POST: these keys and no others. Airflow refuses keys
// that it does not know, and takes null for a wish to clear.
type posted struct {
	ID          identity.ConnectionID `json:"connection_id"`
	Type        string                `json:"conn_type"`
	Description string                `json:"description"`
	Host        string                `json:"host"`
	Login       identity.ClientID     `json:"login"`
	Password    string                `json:"password"`
	Team        identity.Team         `json:"team_name,omitempty"` // null is a wish too
}

// patched is the body of a PATCH: everything that is ours, and never extra, which
// belongs to Airflow's operators. Port and schema must be empty, or a task's hook
// makes another address of the host. Null with the mask clears them; the mask with
// the key left out would not (3.3.2, tried).
type patched struct {
	posted
	Port   *int    `json:"port"`
	Schema *string `json:"schema"`
}

// ours are the fields of patched, but for the id, which cannot be changed. A team is
// ours where we have given one.
func ours(connection identity.Connection) []string {
	fields := []string{"conn_type", "description", "host", "login", "password", "port", "schema"}
	if connection.Team != "" {
		fields = append(fields, "team_name")
	}
	return fields
}

func asPosted(connection identity.Connection, secret identity.Secret) posted {
	return posted{
		ID: connection.Marker.Connection, Type: connType, Description: connection.Describe(),
		Host: connection.Host, Login: connection.Login, Password: secret.Reveal(), Team: connection.Team,
	}
}

// Put posts the connection. See identity.Connections.
func (c *Client) Put(ctx context.Context, connection identity.Connection, secret identity.Secret) (identity.Outcome, error) {
	id := connection.Marker.Connection
	body, err := json.Marshal(asPosted(connection, secret))
	if err != nil {
		return identity.Rejected, fmt.Errorf("posting connection %s: not sent: %w", id, err)
	}

	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	if connection.Team != "" {
		if outcome, err := c.hasTeams(ctx); outcome != identity.Done {
			return outcome, fmt.Errorf("posting connection %s: not sent: %w", id, err)
		}
	}
	answer, d, err := c.do(ctx, remote.Request{
		Call: callPost, Method: http.MethodPost, Body: body, Secrets: []identity.Secret{secret},
	}, func(d *dialect) string { return d.connections })
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("posting connection %s: %w", id, err)
	}
	if answer.Status == d.created {
		return written(answer, connection, "posting")
	}

	outcome, refused := d.refused(answer)
	if outcome == identity.Rejected && refused.Status == http.StatusConflict {
		outcome = identity.Exists
	}
	if outcome != identity.Rejected && c.mayNot(ctx, d, refused) {
		outcome, refused.Description = identity.Rejected, ""
	}
	if outcome == identity.Rejected {
		return identity.Rejected, fmt.Errorf("posting connection %s: %w", id, explained(refused, connection.Team))
	}
	return outcome, fmt.Errorf("posting connection %s: %w", id, refused)
}

// Read compares the connection with what should be there. See identity.Connections.
func (c *Client) Read(ctx context.Context, connection identity.Connection) (generation int, outcome identity.Outcome, err error) {
	there, outcome, err := c.get(ctx, connection.Marker.Connection)
	if outcome != identity.Done {
		return 0, outcome, err
	}
	return there.against(connection)
}

// get reads what is there under an id, whosever it is: Done, or NotThere.
func (c *Client) get(ctx context.Context, id identity.ConnectionID) (shown, identity.Outcome, error) {
	answer, d, err := c.do(ctx, remote.Request{Call: callGet, Method: http.MethodGet},
		func(d *dialect) string { return d.connection(id) })
	if err != nil {
		return shown{}, remote.OutcomeOf(err), fmt.Errorf("reading connection %s: %w", id, err)
	}
	if answer.Status == http.StatusOK {
		there, err := read(answer, id)
		if err != nil {
			return shown{}, identity.Unknown, fmt.Errorf("reading connection %s: %w", id, answer.Unreadable(err))
		}
		return there, identity.Done, nil
	}
	outcome, err := d.notThereOr(answer, "reading", id)
	return shown{}, outcome, err
}

// Update patches the connection if it is ours, and not of a newer generation. See
// identity.Connections. generation is the one that was read, and once the PATCH is
// Done the one that was written.
//
// As with Remove, the marker is read first, and a read that fails has begun
// nothing. What is as it should be is patched too: nobody can see whether the
// password is. An empty one is not sent: Airflow would keep the old one.
func (c *Client) Update(ctx context.Context, connection identity.Connection, secret identity.Secret) (generation int, outcome identity.Outcome, err error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	id := connection.Marker.Connection
	if secret.IsZero() {
		return 0, identity.Rejected, fmt.Errorf("patching connection %s: not sent: it needs a password", id)
	}
	body, err := json.Marshal(patched{posted: asPosted(connection, secret)})
	if err != nil {
		return 0, identity.Rejected, fmt.Errorf("patching connection %s: not sent: %w", id, err)
	}

	generation, outcome, err = c.Read(ctx, connection)
	switch outcome {
	case identity.Done, identity.Differs:
	case identity.NotThere, identity.Foreign, identity.Ahead:
		return generation, outcome, err
	default:
		return 0, identity.Later, fmt.Errorf("not patched: %w", err)
	}
	outcome, err = c.patch(ctx, connection, secret, body)
	if outcome == identity.Done {
		generation = connection.Marker.Generation
	}
	return generation, outcome, err
}

func (c *Client) patch(ctx context.Context, connection identity.Connection, secret identity.Secret, body []byte) (identity.Outcome, error) {
	id := connection.Marker.Connection
	answer, d, err := c.do(ctx, remote.Request{
		Call: callPatch, Method: http.MethodPatch, Body: body, Secrets: []identity.Secret{secret},
	}, func(d *dialect) string { return d.connection(id) + "?" + d.mask(ours(connection)) })
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("patching connection %s: %w", id, err)
	}
	if answer.Status == http.StatusOK {
		return written(answer, connection, "patching")
	}
	return d.notThereOr(answer, "patching", id)
}

// written reads the connection that a 2xx holds. It must have the description that
// was sent, marker and all: a 200 alone may mean that nothing was changed.
func written(answer remote.Answer, connection identity.Connection, doing string) (identity.Outcome, error) {
	id := connection.Marker.Connection
	there, err := read(answer, id)
	if err == nil && there.Description != connection.Describe() {
		err = errors.New("the description is not the one that was sent")
	}
	if err == nil && !there.ofTeam(connection.Team) {
		err = errors.New("the team is not the one that was sent")
	}
	if err != nil {
		return identity.Unknown, fmt.Errorf("%s connection %s: %w", doing, id, answer.Unreadable(err))
	}
	return identity.Done, nil
}

// Remove deletes the connection if it is ours, of whatever generation and however
// edited. See identity.Connections.
//
// Airflow has no conditional DELETE, so the marker is read first, as close before
// as can be. A read cannot leave anything in doubt: whatever it fails with, the
// removal has not begun.
func (c *Client) Remove(ctx context.Context, marker identity.Marker) (identity.Outcome, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	there, outcome, err := c.get(ctx, marker.Connection)
	switch outcome {
	case identity.Done:
	case identity.NotThere:
		return outcome, err
	default:
		return identity.Later, fmt.Errorf("not removed: %w", err)
	}
	if _, err := there.ownedBy(marker); err != nil {
		return identity.Foreign, err
	}
	return c.delete(ctx, marker.Connection)
}

func (c *Client) delete(ctx context.Context, id identity.ConnectionID) (identity.Outcome, error) {
	answer, d, err := c.do(ctx, remote.Request{Call: callDelete, Method: http.MethodDelete},
		func(d *dialect) string { return d.connection(id) })
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("deleting connection %s: %w", id, err)
	}
	if answer.Status == http.StatusNoContent {
		return identity.Done, nil
	}
	return d.notThereOr(answer, "deleting", id)
}

// notThereOr reads the refusal of a call on one connection.
func (d *dialect) notThereOr(answer remote.Answer, doing string, id identity.ConnectionID) (identity.Outcome, error) {
	outcome, refused := d.refused(answer)
	if outcome == identity.Rejected && refused.Status == http.StatusNotFound {
		return identity.NotThere, nil
	}
	return outcome, fmt.Errorf("%s connection %s: %w", doing, id, refused)
}

// refused reads a refusal. One of our login that a new login did not mend is
// about us, in whatever status the dialect says it, so it may pass; and so may one
// that says of the whole API that it is gone.
func (d *dialect) refused(answer remote.Answer) (identity.Outcome, *remote.Error) {
	if d.removed(answer) {
		return identity.Later, answer.Refused(true, "", "there is no API "+string(d.api)+" any more: Airflow was upgraded")
	}
	refused := refusal(answer)
	if refused.Own && d.refuses(refused.Status, refused.Description) {
		if refused.Description == "" {
			refused.Description = d.unsaid
		}
		return identity.Later, refused
	}
	return refused.Outcome(), refused
}
