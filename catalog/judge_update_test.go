package catalog

import (
	"cmp"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
)

// smaller is a plan of the same environment that gives less.
func smaller() Plan {
	plan := prod()
	plan.ID, plan.Name = "6a4e0000-0000-4000-8000-000000000002", "small"
	plan.Allow.Authorities = []string{"orders.read", "orders.list"}
	plan.DefaultAuthorities = []identity.Authority{"orders.list"}
	plan.Rotation = Rotation{Period: 8 * time.Hour, Minimum: 6 * time.Hour, Maximum: 12 * time.Hour}
	return plan
}

func TestJudgingAnUpdate(t *testing.T) {
	t.Parallel()

	c := newCatalog(t, prod(), smaller())
	large, _ := c.Plan(prod().ID)
	small, _ := c.Plan(smaller().ID)
	elsewhere := prod()
	elsewhere.Environment = "dev"
	elsewhere.ID = "elsewhere"
	elsewhere = checked(t, elsewhere)

	asked := func(granted ...identity.Authority) identity.Held {
		return identity.Held{Identity: "asked", Asked: authorities("orders.read", "orders.write"), Granted: granted}
	}
	silent := func(granted ...identity.Authority) identity.Held {
		return identity.Held{Identity: "silent", Granted: granted}
	}
	rows := []struct {
		name       string
		plan       Plan
		had        string // the instance's parameters
		ceiling    []identity.Authority
		period     time.Duration
		parameters string
		held       []identity.Held

		want       map[identity.ID][]identity.Authority
		ceilingNow []identity.Authority
		periodNow  time.Duration
		now        string // the parameters
		rules      []string
		message    string
	}{
		{name: "nothing at all", plan: large, had: `{"rotation_period":"2h"}`, period: 2 * time.Hour,
			held: []identity.Held{asked("orders.read"), silent("billing.read")},
			want: map[identity.ID][]identity.Authority{"asked": {"orders.read"}, "silent": {"billing.read"}}, periodNow: 2 * time.Hour, now: `{"rotation_period":"2h"}`},
		{name: "what Cloud Controller sends with a rename", plan: large, had: `{"authorities":["orders.read"]}`, ceiling: authorities("orders.read"), parameters: `{}`,
			held: []identity.Held{silent("orders.read")},
			want: map[identity.ID][]identity.Authority{"silent": {"orders.read"}}, ceilingNow: authorities("orders.read"), now: `{"authorities":["orders.read"]}`},
		{name: "a period leaves every list alone, also one of another day", plan: large, parameters: `{"rotation_period":"3h"}`,
			held: []identity.Held{asked("billing.read"), silent("orders.list")},
			want: map[identity.ID][]identity.Authority{"asked": {"billing.read"}, "silent": {"orders.list"}}, periodNow: 3 * time.Hour, now: `{"rotation_period":"3h"}`},
		{name: "a first list narrows", plan: large, parameters: `{"authorities":["orders.read"]}`,
			held: []identity.Held{asked("orders.read", "orders.write"), silent("orders.read")},
			want: map[identity.ID][]identity.Authority{"asked": {"orders.read"}, "silent": {"orders.read"}}, ceilingNow: authorities("orders.read"), now: `{"authorities":["orders.read"]}`},
		{name: "to nothing if need be", plan: large, parameters: `{"authorities":["orders.list"]}`, had: `{"rotation_period":"2h"}`, period: 2 * time.Hour,
			held: []identity.Held{asked("orders.read", "orders.write")},
			want: map[identity.ID][]identity.Authority{"asked": {}}, ceilingNow: authorities("orders.list"), periodNow: 2 * time.Hour, now: `{"authorities":["orders.list"],"rotation_period":"2h"}`},
		{name: "a wider list gives back nothing that was asked", plan: large, ceiling: authorities("orders.read"), had: `{"authorities":["orders.read"]}`, parameters: `{"authorities":["orders.write","orders.read"]}`,
			held: []identity.Held{asked("orders.read"), silent("orders.read")},
			want: map[identity.ID][]identity.Authority{"asked": {"orders.read"}, "silent": {"orders.read", "orders.write"}}, ceilingNow: authorities("orders.read", "orders.write"), now: `{"authorities":["orders.read","orders.write"]}`},
		{name: "a list beyond the plan", plan: large, parameters: `{"authorities":["orders.read","billing.read"]}`, rules: []string{RulePlanAuthorities}, message: `"billing.read": beyond what plan prod allows here (orders.*, acme.dev.*)`},
		{name: "a list that nobody gets", plan: large, parameters: `{"authorities":["uaa.admin"]}`, rules: []string{RuleNeverGrant}},
		{name: "a bad period", plan: large, parameters: `{"rotation_period":"25h"}`, rules: []string{RulePlanRotation}, message: "plan prod allows 1h to 24h"},
		{name: "a role", plan: large, parameters: `{"roles":["space_auditor"]}`, rules: []string{RulePlanRoles}},
		{name: "everything at once", plan: large, parameters: `{"roles":["space_auditor"],"rotation_period":"1s","authorities":["scim.read","billing.read"]}`,
			rules: []string{RuleNeverGrant, RulePlanAuthorities, RulePlanRotation, RulePlanRoles}},

		{name: "another environment", plan: elsewhere, parameters: `{"authorities":["uaa.admin"]}`, rules: []string{RulePlanEnvironment},
			message: "plan prod is of environment dev, and this instance stays in environment prod for good"},
		{name: "another plan, with what it allows", plan: small, held: []identity.Held{asked("orders.read"), silent("orders.read")},
			want: map[identity.ID][]identity.Authority{"asked": {"orders.read"}, "silent": {"orders.list"}}, now: `{}`},
		{name: "another plan, beyond what it allows", plan: small, parameters: `{}`, held: []identity.Held{asked("orders.read", "orders.write"), silent("orders.read")},
			rules: []string{RulePlanAuthorities}, message: `"orders.write": beyond what plan small allows here (orders.read, orders.list); this instance, or a binding of it, holds that: send authorities with the same update`},
		{name: "another plan, narrowed on the way", plan: small, parameters: `{"authorities":["orders.read"]}`, held: []identity.Held{asked("orders.read", "orders.write"), silent("orders.read")},
			want: map[identity.ID][]identity.Authority{"asked": {"orders.read"}, "silent": {"orders.read"}}, ceilingNow: authorities("orders.read"), now: `{"authorities":["orders.read"]}`},
		{name: "another plan, and the instance's list beyond it", plan: small, ceiling: authorities("orders.read", "orders.write"), had: `{"authorities":["orders.read","orders.write"]}`,
			rules: []string{RulePlanAuthorities}, message: `"orders.write"`},
		{name: "another plan, and the instance's list within it", plan: small, ceiling: authorities("orders.read"), had: `{"authorities":["orders.read"]}`,
			held: []identity.Held{asked("orders.read", "orders.write"), silent("orders.read")},
			want: map[identity.ID][]identity.Authority{"asked": {"orders.read"}, "silent": {"orders.read"}}, ceilingNow: authorities("orders.read"), now: `{"authorities":["orders.read"]}`},
		{name: "another plan, and the instance's period beyond it", plan: small, period: 2 * time.Hour, had: `{"rotation_period":"2h"}`,
			rules: []string{RulePlanRotation}, message: "rotation_period 2h: plan small allows 6h to 12h"},
		{name: "another plan with a period of its own", plan: small, period: 2 * time.Hour, had: `{"rotation_period":"2h"}`, parameters: `{"rotation_period":"6h"}`,
			periodNow: 6 * time.Hour, now: `{"rotation_period":"6h"}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			instance := instanceAt(acmeDev(), large)
			instance.Ceiling, instance.RotationPeriod, instance.Parameters = row.ceiling, row.period, []byte(row.had)
			parameters, err := c.ParseUpdate(json.RawMessage(row.parameters))
			if err != nil {
				t.Fatal(err)
			}
			revision, err := row.plan.JudgeUpdate(instance, parameters, row.held)
			if row.rules != nil {
				var refused *NotAllowedError
				if !errors.As(err, &refused) || !slices.Equal(refused.Rules(), row.rules) || !strings.Contains(err.Error(), row.message) {
					t.Errorf("got %v, want rules %v: %s", err, row.rules, row.message)
				}
				if !reflect.DeepEqual(revision, identity.Revision{}) {
					t.Errorf("a part of a refused update came out: %+v", revision)
				}
				return
			}
			if row.want == nil {
				row.want = map[identity.ID][]identity.Authority{}
			}
			want := identity.Revision{Plan: row.plan.ID, Parameters: []byte(row.now), Ceiling: row.ceilingNow, RotationPeriod: row.periodNow, Lists: row.want}
			period := cmp.Or(row.periodNow, row.plan.Rotation.Period)
			want.Period, want.Soak = period, period/2
			if err != nil || !reflect.DeepEqual(revision, want) {
				t.Errorf("got %+v, %v\nwant %+v", revision, err, want)
			}
		})
	}
}

func TestAnUpdateIsJudgedByTheNamesOfNow(t *testing.T) {
	t.Parallel()
	plan := checked(t, prod())
	instance := instanceAt(acmeDev(), plan)
	instance.Names.Space = "renamed"
	parameters := func(a identity.Authority) UpdateParameters {
		return UpdateParameters{InstanceParameters: InstanceParameters{Authorities: authorities(a)}}
	}
	if _, err := plan.JudgeUpdate(instance, parameters("acme.dev.read"), nil); err == nil {
		t.Error("a name of before was used")
	}
	if _, err := plan.JudgeUpdate(instance, parameters("acme.renamed.read"), nil); err != nil {
		t.Errorf("the name of now was not used: %v", err)
	}
}

func TestARowThatCannotBeReadIsNotUpdated(t *testing.T) {
	t.Parallel()
	plan := checked(t, prod())
	instance := instanceAt(acmeDev(), plan)
	instance.Parameters = []byte("[")
	if _, err := plan.JudgeUpdate(instance, UpdateParameters{}, nil); err == nil {
		t.Error("parameters that could not be read were replaced")
	}
}

// Whatever is updated, and how often: what an identity asked for is never
// exceeded, one that asked holds no more than before, nothing goes beyond the
// instance's list or the plan's, and the last update leaves nothing to do.
func TestNoUpdateWidensWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(13, 17))
	all := authorities("orders.list", "orders.read", "orders.write", "acme.dev.read", "billing.read", "uaa.admin")
	some := func() []identity.Authority {
		var list []identity.Authority
		for _, a := range all[:3+random.IntN(4)] {
			if random.IntN(2) == 0 {
				list = append(list, a)
			}
		}
		return asSet(list)
	}
	c := newCatalog(t, prod(), smaller())
	plans := c.plans

	carried := 0
	for range 1500 {
		instance := instanceAt(acmeDev(), plans[0])
		held := []identity.Held{{Identity: "silent", Granted: plans[0].DefaultAuthorities}}
		if asked := some(); len(asked) > 0 {
			held = append(held, identity.Held{Identity: "asked", Asked: asked, Granted: asked})
		}
		for range 4 {
			plan := plans[random.IntN(2)]
			var parameters UpdateParameters
			if random.IntN(3) > 0 {
				parameters.Authorities = some()
			}
			revision, err := plan.JudgeUpdate(instance, parameters, held)
			if err != nil {
				continue
			}
			carried++
			relisted := plan.ID != instance.Plan || parameters.Authorities != nil
			for i, h := range held {
				list, ok := revision.Lists[h.Identity]
				if !ok {
					t.Fatalf("%s is not in %v", h.Identity, revision.Lists)
				}
				for _, a := range list {
					switch {
					case h.Asked != nil && (!slices.Contains(h.Asked, a) || !slices.Contains(h.Granted, a)):
						t.Fatalf("%s got %s, which it asked for in %v and held in %v", h.Identity, a, h.Asked, h.Granted)
					case relisted && revision.Ceiling != nil && !slices.Contains(revision.Ceiling, a):
						t.Fatalf("%s holds %s, beyond %v", h.Identity, a, revision.Ceiling)
					case relisted && (neverGrant(string(a)) || !plan.allows(a, plan.valuesAt(acmeDev()))):
						t.Fatalf("%s holds %s, beyond plan %s", h.Identity, a, plan.Name)
					}
				}
				held[i].Granted = list
			}
			instance.Plan, instance.Ceiling, instance.Parameters = revision.Plan, revision.Ceiling, revision.Parameters
			again, err := plan.JudgeUpdate(instance, parameters, held)
			if err != nil || !reflect.DeepEqual(again.Lists, revision.Lists) {
				t.Fatalf("the same update again: %+v, %v, after %+v", again, err, revision)
			}
		}
	}
	if carried < 500 {
		t.Errorf("only %d updates were looked at", carried)
	}
}
