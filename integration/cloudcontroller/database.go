package cloudcontroller

import (
	"maps"
	"slices"
	"time"
)

// OperationType is what a last operation was about.
type OperationType string

// The types of operations.
const (
	Create OperationType = "create"
	Update OperationType = "update"
	Delete OperationType = "delete"
)

// State is where an operation is.
type State string

// The states.
const (
	StateInProgress State = "in progress"
	StateSucceeded  State = "succeeded"
	StateFailed     State = "failed"
)

// LastOperation is what cf shows as "create succeeded".
type LastOperation struct {
	Type        OperationType
	State       State
	Description string
	Polls       int // how often the broker was asked about it

	operation *string // the broker's own name for it; nil: it gave none
}

func (l LastOperation) String() string { return string(l.Type) + " " + string(l.State) }

func (l LastOperation) is(t OperationType, s State) bool { return l.Type == t && l.State == s }

// Instance is a service instance as Cloud Controller knows it.
type Instance struct {
	GUID          string
	Name          string
	Plan          Plan
	Parameters    object // as the user gave them; Cloud Controller itself forgets them
	DashboardURL  string
	Maintenance   *MaintenanceInfo
	Metadata      object // broker_provided_metadata
	LastOperation LastOperation
}

// Binding is an app's binding or, without an app, a service key.
type Binding struct {
	GUID          string
	Name          string // of a key; an app's may have one
	App           string // the app's name; "": a key
	Instance      *Instance
	Credentials   object
	CreatedAt     time.Time
	LastOperation LastOperation

	serial   int           // the order of creation
	patience time.Duration // of its polling; 0: not yet known
}

func (b *Binding) isKey() bool { return b.App == "" }

// Service gives an instance by its name.
func (c *Controller) Service(name string) (Instance, bool) {
	if i := c.instance(name); i != nil {
		return *i, true
	}
	return Instance{}, false
}

// Services lists all instances, as cf services does.
func (c *Controller) Services() []Instance {
	var list []Instance
	for _, i := range c.instances {
		list = append(list, *i)
	}
	return list
}

// Bindings lists the bindings of an app to an instance, oldest first; the keys if
// app is "".
func (c *Controller) Bindings(app, instance string) []Binding {
	var list []Binding
	for _, b := range c.bindings {
		if b.App == app && b.Instance.Name == instance {
			list = append(list, *b)
		}
	}
	return list
}

// Key gives a service key by its name.
func (c *Controller) Key(instance, name string) (Binding, bool) {
	for _, b := range c.Bindings("", instance) {
		if b.Name == name {
			return b, true
		}
	}
	return Binding{}, false
}

// VCAPServices is what a container of the app is given: for each instance the
// credentials of the newest binding that succeeded.
func (c *Controller) VCAPServices(app string) map[string]object {
	given := map[string]object{}
	for _, b := range c.bindings {
		if b.App == app && b.LastOperation.is(Create, StateSucceeded) {
			given[b.Instance.Name] = maps.Clone(b.Credentials)
		}
	}
	return given
}

// LiveBindings lists the guids that the platform holds for there, of any instance:
// what the broker must hold, and no more.
func (c *Controller) LiveBindings() []string {
	var guids []string
	for _, b := range c.bindings {
		if b.LastOperation.is(Create, StateSucceeded) {
			guids = append(guids, b.GUID)
		}
	}
	slices.Sort(guids)
	return guids
}

func (c *Controller) instance(name string) *Instance {
	for _, i := range c.instances {
		if i.Name == name {
			return i
		}
	}
	return nil
}

func (c *Controller) has(i *Instance) bool { return slices.Contains(c.instances, i) }
func (c *Controller) holds(b *Binding) bool {
	return slices.Contains(c.bindings, b)
}

func (c *Controller) forgetInstance(i *Instance) {
	c.instances = slices.DeleteFunc(c.instances, func(other *Instance) bool { return other == i })
	c.bindings = slices.DeleteFunc(c.bindings, func(b *Binding) bool { return b.Instance == i })
}

func (c *Controller) forgetBinding(b *Binding) {
	c.bindings = slices.DeleteFunc(c.bindings, func(other *Binding) bool { return other == b })
}
