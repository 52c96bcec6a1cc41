package broker

import (
	"context"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Unbind answers DELETE /v2/service_instances/{instance_id}/service_bindings/{binding_id}:
// 200 once it is gone, 410 if there is none. Anything else would keep the binding,
// and the app with it, in the platform for ever.
func (b *broker) Unbind(ctx context.Context, instanceID, bindingID string, details domain.UnbindDetails, _ bool) (domain.UnbindSpec, error) {
	x, instance := exchangeOf(ctx), identity.InstanceGUID(instanceID)
	err := b.belongs(ctx, instance, details.ServiceID, details.PlanID)
	if err == nil {
		err = b.engine.Unbind(ctx, identity.UnbindRequest{Instance: instance, Binding: identity.BindingGUID(bindingID), Origin: x.origin("")})
	}
	if err != nil {
		return domain.UnbindSpec{}, b.fail(x, verbUnbind, err)
	}
	return domain.UnbindSpec{}, nil
}
