package contract

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// apiV1 is that of Airflow 2.
var apiV1 = airflowAPI{
	suite: SuiteAirflowV1, versionPath: "/api/v1/version", major: "2", connections: "/api/v1/connections",
	created: http.StatusOK, missing: "Connection not found",
	mask: func(fields ...string) string { return "update_mask=" + url.QueryEscape(strings.Join(fields, ",")) },
}

func casesV1() []testCase[*airflowSite] {
	return []testCase[*airflowSite]{
		{"the version is told", "measured: /version; airflow.ask", true, tellsVersion},
		{"the login may read, create, edit and delete connections", "measured: viewer or user role; README: a user in Airflow", true, mayEdit},
		{"a wrong login is refused with 401", "measured: wrong basic password; airflow v1 refuses", false, wrongLoginV1},

		{"a connection is made with 200, and answered as it was sent", "measured: POST; airflow.Put", false, posts},
		{"a connection is read as it was sent", "measured: GET; airflow.Read", false, withConnection(showsWhatWasPosted)},
		{"no answer shows a password", "measured: POST, list items; airflow package", false, hidesPasswords},
		{"ids of 200 letters, dots, dashes and underscores are taken", "measured: id length; INTERFACE: connection_id", false, takesLongIDs},
		{"an id that is taken is refused with 409 and a detail", "measured: POST duplicate; airflow.Put", false, withConnection(takenID)},
		{"a refused post leaves the connection that is there as it was", "measured: POST duplicate; airflow.Put", false, withConnection(takenConnectionIsLeft)},

		{"reading a connection that is not there is 404 with a detail about it", "measured: GET missing; airflow.Read", false, missingRead},
		{"a PATCH with commas in its update_mask writes each field, and null clears", "measured: PATCH comma mask; airflow.Update", false, withEdited(mends)},
		{"a PATCH is answered with the new description", "measured: PATCH; airflow.written", false, withConnection(mendedIsAnswered)},
		{"a PATCH leaves extra alone where the mask does not name it", "measured: PATCH comma mask; airflow.patched", false, withEdited(extraStays)},
		{"a mask with a key for each field writes them", "measured: PATCH repeated mask; airflow v1 mask", false, repeatedMaskV1},
		{"patching a connection that is not there is 404 with a detail about it", "measured: PATCH missing; airflow.Update", false, missingPatched},
		{"a connection is deleted with 204, and is gone", "measured: DELETE; airflow.Remove", false, withConnection(deletesConnection)},
		{"deleting a connection that is not there is 404 with a detail about it", "measured: DELETE missing; airflow.Remove", false, missingDeleted},
		{"a DELETE that claims JSON and has no body is taken", "measured on 2.11.2; airflow.jsonHeader", false, withConnection(deleteClaimsJSON)},

		{"a list has pages in the order of ids, and says how many there are", "measured: list default limit; airflow.List", false, pages},
		{"a list shows each connection as it was sent", "measured: list items; airflow.List", false, withConnection(listsConnection)},
		{"a list shows extra", "measured: list items; sweeps", false, withEdited(listsExtra)},

		{"the path of Airflow 3 tells no version", "measured: /api/v2/version on 2.11; airflow.ask", false, noV2},
		{"a task reads what the API has", "INTERFACE: doctor", false, tasksRead},
	}
}

func wrongLoginV1(ctx context.Context, s *airflowSite) error {
	login := base64.StdEncoding.EncodeToString([]byte(s.prefix + ":" + random(20)))
	a, err := s.refusesLogin(ctx, "Basic "+login)
	if err != nil {
		return err
	}
	if a.status == http.StatusForbidden && a.says(http.StatusForbidden) == nil {
		return handled(fmt.Sprintf("%s, as to a missing permission: the program takes it for the login, and goes on trying", a))
	}
	return a.says(http.StatusUnauthorized)
}

func repeatedMaskV1(ctx context.Context, s *airflowSite) error {
	return s.masked(ctx, url.Values{"update_mask": ours}.Encode(), "of several masks the last counts, and the program sends one with commas")
}

func deleteClaimsJSON(ctx context.Context, s *airflowSite, c connection) error {
	header, err := s.authorized(ctx)
	if err != nil {
		return err
	}
	header.Set("Content-Type", "application/json")
	a, err := s.send(ctx, http.MethodDelete, s.base+path(s.api.connections, c.id), header, nil)
	if err != nil {
		return err
	}
	if a.status == http.StatusBadRequest {
		return handled(fmt.Sprintf("%s: the program claims JSON only where there is a body", a))
	}
	return a.be(http.StatusNoContent)
}

func noV2(ctx context.Context, s *airflowSite) error {
	a, err := s.version(ctx, &apiV2)
	if err != nil {
		return err
	}
	if a.isVersion(&apiV2) == nil || a.status != http.StatusNotFound {
		return a.expected("404")
	}
	return nil
}
