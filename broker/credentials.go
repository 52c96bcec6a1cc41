package broker

import (
	"slices"
	"strings"

	"airflow-identity/identity"
)

// credentials are what a binding holds: all that is needed to find the
// connection and to verify tokens. Their only secret is that of the client that
// was made for the caller and for nobody else.
type credentials struct {
	Environment identity.EnvironmentName `json:"environment"`
	Authorities []identity.Authority     `json:"authorities"`
	Roles       []string                 `json:"roles"`
	Issuer      string                   `json:"issuer"`
	TokenURL    string                   `json:"token_url"`
	JWKSURL     string                   `json:"jwks_url"`
	Audience    []string                 `json:"audience"`
	ZoneID      string                   `json:"zone_id"`
	Airflow     *airflowCredentials      `json:"airflow,omitempty"`
	clientCredentials
}

type airflowCredentials struct {
	URL          identity.AirflowURL   `json:"url"`
	ConnectionID identity.ConnectionID `json:"connection_id"`
	ClientID     identity.ClientID     `json:"client_id"`
}

// clientCredentials stand flat among the others, where libraries look for them.
type clientCredentials struct {
	ClientID     identity.ClientID `json:"client_id,omitempty"`
	ClientSecret string            `json:"client_secret,omitempty"`
	ExpiresAt    string            `json:"expires_at,omitempty"`
	Expired      bool              `json:"expired,omitempty"`
	// Revoked: an operator has cut off what the binding holds, or part of it.
	Revoked bool `json:"revoked,omitempty"`
}

// credentials are told from the rows, so that they are the same whenever they
// are asked for. Where there are two identities they hold the same.
func (b *broker) credentials(bound identity.Bound) credentials {
	holder := bound.Airflow
	if holder == nil {
		holder = bound.Client
	}
	if holder == nil {
		holder = &identity.Identity{Environment: bound.Instance.Environment}
	}
	c := credentials{
		Environment: holder.Environment,
		Authorities: append([]identity.Authority{}, holder.Granted...),
		Roles:       []string{},
		Issuer:      holder.Endpoints.Issuer,
		TokenURL:    holder.Endpoints.TokenURL,
		JWKSURL:     holder.Endpoints.JWKSURL,
		Audience:    audience(holder.Granted),
		ZoneID:      holder.Endpoints.ZoneID,
		Airflow:     b.airflowCredentials(bound.Airflow),
	}
	slices.Sort(c.Authorities)
	if bound.Client != nil {
		c.clientCredentials = credentialsOf(bound.Client)
	}
	if bound.Airflow != nil && bound.Airflow.RevokedAt != nil {
		c.Revoked = true
	}
	return c
}

func (b *broker) airflowCredentials(i *identity.Identity) *airflowCredentials {
	if i == nil {
		return nil
	}
	url, ok := b.environments[i.Environment]
	if !ok {
		url = i.Airflow
	}
	return &airflowCredentials{URL: url, ConnectionID: i.Connection, ClientID: i.ID.ClientID()}
}

// credentialsOf shows a client that was handed out. Once it has ended, or was
// revoked, its secret is wiped, and of what it was its id and its time remain.
func credentialsOf(client *identity.Identity) clientCredentials {
	c := clientCredentials{ClientID: client.ID.ClientID()}
	if client.ExpiresAt != nil {
		c.ExpiresAt = expiry(client)
	}
	if client.RevokedAt != nil {
		c.Revoked = true
		return c
	}
	if client.EndedAt != nil || client.Secret.IsZero() {
		c.Expired = true
		return c
	}
	c.ClientSecret = client.Secret.Reveal()
	return c
}

// audience is what UAA makes of authorities: each up to its last dot.
func audience(authorities []identity.Authority) []string {
	prefixes := []string{}
	for _, a := range authorities {
		if dot := strings.LastIndex(string(a), "."); dot > 0 {
			prefixes = append(prefixes, string(a)[:dot])
		}
	}
	slices.Sort(prefixes)
	return slices.Compact(prefixes)
}
