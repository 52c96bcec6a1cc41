//go:build unix

// Package pgtest gives every test a migrated database of its own, on a real
// Postgres that is started once per test binary.
//
// A copy of a template takes a few hundredths of a second, so tests share no
// rows, need no order and clean nothing up; they may all be parallel. Without
// Postgres the tests fail: what was skipped everywhere would be tested nowhere.
//
//	func TestMain(m *testing.M) { pgtest.Main(m, store.Migrate) }
//
//	func TestBind(t *testing.T) {
//		t.Parallel()
//		url := pgtest.New(t)
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"airflow-identity/integration/postgres"
)

const (
	template = "template_migrated"
	// patience is for a machine that is busy with other packages' tests.
	patience = 2 * time.Minute
)

// shared is the test binary's one server.
var shared struct {
	server *postgres.Server

	mu     sync.Mutex // Postgres copies a template for one session at a time
	copies int
}

// Main is a package's TestMain: it starts the server, has migrate bring the
// template up to date, runs the tests, stops the server and looks for goroutines
// left behind. migrate may be nil, and must close its connections. Main does not
// return.
func Main(m *testing.M, migrate func(ctx context.Context, url string) error) {
	os.Exit(Run(m, migrate))
}

// Run is Main for a TestMain that has something of its own to tidy up: it returns
// the code to exit with. m is the *testing.M, or what wraps it in order to stop things
// that tests have shared before goroutines are looked for.
func Run(m interface{ Run() int }, migrate func(ctx context.Context, url string) error) (code int) {
	if err := start(migrate); err != nil {
		fmt.Fprintf(os.Stderr, "no database for the tests: %v\n", err)
		code = 1
	} else {
		code = m.Run()
	}
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "after the tests: %v\n", err)
			code = max(code, 1)
		}
	}
	if code != 0 {
		return code // what a failed test left running says nothing new
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintf(os.Stderr, "after the tests: %v\n", err)
		return 1
	}
	return 0
}

func start(migrate func(ctx context.Context, url string) error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	shared.server, err = postgres.Start(ctx, postgres.Config{MaxConnections: 400})
	if err != nil {
		return err
	}
	if err := shared.server.CreateDatabase(ctx, template, ""); err != nil {
		return err
	}
	if migrate == nil {
		return nil
	}
	if err := migrate(ctx, shared.server.URL(template)); err != nil {
		return fmt.Errorf("migrate the template: %w", err)
	}
	return nil
}

// New returns the URL of a fresh copy of the template, which is dropped when the
// test ends, together with whoever is still connected to it.
func New(t testing.TB) string {
	t.Helper()
	name, err := create()
	if err != nil {
		t.Fatalf("a database for the test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := shared.server.DropDatabase(ctx, name); err != nil {
			t.Errorf("the test's database: %v", err)
		}
	})
	return shared.server.URL(name)
}

// Pooled gives a URL of the test's database, as New gave its own, that leads through
// a PgBouncer with that many connections to Postgres. It stops when the test ends.
func Pooled(t testing.TB, database string, connections int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pooler, err := shared.server.StartPooler(ctx, connections)
	if err != nil {
		t.Fatalf("a pooler for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			t.Errorf("the test's pooler: %v", err)
		}
	})
	t.Logf("through %s", pooler.Version)
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return pooler.URL(strings.TrimPrefix(address.Path, "/"))
}

func create() (name string, err error) {
	if shared.server == nil {
		return "", errors.New("no server: the package needs a TestMain that calls pgtest.Main")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.copies++
	name = "test_" + strconv.Itoa(shared.copies)
	return name, shared.server.CreateDatabase(ctx, name, template)
}
