package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParametersThatAreAccepted(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)

	rows := []struct{ name, raw, canonical string }{
		{"absent", ``, `{}`},
		{"null", `null`, `{}`},
		{"null with white space", " null\n", `{}`},
		{"empty", `{}`, `{}`},
		{"one", `{"authorities":["orders.read"]}`, `{"authorities":["orders.read"]}`},
		{"sorted as a set", `{"authorities":["orders.write","orders.read"]}`, `{"authorities":["orders.read","orders.write"]}`},
		{"spread out", "{ \"authorities\" : [ \"orders.read\" ] }", `{"authorities":["orders.read"]}`},
		{"escaped", `{"authorities":["orders.read"]}`, `{"authorities":["orders.read"]}`},
		{"keys sorted", `{"connection_id":"acme_x","authorities":["b.c","a.b"]}`, `{"authorities":["a.b","b.c"],"connection_id":"acme_x"}`},
		{"the last of a repeated key", `{"authorities":["a.b"],"authorities":["c.d"]}`, `{"authorities":["c.d"]}`},
		{"longest authority", fmt.Sprintf(`{"authorities":["a.%s"]}`, strings.Repeat("b", 126)), fmt.Sprintf(`{"authorities":["a.%s"]}`, strings.Repeat("b", 126))},
		{"longest id", fmt.Sprintf(`{"connection_id":"%s"}`, strings.Repeat("b", 200)), fmt.Sprintf(`{"connection_id":"%s"}`, strings.Repeat("b", 200))},
		{"id with everything", `{"connection_id":"a.b-c_9"}`, `{"connection_id":"a.b-c_9"}`},
		{"no roles", `{"roles":[]}`, `{"roles":[]}`},
		{"roles, sorted as a set", `{"roles":["space_developer","space_auditor"]}`, `{"roles":["space_auditor","space_developer"]}`},
		{"a token life", `{"token_lifetime":"10m"}`, `{"token_lifetime":"10m"}`},
		{"a token life, spelt otherwise", `{"token_lifetime":"600s"}`, `{"token_lifetime":"600s"}`},
		{"a client", `{"app_client":true}`, `{"app_client":true}`},
		{"a client that ends", `{"expires_in":"1h30m","app_client":true}`, `{"app_client":true,"expires_in":"1h30m"}`},
		{"no client", `{"app_client":false}`, `{"app_client":false}`},
		{"a connection, said", `{"airflow":true}`, `{"airflow":true}`},
		{"a client only", `{"app_client":true,"airflow":false}`, `{"airflow":false,"app_client":true}`},
		{"everything", `{"token_lifetime":"1m","connection_id":"acme_x","app_client":true,"airflow":true,"expires_in":"720h","authorities":["a.b"],"roles":[]}`,
			`{"airflow":true,"app_client":true,"authorities":["a.b"],"connection_id":"acme_x","expires_in":"720h","roles":[],"token_lifetime":"1m"}`},
		{"the longest duration", `{"token_lifetime":"999999h999999m999999s"}`, `{"token_lifetime":"999999h999999m999999s"}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			bind, canonical, err := c.ParseBind(json.RawMessage(row.raw))
			if err != nil || string(canonical) != row.canonical {
				t.Fatalf("got %s, %v, want %s", canonical, err, row.canonical)
			}
			var want BindParameters
			if err := json.Unmarshal([]byte(row.canonical), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(bind, want) {
				t.Errorf("got %+v, want %+v", bind, want)
			}
			for _, key := range []string{"connection_id", "token_lifetime", "app_client", "airflow"} {
				if strings.Contains(row.canonical, key) {
					return
				}
			}
			provision, canonical, err := c.ParseProvision(json.RawMessage(row.raw))
			if err != nil || string(canonical) != row.canonical || !slices.Equal(provision.Authorities, want.Authorities) {
				t.Errorf("provision: got %+v, %s, %v", provision, canonical, err)
			}
			update, err := c.ParseUpdate(json.RawMessage(row.raw))
			if err != nil || string(update.canonical) != row.canonical || !slices.Equal(update.Authorities, want.Authorities) {
				t.Errorf("update: got %+v, %v", update, err)
			}
		})
	}
}

func TestParametersThatAreRefused(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)

	long := strings.Repeat("x", 300)
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"orders.n%d"`, i))
		}
		return `{"authorities":[` + strings.Join(list, ",") + `]}`
	}
	rows := []struct {
		name, raw string
		want      []string
	}{
		{"not JSON", `{"a"`, []string{"not valid JSON"}},
		{"trailing garbage", `{} {}`, []string{"not valid JSON"}},
		{"a list", `[]`, []string{"must be a JSON object", "airflow, app_client, authorities, connection_id, expires_in, roles, token_lifetime"}},
		{"a string", `"x"`, []string{"must be a JSON object"}},
		{"a number", `5`, []string{"must be a JSON object"}},
		{"unknown key", `{"expires":"5h"}`, []string{`"expires" is not a parameter here`, "allowed: airflow, app_client, authorities, connection_id, expires_in, roles, token_lifetime"}},
		{"a key of provision", `{"rotation_period":"4h"}`, []string{`"rotation_period" is not a parameter here`}},
		{"two unknown keys", `{"b":1,"a":2}`, []string{`"a", "b" are not parameters here`}},
		{"another case of a known key", `{"Authorities":["orders.read"]}`, []string{`"Authorities" is not a parameter here`}},
		{"a huge unknown key", `{"` + long + `":1}`, []string{"is not a parameter here", "…"}},
		{"null as a list", `{"authorities":null}`, []string{"authorities must be a list of strings"}},
		{"a string as a list", `{"authorities":"orders.read"}`, []string{"authorities must be a list of strings"}},
		{"an empty list", `{"authorities":[]}`, []string{"authorities is empty"}},
		{"a number in a list", `{"authorities":["orders.read",5]}`, []string{"authorities[1] must be a string"}},
		{"two in one string", `{"authorities":["orders.read,uaa.admin"]}`, []string{`authorities[0] "orders.read,uaa.admin" is not one UAA authority`, "(rule authority-grammar)"}},
		{"two in one string, with a space", `{"authorities":["orders.read uaa.admin"]}`, []string{`"orders.read uaa.admin"`}},
		{"one segment", `{"authorities":["orders"]}`, []string{`"orders" is not one UAA authority`}},
		{"a capital", `{"authorities":["Orders.read"]}`, []string{`"Orders.read"`}},
		{"a wildcard", `{"authorities":["orders.*"]}`, []string{`"orders.*"`}},
		{"a line feed at the end", `{"authorities":["orders.read\n"]}`, []string{`"orders.read\n"`}},
		{"a zero byte", `{"authorities":["orders.read\u0000"]}`, []string{`"orders.read\x00"`}},
		{"letters that look alike", `{"authorities":["оrders.read"]}`, []string{`"\u043erders.read"`}},
		{"too long", `{"authorities":["a.` + long + `"]}`, []string{"at most 128 characters", "…"}},
		{"an empty string", `{"authorities":[""]}`, []string{`authorities[0] "" is not`}},
		{"twice the same", `{"authorities":["a.b","c.d","a.b"]}`, []string{"authorities[2] repeats authorities[0]"}},
		{"too many", many(101), []string{"authorities has 101 entries, at most 100"}},
		{"far too many", many(8000), []string{"larger than 64 KiB"}},
		{"a number as an id", `{"connection_id":5}`, []string{"connection_id must be a string"}},
		{"null as an id", `{"connection_id":null}`, []string{"connection_id must be a string"}},
		{"id: empty", `{"connection_id":""}`, []string{`connection_id "" cannot be used`}},
		{"id: too long", `{"connection_id":"a` + strings.Repeat("b", 200) + `"}`, []string{"connection_id", "cannot be used", "…"}},
		{"id: a digit first", `{"connection_id":"1a"}`, []string{`"1a" cannot be used`}},
		{"id: a dot first", `{"connection_id":".a"}`, []string{`".a" cannot be used`}},
		{"id: a capital", `{"connection_id":"Orders"}`, []string{`"Orders" cannot be used`}},
		{"id: a slash", `{"connection_id":"a/b"}`, []string{`"a/b" cannot be used`}},
		{"id: two dots", `{"connection_id":"a..b"}`, []string{`"a..b" cannot be used`}},
		{"id: test", `{"connection_id":"test"}`, []string{`"test" cannot be used`}},
		{"id: defaults", `{"connection_id":"defaults"}`, []string{`"defaults" cannot be used`}},
		{"id: a line feed", `{"connection_id":"a\n"}`, []string{`"a\n" cannot be used`}},
		{"roles: a string", `{"roles":"space_auditor"}`, []string{`roles must be a list of strings, such as ["space_auditor"]`}},
		{"roles: null", `{"roles":null}`, []string{"roles must be a list of strings"}},
		{"roles: unknown", `{"roles":["space_owner"]}`, []string{`roles[0] "space_owner" is not a space role: there are space_auditor, space_developer, space_manager, space_supporter`}},
		{"roles: an org's", `{"roles":["space_auditor","organization_manager"]}`, []string{`roles[1] "organization_manager" is not`}},
		{"roles: a number", `{"roles":[5]}`, []string{"roles[0] must be a string"}},
		{"roles: twice the same", `{"roles":["space_auditor","space_auditor"]}`, []string{"roles[1] repeats roles[0]"}},
		{"roles: a long one", `{"roles":["` + long + `"]}`, []string{"…", "is not a space role"}},
		{"duration: a number", `{"token_lifetime":600}`, []string{`token_lifetime must be a string, such as "4h"`}},
		{"duration: null", `{"token_lifetime":null}`, []string{"token_lifetime must be a string"}},
		{"duration: empty", `{"token_lifetime":""}`, []string{`token_lifetime "" is not a duration that can be asked for`, "such as 4h, 90m or 1h30m"}},
		{"duration: no unit", `{"token_lifetime":"600"}`, []string{`"600" is not a duration`}},
		{"duration: a day", `{"token_lifetime":"1d"}`, []string{`"1d" is not a duration`}},
		{"duration: a fraction", `{"token_lifetime":"1.5h"}`, []string{`"1.5h" is not a duration`}},
		{"duration: negative", `{"token_lifetime":"-1h"}`, []string{`"-1h" is not a duration`}},
		{"duration: signed", `{"token_lifetime":"+1h"}`, []string{`"+1h" is not a duration`}},
		{"duration: milliseconds", `{"token_lifetime":"600000ms"}`, []string{`"600000ms" is not a duration`}},
		{"duration: in another order", `{"token_lifetime":"30m1h"}`, []string{`"30m1h" is not a duration`}},
		{"duration: nothing", `{"token_lifetime":"0s"}`, []string{`"0s" is not a duration`, "more than none"}},
		{"duration: nothing at length", `{"token_lifetime":"000h00m000s"}`, []string{"more than none"}},
		{"duration: a unit alone", `{"token_lifetime":"h"}`, []string{`"h" is not a duration`}},
		{"duration: for ever", `{"token_lifetime":"99999999h"}`, []string{`"99999999h" is not a duration`}},
		{"duration: a line feed", `{"token_lifetime":"4h\n"}`, []string{`"4h\n" is not a duration`}},
		{"duration: digits of elsewhere", `{"token_lifetime":"٤h"}`, []string{`"\u0664h" is not a duration`}},
		{"expires_in: no duration", `{"app_client":true,"expires_in":"tomorrow"}`, []string{`expires_in "tomorrow" is not a duration`}},
		{"boolean: a string", `{"airflow":"false"}`, []string{"airflow must be true or false, without quotes"}},
		{"boolean: a number", `{"app_client":1}`, []string{"app_client must be true or false"}},
		{"boolean: null", `{"app_client":null}`, []string{"app_client must be true or false"}},
		{"nothing to make", `{"airflow":false}`, []string{"airflow is false and app_client is not true, so nothing would be made"}},
		{"nothing to make, said", `{"airflow":false,"app_client":false}`, []string{"so nothing would be made: send app_client true as well, or leave airflow out"}},
		{"an id without a connection", `{"airflow":false,"app_client":true,"connection_id":"acme_x"}`, []string{"connection_id is given although airflow is false"}},
		{"an end without a client", `{"expires_in":"5h"}`, []string{"expires_in is given although app_client is not true"}},
		{"an end without a client, said", `{"expires_in":"5h","app_client":false}`, []string{"expires_in is given although app_client is not true"}},
		{"every contradiction", `{"airflow":false,"connection_id":"acme_x","expires_in":"5h"}`,
			[]string{"nothing would be made", "connection_id is given", "expires_in is given"}},
		{"a contradiction and more", `{"airflow":false,"token_lifetime":"x","zzz":1}`, []string{"nothing would be made", `token_lifetime "x"`, `"zzz"`}},
		{"all at once", `{"zzz":1,"authorities":["A.b",3],"connection_id":"1"}`,
			[]string{`"zzz"`, `authorities[0] "A.b"`, "authorities[1] must be a string", `connection_id "1"`}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, canonical, err := c.ParseBind(json.RawMessage(row.raw))
			var refused *ParametersError
			if !errors.As(err, &refused) || canonical != nil {
				t.Fatalf("got %s, %v, want a *ParametersError", canonical, err)
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), long[:100]) {
				t.Errorf("the error repeats a value at length: %v", err)
			}
		})
	}
}

func TestTheGrammarOfAuthoritiesIsAGuardrail(t *testing.T) {
	t.Parallel()
	_, _, err := newCatalog(t).ParseProvision(json.RawMessage(`{"authorities":["a.b,c.d","E.f"]}`))
	var refused *ParametersError
	if !errors.As(err, &refused) || !slices.Equal(refused.Rules(), []string{RuleAuthorityGrammar}) {
		t.Errorf("got %v, want the rule %s, once", err, RuleAuthorityGrammar)
	}
	if err := invalid("x"); len(err.(*ParametersError).Rules()) != 0 {
		t.Error("a problem that is no guardrail's names one")
	}
}

func TestConnectionIDIsNoParameterOfProvision(t *testing.T) {
	t.Parallel()
	_, _, err := newCatalog(t).ParseProvision(json.RawMessage(`{"connection_id":"acme_x"}`))
	if err == nil || !strings.Contains(err.Error(), "(allowed: authorities, roles, rotation_period)") {
		t.Errorf("got %v, want a refusal that lists what is allowed", err)
	}
}

func TestManyProblemsAreCounted(t *testing.T) {
	t.Parallel()
	var list []string
	for i := range 30 {
		list = append(list, fmt.Sprintf("%q", fmt.Sprintf("BAD%d", i)))
	}
	_, _, err := newCatalog(t).ParseBind(json.RawMessage(`{"authorities":[` + strings.Join(list, ",") + `]}`))
	if err == nil || !strings.Contains(err.Error(), "and 20 more") || len(err.Error()) > 4000 {
		t.Errorf("got %v, want ten problems and the number of the others", err)
	}
	if !strings.Contains(err.Error(), `authorities[2] "BAD2"`) || strings.Contains(err.Error(), "BAD10") {
		t.Errorf("the problems are not in the order of the list: %v", err)
	}
}

// Whatever the bytes, parsing either refuses in a short sentence or gives a
// canonical form that parses to itself.
func FuzzParseBind(f *testing.F) {
	for _, seed := range []string{``, `null`, `{}`, `[]`, `{"authorities":["orders.read"]}`, `{"authorities":["a.b,c.d"],"connection_id":"x"}`,
		`{"connection_id":"a..b"}`, `{"authorities":{"a":[1,{"b":null}]}}`, `{"authorities":["\ud800"]}`, `{"":0}`, "\xff", `{"a":1e999}`,
		`{"airflow":false,"app_client":true,"expires_in":"1h"}`, `{"airflow":false}`, `{"token_lifetime":"999999h999999m999999s"}`, `{"roles":["space_auditor"]}`, `{"expires_in":"0h"}`} {
		f.Add([]byte(seed))
	}
	c, err := New(offering, []Plan{prod()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		parameters, canonical, err := c.ParseBind(raw)
		if err != nil {
			var refused *ParametersError
			if !errors.As(err, &refused) || len(err.Error()) > 8000 {
				t.Fatalf("got %v, want a short *ParametersError", err)
			}
			return
		}
		again, twice, err := c.ParseBind(canonical)
		if err != nil || string(twice) != string(canonical) {
			t.Fatalf("%s parses to %s, %v", canonical, twice, err)
		}
		if !reflect.DeepEqual(parameters, again) {
			t.Fatalf("got %+v, then %+v", parameters, again)
		}
		if parameters.TokenLifetime < 0 || parameters.ExpiresIn < 0 || parameters.ExpiresIn > 0 && !parameters.AppClient || !parameters.registers() && !parameters.AppClient {
			t.Fatalf("%+v passed", parameters)
		}
		for _, a := range parameters.Authorities {
			if !isAuthority(string(a)) {
				t.Fatalf("%q passed", a)
			}
		}
		if id := parameters.ConnectionID; id != "" && !isConnectionID(string(id)) {
			t.Fatalf("%q passed", id)
		}
	})
}

// An update's parameters go over those that the instance has, whatever either is:
// the outcome parses to itself, and nothing that is not named changes.
func FuzzParseUpdate(f *testing.F) {
	for _, seed := range [][2]string{
		{`{}`, `{}`}, {`null`, ``}, {`{"authorities":["a.b"]}`, `{"rotation_period":"4h"}`}, {`{"rotation_period":"4h"}`, `{"rotation_period":"8h","authorities":["c.d","a.b"]}`},
		{`{"roles":[]}`, `{"roles":["space_auditor"]}`}, {`[]`, `{"rotation_period":4}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	c, err := New(offering, []Plan{prod()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, had, raw []byte) {
		_, before, err := c.ParseProvision(had)
		if err != nil {
			return
		}
		update, err := c.ParseUpdate(raw)
		if err != nil {
			var refused *ParametersError
			if !errors.As(err, &refused) || len(err.Error()) > 8000 {
				t.Fatalf("got %v, want a short *ParametersError", err)
			}
			return
		}
		after, err := update.over(before)
		if err != nil {
			t.Fatal(err)
		}
		parameters, again, err := c.ParseProvision(after)
		if err != nil || string(again) != string(after) {
			t.Fatalf("%s parses to %s, %v", after, again, err)
		}
		if update.Authorities != nil && !slices.Equal(update.Authorities, parameters.Authorities) || update.RotationPeriod != 0 && update.RotationPeriod != parameters.RotationPeriod {
			t.Fatalf("%s over %s gives %s", update.canonical, before, after)
		}
		if unchanged, err := (UpdateParameters{}).over(after); err != nil || string(unchanged) != string(after) {
			t.Fatalf("nothing over %s gives %s, %v", after, unchanged, err)
		}
	})
}
