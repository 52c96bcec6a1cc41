package broker

import (
	"context"

	"airflow-identity/audit"
	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Update answers PATCH /v2/service_instances/{instance_id}: 200 once the instance
// and all that lives in it is as it was asked for, 202 if that takes long. What is
// not sent does not change; previous_values are for information and not looked at.
func (b *broker) Update(ctx context.Context, instanceID string, details domain.UpdateDetails, asyncAllowed bool) (domain.UpdateServiceSpec, error) {
	instance, err := b.update(ctx, identity.InstanceGUID(instanceID), details, asyncAllowed)
	if operation, ok := pending(err, asyncAllowed); ok {
		return domain.UpdateServiceSpec{IsAsync: true, OperationData: operation}, nil
	}
	if err != nil {
		return domain.UpdateServiceSpec{}, b.fail(exchangeOf(ctx), verbUpdate, err)
	}
	return domain.UpdateServiceSpec{Metadata: b.instanceMetadata(instance)}, nil
}

// update gives the instance as it is from now on.
func (b *broker) update(ctx context.Context, guid identity.InstanceGUID, details domain.UpdateDetails, asyncAllowed bool) (updated identity.Instance, err error) {
	x := exchangeOf(ctx)
	if err := refuseMaintenanceInfo(details.MaintenanceInfo); err != nil {
		return updated, err
	}
	told, err := readContext(details.RawContext, x)
	if err != nil {
		return updated, err
	}
	found, err := b.engine.FindInstance(ctx, guid)
	if err != nil {
		return updated, err
	}
	plan, ok := b.catalog.Plan(wanted(details, found))
	if !ok {
		return updated, planUnknown("the plan of this instance is not in the catalog any more: name one that is, of the same environment")
	}

	where := audit.Where{Org: string(found.Org), Space: string(found.Space), Instance: string(guid)}
	parameters, err := b.catalog.ParseUpdate(details.RawParameters)
	if err != nil {
		b.deny(ctx, verbUpdate, plan, where, err)
		return updated, err
	}

	err = b.engine.Update(ctx, identity.UpdateRequest{
		Instance:       guid,
		Names:          told.names(),
		Origin:         x.origin(plan.PolicyHash()),
		AsyncAllowed:   asyncAllowed,
		MaximumPolling: plan.MaximumPollingDuration,
		Judge: func(row identity.Instance, held []identity.Held) (identity.Revision, error) {
			if wanted(details, row) != plan.ID {
				return identity.Revision{}, identity.ErrBusy // another update was faster
			}
			row.Names = told.over(row.Names)
			revision, err := plan.JudgeUpdate(row, parameters, held)
			updated = row
			updated.Plan, updated.RotationPeriod = revision.Plan, revision.RotationPeriod
			return revision, err
		},
	})
	if err != nil {
		b.deny(ctx, verbUpdate, plan, where, err)
	}
	return updated, err
}

// wanted is the plan that an instance is to have after an update.
func wanted(details domain.UpdateDetails, instance identity.Instance) identity.PlanID {
	if details.PlanID == "" {
		return instance.Plan
	}
	return identity.PlanID(details.PlanID)
}
