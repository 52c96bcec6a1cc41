package airflow

import (
	"net/http"
	"net/url"
	"strconv"

	"airflow-identity/identity"
)

// dialect is what differs between the versions of Airflow's REST API.
type dialect struct {
	connections string // path of the list of connections
	created     int    // what a POST is answered with
	// page is the query of the list for the connections from an offset on, in the
	// order of their ids.
	page func(offset int) string
	// mask is the query of a PATCH that writes these fields and no others.
	mask func(fields []string) string
	// refuses tells whether an answer of Airflow's own refuses our login, and
	// not the call.
	refuses func(status int, detail string) bool
}

// v2 is the API of Airflow 3. A token that was signed with another key, as after
// a restart with a new one, is answered with 403 instead of 401.
var v2 = dialect{
	connections: "/api/v2/connections",
	created:     http.StatusCreated,
	page:        byOffset,
	mask:        repeated,
	refuses: func(status int, detail string) bool {
		return status == http.StatusUnauthorized || status == http.StatusForbidden && detail == "Invalid JWT token"
	},
}

// pageSize is the most that Airflow gives at once. With it a connection may take
// 10 KB on average before a page is more than remote reads of an answer; 2 KB are
// much for one of ours.
const pageSize = 100

func byOffset(offset int) string {
	return url.Values{
		"limit":    {strconv.Itoa(pageSize)},
		"offset":   {strconv.Itoa(offset)},
		"order_by": {"connection_id"},
	}.Encode()
}

// repeated names each field by a key of its own. Airflow 3 takes a list with
// commas for one field that it does not have: it answers 200 and changes nothing.
func repeated(fields []string) string { return url.Values{"update_mask": fields}.Encode() }

// connection is the path of one connection.
func (d dialect) connection(id identity.ConnectionID) string {
	return d.connections + "/" + url.PathEscape(string(id))
}
