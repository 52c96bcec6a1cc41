package airflow

import (
	"net/http"
	"net/url"

	"airflow-identity/remote"
)

// v2 is the API of Airflow 3. A token that was signed with another key, as after
// a restart with a new one, is answered with 403 instead of 401.
var v2 = dialect{
	api:         V2,
	version:     "/api/v2/version",
	has:         func(major int) bool { return major >= 3 },
	connections: "/api/v2/connections",
	created:     http.StatusCreated,
	teams:       true,
	page:        byOffset,
	mask:        repeated,
	refuses: func(status int, detail string) bool {
		return status == http.StatusUnauthorized || status == http.StatusForbidden && detail == "Invalid JWT token"
	},
	removed: func(remote.Answer) bool { return false },
}

// repeated names each field by a key of its own. Airflow 3 takes a list with
// commas for one field that it does not have: it answers 200 and changes nothing.
func repeated(fields []string) string { return url.Values{"update_mask": fields}.Encode() }
