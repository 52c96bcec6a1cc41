package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

const versionTable = "public.schema_version"

// Migrate brings the schema up to date. It is safe to run from every instance at
// once: tern holds an advisory lock meanwhile, for which url must lead to
// Postgres itself and not to a pooler. A migration that fails is rolled back. A
// newer schema is left as it is: it is made to suit this program too, which may be
// started once more while its successor is rolled out.
func Migrate(ctx context.Context, url string) error {
	config, err := connConfig(url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connecting to migrate the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	migrator, err := newMigrator(ctx, conn)
	if err != nil {
		return err
	}
	current, err := migrator.GetCurrentVersion(ctx)
	if err != nil {
		return fmt.Errorf("reading the schema's version: %w", err)
	}
	if current > SchemaVersion() {
		return nil
	}
	if err := migrator.Migrate(ctx); err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

func newMigrator(ctx context.Context, conn *pgx.Conn) (*migrate.Migrator, error) {
	migrator, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return nil, fmt.Errorf("preparing the migrations: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	if err := migrator.LoadMigrations(files); err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return migrator, nil
}

// SchemaVersion is the version that this program needs: one for each file.
func SchemaVersion() int32 {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0 // the pattern is a constant
	}
	return int32(len(files))
}

// ErrSchema says that the database's schema is not the one this program needs.
var ErrSchema = errors.New("the database's schema is not up to date; run: airflow-identity migrate")

const sqlSchemaVersion = `SELECT version FROM public.schema_version`

// Ready checks that Postgres answers and that the schema is at least the one
// that this program needs: a newer one is made to suit its predecessor too.
func (s *Store) Ready(ctx context.Context) error {
	var version int32
	err := s.pool.QueryRow(ctx, sqlSchemaVersion).Scan(&version)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == undefinedTable, errors.Is(err, pgx.ErrNoRows):
		return ErrSchema
	case err != nil:
		return fmt.Errorf("reading the schema's version: %w", err)
	case version < SchemaVersion():
		return ErrSchema
	default:
		return nil
	}
}
