package cloudcontroller

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Offering is a service of the catalog, as far as Cloud Controller uses it.
type Offering struct {
	ID                  string `json:"id"`
	Name                string `json:"name"`
	Description         string `json:"description"`
	Bindable            *bool  `json:"bindable"`
	InstancesRetrieved  bool   `json:"instances_retrievable"`
	BindingsRetrieved   bool   `json:"bindings_retrievable"`
	PlanUpdateable      bool   `json:"plan_updateable"`
	AllowContextUpdates bool   `json:"allow_context_updates"`
	Tags                []string
	Metadata            object
	DashboardClient     *struct {
		ID          string
		Secret      string
		RedirectURI string `json:"redirect_uri"`
	} `json:"dashboard_client"`
	Plans []Plan
}

// Plan is a plan of an offering.
type Plan struct {
	ID                     string `json:"id"`
	Name                   string `json:"name"`
	Description            string `json:"description"`
	Bindable               *bool  `json:"bindable"`
	PlanUpdateable         *bool  `json:"plan_updateable"`
	MaximumPollingDuration int    `json:"maximum_polling_duration"` // seconds
	Maintenance            json.RawMessage
	Schemas                json.RawMessage

	// Inactive: it was taken out of the catalog while it had instances.
	Inactive bool `json:"-"`

	offering    *Offering
	maintenance *MaintenanceInfo
}

// MaintenanceInfo names the version of what stands behind a plan.
type MaintenanceInfo struct {
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
}

// UnmarshalJSON keeps raw what is checked as text.
func (p *Plan) UnmarshalJSON(text []byte) error {
	type plain Plan
	var raw struct {
		plain
		Maintenance json.RawMessage `json:"maintenance_info"`
		Schemas     json.RawMessage `json:"schemas"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*p = Plan(raw.plain)
	p.Maintenance, p.Schemas = raw.Maintenance, raw.Schemas
	return nil
}

func (p Plan) bindable() bool {
	if p.Bindable != nil {
		return *p.Bindable
	}
	return p.offering.Bindable != nil && *p.offering.Bindable
}

func (p Plan) updateable() bool {
	if p.PlanUpdateable != nil {
		return *p.PlanUpdateable
	}
	return p.offering.PlanUpdateable
}

// The limits of a catalog.
const (
	longestDescription = 10_000
	longestTags        = 2_048
	longestMaintenance = 2_000
	longestSchema      = 64 * 1024
)

// semver is the pattern that semver.org suggests.
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// fetchCatalog reads and checks the catalog. Cloud Controller refuses it whole.
func (c *Controller) fetchCatalog(ctx context.Context) ([]*Offering, error) {
	a, failure := c.send(ctx, request{call: CallCatalog, method: http.MethodGet, path: "/v2/catalog"})
	if failure != nil {
		return nil, failure
	}
	if _, failure = read(CallCatalog, a); failure != nil {
		return nil, failure
	}
	offerings, problems := ReadCatalog(a.text)
	if len(problems) > 0 {
		return nil, &Error{Kind: "ServiceBrokerCatalogInvalid", Call: CallCatalog, Status: a.status, Message: strings.Join(problems, "; ")}
	}
	return offerings, nil
}

// ReadCatalog reads a catalog and gives all that Cloud Controller finds wrong
// with it.
func ReadCatalog(text []byte) ([]*Offering, []string) {
	var catalog struct{ Services []*Offering }
	if err := json.Unmarshal(text, &catalog); err != nil {
		return nil, []string{err.Error()}
	}
	k := catalogCheck{ids: map[string]bool{}, names: map[string]bool{}}
	k.check(len(catalog.Services) > 0, "Service broker catalog must have at least one service")
	for _, o := range catalog.Services {
		k.offering(o)
	}
	return catalog.Services, k.problems
}

type catalogCheck struct {
	problems   []string
	ids, names map[string]bool
}

func (k *catalogCheck) check(fine bool, format string, args ...any) {
	if !fine {
		k.problems = append(k.problems, fmt.Sprintf(format, args...))
	}
}

func (k *catalogCheck) named(what, id, name, description string, names map[string]bool) {
	k.check(id != "", "%s id must be a string, and is required", what)
	k.check(!k.ids[id], "%s id %q must be unique", what, id)
	k.check(name != "", "%s name must be a string, and is required", what)
	k.check(!names[name], "%s name %q must be unique", what, name)
	k.check(description != "", "%s description must be a string, and is required", what)
	k.check(len(description) <= longestDescription, "%s description may not have more than %d characters", what, longestDescription)
	k.ids[id], names[name] = true, true
}

func (k *catalogCheck) offering(o *Offering) {
	k.named("Service", o.ID, o.Name, o.Description, k.names)
	k.check(o.Bindable != nil, "Service %q: bindable must be a boolean, and is required", o.Name)
	k.check(len(strings.Join(o.Tags, "")) <= longestTags, "Service %q: tags must have no more than %d characters", o.Name, longestTags)
	k.check(len(o.Plans) > 0, "Service %q: at least one plan is required", o.Name)
	if d := o.DashboardClient; d != nil {
		k.check(d.ID != "" && d.Secret != "" && d.RedirectURI != "", "Service %q: dashboard client needs id, secret and redirect_uri", o.Name)
	}
	names := map[string]bool{}
	for i := range o.Plans {
		p := &o.Plans[i]
		p.offering = o
		k.named("Plan", p.ID, p.Name, p.Description, names)
		k.check(p.MaximumPollingDuration >= 0, "Plan %q: maximum_polling_duration must be a positive integer", p.Name)
		k.maintenance(p)
		k.schemas(p)
	}
}

func (k *catalogCheck) maintenance(p *Plan) {
	if len(p.Maintenance) == 0 || string(p.Maintenance) == "null" {
		return
	}
	var keys map[string]json.RawMessage
	var info MaintenanceInfo
	if json.Unmarshal(p.Maintenance, &keys) != nil || json.Unmarshal(p.Maintenance, &info) != nil {
		k.check(false, "Plan %q: maintenance info must be an object of texts", p.Name)
		return
	}
	for key := range keys {
		k.check(key == "version" || key == "description", "Plan %q: maintenance info contains invalid key %q", p.Name, key)
	}
	k.check(semver.MatchString(info.Version), "Plan %q: maintenance info version must be a semantic version", p.Name)
	k.check(len(p.Maintenance) <= longestMaintenance, "Plan %q: maintenance info must not be larger than %d characters", p.Name, longestMaintenance)
	p.maintenance = &info
}

func (k *catalogCheck) schemas(p *Plan) {
	var schemas struct {
		Instance struct {
			Create, Update *struct{ Parameters json.RawMessage }
		} `json:"service_instance"`
		Binding struct {
			Create *struct{ Parameters json.RawMessage }
		} `json:"service_binding"`
	}
	if len(p.Schemas) == 0 || string(p.Schemas) == "null" {
		return
	}
	if err := json.Unmarshal(p.Schemas, &schemas); err != nil {
		k.check(false, "Plan %q: schemas: %v", p.Name, err)
		return
	}
	for name, s := range map[string]*struct{ Parameters json.RawMessage }{
		"service_instance.create": schemas.Instance.Create, "service_instance.update": schemas.Instance.Update, "service_binding.create": schemas.Binding.Create,
	} {
		if s != nil && len(s.Parameters) > 0 && string(s.Parameters) != "null" {
			if wrong := checkSchema(s.Parameters); wrong != "" {
				k.check(false, "Plan %q: schema %s.parameters is not valid: %s", p.Name, name, wrong)
			}
		}
	}
}

// checkSchema tells why a schema of parameters is refused.
func checkSchema(text []byte) string {
	if len(text) > longestSchema {
		return "larger than 64KB"
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return err.Error()
	}
	schema, isObject := document.(object)
	if !isObject {
		return "no object"
	}
	if _, there := schema["$schema"].(string); !there {
		return `schema must have $schema key but was not present`
	}
	if ref := externalReference(document); ref != "" {
		return "no external references allowed: " + ref
	}
	draft4, err := jsonschema.NewCompiler().Compile("http://json-schema.org/draft-04/schema")
	if err != nil {
		return err.Error()
	}
	if err := draft4.Validate(document); err != nil {
		return err.Error()
	}
	return ""
}

func externalReference(document any) string {
	switch d := document.(type) {
	case []any:
		for _, item := range d {
			if ref := externalReference(item); ref != "" {
				return ref
			}
		}
	case object:
		if ref, isText := d["$ref"].(string); isText && !strings.HasPrefix(ref, "#") {
			return ref
		}
		for _, item := range d {
			if ref := externalReference(item); ref != "" {
				return ref
			}
		}
	}
	return ""
}

// CreateServiceBroker is cf create-service-broker: the first time that the
// catalog is read.
func (c *Controller) CreateServiceBroker(ctx context.Context) error {
	if c.offerings != nil {
		return refused("Name must be unique")
	}
	return c.UpdateServiceBroker(ctx)
}

// UpdateServiceBroker is cf update-service-broker: from then on a new plan, or a
// new maintenance_info, is known. A plan that is missing goes, unless it has
// instances: then it stays and nothing new is made of it.
func (c *Controller) UpdateServiceBroker(ctx context.Context) error {
	fetched, err := c.fetchCatalog(ctx)
	if err != nil {
		return err
	}
	for _, known := range c.offerings {
		o := findOffering(fetched, known.ID)
		for _, p := range known.Plans {
			used := slices.ContainsFunc(c.instances, func(i *Instance) bool { return i.Plan.ID == p.ID })
			if !used || o != nil && slices.ContainsFunc(o.Plans, func(other Plan) bool { return other.ID == p.ID }) {
				continue
			}
			if o == nil {
				o = known
				o.Plans = nil
				fetched = append(fetched, o)
			}
			p.Inactive = true
			o.Plans = append(o.Plans, p)
		}
	}
	c.offerings = fetched
	for _, i := range c.instances {
		if p, found := c.planByID(i.Plan.ID); found {
			i.Plan = p
		}
	}
	return nil
}

func findOffering(list []*Offering, id string) *Offering {
	for _, o := range list {
		if o.ID == id {
			return o
		}
	}
	return nil
}

func (c *Controller) planByID(id string) (Plan, bool) {
	for _, o := range c.offerings {
		for _, p := range o.Plans {
			if p.ID == id {
				return p, true
			}
		}
	}
	return Plan{}, false
}

// Marketplace is cf marketplace: the offerings, with the plans that may be used.
func (c *Controller) Marketplace() map[string][]string {
	plans := map[string][]string{}
	for _, o := range c.offerings {
		for _, p := range o.Plans {
			if !p.Inactive {
				plans[o.Name] = append(plans[o.Name], p.Name)
			}
		}
	}
	return plans
}

// plan finds a plan that may be used by its names.
func (c *Controller) plan(offering, name string) (Plan, bool) {
	for _, o := range c.offerings {
		for _, p := range o.Plans {
			if o.Name == offering && p.Name == name && !p.Inactive {
				return p, true
			}
		}
	}
	return Plan{}, false
}
