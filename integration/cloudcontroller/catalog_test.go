package cloudcontroller

import (
	"fmt"
	"strings"
	"testing"
)

func TestCatalogs(t *testing.T) {
	t.Parallel()
	plan := func(more string) string {
		return `{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plans":[{"id":"p","name":"small","description":"d"` + more + `}]}]}`
	}
	schema := func(text string) string {
		return plan(`,"schemas":{"service_binding":{"create":{"parameters":` + text + `}}}`)
	}
	const draft4 = `"$schema":"http://json-schema.org/draft-04/schema#"`
	for _, c := range []struct{ name, catalog, problem string }{
		{"plain", plain(), ""},
		{"no JSON", `<html>`, "expected valid JSON object"},
		{"nothing", `{}`, "at least one service"},
		{"no plan", `{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plans":[]}]}`, "at least one plan"},
		{"no id", `{"services":[{"name":"svc","description":"d","bindable":true,"plans":[{"id":"p","name":"small","description":"d"}]}]}`, "Service id must be a string"},
		{"no bindable", `{"services":[{"id":"s","name":"svc","description":"d","plans":[{"id":"p","name":"small","description":"d"}]}]}`, "bindable must be a boolean"},
		{"one id twice", `{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plans":[{"id":"s","name":"small","description":"d"}]}]}`, `Plan id "s" must be unique`},
		{"one name twice", `{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plans":[{"id":"p","name":"n","description":"d"},{"id":"q","name":"n","description":"d"}]}]}`, `Plan name "n" must be unique`},
		{"no description", `{"services":[{"id":"s","name":"svc","bindable":true,"plans":[{"id":"p","name":"small","description":"d"}]}]}`, "Service description must be a string"},
		{"long description", strings.Replace(plain(), `"description":"d"`, fmt.Sprintf(`"description":"%s"`, strings.Repeat("d", 10_001)), 1), "may not have more than 10000"},
		{"long tags", strings.Replace(plain(), `"bindable"`, fmt.Sprintf(`"tags":["%s"],"bindable"`, strings.Repeat("t", 2_049)), 1), "tags must have no more than 2048"},
		{"half a dashboard client", strings.Replace(plain(), `"bindable"`, `"dashboard_client":{"id":"c"},"bindable"`, 1), "dashboard client needs"},
		{"negative polling", plan(`,"maximum_polling_duration":-1`), "maximum_polling_duration must be"},
		{"maintenance", plan(`,"maintenance_info":{"version":"1.2.3-rc.1+x","description":"new"}`), ""},
		{"maintenance without a semantic version", plan(`,"maintenance_info":{"version":"1.2"}`), "semantic version"},
		{"maintenance with another key", plan(`,"maintenance_info":{"version":"1.2.3","public":{}}`), `invalid key "public"`},
		{"maintenance that is a text", plan(`,"maintenance_info":"1.2.3"`), "must be an object"},
		{"long maintenance", plan(fmt.Sprintf(`,"maintenance_info":{"version":"1.2.3","description":"%s"}`, strings.Repeat("d", 2_000))), "larger than 2000"},
		{"schema", schema(`{` + draft4 + `,"type":"object","properties":{"a":{"$ref":"#/definitions/a"}},"definitions":{"a":{"type":"string"}}}`), ""},
		{"schema of nothing", schema(`null`), ""},
		{"schema without $schema", schema(`{"type":"object"}`), "must have $schema"},
		{"schema that refers elsewhere", schema(`{` + draft4 + `,"items":[{"$ref":"http://example.com/s.json"}]}`), "no external references"},
		{"schema that is no draft-04", schema(`{` + draft4 + `,"type":"thing"}`), "schema service_binding.create.parameters is not valid"},
		{"schema of draft 6", schema(`{` + draft4 + `,"exclusiveMinimum":3}`), "schema service_binding.create.parameters is not valid"},
		{"large schema", schema(fmt.Sprintf(`{%s,"title":"%s"}`, draft4, strings.Repeat("s", 64*1024))), "larger than 64KB"},
		{"schema that is a list", schema(`[]`), "no object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			s.catalog = c.catalog
			p := s.unregistered(t)
			err := p.CreateServiceBroker(t.Context())
			if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
				t.Errorf("got %v, want %q", err, c.problem)
			}
			if err != nil && len(p.Marketplace()) != 0 {
				t.Error("a refused catalog is in the marketplace")
			}
		})
	}
	s := newStub(t)
	p := s.platform(t)
	if got := kindOf(p.CreateServiceBroker(t.Context())); got != Refused {
		t.Errorf("a broker that is there: got %s", got)
	}
	s.on(CallCatalog, 500, `{}`)
	if got := kindOf(p.UpdateServiceBroker(t.Context())); got != BadResponse || len(p.Marketplace()) != 1 {
		t.Errorf("a catalog that cannot be read: got %s, and the old one must stay", got)
	}
}

func plain() string {
	return `{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plans":[{"id":"p","name":"small","description":"d"}]}]}`
}
