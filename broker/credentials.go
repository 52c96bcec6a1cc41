package broker

import (
	"slices"
	"strings"

	"airflow-identity/identity"
)

// credentials are what a binding holds: all that is needed to find the
// connection and to verify tokens, and no secret.
type credentials struct {
	Environment identity.EnvironmentName `json:"environment"`
	Authorities []identity.Authority     `json:"authorities"`
	Roles       []string                 `json:"roles"`
	Issuer      string                   `json:"issuer"`
	TokenURL    string                   `json:"token_url"`
	JWKSURL     string                   `json:"jwks_url"`
	Audience    []string                 `json:"audience"`
	ZoneID      string                   `json:"zone_id"`
	Airflow     airflowCredentials       `json:"airflow"`
}

type airflowCredentials struct {
	URL          identity.AirflowURL   `json:"url"`
	ConnectionID identity.ConnectionID `json:"connection_id"`
	ClientID     identity.ClientID     `json:"client_id"`
}

// credentials are told from the row, so that they are the same whenever they are
// asked for.
func (b *broker) credentials(bound identity.Bound) credentials {
	i := bound.Identity
	airflow, ok := b.environments[i.Environment]
	if !ok {
		airflow = i.Airflow
	}
	return credentials{
		Environment: i.Environment,
		Authorities: slices.Sorted(slices.Values(i.Granted)),
		Roles:       []string{},
		Issuer:      i.Endpoints.Issuer,
		TokenURL:    i.Endpoints.TokenURL,
		JWKSURL:     i.Endpoints.JWKSURL,
		Audience:    audience(i.Granted),
		ZoneID:      i.Endpoints.ZoneID,
		Airflow:     airflowCredentials{URL: airflow, ConnectionID: i.Connection, ClientID: i.ID.ClientID()},
	}
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
