package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/store"

	"github.com/spf13/cobra"
)

// programPath is the real program, built once for all tests.
var programPath string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	folder, err := os.MkdirTemp("", "airflow-identity-test-")
	if err != nil {
		fmt.Fprintf(os.Stderr, "no folder for the program: %v\n", err)
		return 1
	}
	defer os.RemoveAll(folder)
	programPath = filepath.Join(folder, "airflow-identity")
	if out, err := exec.Command("go", "build", "-o", programPath, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v: %s\n", err, out)
		return 1
	}
	return pgtest.Run(m, store.Migrate)
}

// process is the real program, running.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr safeBuffer
	exited         chan struct{}
}

// patience is for a machine that is busy with other packages' tests.
const patience = time.Minute

// run starts the real program in an environment of its own: of ours it gets only
// what a program needs to run at all.
func run(t *testing.T, environment map[string]string, arguments ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(programPath, arguments...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.Env = plainEnvironment()
	for name, value := range environment {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // exitCode tells how it ended
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // most have ended before
		<-p.exited
	})
	return p
}

func plainEnvironment() []string {
	var plain []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		if value, set := os.LookupEnv(name); set {
			plain = append(plain, name+"="+value)
		}
	}
	return plain
}

// exitCode waits for the end.
func (p *process) exitCode(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		p.t.Fatalf("%s is still running after %s:\n%s%s", p.cmd, within, p.stdout.String(), p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends it as the platform does.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	return p.exitCode(patience)
}

// await polls what another process makes true.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	tooLong := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-tooLong:
			t.Fatalf("%s: still not so after %s", what, patience)
		}
	}
}

// safeBuffer is what a process writes while others read it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// verbs are all commands that do something.
func verbs(cmd *cobra.Command) []*cobra.Command {
	var found []*cobra.Command
	for _, c := range cmd.Commands() {
		if c.Runnable() {
			found = append(found, c)
		}
		found = append(found, verbs(c)...)
	}
	return found
}

func TestHelpOfEveryVerbHasAnExample(t *testing.T) {
	t.Parallel()
	all := verbs(root())
	if len(all) < 5 {
		t.Fatalf("got %d verbs, want at least 5", len(all))
	}
	for _, verb := range all {
		arguments := append(strings.Fields(verb.CommandPath())[1:], "--help")
		p := run(t, nil, arguments...)
		if code := p.exitCode(patience); code != 0 {
			t.Errorf("%s --help: exit code %d, want 0", verb.CommandPath(), code)
		}
		help := p.stdout.String()
		if verb.Long == "" || !strings.Contains(help, verb.Long) {
			t.Errorf("%s --help does not say what it does:\n%s", verb.CommandPath(), help)
		}
		if !strings.Contains(verb.Example, verb.CommandPath()) || !strings.Contains(help, verb.Example) {
			t.Errorf("%s --help has no example of itself:\n%s", verb.CommandPath(), help)
		}
	}
}
