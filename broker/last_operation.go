package broker

import (
	"context"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// LastOperation answers GET /v2/service_instances/{instance_id}/last_operation.
// Every operation is done when it is answered, so what is there has succeeded and
// what is not there is not known. No operation string is looked at: none is given.
func (b *broker) LastOperation(ctx context.Context, instanceID string, details domain.PollDetails) (domain.LastOperation, error) {
	instance, err := b.engine.FindInstance(ctx, identity.InstanceGUID(instanceID))
	if err == nil {
		err = b.isOf(instance, details.ServiceID, details.PlanID)
	}
	if err != nil {
		return domain.LastOperation{}, b.fail(exchangeOf(ctx), verbLastOperation, err)
	}
	return domain.LastOperation{State: domain.Succeeded, Description: "the service instance is there"}, nil
}

// LastBindingOperation answers GET …/service_bindings/{binding_id}/last_operation,
// by the same rule.
func (b *broker) LastBindingOperation(ctx context.Context, instanceID, bindingID string, details domain.PollDetails) (domain.LastOperation, error) {
	bound, err := b.engine.FindBinding(ctx, identity.InstanceGUID(instanceID), identity.BindingGUID(bindingID))
	if err == nil {
		err = b.isOf(bound.Instance, details.ServiceID, details.PlanID)
	}
	if err != nil {
		return domain.LastOperation{}, b.fail(exchangeOf(ctx), verbLastBindingOperation, err)
	}
	return domain.LastOperation{State: domain.Succeeded, Description: "the binding is there"}, nil
}
