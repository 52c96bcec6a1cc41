package airflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// teamsAsked are the teams that a call is about, the one that a connection has and the
// one that it shall have; as 3.3.2 finds them, before it looks at who asks. id is "" for
// a connection that is yet to be made.
func (s *Server) teamsAsked(r *http.Request, id string) ([]string, *failure) {
	if !s.multiTeam() {
		return nil, nil
	}
	var teams []string
	if connection, found := s.store.get(id); found {
		teams = append(teams, connection.Team)
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPatch {
		return teams, nil
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var sent any
	if err != nil || json.Unmarshal(body, &sent) != nil {
		return nil, refuse(http.StatusBadRequest, "Request body is not valid JSON")
	}
	object, _ := sent.(map[string]any)
	switch team := object["team_name"].(type) {
	case nil:
	case string:
		if team != "" && !s.hasTeam(team) {
			return nil, refuse(http.StatusBadRequest, fmt.Sprintf("Team '%s' does not exist", team))
		}
		teams = append(teams, team)
	default:
		return nil, refuse(http.StatusBadRequest, "'team_name' must be a string")
	}
	return teams, nil
}

// multiTeam is [core] multi_team.
func (s *Server) multiTeam() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.teams != nil
}

func (s *Server) hasTeam(team string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Contains(s.teams, team)
}

// within tells whether a user may touch what belongs to these teams. What belongs to
// none is everybody's.
func (c claims) within(teams ...string) bool {
	return c.Role == RoleAdmin || !slices.ContainsFunc(teams, func(team string) bool {
		return team != "" && !slices.Contains(c.Teams, team)
	})
}
