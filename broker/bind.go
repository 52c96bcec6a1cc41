package broker

import (
	"context"

	"airflow-identity/audit"
	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Bind answers PUT /v2/service_instances/{instance_id}/service_bindings/{binding_id}:
// 201 if it was made now, 200 with the same credentials if the very same one was
// there, 202 without any if it is still being made and the platform will ask again.
func (b *broker) Bind(ctx context.Context, instanceID, bindingID string, details domain.BindDetails, asyncAllowed bool) (domain.Binding, error) {
	bound, created, err := b.bind(ctx, identity.InstanceGUID(instanceID), identity.BindingGUID(bindingID), details, asyncAllowed)
	if operation, ok := pending(err, asyncAllowed); ok {
		return domain.Binding{IsAsync: true, OperationData: operation}, nil
	}
	if err != nil {
		return domain.Binding{}, b.fail(exchangeOf(ctx), verbBind, err)
	}
	return domain.Binding{AlreadyExists: !created, Credentials: b.credentials(bound), Metadata: bindingMetadata(bound)}, nil
}

func (b *broker) bind(ctx context.Context, instance identity.InstanceGUID, binding identity.BindingGUID, details domain.BindDetails, asyncAllowed bool) (identity.Bound, bool, error) {
	x := exchangeOf(ctx)
	if err := b.offered(details.ServiceID, details.PlanID); err != nil {
		return identity.Bound{}, false, err
	}
	told, err := readContext(details.RawContext, x)
	if err != nil {
		return identity.Bound{}, false, err
	}
	app, err := appOf(details)
	if err != nil {
		return identity.Bound{}, false, err
	}
	space, err := spaceOf(details, told)
	if err != nil {
		return identity.Bound{}, false, err
	}

	plan, _ := b.catalog.Plan(identity.PlanID(details.PlanID))
	where := audit.Where{Space: string(space), Instance: string(instance), Binding: string(binding)}
	parameters, canonical, err := b.catalog.ParseBind(details.RawParameters)
	if err != nil {
		b.deny(ctx, verbBind, plan, where, err)
		return identity.Bound{}, false, err
	}

	// What is judged is the row under its lock and never the request: a name that
	// the caller sends would be a name that the caller chose.
	bound, created, err := b.engine.Bind(ctx, identity.BindRequest{
		Instance:   instance,
		Binding:    binding,
		Plan:       plan.ID,
		Space:      space,
		App:        app,
		Parameters: canonical,
		Origin:     x.origin(plan.PolicyHash()),
		Connection: parameters.ConnectionID,

		AsyncAllowed:   asyncAllowed,
		MaximumPolling: plan.MaximumPollingDuration,
		Quota:          plan.Quota.BindingsPerInstance,
		Judge: func(row identity.Instance, joins bool) (identity.Grant, error) {
			where.Org, where.Space = string(row.Org), string(row.Space)
			// The policy is that of the plan that the instance has, so it is
			// that plan which must be named.
			if row.Plan != plan.ID {
				return identity.Grant{}, planForeign
			}
			return plan.JudgeBind(row, parameters, joins)
		},
	})
	if err != nil {
		b.deny(ctx, verbBind, plan, where, err)
	}
	return bound, created, err
}

// appOf finds the app that a binding is for; "" for a service key.
func appOf(details domain.BindDetails) (identity.AppGUID, error) {
	app, deprecated := "", details.AppGUID
	if details.BindResource != nil {
		app = details.BindResource.AppGuid
	}
	if app != "" && deprecated != "" && app != deprecated {
		return "", requestInvalid("app_guid and bind_resource.app_guid must be the same")
	}
	if app == "" {
		app = deprecated
	}
	return identity.AppGUID(app), guids(field{"app_guid", app})
}

// spaceOf finds the space of the one who binds; "" if the platform did not say.
// Two that differ cannot both be the instance's.
func spaceOf(details domain.BindDetails, told platformContext) (identity.SpaceGUID, error) {
	space := told.SpaceGUID
	if details.BindResource != nil && details.BindResource.SpaceGuid != "" {
		if space != "" && space != details.BindResource.SpaceGuid {
			return "", identity.ErrForeignSpace
		}
		space = details.BindResource.SpaceGuid
	}
	return identity.SpaceGUID(space), guids(field{"space_guid", space})
}
