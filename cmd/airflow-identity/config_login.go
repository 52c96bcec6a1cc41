package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"airflow-identity/airflow"
)

// loginKind is a way to log in at Airflow: what it needs, what it may have, the one API
// that has it, or airflow.Auto, and what is made of its settings. env is a command's.
type loginKind struct {
	needs, may []string
	api        airflow.API
	login      func(a AirflowAuthConfig, bound services, env []string) airflow.Login
}

var loginKinds = map[string]loginKind{
	"password": {
		[]string{"username", "password"}, nil, airflow.V2,
		func(a AirflowAuthConfig, bound services, _ []string) airflow.Login {
			return airflow.Password{Username: a.Username, Password: a.Password.credential(bound)}
		},
	},
	"basic": {
		[]string{"username", "password"}, nil, airflow.V1,
		func(a AirflowAuthConfig, bound services, _ []string) airflow.Login {
			return airflow.Basic{Username: a.Username, Password: a.Password.credential(bound)}
		},
	},
	"token": {
		[]string{"token"}, nil, airflow.Auto,
		func(a AirflowAuthConfig, bound services, _ []string) airflow.Login {
			return airflow.Token{Token: a.Token.credential(bound)}
		},
	},
	"client_credentials": {
		[]string{"token_url", "client_id", "client_secret"}, []string{"scope"}, airflow.Auto,
		func(a AirflowAuthConfig, bound services, _ []string) airflow.Login {
			return airflow.ClientCredentials{TokenURL: a.TokenURL, ClientID: a.ClientID, ClientSecret: a.ClientSecret.credential(bound), Scope: a.Scope}
		},
	},
	"keycloak": {
		[]string{"client_id", "client_secret"}, nil, airflow.V2,
		func(a AirflowAuthConfig, bound services, _ []string) airflow.Login {
			return airflow.Keycloak{ClientID: a.ClientID, ClientSecret: a.ClientSecret.credential(bound)}
		},
	},
	"exec": {
		[]string{"command"}, []string{"args"}, airflow.Auto,
		func(a AirflowAuthConfig, _ services, env []string) airflow.Login {
			return airflow.Exec{Command: a.Command, Args: a.Args, Env: env}
		},
	},
}

// checkLogin tells what is wrong with the login and the API, below airflow.
func (c AirflowConfig) checkLogin() []error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	api := airflow.API(c.API)
	if !slices.Contains([]airflow.API{airflow.Auto, airflow.V1, airflow.V2}, api) {
		wrong("api is %q, not auto, v1 or v2", c.API)
	}
	kind, known := loginKinds[c.Auth.Kind]
	if !known {
		wrong("auth.kind is %q, not one of %s", c.Auth.Kind, strings.Join(sortedKeys(loginKinds), ", "))
		return problems
	}
	if kind.api != airflow.Auto && api != airflow.Auto && api != kind.api {
		wrong("auth.kind is %q, a login of %s, and api is %q", c.Auth.Kind, kind.api, c.API)
	}
	if c.Team != "" && (api == airflow.V1 || kind.api == airflow.V1) {
		wrong("team is %q, and Airflow 2, which is meant by api %s and auth.kind %s, has no teams: they came with 3.2", c.Team, c.API, c.Auth.Kind)
	}
	values := c.Auth.values()
	for _, key := range sortedKeys(values) {
		switch {
		case values[key] == "" && slices.Contains(kind.needs, key):
			wrong("auth.%s is missing", key)
		case values[key] != "" && !slices.Contains(kind.needs, key) && !slices.Contains(kind.may, key):
			wrong("auth.%s is no setting of kind %s", key, c.Auth.Kind)
		}
	}
	if c.Auth.Kind == "client_credentials" && c.Auth.TokenURL != "" {
		if err := safeURL(c.Auth.TokenURL); err != nil {
			wrong("auth.token_url: %w", err)
		}
	}
	if c.Auth.Kind == "basic" && strings.Contains(c.Auth.Username, ":") {
		wrong("auth.username: a colon cannot be sent with kind basic")
	}
	return problems
}

func (a AirflowAuthConfig) values() map[string]string {
	values := map[string]string{
		"username": a.Username, "token_url": a.TokenURL, "client_id": a.ClientID, "scope": a.Scope,
		"command": a.Command, "args": strings.Join(a.Args, " "),
	}
	for key, secret := range a.secrets() {
		values[key] = string(secret)
	}
	return values
}

func (a AirflowAuthConfig) secrets() map[string]reference {
	return map[string]reference{"password": a.Password, "token": a.Token, "client_secret": a.ClientSecret}
}

// login is that of a configuration that was checked. The environment is a command's.
func (a AirflowAuthConfig) login(bound services, environment []string) airflow.Login {
	return loginKinds[a.Kind].login(a, bound, environment)
}

// strangers is an environment for a program that is not ours: what it does not know
// it cannot print. What services are bound it may need to know.
func (c *Config) strangers(environment []string) []string {
	ours := maps.Clone(masked)
	for _, secret := range c.secrets() {
		if name, isVariable := strings.CutPrefix(string(secret), "env:"); isVariable {
			ours[name] = true
		}
	}
	return slices.DeleteFunc(environment, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return ours[name]
	})
}
