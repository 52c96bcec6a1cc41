package store

import (
	"context"
	"fmt"

	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
)

// InUse is a plan that instances were made of, or that identities still live by,
// with the Airflow their connections are in.
type InUse struct {
	Plan        identity.PlanID
	Environment identity.EnvironmentName
	Airflow     identity.AirflowURL // "" if no connection is left
	Instances   int
}

// An instance counts until the last of its bindings is removed, an identity until
// nothing is left of it: a debt needs its Airflow.
const sqlInUse = `
SELECT i.plan, i.environment, coalesce(y.airflow, ''), count(DISTINCT i.row)
FROM instance i LEFT JOIN identity y ON y.instance = i.row AND y.clean_at IS NULL
WHERE i.removing_at IS NULL OR y.id IS NOT NULL
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`

// InUse lists the plans that rows still depend on.
func (s *Store) InUse(ctx context.Context) ([]InUse, error) {
	rows, err := s.pool.Query(ctx, sqlInUse)
	if err != nil {
		return nil, reading("the plans in use", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[InUse])
	return list, reading("the plans in use", err)
}

// Lost says what rows depend on and a configuration does not have.
func (u InUse) Lost(what string) error {
	instances := "1 service instance depends"
	if u.Instances != 1 {
		instances = fmt.Sprintf("%d service instances depend", u.Instances)
	}
	return fmt.Errorf("%s on %s, which the configuration no longer has; put it back (retired: true keeps it from new ones)", instances, what)
}
