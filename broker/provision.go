package broker

import (
	"bytes"
	"context"
	"errors"
	"time"

	"airflow-identity/audit"
	"airflow-identity/catalog"
	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Provision answers PUT /v2/service_instances/{instance_id}: 201 if it was made
// now, 200 if the very same one was there.
func (b *broker) Provision(ctx context.Context, instanceID string, details domain.ProvisionDetails, _ bool) (domain.ProvisionedServiceSpec, error) {
	x := exchangeOf(ctx)
	instance, created, err := b.provision(ctx, identity.InstanceGUID(instanceID), details)
	if err != nil {
		return domain.ProvisionedServiceSpec{}, b.fail(x, verbProvision, err)
	}
	return domain.ProvisionedServiceSpec{AlreadyExists: !created, Metadata: b.instanceMetadata(instance)}, nil
}

func (b *broker) provision(ctx context.Context, guid identity.InstanceGUID, details domain.ProvisionDetails) (instance identity.Instance, created bool, err error) {
	x := exchangeOf(ctx)
	if err := b.offered(details.ServiceID, details.PlanID); err != nil {
		return identity.Instance{}, false, err
	}
	if err := guids(field{"organization_guid", details.OrganizationGUID}, field{"space_guid", details.SpaceGUID}); err != nil {
		return identity.Instance{}, false, err
	}
	if err := refuseMaintenanceInfo(details.MaintenanceInfo); err != nil {
		return identity.Instance{}, false, err
	}
	told, err := readContext(details.RawContext, x)
	if err != nil {
		return identity.Instance{}, false, err
	}

	plan, _ := b.catalog.Plan(identity.PlanID(details.PlanID))
	place := catalog.Place{
		Org:      identity.OrgGUID(details.OrganizationGUID),
		Space:    identity.SpaceGUID(details.SpaceGUID),
		Instance: guid,
		Names:    told.names(),
	}
	req := identity.ProvisionRequest{
		Instance:       guid,
		Plan:           plan.ID,
		Environment:    plan.Environment,
		Org:            place.Org,
		Space:          place.Space,
		Names:          place.Names,
		Quota:          plan.Quota.InstancesPerSpace,
		ConnectionBase: plan.DefaultConnectionBase(place),
		Origin:         x.origin(plan.PolicyHash()),
	}
	parameters, canonical, err := b.catalog.ParseProvision(details.RawParameters)
	if err == nil {
		req.Parameters, req.RotationPeriod = canonical, time.Duration(parameters.RotationPeriod)
		if req.Ceiling, err = plan.JudgeProvision(place, parameters); err != nil {
			if existing, same, unknown := b.same(ctx, req); same || unknown != nil {
				return existing, false, unknown
			}
		}
	}
	if err != nil {
		b.deny(ctx, verbProvision, plan, audit.Where{Org: string(place.Org), Space: string(place.Space), Instance: string(guid)}, err)
		return identity.Instance{}, false, err
	}

	return b.engine.Provision(ctx, req)
}

// same finds the very instance that is asked for, of a request that the policy of
// now refuses: it is repeated and not new, and its first answer may have been lost.
func (b *broker) same(ctx context.Context, req identity.ProvisionRequest) (instance identity.Instance, same bool, err error) {
	instance, err = b.engine.FindInstance(ctx, req.Instance)
	if errors.Is(err, identity.ErrNotFound) {
		return instance, false, nil
	}
	return instance, err == nil && instance.Plan == req.Plan && instance.Org == req.Org && instance.Space == req.Space &&
		bytes.Equal(instance.Parameters, req.Parameters), err
}
