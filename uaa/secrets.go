package uaa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	callSecret = "PUT /oauth/clients/{id}/secret"

	// UAA refuses with one code whatever is wrong; only its words tell why.
	twoAlready = "client secret is either empty or client already has two secrets"
	oneOnly    = "client secret is either empty or client has only one secret"
)

// secretChange is a request about a client's secrets. UAA goes by the id in the
// path; the one in the body is for versions that may look at it.
type secretChange struct {
	ID     identity.ClientID `json:"clientId"`
	Secret string            `json:"secret,omitempty"`
	Mode   string            `json:"changeMode"`
}

// AddSecret gives a client a second secret. See identity.Clients.
//
// UAA does not keep changes of one client apart: of two that overlap it answers
// both with 200, and one secret is lost. So whoever calls makes one at a time, and
// probes before the secret is given to anybody.
func (c *Client) AddSecret(ctx context.Context, id identity.ClientID, secret identity.Secret) (identity.Outcome, error) {
	return c.changeSecret(ctx, "adding a secret to", secretChange{ID: id, Secret: secret.Reveal(), Mode: "ADD"})
}

// DropSecret takes the older of two secrets away; UAA lets nobody choose. See
// identity.Clients.
func (c *Client) DropSecret(ctx context.Context, id identity.ClientID) (identity.Outcome, error) {
	return c.changeSecret(ctx, "dropping the older secret of", secretChange{ID: id, Mode: "DELETE"})
}

// ReplaceSecret leaves a client with this secret alone. See identity.Clients.
//
// UAA refuses every token that the client has got so far, even if the secret is the
// one that it had.
func (c *Client) ReplaceSecret(ctx context.Context, id identity.ClientID, secret identity.Secret) (identity.Outcome, error) {
	return c.changeSecret(ctx, "replacing the secrets of", secretChange{ID: id, Secret: secret.Reveal(), Mode: "UPDATE"})
}

func (c *Client) changeSecret(ctx context.Context, doing string, change secretChange) (identity.Outcome, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	body, err := json.Marshal(change)
	if err == nil && change.Secret == "" && change.Mode != "DELETE" {
		err = errors.New("there is none")
	}
	if err != nil {
		return identity.Rejected, fmt.Errorf("%s client %s: not sent: %w", doing, change.ID, err)
	}

	answer, err := c.session.Do(ctx, remote.Request{
		Call: callSecret, Method: http.MethodPut, URL: c.clientURL(change.ID) + "/secret",
		Header: c.jsonHeader(), Body: body, Secrets: []identity.Secret{identity.SecretFrom(change.Secret)},
	})
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("%s client %s: %w", doing, change.ID, err)
	}
	if answer.Status == http.StatusOK {
		if err := readDone(answer); err != nil {
			return identity.Unknown, fmt.Errorf("%s client %s: %w", doing, change.ID, answer.Unreadable(err))
		}
		return identity.Done, nil
	}

	refused := refusal(answer)
	if refused.Own && refused.Status == http.StatusBadRequest {
		switch {
		case strings.HasPrefix(refused.Description, twoAlready):
			return identity.Exists, fmt.Errorf("%s client %s: %w", doing, change.ID, refused)
		case strings.HasPrefix(refused.Description, oneOnly):
			return identity.Alone, fmt.Errorf("%s client %s: %w", doing, change.ID, refused)
		}
	}
	return notThereOr(answer, doing, change.ID)
}

// readDone takes a 2xx for UAA's own only if it says that something was done. An
// "ok" alone is what everything says that is asked for its health.
func readDone(answer remote.Answer) error {
	var done struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	if err := answer.JSON(&done); err != nil {
		return err
	}
	if done.Status != "ok" || !strings.Contains(strings.ToLower(done.Message), "secret") {
		return errors.New("the body does not say that the secret was changed")
	}
	return nil
}
