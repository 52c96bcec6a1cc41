package store

import (
	"fmt"
	"testing"
	"time"

	"airflow-identity/identity"
)

// BenchmarkScale measures what the loop and the sweeps ask the database, with ten
// thousand identities and with a million, of which one in a thousand is due and a
// tenth ended long ago. What is compared is the ratio within one run:
//
//	go test ./store -run '^$' -bench Scale -benchtime 300x
func BenchmarkScale(b *testing.B) {
	for _, rows := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := open(b)
			fillUp(b, s, rows)
			now := noon.Add(time.Hour)
			b.Run("due", func(b *testing.B) {
				for b.Loop() {
					if due, err := s.Due(b.Context(), []identity.EnvironmentName{"prod", "dev", "staging"}); err != nil || len(due) == 0 {
						b.Fatalf("due: %v, %v", due, err)
					}
				}
			})
			b.Run("claim", func(b *testing.B) {
				claimed := 0
				for b.Loop() {
					// A lease that is over at once: the same rows can be claimed again.
					leases, err := s.Claim(b.Context(), "prod", identity.LaneRotation, now, 0, 8)
					if err != nil {
						b.Fatal(err)
					}
					claimed += len(leases)
				}
				if claimed == 0 {
					b.Fatal("nothing was claimed")
				}
			})
			b.Run("sweep page", func(b *testing.B) {
				after := identity.ID("")
				for b.Loop() {
					ids, err := s.Standing(b.Context(), "prod", now, after, 200)
					if err != nil {
						b.Fatal(err)
					}
					if len(ids) < 200 {
						after = ""
						continue
					}
					after = ids[len(ids)-1]
					if views, err := s.Expected(b.Context(), ids); err != nil || len(views) != 200 {
						b.Fatalf("a page of %d, %v", len(views), err)
					}
				}
			})
			b.Run("sample", func(b *testing.B) {
				for b.Loop() {
					if ids, err := s.Sample(b.Context(), "prod", 10); err != nil || len(ids) != 10 {
						b.Fatalf("a sample of %d, %v", len(ids), err)
					}
				}
			})
		})
	}
}

// fillUp copies one identity as often as is asked for.
func fillUp(b *testing.B, s *Store, rows int) {
	b.Helper()
	v := sample(1)
	insert(b, s, v)
	for _, statement := range []string{
		`INSERT INTO connection (airflow, id, space) SELECT c.airflow, c.id || '_' || g, c.space FROM connection c, generate_series(1, $1::int) g`,
		`INSERT INTO identity SELECT r.* FROM identity y, generate_series(1, $1::int) g, LATERAL jsonb_populate_record(y, jsonb_build_object(
			'id', gen_random_uuid(), 'connection', y.connection || '_' || g, 'client_phase', 'present', 'connection_phase', 'present', 'lane', 1,
			'lease_until', '2020-01-01Z', 'published_at', y.created_at, 'created_at', y.created_at - interval '1 day',
			'due_at', CASE WHEN g % 10 > 0 THEN y.created_at + CASE WHEN g % 1000 = 1 THEN interval '-1 hour' ELSE g % 100000 * interval '1 second' + interval '2 hours' END END,
			'ended_at', CASE WHEN g % 10 = 0 THEN y.created_at END, 'clean_at', CASE WHEN g % 10 = 0 THEN y.created_at END)) r
		 WHERE y.id = '` + string(v.Identity.ID) + `'`,
		`ANALYZE`,
	} {
		var arguments []any
		if statement != "ANALYZE" {
			arguments = append(arguments, rows)
		}
		if _, err := s.pool.Exec(b.Context(), statement, arguments...); err != nil {
			b.Fatal(err)
		}
	}
}
