package catalog

import (
	"testing"
	"time"

	"airflow-identity/identity"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prod is a plan that is valid; tests change copies of it.
func prod() Plan {
	return Plan{
		ID:                 "6a4e0000-0000-4000-8000-000000000001",
		Name:               "prod",
		Description:        "Identities for production DAGs",
		Environment:        "prod",
		DefaultAuthorities: []identity.Authority{"orders.read"},
		Allow: Allow{
			Authorities:   []string{"orders.*", "{{org}}.{{space}}.*"},
			ConnectionIDs: []string{"{{org}}_*", "shared_*"},
		},
		TokenLifetime: TokenLifetime{Default: 10 * time.Minute, Maximum: 30 * time.Minute},
		Rotation:      Rotation{Period: 4 * time.Hour, Minimum: time.Hour, Maximum: 24 * time.Hour},
		AppClient:     AppClient{Allowed: true, Maximum: 720 * time.Hour},
	}
}

var offering = Offering{ID: "0a7ad6f6-0000-4000-8000-000000000000"}

func acmeDev() Place {
	return Place{
		Org:      "11111111-aaaa-4000-8000-000000000000",
		Space:    "22222222-bbbb-4000-8000-000000000000",
		Instance: "33333333-cccc-4000-8000-000000000000",
		Names:    identity.Names{Org: "acme", Space: "dev", Instance: "orders"},
	}
}

func instanceAt(place Place, plan Plan) identity.Instance {
	return identity.Instance{
		GUID: place.Instance, Org: place.Org, Space: place.Space, Names: place.Names,
		Plan: plan.ID, Environment: plan.Environment,
		ConnectionBase: plan.DefaultConnectionBase(place),
	}
}

func newCatalog(t *testing.T, plans ...Plan) *Catalog {
	t.Helper()
	if len(plans) == 0 {
		plans = []Plan{prod()}
	}
	c, err := New(offering, plans)
	if err != nil {
		t.Fatalf("a valid catalog was refused: %v", err)
	}
	return c
}

// checked gives a plan as New makes it.
func checked(t *testing.T, plan Plan) Plan {
	t.Helper()
	found, ok := newCatalog(t, plan).Plan(plan.ID)
	if !ok {
		t.Fatalf("plan %s is not in its catalog", plan.ID)
	}
	return found
}
