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
		"defaults spelt":   func(p *Plan) { p.ConnectionTemplate, p.MaximumPollingDuration = "{{org}}_{{instance}}", 10*time.Minute },
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
		"token lifetime": func(p *Plan) { p.TokenLifetime.Default = time.Minute },
		"longest token":  func(p *Plan) { p.TokenLifetime.Maximum = 20 * time.Minute },
		"period":         func(p *Plan) { p.Rotation.Period = 2 * time.Hour },
		"shortest":       func(p *Plan) { p.Rotation.Minimum = 2 * time.Hour },
		"longest":        func(p *Plan) { p.Rotation.Maximum = 5 * time.Hour },
		"app client":     func(p *Plan) { p.AppClient.Allowed = false },
		"its life":       func(p *Plan) { p.AppClient.Maximum = time.Hour },
		"retired":        func(p *Plan) { p.Retired = true },
		"quota":          func(p *Plan) { p.Quota.InstancesPerSpace = 3 },
		"other quota":    func(p *Plan) { p.Quota.BindingsPerInstance = 3 },
	} {
		got := hash(change)
		if other, clash := seen[got]; clash {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		seen[got] = name
	}
}
