package main

import (
	"context"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"airflow-identity/integration/standin"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
)

// newStage is a stage in this process, so that tests can make its remotes fail,
// on which brokers run as processes of their own.
func newStage(t *testing.T, timeout time.Duration, others ...string) *stage {
	t.Helper()
	s, err := openStage(t.Context(), t.TempDir(), append([]string{"prod"}, others...), stageOptions{timeout: timeout, bcryptCost: bcrypt.MinCost})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the stage: %v", err)
		}
	})
	return s
}

// reconfigure changes the stage's configuration, for brokers that start from now on.
func (s *stage) reconfigure(t *testing.T, change func(*Config)) {
	t.Helper()
	config, err := loadConfig(s.configPath())
	if err != nil {
		t.Fatal(err)
	}
	change(config)
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := writePrivately(s.configPath(), text); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) broker(t *testing.T, name string) *demoBroker {
	t.Helper()
	b, err := startBroker(t.Context(), s, programPath, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		if log, err := os.ReadFile(b.log); err == nil {
			t.Logf("the log of %s:\n%s", name, log)
		}
	})
	return b
}

type reply struct {
	status int
	body   map[string]any
	err    error
}

// TestStopInMidBind stops a broker while Airflow keeps it waiting. The bind is
// answered with 5xx, which makes the platform take it back, and is taken back
// here in any case.
func TestStopInMidBind(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3*time.Second)
	b := s.broker(t, "broker-1")
	c := &cast{stage: s}
	path, body := c.create("prod", "orders", nil)
	if status, answer, err := b.call(t.Context(), http.MethodPut, path, body); err != nil || status != http.StatusCreated {
		t.Fatalf("provision: %d %v %v", status, answer, err)
	}

	arrived, release := make(chan struct{}), make(chan struct{})
	s.environments["prod"].airflow.Faults.Add(standin.Fault{
		Call: "POST /api/v2/connections", Kind: standin.Slow, Delay: patience, Release: release,
		Before: func() { close(arrived) },
	})
	path, body = c.bind("prod", "orders", "etl", nil)
	bound := make(chan reply, 1)
	go func() {
		status, answer, err := b.call(context.WithoutCancel(t.Context()), http.MethodPut, path, body)
		bound <- reply{status, answer, err}
	}()
	<-arrived
	asked := time.Now()
	b.stop()
	took := time.Since(asked)
	t.Logf("stopped within %s", took.Round(time.Millisecond))
	if took > stopWithin {
		t.Errorf("it stopped after %s, want at most %s", took, stopWithin)
	}
	if code := b.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with exit code %d, want 0", code)
	}
	if r := <-bound; r.err != nil || r.status != http.StatusServiceUnavailable || r.body["error"] != "NotFinished" {
		t.Errorf("the bind: got %d %v %v, want 503 NotFinished", r.status, r.body, r.err)
	}

	// Airflow acts after all, and whoever comes next cleans up.
	close(release)
	b = s.broker(t, "broker-2")
	await(t, "all of the bind is taken back", func() bool {
		clients := slices.DeleteFunc(s.environments["prod"].uaa.ClientIDs(), func(id string) bool { return id == stageClient })
		return len(clients) == 0 && len(s.environments["prod"].airflow.ConnectionIDs()) == 0
	})
	await(t, "the binding is gone", func() bool {
		status, _, err := b.call(t.Context(), http.MethodDelete, path+c.ids("prod"), nil)
		return err == nil && status == http.StatusGone
	})
	path, _ = c.create("prod", "orders", nil)
	if status, answer, err := b.call(t.Context(), http.MethodDelete, path+c.ids("prod"), nil); err != nil || status != http.StatusOK {
		t.Errorf("deprovision: %d %v %v", status, answer, err)
	}
}
