package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
)

func authorities(list ...identity.Authority) []identity.Authority { return list }

func TestNobodyEverGets(t *testing.T) {
	t.Parallel()

	never := []string{
		"uaa.admin", "uaa.none", "uaa.resource", "uaa.user", "clients.admin", "clients.read", "clients.write", "clients.secret", "scim.read", "scim.write",
		"scim.invite", "idps.write", "sps.read", "zones.uaa.admin", "zones.acme.clients.admin", "oauth.login", "oauth.someone.login", "password.write",
		"groups.update", "tokens.revoke", "tokens.list", "cloud_controller.admin", "cloud_controller.admin_read_only",
		"cloud_controller.admin.anything", "cloud_controller.update_build_state", "network.admin", "routing.router_groups.write",
		"credhub.read", "credhub.write", "bosh.admin", "bosh.director.read",
		"UAA.admin", "Uaa.Admin", "CLOUD_CONTROLLER.ADMIN", "password.WRITE",
	}
	for _, a := range never {
		if !neverGrant(a) {
			t.Errorf("%s can be granted", a)
		}
	}
	for _, a := range []string{
		"orders.read", "uaaa.read", "my.uaa.admin", "clientsx.read", "cloud_controller.read", "cloud_controller.write", "cloud_controller.global_auditor",
		"network.write", "password.writer", "groups.updates", "routing.routes.read", "oauth.approvals", "openid.x", "doppler.firehose",
	} {
		if neverGrant(a) {
			t.Errorf("%s cannot be granted", a)
		}
	}
}

func TestTheFixedListBeatsAnyPlan(t *testing.T) {
	t.Parallel()

	plan := prod()
	plan.DefaultAuthorities = nil
	plan.Allow.Authorities = []string{"cloud_controller.*", "{{org}}.*"}
	plan = checked(t, plan)

	place := acmeDev()
	for _, org := range []string{"uaa", "clients", "scim", "credhub", "bosh", "zones", "tokens"} {
		place.Names.Org = org
		_, err := plan.JudgeProvision(place, InstanceParameters{Authorities: authorities(identity.Authority(org+".admin"), "cloud_controller.admin", "cloud_controller.read")})
		var refused *NotAllowedError
		if !errors.As(err, &refused) || !slices.Equal(refused.Rules(), []string{RuleNeverGrant}) {
			t.Errorf("an org called %s: got %v, want %s", org, err, RuleNeverGrant)
		}
	}
}

func TestPatternsOfAuthorities(t *testing.T) {
	t.Parallel()

	odd := acmeDev()
	odd.Names = identity.Names{Org: "Acme Corp", Space: "dev.eu", Instance: ""}
	rows := []struct {
		pattern string
		place   Place
		allowed []string
		refused []string
	}{
		{"orders.read", acmeDev(), []string{"orders.read"}, []string{"orders.write", "orders.read.all", "orders.rea", "orders.readx"}},
		{"orders.*", acmeDev(), []string{"orders.read", "orders.read.all", "orders.a.b.c"}, []string{"ordersx.read", "order.read", "x.orders.read"}},
		{"orders.eu.*", acmeDev(), []string{"orders.eu.read"}, []string{"orders.eu", "orders.us.read", "orders.eux.read"}},
		{"{{environment}}.*", acmeDev(), []string{"prod.read"}, []string{"dev.read", "environment.read"}},
		{"{{environment}}.orders.read", acmeDev(), []string{"prod.orders.read"}, []string{"prod.orders.write"}},
		{"{{org}}.*", acmeDev(), []string{"acme.read"}, []string{"acmee.read", "acm.read", "org.read"}},
		{"{{org}}.{{space}}.*", acmeDev(), []string{"acme.dev.read", "acme.dev.a.b"}, []string{"acme.prod.read", "acme.dev", "dev.acme.read", "acme.devx.read"}},
		{"{{org}}.apps.{{space}}.{{instance}}", acmeDev(), []string{"acme.apps.dev.orders"}, []string{"acme.apps.dev.other", "acme.apps.dev.orders.x"}},
		{"{{org_guid}}.*", acmeDev(), []string{"11111111-aaaa-4000-8000-000000000000.read"}, []string{"11111111.read", "acme.read"}},
		{"x.{{space_guid}}.*", acmeDev(), []string{"x.22222222-bbbb-4000-8000-000000000000.read"}, []string{"x.dev.read"}},
		{"{{org}}.*", odd, nil, []string{"acme_corp.read", "acme.read", "acme-corp.read"}},
		{"x.{{org}}.{{space}}.*", odd, nil, []string{"x.acme.dev.eu.read"}},
		{"{{org}}.*", Place{}, nil, []string{"acme.read", "x.read"}},
		{"{{org}}.{{space}}.{{instance}}.*", Place{Names: identity.Names{Org: "acme", Space: "dev"}}, nil, []string{"acme.dev.x.read"}},
	}
	for _, row := range rows {
		t.Run(row.pattern, func(t *testing.T) {
			t.Parallel()
			plan := prod()
			plan.DefaultAuthorities = nil
			plan.Allow.Authorities = []string{row.pattern}
			plan = checked(t, plan)
			for _, a := range row.allowed {
				if ceiling, err := plan.JudgeProvision(row.place, InstanceParameters{Authorities: authorities(identity.Authority(a))}); err != nil || len(ceiling) != 1 {
					t.Errorf("%s: got %v, %v, want it allowed", a, ceiling, err)
				}
			}
			for _, a := range row.refused {
				_, err := plan.JudgeProvision(row.place, InstanceParameters{Authorities: authorities(identity.Authority(a))})
				var refused *NotAllowedError
				if !errors.As(err, &refused) || !slices.Equal(refused.Rules(), []string{RulePlanAuthorities}) {
					t.Errorf("%s: got %v, want %s", a, err, RulePlanAuthorities)
				}
			}
		})
	}
}

func TestJudgingAProvision(t *testing.T) {
	t.Parallel()
	plan := checked(t, prod())

	if ceiling, err := plan.JudgeProvision(acmeDev(), InstanceParameters{}); err != nil || ceiling != nil {
		t.Errorf("nothing asked: got %v, %v, want no ceiling", ceiling, err)
	}
	ceiling, err := plan.JudgeProvision(acmeDev(), InstanceParameters{Authorities: authorities("orders.write", "acme.dev.read")})
	if err != nil || !slices.Equal(ceiling, authorities("acme.dev.read", "orders.write")) {
		t.Errorf("got %v, %v, want both, sorted", ceiling, err)
	}
	ceiling, err = plan.JudgeProvision(acmeDev(), InstanceParameters{Authorities: authorities("orders.read", "billing.read", "uaa.admin", "acme.prod.read")})
	if ceiling != nil {
		t.Errorf("a part of a refused request was granted: %v", ceiling)
	}
	want := `not allowed: "uaa.admin": never granted, by any plan (rule never-grant); ` +
		`"acme.prod.read", "billing.read": beyond what plan prod allows here (orders.*, acme.dev.*) (rule plan-authorities)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestJudgingABind(t *testing.T) {
	t.Parallel()
	plan := checked(t, prod())
	bare := prod()
	bare.DefaultAuthorities = nil
	bare = checked(t, bare)

	rows := []struct {
		name    string
		plan    Plan
		ceiling []identity.Authority
		asked   BindParameters
		grant   []identity.Authority
		rules   []string // of a NotAllowedError
		message string   // part of any error
	}{
		{name: "asked", plan: plan, asked: BindParameters{Authorities: authorities("orders.write", "acme.dev.read")}, grant: authorities("acme.dev.read", "orders.write")},
		{name: "the plan's default", plan: plan, grant: authorities("orders.read")},
		{name: "the instance's list", plan: plan, ceiling: authorities("orders.write", "orders.list"), grant: authorities("orders.list", "orders.write")},
		{name: "asked within the instance's list", plan: plan, ceiling: authorities("orders.write", "orders.list"), asked: BindParameters{Authorities: authorities("orders.list")}, grant: authorities("orders.list")},
		{name: "nothing at all", plan: bare, message: "authorities is missing, and neither this instance nor plan prod has a default: ask for some of orders.*, acme.dev.*"},
		{name: "beyond the instance's list", plan: plan, ceiling: authorities("orders.list"), asked: BindParameters{Authorities: authorities("orders.list", "orders.read")},
			rules: []string{RuleInstanceAuthorities}, message: `"orders.read": beyond what this instance may hold (orders.list)`},
		{name: "beyond the plan's list", plan: plan, asked: BindParameters{Authorities: authorities("orders.list", "billing.read")}, rules: []string{RulePlanAuthorities}, message: `"billing.read"`},
		{name: "beyond both", plan: plan, ceiling: authorities("orders.list"), asked: BindParameters{Authorities: authorities("billing.read")}, rules: []string{RuleInstanceAuthorities, RulePlanAuthorities}},
		{name: "a ceiling that the plan of today would not give", plan: plan, ceiling: authorities("billing.read"), rules: []string{RulePlanAuthorities}},
		{name: "never", plan: plan, asked: BindParameters{Authorities: authorities("orders.read", "uaa.admin")}, rules: []string{RuleNeverGrant}, message: `"uaa.admin": never granted`},
		{name: "everything at once", plan: plan, ceiling: authorities("orders.list"), asked: BindParameters{Authorities: authorities("uaa.admin", "billing.read"), ConnectionID: "other_x"},
			rules: []string{RuleNeverGrant, RuleInstanceAuthorities, RulePlanAuthorities, RulePlanConnectionIDs}},
		{name: "two in one string, had the schema let it pass", plan: plan, asked: BindParameters{Authorities: authorities("orders.read,uaa.admin")}, rules: []string{RuleAuthorityGrammar}},
		{name: "a chosen id", plan: plan, asked: BindParameters{ConnectionID: "acme_special"}, grant: authorities("orders.read")},
		{name: "a chosen id that is not allowed", plan: plan, asked: BindParameters{ConnectionID: "other_x"}, rules: []string{RulePlanConnectionIDs},
			message: `connection_id "other_x" is not among those that plan prod lets you choose (acme_*, shared_*)`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			instance := instanceAt(acmeDev(), row.plan)
			instance.Ceiling = row.ceiling
			grant, err := row.plan.JudgeBind(instance, row.asked, false)
			if row.grant != nil {
				if err != nil || !slices.Equal(grant.Authorities, row.grant) {
					t.Fatalf("got %v, %v, want %v", grant.Authorities, err, row.grant)
				}
				if (grant.Asked == nil) != (row.asked.Authorities == nil) || !grant.Airflow || grant.AppClient || grant.ExpiresIn != 0 || grant.TokenLifetime != 10*time.Minute {
					t.Errorf("got %+v, want what was asked to be kept, and a connection", grant)
				}
				return
			}
			if err == nil || grant.Authorities != nil || grant.Asked != nil {
				t.Fatalf("got %+v, %v, want a refusal of the whole", grant, err)
			}
			var refused *NotAllowedError
			if errors.As(err, &refused) != (row.rules != nil) || refused != nil && !slices.Equal(refused.Rules(), row.rules) {
				t.Errorf("got %v, want rules %v", err, row.rules)
			}
			if !strings.Contains(err.Error(), row.message) {
				t.Errorf("got %v, want it to say %q", err, row.message)
			}
		})
	}
}

func TestJudgingWhatABindAsksForBeside(t *testing.T) {
	t.Parallel()
	plan := checked(t, prod())
	without := prod()
	without.AppClient = AppClient{}
	without = checked(t, without)
	no := false

	rows := []struct {
		name    string
		plan    Plan
		asked   BindParameters
		want    identity.Grant // of what is beside the authorities
		rule    string
		message string
	}{
		{name: "nothing", plan: plan, want: identity.Grant{Period: 4 * time.Hour, Soak: 2 * time.Hour, Airflow: true, TokenLifetime: 10 * time.Minute}},
		{name: "a token life", plan: plan, asked: BindParameters{TokenLifetime: Duration(30 * time.Minute)}, want: identity.Grant{Period: 4 * time.Hour, Soak: 2 * time.Hour, Airflow: true, TokenLifetime: 30 * time.Minute}},
		{name: "a shorter one", plan: plan, asked: BindParameters{TokenLifetime: Duration(time.Minute)}, want: identity.Grant{Period: 4 * time.Hour, Soak: 2 * time.Hour, Airflow: true, TokenLifetime: time.Minute}},
		{name: "a longer one", plan: plan, asked: BindParameters{TokenLifetime: Duration(31 * time.Minute)}, rule: RulePlanTokenLifetime, message: "token_lifetime 31m: plan prod allows at most 30m"},
		{name: "a client", plan: plan, asked: BindParameters{AppClient: true}, want: identity.Grant{Period: 4 * time.Hour, Soak: 2 * time.Hour, Airflow: true, AppClient: true, ExpiresIn: 720 * time.Hour, TokenLifetime: 10 * time.Minute}},
		{name: "a client for a while", plan: plan, asked: BindParameters{AppClient: true, ExpiresIn: Duration(time.Hour)}, want: identity.Grant{Period: 4 * time.Hour, Soak: 2 * time.Hour, Airflow: true, AppClient: true, ExpiresIn: time.Hour, TokenLifetime: 10 * time.Minute}},
		{name: "a client for too long", plan: plan, asked: BindParameters{AppClient: true, ExpiresIn: Duration(721 * time.Hour)}, rule: RulePlanAppClient, message: "expires_in 721h: plan prod allows at most 720h"},
		{name: "a client alone", plan: plan, asked: BindParameters{AppClient: true, Airflow: &no}, want: identity.Grant{Period: 4 * time.Hour, Soak: 2 * time.Hour, AppClient: true, ExpiresIn: 720 * time.Hour, TokenLifetime: 10 * time.Minute}},
		{name: "a client of a plan that gives none", plan: without, asked: BindParameters{AppClient: true}, rule: RulePlanAppClient, message: "app_client: plan prod gives no clients of an app's own"},
		{name: "a role", plan: plan, asked: BindParameters{Roles: []string{"space_auditor"}}, rule: RulePlanRoles, message: `roles "space_auditor": plan prod gives none, since no Cloud Controller is configured`},
		{name: "no role", plan: plan, asked: BindParameters{Roles: []string{}}, want: identity.Grant{Period: 4 * time.Hour, Soak: 2 * time.Hour, Airflow: true, TokenLifetime: 10 * time.Minute}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			grant, err := row.plan.JudgeBind(instanceAt(acmeDev(), row.plan), row.asked, false)
			if row.rule == "" {
				grant.Authorities = nil
				if err != nil || !reflect.DeepEqual(grant, row.want) {
					t.Errorf("got %+v, %v, want %+v", grant, err, row.want)
				}
				return
			}
			var refused *NotAllowedError
			if !errors.As(err, &refused) || !slices.Equal(refused.Rules(), []string{row.rule}) || !strings.Contains(err.Error(), row.message) {
				t.Errorf("got %v, want %s: %s", err, row.rule, row.message)
			}
		})
	}
}

func TestABindThatWouldHoldNothingIsToldOfEverythingElseToo(t *testing.T) {
	t.Parallel()
	bare := prod()
	bare.DefaultAuthorities = nil
	bare = checked(t, bare)
	_, err := bare.JudgeBind(instanceAt(acmeDev(), bare), BindParameters{TokenLifetime: Duration(time.Hour), ConnectionID: "other_x"}, false)
	var refused *ParametersError
	if !errors.As(err, &refused) || !slices.Equal(refused.Rules(), []string{RulePlanTokenLifetime, RulePlanConnectionIDs}) || !strings.Contains(err.Error(), "ask for some of orders.*, acme.dev.*") {
		t.Errorf("got %v, want what may be asked, and the two rules", err)
	}
}

func TestARetiredPlanGivesNothingNew(t *testing.T) {
	t.Parallel()
	plan := prod()
	plan.Retired = true
	plan = checked(t, plan)
	instance := instanceAt(acmeDev(), plan)

	_, provision := plan.JudgeProvision(acmeDev(), InstanceParameters{})
	_, bind := plan.JudgeBind(instance, BindParameters{}, false)
	instance.Plan = "another"
	_, update := plan.JudgeUpdate(instance, UpdateParameters{}, nil)
	for verb, err := range map[string]error{"provision": provision, "bind": bind, "update to it": update} {
		var refused *NotAllowedError
		if !errors.As(err, &refused) || !slices.Equal(refused.Rules(), []string{RulePlanRetired}) || !strings.Contains(err.Error(), "plan prod is retired") {
			t.Errorf("%s: got %v, want %s", verb, err, RulePlanRetired)
		}
	}

	instance.Plan = plan.ID
	if _, err := plan.JudgeUpdate(instance, UpdateParameters{InstanceParameters: InstanceParameters{Authorities: authorities("orders.read")}}, nil); err != nil {
		t.Errorf("an instance of it cannot be updated any more: %v", err)
	}
}

func TestJudgingTheRotationPeriodOfAProvision(t *testing.T) {
	t.Parallel()
	plan := checked(t, prod())
	for period, ok := range map[time.Duration]bool{0: true, time.Hour: true, 24 * time.Hour: true, 59 * time.Minute: false, 25 * time.Hour: false, time.Second: false} {
		_, err := plan.JudgeProvision(acmeDev(), InstanceParameters{RotationPeriod: Duration(period)})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "plan prod allows 1h to 24h (rule plan-rotation-period)") {
			t.Errorf("%s: got %v, want allowed: %v", period, err, ok)
		}
	}
	_, err := plan.JudgeProvision(acmeDev(), InstanceParameters{RotationPeriod: 1, Roles: []string{"space_developer"}, Authorities: authorities("uaa.admin")})
	var refused *NotAllowedError
	if !errors.As(err, &refused) || !slices.Equal(refused.Rules(), []string{RuleNeverGrant, RulePlanRoles, RulePlanRotation}) {
		t.Errorf("got %v, want all three at once", err)
	}
}

func TestARowIsJudgedByItsOwnNames(t *testing.T) {
	t.Parallel()
	plan := checked(t, prod())
	instance := instanceAt(acmeDev(), plan)
	instance.Names.Org = "other"
	if _, err := plan.JudgeBind(instance, BindParameters{Authorities: authorities("acme.dev.read")}, false); err == nil {
		t.Error("the names of another place were used")
	}
	if _, err := plan.JudgeBind(instance, BindParameters{Authorities: authorities("other.dev.read")}, false); err != nil {
		t.Errorf("the instance's own names were not used: %v", err)
	}
}

// Whatever is asked for of whatever plan, a grant is exactly what was asked, and
// every part of it is an authority, not on the fixed list, within the ceiling and
// matched by a pattern that was written without looking at this code.
func TestAGrantIsNeverMoreThanEverySieveLetsThrough(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	words := []string{"a", "b", "acme", "dev", "uaa", "admin", "read", "cloud_controller", "orders"}
	word := func() string { return words[random.IntN(len(words))] }
	authority := func() identity.Authority {
		parts := []string{word(), word()}
		for range random.IntN(3) {
			parts = append(parts, word())
		}
		return identity.Authority(strings.Join(parts, "."))
	}
	set := func() []identity.Authority {
		if random.IntN(4) == 0 {
			return nil
		}
		var list []identity.Authority
		for range 1 + random.IntN(3) {
			list = append(list, authority())
		}
		return list
	}
	place := Place{Names: identity.Names{Org: "acme", Space: "dev"}}

	granted := 0
	for range 8_000 {
		plan := prod()
		plan.DefaultAuthorities = nil
		pattern := []string{string(authority()), word() + ".*", "{{org}}.*", "{{org}}.{{space}}.*", word() + "." + word() + ".*"}[random.IntN(5)]
		plan.Allow.Authorities = []string{pattern}
		plan = plan.withDefaults()
		if problems := plan.validate(); len(problems) > 0 {
			if !strings.Contains(problems[0].Error(), "never granted") {
				t.Fatalf("pattern %s: %v", pattern, problems)
			}
			continue
		}

		instance := instanceAt(place, plan)
		instance.Ceiling = set()
		asked := set()
		grant, err := plan.JudgeBind(instance, BindParameters{Authorities: asked}, false)
		if err != nil {
			if grant.Authorities != nil {
				t.Fatalf("a refusal grants %v", grant.Authorities)
			}
			continue
		}
		granted++
		base := asked
		if base == nil {
			base = instance.Ceiling
		}
		if !slices.Equal(grant.Authorities, asSet(base)) {
			t.Fatalf("asked %v of %v, got %v", asked, instance.Ceiling, grant.Authorities)
		}
		prefix := strings.NewReplacer("{{org}}", "acme", "{{space}}", "dev").Replace(strings.TrimSuffix(pattern, "*"))
		for _, a := range grant.Authorities {
			matched := string(a) == prefix || strings.HasSuffix(pattern, "*") && strings.HasPrefix(string(a), prefix) && len(a) > len(prefix)
			if !matched || strings.HasPrefix(string(a), "uaa.") || strings.HasPrefix(string(a), "cloud_controller.admin") {
				t.Fatalf("%s was granted by %s", a, pattern)
			}
			if instance.Ceiling != nil && !slices.Contains(instance.Ceiling, a) {
				t.Fatalf("%s was granted beyond %v", a, instance.Ceiling)
			}
		}
	}
	if granted < 50 {
		t.Errorf("only %d grants were looked at", granted)
	}
}

func TestASentenceStaysShort(t *testing.T) {
	t.Parallel()
	plan := prod()
	for i := range 200 {
		plan.Allow.Authorities = append(plan.Allow.Authorities, fmt.Sprintf("api%d.*", i))
	}
	plan = checked(t, plan)
	var asked []identity.Authority
	for i := range 100 {
		asked = append(asked, identity.Authority(fmt.Sprintf("x%d.%s", i, strings.Repeat("y", 120))))
	}
	_, err := plan.JudgeProvision(acmeDev(), InstanceParameters{Authorities: asked})
	if err == nil || len(err.Error()) > 2000 || !strings.Contains(err.Error(), "and 90 more") {
		t.Errorf("got %v, want a short sentence", err)
	}
}
