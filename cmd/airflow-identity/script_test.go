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
	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
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
//	identity UUID CONNECTION ENVIRONMENT [SET]
//	                       an identity that is whole, with its columns changed
//	remotes FILE AUTHORITIES ROLE VERSION [forgets]
//	                       starts a UAA in which the broker's client has these authorities
//	                       (with commas between) and an Airflow in which its user has this
//	                       role, and writes a configuration that leads there
//	serves STATEMENTS      from now on every change of an identity is followed by
//	                       these, as if a broker had acted (PL/pgSQL, on NEW)
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
				Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "sql": runSQL, "ready": ready, "identity": makeIdentity, "serves": serves, "remotes": remotes},
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
	withDatabase(ts, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, args[0])
		return err
	})
}

// The instance of an environment is called as it is, with "i-" before its guid; the
// plan of prod is the one of good.yml.
var identityRows = []string{
	`INSERT INTO instance (row, guid, plan, environment, org, space, org_name, space_name, instance_name, parameters, connection_base, created_at)
	VALUES ('i-' || @environment::text, 'i-' || @environment::text, CASE @environment::text WHEN 'prod' THEN '6a4e0c1b-9f2d-4f57-8f5e-52c1a5b7f002' ELSE 'p-' || @environment::text END, @environment, 'o', 's', 'acme', 'etl', 'orders', '{}', 'acme_orders', now())
	ON CONFLICT DO NOTHING`,
	`INSERT INTO connection (airflow, id, space, identity) VALUES ('https://airflow.' || @environment::text, @connection, 's', @id)`,
	`INSERT INTO identity (id, kind, instance, environment, holder, granted, token_lifetime, issuer, token_url, jwks_url, zone_id, generation,
		airflow, connection, description, client_phase, connection_phase, lane, lease_until, lease_epoch, wish_version, request_id, created_at,
		published_generation, published_at, rotate_at)
	VALUES (@id, 'airflow', 'i-' || @environment::text, @environment, 'app:a', '{orders.read}', '10m', '', '', '', 'uaa', 2,
		'https://airflow.' || @environment::text, @connection, '', 'present', 'present', 1, 'epoch', 1, 1, 'r', now(), 2, now(), now() + interval '4 hours')`,
	`INSERT INTO binding (row, guid, instance, airflow_identity, app, parameters, finish_by, created_at, succeeded_at)
	VALUES ('b-' || @id::text, 'b-' || @id::text, 'i-' || @environment::text, @id, 'a', '{}', now(), now(), now())`,
}

func makeIdentity(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: identity UUID CONNECTION ENVIRONMENT [SET]")
	}
	named := pgx.NamedArgs{"id": args[0], "connection": args[1], "environment": args[2]}
	withDatabase(ts, func(ctx context.Context, conn *pgx.Conn) error {
		for _, statement := range identityRows {
			if _, err := conn.Exec(ctx, statement, named); err != nil {
				return err
			}
		}
		if len(args) == 3 {
			return nil
		}
		_, err := conn.Exec(ctx, "UPDATE identity SET "+args[3]+" WHERE id = @id", named)
		return err
	})
}

func remotes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || len(args) > 5 {
		ts.Fatalf("usage: remotes FILE AUTHORITIES ROLE VERSION [forgets]")
	}
	u, err := uaa.Start(uaa.Config{CheapHashes: true, Forgets: len(args) == 5, Clients: []uaa.Client{
		{ID: "airflow-identity", Secret: hidden, Authorities: strings.Split(args[1], ",")},
	}})
	ts.Check(err)
	ts.Defer(u.Close)
	a, err := airflow.Start(airflow.Config{Version: args[3], Users: map[string]airflow.User{"broker": {Password: hidden, Role: args[2]}}})
	ts.Check(err)
	ts.Defer(a.Close)
	config := strings.NewReplacer("https://uaa.sys.example.com", u.URL(), "https://airflow.example.com/", a.URL()).Replace(goodConfig)
	if args[3] == airflow.Version2 {
		config = strings.Replace(config, "kind: password", "kind: basic", 1)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(config), 0o600))
}

func serves(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serves STATEMENTS")
	}
	withDatabase(ts, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `CREATE OR REPLACE FUNCTION serves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN `+args[0]+`; RETURN NEW; END $$;
			CREATE OR REPLACE TRIGGER serves BEFORE UPDATE ON identity FOR EACH ROW EXECUTE FUNCTION serves()`)
		return err
	})
}

func withDatabase(ts *testscript.TestScript, use func(context.Context, *pgx.Conn) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, ts.Getenv("DATABASE_URL"))
	ts.Check(err)
	defer func() { ts.Check(conn.Close(ctx)) }()
	ts.Check(use(ctx, conn))
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
