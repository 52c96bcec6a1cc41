package store

import (
	"strings"
	"testing"
	"time"

	"airflow-identity/integration/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// Purging an instance makes Postgres look for bindings that refer to it, for each
// row, so there must be an index for it.
func TestPurgeScansNoTable(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, sql := range []string{
		`SET enable_seqscan = off`,
		`INSERT INTO instance (row, guid, plan, environment, org, space, org_name, space_name, instance_name, parameters, connection_base, created_at)
		 SELECT 'r'||g, 'g'||g, 'p', 'e', 'o', 's', '', '', '', '{}', 'c', now() FROM generate_series(1, 5000) g`,
		`ANALYZE`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	plan := func(sql string, args ...any) string {
		rows, err := conn.Query(t.Context(), "EXPLAIN "+sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	if p := plan(`SELECT 1 FROM binding x WHERE instance = 'r1' FOR KEY SHARE`); strings.Contains(p, "Seq Scan") {
		t.Errorf("the foreign key of instance scans all bindings:\n%s", p)
	}
	for _, sql := range sqlPurge {
		if p := plan(sql, time.Now()); strings.Contains(p, "Seq Scan") {
			t.Errorf("a purge scans a whole table:\n%s", p)
		}
	}
}
