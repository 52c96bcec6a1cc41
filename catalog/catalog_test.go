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
		{"token life: negative", func(p *Plan) { p.TokenLifetime.Default = -time.Minute }, []string{"plan prod: token_lifetime.default:"}},
		{"token life: in fractions", func(p *Plan) { p.TokenLifetime.Maximum = 1500 * time.Millisecond }, []string{"plan prod: token_lifetime.maximum:"}},
		{"token life: a default beyond the maximum", func(p *Plan) { p.TokenLifetime.Default = 31 * time.Minute }, []string{"plan prod: token_lifetime.default: 31m is more than the maximum, 30m"}},
		{"token life: longer than a soak", func(p *Plan) { p.TokenLifetime.Maximum = 31 * time.Minute }, []string{"plan prod: token_lifetime.maximum: 31m is more than the soak", "30m"}},
		{"rotation: negative", func(p *Plan) { p.Rotation.Period = -time.Hour }, []string{"plan prod: rotation.period:"}},
		{"rotation: in fractions", func(p *Plan) { p.Rotation.Minimum += time.Millisecond }, []string{"plan prod: rotation.minimum:"}},
		{"rotation: less than the minimum", func(p *Plan) { p.Rotation.Period = 59 * time.Minute }, []string{"plan prod: rotation.period: 59m is not within", "1h and 24h"}},
		{"rotation: more than the maximum", func(p *Plan) { p.Rotation.Maximum = 3 * time.Hour }, []string{"plan prod: rotation.period: 4h is not within"}},
		{"app client: negative", func(p *Plan) { p.AppClient.Maximum = -1 }, []string{"plan prod: app_client.maximum:"}},
		{"polling: negative", func(p *Plan) { p.MaximumPollingDuration = -time.Second }, []string{"plan prod: maximum_polling_duration:"}},
		{"polling: more than a week", func(p *Plan) { p.MaximumPollingDuration = 169 * time.Hour }, []string{"plan prod: maximum_polling_duration: 169h is more than", "168h"}},
		{"quota: negative instances", func(p *Plan) { p.Quota.InstancesPerSpace = -1 }, []string{"plan prod: quota.instances_per_space:"}},
		{"quota: negative bindings", func(p *Plan) { p.Quota.BindingsPerInstance = -1 }, []string{"plan prod: quota.bindings_per_instance:"}},

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
	if _, err := plan.JudgeProvision(acmeDev(), InstanceParameters{Authorities: authorities("orders.read")}); err == nil {
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
	if !said.Bindable || !said.InstancesRetrievable || !said.BindingsRetrievable || !said.AllowContextUpdates {
		t.Errorf("got bindable %v, instances_retrievable %v, bindings_retrievable %v, allow_context_updates %v; want all true",
			said.Bindable, said.InstancesRetrievable, said.BindingsRetrievable, said.AllowContextUpdates)
	}
	if said.PlanUpdateable == nil || !*said.PlanUpdateable || said.Plans[0].PlanUpdateable == nil || !*said.Plans[0].PlanUpdateable {
		t.Error("plan_updateable must be said, and be true, of the offering and of the plan")
	}
	if got := said.Plans[0].MaximumPollingDuration; got != 600 {
		t.Errorf("got maximum_polling_duration %d, want 600 seconds", got)
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
	ID                     string `json:"id"`
	Free                   *bool  `json:"free"`
	PlanUpdateable         *bool  `json:"plan_updateable"`
	MaximumPollingDuration int    `json:"maximum_polling_duration"`
	Schemas                domain.ServiceSchemas
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
		"provision": {schemas.Instance.Create.Parameters, c.provision, []string{"authorities", "roles", "rotation_period"}},
		"update":    {schemas.Instance.Update.Parameters, c.update, []string{"authorities", "roles", "rotation_period"}},
		"bind": {schemas.Binding.Create.Parameters, c.bind,
			[]string{"airflow", "app_client", "authorities", "connection_id", "expires_in", "roles", "token_lifetime"}},
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
	if !ok || plan.Name != "prod" || plan.ConnectionTemplate != "{{org}}_{{instance}}" || plan.MaximumPollingDuration != 10*time.Minute {
		t.Errorf("got %+v, %v, want prod with its defaults filled in", plan, ok)
	}
	if _, ok := c.Plan("unknown"); ok {
		t.Error("a plan was found that is not there")
	}
	if c.OfferingID() != offering.ID || !slices.Equal(c.PlanNames(), []string{"prod"}) {
		t.Errorf("got offering %s, plans %v", c.OfferingID(), c.PlanNames())
	}
}

func TestTermsThatAreNotConfigured(t *testing.T) {
	t.Parallel()

	const h, m = time.Hour, time.Minute
	rows := []struct {
		name     string
		tokens   TokenLifetime
		rotation Rotation
		client   AppClient

		wantTokens   TokenLifetime
		wantRotation Rotation
		wantClient   AppClient
	}{
		{"nothing", TokenLifetime{}, Rotation{}, AppClient{},
			TokenLifetime{10 * m, 10 * m}, Rotation{4 * h, h, 24 * h, 0}, AppClient{}},
		{"allowed, no more", TokenLifetime{}, Rotation{}, AppClient{Allowed: true},
			TokenLifetime{10 * m, 10 * m}, Rotation{4 * h, h, 24 * h, 0}, AppClient{true, 720 * h}},
		{"a default", TokenLifetime{Default: 20 * m}, Rotation{Period: 8 * h}, AppClient{true, h},
			TokenLifetime{20 * m, 20 * m}, Rotation{8 * h, h, 24 * h, 0}, AppClient{true, h}},
		{"a small maximum", TokenLifetime{Maximum: 5 * m}, Rotation{Maximum: 2 * h}, AppClient{},
			TokenLifetime{5 * m, 5 * m}, Rotation{2 * h, h, 2 * h, 0}, AppClient{}},
		{"a large maximum", TokenLifetime{Maximum: 30 * m}, Rotation{Maximum: 48 * h}, AppClient{},
			TokenLifetime{10 * m, 30 * m}, Rotation{4 * h, h, 48 * h, 0}, AppClient{}},
		{"a large minimum", TokenLifetime{}, Rotation{Minimum: 36 * h}, AppClient{},
			TokenLifetime{10 * m, 10 * m}, Rotation{36 * h, 36 * h, 36 * h, 0}, AppClient{}},
		{"a small period", TokenLifetime{}, Rotation{Period: 30 * m}, AppClient{},
			TokenLifetime{10 * m, 10 * m}, Rotation{30 * m, 30 * m, 24 * h, 0}, AppClient{}},
		{"a large period", TokenLifetime{}, Rotation{Period: 72 * h}, AppClient{},
			TokenLifetime{10 * m, 10 * m}, Rotation{72 * h, h, 72 * h, 0}, AppClient{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			plan := prod()
			plan.TokenLifetime, plan.Rotation, plan.AppClient = row.tokens, row.rotation, row.client
			plan = checked(t, plan)
			if plan.TokenLifetime != row.wantTokens || plan.Rotation != row.wantRotation || plan.AppClient != row.wantClient {
				t.Errorf("got %v, %v, %v, want %v, %v, %v", plan.TokenLifetime, plan.Rotation, plan.AppClient, row.wantTokens, row.wantRotation, row.wantClient)
			}
		})
	}
}

func TestTheMarketplaceTellsWhatAPlanGives(t *testing.T) {
	t.Parallel()
	bullets := func(change func(*Plan)) string {
		plan := prod()
		change(&plan)
		return strings.Join(newCatalog(t, plan).Services()[0].Plans[0].Metadata.Bullets, "; ")
	}
	for want, change := range map[string]func(*Plan){
		"Environment prod; Access tokens live 10m, up to 30m if asked for; Clients of an app's own live up to 720h": func(*Plan) {},
		"Environment prod; Access tokens live 30m; No clients of an app's own; Retired: nothing new is made of it": func(p *Plan) {
			p.TokenLifetime.Default, p.AppClient.Allowed, p.Retired = p.TokenLifetime.Maximum, false, true
		},
	} {
		if got := bullets(change); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestThePeriodOfAnInstance(t *testing.T) {
	t.Parallel()
	plan := checked(t, prod())
	if got := plan.PeriodOf(identity.Instance{}); got != 4*time.Hour {
		t.Errorf("got %s, want the plan's", got)
	}
	if got := plan.PeriodOf(identity.Instance{RotationPeriod: time.Hour}); got != time.Hour {
		t.Errorf("got %s, want the one that was asked for", got)
	}
}

func TestDurationsAreSaidShortly(t *testing.T) {
	t.Parallel()
	for duration, want := range map[time.Duration]string{
		4 * time.Hour: "4h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 40 * time.Second: "40s", 0: "0s",
		720 * time.Hour: "720h", time.Hour + 10*time.Second: "1h0m10s", 100 * time.Minute: "1h40m", time.Hour + 20*time.Minute + 30*time.Second: "1h20m30s",
	} {
		if got := Duration(duration).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
