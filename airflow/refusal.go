package airflow

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// Refusals that somebody can mend, in words for the one who asked for a connection. What
// Airflow says of them was measured on 3.3.2, of a key that it does not know on 3.0.6, and
// of a viewer on 2.11.2 too.

// mayNot is what is missing where Airflow answers "Forbidden".
const mayNot = "Airflow does not let the broker's account create connections, which takes the role Op, " +
	"or one that may read, create, edit and delete connections"

// explained adds to the refusal of a POST why it was refused, if that is known.
func explained(refused *remote.Error, team identity.Team) error {
	reason := ""
	switch says := refused.Description; {
	case refused.Status == http.StatusForbidden && team == "":
		reason = mayNot
	case refused.Status == http.StatusForbidden:
		reason = mayNot + fmt.Sprintf(", and to be in its team %q", team)
	case team == "":
	case refused.Status == http.StatusBadRequest && strings.HasPrefix(says, "Team ") && strings.HasSuffix(says, "does not exist"):
		reason = fmt.Sprintf("Airflow has no team %q; it is made with: airflow teams create %s", team, team)
	case refused.Status == http.StatusUnprocessableEntity && strings.Contains(says, "multi_team"):
		reason = fmt.Sprintf("the connection would belong to team %q, and this Airflow has multi_team switched off", team)
	case refused.Status == http.StatusUnprocessableEntity && strings.Contains(says, "team_name"):
		reason = fmt.Sprintf("the connection would belong to team %q, and this Airflow is older than 3.2 and has no teams", team)
	}
	if reason == "" {
		return refused
	}
	return fmt.Errorf("%w: %w", &identity.Refusal{Reason: reason}, refused)
}

// callEverybodys asks for what is everybody's who is logged in.
const callEverybodys = "GET what every login may read"

// mayNot tells whether a refusal is one of a right login that lacks a permission, where
// the dialect's answer does not say: whoever may read what every login may is logged in.
func (c *Client) mayNot(ctx context.Context, d *dialect, refused *remote.Error) bool {
	if d.everybodys == "" || !refused.Own || refused.Status != http.StatusForbidden {
		return false
	}
	answer, err := c.session.Do(ctx, remote.Request{
		Call: callEverybodys, Method: http.MethodGet, URL: c.url + d.everybodys, Header: jsonHeader(nil), Guess: true,
	})
	return err == nil && answer.Status == http.StatusOK && own(answer)
}

// hasTeams asks whether Airflow's API can have teams at all: Done, or why not.
func (c *Client) hasTeams(ctx context.Context) (identity.Outcome, error) {
	d, err := c.tongue.find(ctx, c.ask)
	switch {
	case err != nil:
		return identity.Later, c.system.Unsent(callPost, err)
	case !d.teams:
		return identity.Rejected, &identity.Refusal{Reason: "the connection would belong to a team, and this is Airflow 2, which has none"}
	default:
		return identity.Done, nil
	}
}
