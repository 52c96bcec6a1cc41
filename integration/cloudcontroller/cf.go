package cloudcontroller

import (
	"context"
	"errors"
	"slices"
)

// The commands of the cf CLI that reach a broker. Each returns when the CLI would
// without --wait: what was answered with 202 goes on in the queue, and Work is the
// waiting. An error is what the CLI prints, an *Error always.

// CreateService is cf create-service OFFERING PLAN NAME -c PARAMETERS. A name
// whose create failed may be used again: what may be left of it is mitigated, and
// the new one has a guid of its own.
func (c *Controller) CreateService(ctx context.Context, offering, plan, name string, parameters map[string]any) error {
	p, found := c.plan(offering, plan)
	if !found {
		return refused("Service plan %s of %s not found", plan, offering)
	}
	if i := c.instance(name); i != nil {
		if !i.LastOperation.is(Create, StateFailed) {
			return refused("The service instance name is taken: %s", name)
		}
		c.forgetInstance(i)
		c.mitigateInstance(i)
	}
	return c.provision(ctx, &Instance{GUID: newGUID(), Name: name, Plan: p, Parameters: parameters}, parameters)
}

// usable finds an instance that a command may change.
func (c *Controller) usable(name string) (*Instance, error) {
	i := c.instance(name)
	switch {
	case i == nil || i.LastOperation.is(Create, StateFailed):
		return nil, refused("The service instance could not be found: %s", name)
	case i.LastOperation.State == StateInProgress:
		return nil, refused("An operation for service instance %s is in progress.", name)
	}
	return i, nil
}

// UpdateService is cf update-service NAME -p PLAN -c PARAMETERS; "" and nil leave
// the option out.
func (c *Controller) UpdateService(ctx context.Context, name, plan string, parameters map[string]any) error {
	i, err := c.usable(name)
	if err != nil {
		return err
	}
	asked := change{parameters: parameters}
	if plan != "" {
		p, found := c.plan(i.Plan.offering.Name, plan)
		if !found {
			return refused("Service plan %s not found", plan)
		}
		if !i.Plan.updateable() {
			return refused("The service does not support changing plans.")
		}
		asked.plan = &p
	}
	if i.Plan.Inactive && parameters != nil {
		return refused("Cannot update parameters of a service instance that belongs to inaccessible plan")
	}
	if parameters == nil && (plan == "" || asked.plan.ID == i.Plan.ID) {
		return nil // nothing is asked for, and the broker is not
	}
	return c.update(ctx, i, asked)
}

// UpgradeService is cf upgrade-service: to the version of the plan that the
// catalog last told of.
func (c *Controller) UpgradeService(ctx context.Context, name string) error {
	i, err := c.usable(name)
	if err != nil {
		return err
	}
	target := i.Plan.maintenance
	if !c.features.maintenanceInfo || target == nil || i.Maintenance != nil && i.Maintenance.Version == target.Version {
		return refused("No upgrade is available for service instance %s", name)
	}
	return c.update(ctx, i, change{maintenance: target})
}

// RenameService is cf rename-service. The broker is told where it wants to be.
func (c *Controller) RenameService(ctx context.Context, name, to string) error {
	i, err := c.usable(name)
	if err != nil {
		return err
	}
	if c.instance(to) != nil {
		return refused("The service instance name is taken: %s", to)
	}
	if !c.features.tellsRenames || !i.Plan.offering.AllowContextUpdates {
		i.Name = to
		return nil
	}
	return c.update(ctx, i, change{name: to})
}

// DeleteService is cf delete-service, of whatever is bound as well. A create that
// goes on is no obstacle; a name that nobody knows is fine.
func (c *Controller) DeleteService(ctx context.Context, name string) error {
	i := c.instance(name)
	if i == nil {
		return nil
	}
	if i.LastOperation.State == StateInProgress && i.LastOperation.Type != Create {
		return refused("An operation for service instance %s is in progress.", name)
	}
	return c.deleteInstance(ctx, i)
}

// PurgeServiceInstance is cf purge-service-instance. The broker never hears of it.
func (c *Controller) PurgeServiceInstance(name string) {
	if i := c.instance(name); i != nil {
		c.forgetInstance(i)
	}
}

// ServiceParameters is cf service --params: asked of the broker each time.
func (c *Controller) ServiceParameters(ctx context.Context, name string) (map[string]any, error) {
	i, err := c.usable(name)
	if err != nil {
		return nil, err
	}
	if !c.features.fetches || !i.Plan.offering.InstancesRetrieved {
		return nil, refused("This service does not support fetching service instance parameters.")
	}
	a, err := c.fetchInstance(ctx, i)
	if err != nil {
		return nil, err
	}
	parameters, _ := a.body["parameters"].(object)
	return parameters, nil
}

// Bind is how cf bind-service is asked. The zero value is without options.
type Bind struct {
	Parameters map[string]any // -c
	Multiple   bool           // --strategy multiple
}

// BindService is cf bind-service APP NAME. To an app that is bound it does
// nothing, unless the strategy is "multiple".
func (c *Controller) BindService(ctx context.Context, app, name string, how Bind) error {
	b, err := c.admit(app, name, how)
	if b == nil || err != nil {
		return err
	}
	return c.bind(ctx, b, how.Parameters, c.features.asyncBindings)
}

// admit makes a binding in the database; none, if there is nothing to do. One
// whose create failed makes room, and what may be left of it is mitigated.
func (c *Controller) admit(app, name string, how Bind) (*Binding, error) {
	i, err := c.usable(name)
	if err != nil {
		return nil, err
	}
	if !i.Plan.bindable() {
		return nil, refused("Service plan does not allow bindings")
	}
	bound := 0
	for _, b := range slices.Clone(c.bindings) {
		if b.App != app || b.Instance != i {
			continue
		}
		switch {
		case b.LastOperation.is(Create, StateFailed):
			c.forgetBinding(b)
			c.mitigateBinding(b)
		case b.LastOperation.Type == Delete:
			return nil, refused("The binding is getting deleted or its deletion failed")
		case !how.Multiple && b.LastOperation.is(Create, StateSucceeded):
			return nil, nil // "App x is already bound to service instance y."
		case b.LastOperation.State == StateInProgress:
			return nil, refused("There is already a binding in progress for this service instance and app (binding guid: %s)", b.GUID)
		default:
			bound++
		}
	}
	if bound >= c.config.BindingsPerApp {
		return nil, refused("The app has too many bindings to this service instance (limit: %d). Consider deleting existing/orphaned bindings.", c.config.BindingsPerApp)
	}
	c.appGUID(app)
	return c.newBinding(i, app, ""), nil
}

func (c *Controller) newBinding(i *Instance, app, name string) *Binding {
	c.serial++
	b := &Binding{GUID: newGUID(), Name: name, App: app, Instance: i, CreatedAt: c.clock.Now(), serial: c.serial}
	c.bindings = append(c.bindings, b)
	return b
}

// UnbindService is cf unbind-service APP NAME: of every binding between the two,
// or of the one that is named by its guid.
func (c *Controller) UnbindService(ctx context.Context, app, name string, guids ...string) error {
	var failures []error
	for _, b := range slices.Clone(c.bindings) {
		if b.App == app && b.Instance.Name == name && (len(guids) == 0 || slices.Contains(guids, b.GUID)) {
			failures = append(failures, c.deleteBinding(ctx, b))
		}
	}
	return errors.Join(failures...)
}

// CleanupOutdatedServiceBindings is cf cleanup-outdated-service-bindings APP: of
// each instance all but the newest keep bindings go.
func (c *Controller) CleanupOutdatedServiceBindings(ctx context.Context, app string, keep int) error {
	var failures []error
	for _, i := range slices.Clone(c.instances) {
		var own []*Binding
		for _, b := range c.bindings {
			if b.App == app && b.Instance == i {
				own = append(own, b)
			}
		}
		slices.SortFunc(own, func(a, b *Binding) int { return a.serial - b.serial })
		for _, b := range own[:max(0, len(own)-max(1, keep))] {
			failures = append(failures, c.deleteBinding(ctx, b))
		}
	}
	return errors.Join(failures...)
}

// BindingParameters is cf curl …/service_credential_bindings/GUID/parameters.
func (c *Controller) BindingParameters(ctx context.Context, guid string) (map[string]any, error) {
	for _, b := range c.bindings {
		if b.GUID != guid {
			continue
		}
		if !c.features.fetches || !b.Instance.Plan.offering.BindingsRetrieved {
			return nil, refused("This service does not support fetching service binding parameters.")
		}
		a, err := c.fetchBinding(ctx, b)
		if err != nil {
			return nil, err
		}
		parameters, _ := a.body["parameters"].(object)
		return parameters, nil
	}
	return nil, refused("The binding could not be found: %s", guid)
}

// CreateServiceKey is cf create-service-key NAME KEY -c PARAMETERS.
func (c *Controller) CreateServiceKey(ctx context.Context, name, key string, parameters map[string]any) error {
	i, err := c.usable(name)
	if err != nil {
		return err
	}
	for _, b := range c.Bindings("", name) {
		if b.Name != key {
			continue
		}
		if !b.LastOperation.is(Create, StateFailed) {
			return refused("The binding name is invalid. Key binding names must be unique. The service instance already has a key binding with name '%s'.", key)
		}
		failed := c.key(name, key)
		c.forgetBinding(failed)
		c.mitigateBinding(failed)
	}
	return c.bind(ctx, c.newBinding(i, "", key), parameters, c.features.asyncBindings)
}

func (c *Controller) key(instance, name string) *Binding {
	for _, b := range c.bindings {
		if b.isKey() && b.Name == name && b.Instance.Name == instance {
			return b
		}
	}
	return nil
}

// ServiceKey is cf service-key NAME KEY: what Cloud Controller remembers, for
// ever as it was when it was made.
func (c *Controller) ServiceKey(name, key string) (map[string]any, error) {
	b := c.key(name, key)
	if b == nil || !b.LastOperation.is(Create, StateSucceeded) {
		return nil, refused("No service key %s found for service instance %s", key, name)
	}
	return b.Credentials, nil
}

// DeleteServiceKey is cf delete-service-key.
func (c *Controller) DeleteServiceKey(ctx context.Context, name, key string) error {
	b := c.key(name, key)
	if b == nil {
		return nil
	}
	return c.deleteBinding(ctx, b)
}

// DeleteApp is cf delete APP: an app whose bindings cannot be deleted cannot be
// deleted either.
func (c *Controller) DeleteApp(ctx context.Context, app string) error {
	var failures []error
	for _, b := range slices.Clone(c.bindings) {
		if b.App == app {
			failures = append(failures, c.deleteBinding(ctx, b))
		}
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	delete(c.apps, app)
	return nil
}

// Push is what cf push makes of the services in a manifest: each is bound at once,
// and only a broker that insists may take its time, which is a minute. The push
// waits for it.
func (c *Controller) Push(ctx context.Context, app string, services ...string) error {
	for _, name := range services {
		b, err := c.admit(app, name, Bind{})
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		err = c.bind(ctx, b, nil, false)
		var failure *Error
		if errors.As(err, &failure) && failure.Kind == AsyncRequired {
			b.patience = ManifestPolling
			err = c.bind(ctx, b, nil, c.features.asyncBindings)
		}
		if err != nil {
			return err
		}
		for b.LastOperation.State == StateInProgress {
			if _, err := c.Step(ctx); err != nil {
				return err
			}
		}
		if err := b.LastOperation.failure(); err != nil {
			return err
		}
	}
	return nil
}
