package uaa

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	callDiscovery = "GET /.well-known/openid-configuration"
	discoveryPath = "/.well-known/openid-configuration"
)

// Endpoints reads the discovery document from where the users of our clients
// find UAA. See identity.Clients.
func (c *Client) Endpoints(ctx context.Context) (identity.Endpoints, error) {
	c.mu.Lock()
	known := c.endpoints
	c.mu.Unlock()
	if known != (identity.Endpoints{}) {
		return known, nil
	}

	found, err := c.discover(ctx)
	if err != nil {
		return identity.Endpoints{}, fmt.Errorf("reading uaa's discovery document: %w", err)
	}
	c.mu.Lock()
	c.endpoints = found
	c.mu.Unlock()
	return found, nil
}

func (c *Client) discover(ctx context.Context) (identity.Endpoints, error) {
	answer, err := c.system.Do(ctx, remote.Request{
		Call: callDiscovery, Method: http.MethodGet, URL: c.public + discoveryPath,
		Header: http.Header{"Accept": {"application/json"}},
	})
	if err != nil {
		return identity.Endpoints{}, err
	}
	if answer.Status == http.StatusNotFound && c.config.Zone != "" && !answer.FromRouter() {
		return identity.Endpoints{}, fmt.Errorf("%w: perhaps uaa has no zone with the subdomain %q", refusal(answer), c.config.Zone)
	}
	if answer.Status != http.StatusOK {
		return identity.Endpoints{}, refusal(answer)
	}
	var document struct {
		Issuer   string `json:"issuer"`
		TokenURL string `json:"token_endpoint"`
		JWKSURL  string `json:"jwks_uri"`
	}
	if err := answer.JSON(&document); err != nil {
		return identity.Endpoints{}, answer.Unreadable(err)
	}
	err = errors.Join(
		needed("issuer", document.Issuer),
		c.believable("token_endpoint", document.TokenURL),
		c.believable("jwks_uri", document.JWKSURL),
	)
	if err != nil {
		return identity.Endpoints{}, answer.Unreadable(err)
	}
	zone, err := c.zoneOfTokens(ctx)
	if err != nil {
		return identity.Endpoints{}, err
	}
	return identity.Endpoints{
		Issuer:   document.Issuer,
		TokenURL: document.TokenURL,
		JWKSURL:  document.JWKSURL,
		ZoneID:   zone,
	}, nil
}

func needed(key, value string) error {
	if value == "" {
		return fmt.Errorf("it has no %s", key)
	}
	return nil
}

// believable checks an address that secrets and trust will follow. A UAA behind
// a router may think that it is spoken to in clear; a connection with such an
// address would send its secret so.
func (c *Client) believable(key, value string) error {
	if err := needed(key, value); err != nil {
		return err
	}
	address, err := url.Parse(value)
	if err != nil || address.Host == "" || (address.Scheme != "https" && address.Scheme != "http") {
		return fmt.Errorf("its %s is not an address", key)
	}
	if strings.HasPrefix(c.public, "https:") && address.Scheme != "https" {
		return fmt.Errorf("its %s is not https, though uaa was reached through https: mend uaa's issuer.uri or the headers its router sets", key)
	}
	return nil
}
