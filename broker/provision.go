package broker

import (
	"context"

	"airflow-identity/audit"
	"airflow-identity/catalog"
	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Provision answers PUT /v2/service_instances/{instance_id}: 201 if it was made
// now, 200 if the very same one was there.
func (b *broker) Provision(ctx context.Context, instanceID string, details domain.ProvisionDetails, _ bool) (domain.ProvisionedServiceSpec, error) {
	x := exchangeOf(ctx)
	created, err := b.provision(ctx, identity.InstanceGUID(instanceID), details)
	if err != nil {
		return domain.ProvisionedServiceSpec{}, b.fail(x, verbProvision, err)
	}
	return domain.ProvisionedServiceSpec{AlreadyExists: !created}, nil
}

func (b *broker) provision(ctx context.Context, guid identity.InstanceGUID, details domain.ProvisionDetails) (created bool, err error) {
	x := exchangeOf(ctx)
	if err := b.offered(details.ServiceID, details.PlanID); err != nil {
		return false, err
	}
	if err := guids(field{"organization_guid", details.OrganizationGUID}, field{"space_guid", details.SpaceGUID}); err != nil {
		return false, err
	}
	if err := refuseMaintenanceInfo(details.MaintenanceInfo); err != nil {
		return false, err
	}
	told, err := readContext(details.RawContext, x)
	if err != nil {
		return false, err
	}

	plan, _ := b.catalog.Plan(identity.PlanID(details.PlanID))
	place := catalog.Place{
		Org:      identity.OrgGUID(details.OrganizationGUID),
		Space:    identity.SpaceGUID(details.SpaceGUID),
		Instance: guid,
		Names:    told.names(),
	}
	parameters, canonical, err := b.catalog.ParseProvision(details.RawParameters)
	var ceiling []identity.Authority
	if err == nil {
		ceiling, err = plan.JudgeProvision(place, parameters.Authorities)
	}
	if err != nil {
		b.deny(ctx, verbProvision, plan, audit.Where{Org: string(place.Org), Space: string(place.Space), Instance: string(guid)}, err)
		return false, err
	}

	_, created, err = b.engine.Provision(ctx, identity.ProvisionRequest{
		Instance:       guid,
		Plan:           plan.ID,
		Environment:    plan.Environment,
		Org:            place.Org,
		Space:          place.Space,
		Names:          place.Names,
		Parameters:     canonical,
		Ceiling:        ceiling,
		ConnectionBase: plan.DefaultConnectionBase(place),
		Origin:         x.origin(plan.PolicyHash()),
	})
	return created, err
}
