package catalog

import (
	"errors"
	"strings"
	"testing"

	"airflow-identity/identity"
)

func TestTeamOfAConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		team, org string
		asked     BindParameters
		joins     bool
		want      identity.Team
		refused   bool
	}{
		"none":                            {"", "acme", BindParameters{}, false, "", false},
		"always the same":                 {"data-eng", "no team's name", BindParameters{}, false, "data-eng", false},
		"the org's, in its own letters":   {"{{org}}", "Acme_1-x", BindParameters{}, false, "Acme_1-x", false},
		"an org that can have none":       {"{{org}}", "acme corp", BindParameters{}, false, "", true},
		"an org that is too short":        {"{{org}}", "ab", BindParameters{}, false, "", true},
		"an org that is too long":         {"{{org}}", strings.Repeat("a", 51), BindParameters{}, false, "", true},
		"an org without a name":           {"{{org}}", "", BindParameters{}, false, "", true},
		"a connection that is there":      {"{{org}}", "acme corp", BindParameters{}, true, "", false},
		"an app client and no connection": {"{{org}}", "acme corp", BindParameters{Airflow: new(bool), AppClient: true}, false, "", false},
	} {
		plan := prod()
		plan.Team, plan.Allow.Authorities = c.team, []string{"orders.*"}
		place := acmeDev()
		place.Names.Org = c.org
		grant, err := checked(t, plan).JudgeBind(instanceAt(place, plan), c.asked, c.joins)
		var refused *NotAllowedError
		if errors.As(err, &refused) != c.refused || c.refused && refused.Rules()[0] != "airflow-team" || grant.Team != c.want {
			t.Errorf("%s: got team %q, %v; want %q, refused by airflow-team: %v", name, grant.Team, err, c.want, c.refused)
		}
	}
}

func TestTeamsThatNoneCanBe(t *testing.T) {
	t.Parallel()
	for team, valid := range map[string]bool{
		"": true, "{{org}}": true, "abc": true, strings.Repeat("a", 50): true,
		"ab": false, strings.Repeat("a", 51): false, "{{space}}": false, "team-{{org}}": false, "a b c": false, "ümlaut": false,
	} {
		plan := prod()
		plan.Team = team
		_, err := New(offering, []Plan{plan})
		if (err == nil) != valid {
			t.Errorf("%q: got %v, want valid: %v", team, err, valid)
		}
	}
}
