package broker

import (
	"context"
	"errors"
	"net/http"

	"airflow-identity/identity"
)

// belongs refuses a delete that names another service or plan than the instance
// has. Whatever cannot be compared passes: an instance that is gone, or going, is
// the core's to answer for, and a plan that left the catalog must not keep what
// was made of it.
func (b *broker) belongs(ctx context.Context, guid identity.InstanceGUID, service, plan string) error {
	instance, err := b.engine.FindInstance(ctx, guid)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return nil
	case err != nil:
		return err
	default:
		return b.isOf(instance, service, plan)
	}
}

// isOf compares what a request says with the row; what it does not say fits. The
// plan may be any of the same environment: where an update ended later than the
// platform waited for it, the platform still names the former one.
func (b *broker) isOf(instance identity.Instance, service, plan string) error {
	if service != "" && service != b.catalog.OfferingID() {
		return answer{http.StatusBadRequest, "ServiceUnknown", "service_id is not that of the offering that this instance was made of"}
	}
	if named, ok := b.catalog.Plan(identity.PlanID(plan)); ok && named.Environment != instance.Environment {
		return planForeign
	}
	return nil
}

var planForeign = planUnknown("plan_id is not that of the plan that this instance has; if the platform gave an update of it up, repeat that update")
