package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"airflow-identity/identity"
)

// PolicyHash names the guardrails that this plan decides by: sha256, in hex, of
// everything that a judgement depends on besides the request. It stands in every
// event, so that a decision can be traced to the rules of its day. The order of
// a list is no part of it, nor are names and descriptions for people.
func (p Plan) PolicyHash() string { return p.policy }

func (p Plan) hash() string {
	policy, err := json.Marshal(struct {
		Version            int                      `json:"version"`
		Environment        identity.EnvironmentName `json:"environment"`
		AuthorityGrammar   string                   `json:"authority_grammar"`
		LongestAuthority   int                      `json:"longest_authority"`
		NeverGranted       []string                 `json:"never_granted"`
		Authorities        []string                 `json:"authorities"`
		DefaultAuthorities []identity.Authority     `json:"default_authorities"`
		ConnectionPrefix   string                   `json:"connection_prefix"`
		Team               string                   `json:"team,omitempty"`
		ConnectionTemplate string                   `json:"connection_template"`
		ConnectionIDs      []string                 `json:"connection_ids"`
		TokenLifetime      TokenLifetime            `json:"token_lifetime"`
		Rotation           Rotation                 `json:"rotation"`
		AppClient          AppClient                `json:"app_client"`
		Quota              Quota                    `json:"quota"`
		Retired            bool                     `json:"retired"`
	}{
		Version:            2,
		Environment:        p.Environment,
		AuthorityGrammar:   authorityGrammar,
		LongestAuthority:   longestAuthority,
		NeverGranted:       sorted(neverGranted),
		Authorities:        sorted(p.Allow.Authorities),
		DefaultAuthorities: sorted(p.DefaultAuthorities),
		ConnectionPrefix:   p.ConnectionPrefix,
		Team:               p.Team,
		ConnectionTemplate: p.ConnectionTemplate,
		ConnectionIDs:      sorted(p.Allow.ConnectionIDs),
		TokenLifetime:      p.TokenLifetime,
		Rotation:           p.Rotation,
		AppClient:          p.AppClient,
		Quota:              p.Quota,
		Retired:            p.Retired,
	})
	if err != nil {
		panic(fmt.Sprintf("marshalling a policy of strings and numbers: %v", err))
	}
	sum := sha256.Sum256(policy)
	return hex.EncodeToString(sum[:])
}

func sorted[T ~string](list []T) []T {
	set := slices.Clone(list)
	slices.Sort(set)
	return slices.Compact(set)
}
