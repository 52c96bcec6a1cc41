package integration

import (
	"flag"
	"os"
	"testing"

	"airflow-identity/integration/postgres/pgtest"
	"airflow-identity/store"
)

// What TestNoRefusal is told after -args.
var (
	rotationsWanted = flag.Int("rotations", 500, "TestNoRefusal: how many rotations there are at least")
	seedWanted      = flag.Uint64("seed", 0, "TestNoRefusal: what the dice begin with; 0: anything")
)

func TestMain(m *testing.M) {
	code := pgtest.Run(m, store.Migrate)
	if programFolder != "" {
		_ = os.RemoveAll(programFolder) // it is a temporary one: what stays does no harm
	}
	os.Exit(code)
}
