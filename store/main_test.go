package store

import (
	"testing"

	"airflow-identity/integration/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, Migrate) }
