package broker

import (
	"context"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Unbind answers DELETE /v2/service_instances/{instance_id}/service_bindings/{binding_id}:
// 200 once it is gone, 410 if there is none, 202 if that takes long. Anything else
// would keep the binding, and the app with it, in the platform for ever.
func (b *broker) Unbind(ctx context.Context, instanceID, bindingID string, details domain.UnbindDetails, asyncAllowed bool) (domain.UnbindSpec, error) {
	x, instance := exchangeOf(ctx), identity.InstanceGUID(instanceID)
	// Before 2.14 there was nothing to ask about a binding.
	asyncAllowed = asyncAllowed && x.minor >= firstAsyncBindings
	err := b.belongs(ctx, instance, details.ServiceID, details.PlanID)
	if err == nil {
		err = b.engine.Unbind(ctx, identity.UnbindRequest{
			Instance:     instance,
			Binding:      identity.BindingGUID(bindingID),
			Origin:       x.origin(""),
			AsyncAllowed: asyncAllowed,
		})
	}
	if operation, ok := pending(err, asyncAllowed); ok {
		return domain.UnbindSpec{IsAsync: true, OperationData: operation}, nil
	}
	if err != nil {
		return domain.UnbindSpec{}, b.fail(x, verbUnbind, err)
	}
	return domain.UnbindSpec{}, nil
}
