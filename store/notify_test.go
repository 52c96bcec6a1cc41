package store

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/postgres/pgtest"
)

// listener runs Listen until the test ends or end is called, and counts how often
// it was woken.
func listener(t *testing.T, url string) (woken chan struct{}, end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	woken = make(chan struct{}, 16)
	ended := make(chan error, 1)
	go func() { ended <- Listen(ctx, url, func() { woken <- struct{}{} }, slog.New(slog.DiscardHandler)) }()
	return woken, func() error { cancel(); return <-ended }
}

func awaitWake(t *testing.T, woken chan struct{}, why string) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	select {
	case <-woken:
	case <-deadline.C:
		t.Fatalf("nobody woke the loop %s", why)
	}
}

func TestListenWakes(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := openWith(t, url, mustKeyset(t))
	woken, end := listener(t, url)
	awaitWake(t, woken, "when it began to listen")

	tell := func() {
		t.Helper()
		within(t, s, func(ctx context.Context, tx identity.Tx) error {
			for range 3 {
				if err := tx.(*transaction).notify(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	tell()
	awaitWake(t, woken, "although a transaction told of due rows")

	const kill = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query = $1`
	var killed int
	if err := s.pool.QueryRow(t.Context(), kill, sqlListen).Scan(&killed); err != nil || killed != 1 {
		t.Fatalf("killed %d connections (%v), want the one that listens", killed, err)
	}
	awaitWake(t, woken, "when it listened again")
	tell()
	awaitWake(t, woken, "over the second connection")

	if err := end(); err != nil {
		t.Errorf("at its end: got %v, want no error", err)
	}
	if len(woken) > 0 {
		t.Errorf("it was woken %d times more than there was a reason", len(woken))
	}
}

// TestListenOutlivesAnOutage begins while nobody can connect.
func TestListenOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := openWith(t, url, mustKeyset(t))
	config, err := connConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	allow := func(allowed string) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), `ALTER ROLE late `+allowed); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.pool.Exec(t.Context(), `CREATE ROLE late NOLOGIN`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.pool.Exec(context.Background(), `DROP ROLE late`); err != nil {
			t.Error(err)
		}
	})
	refused := make(chan struct{}, 16)
	logger := slog.New(told{refused})
	woken := make(chan struct{}, 16)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Listen(ctx, strings.Replace(url, "user="+config.User, "user=late", 1), func() { woken <- struct{}{} }, logger)
	}()
	awaitWake(t, refused, "and nobody was told of the refusal")
	allow("LOGIN")
	awaitWake(t, woken, "when it could connect at last")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("at its end: got %v, want no error", err)
	}
	if len(refused) > 0 {
		t.Errorf("one outage was told %d times", 1+len(refused))
	}
}

// told is a log that says only that something was written.
type told struct{ lines chan struct{} }

func (t told) Enabled(context.Context, slog.Level) bool  { return true }
func (t told) Handle(context.Context, slog.Record) error { t.lines <- struct{}{}; return nil }
func (t told) WithAttrs([]slog.Attr) slog.Handler        { return t }
func (t told) WithGroup(string) slog.Handler             { return t }

func mustKeyset(t *testing.T) identity.Secret {
	t.Helper()
	keyset, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return keyset
}

func TestListenRefusesAURLThatIsNone(t *testing.T) {
	t.Parallel()
	err := Listen(t.Context(), "postgres://u:open-sesame@host:port/db", func() {}, slog.New(slog.DiscardHandler))
	if err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("got %v, want a refusal that does not quote it", err)
	}
}
