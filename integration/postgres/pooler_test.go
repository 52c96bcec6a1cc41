//go:build e2e

package postgres

import (
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestPgBouncerGivesConnectionsAway: what several clients do at a time goes over
// one connection, so it changes hands between transactions; and it leaves nothing.
func TestPgBouncerGivesConnectionsAway(t *testing.T) {
	t.Parallel()
	server := start(t, Config{})
	pooler, err := server.StartPooler(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pooler.Stop() })
	t.Log(pooler.Version)

	backends := map[int]bool{}
	for range 3 {
		client, err := pgx.Connect(t.Context(), pooler.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close(t.Context())
		var backend int
		if err := client.QueryRow(t.Context(), "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&backend); err != nil {
			t.Fatal(err)
		}
		backends[backend] = true
	}
	if len(backends) != 1 {
		t.Errorf("three clients had %d connections to Postgres, want one", len(backends))
	}

	pid := pooler.process.Pid()
	for range 2 {
		if err := pooler.Stop(); err != nil {
			t.Error(err)
		}
	}
	if running(pid) {
		t.Errorf("process %d still runs after Stop", pid)
	}
	if _, err := os.Stat(pooler.runDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder after Stop: got %v, want it gone", err)
	}
}
