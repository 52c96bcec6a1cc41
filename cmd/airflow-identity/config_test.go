package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airflow-identity/airflow"
)

const goodConfig = `offering:
  id: 0a7ad6f6-3d5c-4f0e-9f1a-52c1a5b7f001
sealing_keyset: env:SEALING_KEYSET
environments:
  prod:
    uaa:
      url: https://uaa.sys.example.com
      client_id: airflow-identity
      client_auth: {kind: secret, secret: env:UAA_CLIENT_SECRET}
    airflow:
      url: https://airflow.example.com/
      auth: {kind: password, username: broker, password: env:AIRFLOW_PASSWORD}
plans:
  - id: 6a4e0c1b-9f2d-4f57-8f5e-52c1a5b7f002
    name: prod
    environment: prod
    description: Identities for production DAGs
    allow: {authorities: ["orders.*"]}
`

// replaced is goodConfig with one line, or a part of one, changed.
func replaced(t *testing.T, old, replacement string) string {
	t.Helper()
	if strings.Count(goodConfig, old) != 1 {
		t.Fatalf("%q is %d times in the good configuration, want once", old, strings.Count(goodConfig, old))
	}
	return strings.Replace(goodConfig, old, replacement, 1)
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	config, err := parseConfig([]byte(goodConfig))
	if err != nil {
		t.Fatal(err)
	}
	prod, plan := config.Environments["prod"], config.Plans[0]
	for what, pair := range map[string][2]any{
		"budget":              {config.Budget, duration(40 * time.Second)},
		"uaa.timeout":         {prod.UAA.Timeout, duration(10 * time.Second)},
		"airflow.timeout":     {prod.Airflow.Timeout, duration(10 * time.Second)},
		"airflow.url":         {prod.Airflow.URL, "https://airflow.example.com"},
		"airflow.api":         {prod.Airflow.API, "auto"},
		"plans.connection_id": {plan.ConnectionID, "{{org}}_{{instance}}"},
		"uaa.limits":          {prod.UAA.Limits, LimitsConfig{Concurrency: 16, PerSecond: 50}},
		"airflow.limits":      {prod.Airflow.Limits, LimitsConfig{Concurrency: 8, PerSecond: 20}},
		"plans.rotation": {plan.Rotation, RotationConfig{
			Period: duration(4 * time.Hour), Minimum: duration(time.Hour), Maximum: duration(24 * time.Hour),
		}},
		"plans.token_lifetime":           {plan.TokenLifetime, TokenLifetimeConfig{Default: duration(10 * time.Minute), Maximum: duration(10 * time.Minute)}},
		"plans.app_client":               {plan.AppClient, AppClientConfig{}},
		"plans.maximum_polling_duration": {plan.MaximumPollingDuration, duration(10 * time.Minute)},
		"plans.quota":                    {plan.Quota, QuotaConfig{}},
		"plans.retired":                  {plan.Retired, false},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	const auth = "client_auth: {kind: secret, secret: env:UAA_CLIENT_SECRET}"
	for _, c := range []struct {
		name, old, replacement string
		says                   string
	}{
		{"an unknown key", "  id: 0a7a", "  colour: blue\n  id: 0a7a", `line 2: unknown key "colour"`},
		{"an unknown key deep inside", "      client_id:", "      limits: {bursts: 16}\n      client_id:", `line 8: unknown key "bursts"`},
		{"a limit below zero", "      client_id:", "      limits: {concurrency: -1}\n      client_id:", "environments.prod.limits: they cannot be less than 0"},
		{"tokens that outlive the soak", "    environment: prod", "    environment: prod\n    token_lifetime: {maximum: 31m}", "plan prod: token_lifetime.maximum: 31m is more than the soak"},
		{"a rotation period out of its range", "    environment: prod", "    environment: prod\n    rotation: {period: 4h, maximum: 2h}", "plan prod: rotation.period: 4h is not within"},
		{"polling for longer than Cloud Controller does", "    environment: prod", "    environment: prod\n    maximum_polling_duration: 169h", "plan prod: maximum_polling_duration: 169h is more"},
		{"a quota below zero", "    environment: prod", "    environment: prod\n    quota: {instances_per_space: -1}", "plan prod: quota.instances_per_space: must not be negative"},
		{"a key of a later version", "sealing_keyset:", "checkpoint_key: env:X\nsealing_keyset:", `line 3: unknown key "checkpoint_key"`},
		{"a key twice", "sealing_keyset:", "offering: {}\nsealing_keyset:", `line 3: mapping key "offering" already defined at line 1`},
		{"a list where a mapping belongs", "  id: 0a7ad6f6-3d5c-4f0e-9f1a-52c1a5b7f001", "  - x", "line 2: a list cannot stand here"},
		{"http", "https://uaa.sys.example.com", "http://uaa.sys.example.com", "environments.prod.uaa.url: it must be https, except on loopback"},
		{"another scheme", "https://airflow.example.com/", "ftp://airflow.example.com", "environments.prod.airflow.url: it must be https"},
		{"no scheme", "https://airflow.example.com/", "airflow.example.com", "it is not a URL such as https://host"},
		{"a loopback look-alike", "https://airflow.example.com/", "http://localhost.example.com", "it must be https"},
		{"credentials in a URL", "https://airflow.example.com/", "https://broker:hunter2@airflow.example.com", "it may hold no credentials"},
		{"a public URL in clear", "      client_id:", "      public_url: http://uaa.example.com\n      client_id:", "environments.prod.uaa.public_url: it must be https"},
		{"a budget beyond Cloud Controller's patience", "sealing_keyset:", "budget: 51s\nsealing_keyset:", "budget is 51s, at most 50s is possible"},
		{"a time-out too long", "      client_id:", "      timeout: 16s\n      client_id:", "environments.prod.timeout: at most 15s is possible"},
		{"a duration without a unit", "sealing_keyset:", "budget: 40\nsealing_keyset:", `line 3: "40" is not a duration; write one as 10s`},
		{"a duration below zero", "sealing_keyset:", "budget: -1s\nsealing_keyset:", "is not a duration"},
		{"a way to log in that there is not", "kind: password", "kind: kerberos", `airflow.auth.kind is "kerberos", not one of basic, client_credentials, exec, keycloak, password, token`},
		{"an API that there is not", "      auth:", "      api: v3\n      auth:", `environments.prod.airflow.api is "v3", not auto, v1 or v2`},
		{"a login that Airflow 2 does not have", "      auth:", "      api: v1\n      auth:", `airflow.auth.kind is "password", a login of v2, and api is "v1"`},
		{"a way to log in at UAA that does not work yet", "kind: secret", "kind: private_key_jwt", `client_auth.kind is "private_key_jwt", only secret is possible`},
		{"an odd name of an environment", "  prod:", "  Prod Uction:", `the name "Prod Uction" may only hold`},
		{"a plan without its environment", "environment: prod", "environment: staging", `plan prod: there is no environment "staging"`},
		{"a pattern that cannot be", `["orders.*"]`, `["*"]`, "plan prod: allow.authorities[0]"},
		{"a pattern for the never-granted", `["orders.*"]`, `["uaa.*"]`, "never granted"},
		{"no plan", "plans:", "plans: []\nx:", `unknown key "x"`},
		{"a second document", "plans:", "---\nplans:", "more than one document"},
		{"no YAML", "offering:", "offering: [", "line "},
		{"a secret where its name belongs", auth, "client_auth: hunter2hunter2", "line 9: a text cannot stand here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseConfig([]byte(replaced(t, c.old, c.replacement)))
			if err == nil {
				t.Fatalf("it was accepted, want an error that says %q", c.says)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, want it to say %q", err, c.says)
			}
			for _, never := range []string{"hunter2", "main."} {
				if strings.Contains(err.Error(), never) {
					t.Errorf("the error holds %q: %v", never, err)
				}
			}
		})
	}
}

func TestConfigOfLogins(t *testing.T) {
	t.Parallel()
	const auth = "{kind: password, username: broker, password: env:AIRFLOW_PASSWORD}"
	for _, c := range []struct{ auth, says string }{ // says "" if it is accepted
		{"{username: broker, password: env:P}", ""},
		{"{kind: basic, username: broker, password: env:P}", ""},
		{"{kind: token, token: file:/token}", ""},
		{"{kind: client_credentials, token_url: https://login.example.com/token, client_id: afi, client_secret: env:S}", ""},
		{"{kind: client_credentials, token_url: http://127.0.0.1:1, client_id: afi, client_secret: env:S, scope: a b}", ""},
		{"{kind: keycloak, client_id: afi, client_secret: env:S}", ""},
		{"{kind: exec, command: gcloud-token}", ""},
		{"{kind: exec, command: /usr/bin/login, args: [--for, airflow]}", ""},
		{"{kind: basic, username: broker}", "auth.password is missing"},
		{"{kind: basic, username: 'a:b', password: env:P}", "auth.username: a colon"},
		{"{kind: token}", "auth.token is missing"},
		{"{kind: token, token: env:T, username: broker}", "auth.username is no setting of kind token"},
		{"{kind: keycloak, client_id: afi}", "auth.client_secret is missing"},
		{"{kind: keycloak, client_id: afi, client_secret: env:S, scope: x}", "auth.scope is no setting of kind keycloak"},
		{"{kind: client_credentials, client_id: afi, client_secret: env:S}", "auth.token_url is missing"},
		{"{kind: client_credentials, token_url: http://login.example.com, client_id: afi, client_secret: env:S}", "auth.token_url: it must be https"},
		{"{kind: client_credentials, token_url: 'https://afi:hunter2@login.example.com', client_id: afi, client_secret: env:S}", "auth.token_url: it may hold no credentials"},
		{"{kind: exec, args: [x]}", "auth.command is missing"},
		{"{kind: exec, command: x, password: env:P}", "auth.password is no setting of kind exec"},
		{"{kind: exec, command: [x]}", "a list cannot stand here"},
		{"{kind: password, username: broker, password: env:P, args: [x]}", "auth.args is no setting of kind password"},
	} {
		_, err := parseConfig([]byte(replaced(t, auth, c.auth)))
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: got %v, want it to be accepted", c.auth, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: got %v, want an error that says %q", c.auth, err, c.says)
		}
	}
}

// Every kind of login must be makeable, or else a checked configuration does not start.
func TestConfigMakesEveryLogin(t *testing.T) {
	t.Parallel()
	for name, kind := range loginKinds {
		auth := AirflowAuthConfig{
			Kind: name, Username: "u", Password: "env:P", Token: "env:T", TokenURL: "https://x", ClientID: "c", ClientSecret: "env:S", Command: "c",
		}
		client, err := airflow.New(airflow.Config{
			URL: "https://airflow.example.com", API: kind.api, Login: auth.login(nil, nil), Timeout: time.Second,
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		client.Close()
	}
}

func TestConfigKeepsSecretsFromCommands(t *testing.T) {
	t.Parallel()
	config, err := parseConfig([]byte(goodConfig))
	if err != nil {
		t.Fatal(err)
	}
	got := config.strangers([]string{"PATH=/bin", "SEALING_KEYSET=x", "UAA_CLIENT_SECRET=x", "AIRFLOW_PASSWORD=x", "DATABASE_URL=x", "HOME=/"})
	if strings.Join(got, " ") != "PATH=/bin HOME=/" {
		t.Errorf("got %q", got)
	}
}

func TestConfigAllowsClearTextOnLoopback(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://localhost:8080", "http://127.0.0.1:8080/uaa", "http://[::1]:1", "http://uaa.localhost"} {
		if _, err := parseConfig([]byte(replaced(t, "https://uaa.sys.example.com", url))); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestConfigTellsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parseConfig([]byte("environments: {prod: {}}\nplans: [{name: prod, environment: prod}]\n"))
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, says := range []string{
		"offering.id is missing", "sealing_keyset is missing", "environments.prod.uaa.url: it is missing", "environments.prod.uaa.client_id is missing",
		"environments.prod.uaa.client_auth.secret is missing", "environments.prod.airflow.url: it is missing",
		"environments.prod.airflow.auth.username is missing", "environments.prod.airflow.auth.password is missing",
		"plan prod: id:", "plan prod: description:",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q:\n%v", says, err)
		}
	}
	if _, err := parseConfig(nil); err == nil || err.Error() != "the file is empty" {
		t.Errorf("an empty file: got %v", err)
	}
}

func TestConfigRefusesSharing(t *testing.T) {
	t.Parallel()
	second := func(uaa, zone, airflow string) string {
		return strings.Replace(goodConfig, "plans:", fmt.Sprintf(`  dev:
    uaa: {url: %q, zone: %q, client_id: airflow-identity, client_auth: {secret: env:DEV_SECRET}}
    airflow: {url: %q, auth: {kind: password, username: broker, password: env:DEV_PASSWORD}}
plans:`, uaa, zone, airflow), 1)
	}
	for _, c := range []struct {
		name, uaa, zone, airflow string
		says                     string // "" if it is allowed
	}{
		{"nothing", "https://uaa.dev.example.com", "", "https://airflow.dev.example.com", ""},
		{"a UAA, in another zone", "https://uaa.sys.example.com", "dev", "https://airflow.dev.example.com", ""},
		{"a UAA and its zone", "https://uaa.sys.example.com", "", "https://airflow.dev.example.com", "environments.prod.uaa: it is the UAA and zone of dev"},
		{"a UAA, spelt otherwise", "https://UAA.sys.example.com/", "", "https://airflow.dev.example.com", "environments.prod.uaa: it is the UAA and zone of dev"},
		{"an Airflow", "https://uaa.dev.example.com", "", "https://airflow.example.com", "environments.prod.airflow: it is the Airflow of dev"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseConfig([]byte(second(c.uaa, c.zone, c.airflow)))
			switch {
			case c.says == "" && err != nil:
				t.Errorf("got %v, want it to be accepted", err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
		})
	}
}

func TestLoadConfigNamesTheFile(t *testing.T) {
	t.Parallel()
	if _, err := loadConfig(""); err == nil || !strings.Contains(err.Error(), "AIRFLOW_IDENTITY_CONFIG") {
		t.Errorf("no path: got %v", err)
	}
	path := filepath.Join(t.TempDir(), "config.yml")
	if _, err := loadConfig(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: got %v", err)
	}
	if err := os.WriteFile(path, []byte("colour: blue\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(path); err == nil || !strings.Contains(err.Error(), path+": line 1: unknown key") {
		t.Errorf("an unknown key: got %v", err)
	}
}

func TestCAIsAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte("PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := pem("file:" + path); err != nil || string(text) != "PEM" {
		t.Errorf("a file: got %q %v", text, err)
	}
	if text, err := pem(""); err != nil || text != nil {
		t.Errorf("none: got %q %v", text, err)
	}
	for _, name := range []string{path, "env:CA", "file:" + path + ".gone"} {
		if _, err := pem(name); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
