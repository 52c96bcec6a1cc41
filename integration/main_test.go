package integration

import (
	"flag"
	"fmt"
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

// afterTests stops what tests have shared, before goroutines are counted.
var afterTests = func() error { return nil }

// tidied are the tests, and what is to be stopped after them.
type tidied struct{ *testing.M }

func (m tidied) Run() int {
	code := m.M.Run()
	if err := afterTests(); err != nil {
		fmt.Fprintf(os.Stderr, "after the tests: %v\n", err)
		code = max(code, 1)
	}
	return code
}

func TestMain(m *testing.M) {
	code := pgtest.Run(tidied{m}, store.Migrate)
	if programFolder != "" {
		_ = os.RemoveAll(programFolder) // it is a temporary one: what stays does no harm
	}
	os.Exit(code)
}
