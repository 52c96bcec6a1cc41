package catalog

import (
	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// OfferingName is what people type after cf create-service.
const OfferingName = "airflow-identity"

// Offering is the one service of this broker.
type Offering struct {
	ID string // never changes: it is the key of everything in the platform
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
		PlanUpdatable:        true,
		AllowContextUpdates:  true,
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
	yes, polling := true, int(plan.MaximumPollingDuration.Seconds())
	return domain.ServicePlan{
		ID:            string(plan.ID),
		Name:          plan.Name,
		Description:   plan.Description,
		Free:          &yes,
		Bindable:      &yes,
		PlanUpdatable: &yes,
		// Without it Cloud Controller would poll a lost operation for a week.
		MaximumPollingDuration: &polling,
		Metadata: &domain.ServicePlanMetadata{
			DisplayName: plan.Name,
			Bullets:     plan.bullets(),
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
