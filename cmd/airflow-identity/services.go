package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"airflow-identity/store"
)

// services are the services that Cloud Foundry has bound to this app.
type services map[string][]boundService

type boundService struct {
	Name        string         `json:"name"`
	Credentials map[string]any `json:"credentials"`
}

// readServices reads them from the file that VCAP_SERVICES_FILE_PATH names, or
// else from VCAP_SERVICES. Without either there are none.
func readServices() (services, error) {
	text := []byte(os.Getenv("VCAP_SERVICES"))
	if path := os.Getenv("VCAP_SERVICES_FILE_PATH"); path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("reading the bound services: %w", err)
		}
	}
	if len(text) == 0 {
		return nil, nil
	}
	var bound services
	if err := json.Unmarshal(text, &bound); err != nil {
		return nil, errors.New("reading the bound services: VCAP_SERVICES is not the JSON that Cloud Foundry writes")
	}
	return bound, nil
}

// credential finds a credential of the bound service of that name.
func (s services) credential(name, key string) (string, bool) {
	for _, offering := range s {
		for _, service := range offering {
			if service.Name != name {
				continue
			}
			text, ok := service.Credentials[key].(string)
			return text, ok && text != ""
		}
	}
	return "", false
}

// postgres finds the one bound Postgres: the service whose credentials hold a
// postgres URI.
func (s services) postgres() (string, error) {
	var found []string
	for _, offering := range s {
		for _, service := range offering {
			for _, key := range []string{"uri", "url", "jdbc_uri"} {
				text, _ := service.Credentials[key].(string)
				if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
					found = append(found, text)
					break
				}
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", errors.New("no database is configured: set DATABASE_URL or bind a Postgres service")
	default:
		return "", errors.New("several Postgres services are bound: set DATABASE_URL to choose one")
	}
}

// databaseURL is where the rows are. Where there is a way past it, it is a pooler's.
func databaseURL(bound services) (string, error) {
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		var err error
		if url, err = bound.postgres(); err != nil {
			return "", err
		}
	}
	if os.Getenv("DIRECT_DATABASE_URL") != "" {
		url = store.ThroughPooler(url)
	}
	return url, nil
}

// directDatabaseURL leads past a pooler, for what needs a session of its own.
func directDatabaseURL(bound services) (string, error) {
	if url := os.Getenv("DIRECT_DATABASE_URL"); url != "" {
		return url, nil
	}
	return databaseURL(bound)
}
