package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
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
			if !slices.Equal(bind.Authorities, want.Authorities) || bind.ConnectionID != want.ConnectionID {
				t.Errorf("got %+v, want %+v", bind, want)
			}
			if strings.Contains(row.canonical, "connection_id") {
				return
			}
			provision, canonical, err := c.ParseProvision(json.RawMessage(row.raw))
			if err != nil || string(canonical) != row.canonical || !slices.Equal(provision.Authorities, want.Authorities) {
				t.Errorf("provision: got %+v, %s, %v", provision, canonical, err)
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
		{"a list", `[]`, []string{"must be a JSON object", "authorities, connection_id"}},
		{"a string", `"x"`, []string{"must be a JSON object"}},
		{"a number", `5`, []string{"must be a JSON object"}},
		{"unknown key", `{"expires_in":"5h"}`, []string{`"expires_in" is not a parameter here`, "allowed: authorities, connection_id"}},
		{"a key of later", `{"roles":["space_auditor"]}`, []string{`"roles" is not a parameter here`}},
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
	if err == nil || !strings.Contains(err.Error(), "(allowed: authorities)") {
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
		`{"connection_id":"a..b"}`, `{"authorities":{"a":[1,{"b":null}]}}`, `{"authorities":["\ud800"]}`, `{"":0}`, "\xff", `{"a":1e999}`} {
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
		if !slices.Equal(parameters.Authorities, again.Authorities) || parameters.ConnectionID != again.ConnectionID {
			t.Fatalf("got %+v, then %+v", parameters, again)
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
