package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/store"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts plays testdata/script. Each script has a migrated database, a free
// port, a keyset and the file of a working configuration. Its own commands:
//
//	exits CODE PROGRAM …   runs a program that must end with this exit code
//	sql STATEMENT          changes the database behind the program's back
//	ready                  waits until the broker at $PORT is ready
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testscript.Run(t, testscript.Params{
				Files:               []string{script},
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Setup:               prepare(t),
				Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "sql": runSQL, "ready": ready},
			})
		})
	}
}

func prepare(t *testing.T) func(*testscript.Env) error {
	database := pgtest.New(t)
	return func(env *testscript.Env) error {
		keyset, err := store.NewKeyset()
		if err != nil {
			return err
		}
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		config := filepath.Join(env.WorkDir, "good.yml")
		if err := os.WriteFile(config, []byte(goodConfig), 0o600); err != nil {
			return err
		}
		env.Setenv("PATH", filepath.Dir(programPath)+string(os.PathListSeparator)+env.Getenv("PATH"))
		env.Setenv("DATABASE_URL", database)
		env.Setenv("PORT", strconv.Itoa(ports[0]))
		env.Setenv("SEALING_KEYSET", keyset.Reveal())
		env.Setenv("UAA_CLIENT_SECRET", hidden)
		env.Setenv("AIRFLOW_PASSWORD", hidden)
		env.Setenv("SECURITY_USER_NAME", "platform")
		env.Setenv("SECURITY_USER_PASSWORD", hidden)
		return nil
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql STATEMENT")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, ts.Getenv("DATABASE_URL"))
	ts.Check(err)
	defer func() { ts.Check(conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, args[0])
	ts.Check(err)
}

func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: ready")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := until(ctx, func() bool {
		response, err := http.Get("http://127.0.0.1:" + ts.Getenv("PORT") + "/readyz")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
	if err != nil {
		ts.Fatalf("the broker did not become ready: %v", err)
	}
}
