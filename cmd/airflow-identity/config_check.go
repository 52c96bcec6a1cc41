package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "look at the configuration",
	}
	var (
		path   string
		asJSON bool
	)
	check := &cobra.Command{
		Use:   "check",
		Short: "print the effective configuration, each value with its origin",
		Long: `Checks the configuration as serve does, without calling anything, and prints what is in
effect: each value and whether it comes from the file, the environment, a bound service or
a default. Secrets are named and masked. Exit: 0 if serve could start with it, 2 if not.`,
		Example: `  airflow-identity config check --config config.yml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := checkConfig(path)
			if printErr := printSettings(cmd.OutOrStdout(), settings, asJSON); printErr != nil {
				return printErr
			}
			if err != nil {
				return misconfigured(err)
			}
			return nil
		},
	}
	check.Flags().StringVar(&path, "config", os.Getenv("AIRFLOW_IDENTITY_CONFIG"), "path of the configuration file")
	check.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	cmd.AddCommand(check)
	return cmd
}

// setting is one value in effect.
type setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // file, environment, bound service or default
}

// checkConfig gives what is in effect, as far as the file can be read at all, and
// everything that would keep serve from starting with it.
func checkConfig(path string) ([]setting, error) {
	settings := []setting{}
	config, configErr := loadConfig(path)
	_, logErr := newLogger(io.Discard)
	_, loginErr := platformLogins()
	bound, boundErr := readServices()
	_, urlErr := databaseURL(bound)
	problems := []error{configErr, logErr, loginErr, boundErr, urlErr}
	if config != nil {
		listed, listErr := config.settings(path)
		settings = append(settings, listed...)
		problems = append(problems, listErr, config.resolveAll(bound))
	}
	if errors.Join(problems...) == nil {
		problems = append(problems, config.buildNothing(bound))
	}
	return append(settings, environmentSettings(bound)...), errors.Join(problems...)
}

// resolveAll finds out whether all that the file names is there. What it does not
// name was told already.
func (c *Config) resolveAll(bound services) error {
	secrets, files := c.secrets(), map[string]string{}
	for name, env := range c.Environments {
		at := "environments." + name
		files[at+".uaa"], files[at+".airflow"] = env.UAA.CA, env.Airflow.CA
	}
	var problems []error
	for _, key := range sortedKeys(secrets) {
		if secrets[key] != "" {
			_, err := secrets[key].resolve(bound)
			problems = append(problems, about(key, err))
		}
	}
	for _, key := range sortedKeys(files) {
		_, err := pem(files[key])
		problems = append(problems, about(key, err))
	}
	for _, name := range sortedKeys(c.Environments) {
		if command := c.Environments[name].Airflow.Auth.Command; command != "" {
			_, err := exec.LookPath(command)
			problems = append(problems, about("environments."+name+".airflow.auth.command", err))
		}
	}
	return errors.Join(problems...)
}

// secrets are all that the file names, with their keys.
func (c *Config) secrets() map[string]reference {
	secrets := map[string]reference{"sealing_keyset": c.SealingKeyset}
	for name, env := range c.Environments {
		at := "environments." + name
		secrets[at+".uaa.client_auth.secret"] = env.UAA.ClientAuth.Secret
		for key, secret := range env.Airflow.Auth.secrets() {
			secrets[at+".airflow.auth."+key] = secret
		}
	}
	return secrets
}

// buildNothing makes what serve makes of the configuration, and drops it. Nothing
// is called on the way.
func (c *Config) buildNothing(bound services) error {
	app := &application{}
	defer app.Close()
	_, sealerErr := c.sealer(bound)
	_, environmentsErr := app.environments(c, bound, slog.New(slog.DiscardHandler))
	return errors.Join(sealerErr, environmentsErr)
}

// settings lists every value of the completed configuration, and whether the
// file says it.
func (c *Config) settings(path string) ([]setting, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	var written, effective yaml.Node
	if err := yaml.Unmarshal(text, &written); err != nil {
		return nil, plainYAML(err)
	}
	if err := effective.Encode(c); err != nil {
		return nil, fmt.Errorf("listing the configuration: %w", err)
	}
	said := map[string]string{}
	leaves(&written, "", func(key, value string) { said[key] = value })
	var settings []setting
	leaves(&effective, "", func(key, value string) {
		origin := "default"
		// What the file says as nothing gets the default too.
		if is, written := said[key]; written && (is == value || is != "" && is != "0") {
			origin = "file"
		}
		if strings.HasSuffix(key, "url") && strings.ContainsAny(value, "@?#") {
			value = mask // it is refused, for what it may hold
		}
		settings = append(settings, setting{key, value, origin})
	})
	return settings, nil
}

const mask = "••••••"

// leaves walks a document and gives each value with its path.
func leaves(node *yaml.Node, at string, give func(key, value string)) {
	switch node.Kind {
	case yaml.AliasNode:
		leaves(node.Alias, at, give)
	case yaml.DocumentNode:
		for _, child := range node.Content {
			leaves(child, at, give)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			leaves(node.Content[i+1], strings.TrimPrefix(at+"."+node.Content[i].Value, "."), give)
		}
	case yaml.SequenceNode:
		if len(node.Content) > 0 && node.Content[0].Kind == yaml.MappingNode {
			for i, child := range node.Content {
				leaves(child, fmt.Sprintf("%s[%d]", at, i), give)
			}
			return
		}
		values := make([]string, len(node.Content))
		for i, child := range node.Content {
			values[i] = child.Value
		}
		give(at, "["+strings.Join(values, ", ")+"]")
	default:
		give(at, node.Value)
	}
}

// masked are the variables whose values are secrets.
var masked = map[string]bool{
	"DATABASE_URL": true, "DIRECT_DATABASE_URL": true, "SECURITY_USER_PASSWORD": true, "SECURITY_USER_PASSWORD_2": true,
}

func environmentSettings(bound services) []setting {
	var settings []setting
	for _, name := range []string{
		"PORT", "DATABASE_URL", "DIRECT_DATABASE_URL", "SECURITY_USER_NAME", "SECURITY_USER_PASSWORD",
		"SECURITY_USER_NAME_2", "SECURITY_USER_PASSWORD_2", "LOG_LEVEL", "AIRFLOW_IDENTITY_CONFIG",
	} {
		value, set := os.LookupEnv(name)
		switch {
		case !set && name == "PORT":
			settings = append(settings, setting{name, defaultPort, "default"})
		case !set && name == "LOG_LEVEL":
			settings = append(settings, setting{name, "info", "default"})
		case !set && name == "DATABASE_URL":
			if _, err := bound.postgres(); err == nil {
				settings = append(settings, setting{name, mask, "bound service"})
			}
		case set && masked[name]:
			settings = append(settings, setting{name, mask, "environment"})
		case set:
			settings = append(settings, setting{name, value, "environment"})
		}
	}
	return settings
}

func printSettings(out io.Writer, settings []setting, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(settings)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range settings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Key, s.Value, s.Origin)
	}
	return table.Flush()
}
