package catalog

import (
	"regexp"
	"testing"
	"time"

	"airflow-identity/identity"
)

func TestThePolicyHashFollowsWhatDecides(t *testing.T) {
	t.Parallel()

	hash := func(change func(*Plan)) string {
		plan := prod()
		change(&plan)
		return checked(t, plan).PolicyHash()
	}
	same := hash(func(*Plan) {})
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(same) {
		t.Fatalf("got %q, want sha256 in hex", same)
	}

	for name, change := range map[string]func(*Plan){
		"name":             func(p *Plan) { p.Name = "other" },
		"description":      func(p *Plan) { p.Description = "other" },
		"id":               func(p *Plan) { p.ID = "other" },
		"order of a list":  func(p *Plan) { p.Allow.Authorities = []string{"{{org}}.{{space}}.*", "orders.*"} },
		"defaults spelt":   func(p *Plan) { p.ConnectionTemplate, p.TokenLifetime = "{{org}}_{{instance}}", 10*time.Minute },
		"a repeated entry": func(p *Plan) { p.Allow.ConnectionIDs = append(p.Allow.ConnectionIDs, "shared_*") },
	} {
		if hash(change) != same {
			t.Errorf("%s changes the hash", name)
		}
	}
	seen := map[string]string{same: "nothing"}
	for name, change := range map[string]func(*Plan){
		"environment":    func(p *Plan) { p.Environment = "dev" },
		"authorities":    func(p *Plan) { p.Allow.Authorities = append(p.Allow.Authorities, "x.*") },
		"connection ids": func(p *Plan) { p.Allow.ConnectionIDs = nil },
		"default":        func(p *Plan) { p.DefaultAuthorities = []identity.Authority{"orders.list"} },
		"prefix":         func(p *Plan) { p.ConnectionPrefix = "p_" },
		"template":       func(p *Plan) { p.ConnectionTemplate = "{{instance}}" },
		"token lifetime": func(p *Plan) { p.TokenLifetime = time.Minute },
	} {
		got := hash(change)
		if other, clash := seen[got]; clash {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		seen[got] = name
	}
}
