package broker

import (
	"airflow-identity/catalog"
	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// expiryFormat is OSB's: UTC, with one digit of a second's fraction.
const expiryFormat = "2006-01-02T15:04:05.0Z"

// instanceMetadata is what cf service shows of an instance besides its plan. A
// plan's name and a few words are far from the 4,096 characters that Cloud
// Controller keeps.
func (b *broker) instanceMetadata(instance identity.Instance) domain.InstanceMetadata {
	plan, ok := b.catalog.Plan(instance.Plan)
	if !ok {
		return domain.InstanceMetadata{}
	}
	return domain.InstanceMetadata{
		Labels: map[string]any{
			"plan":        plan.Name,
			"environment": string(plan.Environment),
		},
		Attributes: map[string]any{"rotation_period": catalog.Duration(plan.PeriodOf(instance)).String()},
	}
}

// bindingMetadata tells when the caller's own client ends, or ended.
func bindingMetadata(bound identity.Bound) domain.BindingMetadata {
	if bound.Client == nil || bound.Client.ExpiresAt == nil {
		return domain.BindingMetadata{}
	}
	return domain.BindingMetadata{ExpiresAt: expiry(bound.Client)}
}

func expiry(client *identity.Identity) string { return client.ExpiresAt.UTC().Format(expiryFormat) }
