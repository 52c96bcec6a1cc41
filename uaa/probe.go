package uaa

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// Probe asks the client's own zone for a token. See identity.Clients.
//
// A 401 alone proves nothing about the secret: UAA also says it of a grant type,
// and only after the secret has passed.
func (c *Client) Probe(ctx context.Context, client identity.Client, secret identity.Secret) (identity.Outcome, error) {
	id := client.ID
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {string(id)},
		"client_secret": {secret.Reveal()},
	}
	answer, err := c.system.Do(ctx, remote.Request{
		Call: callToken, Method: http.MethodPost, URL: c.zone + tokenPath,
		Header: http.Header{
			"Accept":       {"application/json"},
			"Content-Type": {"application/x-www-form-urlencoded"},
		},
		Body: []byte(form.Encode()), Secrets: []identity.Secret{secret},
	})
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("probing client %s: %w", id, err)
	}
	if answer.Status == http.StatusOK {
		var body struct {
			AccessToken string  `json:"access_token"`
			Scope       *string `json:"scope"` // with client_credentials, the client's authorities
		}
		err := answer.JSON(&body)
		if err == nil && body.AccessToken == "" {
			err = errors.New("the body holds no access token")
		}
		if err != nil {
			return identity.Unknown, fmt.Errorf("probing client %s: %w", id, answer.Unreadable(err))
		}
		if granted, asked := granted(body.Scope), texts(asStored(client, secret).Authorities); granted != nil && !slices.Equal(sorted(granted), sorted(asked)) {
			return identity.Differs, fmt.Errorf("probing client %s: uaa grants %q, and %q is what it should", id, granted, asked)
		}
		return identity.Done, nil
	}

	refused := refusal(answer)
	if refused.Own && refused.Status == http.StatusUnauthorized {
		switch {
		case strings.HasPrefix(refused.Description, "Unauthorized grant type"):
			return identity.Done, nil
		case refused.Code == "unauthorized" || refused.Code == "invalid_client":
			return identity.NotThere, nil
		}
		return identity.Unknown, fmt.Errorf("probing client %s: %w", id, refused)
	}
	return refused.Outcome(), fmt.Errorf("probing client %s: %w", id, refused)
}

// granted are the authorities that a token answer names; nil if it names none.
func granted(scope *string) []string {
	if scope == nil {
		return nil
	}
	if list := strings.Fields(*scope); len(list) > 0 {
		return list
	}
	return []string{string(none)}
}
