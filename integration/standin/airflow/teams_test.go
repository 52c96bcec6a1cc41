package airflow

import (
	"net/http"
	"strings"
	"testing"
)

// What 3.3.2 does with teams, as it was measured: first whether there is one, then who
// asks, and last whether teams are on.
func TestTeams(t *testing.T) {
	t.Parallel()
	f := start(t, Config{Teams: []string{"acme", "other"}})
	f.users["member"] = User{Password: "member-password", Role: RoleOp, Teams: []string{"acme"}}
	post := func(role, id, team string) answer {
		return f.as(role, "POST", connectionsPath, `{"connection_id":"`+id+`","conn_type":"http","team_name":`+team+`}`)
	}
	for name, c := range map[string]struct {
		got    answer
		status int
		says   string
	}{
		"own team":             {post("member", "a", `"acme"`), 201, `"team_name":"acme"`},
		"no team":              {post("member", "b", `null`), 201, `"team_name":null`},
		"another's team":       {post("member", "c", `"other"`), 403, "Forbidden"},
		"an admin's":           {post("admin", "d", `"other"`), 201, `"team_name":"other"`},
		"unknown team":         {post("member", "e", `"nope"`), 400, "Team 'nope' does not exist"},
		"unknown, by a viewer": {post("viewer", "f", `"nope"`), 400, "Team 'nope' does not exist"},
		"a number":             {post("member", "g", `5`), 400, "'team_name' must be a string"},
	} {
		if c.got.status != c.status || !strings.Contains(c.got.body, c.says) {
			t.Errorf("%s: got %d %s, want %d with %q", name, c.got.status, c.got.body, c.status, c.says)
		}
	}
	patch := func(id, query, team string) answer {
		return f.as("member", "PATCH", connectionsPath+"/"+id+query, `{"connection_id":"`+id+`","conn_type":"http","team_name":"`+team+`"}`)
	}
	for name, c := range map[string]struct {
		got    answer
		status int
		team   string
	}{
		"into the own team":     {patch("b", "?update_mask=team_name", "acme"), 200, "acme"},
		"not named by the mask": {patch("b", "?update_mask=host", "acme"), 200, "acme"},
		"into another's":        {patch("a", "", "other"), 403, "acme"},
		"out of another's":      {patch("d", "", "acme"), 403, "other"},
	} {
		id := map[string]string{"into another's": "a", "out of another's": "d"}[name]
		if id == "" {
			id = "b"
		}
		is, _ := f.Connection(id)
		if c.got.status != c.status || is.Team != c.team {
			t.Errorf("%s: got %d %s and team %q, want %d and %q", name, c.got.status, c.got.body, is.Team, c.status, c.team)
		}
	}
	if got := f.as("member", "GET", connectionsPath, ""); !strings.Contains(got.body, `"total_entries":2`) {
		t.Errorf("a list of a member of acme: got %s, want its own two", got.body)
	}
}

// 3.0 and 3.1 know no teams, and no key of that name (3.0.6, tried).
func TestWithoutTeams(t *testing.T) {
	t.Parallel()
	f := start(t, Config{NoTeams: true})
	got := f.as("op", "POST", connectionsPath, `{"connection_id":"a","conn_type":"http","team_name":"acme"}`)
	if got.status != 422 || !strings.Contains(got.body, "extra_forbidden") {
		t.Errorf("got %d %s, want 422 extra_forbidden", got.status, got.body)
	}
	got = f.as("op", "POST", connectionsPath, `{"connection_id":"a","conn_type":"http"}`)
	if got.status != 201 || strings.Contains(got.body, "team_name") {
		t.Errorf("got %d %s, want 201 and no team_name", got.status, got.body)
	}
}

// FAB's auth manager, as measured with provider 3.10.2 on 3.3.2.
func TestFABLogin(t *testing.T) {
	t.Parallel()
	f := start(t, Config{FAB: true})
	for name, c := range map[string]struct {
		got    answer
		status int
	}{
		"json":           {f.login(`{"username":"op","password":"op-password"}`), 201},
		"form":           {f.do("POST", "/auth/token", "username=op&password=op-password", "Content-Type", "application/x-www-form-urlencoded"), 422},
		"no password":    {f.login(`{"username":"op"}`), 400},
		"wrong password": {f.login(`{"username":"op","password":"no"}`), 401},
		"GET":            {f.do("GET", "/auth/token", ""), 404},
	} {
		if c.got.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, c.got.status, c.got.body, c.status)
		}
	}
	c, err := f.open(f.token("op"), audienceAPI)
	if err != nil || c.Subject != "2" || c.Role != "" {
		t.Errorf("claims: got %+v, %v; want user number 2 and no role", c, err)
	}
	for role, status := range map[string]int{"op": 404, "viewer": 403} {
		if got := f.as(role, "GET", connectionsPath+"/x", ""); got.status != status {
			t.Errorf("%s: got %d, want %d", role, got.status, status)
		}
	}
}

func TestChangedKey(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})
	old := "Bearer " + f.token("op")
	if err := f.ChangeKey(); err != nil {
		t.Fatal(err)
	}
	got := f.do(http.MethodGet, connectionsPath, "", "Authorization", old)
	if !got.is(t, 403, `{"detail":"Invalid JWT token"}`) {
		t.Errorf("an older token: got %d %s, want 403 Invalid JWT token", got.status, got.body)
	}
	if got := f.as("op", "GET", connectionsPath, ""); got.status != 200 {
		t.Errorf("a new token: got %d, want 200", got.status)
	}
}
