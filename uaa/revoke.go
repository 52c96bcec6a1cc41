package uaa

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	callRevoke = "GET /oauth/token/revoke/client/{id}"
	revokePath = "/oauth/token/revoke/client/"
)

// RevokeTokens makes UAA refuse what a client has got so far. See identity.Clients.
//
// UAA changes a salt that every signature check of its own includes, and that
// everybody who reads the client sees. To do it twice is as good as once, so that it
// is a GET, which the transport may repeat, does no harm.
func (c *Client) RevokeTokens(ctx context.Context, id identity.ClientID) (identity.Outcome, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()

	if c.config.Zone != "" {
		return c.salt(ctx, id)
	}
	answer, err := c.session.Do(ctx, remote.Request{
		Call: callRevoke, Method: http.MethodGet, URL: c.url + revokePath + url.PathEscape(string(id)), Header: c.header(),
	})
	switch {
	case err != nil:
		return remote.OutcomeOf(err), fmt.Errorf("revoking the tokens of client %s: %w", id, err)
	case revoked(answer):
		return identity.Done, nil
	case nothingToRevoke(answer):
		return identity.NotThere, nil
	}
	outcome, err := notThereOr(answer, "revoking the tokens of", id)
	if outcome == identity.Rejected && answer.Status == http.StatusForbidden {
		err = fmt.Errorf("our own client %s needs the authority tokens.revoke (or, in old versions, uaa.admin): %w", c.config.ClientID, err)
	}
	return outcome, err
}

// salt does in a zone what UAA's own call would: that one only uaa.admin may make there
// (4.30.0, tried). The salt is a key of the client that a PUT may write, and what is left
// out of it stays.
func (c *Client) salt(ctx context.Context, id identity.ClientID) (identity.Outcome, error) {
	// UAA asks for grant types before it finds that there is no such client.
	body, err := json.Marshal(map[string]any{"client_id": id, "authorized_grant_types": grantTypes, "token_salt": rand.Text()[:8]})
	if err != nil {
		return identity.Rejected, fmt.Errorf("revoking the tokens of client %s: not sent: %w", id, err)
	}
	answer, err := c.put(ctx, id, body)
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("revoking the tokens of client %s: %w", id, err)
	}
	if answer.Status != http.StatusOK {
		return notThereOr(answer, "revoking the tokens of", id)
	}
	if _, err := read(answer, id); err != nil {
		return identity.Unknown, fmt.Errorf("revoking the tokens of client %s: %w", id, answer.Unreadable(err))
	}
	return identity.Done, nil
}

// revoked tells of the only success that has no body.
func revoked(a remote.Answer) bool {
	return a.Status == http.StatusOK && a.Empty() && !a.FromRouter()
}

// nothingToRevoke tells of the only 404 that has one: no such client.
func nothingToRevoke(a remote.Answer) bool {
	var body map[string]json.RawMessage
	if a.Status != http.StatusNotFound || a.FromRouter() || a.JSON(&body) != nil {
		return false
	}
	code, _ := text(body["error"])
	description, _ := text(body["error_description"])
	return code == "invalid_token" && description == "Resource not found"
}
