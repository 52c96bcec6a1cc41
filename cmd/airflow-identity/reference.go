package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// reference names a secret without writing it: env:NAME, file:/path or
// vcap:<service>.<key>.
type reference string

// MarshalYAML shows the name. What is none may be the secret itself.
func (r reference) MarshalYAML() (any, error) {
	kind, _, found := strings.Cut(string(r), ":")
	if r == "" || found && slices.Contains([]string{"env", "file", "vcap"}, kind) {
		return string(r), nil
	}
	return mask, nil
}

// resolve reads the secret. Its errors name the reference, never the content.
func (r reference) resolve(bound services) (identity.Secret, error) {
	kind, name, found := strings.Cut(string(r), ":")
	if !found || name == "" {
		return identity.Secret{}, fmt.Errorf("a secret is named, never written: use env:NAME, file:/path or vcap:<service>.<key>")
	}
	switch kind {
	case "env":
		text, set := os.LookupEnv(name)
		if !set || text == "" {
			return identity.Secret{}, fmt.Errorf("the environment variable %s is not set", name)
		}
		return identity.SecretFrom(text), nil
	case "file":
		text, err := os.ReadFile(name)
		if err != nil {
			return identity.Secret{}, fmt.Errorf("reading a secret: %w", err)
		}
		return identity.SecretFrom(strings.TrimRight(string(text), "\r\n")), nil
	case "vcap":
		service, key, found := strings.Cut(name, ".")
		if !found {
			return identity.Secret{}, fmt.Errorf("%s must look like vcap:<service>.<key>", r)
		}
		text, found := bound.credential(service, key)
		if !found {
			return identity.Secret{}, fmt.Errorf("no bound service %q has a credential %q", service, key)
		}
		return identity.SecretFrom(text), nil
	default:
		return identity.Secret{}, fmt.Errorf("a secret is named, never written: use env:NAME, file:/path or vcap:<service>.<key>")
	}
}

// credential reads the secret each time it is asked for, so that a file that was
// replaced is read again.
func (r reference) credential(bound services) remote.Credential {
	return func() (identity.Secret, error) { return r.resolve(bound) }
}
