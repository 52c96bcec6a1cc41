package broker

import (
	"context"
	"encoding/json"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// GetInstance answers GET /v2/service_instances/{instance_id}: 404 as long as it
// is not there, or not any more.
func (b *broker) GetInstance(ctx context.Context, instanceID string, details domain.FetchInstanceDetails) (domain.GetInstanceDetailsSpec, error) {
	instance, err := b.engine.FindInstance(ctx, identity.InstanceGUID(instanceID))
	if err == nil {
		err = b.isOf(instance, details.ServiceID, details.PlanID)
	}
	if err != nil {
		return domain.GetInstanceDetailsSpec{}, b.fail(exchangeOf(ctx), verbGetInstance, err)
	}
	return domain.GetInstanceDetailsSpec{
		ServiceID:  b.catalog.OfferingID(),
		PlanID:     string(instance.Plan),
		Parameters: parametersOf(instance.Parameters),
		Metadata:   b.instanceMetadata(instance),
	}, nil
}

// parametersOf shows parameters as they were sent; none is an empty object.
func parametersOf(canonical []byte) json.RawMessage {
	if len(canonical) == 0 {
		return json.RawMessage("{}")
	}
	return canonical
}
