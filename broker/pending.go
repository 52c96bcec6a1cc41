package broker

import (
	"errors"

	"airflow-identity/identity"
)

// pending finds the operation that goes on behind the answer. Whoever did not
// allow that would take a 202 for something else.
func pending(err error, asyncAllowed bool) (operation string, ok bool) {
	var p *identity.PendingError
	if !asyncAllowed || !errors.As(err, &p) {
		return "", false
	}
	return string(p.Operation), true
}
