package store

import (
	"context"
	"testing"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/postgres/pgtest"

	"github.com/jackc/pgx/v5"
)

// TestNothingIsPreparedForAPooler does everything once and looks for what a
// session would have to keep.
func TestNothingIsPreparedForAPooler(t *testing.T) {
	t.Parallel()
	url := ThroughPooler(pgtest.New(t))
	s := openWith(t, url, mustKeyset(t))
	v := sample(1)
	v.Identity.Asked = nil
	insert(t, s, v)
	got, err := s.View(t.Context(), v.Identity.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, v)
	within(t, s, func(ctx context.Context, tx identity.Tx) error {
		if err := tx.LockSpace(ctx, v.Instance.Space); err != nil {
			return err
		}
		if err := tx.WakeIdentities(ctx, []identity.ID{v.Identity.ID}, noon); err != nil {
			return err
		}
		locked, err := tx.View(ctx, v.Identity.ID)
		if err != nil {
			return err
		}
		locked.Identity.DueAt = nil
		return tx.SaveView(ctx, *locked, locked.Identity.LeaseEpoch)
	})
	if _, err := s.Claim(t.Context(), "prod", identity.LanePeople, noon, time.Minute, 10); err != nil {
		t.Error(err)
	}
	if _, err := s.Due(t.Context(), []identity.EnvironmentName{"prod"}); err != nil {
		t.Error(err)
	}
	if _, _, err := s.BeginSweep(t.Context(), "prod", noon, noon); err != nil {
		t.Error(err)
	}
	if err := s.BreakOffSweep(t.Context(), "prod", noon, false); err != nil {
		t.Error(err)
	}
	if err := s.EndSweep(t.Context(), "prod", noon); err != nil {
		t.Error(err)
	}
	if list, err := s.Expected(t.Context(), []identity.ID{v.Identity.ID}); err != nil || len(list) != 1 {
		t.Errorf("expected identities: got %d, %v, want one", len(list), err)
	}
	if list, err := s.Unclaimed(t.Context(), []identity.ID{v.Identity.ID, "nobody's"}); err != nil || len(list) != 1 || list[0] != "nobody's" {
		t.Errorf("ids without a row: got %q, %v, want one", list, err)
	}
	if _, err := s.Standing(t.Context(), "prod", noon, "", 10); err != nil {
		t.Error(err)
	}
	if _, err := s.Sample(t.Context(), "prod", 3); err != nil {
		t.Error(err)
	}
	if err := s.Doubt(t.Context(), []identity.ID{v.Identity.ID}, identity.TheClient, noon); err != nil {
		t.Error(err)
	}
	if err := s.Purge(t.Context(), noon); err != nil {
		t.Error(err)
	}
	if list, err := s.InUse(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("plans in use: got %v, %v, want one", list, err)
	}
	ledger := &Ledger{s.pool}
	if list, err := ledger.Identities(t.Context(), "prod"); err != nil || len(list) != 1 {
		t.Errorf("identities: got %v, %v, want one", list, err)
	}
	if _, err := ledger.Identity(t.Context(), string(v.Identity.ID)); err != nil {
		t.Error(err)
	}
	if _, err := ledger.Timeline(t.Context(), v.Identity.ID); err != nil {
		t.Error(err)
	}

	connections := s.pool.AcquireAllIdle(t.Context())
	if len(connections) == 0 {
		t.Error("no connection to look at")
	}
	for _, conn := range connections {
		var named int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_prepared_statements`).Scan(&named); err != nil || named != 0 {
			t.Errorf("a session keeps %d statements (%v), want none", named, err)
		}
		conn.Release()
	}
}

func TestThroughPooler(t *testing.T) {
	t.Parallel()
	for url, mode := range map[string]pgx.QueryExecMode{
		"postgres://u:p%40w@db:6432/rows":                                            pgx.QueryExecModeCacheDescribe,
		"postgresql://db/rows?sslmode=require&pool_max_conns=4":                      pgx.QueryExecModeCacheDescribe,
		"postgres:///rows?host=/run/pgbouncer&port=6432":                             pgx.QueryExecModeCacheDescribe,
		"host=db port=6432 dbname=rows":                                              pgx.QueryExecModeCacheDescribe,
		"postgres://db/rows?default_query_exec_mode=exec":                            pgx.QueryExecModeExec,
		"postgres://db/rows?default_query_exec_mode=cache_statement&sslmode=disable": pgx.QueryExecModeCacheStatement,
		"postgres://db/rows?sslmode=disable&default_query_exec_mode=simple_protocol": pgx.QueryExecModeSimpleProtocol,
	} {
		plain, err := poolConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		pooled, err := poolConfig(ThroughPooler(url))
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := pooled.ConnConfig.DefaultQueryExecMode; got != mode {
			t.Errorf("%s: the mode is %s, want %s", url, got, mode)
		}
		if plain.MaxConns != pooled.MaxConns || plain.ConnConfig.Host != pooled.ConnConfig.Host ||
			plain.ConnConfig.Password != pooled.ConnConfig.Password || plain.ConnConfig.Database != pooled.ConnConfig.Database {
			t.Errorf("%s leads elsewhere: %s", url, ThroughPooler(url))
		}
	}
}

// TestMigrateTakesAPoolsURL: what is said about pools is no setting of Postgres.
func TestMigrateTakesAPoolsURL(t *testing.T) {
	t.Parallel()
	if err := Migrate(t.Context(), pgtest.New(t)+"&pool_max_conns=4"); err != nil {
		t.Error(err)
	}
}
