//go:build e2e

package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"airflow-identity/integration/real"

	"golang.org/x/sync/errgroup"
)

// startPatience is for a machine that starts several at once.
const startPatience = 3 * time.Minute

// The real systems of this test binary. Each is started for the first test that needs
// it, since that costs seconds, and stopped after the last of all. Tests share them:
// they choose names of their own, and leave alone what they did not make. Who wants to
// stop one, or to be alone with it, starts it by package real.
var (
	runningUAA = shared("UAA", func(ctx context.Context) (*real.UAA, error) {
		return real.StartUAA(ctx, real.UAAConfig{})
	})
	runningAirflows = map[string]func() (*real.Airflow, error){} // by version

	running struct {
		mu    sync.Mutex
		stops []func() error
	}
)

func init() {
	for _, version := range real.Versions(real.AirflowSystem) {
		runningAirflows[version] = shared("Airflow "+version, func(ctx context.Context) (*real.Airflow, error) {
			return real.StartAirflow(ctx, real.AirflowConfig{Version: version})
		})
	}
	afterTests = stopRunning
}

// newestAirflow is the version that tests of one Airflow run.
func newestAirflow() string { return real.Versions(real.AirflowSystem)[0] }

// sharedReal gives the UAA and an Airflow, started side by side if they are not yet.
func sharedReal(t *testing.T, version string) (uaa *real.UAA, airflow *real.Airflow) {
	t.Helper()
	var group errgroup.Group
	group.Go(func() (err error) {
		uaa, err = runningUAA()
		return err
	})
	group.Go(func() (err error) {
		airflow, err = runningAirflows[version]()
		return err
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return uaa, airflow
}

// shared starts a system for whoever comes first; the others wait for it.
func shared[System interface{ Stop() error }](name string, start func(context.Context) (System, error)) func() (System, error) {
	return sync.OnceValues(func() (System, error) {
		ctx, cancel := context.WithTimeout(context.Background(), startPatience)
		defer cancel()
		system, err := start(ctx)
		if err != nil {
			return system, err
		}
		running.mu.Lock()
		defer running.mu.Unlock()
		running.stops = append(running.stops, func() error {
			if err := system.Stop(); err != nil {
				return fmt.Errorf("stop %s: %w", name, err)
			}
			return nil
		})
		return system, nil
	})
}

func stopRunning() error {
	running.mu.Lock()
	defer running.mu.Unlock()
	errs := make([]error, len(running.stops))
	var stopping sync.WaitGroup
	for i, stop := range running.stops {
		stopping.Go(func() { errs[i] = stop() })
	}
	stopping.Wait()
	return errors.Join(errs...)
}
