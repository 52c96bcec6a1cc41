package main

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airflow-identity/integration/postgres"

	"golang.org/x/crypto/bcrypt"
)

// occupy listens on a port as a neighbour would, until it is told to stop.
func occupy(t *testing.T, port int) (release func()) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", loopbackAddress(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // it may be closed already
	return func() { _ = listener.Close() }
}

// TestTakenPortIsGivenUp: a neighbour takes the port between the choice and the
// start, twice.
func TestTakenPortIsGivenUp(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "postgres")
	var tried []int
	err := onFreePort(func(port int) error {
		if tried = append(tried, port); len(tried) < 3 {
			occupy(t, port)
		}
		server, err := postgres.Start(t.Context(), postgres.Config{DataDir: folder, Port: port})
		if err != nil {
			return err
		}
		return server.Stop()
	})
	if err != nil || len(tried) != 3 {
		t.Errorf("tried the ports %d: got %v, want a start on the third", tried, err)
	}
}

func TestPortsAreGivenUpInTheEnd(t *testing.T) {
	t.Parallel()
	for why, want := range map[error]int{postgres.ErrPortTaken: portTries, errors.New("the disk is full"): 1} {
		tries := 0
		err := onFreePort(func(int) error { tries++; return why })
		if !errors.Is(err, why) || tries != want {
			t.Errorf("%v: tried %d times and got %v, want %d times and the reason", why, tries, err, want)
		}
	}
}

// TestPromisedPortsAreKept: what a folder told once stays true, or the stage does not
// open.
func TestPromisedPortsAreKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	open := func() (*stage, error) {
		return openStage(t.Context(), folder, []string{"prod"}, stageOptions{timeout: time.Second, bcryptCost: bcrypt.MinCost})
	}
	first, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	promised := first.state.Ports["prod"]
	for port, says := range map[int]string{
		first.state.DatabasePort: "starting Postgres", promised.UAA: "starting environment prod", promised.Airflow: "starting environment prod",
	} {
		release := occupy(t, port)
		s, err := open()
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("with port %d taken: got %v, want %q", port, err, says)
		}
		release()
	}
	again, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if got := again.state.Ports["prod"]; got != promised || again.state.DatabasePort != first.state.DatabasePort {
		t.Errorf("ports: got %d %+v, want %d %+v as before", again.state.DatabasePort, got, first.state.DatabasePort, promised)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
