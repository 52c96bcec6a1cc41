//go:build unix

package real

import (
	"context"
	"errors"
	"strings"
)

// errPortTaken is the end of a server whose port somebody else took between the choice
// and its use. Airflow uses its own only after many seconds; any connection from this
// machine may be given it meanwhile.
var errPortTaken = errors.New("its port was taken by another program")

// lostItsPort finds that in what a server said last: uvicorn's words, and Java's.
func lostItsPort(log string) bool { return strings.Contains(log, "ddress already in use") }

const portTries = 3

// onFreePort starts a server, and once more on another port if it lost the first.
func onFreePort[C, S any](ctx context.Context, config C, start func(context.Context, C) (S, error)) (server S, err error) {
	for range portTries {
		if server, err = start(ctx, config); !errors.Is(err, errPortTaken) {
			break
		}
	}
	return server, err
}
