package airflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// shown is a connection as Airflow shows it. Its password is not looked at: it is
// stars. A text that is null and an empty one are the same to a hook, and to us.
type shown struct {
	ID          identity.ConnectionID `json:"connection_id"`
	Type        string                `json:"conn_type"`
	Description string                `json:"description"`
	Host        string                `json:"host"`
	Login       string                `json:"login"`
	Schema      string                `json:"schema"`
	Port        *int                  `json:"port"`
	Extra       string                `json:"extra"`
	Team        identity.Team         `json:"team_name"`
}

// read takes a 2xx for Airflow's own only if it holds the connection it is about.
func read(answer remote.Answer, id identity.ConnectionID) (shown, error) {
	var there shown
	if err := answer.JSON(&there); err != nil {
		return shown{}, err
	}
	if there.ID != id {
		return shown{}, errors.New("the body is not that connection")
	}
	return there, nil
}

// against tells how the connection is to the one that should be there. Of what
// differs it tells the names alone.
func (s shown) against(wanted identity.Connection) (generation int, outcome identity.Outcome, err error) {
	found, err := s.ownedBy(wanted.Marker)
	if err != nil {
		return 0, identity.Foreign, err
	}
	if found.Generation > wanted.Marker.Generation {
		return found.Generation, identity.Ahead, fmt.Errorf("connection %s is of generation %d, newer than %d",
			s.ID, found.Generation, wanted.Marker.Generation)
	}
	if fields := s.differing(wanted); len(fields) > 0 {
		return found.Generation, identity.Differs, fmt.Errorf("connection %s of generation %d differs in %s",
			s.ID, found.Generation, strings.Join(fields, ", "))
	}
	return found.Generation, identity.Done, nil
}

// ownedBy compares the marker that was looked for with the one that is there. The
// generation is of no account: an older or newer one is still this identity's.
func (s shown) ownedBy(marker identity.Marker) (identity.Marker, error) {
	found, marked := identity.ParseMarker(s.Description)
	switch {
	case !marked:
		return identity.Marker{}, fmt.Errorf("connection %s is there without a marker of ours", s.ID)
	case !found.SameOwner(marker):
		return identity.Marker{}, fmt.Errorf("connection %s is there with the marker of another: %.200q", s.ID, found.String())
	default:
		return found, nil
	}
}

func (s shown) differing(wanted identity.Connection) []string {
	var fields []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"conn_type", s.Type == connType},
		{"description", s.Description == wanted.Describe()},
		{"host", s.Host == wanted.Host},
		{"login", s.Login == string(wanted.Login)},
		{"port", s.Port == nil},
		{"schema", s.Schema == ""},
		{"team_name", s.ofTeam(wanted.Team)},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// ofTeam tells whether the connection is the team's that it should be. Where it
// should be nobody's, it is not ours to say.
func (s shown) ofTeam(team identity.Team) bool { return team == "" || s.Team == team }

// found gives the connection if it may concern us: there is a marker in it, or the
// login of a client of ours.
//
// A marker counts only in the connection that it names: in another it came with a
// copy, which is nobody's. And where a description is not exactly a sentence and its
// marker it is given whole, so that it differs from every sentence of ours.
func (s shown) found() (identity.FoundConnection, bool) {
	marker, marked := identity.ParseMarker(s.Description)
	if !marked && !strings.HasPrefix(s.Login, ownLogins) {
		return identity.FoundConnection{}, false
	}

	found := identity.FoundConnection{
		Connection: identity.Connection{
			Marker:      identity.Marker{Connection: s.ID},
			Team:        s.Team,
			Host:        s.Host,
			Login:       identity.ClientID(s.Login),
			Description: s.Description,
		},
		Plain: s.Type == connType && s.Port == nil && s.Schema == "",
	}
	if marked && marker.Connection == s.ID {
		found.Marker, found.Marked = marker, true
		found.Description, _ = strings.CutSuffix(s.Description, " "+marker.String())
	}
	found.Proxied, found.Unverified = readExtra(s.Extra)
	return found, true
}

// ownLogins is what the id of every client of ours begins with.
const ownLogins = "afi-"

// readExtra finds in extra what a task's hook would heed (http provider 6.3.0): each
// setting has two names, of which the second counts only without the first. A value
// may be masked, which is enough to know that there is one.
func readExtra(extra string) (proxied, unverified bool) {
	var settings map[string]json.RawMessage
	if json.Unmarshal([]byte(extra), &settings) != nil {
		return false, false
	}
	setting := func(name, otherName string) string {
		value, found := settings[name]
		if !found {
			value = settings[otherName]
		}
		return string(value)
	}
	proxies, verify := setting("proxies", "proxy"), setting("verify", "verify_ssl")
	return proxies != "" && proxies != "null" && !isFalse(proxies), isFalse(verify)
}

// isFalse tells whether Python takes a JSON value for false. Null is not meant: to
// the hook it is a setting that is not there.
func isFalse(value string) bool {
	return slices.Contains([]string{"false", "0", "0.0", `""`, "{}", "[]"}, value)
}
