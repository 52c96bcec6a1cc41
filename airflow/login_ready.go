package airflow

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// Basic is a user of Airflow 2 whose name and password go with every call. Airflow
// must have basic_auth among its auth_backends.
type Basic struct {
	Username string
	Password remote.Credential
}

func (b Basic) check() error {
	if strings.Contains(b.Username, ":") {
		return errors.New("auth: a username with a colon cannot be sent")
	}
	return needed("username", b.Username, "password", given(b.Password))
}

func (Basic) only() API { return V1 }

func (b Basic) begin(_ Config, c *Client) (func(context.Context) (remote.Token, error), error) {
	return func(context.Context) (remote.Token, error) {
		password, err := b.Password()
		if err != nil {
			return remote.Token{}, fmt.Errorf("the password of user %s: %w", b.Username, err)
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(b.Username + ":" + password.Reveal()))
		now := c.system.Clock()
		return remote.Token{
			Scheme: "Basic", Bearer: identity.SecretFrom(encoded), MadeOf: []identity.Secret{password},
			RefreshAt: now, ExpiresAt: now.Add(lifeUnsaid),
		}, nil
	}, nil
}

// Token is a bearer token that somebody else made and renews, such as a hosted
// Airflow's. It is read at every call, so that a replaced file counts at once.
type Token struct{ Token remote.Credential }

func (t Token) check() error { return needed("token", given(t.Token)) }

func (Token) only() API { return Auto }

func (t Token) begin(_ Config, c *Client) (func(context.Context) (remote.Token, error), error) {
	return func(context.Context) (remote.Token, error) {
		token, err := t.Token()
		if err != nil {
			return remote.Token{}, fmt.Errorf("the token: %w", err)
		}
		if err := carriable(token); err != nil {
			return remote.Token{}, fmt.Errorf("the token: %w", err)
		}
		// While it cannot be read the last one serves. Whether that has come to its
		// end is for Airflow to say.
		now := c.system.Clock()
		return remote.Token{Bearer: token, RefreshAt: now, ExpiresAt: now.Add(lifeUnsaid)}, nil
	}, nil
}
