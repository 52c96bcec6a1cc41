package catalog

import (
	"fmt"
	"regexp"

	"airflow-identity/identity"
)

// teamOfOrg stands for the team that has the org's name.
const teamOfOrg = "{{org}}"

// aTeam is what Airflow takes for a team's name (3.2 to 3.3). It minds the case.
var aTeam = regexp.MustCompile(`^[A-Za-z0-9_-]{3,50}$`)

// validateTeam checks a team that is to be the environment's.
func validateTeam(team string) error {
	if team == "" || team == teamOfOrg || aTeam.MatchString(team) {
		return nil
	}
	return fmt.Errorf(`%s must be "{{org}}", or a team's name of 3 to 50 letters, digits, hyphens and underscores`, quote(team))
}

// teamAt is the team of a new connection. An org whose name no team can have gets none,
// and no connection: that of another team would be another team's to read.
func (p Plan) teamAt(at values) (identity.Team, []Violation) {
	if p.Team != teamOfOrg {
		return identity.Team(p.Team), nil
	}
	if name := at[placeOrg]; aTeam.MatchString(name) {
		return identity.Team(name), nil
	}
	return "", []Violation{{"airflow-team", fmt.Sprintf(
		"in environment %s a connection belongs to the team of Airflow that has the org's name, and %s cannot be a team's: that takes 3 to 50 letters, digits, hyphens and underscores",
		p.Environment, quote(at[placeOrg]))}}
}
