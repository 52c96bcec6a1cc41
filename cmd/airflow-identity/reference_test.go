package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airflow-identity/store"
)

const hidden = "hunter2-hunter2"

// TestReferences sets environment variables, so it is not parallel.
func TestReferences(t *testing.T) {
	t.Setenv("A_SECRET", hidden)
	t.Setenv("AN_EMPTY_ONE", "")
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(hidden+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bound := services{"credhub": {{Name: "keys", Credentials: map[string]any{"keyset": hidden, "number": 7.0, "empty": ""}}}}

	for name, says := range map[reference]string{
		"env:A_SECRET":            "",
		"vcap:keys.keyset":        "",
		reference("file:" + path): "",

		"env:NOT_SET":       "the environment variable NOT_SET is not set",
		"env:AN_EMPTY_ONE":  "the environment variable AN_EMPTY_ONE is not set",
		"file:/nowhere/x":   "reading a secret",
		"vcap:keys":         "must look like vcap:<service>.<key>",
		"vcap:others.key":   `no bound service "others" has a credential "key"`,
		"vcap:keys.number":  `no bound service "keys" has a credential "number"`,
		"vcap:keys.empty":   `no bound service "keys" has a credential "empty"`,
		"":                  "a secret is named, never written",
		"env:":              "a secret is named, never written",
		hidden:              "a secret is named, never written",
		"x:" + hidden:       "a secret is named, never written",
		"https://" + hidden: "a secret is named, never written",
	} {
		secret, err := name.resolve(bound)
		switch {
		case says == "" && (err != nil || secret.Reveal() != hidden):
			t.Errorf("%s: got %v, want the secret", name, err)
		case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: got %v, want an error that says %q", name, err, says)
		case err != nil && strings.Contains(err.Error(), hidden):
			t.Errorf("%s: the error quotes the secret: %v", name, err)
		}
	}
}

// TestAFileIsReadAgain shows that a secret which was replaced needs no restart.
func TestAFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	credential := reference("file:" + path).credential(nil)
	for _, content := range []string{"the old one", "the new one"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if secret, err := credential(); err != nil || secret.Reveal() != content {
			t.Errorf("got %v, want what the file holds now", err)
		}
	}
}

const (
	onePostgres = `{"postgres":[{"name":"db","credentials":{"uri":"postgres://u:` + hidden + `@db/one"}}]}`
	anOtherURL  = "postgresql://u@db/other"
)

// TestBoundServices sets environment variables, so it is not parallel.
func TestBoundServices(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "services")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name        string
		environment map[string]string
		url         string // expected
		direct      string // expected; "" is as url
		says        string
	}{
		{"nothing", nil, "", "", "set DATABASE_URL or bind a Postgres service"},
		{"DATABASE_URL", map[string]string{"DATABASE_URL": anOtherURL}, anOtherURL, "", ""},
		{"past a pooler", map[string]string{"DATABASE_URL": anOtherURL, "DIRECT_DATABASE_URL": anOtherURL + "2"}, store.ThroughPooler(anOtherURL), anOtherURL + "2", ""},
		{"past a bound pooler", map[string]string{"VCAP_SERVICES": onePostgres, "DIRECT_DATABASE_URL": anOtherURL}, store.ThroughPooler("postgres://u:" + hidden + "@db/one"), anOtherURL, ""},
		{"VCAP_SERVICES", map[string]string{"VCAP_SERVICES": onePostgres}, "postgres://u:" + hidden + "@db/one", "", ""},
		{"DATABASE_URL first", map[string]string{"VCAP_SERVICES": onePostgres, "DATABASE_URL": anOtherURL}, anOtherURL, "", ""},
		{"a file", map[string]string{"VCAP_SERVICES_FILE_PATH": file(onePostgres)}, "postgres://u:" + hidden + "@db/one", "", ""},
		{"the file first", map[string]string{"VCAP_SERVICES_FILE_PATH": file(onePostgres), "VCAP_SERVICES": `{"x":`}, "postgres://u:" + hidden + "@db/one", "", ""},
		{"no such file", map[string]string{"VCAP_SERVICES_FILE_PATH": "/nowhere/x"}, "", "", "reading the bound services"},
		{"no JSON", map[string]string{"VCAP_SERVICES": `{"` + hidden}, "", "", "not the JSON that Cloud Foundry writes"},
		{"another service", map[string]string{"VCAP_SERVICES": `{"x":[{"name":"q","credentials":{"uri":"amqp://q"}}]}`}, "", "", "bind a Postgres"},
		{"two of them", map[string]string{"VCAP_SERVICES": `{"x":[{"credentials":{"uri":"postgres://a"}},{"credentials":{"uri":"postgres://b"}}]}`}, "", "", "several Postgres services"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"DATABASE_URL", "DIRECT_DATABASE_URL", "VCAP_SERVICES", "VCAP_SERVICES_FILE_PATH"} {
				t.Setenv(name, c.environment[name])
			}
			bound, err := readServices()
			var url, direct string
			if err == nil {
				url, err = databaseURL(bound)
			}
			if err == nil {
				direct, err = directDatabaseURL(bound)
			}
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), hidden) {
					t.Errorf("got %v, want an error that says %q", err, c.says)
				}
				return
			}
			if c.direct == "" {
				c.direct = c.url
			}
			if err != nil || url != c.url || direct != c.direct {
				t.Errorf("got %q and %q, %v, want %q and %q", url, direct, err, c.url, c.direct)
			}
		})
	}
}

// TestPlatformLogins sets environment variables, so it is not parallel.
func TestPlatformLogins(t *testing.T) {
	for _, c := range []struct {
		name                       string
		user, password, user2, pw2 string
		logins                     int
		says                       string
	}{
		{"none", "", "", "", "", 0, "set both SECURITY_USER_NAME and SECURITY_USER_PASSWORD"},
		{"half of one", "a", "", "", "", 0, "set both SECURITY_USER_NAME and"},
		{"one", "a", hidden, "", "", 1, ""},
		{"two", "a", hidden, "b", hidden, 2, ""},
		{"half of the second", "a", hidden, "", hidden, 0, "set both SECURITY_USER_NAME_2 and SECURITY_USER_PASSWORD_2"},
		{"the second alone", "", "", "b", hidden, 0, "set both SECURITY_USER_NAME and"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("SECURITY_USER_NAME", c.user)
			t.Setenv("SECURITY_USER_PASSWORD", c.password)
			t.Setenv("SECURITY_USER_NAME_2", c.user2)
			t.Setenv("SECURITY_USER_PASSWORD_2", c.pw2)
			logins, err := platformLogins()
			if len(logins) != c.logins || (err == nil) != (c.says == "") {
				t.Fatalf("got %d logins, %v, want %d", len(logins), err, c.logins)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), hidden)) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
		})
	}
}
