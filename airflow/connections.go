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
	callDelete = "DELETE /connections/{id}"
)

// posted is the body of a POST: these keys and no others. Airflow refuses keys
// that it does not know, and takes null for a wish to clear.
type posted struct {
	ID          identity.ConnectionID `json:"connection_id"`
	Type        string                `json:"conn_type"`
	Description string                `json:"description"`
	Host        string                `json:"host"`
	Login       identity.ClientID     `json:"login"`
	Password    string                `json:"password"`
}

// Put posts the connection. See identity.Connections.
func (c *Client) Put(ctx context.Context, connection identity.Connection, secret identity.Secret) (identity.Outcome, error) {
	id := connection.Marker.Connection
	body, err := json.Marshal(posted{
		ID: id, Type: "http", Description: connection.Describe(),
		Host: connection.Host, Login: connection.Login, Password: secret.Reveal(),
	})
	if err != nil {
		return identity.Rejected, fmt.Errorf("posting connection %s: not sent: %w", id, err)
	}

	answer, err := c.session.Do(ctx, remote.Request{
		Call: callPost, Method: http.MethodPost, URL: c.url + c.dialect.connections,
		Header: jsonHeader(), Body: body, Secrets: []identity.Secret{secret},
	})
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("posting connection %s: %w", id, err)
	}
	if answer.Status == c.dialect.created {
		description, err := read(answer, id)
		if err == nil && description != connection.Describe() {
			err = errors.New("the description is not the one that was posted")
		}
		if err != nil {
			return identity.Unknown, fmt.Errorf("posting connection %s: %w", id, answer.Unreadable(err))
		}
		return identity.Done, nil
	}

	outcome, refused := c.refused(answer)
	if refused.Own && refused.Status == http.StatusConflict {
		outcome = identity.Exists
	}
	return outcome, fmt.Errorf("posting connection %s: %w", id, refused)
}

// Read looks whose the connection is. See identity.Connections.
func (c *Client) Read(ctx context.Context, marker identity.Marker) (identity.Outcome, error) {
	id := marker.Connection
	answer, err := c.session.Do(ctx, remote.Request{
		Call: callGet, Method: http.MethodGet, URL: c.url + c.dialect.connection(id), Header: jsonHeader(),
	})
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("reading connection %s: %w", id, err)
	}
	if answer.Status == http.StatusOK {
		description, err := read(answer, id)
		if err != nil {
			return identity.Unknown, fmt.Errorf("reading connection %s: %w", id, answer.Unreadable(err))
		}
		return owner(marker, description)
	}
	return c.notThereOr(answer, "reading", id)
}

// owner compares the marker that was looked for with the one that is there. The
// generation is of no account: an older or newer one is still this identity's.
func owner(marker identity.Marker, description string) (identity.Outcome, error) {
	found, marked := identity.ParseMarker(description)
	switch {
	case !marked:
		return identity.Foreign, fmt.Errorf("connection %s is there without a marker of ours", marker.Connection)
	case !found.SameOwner(marker):
		return identity.Foreign, fmt.Errorf("connection %s is there with the marker of another: %.200q", marker.Connection, found.String())
	default:
		return identity.Done, nil
	}
}

// Remove deletes the connection if it is ours. See identity.Connections.
//
// Airflow has no conditional DELETE, so the marker is read first, as close before
// as can be. A read cannot leave anything in doubt: whatever it fails with, the
// removal has not begun.
func (c *Client) Remove(ctx context.Context, marker identity.Marker) (identity.Outcome, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	outcome, err := c.Read(ctx, marker)
	switch outcome {
	case identity.Done:
		return c.delete(ctx, marker.Connection)
	case identity.NotThere, identity.Foreign:
		return outcome, err
	default:
		return identity.Later, fmt.Errorf("not removed: %w", err)
	}
}

func (c *Client) delete(ctx context.Context, id identity.ConnectionID) (identity.Outcome, error) {
	answer, err := c.session.Do(ctx, remote.Request{
		Call: callDelete, Method: http.MethodDelete, URL: c.url + c.dialect.connection(id), Header: jsonHeader(),
	})
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("deleting connection %s: %w", id, err)
	}
	if answer.Status == http.StatusNoContent {
		return identity.Done, nil
	}
	return c.notThereOr(answer, "deleting", id)
}

// notThereOr reads the refusal of a call on one connection.
func (c *Client) notThereOr(answer remote.Answer, doing string, id identity.ConnectionID) (identity.Outcome, error) {
	outcome, refused := c.refused(answer)
	if refused.Own && refused.Status == http.StatusNotFound {
		return identity.NotThere, nil
	}
	return outcome, fmt.Errorf("%s connection %s: %w", doing, id, refused)
}

// refused reads a refusal. One of our login that a new login did not mend is
// about us, in whatever status the dialect says it, so it may pass.
func (c *Client) refused(answer remote.Answer) (identity.Outcome, *remote.Error) {
	refused := refusal(answer)
	if refused.Own && c.dialect.refuses(refused.Status, refused.Description) {
		return identity.Later, refused
	}
	return refused.Outcome(), refused
}

// read takes a 2xx for Airflow's own only if it holds the connection it is about,
// and gives its description. Nothing else of it is looked at.
func read(answer remote.Answer, id identity.ConnectionID) (description string, err error) {
	var body struct {
		ID          identity.ConnectionID `json:"connection_id"`
		Description *string               `json:"description"`
	}
	if err := answer.JSON(&body); err != nil {
		return "", err
	}
	if body.ID != id {
		return "", errors.New("the body is not that connection")
	}
	if body.Description == nil {
		return "", nil
	}
	return *body.Description, nil
}
