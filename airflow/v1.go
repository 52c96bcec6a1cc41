package airflow

import (
	"net/http"
	"net/url"
	"strings"

	"airflow-identity/remote"
)

// v1 is the API of Airflow 2. What it answers to a wrong login is to the byte what
// it answers to one without permission: 403 (2.11.2, measured). So 403 may pass, and
// never is a reason to give something up for good, but for a create, where somebody waits
// for the answer: see Client.mayNot.
var v1 = dialect{
	api:         V1,
	version:     "/api/v1/version",
	has:         func(major int) bool { return major == 2 },
	connections: "/api/v1/connections",
	created:     http.StatusOK,
	page:        byOffset,
	mask:        listed,
	refuses: func(status int, _ string) bool {
		return status == http.StatusUnauthorized || status == http.StatusForbidden
	},
	unsaid:     "a wrong login, or one that may not edit connections: Airflow 2 answers both alike",
	everybodys: "/api/v1/pools?limit=1", // a Viewer gets 200 there, and a wrong password 403 (2.11.2, tried)
	removed:    isRemovedV1,
}

// listed names all fields in one key, as Airflow 2 documents it.
func listed(fields []string) string {
	return url.Values{"update_mask": {strings.Join(fields, ",")}}.Encode()
}

// isRemovedV1 knows what Airflow 3 says below the path of Airflow 2's API: to a GET
// that it was removed, and to everything else that there is no such method.
func isRemovedV1(a remote.Answer) bool {
	var body struct {
		Error  string `json:"error"`
		Title  string `json:"title"`
		Detail any    `json:"detail"`
	}
	if a.FromRouter() || a.JSON(&body) != nil {
		return false
	}
	return a.Status == http.StatusNotFound && strings.Contains(body.Error, "has been removed") ||
		a.Status == http.StatusMethodNotAllowed && body.Title == "" && body.Detail == "Method Not Allowed"
}

// titleMissing is the title of Airflow 2's 404 about a connection. That about a path
// has another; Airflow 3's have none.
const titleMissing = "Connection not found"
