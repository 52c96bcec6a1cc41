package integration

import (
	"os"
	"testing"

	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/store"
)

func TestMain(m *testing.M) {
	code := pgtest.Run(m, store.Migrate)
	if programFolder != "" {
		_ = os.RemoveAll(programFolder) // it is a temporary one: what stays does no harm
	}
	os.Exit(code)
}
