package cloudcontroller

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

func (i *Instance) path() string { return "/v2/service_instances/" + i.GUID }

func (i *Instance) ids() url.Values {
	return url.Values{"service_id": {i.Plan.offering.ID}, "plan_id": {i.Plan.ID}}
}

// context is who and where. Only a create of an instance tells its annotations,
// and a bind does not tell its name.
func (c *Controller) context() object {
	o := object{
		"platform":          "cloudfoundry",
		"organization_guid": c.config.Org.GUID,
		"space_guid":        c.config.Space.GUID,
	}
	if c.features.tellsRenames {
		o["organization_name"], o["space_name"] = c.config.Org.Name, c.config.Space.Name
	}
	if c.features.annotations {
		o["organization_annotations"], o["space_annotations"] = c.annotations(), c.annotations()
	}
	return o
}

func (c *Controller) instanceContext(name string) object {
	o := c.context()
	if c.features.tellsRenames {
		o["instance_name"] = name
	}
	return o
}

// annotations are those with a prefix.
func (c *Controller) annotations() object {
	shown := object{}
	for key, value := range c.config.Annotations {
		if strings.Contains(key, "/") {
			shown[key] = value
		}
	}
	return shown
}

// provision makes an instance at the broker: the first turn of its job, and the
// others queued.
func (c *Controller) provision(ctx context.Context, i *Instance, parameters object) error {
	told := c.instanceContext(i.Name)
	if c.features.annotations {
		told["instance_annotations"] = object{}
	}
	body := object{
		"service_id": i.Plan.offering.ID, "plan_id": i.Plan.ID,
		"organization_guid": c.config.Org.GUID, "space_guid": c.config.Space.GUID,
		"context": told,
	}
	if len(parameters) > 0 {
		body["parameters"] = parameters
	}
	if c.features.maintenanceInfo && i.Plan.maintenance != nil {
		body["maintenance_info"] = i.Plan.maintenance
	}
	i.Maintenance = i.Plan.maintenance
	i.LastOperation = LastOperation{Type: Create, State: StateInProgress}
	c.instances = append(c.instances, i)

	a, failure := c.send(ctx, request{
		call: CallProvision, method: http.MethodPut, path: i.path(), query: url.Values{"accepts_incomplete": {"true"}}, body: body,
	})
	kind := Done
	if failure == nil {
		kind, failure = read(CallProvision, a)
	}
	if failure != nil {
		i.LastOperation.State, i.LastOperation.Description = StateFailed, failure.Error()
		if mitigates(failure) {
			c.mitigateInstance(i)
		}
		return failure
	}
	i.learn(a, c.features)
	if kind == Done {
		i.LastOperation.State, i.LastOperation.Description = StateSucceeded, a.said("description")
		return nil
	}
	i.LastOperation.accepted(a)
	c.pollInstance(ctx, i, func(ctx context.Context) {
		c.refresh(ctx, i)
	}, func() { c.mitigateInstance(i) })
	return i.LastOperation.failure()
}

// learn takes over what an answer tells of an instance.
func (i *Instance) learn(a answer, known features) {
	if dashboard := a.said("dashboard_url"); dashboard != "" {
		i.DashboardURL = dashboard
	}
	if metadata, there := a.body["metadata"].(object); there && known.instanceMetadata {
		i.Metadata = metadata
	}
}

// refresh reads an instance after a 202 came to a good end. Whatever goes wrong
// with that is ignored.
func (c *Controller) refresh(ctx context.Context, i *Instance) {
	if !c.features.fetches || !i.Plan.offering.InstancesRetrieved {
		return
	}
	a, err := c.fetchInstance(ctx, i)
	if err == nil {
		i.learn(a, c.features)
	}
}

func (c *Controller) fetchInstance(ctx context.Context, i *Instance) (answer, error) {
	r := request{call: CallFetchInstance, method: http.MethodGet, path: i.path()}
	if c.features.fetchesWithHints {
		r.query = i.ids()
	}
	a, failure := c.send(ctx, r)
	if failure == nil {
		_, failure = read(CallFetchInstance, a)
	}
	if failure != nil {
		return answer{}, failure
	}
	return a, nil
}

// accepted keeps the broker's name for what goes on.
func (l *LastOperation) accepted(a answer) {
	l.State = StateInProgress
	if name, there := a.body["operation"].(string); there {
		l.operation = &name
	}
}

// failure is the error that a command ends with, if the first poll already told
// of a bad end.
func (l LastOperation) failure() error {
	if l.State == StateFailed {
		return &Error{Kind: OperationFailed, Message: l.Description}
	}
	return nil
}

// pollInstance follows an operation of an instance. A create that the broker
// itself calls failed is not mitigated: it is when the name is used again, or by
// the user's own delete. One that takes too long is.
func (c *Controller) pollInstance(ctx context.Context, i *Instance, succeeded func(context.Context), late func()) {
	o := i.LastOperation
	c.poll(ctx, polling{
		name: string(o.Type) + " instance", limit: c.patience(i),
		gone: func() bool {
			return !c.has(i) || i.LastOperation.Type != o.Type || i.LastOperation.State != StateInProgress
		},
		ask: func(ctx context.Context) (bool, string) {
			state, description, retryAfter := c.lastOperation(ctx, c.ask(CallLastOperation, i.path(), i.ids(), o), o.Type)
			i.LastOperation.Polls++
			i.LastOperation.State, i.LastOperation.Description = state, description
			if state == StateSucceeded {
				succeeded(ctx)
			}
			return state != StateInProgress, retryAfter
		},
		tooLate: func() {
			i.LastOperation.State, i.LastOperation.Description = StateFailed, "Service Broker failed to "+string(o.Type)+" within the required time."
			late()
		},
	})
}

// ask is a poll. The operation is said back word for word, if there is one.
func (c *Controller) ask(call Call, path string, ids url.Values, o LastOperation) request {
	if o.operation != nil {
		ids.Set("operation", *o.operation)
	}
	return request{call: call, method: http.MethodGet, path: path + "/last_operation", query: ids}
}

// change is what an update asks for. Zero fields ask for nothing.
type change struct {
	name        string
	plan        *Plan
	parameters  object
	maintenance *MaintenanceInfo
}

// update changes an instance at the broker. The plan is always sent, and so are
// parameters: an empty object, where the user gave none.
func (c *Controller) update(ctx context.Context, i *Instance, asked change) error {
	plan, name := i.Plan, i.Name
	if asked.plan != nil {
		plan = *asked.plan
	}
	if asked.name != "" {
		name = asked.name
	}
	parameters := asked.parameters
	if parameters == nil {
		parameters = object{}
	}
	previous := object{
		"plan_id": i.Plan.ID, "service_id": i.Plan.offering.ID,
		"organization_id": c.config.Org.GUID, "space_id": c.config.Space.GUID,
	}
	body := object{
		"service_id": plan.offering.ID, "plan_id": plan.ID, "parameters": parameters,
		"previous_values": previous, "context": c.instanceContext(name),
	}
	if c.features.maintenanceInfo {
		if i.Maintenance != nil {
			previous["maintenance_info"] = i.Maintenance
		}
		if plan.ID != i.Plan.ID {
			asked.maintenance = plan.maintenance
		}
		if asked.maintenance != nil {
			body["maintenance_info"] = object{"version": asked.maintenance.Version}
		}
	}
	succeeded := func() {
		i.Name = name
		if plan.ID != i.Plan.ID || asked.maintenance != nil {
			i.Maintenance = asked.maintenance
		}
		i.Plan = plan
		if asked.parameters != nil {
			i.Parameters = asked.parameters
		}
	}

	i.LastOperation = LastOperation{Type: Update, State: StateInProgress}
	a, failure := c.send(ctx, request{
		call: CallUpdate, method: http.MethodPatch, path: i.path(), query: url.Values{"accepts_incomplete": {"true"}}, body: body,
	})
	kind := Done
	if failure == nil {
		kind, failure = read(CallUpdate, a)
	}
	if failure != nil {
		i.LastOperation.State, i.LastOperation.Description = StateFailed, failure.Error()
		return failure
	}
	i.learn(a, c.features)
	if kind == Done {
		i.LastOperation.State = StateSucceeded
		succeeded()
		return nil
	}
	i.LastOperation.accepted(a)
	c.pollInstance(ctx, i, func(ctx context.Context) {
		c.refresh(ctx, i)
		succeeded()
	}, func() {})
	return i.LastOperation.failure()
}

func (c *Controller) deprovision(i *Instance) request {
	query := i.ids()
	query.Set("accepts_incomplete", "true")
	return request{call: CallDeprovision, method: http.MethodDelete, path: i.path(), query: query}
}

// deleteInstance unbinds everything and then deprovisions. What was not unbound
// at once stands in the way: the user repeats the command.
func (c *Controller) deleteInstance(ctx context.Context, i *Instance) error {
	var first error
	for _, b := range append([]*Binding{}, c.bindings...) {
		if b.Instance != i {
			continue
		}
		err := c.deleteBinding(ctx, b)
		if err == nil && c.holds(b) {
			err = refused("An operation for the service binding between app %s and service instance %s is in progress.", b.App, i.Name)
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		i.LastOperation = LastOperation{Type: Delete, State: StateFailed, Description: first.Error()}
		return first
	}

	i.LastOperation = LastOperation{Type: Delete, State: StateInProgress}
	a, failure := c.send(ctx, c.deprovision(i))
	kind := Done
	if failure == nil {
		kind, failure = read(CallDeprovision, a)
	}
	switch {
	case failure != nil:
		i.LastOperation.State, i.LastOperation.Description = StateFailed, failure.Error()
		return failure
	case kind != Accepted:
		c.forgetInstance(i)
		return nil
	}
	i.LastOperation.accepted(a)
	c.pollInstance(ctx, i, func(context.Context) { c.forgetInstance(i) }, func() {})
	return i.LastOperation.failure()
}

func newGUID() string { return uuid.NewString() }
