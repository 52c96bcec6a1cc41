package uaa

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	callToken = "POST /oauth/token"
	tokenPath = "/oauth/token"

	// refreshEarly is how long before its end our token is renewed, but never
	// more than a quarter of its life.
	refreshEarly = time.Minute
	// lifeUnsaid is taken for the life of a token that does not tell its own.
	lifeUnsaid = 5 * time.Minute
)

// login fetches our own token. The credentials go into the form: UAA reads them
// from a Basic header in ways that differ by version.
func (c *Client) login(ctx context.Context) (remote.Token, error) {
	secret, err := c.config.Secret()
	if err != nil {
		return remote.Token{}, fmt.Errorf("the secret of client %s: %w", c.config.ClientID, err)
	}
	credentials := clientcredentials.Config{
		ClientID:     string(c.config.ClientID),
		ClientSecret: secret.Reveal(),
		TokenURL:     c.url + tokenPath,
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	asked := c.system.Clock()
	token, err := credentials.Token(context.WithValue(ctx, oauth2.HTTPClient, c.system.HTTPClient(callToken, secret)))
	if err != nil {
		return remote.Token{}, c.loginFailed(err, secret)
	}

	scope, _ := token.Extra("scope").(string)
	c.loggedIn(scope, asked)
	// The library counts by the system's clock; what we keep is by ours.
	life := lifeUnsaid
	if !token.Expiry.IsZero() {
		life = time.Until(token.Expiry)
	}
	return remote.Token{
		Bearer:    identity.SecretFrom(token.AccessToken),
		RefreshAt: asked.Add(life - min(refreshEarly, life/4)),
		ExpiresAt: asked.Add(life),
	}, nil
}

// loginFailed keeps of the library's errors what is safe: their texts hold the
// answer's body.
func (c *Client) loginFailed(err error, secret identity.Secret) error {
	var failed *remote.Error
	if errors.As(err, &failed) {
		return failed
	}
	request := remote.Request{Call: callToken, Secrets: []identity.Secret{secret}}
	var answered *oauth2.RetrieveError
	if errors.As(err, &answered) {
		return refusal(c.system.Answered(request, answered.Response.StatusCode, answered.Response.Header, answered.Body))
	}
	return c.system.Answered(request, http.StatusOK, nil, nil).Unreadable(errors.New("the body holds no access token"))
}

// tokenRefused: UAA's own 401 is about our token and comes before anything is done.
func tokenRefused(a remote.Answer) bool {
	return a.Status == http.StatusUnauthorized && refusal(a).Own
}
