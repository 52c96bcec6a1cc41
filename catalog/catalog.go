package catalog

import (
	"fmt"
	"time"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// OfferingName is what people type after cf create-service.
const OfferingName = "airflow-identity"

const (
	// DefaultConnectionTemplate leaves the space out on purpose: spaces often
	// are dev, staging and prod, and the same DAG must run in each.
	DefaultConnectionTemplate = "{{org}}_{{instance}}"
	// DefaultTokenLifetime is short because a token outlives its client at
	// whoever verifies offline.
	DefaultTokenLifetime = 10 * time.Minute
)

// Offering is the one service of this broker.
type Offering struct {
	ID string // never changes: it is the key of everything in the platform
}

// Plan is an environment as it is offered: what may be had there. Its fields
// are the configuration's; New checks them and adds what it made of them.
type Plan struct {
	ID          identity.PlanID
	Name        string
	Description string
	Environment identity.EnvironmentName
	// ConnectionPrefix is the environment's: ids outside it are never touched.
	ConnectionPrefix string
	// DefaultAuthorities are for a bind that asks for nothing, of an instance
	// that has no list of its own.
	DefaultAuthorities []identity.Authority
	// ConnectionTemplate gives the default connection id; "" means
	// DefaultConnectionTemplate.
	ConnectionTemplate string
	Allow              Allow
	// TokenLifetime is the life of access tokens; 0 means DefaultTokenLifetime.
	TokenLifetime time.Duration

	authorities []authorityPattern
	connections []connectionPattern
	template    text
	policy      string
}

// Allow is what a plan gives. Nothing else is given.
type Allow struct {
	Authorities   []string
	ConnectionIDs []string
}

// Catalog is the offering with its plans, all of them valid.
type Catalog struct {
	offering  Offering
	plans     []Plan
	provision *schema
	update    *schema
	bind      *schema
}

// New checks the configuration and tells everything that is wrong with it at
// once, each line naming the plan and the field.
func New(offering Offering, plans []Plan) (*Catalog, error) {
	c := &Catalog{offering: offering}
	for _, plan := range plans {
		c.plans = append(c.plans, plan.withDefaults())
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	for i := range c.plans {
		c.plans[i].policy = c.plans[i].hash()
	}

	var err error
	if c.provision, err = newSchema("provision", provisionDocument()); err != nil {
		return nil, err
	}
	if c.update, err = newSchema("update", updateDocument()); err != nil {
		return nil, err
	}
	if c.bind, err = newSchema("bind", bindDocument()); err != nil {
		return nil, err
	}
	return c, nil
}

func (p Plan) withDefaults() Plan {
	if p.ConnectionTemplate == "" {
		p.ConnectionTemplate = DefaultConnectionTemplate
	}
	if p.TokenLifetime == 0 {
		p.TokenLifetime = DefaultTokenLifetime
	}
	return p
}

// OfferingID is the service id that every request must name.
func (c *Catalog) OfferingID() string { return c.offering.ID }

// Plan finds a plan by its id.
func (c *Catalog) Plan(id identity.PlanID) (Plan, bool) {
	for _, plan := range c.plans {
		if plan.ID == id {
			return plan, true
		}
	}
	return Plan{}, false
}

// PlanNames lists the plans, for sentences that say what there is.
func (c *Catalog) PlanNames() []string {
	names := make([]string, len(c.plans))
	for i, plan := range c.plans {
		names[i] = plan.Name
	}
	return names
}

// Services is the catalog as the platform reads it. It never says "shareable":
// an instance is a ceiling of rights in its own space.
func (c *Catalog) Services() []domain.Service {
	service := domain.Service{
		ID:                   c.offering.ID,
		Name:                 OfferingName,
		Description:          "Workload identities: a scoped UAA client, registered in the team's Airflow as a connection",
		Bindable:             true,
		InstancesRetrievable: true,
		BindingsRetrievable:  true,
		PlanUpdatable:        false,
		AllowContextUpdates:  false,
		Tags:                 []string{"airflow", "uaa", "oauth2", "identity"},
		Metadata: &domain.ServiceMetadata{
			DisplayName: "Airflow Identity",
			LongDescription: "Every binding is an identity of its own: a UAA client with just the authorities it was given, " +
				"registered in Airflow as an HTTP connection from which a DAG fetches its tokens, and gone whole after unbind.",
		},
	}
	for _, plan := range c.plans {
		service.Plans = append(service.Plans, c.offered(plan))
	}
	return []domain.Service{service}
}

func (c *Catalog) offered(plan Plan) domain.ServicePlan {
	no, yes := false, true
	return domain.ServicePlan{
		ID:            string(plan.ID),
		Name:          plan.Name,
		Description:   plan.Description,
		Free:          &yes,
		Bindable:      &yes,
		PlanUpdatable: &no,
		Metadata: &domain.ServicePlanMetadata{
			DisplayName: plan.Name,
			Bullets: []string{
				"Environment " + string(plan.Environment),
				fmt.Sprintf("Access tokens live %g minutes", plan.TokenLifetime.Minutes()),
			},
		},
		// All three, always: brokerapi writes "parameters": null for one that
		// is missing, which some platforms reject.
		Schemas: &domain.ServiceSchemas{
			Instance: domain.ServiceInstanceSchema{
				Create: domain.Schema{Parameters: c.provision.published()},
				Update: domain.Schema{Parameters: c.update.published()},
			},
			Binding: domain.ServiceBindingSchema{
				Create: domain.Schema{Parameters: c.bind.published()},
			},
		},
	}
}
