package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"airflow-identity/airflow"
	"airflow-identity/catalog"

	"go.yaml.in/yaml/v3"
)

// Config is the configuration file. Unknown keys are errors; a key of a later
// version is unknown until this one acts on it.
type Config struct {
	Offering      OfferingConfig               `yaml:"offering"`
	SealingKeyset reference                    `yaml:"sealing_keyset"`
	Strict        *bool                        `yaml:"strict"`
	Budget        duration                     `yaml:"budget"`
	Sweep         SweepConfig                  `yaml:"sweep"`
	Reaper        ReaperConfig                 `yaml:"reaper"`
	Environments  map[string]EnvironmentConfig `yaml:"environments"`
	Plans         []PlanConfig                 `yaml:"plans"`
}

type OfferingConfig struct {
	ID string `yaml:"id"`
}

type EnvironmentConfig struct {
	UAA     UAAConfig     `yaml:"uaa"`
	Airflow AirflowConfig `yaml:"airflow"`
}

type UAAConfig struct {
	URL        string           `yaml:"url"`
	PublicURL  string           `yaml:"public_url"`
	ClientID   string           `yaml:"client_id"`
	ClientAuth ClientAuthConfig `yaml:"client_auth"`
	Zone       string           `yaml:"zone"`
	CA         string           `yaml:"ca"`
	Timeout    duration         `yaml:"timeout"`
	Limits     LimitsConfig     `yaml:"limits"`
}

// LimitsConfig bounds what one remote system gets from one broker.
type LimitsConfig struct {
	Concurrency int     `yaml:"concurrency"`
	PerSecond   float64 `yaml:"per_second"`
}

type ClientAuthConfig struct {
	Kind   string    `yaml:"kind"`
	Secret reference `yaml:"secret"`
}

func (l LimitsConfig) below(least float64) bool {
	return float64(l.Concurrency) < least || l.PerSecond < least
}

type AirflowConfig struct {
	URL              string            `yaml:"url"`
	API              string            `yaml:"api"`
	Auth             AirflowAuthConfig `yaml:"auth"`
	Team             string            `yaml:"team"`
	ConnectionPrefix string            `yaml:"connection_prefix"`
	CA               string            `yaml:"ca"`
	Timeout          duration          `yaml:"timeout"`
	Limits           LimitsConfig      `yaml:"limits"`
}

// AirflowAuthConfig is a login of one kind, with the settings of that kind alone.
type AirflowAuthConfig struct {
	Kind         string    `yaml:"kind"`
	Username     string    `yaml:"username"`
	Password     reference `yaml:"password"`
	Token        reference `yaml:"token"`
	TokenURL     string    `yaml:"token_url"`
	ClientID     string    `yaml:"client_id"`
	ClientSecret reference `yaml:"client_secret"`
	Scope        string    `yaml:"scope"`
	Command      string    `yaml:"command"`
	Args         []string  `yaml:"args"`
}

type PlanConfig struct {
	ID                     string              `yaml:"id"`
	Name                   string              `yaml:"name"`
	Environment            string              `yaml:"environment"`
	Description            string              `yaml:"description"`
	Retired                bool                `yaml:"retired"`
	Rotation               RotationConfig      `yaml:"rotation"`
	TokenLifetime          TokenLifetimeConfig `yaml:"token_lifetime"`
	AppClient              AppClientConfig     `yaml:"app_client"`
	DefaultAuthorities     []string            `yaml:"default_authorities"`
	ConnectionID           string              `yaml:"connection_id"`
	MaximumPollingDuration duration            `yaml:"maximum_polling_duration,omitempty"`
	Allow                  AllowConfig         `yaml:"allow"`
	Quota                  QuotaConfig         `yaml:"quota"`
}

type RotationConfig struct {
	Period  duration `yaml:"period,omitempty"`
	Minimum duration `yaml:"minimum,omitempty"`
	Maximum duration `yaml:"maximum,omitempty"`
	Soak    duration `yaml:"soak,omitempty"`
}

// SweepConfig says how often what the remotes hold is compared with the rows.
type SweepConfig struct {
	Period duration `yaml:"period,omitempty"`
}

// ReaperConfig says above which share of an environment's identities something
// that is wrong with many is not mended one by one, but held.
type ReaperConfig struct {
	Threshold percent `yaml:"threshold,omitempty"`
}

type TokenLifetimeConfig struct {
	Default duration `yaml:"default,omitempty"`
	Maximum duration `yaml:"maximum,omitempty"`
}

type AppClientConfig struct {
	Allowed bool     `yaml:"allowed"`
	Maximum duration `yaml:"maximum,omitempty"`
}

type QuotaConfig struct {
	InstancesPerSpace   int `yaml:"instances_per_space"`
	BindingsPerInstance int `yaml:"bindings_per_instance"`
}

type AllowConfig struct {
	Authorities   []string `yaml:"authorities"`
	ConnectionIDs []string `yaml:"connection_ids"`
}

// duration is written as "40s".
type duration time.Duration

func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || parsed <= 0 {
		return fmt.Errorf("line %d: %q is not a duration; write one as 10s", node.Line, node.Value)
	}
	*d = duration(parsed)
	return nil
}

// percent is written as "5%".
type percent float64

func (p *percent) UnmarshalYAML(node *yaml.Node) error {
	number, found := strings.CutSuffix(strings.TrimSpace(node.Value), "%")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !found || err != nil || value <= 0 || value > 100 {
		return fmt.Errorf("line %d: %q is not a share; write it as 5%%, above 0%% and at most 100%%", node.Line, node.Value)
	}
	*p = percent(value)
	return nil
}

func (p percent) MarshalYAML() (any, error) {
	return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%", nil
}

func (d duration) MarshalYAML() (any, error) { return catalog.Duration(d).String(), nil }

const (
	defaultBudget  = duration(40 * time.Second)
	longestBudget  = duration(50 * time.Second) // Cloud Controller gives up after 60 s
	defaultTimeout = duration(10 * time.Second)
	longestTimeout = duration(15 * time.Second)
)

// loadConfig reads, completes and checks the file. Every problem is told at once,
// and what could be read is given all the same, for whoever only shows it.
func loadConfig(path string) (*Config, error) {
	if path == "" {
		return nil, errors.New("no configuration: name the file with --config or AIRFLOW_IDENTITY_CONFIG")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	config, err := parseConfig(text)
	if err != nil {
		return config, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

func parseConfig(text []byte) (*Config, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var config Config
	if err := decoder.Decode(&config); err != nil {
		return nil, plainYAML(err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document in the file")
	}
	config.complete()
	return &config, config.check()
}

var (
	unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)
	misplaced    = regexp.MustCompile("(?s)cannot unmarshal !!(\\w+) (?:`.*?` )?into \\S+")

	yamlKinds = map[string]string{"str": "a text", "seq": "a list", "map": "a mapping", "int": "a number", "float": "a number", "bool": "true or false"}
)

// plainYAML keeps the lines of the decoder's errors and leaves Go's types out,
// and values too: one that stands in the wrong place may be a secret.
func plainYAML(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	}
	text := misplaced.ReplaceAllStringFunc(err.Error(), func(found string) string {
		kind, known := yamlKinds[misplaced.FindStringSubmatch(found)[1]]
		if !known {
			kind = "this value"
		}
		return kind + " cannot stand here"
	})
	text = unknownField.ReplaceAllString(text, `unknown key "$1"`)
	text = strings.TrimPrefix(text, "yaml: unmarshal errors:\n")
	text = strings.ReplaceAll(strings.TrimPrefix(text, "yaml: "), "\n", ";")
	return errors.New(strings.TrimSpace(text))
}

func (c *Config) complete() {
	fill(&c.Strict, new(true))
	fill(&c.Budget, defaultBudget)
	fill(&c.Sweep.Period, duration(time.Hour))
	fill(&c.Reaper.Threshold, 5)
	for name, env := range c.Environments {
		fill(&env.UAA.Timeout, defaultTimeout)
		fill(&env.UAA.ClientAuth.Kind, "secret")
		fill(&env.Airflow.Timeout, defaultTimeout)
		fill(&env.Airflow.API, string(airflow.Auto))
		fill(&env.Airflow.Auth.Kind, "password")
		// UAA makes 5 to 20 password hashes a second and core, and Airflow serves
		// its users beside us: neither is to be overrun.
		fill(&env.UAA.Limits.Concurrency, 16)
		fill(&env.UAA.Limits.PerSecond, 50)
		fill(&env.Airflow.Limits.Concurrency, 8)
		fill(&env.Airflow.Limits.PerSecond, 20)
		env.UAA.URL = strings.TrimRight(env.UAA.URL, "/")
		env.UAA.PublicURL = strings.TrimRight(env.UAA.PublicURL, "/")
		env.Airflow.URL = strings.TrimRight(env.Airflow.URL, "/")
		c.Environments[name] = env
	}
	for i := range c.Plans {
		p := &c.Plans[i]
		fill(&p.ConnectionID, "{{org}}_{{instance}}")
		fill(&p.MaximumPollingDuration, duration(catalog.DefaultMaximumPollingDuration))
		fill(&p.TokenLifetime.Default, duration(catalog.DefaultTokenLifetime))
		fill(&p.TokenLifetime.Maximum, p.TokenLifetime.Default)
		fill(&p.Rotation.Minimum, min(duration(catalog.DefaultShortestPeriod), nonZero(p.Rotation.Period, p.Rotation.Maximum)))
		fill(&p.Rotation.Period, max(min(duration(catalog.DefaultRotationPeriod), nonZero(p.Rotation.Maximum)), p.Rotation.Minimum))
		fill(&p.Rotation.Maximum, max(duration(catalog.DefaultLongestPeriod), p.Rotation.Period))
		if p.AppClient.Allowed {
			fill(&p.AppClient.Maximum, duration(catalog.DefaultAppClientMaximum))
		}
	}
}

// nonZero is the least of those that are set; a year if none is.
func nonZero(durations ...duration) duration {
	least := duration(365 * 24 * time.Hour)
	for _, d := range durations {
		if d != 0 {
			least = min(least, d)
		}
	}
	return least
}

func fill[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

var environmentName = regexp.MustCompile(`^[a-z0-9_-]+$`)

// check finds what is wrong with the file. What plans mean is known to package
// catalog, which checks them.
func (c *Config) check() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if c.Offering.ID == "" {
		wrong("offering.id is missing: give it a uuid once and never change it")
	}
	if c.SealingKeyset == "" {
		wrong("sealing_keyset is missing: name where it is, as env:SEALING_KEYSET")
	}
	if c.Sweep.Period < duration(time.Minute) {
		wrong("sweep.period is %s, at least a minute is needed", time.Duration(c.Sweep.Period))
	}
	if c.Budget > longestBudget {
		wrong("budget is %s, at most %s is possible: Cloud Controller waits 60s", time.Duration(c.Budget), time.Duration(longestBudget))
	}
	if len(c.Environments) == 0 {
		wrong("environments: there is none")
	}
	for _, name := range sortedKeys(c.Environments) {
		if !environmentName.MatchString(name) {
			wrong("environments: the name %q may only hold a-z, 0-9, - and _", name)
		}
		problems = append(problems, c.Environments[name].check("environments."+name)...)
	}
	problems = append(problems, c.checkSharing()...)
	for _, plan := range c.Plans {
		if _, known := c.Environments[plan.Environment]; !known {
			wrong("plan %s: there is no environment %q", plan.Name, plan.Environment)
		}
	}
	return errors.Join(append(problems, c.checkPlans())...)
}

func (c *Config) checkPlans() error {
	trial := *c
	fill(&trial.Offering.ID, "missing") // which was told already
	_, err := trial.catalog()
	return err
}

func (e EnvironmentConfig) check(at string) []error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(at+"."+format, args...))
	}
	need := func(key, value string) {
		if value == "" {
			wrong("%s is missing", key)
		}
	}
	checkURL := func(key, value string) {
		if err := safeURL(value); err != nil {
			wrong("%s: %v", key, err)
		}
	}
	checkURL("uaa.url", e.UAA.URL)
	if e.UAA.PublicURL != "" {
		checkURL("uaa.public_url", e.UAA.PublicURL)
	}
	checkURL("airflow.url", e.Airflow.URL)
	need("uaa.client_id", e.UAA.ClientID)
	need("uaa.client_auth.secret", string(e.UAA.ClientAuth.Secret))
	if e.UAA.ClientAuth.Kind != "secret" {
		wrong("uaa.client_auth.kind is %q, only secret is possible", e.UAA.ClientAuth.Kind)
	}
	for _, problem := range e.Airflow.checkLogin() {
		wrong("airflow.%w", problem)
	}
	if e.UAA.Timeout > longestTimeout || e.Airflow.Timeout > longestTimeout {
		wrong("timeout: at most %s is possible", time.Duration(longestTimeout))
	}
	if e.UAA.Limits.below(0) || e.Airflow.Limits.below(0) {
		wrong("limits: they cannot be less than 0")
	}
	return problems
}

// checkSharing refuses two environments on one UAA zone or one Airflow: nothing
// would keep their authorities or connection ids apart.
func (c *Config) checkSharing() []error {
	var problems []error
	uaas, airflows := map[string]string{}, map[string]string{}
	for _, name := range sortedKeys(c.Environments) {
		env := c.Environments[name]
		// Names of hosts and zones know no case.
		zone := strings.ToLower(env.UAA.URL + " zone " + env.UAA.Zone)
		airflow := strings.ToLower(env.Airflow.URL)
		if other, taken := uaas[zone]; taken {
			problems = append(problems, fmt.Errorf("environments.%s.uaa: it is the UAA and zone of %s; isolation needs one for each", name, other))
		}
		if other, taken := airflows[airflow]; taken {
			problems = append(problems, fmt.Errorf("environments.%s.airflow: it is the Airflow of %s; isolation needs one for each", name, other))
		}
		uaas[zone], airflows[airflow] = name, name
	}
	return problems
}

// safeURL accepts https anywhere and http on loopback.
func safeURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errors.New("it is missing")
	case err != nil || u.Host == "":
		return errors.New("it is not a URL such as https://host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("it may hold no credentials, query or fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return errors.New("it must be https, except on loopback")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// pem reads a CA that is named as file:/path.
func pem(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	path, isFile := strings.CutPrefix(name, "file:")
	if !isFile {
		return nil, fmt.Errorf("ca %q must look like file:/path", name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a CA: %w", err)
	}
	return text, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
