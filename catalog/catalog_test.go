package catalog

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

func TestAConfigurationIsRefusedByPlanAndField(t *testing.T) {
	t.Parallel()

	rows := []struct {
		name   string
		change func(*Plan)
		want   []string
	}{
		{"no id", func(p *Plan) { p.ID = "" }, []string{"plan prod: id:"}},
		{"odd id", func(p *Plan) { p.ID = "a b" }, []string{"plan prod: id:"}},
		{"the offering's id", func(p *Plan) { p.ID = identity.PlanID(offering.ID) }, []string{"plan prod: id: is the offering's"}},
		{"no name", func(p *Plan) { p.Name = "" }, []string{"plan number 1: name:"}},
		{"a name with a space", func(p *Plan) { p.Name = "pro d" }, []string{"plan pro d: name:"}},
		{"no description", func(p *Plan) { p.Description = " " }, []string{"plan prod: description:"}},
		{"a long description", func(p *Plan) { p.Description = strings.Repeat("x", 10_001) }, []string{"plan prod: description:"}},
		{"no environment", func(p *Plan) { p.Environment = "" }, []string{"plan prod: environment:"}},
		{"an environment that is no segment", func(p *Plan) { p.Environment = "Prod" }, []string{"plan prod: environment:"}},
		{"a negative life", func(p *Plan) { p.TokenLifetime = -time.Minute }, []string{"plan prod: token_lifetime:"}},
		{"a life in fractions", func(p *Plan) { p.TokenLifetime = 1500 * time.Millisecond }, []string{"plan prod: token_lifetime:"}},

		{"prefix: capital", func(p *Plan) { p.ConnectionPrefix = "Prod_" }, []string{"plan prod: connection_prefix:"}},
		{"prefix: digit first", func(p *Plan) { p.ConnectionPrefix = "1_" }, []string{"plan prod: connection_prefix:"}},
		{"prefix: two dots", func(p *Plan) { p.ConnectionPrefix = "a.._" }, []string{"plan prod: connection_prefix:"}},
		{"prefix: too long", func(p *Plan) { p.ConnectionPrefix = strings.Repeat("a", 101) }, []string{"plan prod: connection_prefix:"}},

		{"template: unknown placeholder", func(p *Plan) { p.ConnectionTemplate = "{{orgg}}_{{instance}}" }, []string{"plan prod: connection_id:", "{{orgg}}", "{{instance}}"}},
		{"template: capital", func(p *Plan) { p.ConnectionTemplate = "A_{{instance}}" }, []string{"plan prod: connection_id:"}},
		{"template: half a brace", func(p *Plan) { p.ConnectionTemplate = "{{org}_{{instance}}" }, []string{"plan prod: connection_id:"}},

		{"authorities: one segment", func(p *Plan) { p.Allow.Authorities[0] = "orders" }, []string{"plan prod: allow.authorities[0]:", "two segments"}},
		{"authorities: all", func(p *Plan) { p.Allow.Authorities[0] = "*" }, []string{"plan prod: allow.authorities[0]:"}},
		{"authorities: star inside", func(p *Plan) { p.Allow.Authorities[1] = "a.*.b" }, []string{"plan prod: allow.authorities[1]:"}},
		{"authorities: star in a segment", func(p *Plan) { p.Allow.Authorities[0] = "orders.re*" }, []string{"plan prod: allow.authorities[0]:"}},
		{"authorities: capital", func(p *Plan) { p.Allow.Authorities[0] = "Orders.*" }, []string{"plan prod: allow.authorities[0]:"}},
		{"authorities: comma", func(p *Plan) { p.Allow.Authorities[0] = "a.b,c.d" }, []string{"plan prod: allow.authorities[0]:"}},
		{"authorities: empty", func(p *Plan) { p.Allow.Authorities[0] = "" }, []string{"plan prod: allow.authorities[0]:"}},
		{"authorities: empty segment", func(p *Plan) { p.Allow.Authorities[0] = "a..b" }, []string{"plan prod: allow.authorities[0]:"}},
		{"authorities: space alone", func(p *Plan) { p.Allow.Authorities[0] = "{{space}}.*" }, []string{"{{space}} may only stand after {{org}}"}},
		{"authorities: space before org", func(p *Plan) { p.Allow.Authorities[0] = "{{space}}.{{org}}.*" }, []string{"{{space}} may only stand after {{org}}"}},
		{"authorities: instance without space", func(p *Plan) { p.Allow.Authorities[0] = "{{org}}.{{instance}}.*" }, []string{"{{instance}} may only stand after {{space}}"}},
		{"authorities: instance alone", func(p *Plan) { p.Allow.Authorities[0] = "x.{{instance}}" }, []string{"{{instance}} may only stand after {{org}}"}},
		{"authorities: part of a segment", func(p *Plan) { p.Allow.Authorities[0] = "a-{{org}}.*" }, []string{"one placeholder"}},
		{"authorities: unknown placeholder", func(p *Plan) { p.Allow.Authorities[0] = "{{user}}.*" }, []string{"{{user}} is not a placeholder"}},
		{"authorities: never granted", func(p *Plan) { p.Allow.Authorities[0] = "uaa.*" }, []string{"plan prod: allow.authorities[0]:", "never granted"}},
		{"authorities: one that is never granted", func(p *Plan) { p.Allow.Authorities[0] = "cloud_controller.admin_read_only" }, []string{"never granted"}},

		{"connection ids: all", func(p *Plan) { p.Allow.ConnectionIDs[0] = "*" }, []string{"plan prod: allow.connection_ids[0]:"}},
		{"connection ids: star after a letter", func(p *Plan) { p.Allow.ConnectionIDs[0] = "orders*" }, []string{"plan prod: allow.connection_ids[0]:"}},
		{"connection ids: star after a placeholder", func(p *Plan) { p.Allow.ConnectionIDs[0] = "{{org}}*" }, []string{"plan prod: allow.connection_ids[0]:"}},
		{"connection ids: star inside", func(p *Plan) { p.Allow.ConnectionIDs[0] = "a_*_b" }, []string{"plan prod: allow.connection_ids[0]:"}},
		{"connection ids: space alone", func(p *Plan) { p.Allow.ConnectionIDs[0] = "{{space}}_*" }, []string{"{{space}} may only stand after {{org}}"}},
		{"connection ids: instance alone", func(p *Plan) { p.Allow.ConnectionIDs[0] = "{{instance}}" }, []string{"{{instance}} may only stand after {{org}}"}},
		{"connection ids: capital", func(p *Plan) { p.Allow.ConnectionIDs[1] = "A_*" }, []string{"plan prod: allow.connection_ids[1]:"}},
		{"connection ids: empty", func(p *Plan) { p.Allow.ConnectionIDs[0] = "" }, []string{"plan prod: allow.connection_ids[0]:"}},

		{"default: no authority", func(p *Plan) { p.DefaultAuthorities = []identity.Authority{"orders"} }, []string{"plan prod: default_authorities[0]:"}},
		{"default: not allowed", func(p *Plan) { p.DefaultAuthorities = []identity.Authority{"orders.read", "billing.read"} }, []string{"plan prod: default_authorities[1]:"}},
		{"default: allowed in one space only", func(p *Plan) { p.DefaultAuthorities = []identity.Authority{"acme.dev.read"} }, []string{"plan prod: default_authorities[0]:"}},
		{"default: never granted", func(p *Plan) {
			p.Allow.Authorities = []string{"cloud_controller.*"}
			p.DefaultAuthorities = []identity.Authority{"cloud_controller.admin"}
		}, []string{"plan prod: default_authorities[0]:", "never granted"}},
		{"default: twice", func(p *Plan) { p.DefaultAuthorities = []identity.Authority{"orders.read", "orders.read"} }, []string{"plan prod: default_authorities[1]:"}},

		{"several at once", func(p *Plan) { p.Environment, p.Description, p.ConnectionPrefix = "", "", "-" },
			[]string{"plan prod: environment:", "plan prod: description:", "plan prod: connection_prefix:"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			plan := prod()
			row.change(&plan)
			_, err := New(offering, []Plan{plan})
			if err == nil {
				t.Fatal("the plan was accepted")
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestPlansMustDiffer(t *testing.T) {
	t.Parallel()

	second := func(change func(*Plan)) []Plan {
		other := prod()
		other.ID, other.Name = "6a4e0000-0000-4000-8000-000000000002", "prod-2"
		change(&other)
		return []Plan{prod(), other}
	}
	rows := []struct {
		name     string
		offering Offering
		plans    []Plan
		want     string
	}{
		{"no offering id", Offering{}, []Plan{prod()}, "offering: id"},
		{"no plan", offering, nil, "plans: there must be at least one"},
		{"same id", offering, second(func(p *Plan) { p.ID = prod().ID }), "plan prod-2: id: plan prod has the same"},
		{"same name", offering, second(func(p *Plan) { p.Name = "prod" }), "plan prod: name: plan number 1 has the same"},
		{"one environment, two prefixes", offering, second(func(p *Plan) { p.ConnectionPrefix = "x_" }), "plan prod-2: connection_prefix: plan prod is of the same environment"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(row.offering, row.plans)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want an error with %q", err, row.want)
			}
		})
	}
	newCatalog(t, second(func(*Plan) {})...)
}

func TestAPlanThatWasNotCheckedAllowsNothing(t *testing.T) {
	t.Parallel()
	plan := prod()
	if _, err := plan.JudgeProvision(acmeDev(), []identity.Authority{"orders.read"}); err == nil {
		t.Error("a plan that did not go through New gave something away")
	}
}

func TestTheCatalogSaysWhatThePlatformNeeds(t *testing.T) {
	t.Parallel()

	services := newCatalog(t).Services()
	if len(services) != 1 || services[0].ID != offering.ID || services[0].Name != "airflow-identity" {
		t.Fatalf("got %+v, want the one offering", services)
	}
	var said struct {
		Bindable             bool            `json:"bindable"`
		InstancesRetrievable bool            `json:"instances_retrievable"`
		BindingsRetrievable  bool            `json:"bindings_retrievable"`
		PlanUpdateable       *bool           `json:"plan_updateable"`
		AllowContextUpdates  bool            `json:"allow_context_updates"`
		Tags                 []string        `json:"tags"`
		Metadata             map[string]any  `json:"metadata"`
		Plans                []domainPlan    `json:"plans"`
		Requires             json.RawMessage `json:"requires"`
		DashboardClient      json.RawMessage `json:"dashboard_client"`
	}
	marshalled, err := json.Marshal(services[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(marshalled, &said); err != nil {
		t.Fatal(err)
	}
	if !said.Bindable || !said.InstancesRetrievable || !said.BindingsRetrievable || said.AllowContextUpdates {
		t.Errorf("got bindable %v, instances_retrievable %v, bindings_retrievable %v, allow_context_updates %v; want true, true, true, false",
			said.Bindable, said.InstancesRetrievable, said.BindingsRetrievable, said.AllowContextUpdates)
	}
	if said.PlanUpdateable == nil || *said.PlanUpdateable {
		t.Error("plan_updateable must be said, and be false")
	}
	if _, shareable := said.Metadata["shareable"]; shareable {
		t.Error("the catalog speaks of sharing")
	}
	if said.Metadata["displayName"] == "" || len(said.Tags) == 0 || said.Requires != nil || said.DashboardClient != nil {
		t.Errorf("got metadata %v, tags %v, requires %s, dashboard_client %s", said.Metadata, said.Tags, said.Requires, said.DashboardClient)
	}
	if len(said.Plans) != 1 || said.Plans[0].ID != string(prod().ID) || said.Plans[0].Free == nil || !*said.Plans[0].Free {
		t.Errorf("got plans %+v, want prod, free", said.Plans)
	}
	if d := said.Plans[0].Schemas; d.Instance.Create.Parameters == nil || d.Instance.Update.Parameters == nil || d.Binding.Create.Parameters == nil {
		t.Error("a schema is missing")
	}
}

type domainPlan struct {
	ID      string `json:"id"`
	Free    *bool  `json:"free"`
	Schemas domain.ServiceSchemas
}

func TestTheSchemaThatIsPublishedIsTheOneThatIsEnforced(t *testing.T) {
	t.Parallel()

	c := newCatalog(t)
	schemas := c.Services()[0].Plans[0].Schemas
	for name, pair := range map[string]struct {
		published map[string]any
		enforced  *schema
		keys      []string
	}{
		"provision": {schemas.Instance.Create.Parameters, c.provision, []string{"authorities"}},
		"update":    {schemas.Instance.Update.Parameters, c.update, nil},
		"bind":      {schemas.Binding.Create.Parameters, c.bind, []string{"authorities", "connection_id"}},
	} {
		marshalled, err := json.Marshal(pair.published)
		if err != nil {
			t.Fatal(err)
		}
		if string(marshalled) != string(pair.enforced.document) {
			t.Errorf("%s: published\n%s\nenforced\n%s", name, marshalled, pair.enforced.document)
		}
		if len(marshalled) > 64<<10 {
			t.Errorf("%s: the schema has %d bytes, Cloud Controller takes 64 kB", name, len(marshalled))
		}
		if pair.published["$schema"] != schemaDialect || pair.published["additionalProperties"] != false {
			t.Errorf("%s: got $schema %v, additionalProperties %v", name, pair.published["$schema"], pair.published["additionalProperties"])
		}
		if strings.Contains(string(marshalled), `"$ref"`) {
			t.Errorf("%s: the schema refers to another", name)
		}
		if !slices.Equal(pair.enforced.keys, pair.keys) {
			t.Errorf("%s: got keys %v, want %v", name, pair.enforced.keys, pair.keys)
		}
	}
}

func TestAReaderOfTheCatalogCannotChangeIt(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)
	before := c.Services()
	delete(before[0].Plans[0].Schemas.Binding.Create.Parameters, "additionalProperties")
	before[0].Plans[0].Name = "changed"
	if reflect.DeepEqual(before, c.Services()) {
		t.Error("what one reader changed, the next one sees")
	}
}

func TestAPlanIsFoundByItsID(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)
	plan, ok := c.Plan(prod().ID)
	if !ok || plan.TokenLifetime != 10*time.Minute || plan.ConnectionTemplate != "{{org}}_{{instance}}" {
		t.Errorf("got %+v, %v, want prod with its defaults filled in", plan, ok)
	}
	if _, ok := c.Plan("unknown"); ok {
		t.Error("a plan was found that is not there")
	}
	if c.OfferingID() != offering.ID || !slices.Equal(c.PlanNames(), []string{"prod"}) {
		t.Errorf("got offering %s, plans %v", c.OfferingID(), c.PlanNames())
	}
}
