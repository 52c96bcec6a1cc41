//go:build unix

package pgtest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"airflow-identity/integration/postgres/pgtest"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, func(ctx context.Context, url string) error {
		return exec(ctx, url, "CREATE TABLE visit (who text)")
	})
}

func exec(ctx context.Context, url, statement string) error {
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, statement)
	return err
}

func TestEveryTestHasAMigratedDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			if err := exec(t.Context(), url, "INSERT INTO visit VALUES ('me')"); err != nil {
				t.Fatal(err)
			}
			connection, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			// Left open: the database is dropped all the same. The client's side is
			// closed afterwards, since cleanups run last in, first out.
			defer connection.Close(context.WithoutCancel(t.Context()))
			var visits int
			if err := connection.QueryRow(t.Context(), "SELECT count(*) FROM visit").Scan(&visits); err != nil {
				t.Fatal(err)
			}
			if visits != 1 {
				t.Errorf("visits in a database of one's own: got %d, want 1", visits)
			}
		})
	}
}
