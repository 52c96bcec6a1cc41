package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"airflow-identity/integration/postgres/pgtest"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"
)

// repository is the folder that the README is in.
const repository = "../.."

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```")

// blocks are the fenced blocks of a language.
func blocks(t *testing.T, text, language string) []string {
	t.Helper()
	var found []string
	for _, match := range fence.FindAllStringSubmatch(text, -1) {
		if match[1] == language {
			found = append(found, match[2])
		}
	}
	if len(found) == 0 {
		t.Fatalf("there is no %s block", language)
	}
	return found
}

// commandLines are the lines that are meant to be typed.
func commandLines(text string) []string {
	var lines []string
	for _, match := range fence.FindAllStringSubmatch(text, -1) {
		if match[1] == "sh" {
			lines = append(lines, strings.Split(strings.TrimSpace(match[2]), "\n")...)
		}
	}
	for _, line := range strings.Split(fence.ReplaceAllString(text, ""), "\n") {
		if typed, indented := strings.CutPrefix(line, "    "); indented {
			lines = append(lines, typed)
		}
	}
	return lines
}

func TestReadmeConfigIsAccepted(t *testing.T) {
	t.Parallel()
	for _, text := range blocks(t, document(t, "README.md"), "yaml") {
		path := filepath.Join(t.TempDir(), "config.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(path); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
}

// TestEverySettingIsDocumented holds the complete example and the reference to
// the keys that there are.
func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	var example any
	if err := yaml.Unmarshal([]byte(blocks(t, document(t, "README.md"), "yaml")[0]), &example); err != nil {
		t.Fatal(err)
	}
	reference := document(t, "docs/configuration.md")
	for _, key := range settings(reflect.TypeFor[Config]()) {
		if !holds(example, strings.Split(key, ".")) {
			t.Errorf("the README's complete configuration has no %s", key)
		}
		last := key[strings.LastIndex(key, ".")+1:]
		if !regexp.MustCompile("`([a-z_<>]+\\.)*" + last + "[`.\\[]").MatchString(reference) {
			t.Errorf("docs/configuration.md does not tell of %s", key)
		}
	}
	for _, name := range []string{"AIRFLOW_IDENTITY_CONFIG", "PORT", "DATABASE_URL", "DIRECT_DATABASE_URL", "VCAP_SERVICES", "VCAP_SERVICES_FILE_PATH",
		"SECURITY_USER_NAME", "SECURITY_USER_PASSWORD", "SECURITY_USER_NAME_2", "SECURITY_USER_PASSWORD_2", "LOG_LEVEL"} {
		if !strings.Contains(reference, "`"+name+"`") {
			t.Errorf("docs/configuration.md does not tell of %s", name)
		}
	}
}

// settings are the keys of a struct and all in it, "a.b" for b in a. Maps and
// lists add no name of their own.
func settings(of reflect.Type) []string {
	switch of.Kind() {
	case reflect.Map, reflect.Slice:
		return settings(of.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var keys []string
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
		keys = append(keys, name)
		for _, inner := range settings(of.Field(i).Type) {
			keys = append(keys, name+"."+inner)
		}
	}
	return keys
}

func holds(node any, path []string) bool {
	switch n := node.(type) {
	case map[string]any:
		inner, found := n[path[0]]
		if found {
			return len(path) == 1 || holds(inner, path[1:])
		}
		for _, inner := range n { // the names of environments
			if _, isMap := inner.(map[string]any); isMap && holds(inner, path) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(n, func(inner any) bool { return holds(inner, path) })
	}
	return false
}

func TestManifestIsWhatTheReadmeSays(t *testing.T) {
	t.Parallel()
	var manifest struct {
		Applications []struct {
			Name                    string
			Instances               int
			Memory                  string
			Buildpacks              []string
			Command                 string
			HealthCheckType         string `yaml:"health-check-type"`
			HealthCheckEndpoint     string `yaml:"health-check-http-endpoint"`
			ReadinessHealthType     string `yaml:"readiness-health-check-type"`
			ReadinessHealthEndpoint string `yaml:"readiness-health-check-http-endpoint"`
			Services                []string
			Env                     map[string]string
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(document(t, "manifest.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&manifest); err != nil || len(manifest.Applications) != 1 {
		t.Fatalf("manifest.yml: %v, %d applications, want one", err, len(manifest.Applications))
	}
	app, readme := manifest.Applications[0], document(t, "README.md")
	for what, pair := range map[string][2]any{
		"instances":        {app.Instances, 2},
		"buildpacks":       {fmt.Sprint(app.Buildpacks), "[go_buildpack]"},
		"command":          {app.Command, "airflow-identity migrate && exec airflow-identity serve"},
		"liveness check":   {app.HealthCheckType + " " + app.HealthCheckEndpoint, "http /healthz"},
		"readiness check":  {app.ReadinessHealthType + " " + app.ReadinessHealthEndpoint, "http /readyz"},
		"package to build": {app.Env["GO_INSTALL_PACKAGE_SPEC"], "./cmd/airflow-identity"},
		"module":           {"module " + app.Env["GOPACKAGENAME"], strings.SplitN(document(t, "go.mod"), "\n", 2)[0]},
		"config":           {app.Env["AIRFLOW_IDENTITY_CONFIG"], "config.yml"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
	if version := strings.TrimPrefix(app.Env["GOVERSION"], "go"); !strings.Contains(document(t, "go.mod"), "\ngo "+version+".") {
		t.Errorf("GOVERSION %s is not the one of go.mod", version)
	}
	if len(app.Services) != 1 {
		t.Fatalf("services: got %q, want a Postgres", app.Services)
	}
	for _, line := range []string{
		"cf create-service POSTGRES PLAN " + app.Services[0], "cf start " + app.Name,
		"cf set-env " + app.Name + " SEALING_KEYSET", "cf delete " + app.Name,
	} {
		if !slices.ContainsFunc(commandLines(readme), func(typed string) bool { return strings.HasPrefix(typed, line) }) {
			t.Errorf("the README has no line %q", line)
		}
	}
}

// TestDocumentedCommandsExist finds every verb and make target that the texts tell
// people to type.
func TestDocumentedCommandsExist(t *testing.T) {
	t.Parallel()
	makefile, found := document(t, "Makefile"), map[string]bool{}
	program := regexp.MustCompile(`(?:^|[ ;])(?:bin/)?airflow-identity ([^>;&]*)`)
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		text := document(t, name)
		for _, line := range commandLines(text) {
			if target, isMake := strings.CutPrefix(line, "make "); isMake {
				if target = strings.Fields(target)[0]; !strings.Contains(makefile, "\n"+target+":") {
					t.Errorf("%s: there is no make %s", name, target)
				}
				found["make"] = true
			}
			match := program.FindStringSubmatch(line)
			if match == nil || strings.HasPrefix(line, "cf ") || strings.HasPrefix(line, "uaac ") {
				continue
			}
			verb, rest, err := root().Find(strings.Fields(match[1]))
			if err != nil || !verb.Runnable() {
				t.Errorf("%s: %q names no verb: %v", name, line, err)
				continue
			}
			if err := verb.ParseFlags(rest); err != nil {
				t.Errorf("%s: %q: %v", name, line, err)
			}
			found[verb.Name()] = true
		}
		for _, link := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(repository, link[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, link[1], err)
			}
		}
	}
	for _, name := range []string{"make", "dev", "new", "migrate", "serve", "check", "list", "show", "rotate", "revoke", "pause", "resume", "forget", "apply", "doctor"} {
		if !found[name] {
			t.Errorf("no text shows %s", name)
		}
	}
}

func TestReadmeSQLRuns(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range blocks(t, document(t, "README.md"), "sql") {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Errorf("%v: %s", err, statement)
		}
	}
}

func TestReadmeSecurityGroupIsJSON(t *testing.T) {
	t.Parallel()
	var rules []struct{ Protocol, Destination, Ports, Description string }
	text := blocks(t, document(t, "README.md"), "json")[2]
	if err := json.Unmarshal([]byte(text), &rules); err != nil || len(rules) != 3 {
		t.Errorf("got %v, %v, want three rules", rules, err)
	}
}

// TestReadmeLines runs the lines to paste against a real dev. Those with jq are
// known here by their text.
func TestReadmeLines(t *testing.T) {
	t.Parallel()
	text := blocks(t, document(t, "README.md"), "osb")[0]
	d := startDev(t, filepath.Join(t.TempDir(), "state"), map[string]string{"PORT": "0"})
	service, plan := d.ids(t, "prod")
	for line, value := range map[string]string{
		`broker="$(jq -r .broker /tmp/airflow-identity/dev.json)"`:                                                       d.file.Broker,
		`login="$(jq -r '.user + ":" + .password' /tmp/airflow-identity/dev.json)"`:                                      d.file.User,
		`service="$(osb "$broker/v2/catalog" | jq -r '.services[0].id')"`:                                                service,
		`plan="$(osb "$broker/v2/catalog" | jq -r '.services[0].plans[] | select(.name == "prod") | .id')"`:              plan,
		`osb() { curl -sS -u "$login" -H 'X-Broker-API-Version: 2.15' -H 'Content-Type: application/json' "$@"; echo; }`: "-",
	} {
		if value == "" || strings.Count(text, line+"\n") != 1 {
			t.Errorf("%q is not in the README once, or means nothing", line)
		}
		text = strings.Replace(text, line+"\n", "", 1)
	}
	variables := map[string]string{"broker": d.file.Broker, "service": service, "plan": plan}
	if got, want := runOSB(t, text, variables, d.file.User, d.file.Password), []int{201, 201, 200, 200}; !slices.Equal(got, want) {
		t.Errorf("the README's lines: got %d, want %d", got, want)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("dev stopped with exit code %d", code)
	}
}

// What differs from one run of the demo to the next, and between stand-ins and real
// systems.
var passing = regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ms|s|µs)\b|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|` +
	`(127\.0\.0\.1|localhost):\d+(/uaa)?|\b\d+ tokens\b|\b\d+ bytes\b`)

// steady is a text line by line, without what differs.
func steady(text string) []string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(passing.ReplaceAllString(line, "*")); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// tells holds a story to a cut of it: each line is there, in the same order.
func tells(t *testing.T, story string, cut []string) {
	t.Helper()
	told, at := steady(story), 0
	for _, line := range cut {
		next := slices.Index(told[at:], line)
		if next < 0 {
			t.Errorf("the demo does not say, or not there: %s", line)
			continue
		}
		at += next
	}
}

func TestReadmeShowsTheDemo(t *testing.T) {
	t.Parallel()
	played, err := playedDemo()
	if err != nil {
		t.Fatal(err)
	}
	readme := document(t, "README.md")
	tells(t, played.story, steady(blocks(t, readme, "demo")[0]))
	// On real systems it is the same story, but for what says so.
	onReal := steady(blocks(t, readme, "real")[0])
	same := slices.DeleteFunc(slices.Clone(onReal), func(line string) bool { return strings.Contains(line, "a real UAA") })
	if len(onReal)-len(same) != 1 {
		t.Errorf("%d lines of the README's real demo name its systems, want 1", len(onReal)-len(same))
	}
	tells(t, played.story, same)
	if snippet := strings.TrimSpace(blocks(t, readme, "python")[0]); snippet != dagSource {
		t.Errorf("the DAG of the README is not the demo's:\n%s", snippet)
	}
}
