package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"airflow-identity/airflow"
	"airflow-identity/broker"
	"airflow-identity/catalog"
	"airflow-identity/identity"
	"airflow-identity/remote"
	"airflow-identity/store"
	"airflow-identity/uaa"
)

// application is everything of one process of the broker, wired together.
type application struct {
	store   *store.Store
	engine  *identity.Engine
	handler http.Handler
	direct  string // leads to Postgres past any pooler
	closers []func()
}

func (a *application) Close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		a.closers[i]()
	}
}

// build wires the application on the database at url, to which direct leads past
// any pooler. It calls Postgres, and no other remote system.
func build(ctx context.Context, config *Config, url, direct string, bound services, logins []broker.Credential, logger *slog.Logger) (*application, error) {
	offering, err := config.catalog()
	if err != nil {
		return nil, misconfigured(err)
	}
	app := &application{direct: direct}
	sealer, sealerErr := config.sealer(bound)
	environments, environmentsErr := app.environments(config, bound, logger)
	if err := errors.Join(sealerErr, environmentsErr); err != nil {
		app.Close()
		return nil, misconfigured(err)
	}
	if app.store, err = store.Open(ctx, url, sealer); err != nil {
		app.Close()
		return nil, err
	}
	app.closers = append(app.closers, app.store.Close)
	if err := config.checkInUse(ctx, app.store); err != nil {
		app.Close()
		return nil, misconfigured(err)
	}

	app.engine, err = identity.NewEngine(identity.Config{
		Store:        app.store,
		Broker:       app.store.Broker(),
		Environments: environments,
		Budget:       time.Duration(config.Budget),
		SweepPeriod:  time.Duration(config.Sweep.Period),
		HoldAbove:    float64(config.Reaper.Threshold) / 100,
		Logger:       logger,
	})
	if err != nil {
		app.Close()
		return nil, misconfigured(err)
	}
	app.handler, err = broker.New(broker.Config{
		Catalog:      offering,
		Engine:       app.engine,
		Credentials:  logins,
		Logger:       logger,
		Ready:        app.store.Ready,
		Environments: config.airflowURLs(),
	})
	if err != nil {
		app.Close()
		return nil, misconfigured(err)
	}
	return app, nil
}

func (c *Config) sealer(bound services) (*store.Sealer, error) {
	keyset, err := c.SealingKeyset.resolve(bound)
	if err != nil {
		return nil, fmt.Errorf("sealing_keyset: %w", err)
	}
	sealer, err := store.NewSealer(keyset)
	if err != nil {
		return nil, fmt.Errorf("sealing_keyset: %w", err)
	}
	return sealer, nil
}

// catalog turns the configuration's plans into the catalog's.
func (c *Config) catalog() (*catalog.Catalog, error) {
	plans := make([]catalog.Plan, len(c.Plans))
	for i, p := range c.Plans {
		plans[i] = catalog.Plan{
			ID:                 identity.PlanID(p.ID),
			Name:               p.Name,
			Description:        p.Description,
			Environment:        identity.EnvironmentName(p.Environment),
			ConnectionPrefix:   c.Environments[p.Environment].Airflow.ConnectionPrefix,
			Team:               c.Environments[p.Environment].Airflow.Team,
			DefaultAuthorities: authorities(p.DefaultAuthorities),
			ConnectionTemplate: p.ConnectionID,
			Allow:              catalog.Allow{Authorities: p.Allow.Authorities, ConnectionIDs: p.Allow.ConnectionIDs},
			Retired:            p.Retired,
			Rotation: catalog.Rotation{
				Period: time.Duration(p.Rotation.Period), Minimum: time.Duration(p.Rotation.Minimum), Maximum: time.Duration(p.Rotation.Maximum), Soak: time.Duration(p.Rotation.Soak),
			},
			TokenLifetime:          catalog.TokenLifetime{Default: time.Duration(p.TokenLifetime.Default), Maximum: time.Duration(p.TokenLifetime.Maximum)},
			AppClient:              catalog.AppClient{Allowed: p.AppClient.Allowed, Maximum: time.Duration(p.AppClient.Maximum)},
			Quota:                  catalog.Quota{InstancesPerSpace: p.Quota.InstancesPerSpace, BindingsPerInstance: p.Quota.BindingsPerInstance},
			MaximumPollingDuration: time.Duration(p.MaximumPollingDuration),
		}
	}
	return catalog.New(catalog.Offering{ID: c.Offering.ID}, plans)
}

func authorities(texts []string) []identity.Authority {
	list := make([]identity.Authority, len(texts))
	for i, text := range texts {
		list[i] = identity.Authority(text)
	}
	return list
}

func (c *Config) airflowURLs() map[identity.EnvironmentName]identity.AirflowURL {
	urls := make(map[identity.EnvironmentName]identity.AirflowURL, len(c.Environments))
	for name, env := range c.Environments {
		urls[identity.EnvironmentName(name)] = identity.AirflowURL(env.Airflow.URL)
	}
	return urls
}

func (a *application) environments(config *Config, bound services, logger *slog.Logger) (map[identity.EnvironmentName]identity.Environment, error) {
	environments := map[identity.EnvironmentName]identity.Environment{}
	var problems []error
	strangers := config.strangers(os.Environ())
	for _, name := range sortedKeys(config.Environments) {
		env, err := a.environment(identity.EnvironmentName(name), config.Environments[name], *config.Strict, bound, strangers, logger.With("environment", name))
		if err != nil {
			problems = append(problems, fmt.Errorf("environments.%s: %w", name, err))
			continue
		}
		environments[env.Name] = env
	}
	return environments, errors.Join(problems...)
}

func (a *application) environment(name identity.EnvironmentName, config EnvironmentConfig, strict bool, bound services, strangers []string, logger *slog.Logger) (identity.Environment, error) {
	uaaCA, err := pem(config.UAA.CA)
	if err != nil {
		return identity.Environment{}, fmt.Errorf("uaa: %w", err)
	}
	// It is asked for once now, so that a missing one is found at start.
	secret := config.UAA.ClientAuth.Secret.credential(bound)
	_, secretErr := secret()
	connections, err := config.Airflow.client(bound, strangers, logger)
	if err == nil {
		a.closers = append(a.closers, connections.Close)
	}
	if err := errors.Join(about("uaa.client_auth.secret", secretErr), err); err != nil {
		return identity.Environment{}, err
	}
	clients, err := uaa.New(uaa.Config{
		URL:       config.UAA.URL,
		PublicURL: config.UAA.PublicURL,
		ClientID:  identity.ClientID(config.UAA.ClientID),
		Secret:    secret,
		Zone:      config.UAA.Zone,
		Strict:    strict,
		CA:        uaaCA,
		Timeout:   time.Duration(config.UAA.Timeout),
		Limits:    remote.Limits(config.UAA.Limits),
		Logger:    logger,
	})
	if err != nil {
		return identity.Environment{}, err
	}
	a.closers = append(a.closers, clients.Close)
	return identity.Environment{
		Name:                name,
		Airflow:             identity.AirflowURL(config.Airflow.URL),
		Clients:             clients,
		Connections:         connections,
		Permitted:           clients.Permitted,
		ClientsPatience:     identity.PatienceOf(time.Duration(config.UAA.Timeout)),
		ConnectionsPatience: identity.PatienceOf(time.Duration(config.Airflow.Timeout)),
		Background:          max(1, min(config.UAA.Limits.Concurrency, config.Airflow.Limits.Concurrency)/2),
	}, nil
}

// client is that of one Airflow. Its secrets are asked for once now, so that a missing
// one is found at start.
func (c AirflowConfig) client(bound services, strangers []string, logger *slog.Logger) (*airflow.Client, error) {
	ca, err := pem(c.CA)
	if err != nil {
		return nil, fmt.Errorf("airflow: %w", err)
	}
	named, problems := c.Auth.secrets(), []error{}
	for _, key := range sortedKeys(named) {
		if named[key] != "" {
			_, err := named[key].resolve(bound)
			problems = append(problems, about("airflow.auth."+key, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return airflow.New(airflow.Config{
		URL:     c.URL,
		API:     airflow.API(c.API),
		Login:   c.Auth.login(bound, strangers),
		CA:      ca,
		Timeout: time.Duration(c.Timeout),
		Limits:  remote.Limits(c.Limits),
		Logger:  logger,
	})
}

// about says which setting an error is about; no error stays none.
func about(setting string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", setting, err)
}
