package identity

import (
	"errors"
	"fmt"
)

// The errors of the verbs. broker turns each into an answer, in one table.
var (
	// ErrNotFound: there is no such instance or binding, or it is being removed.
	ErrNotFound = errors.New("not found")
	// ErrConflict: it exists with other attributes.
	ErrConflict = errors.New("exists with different attributes")
	// ErrBusy: another operation on the same thing is under way; repeat later.
	ErrBusy = errors.New("another operation is under way")
	// ErrLate: the budget ended first. A create is cleaned up, a removal goes on.
	ErrLate = errors.New("not finished within the budget")
	// ErrForeignSpace: a bind from another space than the instance's.
	ErrForeignSpace = errors.New("the instance belongs to another space")
	// ErrUnavailable: a remote system is needed before anything can be written.
	ErrUnavailable = errors.New("a remote system is not available")
)

// errFenced: the row was leased to somebody else meanwhile. What was being
// carried out is theirs now.
var errFenced = errors.New("the lease was lost")

// TakenError says that a connection id cannot be had.
type TakenError struct {
	Connection ConnectionID
	Message    string
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("connection id %s is taken: %s", e.Connection, e.Message)
}

// QuotaError says that there are as many of something as there may be.
type QuotaError struct {
	Of    string // as "bindings of this instance"
	Limit int
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("there are %d %s already, as many as the plan allows", e.Limit, e.Of)
}

// Refusal is why a remote system refuses for good, in words of ours for the one who
// asked: what is missing, and who mends it. It begins in lower case and holds no
// secret. Adapters wrap it into their errors.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

// ReasonFor gives the reason of a Refusal in an error's chain, or "".
func ReasonFor(err error) string {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return ""
}

// FailedError says why a create that was under way failed.
type FailedError struct{ Failure Failure }

func (e *FailedError) Error() string {
	return fmt.Sprintf("create failed: %s: %s", e.Failure.Code, e.Failure.Message)
}
