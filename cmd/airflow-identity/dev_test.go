package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// devProcess is dev, running, with what its dev.json says.
type devProcess struct {
	*process
	folder string
	file   devFile
}

func startDev(t *testing.T, folder string, environment map[string]string) *devProcess {
	t.Helper()
	p := run(t, environment, "dev", "--state", folder)
	d := &devProcess{process: p, folder: folder}
	path := filepath.Join(folder, devFileName)
	await(t, "dev.json is written", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("dev ended:\n%s%s", p.stdout.String(), p.stderr.String())
		default:
		}
		text, err := os.ReadFile(path)
		return err == nil && json.Unmarshal(text, &d.file) == nil
	})
	return d
}

// call asks as Cloud Controller does; body "" is none.
func (d *devProcess) call(method, path, body string) (int, map[string]any, error) {
	return osbCall{method, d.file.Broker + path, body}.send(d.file.User, d.file.Password)
}

// ids of the offering and of a plan, out of the catalog.
func (d *devProcess) ids(t *testing.T, plan string) (service, planID string) {
	t.Helper()
	status, catalog, err := d.call(http.MethodGet, "/v2/catalog", "")
	if err != nil || status != http.StatusOK {
		t.Fatalf("catalog: %d %v", status, err)
	}
	services, _ := catalog["services"].([]any)
	for _, s := range services {
		offering, _ := s.(map[string]any)
		plans, _ := offering["plans"].([]any)
		for _, p := range plans {
			if p, _ := p.(map[string]any); p["name"] == plan {
				return fmt.Sprint(offering["id"]), fmt.Sprint(p["id"])
			}
		}
	}
	t.Fatalf("there is no plan %s in %v", plan, catalog)
	return "", ""
}

const devPassword = "a-password-for-dev-5e2"

func TestDev(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "state")
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(ports[0])
	d := startDev(t, folder, map[string]string{"PORT": port, "SECURITY_USER_NAME": "platform-1", "SECURITY_USER_PASSWORD": devPassword})

	if d.file.Broker != "http://127.0.0.1:"+port || d.file.User != "platform-1" || d.file.Password != devPassword {
		t.Errorf("dev.json: got %s %s, want the port and login that were asked for", d.file.Broker, d.file.User)
	}
	if got := slices.Sorted(maps.Keys(d.file.Environments)); !slices.Equal(got, []string{"dev", "prod", "staging"}) {
		t.Errorf("environments in dev.json: got %q", got)
	}
	for name, env := range d.file.Environments {
		if !strings.HasPrefix(env.UAA, "http://127.0.0.1:") || !strings.HasPrefix(env.Airflow, "http://127.0.0.1:") {
			t.Errorf("%s in dev.json: got %+v, want two addresses on loopback", name, env)
		}
	}
	if !strings.HasPrefix(d.file.DatabaseURL, "postgres://") {
		t.Errorf("database_url in dev.json is no postgres URL")
	}
	for _, name := range []string{devFileName, stateFile, configName, "broker.log", "prod-uaa.json"} {
		await(t, name+" is there", func() bool { _, err := os.Stat(filepath.Join(folder, name)); return err == nil })
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v %v, want mode 0600", name, info.Mode(), err)
		}
	}

	for _, query := range []string{"", "accepts_incomplete=true", "accepts_incomplete=false"} {
		lifecycle(t, d, query)
	}
	printedLines(t, d)

	// It goes on where it was: the same addresses, login, rows and connections.
	service, plan := d.ids(t, "prod")
	provision, bind := bodies(service, plan)
	if status, answer, err := d.call(http.MethodPut, "/v2/service_instances/kept", provision); err != nil || status != http.StatusCreated {
		t.Fatalf("provision: %d %v %v", status, answer, err)
	}
	status, bound, err := d.call(http.MethodPut, "/v2/service_instances/kept/service_bindings/kept", bind)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("bind: %d %v %v", status, bound, err)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("dev stopped with exit code %d, want 0:\n%s", code, d.stderr.String())
	}
	everythingSaid := d.stdout.String() + d.stderr.String()

	before := d.file
	d = startDev(t, folder, map[string]string{"PORT": port})
	if before.Broker != d.file.Broker || before.User != d.file.User || before.Password != d.file.Password ||
		before.DatabaseURL != d.file.DatabaseURL || !maps.Equal(before.Environments, d.file.Environments) {
		t.Errorf("dev.json after a restart is another one")
	}
	status, again, err := d.call(http.MethodPut, "/v2/service_instances/kept/service_bindings/kept", bind)
	if err != nil || status != http.StatusOK || fmt.Sprint(again) != fmt.Sprint(bound) {
		t.Errorf("the same bind after a restart: got %d %v %v, want 200 %v", status, again, err, bound)
	}
	ids := "?service_id=" + service + "&plan_id=" + plan
	for _, path := range []string{"/v2/service_instances/kept/service_bindings/kept", "/v2/service_instances/kept"} {
		if status, answer, err := d.call(http.MethodDelete, path+ids, ""); err != nil || status != http.StatusOK {
			t.Errorf("DELETE %s after a restart: %d %v %v", path, status, answer, err)
		}
	}
	if code := d.stop(); code != 0 {
		t.Errorf("dev stopped with exit code %d, want 0:\n%s", code, d.stderr.String())
	}
	everythingSaid += d.stdout.String() + d.stderr.String()
	log, err := os.ReadFile(filepath.Join(folder, "broker.log"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(everythingSaid, devPassword) || strings.Contains(string(log), devPassword) {
		t.Error("dev says its password")
	}
}

func bodies(service, plan string) (provision, bind string) {
	provision = fmt.Sprintf(`{"service_id":%q,"plan_id":%q,"organization_guid":"org-guid","space_guid":"space-guid",
		"context":{"platform":"cloudfoundry","organization_guid":"org-guid","organization_name":"acme","organization_annotations":{},
		"space_guid":"space-guid","space_name":"etl","space_annotations":{},"instance_name":"orders","instance_annotations":{}},
		"parameters":{"authorities":["orders.read","orders.write"]},"maintenance_info":null}`, service, plan)
	bind = fmt.Sprintf(`{"service_id":%q,"plan_id":%q,"app_guid":"app-guid","bind_resource":{"app_guid":"app-guid","space_guid":"space-guid"},
		"context":{"platform":"cloudfoundry","organization_guid":"org-guid","organization_name":"acme","space_guid":"space-guid","space_name":"etl"},
		"parameters":{"authorities":["orders.read"]}}`, service, plan)
	return provision, bind
}

// lifecycle is what Cloud Controller sends, from create-service to delete-service.
func lifecycle(t *testing.T, d *devProcess, query string) {
	t.Helper()
	service, plan := d.ids(t, "prod")
	provision, bind := bodies(service, plan)
	const instance, binding = "/v2/service_instances/i-1", "/v2/service_instances/i-1/service_bindings/b-1"
	ids := "service_id=" + service + "&plan_id=" + plan
	for _, step := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPut, instance + "?" + query, provision, http.StatusCreated},
		{http.MethodPut, instance + "?" + query, provision, http.StatusOK},
		{http.MethodGet, instance + "?" + ids, "", http.StatusOK},
		{http.MethodPut, binding + "?" + query, bind, http.StatusCreated},
		{http.MethodPut, binding + "?" + query, bind, http.StatusOK},
		{http.MethodGet, binding + "?" + ids, "", http.StatusOK},
		{http.MethodDelete, binding + "?" + ids + "&" + query, "", http.StatusOK},
		{http.MethodDelete, binding + "?" + ids + "&" + query, "", http.StatusGone},
		{http.MethodGet, binding + "?" + ids, "", http.StatusNotFound},
		{http.MethodDelete, instance + "?" + ids + "&" + query, "", http.StatusOK},
		{http.MethodDelete, instance + "?" + ids + "&" + query, "", http.StatusGone},
	} {
		if status, answer, err := d.call(step.method, step.path, step.body); err != nil || status != step.status {
			t.Errorf("%s %s: got %d %v %v, want %d", step.method, step.path, status, answer, err, step.status)
		}
	}
}

// printedLines runs what dev prints for people to paste.
func printedLines(t *testing.T, d *devProcess) {
	t.Helper()
	printed := d.stdout.String()
	if !strings.Contains(printed, filepath.Join(d.folder, devFileName)) || !strings.Contains(printed, "cf create-service-broker airflow-identity") {
		t.Errorf("dev does not print where its login is, or how to register it:\n%s", printed)
	}
	_, lines, found := strings.Cut(printed, "  osb "+d.file.Broker)
	if !found {
		t.Fatalf("dev prints no lines to paste:\n%s", printed)
	}
	statuses := runOSB(t, "osb "+d.file.Broker+lines, nil, d.file.User, d.file.Password)
	if want := []int{200, 201, 201, 200, 200}; !slices.Equal(statuses, want) {
		t.Errorf("the lines that dev prints: got %d, want %d", statuses, want)
	}
}

func TestDevRefusesHalfALogin(t *testing.T) {
	t.Parallel()
	p := run(t, map[string]string{"SECURITY_USER_NAME": "platform"}, "dev", "--state", filepath.Join(t.TempDir(), "state"))
	if code := p.exitCode(patience); code != exitMisconfigured || !strings.Contains(p.stderr.String(), "SECURITY_USER_PASSWORD") {
		t.Errorf("got exit code %d, %s, want 2 and the missing variable's name", code, p.stderr.String())
	}
}
