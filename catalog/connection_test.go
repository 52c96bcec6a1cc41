package catalog

import (
	"math/rand/v2"
	"strings"
	"testing"

	"airflow-identity/identity"
)

func TestDefaultConnectionIDs(t *testing.T) {
	t.Parallel()

	named := func(org, space, instance string) Place {
		place := acmeDev()
		place.Names = identity.Names{Org: org, Space: space, Instance: instance}
		return place
	}
	rows := []struct {
		name, prefix, template string
		place                  Place
		want                   identity.ConnectionID
	}{
		{"plain", "", "", acmeDev(), "acme_orders"},
		{"with a prefix", "prod_", "", acmeDev(), "prod_acme_orders"},
		{"lower case", "", "", named("ACME", "Dev", "Orders"), "acme_orders"},
		{"other characters", "", "", named("acme corp/eu", "dev", "orders (new)"), "acme_corp_eu_orders__new_"},
		{"what an id may hold stays", "", "", named("acme-corp", "dev", "orders.v2"), "acme-corp_orders.v2"},
		{"letters of elsewhere", "", "", named("Grünwald", "dev", "注文"), "gr_nwald___"},
		{"a digit first", "", "", named("9lives", "dev", "orders"), "c_9lives_orders"},
		{"a digit first, after a prefix", "prod_", "", named("9lives", "dev", "orders"), "prod_9lives_orders"},
		{"an underscore first", "", "", named("(acme)", "dev", "orders"), "c__acme__orders"},
		{"no org name", "", "", named("", "dev", "orders"), "c_11111111_orders"},
		{"no instance name", "", "", named("acme", "dev", ""), "acme_33333333"},
		{"no space name", "", "{{org}}_{{space}}_{{instance}}", named("acme", "", "orders"), "acme_22222222_orders"},
		{"two dots in a name", "", "", named("a..b", "dev", "o...x"), "a._b_o._.x"},
		{"two dots where names meet", "", "{{org}}.{{instance}}", named("acme.", "dev", ".orders"), "acme._.orders"},
		{"a path of Airflow's", "", "{{instance}}", named("acme", "dev", "test"), "c_test"},
		{"another path of Airflow's", "", "{{instance}}", named("acme", "dev", "Defaults"), "c_defaults"},
		{"environment and guids", "", "{{environment}}.{{org_guid}}-{{space_guid}}", acmeDev(), "prod.11111111-aaaa-4000-8000-000000000000-22222222-bbbb-4000-8000-000000000000"},
		{"a fixed text", "", "orders", acmeDev(), "orders"},
		{"nothing is known", "", "", Place{}, "c__"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			plan := prod()
			plan.ConnectionPrefix, plan.ConnectionTemplate = row.prefix, row.template
			if got := checked(t, plan).DefaultConnectionBase(row.place); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestADefaultIDIsAlwaysLegalButPerhapsTooLong(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 5))
	alphabet := []rune("aZ9._-~ /\\\"{}é注\x00\n\u212a")
	name := func() string {
		var b strings.Builder
		for range random.IntN(60) {
			b.WriteRune(alphabet[random.IntN(len(alphabet))])
		}
		return b.String()
	}
	for _, prefix := range []string{"", "p.", "prod_"} {
		plan := prod()
		plan.ConnectionPrefix = prefix
		plan.ConnectionTemplate = "{{org}}.{{space}}.{{instance}}"
		plan = checked(t, plan)
		for range 1000 {
			place := Place{Org: identity.OrgGUID(name()), Space: "s", Instance: "i", Names: identity.Names{Org: name(), Space: name(), Instance: name()}}
			id := string(plan.DefaultConnectionBase(place))
			if !isConnectionID(id[:min(len(id), 193)]) || !strings.HasPrefix(id, prefix) {
				t.Fatalf("%q of %+v cannot be a connection id", id, place)
			}
		}
	}
}

func TestChosenConnectionIDs(t *testing.T) {
	t.Parallel()

	spaced := acmeDev()
	spaced.Names.Org = "Acme Corp"
	unnamed := acmeDev()
	unnamed.Names.Org = ""
	rows := []struct {
		name, prefix string
		patterns     []string
		place        Place
		allowed      []identity.ConnectionID
		refused      []identity.ConnectionID
	}{
		{"an exact one", "", []string{"orders"}, acmeDev(), []identity.ConnectionID{"orders"}, []identity.ConnectionID{"orders_x", "order", "orderss"}},
		{"a beginning", "", []string{"orders_*"}, acmeDev(), []identity.ConnectionID{"orders_x", "orders_x_y.z"}, []identity.ConnectionID{"orders", "orders_", "ordersx", "orders-x"}},
		{"after a dot and a hyphen", "", []string{"a.*", "b-*"}, acmeDev(), []identity.ConnectionID{"a.x", "b-x"}, []identity.ConnectionID{"a-x", "b.x", "a..x"}},
		{"of an org", "", []string{"{{org}}_*"}, acmeDev(), []identity.ConnectionID{"acme_x"}, []identity.ConnectionID{"other_x", "acmex", "acme"}},
		{"of an org whose name is mapped", "", []string{"{{org}}_*"}, spaced, []identity.ConnectionID{"acme_corp_x"}, []identity.ConnectionID{"acme_x"}},
		{"of an org without a name", "", []string{"x{{org}}_*"}, unnamed, []identity.ConnectionID{"x11111111_y"}, []identity.ConnectionID{"x_y"}},
		{"of space and instance", "", []string{"{{org}}_{{space}}_{{instance}}_*"}, acmeDev(), []identity.ConnectionID{"acme_dev_orders_x"}, []identity.ConnectionID{"acme_prod_orders_x"}},
		{"with a prefix", "prod_", []string{"{{org}}_*"}, acmeDev(), []identity.ConnectionID{"prod_acme_x"}, []identity.ConnectionID{"acme_x", "prod_other_x", "prod_", "prod_acme_"}},
		{"the default, named", "", nil, acmeDev(), []identity.ConnectionID{"acme_orders"}, []identity.ConnectionID{"acme_orders2"}},
		{"the default with a prefix, named", "prod_", nil, acmeDev(), []identity.ConnectionID{"prod_acme_orders"}, []identity.ConnectionID{"acme_orders"}},
		{"what cannot be an id", "", []string{"a_*"}, acmeDev(), nil, []identity.ConnectionID{"a_X", "a_..", "a_/", "test"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			plan := prod()
			plan.ConnectionPrefix, plan.Allow.ConnectionIDs = row.prefix, row.patterns
			plan = checked(t, plan)
			instance := instanceAt(row.place, plan)
			for _, id := range row.allowed {
				if _, err := plan.JudgeBind(instance, BindParameters{ConnectionID: id}, false); err != nil {
					t.Errorf("%s: got %v, want it allowed", id, err)
				}
			}
			for _, id := range row.refused {
				if _, err := plan.JudgeBind(instance, BindParameters{ConnectionID: id}, false); err == nil || !strings.Contains(err.Error(), RulePlanConnectionIDs) {
					t.Errorf("%s: got %v, want %s", id, err, RulePlanConnectionIDs)
				}
				if _, err := plan.JudgeBind(instance, BindParameters{ConnectionID: id}, true); err != nil {
					t.Errorf("%s, joined: got %v, want it not to be judged again", id, err)
				}
			}
		})
	}
}
