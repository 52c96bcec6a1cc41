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
	callLogin = "POST /auth/token"
	loginPath = "/auth/token"
)

// Password is a user of Airflow 3, of the simple auth manager, of FAB's database or
// LDAP, or of Keycloak.
type Password struct {
	Username string
	Password remote.Credential
}

func (p Password) check() error {
	return needed("username", p.Username, "password", given(p.Password))
}

func (Password) only() API { return V2 }

func (p Password) begin(_ Config, c *Client) (func(context.Context) (remote.Token, error), error) {
	return func(ctx context.Context) (remote.Token, error) {
		password, err := p.Password()
		if err != nil {
			return remote.Token{}, fmt.Errorf("the password of user %s: %w", p.Username, err)
		}
		return c.logIn(ctx, map[string]string{"username": p.Username, "password": password.Reveal()}, password)
	}, nil
}

// Keycloak is a client of the Keycloak that Airflow 3's auth manager asks (provider
// 0.5.0 and later): its credentials go to Airflow, which gives a token of its own.
type Keycloak struct {
	ClientID     string
	ClientSecret remote.Credential
}

func (k Keycloak) check() error {
	return needed("client_id", k.ClientID, "client_secret", given(k.ClientSecret))
}

func (Keycloak) only() API { return V2 }

func (k Keycloak) begin(_ Config, c *Client) (func(context.Context) (remote.Token, error), error) {
	return func(ctx context.Context) (remote.Token, error) {
		secret, err := k.ClientSecret()
		if err != nil {
			return remote.Token{}, fmt.Errorf("the secret of client %s: %w", k.ClientID, err)
		}
		return c.logIn(ctx, map[string]string{
			"grant_type": "client_credentials", "client_id": k.ClientID, "client_secret": secret.Reveal(),
		}, secret)
	}, nil
}

// logIn fetches a token from Airflow 3 itself. It stands under the same path as the
// API, and is no part of its version.
func (c *Client) logIn(ctx context.Context, fields map[string]string, secret identity.Secret) (remote.Token, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return remote.Token{}, err
	}
	asked := c.system.Clock()
	answer, err := c.system.Do(ctx, remote.Request{
		Call: callLogin, Method: http.MethodPost, URL: c.url + loginPath,
		Header: jsonHeader(body), Body: body, Secrets: []identity.Secret{secret},
	})
	if err != nil {
		return remote.Token{}, err
	}
	switch answer.Status {
	case http.StatusOK, http.StatusCreated:
	case http.StatusNotFound:
		return remote.Token{}, fmt.Errorf("%w: there is no such login, as in Airflow 2, which has basic and tokens", refusal(answer))
	default:
		return remote.Token{}, refusal(answer)
	}
	var got struct {
		AccessToken string `json:"access_token"`
		JWTToken    string `json:"jwt_token"` // as Airflow 3.0.0 called it
	}
	if err := answer.JSON(&got); err != nil {
		return remote.Token{}, answer.Unreadable(err)
	}
	token := got.AccessToken
	if token == "" {
		token = got.JWTToken
	}
	if token == "" {
		return remote.Token{}, answer.Unreadable(errors.New("the body holds no token"))
	}
	bearer := identity.SecretFrom(token)
	if err := carriable(bearer); err != nil {
		return remote.Token{}, answer.Unreadable(err)
	}
	return lasting(bearer, asked, lifeOf(token, asked)), nil
}
