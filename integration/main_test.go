package integration

import (
	"testing"

	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/store"
)

func TestMain(m *testing.M) { pgtest.Main(m, store.Migrate) }
