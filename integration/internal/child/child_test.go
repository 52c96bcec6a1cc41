//go:build unix

package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// orphanEnv makes the test binary a parent that starts a child and waits to be killed.
const orphanEnv = "CHILD_TEST_ORPHAN_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphanEnv); dir != "" {
		process, err := Start(shell(`trap "" TERM; sleep 1000 & echo $! > grandchild; wait`, dir))
		fmt.Println(process.Pid(), err)
		select {}
	}
	goleak.VerifyTestMain(m)
}

func shell(script, dir string) Config {
	return Config{Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, OrphanDir: dir}
}

func TestChildWritesToItsFilesAndTellsHowItEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	process, err := Start(Config{Path: "/bin/sh", Args: []string{"-c", "pwd; exit 3"}, Stdout: out})
	if err != nil {
		t.Fatal(err)
	}

	var exit *exec.ExitError
	if err := process.Err(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("end of the child: got %v, want exit status 3", err)
	}
	if content, _ := os.ReadFile(out.Name()); string(content) != "/\n" {
		t.Errorf("output: got %q, want the default folder", content)
	}
	if err := process.Stop(0); err != nil {
		t.Errorf("stopping what has ended: got %v, want nothing to complain about", err)
	}
}

func TestStopAsksThenKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script  string
		ignored bool
	}{
		"obeys":   {`sleep 1000 & echo $! > grandchild; wait`, false},
		"ignores": {`trap "" TERM; sleep 1000 & echo $! > grandchild; wait; wait`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			process, err := Start(shell(test.script, dir))
			if err != nil {
				t.Fatal(err)
			}
			grandchild := readPid(t, filepath.Join(dir, "grandchild"))

			err = process.Stop(map[bool]time.Duration{false: time.Minute, true: 50 * time.Millisecond}[test.ignored])
			if (err != nil) != test.ignored {
				t.Errorf("got %v, want a complaint: %v", err, test.ignored)
			}
			if running(process.Pid()) {
				t.Errorf("the child runs after Stop")
			}
			eventually(t, "the end of the grandchild", func() bool { return !running(grandchild) })
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("a stopped child's folder: got %v, want it kept for whoever stopped it", err)
			}
		})
	}
}

func TestOrphanGoesWithAllThatIsIts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "work")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), orphanEnv+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	_, scanErr := fmt.Fscan(out, &child)
	grandchild := readPid(t, filepath.Join(dir, "grandchild"))
	if err := parent.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = parent.Wait() // it was killed, and says so
	if scanErr != nil {
		t.Fatal(scanErr)
	}

	eventually(t, "the end of the child", func() bool { return !running(child) })
	eventually(t, "the end of the grandchild", func() bool { return !running(grandchild) })
	eventually(t, "the end of the folder", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestProgramThatIsNotThere(t *testing.T) {
	t.Parallel()
	if process, err := Start(Config{Path: "/no/such/program"}); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("got %v, %v; want an error that names it", process, err)
	}
}

func readPid(t *testing.T, path string) (pid int) {
	t.Helper()
	eventually(t, "a pid in "+path, func() bool {
		content, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(content)))
		return err == nil
	})
	return pid
}

// running says whether a process is there and more than a zombie: who inherits an
// orphan may take its time to wait for it, or never do it.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return err != nil || !bytes.Contains(status, []byte("State:\tZ"))
}

func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-deadline.C:
			t.Fatalf("waited 30 s in vain for %s", what)
		case <-tick.C:
		}
	}
}
