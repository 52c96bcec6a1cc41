package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// demoRun is what a run of demo left behind: its story, and nothing else.
type demoRun struct {
	code      int
	story     string
	complaint string
	files     []string
	processes []string
}

// playedDemo is the real demo, run once for all tests that look at it.
var playedDemo = sync.OnceValues(func() (demoRun, error) { return playDemo(nil) })

// playDemo runs the real demo with nothing of our environment but what is named.
func playDemo(environment []string, flags ...string) (demoRun, error) {
	folder, err := os.MkdirTemp(filepath.Dir(programPath), "tmp-")
	if err != nil {
		return demoRun{}, err
	}
	var out, complaint strings.Builder
	cmd := exec.Command(programPath, append([]string{"demo"}, flags...)...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.Env = append(append(plainEnvironment(), environment...), "TMPDIR="+folder)
	_ = cmd.Run() // the exit code tells
	r := demoRun{code: cmd.ProcessState.ExitCode(), story: out.String(), complaint: complaint.String()}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return r, err
	}
	for _, entry := range entries {
		r.files = append(r.files, entry.Name())
	}
	r.processes, err = processesAbout(folder)
	return r, err
}

// processesAbout finds processes whose command line or environment names a folder.
func processesAbout(folder string) ([]string, error) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		out, err := exec.Command("ps", "-axeww", "-o", "command").Output()
		if err != nil {
			return nil, fmt.Errorf("listing processes: %w", err)
		}
		return containing(strings.Split(string(out), "\n"), folder), nil
	}
	var all []string
	files, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		// One that has ended meanwhile has no files any more.
		line, _ := os.ReadFile(filepath.Join(file, "cmdline"))
		environment, _ := os.ReadFile(filepath.Join(file, "environ"))
		all = append(all, fmt.Sprintf("%s %s %s", file, line, environment))
	}
	return containing(all, folder), nil
}

func containing(lines []string, text string) []string {
	var found []string
	for _, line := range lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func TestDemo(t *testing.T) {
	t.Parallel()
	r, err := playedDemo()
	if err != nil {
		t.Fatal(err)
	}
	if r.code != 0 {
		t.Fatalf("exit code %d, want 0: %s\n%s", r.code, r.complaint, r.story)
	}
	for _, says := range []string{
		"the same app joins its connection", "client_secret  ••••••",
		"UAA grants the key's client a token for orders.read orders.write", "$ cf update-service orders",
		"The developer", "The DAG author", "The security officer", "The operator",
		"$ cf create-service airflow-identity prod orders", `"connection_id": "acme_orders"`,
		"prod's orders API verifies signature, iss, aud and exp against prod's UAA: 200",
		`400 ParametersInvalid: the parameters are not valid: authorities[0] "orders.read,uaa.admin"`,
		"(rule never-grant)", "prod's API refuses its token: 401",
		"$ airflow-identity rotate acme_orders", "asked 1 for a new secret; done: 1 of 1",
		" tokens, 2 rotations, 0 refused; old secret now 401",
		"killed after UAA had acted: it has two secrets", "the other took over after ", " tokens, 0 refused",
		"the rotation is whole: UAA has one secret again",
		"the other took over when the lease ended", "each made once",
		"the secret that a task has kept: 401", "clients left: 0, connections left: 0",
		"bindings left in the rows: 0, sealed secrets: 0", "All as expected", programPath + " demo --real",
	} {
		if !strings.Contains(r.story, says) {
			t.Errorf("the story does not say %q", says)
		}
	}
	if found := regexp.MustCompile(`found in (\d+) bytes of logs and events: (\d+)`).FindStringSubmatch(r.story); found == nil || found[1] == "0" || found[2] != "0" {
		t.Errorf("the search for secrets: got %q, want some bytes and no hit", found)
	}
	if !regexp.MustCompile(`a token for orders\.read\n`).MatchString(r.story) {
		t.Error("the story does not show that the update narrowed the key's client")
	}
	if t.Failed() {
		t.Log(r.story)
	}
	r.leavesNothing(t)
}

func (r demoRun) leavesNothing(t *testing.T) {
	t.Helper()
	if len(r.files) > 0 {
		t.Errorf("left in the temporary folder: %q", r.files)
	}
	if len(r.processes) > 0 {
		t.Errorf("left running: %q", r.processes)
	}
}

// TestRealDemoTellsWhatIsMissing: where nothing can be installed it says what to do,
// and starts nothing.
func TestRealDemoTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	for why, test := range map[string]struct {
		environment []string
		says        []string
	}{
		"no cache folder": {nil, []string{"not inside the repository, and AIRFLOW_IDENTITY_CACHE is not set"}},
		"nothing to install with": {
			[]string{"AIRFLOW_IDENTITY_CACHE=" + t.TempDir()},
			[]string{"installing a real UAA and a real Airflow into ", "this takes minutes\n", "install by hand", "Maven"},
		},
	} {
		var out, complaint strings.Builder
		cmd := exec.CommandContext(t.Context(), programPath, "demo", "--real")
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &out, &complaint
		cmd.Env = append(test.environment, "PATH="+t.TempDir())
		_ = cmd.Run() // the exit code tells
		if code := cmd.ProcessState.ExitCode(); code != exitFailed || out.Len() > 0 {
			t.Errorf("%s: exit code %d, want %d, and the story %q, want none", why, code, exitFailed, out.String())
		}
		for _, says := range test.says {
			if !strings.Contains(complaint.String(), says) {
				t.Errorf("%s: got %q, want %q in it", why, complaint.String(), says)
			}
		}
	}
}
