package broker

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

var errInternal = fmt.Errorf("saving: very internal text")

func TestBadRequests(t *testing.T) {
	t.Parallel()

	const (
		put, patch, get, del = http.MethodPut, http.MethodPatch, http.MethodGet, http.MethodDelete
		invalid              = "RequestInvalid"
	)
	long := strings.Repeat("x", 201)
	parameters := func(p any) string { return provisionBody("parameters", p) }
	bindParameters := func(p any) string { return bindBody("parameters", p) }
	updateParameters := func(p any) string { return updateBody("parameters", p) }
	rows := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		word, says               string
	}{
		// Who asks.
		{"no login", get, "/v2/catalog", "", []string{"Authorization", "-"}, 401, "Unauthorized", "login"},
		{"a wrong password", get, "/v2/catalog", "", []string{"Authorization", "Basic Y2xvdWQtY29udHJvbGxlcjp4"}, 401, "Unauthorized", ""},
		{"one login's user with the other's password", get, "/v2/catalog", "", []string{"Authorization", "Basic Y2xvdWQtY29udHJvbGxlcjpzZWNvbmQtcGFzc3dvcmQ="}, 401, "Unauthorized", ""},
		{"an empty login", get, "/v2/catalog", "", []string{"Authorization", "Basic Og=="}, 401, "Unauthorized", ""},
		{"a token", get, "/v2/catalog", "", []string{"Authorization", "Bearer abc"}, 401, "Unauthorized", ""},
		{"401 beats 412", put, instanceURL, provisionBody(), []string{"Authorization", "-", apiVersionHeader, "-"}, 401, "Unauthorized", ""},
		{"401 beats 404", get, "/v2/nothing", "", []string{"Authorization", "-"}, 401, "Unauthorized", ""},
		{"401 beats a bad originating identity", get, "/v2/catalog", "", []string{"Authorization", "-", originatingIdentityHeader, "x"}, 401, "Unauthorized", ""},

		// Which version.
		{"no version", put, instanceURL, provisionBody(), []string{apiVersionHeader, "-"}, 412, "APIVersionUnsupported", "2.13"},
		{"a version before", put, instanceURL, provisionBody(), []string{apiVersionHeader, "2.12"}, 412, "APIVersionUnsupported", ""},
		{"another major", put, instanceURL, provisionBody(), []string{apiVersionHeader, "3.0"}, 412, "APIVersionUnsupported", ""},
		{"major 1", put, instanceURL, provisionBody(), []string{apiVersionHeader, "1.99"}, 412, "APIVersionUnsupported", ""},
		{"no minor", put, instanceURL, provisionBody(), []string{apiVersionHeader, "2"}, 412, "APIVersionUnsupported", ""},
		{"a version and more", put, instanceURL, provisionBody(), []string{apiVersionHeader, "2.15x"}, 412, "APIVersionUnsupported", ""},
		{"no number", put, instanceURL, provisionBody(), []string{apiVersionHeader, "latest"}, 412, "APIVersionUnsupported", ""},
		{"a fetch by 2.13", get, instanceURL, "", []string{apiVersionHeader, "2.13"}, 412, "", "2.14"},

		// On whose behalf.
		{"originating identity: one word", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, "cloudfoundry"}, 400, invalid, originatingIdentityHeader},
		{"originating identity: no base64", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, "cloudfoundry {}"}, 400, invalid, "base64"},
		{"originating identity: no JSON", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, originating("cloudfoundry", "u-1")}, 400, invalid, ""},
		{"originating identity: null", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, originating("cloudfoundry", "null")}, 400, invalid, ""},
		{"originating identity: a list", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, originating("cloudfoundry", "[]")}, 400, invalid, ""},
		{"originating identity: a number as user", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, originating("cloudfoundry", `{"user_id":5}`)}, 400, invalid, ""},
		{"originating identity: a long user", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, originating("cloudfoundry", `{"user_id":"`+long+long+`"}`)}, 400, invalid, ""},
		{"originating identity: a user in two lines", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, originating("cloudfoundry", `{"user_id":"a\nb"}`)}, 400, invalid, ""},
		{"originating identity: another platform than the context's", put, instanceURL, provisionBody(), []string{originatingIdentityHeader, originating("kubernetes", `{}`)}, 400, invalid, "same"},
		{"the same, on a bind", put, bindingURL, bindBody(), []string{originatingIdentityHeader, originating("kubernetes", `{}`)}, 400, invalid, "same"},
		{"a long request id", put, instanceURL, provisionBody(), []string{requestIdentityHeader, long}, 400, invalid, requestIdentityHeader},
		{"a request id that is not ASCII", put, instanceURL, provisionBody(), []string{requestIdentityHeader, "\u00e9"}, 400, invalid, requestIdentityHeader},

		// Where.
		{"nothing there", get, "/v2/nothing", "", nil, 404, "PathUnknown", "/v2/catalog"},
		{"nothing there, without /v2", get, "/nothing", "", nil, 404, "PathUnknown", ""},
		{"the root", get, "/", "", nil, 404, "PathUnknown", ""},
		{"the root of OSB", get, "/v2", "", nil, 404, "PathUnknown", ""},
		{"no instances as a list", get, "/v2/service_instances", "", nil, 404, "PathUnknown", ""},
		{"a wrong method", http.MethodPost, instanceURL, provisionBody(), nil, 405, "MethodNotAllowed", "PUT"},
		{"a wrong method on the catalog", put, "/v2/catalog", "{}", nil, 405, "MethodNotAllowed", "GET"},
		{"a wrong method on a binding", patch, bindingURL, bindBody(), nil, 405, "MethodNotAllowed", "DELETE"},
		{"a wrong method on health", http.MethodPost, "/healthz", "{}", nil, 405, "MethodNotAllowed", "GET"},
		{"an id with a slash in it", put, "/v2/service_instances/a%2Fb", provisionBody(), nil, 400, invalid, "letters, digits"},
		{"an id with a space", put, "/v2/service_instances/a%20b", provisionBody(), nil, 400, invalid, ""},
		{"an id with a zero byte", put, "/v2/service_instances/a%00b", provisionBody(), nil, 400, invalid, ""},
		{"an id that is not ASCII", put, "/v2/service_instances/%C3%A9", provisionBody(), nil, 400, invalid, ""},
		{"a quote in an id", put, "/v2/service_instances/a'b", provisionBody(), nil, 400, invalid, ""},
		{"an id that is too long", put, "/v2/service_instances/" + long, provisionBody(), nil, 400, invalid, "200"},
		{"a binding's id that is too long", put, instanceURL + "/service_bindings/" + long, bindBody(), nil, 400, invalid, "200"},
		{"no instance id", put, "/v2/service_instances/", provisionBody(), nil, 400, invalid, ""},
		{"no instance id, but a binding's", put, "/v2/service_instances//service_bindings/b1", bindBody(), nil, 400, invalid, ""},
		{"a way out", put, "/v2/service_instances/%2e%2e", provisionBody(), nil, 400, invalid, ""},
		{"a way out in the middle", get, "/v2/service_instances/../catalog", "", nil, 400, invalid, ""},

		// What is sent.
		{"no body", put, instanceURL, "", nil, 400, invalid, "empty"},
		{"half an object", put, instanceURL, `{"service_id":`, nil, 400, invalid, "byte 14"},
		{"no JSON", put, instanceURL, `service_id=x`, nil, 400, invalid, "JSON object"},
		{"null", put, instanceURL, `null`, nil, 400, invalid, "JSON object"},
		{"a list", put, instanceURL, `[]`, nil, 400, invalid, "JSON object"},
		{"trailing garbage", put, instanceURL, provisionBody() + "x", nil, 400, invalid, "one valid JSON object"},
		{"two objects", put, instanceURL, provisionBody() + provisionBody(), nil, 400, invalid, ""},
		{"not UTF-8", put, instanceURL, "{\"service_id\":\"\xff\"}", nil, 400, invalid, "UTF-8"},
		{"too deep", put, instanceURL, `{"parameters":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, nil, 400, invalid, ""},
		{"2 MB", put, instanceURL, provisionBody("padding", strings.Repeat("x", 2<<20)), nil, 413, "BodyTooLarge", "1 MiB"},
		{"2 MB, on a bind", put, bindingURL, bindBody("padding", strings.Repeat("x", 2<<20)), nil, 413, "BodyTooLarge", ""},
		{"plain text", put, instanceURL, provisionBody(), []string{"Content-Type", "text/plain"}, 400, invalid, "Content-Type: application/json"},
		{"XML", put, bindingURL, bindBody(), []string{"Content-Type", "application/xml"}, 400, invalid, ""},
		{"a form with files", put, bindingURL, bindBody(), []string{"Content-Type", "multipart/form-data; boundary=x"}, 400, invalid, ""},
		{"no type at all", put, instanceURL, provisionBody(), []string{"Content-Type", "json"}, 400, invalid, ""},
		{"half an object, on a bind", put, bindingURL, `{"service_id":`, nil, 400, invalid, ""},
		{"half an object, on an update", patch, instanceURL, `{"service_id":`, nil, 400, invalid, ""},
		{"a number as service_id", put, instanceURL, provisionBody("service_id", 5), nil, 400, invalid, "service_id is of the wrong type"},
		{"a number as plan_id", put, bindingURL, bindBody("plan_id", 5), nil, 400, invalid, "plan_id is of the wrong type"},
		{"a string as bind_resource", put, bindingURL, bindBody("bind_resource", "app"), nil, 400, invalid, "bind_resource"},
		{"a number as app_guid", put, bindingURL, bindBody("bind_resource", object{"app_guid": 5}), nil, 400, invalid, "app_guid"},
		{"a string as maintenance_info", put, instanceURL, provisionBody("maintenance_info", "1"), nil, 400, invalid, "maintenance_info"},
		{"a string as context", put, instanceURL, provisionBody("context", "x"), nil, 400, invalid, "context must be"},
		{"a list as context, on a bind", put, bindingURL, bindBody("context", []string{}), nil, 400, invalid, "context must be"},
		{"a number as a name", put, instanceURL, provisionBody("context", object{"organization_name": 5}), nil, 400, invalid, "in context"},
		{"a name with a zero byte", put, instanceURL, provisionBody("context", object{"space_name": "a\x00"}), nil, 400, invalid, "in context"},
		{"a name that is too long", put, instanceURL, provisionBody("context", object{"instance_name": strings.Repeat("x", 2000)}), nil, 400, invalid, "in context"},

		// What is missing.
		{"provision: nothing", put, instanceURL, `{}`, nil, 400, invalid, "service_id, plan_id, organization_guid, space_guid are missing"},
		{"provision: no service_id", put, instanceURL, provisionBody("service_id", nil), nil, 400, invalid, "service_id is missing"},
		{"provision: no plan_id", put, instanceURL, provisionBody("plan_id", nil), nil, 400, invalid, "plan_id is missing"},
		{"provision: no organization_guid", put, instanceURL, provisionBody("organization_guid", nil), nil, 400, invalid, "organization_guid is missing"},
		{"provision: an empty space_guid", put, instanceURL, provisionBody("space_guid", ""), nil, 400, invalid, "space_guid is missing"},
		{"bind: nothing", put, bindingURL, `{}`, nil, 400, invalid, "service_id, plan_id are missing"},
		{"bind: a predecessor alone", put, bindingURL, `{"predecessor_binding_id":"b0"}`, nil, 400, invalid, "are missing"},
		{"update: no service_id", patch, instanceURL, `{}`, nil, 400, invalid, "service_id is missing"},
		{"deprovision: nothing", del, instanceURL, "", nil, 400, invalid, "service_id, plan_id are missing"},
		{"deprovision: no plan_id", del, instanceURL + "?service_id=" + serviceID, "", nil, 400, invalid, "plan_id is missing"},
		{"unbind: nothing", del, bindingURL, "", nil, 400, invalid, "service_id, plan_id are missing"},
		{"unbind: no service_id", del, bindingURL + "?plan_id=" + prodPlan, "", nil, 400, invalid, "service_id is missing"},

		// What does not fit.
		{"provision: a foreign service", put, instanceURL, provisionBody("service_id", "other"), nil, 400, "ServiceUnknown", ""},
		{"provision: a foreign plan", put, instanceURL, provisionBody("plan_id", "other"), nil, 400, "PlanUnknown", "prod, dev"},
		{"bind: a foreign service", put, bindingURL, bindBody("service_id", "other"), nil, 400, "ServiceUnknown", ""},
		{"bind: a foreign plan", put, bindingURL, bindBody("plan_id", "other"), nil, 400, "PlanUnknown", ""},
		{"deprovision: another plan than the instance's", del, instanceURL + "?service_id=" + serviceID + "&plan_id=" + devPlan, "", nil, 400, "PlanUnknown", "this instance has"},
		{"deprovision: another service", del, instanceURL + "?service_id=x&plan_id=" + prodPlan, "", nil, 400, "ServiceUnknown", ""},
		{"unbind: another plan than the instance's", del, bindingURL + "?service_id=" + serviceID + "&plan_id=" + devPlan, "", nil, 400, "PlanUnknown", ""},
		{"get instance: another plan", get, instanceURL + "?plan_id=" + devPlan, "", nil, 400, "PlanUnknown", ""},
		{"get binding: another service", get, bindingURL + "?service_id=x", "", nil, 400, "ServiceUnknown", ""},
		{"an organization_guid that cannot be one", put, instanceURL, provisionBody("organization_guid", "a b"), nil, 400, invalid, "organization_guid"},
		{"a space_guid that cannot be one", put, instanceURL, provisionBody("space_guid", "a/b"), nil, 400, invalid, "space_guid"},
		{"an app_guid that cannot be one", put, bindingURL, bindBody("app_guid", nil, "bind_resource", object{"app_guid": "a\nb"}), nil, 400, invalid, "app_guid"},
		{"two app_guids", put, bindingURL, bindBody("app_guid", "app-2"), nil, 400, invalid, "must be the same"},
		{"two spaces", put, bindingURL, bindBody("bind_resource", object{"space_guid": "another"}), nil, 400, "SpaceForeign", "another space"},
		{"a maintenance_info", put, instanceURL, provisionBody("maintenance_info", object{"version": "1.0.0"}), nil, 422, "MaintenanceInfoConflict", ""},
		{"a maintenance_info, on an update", patch, instanceURL, with(object{"service_id": serviceID, "maintenance_info": object{"version": "1.0.0"}}), nil, 422, "MaintenanceInfoConflict", ""},

		// Parameters.
		{"a string as parameters", put, instanceURL, parameters("x"), nil, 400, "ParametersInvalid", "must be a JSON object"},
		{"a list as parameters, on a bind", put, bindingURL, bindParameters([]string{}), nil, 400, "ParametersInvalid", "must be a JSON object"},
		{"an unknown key", put, instanceURL, parameters(object{"role": []string{"space_auditor"}}), nil, 400, "ParametersInvalid", `"role" is not a parameter here (allowed: authorities, roles, rotation_period)`},
		{"an unknown key, on a bind", put, bindingURL, bindParameters(object{"client": true}), nil, 400, "ParametersInvalid", "(allowed: airflow, app_client, authorities, connection_id, expires_in, roles, token_lifetime)"},
		{"a string as authorities", put, bindingURL, bindParameters(object{"authorities": "orders.read"}), nil, 400, "ParametersInvalid", "must be a list"},
		{"a number as an authority", put, bindingURL, bindParameters(object{"authorities": []any{5}}), nil, 400, "ParametersInvalid", "authorities[0] must be a string"},
		{"two in one string", put, bindingURL, bindParameters(object{"authorities": []string{"orders.read,uaa.admin"}}), nil, 400, "ParametersInvalid", `"orders.read,uaa.admin"`},
		{"a connection id that is none", put, bindingURL, bindParameters(object{"connection_id": "../x"}), nil, 400, "ParametersInvalid", `"../x" cannot be used`},

		// Parameters of an instance.
		{"provision: null as a list", put, instanceURL, parameters(object{"authorities": nil}), nil, 400, "ParametersInvalid", "authorities must be a list of strings"},
		{"provision: an empty list", put, instanceURL, parameters(object{"authorities": []string{}}), nil, 400, "ParametersInvalid", "name at least one, or leave the key out"},
		{"provision: one authority twice", put, instanceURL, parameters(object{"authorities": []string{"orders.read", "orders.read"}}), nil, 400, "ParametersInvalid", "authorities[1] repeats authorities[0]"},
		{"provision: a key of a bind", put, instanceURL, parameters(object{"connection_id": "acme_x"}), nil, 400, "ParametersInvalid", "(allowed: authorities, roles, rotation_period)"},
		{"provision: a number as a period", put, instanceURL, parameters(object{"rotation_period": 4}), nil, 400, "ParametersInvalid", `rotation_period must be a string, such as "4h"`},
		{"provision: a day as a period", put, instanceURL, parameters(object{"rotation_period": "1d"}), nil, 400, "ParametersInvalid", "such as 4h, 90m or 1h30m"},
		{"provision: no period at all", put, instanceURL, parameters(object{"rotation_period": "0h"}), nil, 400, "ParametersInvalid", "more than none"},
		{"provision: a negative period", put, instanceURL, parameters(object{"rotation_period": "-4h"}), nil, 400, "ParametersInvalid", `"-4h" is not a duration`},
		{"provision: a short period", put, instanceURL, parameters(object{"rotation_period": "59m"}), nil, 400, "NotAllowed", "plan prod allows 1h to 24h (rule plan-rotation-period)"},
		{"provision: a long period", put, instanceURL, parameters(object{"rotation_period": "24h0m1s"}), nil, 400, "NotAllowed", "plan prod allows 1h to 24h"},
		{"provision: a string as roles", put, instanceURL, parameters(object{"roles": "space_auditor"}), nil, 400, "ParametersInvalid", `roles must be a list of strings, such as ["space_auditor"]`},
		{"provision: an unknown role", put, instanceURL, parameters(object{"roles": []string{"admin"}}), nil, 400, "ParametersInvalid", "there are space_auditor, space_developer"},
		{"provision: a role", put, instanceURL, parameters(object{"roles": []string{"space_auditor"}}), nil, 400, "NotAllowed", "no Cloud Controller is configured for environment prod; leave roles out (rule plan-roles)"},
		{"provision: a retired plan", put, instanceURL, provisionBody("plan_id", oldPlan), nil, 400, "NotAllowed", "plan old is retired: what was made of it goes on working, but an instance cannot be made of it any more, so use another plan (rule plan-retired)"},
		{"provision: four problems", put, instanceURL, parameters(object{"authorities": []string{"uaa.admin", "billing.read"}, "roles": []string{"space_auditor"}, "rotation_period": "1m"}), nil, 400, "NotAllowed", "rule plan-rotation-period"},
		{"provision: parameters of 65 kB", put, instanceURL, parameters(object{"authorities": []string{strings.Repeat("x", 65<<10)}}), nil, 400, "ParametersInvalid", "larger than 64 KiB"},

		// Parameters of a bind.
		{"bind: a key of an instance", put, bindingURL, bindParameters(object{"rotation_period": "4h"}), nil, 400, "ParametersInvalid", `"rotation_period" is not a parameter here`},
		{"bind: another case of a key", put, bindingURL, bindParameters(object{"App_Client": true}), nil, 400, "ParametersInvalid", `"App_Client" is not a parameter here`},
		{"bind: an empty list", put, bindingURL, bindParameters(object{"authorities": []string{}}), nil, 400, "ParametersInvalid", "authorities is empty"},
		{"bind: a string as app_client", put, bindingURL, bindParameters(object{"app_client": "true"}), nil, 400, "ParametersInvalid", "app_client must be true or false, without quotes"},
		{"bind: null as app_client", put, bindingURL, bindParameters(object{"app_client": nil}), nil, 400, "ParametersInvalid", "app_client must be true or false"},
		{"bind: a number as airflow", put, bindingURL, bindParameters(object{"airflow": 0}), nil, 400, "ParametersInvalid", "airflow must be true or false"},
		{"bind: nothing to make", put, bindingURL, bindParameters(object{"airflow": false}), nil, 400, "ParametersInvalid", "send app_client true as well, or leave airflow out"},
		{"bind: nothing to make, said twice", put, bindingURL, bindParameters(object{"airflow": false, "app_client": false}), nil, 400, "ParametersInvalid", "nothing would be made"},
		{"bind: a name for no connection", put, bindingURL, bindParameters(object{"airflow": false, "app_client": true, "connection_id": "acme_x"}), nil, 400, "ParametersInvalid", "leave one of the two out"},
		{"bind: an end of no client", put, bindingURL, bindParameters(object{"expires_in": "1h"}), nil, 400, "ParametersInvalid", "send app_client true or leave expires_in out"},
		{"bind: a number as an end", put, bindingURL, bindParameters(object{"app_client": true, "expires_in": 720}), nil, 400, "ParametersInvalid", "expires_in must be a string"},
		{"bind: a date as an end", put, bindingURL, bindParameters(object{"app_client": true, "expires_in": "2030-01-01"}), nil, 400, "ParametersInvalid", `expires_in "2030-01-01" is not a duration`},
		{"bind: no time at all", put, bindingURL, bindParameters(object{"app_client": true, "expires_in": "0s"}), nil, 400, "ParametersInvalid", "more than none"},
		{"bind: a number as a token life", put, bindingURL, bindParameters(object{"token_lifetime": 600}), nil, 400, "ParametersInvalid", "token_lifetime must be a string"},
		{"bind: milliseconds as a token life", put, bindingURL, bindParameters(object{"token_lifetime": "600000ms"}), nil, 400, "ParametersInvalid", "whole hours, minutes and seconds"},
		{"bind: a string as roles", put, bindingURL, bindParameters(object{"roles": "space_auditor"}), nil, 400, "ParametersInvalid", "roles must be a list"},
		{"bind: an org's role", put, bindingURL, bindParameters(object{"roles": []string{"organization_manager"}}), nil, 400, "ParametersInvalid", `roles[0] "organization_manager" is not a space role`},
		{"bind: a number as a role", put, bindingURL, bindParameters(object{"roles": []any{1}}), nil, 400, "ParametersInvalid", "roles[0] must be a string"},
		{"bind: a path as an id", put, bindingURL, bindParameters(object{"connection_id": "test"}), nil, 400, "ParametersInvalid", "neither test nor defaults"},
		{"bind: a list as an id", put, bindingURL, bindParameters(object{"connection_id": []string{"acme_x"}}), nil, 400, "ParametersInvalid", "connection_id must be a string"},
		{"bind: everything at once", put, bindingURL, bindParameters(object{"x": 1, "authorities": "a.b", "airflow": false, "expires_in": "h", "connection_id": "1"}), nil, 400, "ParametersInvalid", `"x" is not a parameter here`},

		// Updates.
		{"update: no body", patch, instanceURL, "", nil, 400, invalid, "empty"},
		{"update: a list", patch, instanceURL, "[]", nil, 400, invalid, "JSON object"},
		{"update: plain text", patch, instanceURL, updateBody(), []string{"Content-Type", "text/plain"}, 400, invalid, "Content-Type: application/json"},
		{"update: 2 MB", patch, instanceURL, updateBody("padding", strings.Repeat("x", 2<<20)), nil, 413, "BodyTooLarge", "1 MiB"},
		{"update: an empty service_id", patch, instanceURL, updateBody("service_id", ""), nil, 400, invalid, "service_id is missing"},
		{"update: a foreign service", patch, instanceURL, updateBody("service_id", "other"), nil, 400, "ServiceUnknown", "cf update-service-broker"},
		{"update: a foreign service and a plan", patch, instanceURL, updateBody("service_id", "other", "plan_id", prodPlan), nil, 400, "ServiceUnknown", ""},
		{"update: a foreign plan", patch, instanceURL, updateBody("plan_id", "other"), nil, 400, "PlanUnknown", "prod, dev, small, old"},
		{"update: a number as plan_id", patch, instanceURL, updateBody("plan_id", 5), nil, 400, invalid, "plan_id is of the wrong type"},
		{"update: a string as previous_values", patch, instanceURL, updateBody("previous_values", "x"), nil, 400, invalid, "previous_values"},
		{"update: a string as context", patch, instanceURL, updateBody("context", "x"), nil, 400, invalid, "context must be"},
		{"update: a name in two lines", patch, instanceURL, updateBody("context", object{"instance_name": "a\nb"}), nil, 400, invalid, "in context"},
		{"update: another platform", patch, instanceURL, updateBody(), []string{originatingIdentityHeader, originating("kubernetes", `{}`)}, 400, invalid, "same"},
		{"update: a string as parameters", patch, instanceURL, updateParameters("x"), nil, 400, "ParametersInvalid", "must be a JSON object"},
		{"update: an unknown key", patch, instanceURL, updateParameters(object{"connection_id": "acme_x"}), nil, 400, "ParametersInvalid", "(allowed: authorities, roles, rotation_period)"},
		{"update: an empty list", patch, instanceURL, updateParameters(object{"authorities": []string{}}), nil, 400, "ParametersInvalid", "authorities is empty"},
		{"update: null as a list", patch, instanceURL, updateParameters(object{"authorities": nil}), nil, 400, "ParametersInvalid", "must be a list of strings"},
		{"update: two in one string", patch, instanceURL, updateParameters(object{"authorities": []string{"orders.read,uaa.admin"}}), nil, 400, "ParametersInvalid", "rule authority-grammar"},
		{"update: a bad period", patch, instanceURL, updateParameters(object{"rotation_period": "often"}), nil, 400, "ParametersInvalid", `rotation_period "often" is not a duration`},
		{"update: a bad role", patch, instanceURL, updateParameters(object{"roles": []string{"root"}}), nil, 400, "ParametersInvalid", "not a space role"},
		{"update: an upgrade", patch, instanceURL, updateBody("maintenance_info", object{"version": "2.0.0"}), nil, 422, "MaintenanceInfoConflict", "cf update-service-broker"},

		// Polling and fetching.
		{"last operation: a binding's id that is none", get, instanceURL + "/service_bindings/a%20b/last_operation", "", nil, 400, invalid, "letters, digits"},
		{"last operation: a wrong method", del, instanceURL + "/last_operation", "", nil, 405, "MethodNotAllowed", "GET"},
		{"last operation: more behind it", get, instanceURL + "/last_operation/x", "", nil, 404, "PathUnknown", ""},
		{"get binding: another environment's plan", get, bindingURL + "?plan_id=" + devPlan, "", nil, 400, "PlanUnknown", "this instance has"},
		{"unbind: another service", del, bindingURL + "?service_id=x&plan_id=" + prodPlan, "", nil, 400, "ServiceUnknown", ""},
		{"unbind: ids in a body alone", del, bindingURL, `{"service_id":"` + serviceID + `","plan_id":"` + prodPlan + `"}`, nil, 400, invalid, "are missing"},
		{"deprovision: empty ids", del, instanceURL + "?service_id=&plan_id=", "", nil, 400, invalid, "service_id, plan_id are missing"},

		{"beyond the plan", put, instanceURL, parameters(object{"authorities": []string{"billing.read"}}), nil, 400, "NotAllowed", "plan-authorities"},
	}
	if len(rows) < 150 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
			got := w.send(row.method, row.path, row.body, row.headers...)
			if got.status != row.status || got.word(t) != row.word || got.description(t) == "" || !strings.Contains(got.description(t), row.says) {
				t.Errorf("got %d %s, want %d %s %q", got.status, got.body, row.status, row.word, row.says)
			}
			if asked := w.core.asked(); len(asked) != 0 {
				t.Errorf("the core was asked to %v", asked)
			}
			if got.header.Get(requestIdentityHeader) == "" {
				t.Error("the answer has no request id")
			}
		})
	}
}

func TestABindOfAnotherPlanThanTheInstancesIsRefusedByTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
	got := w.send(http.MethodPut, bindingURL, bindBody("plan_id", devPlan))
	if got.status != http.StatusBadRequest || got.word(t) != "PlanUnknown" || len(w.core.grants) != 0 {
		t.Errorf("got %d %s, %v, want 400 PlanUnknown", got.status, got.body, w.core.grants)
	}
}

func TestABindFromAnotherSpaceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
	for name, body := range map[string]string{
		"by its app":     bindBody("context", nil, "bind_resource", object{"app_guid": "app-1", "space_guid": "another"}),
		"by its context": bindBody("bind_resource", nil, "context", object{"space_guid": "another"}),
	} {
		if got := w.send(http.MethodPut, bindingURL, body); got.status != http.StatusBadRequest || got.word(t) != "SpaceForeign" {
			t.Errorf("%s: got %d %s, want 400 SpaceForeign", name, got.status, got.body)
		}
	}
}

func TestWhatClientsSayOfTheirBodies(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"-", "application/json", "application/json; charset=utf-8", "Application/JSON", "application/x-www-form-urlencoded"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &core{instance: ordersInstance(), bound: ordersBound()})
			if got := w.send(http.MethodPut, instanceURL, provisionBody(), "Content-Type", kind); got.status != http.StatusCreated {
				t.Errorf("provision: got %d %s, want 201", got.status, got.body)
			}
			if got := w.send(http.MethodPut, bindingURL+"?accepts_incomplete=true", bindBody(), "Content-Type", kind); got.status != http.StatusCreated {
				t.Errorf("bind: got %d %s, want 201", got.status, got.body)
			}
		})
	}
}

func TestOneIDHasOneSpelling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{})
	got := w.send(http.MethodPut, "/v2/service_instances/%69%31", provisionBody())
	if got.status != http.StatusCreated || w.core.provisioned[0].Instance != "i1" {
		t.Errorf("got %d %s, %+v, want instance i1", got.status, got.body, w.core.provisioned)
	}
}

func TestVersionsThatAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance()})
	for _, version := range []string{"2.13", "2.14", "2.15", "2.17", "2.99"} {
		if got := w.send(http.MethodPut, instanceURL, provisionBody(), apiVersionHeader, version); got.status != http.StatusCreated {
			t.Errorf("%s: got %d %s, want 201", version, got.status, got.body)
		}
	}
}

func TestHeadIsNotAnsweredAsGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{instance: ordersInstance()})
	if got := w.send(http.MethodHead, instanceURL, ""); got.status != http.StatusMethodNotAllowed {
		t.Errorf("got %d, want 405", got.status)
	}
}
