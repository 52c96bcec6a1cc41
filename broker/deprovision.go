package broker

import (
	"context"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Deprovision answers DELETE /v2/service_instances/{instance_id}: 200 once it and
// its bindings are gone, 410 if there is none, 202 if that takes long. It goes on
// whether or not anybody asks again: on orphan mitigation nobody does.
func (b *broker) Deprovision(ctx context.Context, instanceID string, details domain.DeprovisionDetails, asyncAllowed bool) (domain.DeprovisionServiceSpec, error) {
	x, guid := exchangeOf(ctx), identity.InstanceGUID(instanceID)
	err := b.belongs(ctx, guid, details.ServiceID, details.PlanID)
	if err == nil {
		err = b.engine.Deprovision(ctx, identity.DeprovisionRequest{Instance: guid, Origin: x.origin(""), AsyncAllowed: asyncAllowed})
	}
	if operation, ok := pending(err, asyncAllowed); ok {
		return domain.DeprovisionServiceSpec{IsAsync: true, OperationData: operation}, nil
	}
	if err != nil {
		return domain.DeprovisionServiceSpec{}, b.fail(x, verbDeprovision, err)
	}
	return domain.DeprovisionServiceSpec{}, nil
}
