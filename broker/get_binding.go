package broker

import (
	"context"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// GetBinding answers GET /v2/service_instances/{instance_id}/service_bindings/{binding_id}:
// 404 as long as it is not there, or not any more.
func (b *broker) GetBinding(ctx context.Context, instanceID, bindingID string, details domain.FetchBindingDetails) (domain.GetBindingSpec, error) {
	bound, err := b.engine.FindBinding(ctx, identity.InstanceGUID(instanceID), identity.BindingGUID(bindingID))
	if err == nil {
		err = b.isOf(bound.Instance, details.ServiceID, details.PlanID)
	}
	if err != nil {
		return domain.GetBindingSpec{}, b.fail(exchangeOf(ctx), verbGetBinding, err)
	}
	return domain.GetBindingSpec{
		Credentials: b.credentials(bound),
		Parameters:  parametersOf(bound.Binding.Parameters),
		Metadata:    bindingMetadata(bound),
	}, nil
}
