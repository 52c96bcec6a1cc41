package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"airflow-identity/audit"
	"airflow-identity/identity"
	"airflow-identity/remote"
	"airflow-identity/uaa"

	"github.com/coreos/go-oidc/v3/oidc"
)

// verify finds out who a token speaks for: a token of one of the environments' UAAs,
// with its signature, issuer and time in order.
func (c *Config) verify(ctx context.Context, token string, actor *audit.Actor) error {
	claimed := issuerOf(token)
	var problems []error
	for _, name := range sortedKeys(c.Environments) {
		config := c.Environments[name].UAA
		endpoints, err := config.discover(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("environment %s: %w", name, err))
			continue
		}
		if endpoints.Issuer != claimed {
			continue
		}
		actor.Issuer = claimed
		if actor.User, actor.Subject, err = config.subject(ctx, endpoints, token); err != nil {
			return fmt.Errorf("the token cannot be verified; get a new one with cf oauth-token: %w", err)
		}
		return nil
	}
	problems = append([]error{errors.New("the token is of none of the environments' UAAs; use one of theirs, or --as NAME")}, problems...)
	return errors.Join(problems...)
}

// issuerOf reads who a token says that it is from, to know whose keys to ask for.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	var claims struct{ Iss string }
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return claims.Iss
}

// discover asks UAA for its discovery document, for which no secret is needed.
func (c UAAConfig) discover(ctx context.Context) (identity.Endpoints, error) {
	ca, err := pem(c.CA)
	if err != nil {
		return identity.Endpoints{}, err
	}
	client, err := uaa.New(uaa.Config{
		URL: c.URL, PublicURL: c.PublicURL, Zone: c.Zone, CA: ca, Timeout: time.Duration(c.Timeout), Limits: remote.Limits(c.Limits),
		ClientID: identity.ClientID(c.ClientID),
		Secret:   func() (identity.Secret, error) { return identity.Secret{}, errors.New("not needed") },
	})
	if err != nil {
		return identity.Endpoints{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.Timeout))
	defer cancel()
	return client.Endpoints(ctx)
}

// subject verifies a token with UAA's keys, and gives a name beside its subject,
// which another may have later. Whom the token was meant for says nothing here: cf's
// own is for Cloud Controller.
func (c UAAConfig) subject(ctx context.Context, endpoints identity.Endpoints, token string) (name, subject string, err error) {
	ca, err := pem(c.CA)
	if err != nil {
		return "", "", err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.Timeout))
	defer cancel()
	ctx = oidc.ClientContext(ctx, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	verifier := oidc.NewVerifier(endpoints.Issuer, oidc.NewRemoteKeySet(ctx, endpoints.JWKSURL), &oidc.Config{SkipClientIDCheck: true})
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return "", "", err
	}
	var claims struct {
		UserName string `json:"user_name"`
	}
	if err := verified.Claims(&claims); err != nil {
		return "", "", fmt.Errorf("reading the token: %w", err)
	}
	if verified.Subject == "" {
		return "", "", errors.New("it has no subject")
	}
	if claims.UserName == "" {
		claims.UserName = verified.Subject // a client
	}
	return claims.UserName, verified.Subject, nil
}
