package broker

import (
	"context"
	"net/http"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Update answers PATCH /v2/service_instances/{instance_id}. The catalog says that
// nothing can be updated; whoever asks nevertheless is told what can be done.
func (b *broker) Update(ctx context.Context, _ string, details domain.UpdateDetails, _ bool) (domain.UpdateServiceSpec, error) {
	err := refuseMaintenanceInfo(details.MaintenanceInfo)
	if err == nil {
		err = answer{http.StatusBadRequest, "UpdateNotOffered",
			"an instance cannot be changed: create another one with the plan and parameters that are wanted, bind to that, and delete this one"}
	}
	return domain.UpdateServiceSpec{}, b.fail(exchangeOf(ctx), verbUpdate, err)
}
