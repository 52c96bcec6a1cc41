package broker

import (
	"encoding/json"

	"airflow-identity/identity"
)

// longestName is more than any platform allows a name to have.
const longestName = 1000

// platformContext is what this broker reads of the context object; the rest is
// ignored, as OSB demands.
type platformContext struct {
	Platform         string `json:"platform"`
	OrganizationName string `json:"organization_name"`
	SpaceGUID        string `json:"space_guid"`
	SpaceName        string `json:"space_name"`
	InstanceName     string `json:"instance_name"`
}

// readContext decodes a context and compares it with who is said to have asked.
func readContext(raw json.RawMessage, x *exchange) (platformContext, error) {
	var c platformContext
	if len(raw) == 0 || string(raw) == "null" {
		return c, nil
	}
	if raw[0] != '{' {
		return c, requestInvalid("context must be a JSON object")
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, requestInvalid("in context, platform, space_guid and all names must be strings")
	}
	for _, text := range []string{c.Platform, c.OrganizationName, c.SpaceGUID, c.SpaceName, c.InstanceName} {
		if !printable(text, longestName) {
			return c, requestInvalid("in context, a name holds a control character or is too long")
		}
	}
	if c.Platform != "" && x.actor.Platform != "" && c.Platform != x.actor.Platform {
		return c, requestInvalid("context.platform and the platform of " + originatingIdentityHeader + " must be the same")
	}
	return c, nil
}

func (c platformContext) names() identity.Names {
	return identity.Names{Org: c.OrganizationName, Space: c.SpaceName, Instance: c.InstanceName}
}

// over gives the names last told: these, and where one is not told now, the one
// that was.
func (c platformContext) over(was identity.Names) identity.Names {
	now := c.names()
	if now.Org == "" {
		now.Org = was.Org
	}
	if now.Space == "" {
		now.Space = was.Space
	}
	if now.Instance == "" {
		now.Instance = was.Instance
	}
	return now
}

// guids refuses ids in a body that could not be stored, or told apart, as they are.
func guids(fields ...field) error {
	for _, f := range fields {
		if f.value != "" && !isID(f.value) {
			return requestInvalid(f.name + " must be 1 to 200 letters, digits, dots, hyphens, underscores or tildes, best a uuid")
		}
	}
	return nil
}
