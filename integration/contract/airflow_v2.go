package contract

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// apiV2 is that of Airflow 3.
var apiV2 = airflowAPI{
	suite: SuiteAirflowV2, versionPath: "/api/v2/version", major: "3", connections: "/api/v2/connections",
	created: http.StatusCreated, missing: "",
	mask: func(fields ...string) string { return url.Values{"update_mask": fields}.Encode() },
}

func casesV2() []testCase[*airflowSite] {
	return []testCase[*airflowSite]{
		{"the version is told", "measured: /version; airflow.ask", true, tellsVersion},
		{"the login may read, create, edit and delete connections", "measured: viewer or user role; README: a user in Airflow", true, mayEdit},
		{"a call without a login is refused with 401", "measured: no token; airflow v2 refuses", false, withoutLoginV2},
		{"a token that is none is refused with 401", "measured: garbage token; airflow v2 refuses", false, badTokenV2},

		{"a connection is made with 201, and answered as it was sent", "measured: POST; airflow.Put", false, posts},
		{"a connection is read as it was sent", "measured: GET; airflow.Read", false, withConnection(showsWhatWasPosted)},
		{"no answer shows a password", "measured: POST, list items; airflow package", false, hidesPasswords},
		{"ids of 200 letters, dots, dashes and underscores are taken", "measured: id length; INTERFACE: connection_id", false, takesLongIDs},
		{"an id that is taken is refused with 409 and a detail", "measured: POST duplicate; airflow.Put", false, withConnection(takenID)},
		{"a refused post leaves the connection that is there as it was", "measured: POST duplicate; airflow.Put", false, withConnection(takenConnectionIsLeft)},
		{"a refusal does not repeat what was sent", "measured: no connection_id/conn_type in body; airflow.words", false, repeatsInput},

		{"reading a connection that is not there is 404 with a detail about it", "measured: GET missing; airflow.Read", false, missingRead},
		{"a PATCH with a key update_mask for each field writes them, and null clears", "measured: PATCH repeated mask; airflow.Update", false, withEdited(mends)},
		{"a PATCH is answered with the new description", "measured: PATCH; airflow.written", false, withConnection(mendedIsAnswered)},
		{"a PATCH leaves extra alone where the mask does not name it", "measured: PATCH repeated mask; airflow.patched", false, withEdited(extraStays)},
		{"a mask with commas writes each field", "measured: PATCH comma mask; airflow v2 mask", false, commaMaskV2},
		{"patching a connection that is not there is 404 with a detail about it", "measured: PATCH missing; airflow.Update", false, missingPatched},
		{"a connection is deleted with 204, and is gone", "measured: DELETE; airflow.Remove", false, withConnection(deletesConnection)},
		{"deleting a connection that is not there is 404 with a detail about it", "measured: DELETE missing; airflow.Remove", false, missingDeleted},

		{"a list has pages in the order of ids, and says how many there are", "measured: list default limit; airflow.List", false, pages},
		{"a list shows each connection as it was sent", "measured: list items; airflow.List", false, withConnection(listsConnection)},
		{"a list shows extra", "measured: list items; sweeps", false, withEdited(listsExtra)},

		{"the path of Airflow 2 says that it was removed", "measured: v1 path on 3.x; airflow.isRemovedV1", false, removedV1},
		{"a task reads what the API has", "INTERFACE: doctor", false, tasksRead},
	}
}

func withoutLoginV2(ctx context.Context, s *airflowSite) error {
	a, err := s.refusesLogin(ctx, "")
	if err != nil {
		return err
	}
	return a.says(http.StatusUnauthorized)
}

// A token of another key is what is left after a restart with a new one.
func badTokenV2(ctx context.Context, s *airflowSite) error {
	a, err := s.refusesLogin(ctx, "Bearer "+random(20))
	if err != nil {
		return err
	}
	if a.status == http.StatusForbidden && a.text("detail") == "Invalid JWT token" {
		return handled(fmt.Sprintf("%s: the program logs in again after that too", a))
	}
	return a.says(http.StatusUnauthorized)
}

func commaMaskV2(ctx context.Context, s *airflowSite) error {
	return s.masked(ctx, "update_mask="+url.QueryEscape(strings.Join(ours, ",")), "the program sends a key for each")
}

func repeatsInput(ctx context.Context, s *airflowSite) error {
	c := s.newConnection()
	body := c.body()
	delete(body, "conn_type")
	a, err := s.post(ctx, body)
	switch {
	case err != nil:
		return err
	case a.status/100 == 2:
		return unknowable("it was not refused: " + a.String())
	case a.has(c.password):
		return handled(fmt.Sprintf("%d, and the body repeats the password: the program keeps nothing of it but place and message", a.status))
	}
	return nil
}

func removedV1(ctx context.Context, s *airflowSite) error {
	const v1 = "/api/v1/connections"
	read, err := s.call(ctx, http.MethodGet, path(v1, s.prefix+"-none"), nil)
	if err != nil {
		return err
	}
	if read.status != http.StatusNotFound || !strings.Contains(read.text("error"), "has been removed") {
		return read.expected(`404 with an error that says "has been removed"`)
	}
	deleted, err := s.call(ctx, http.MethodDelete, path(v1, s.prefix+"-none"), nil)
	if err != nil {
		return err
	}
	if deleted.status != http.StatusMethodNotAllowed || deleted.text("detail") != "Method Not Allowed" || deleted.text("title") != "" {
		return deleted.expected(`405 with the detail "Method Not Allowed"`)
	}
	return nil
}
