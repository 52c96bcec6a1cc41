package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A tombstone goes once nothing refers to it any more: bindings before their
// identities, those before their connection ids and instances.
var sqlPurge = []string{
	`DELETE FROM binding WHERE removed_at < $1`,
	`DELETE FROM identity y WHERE y.clean_at < $1 AND NOT EXISTS (SELECT FROM binding b WHERE b.airflow_identity = y.id OR b.client_identity = y.id)`,
	`DELETE FROM connection c WHERE c.identity IS NULL AND c.released_at < $1 AND c.debt_since IS NULL
		AND NOT EXISTS (SELECT FROM identity y WHERE y.airflow = c.airflow AND y.connection = c.id)`,
	`DELETE FROM instance i WHERE i.removing_at < $1
		AND NOT EXISTS (SELECT FROM binding b WHERE b.instance = i.row)
		AND NOT EXISTS (SELECT FROM identity y WHERE y.instance = i.row)`,
}

// Purge deletes tombstones that are older than before. Events stay.
func (s *Store) Purge(ctx context.Context, before time.Time) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		for _, statement := range sqlPurge {
			if _, err := tx.Exec(ctx, statement, before); err != nil {
				return fmt.Errorf("deleting tombstones: %w", err)
			}
		}
		return nil
	})
}
