package main

import (
	"context"
	"errors"
	"fmt"

	"airflow-identity/store"
)

// checkInUse refuses a configuration that rows cannot live with: a plan or an
// environment they were made by is missing, or is another one than it was.
func (c *Config) checkInUse(ctx context.Context, s *store.Store) error {
	inUse, err := s.InUse(ctx)
	if err != nil {
		return err
	}
	plans := map[string]PlanConfig{}
	for _, plan := range c.Plans {
		plans[plan.ID] = plan
	}
	var problems []error
	for _, u := range inUse {
		plan, hasPlan := plans[string(u.Plan)]
		env, hasEnvironment := c.Environments[string(u.Environment)]
		switch {
		case !hasPlan:
			problems = append(problems, u.Lost(fmt.Sprintf("plan %s of environment %s", u.Plan, u.Environment)))
		case !hasEnvironment:
			problems = append(problems, u.Lost(fmt.Sprintf("environment %s", u.Environment)))
		case plan.Environment != string(u.Environment):
			problems = append(problems, fmt.Errorf("plan %s is of environment %s now and has %d service instances of %s; an instance never moves between environments", plan.Name, plan.Environment, u.Instances, u.Environment))
		case u.Airflow != "" && string(u.Airflow) != env.Airflow.URL:
			problems = append(problems, fmt.Errorf("environment %s has its Airflow at %s now, and %d service instances have connections at %s; put the old address back", u.Environment, env.Airflow.URL, u.Instances, u.Airflow))
		}
	}
	return errors.Join(problems...)
}
