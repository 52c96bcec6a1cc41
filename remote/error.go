package remote

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"airflow-identity/identity"
)

// Error is a call that did not give what it was made for. It holds no secret and
// no body.
type Error struct {
	System string // "uaa"
	Call   string // "POST /oauth/clients/restricted"
	// Written: a byte of the request may have reached the system. False: the
	// call certainly had no effect.
	Written bool
	// Status of the answer; 0 if there was none.
	Status int
	// Own: the answer is the system's own, not that of something in front of it.
	Own bool
	// RouterError: the answer is that of Cloud Foundry's router.
	RouterError bool
	// Code and Description are the system's own words.
	Code        string
	Description string
	// RetryAfter is what the answer asked for; 0 if it did not.
	RetryAfter time.Duration
	// Err is the cause where there was no answer, or none that could be read.
	Err error
}

func (e *Error) Error() string {
	parts := []string{e.System, e.Call}
	switch {
	case !e.Written:
		parts = append(parts, "never sent")
	case e.Status == 0:
		parts = append(parts, "sent, and no answer")
	case e.RouterError:
		parts = append(parts, fmt.Sprintf("%d from the router in front of it", e.Status))
	case !e.Own:
		parts = append(parts, fmt.Sprintf("%d with an answer that is not its own", e.Status))
	default:
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, e.Code)))
	}
	if e.Description != "" {
		parts = append(parts, e.Description)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

func (e *Error) Unwrap() error { return e.Err }

// Outcome is what the error means for a call that may change something; the
// package comment has the table.
func (e *Error) Outcome() identity.Outcome {
	switch {
	case !e.Written:
		return identity.Later
	case !e.Own:
		return identity.Unknown
	case e.Status == http.StatusUnauthorized,
		e.Status == http.StatusRequestTimeout,
		e.Status == http.StatusTooManyRequests:
		return identity.Later
	case e.Status >= 400 && e.Status < 500:
		return identity.Rejected
	default:
		return identity.Unknown
	}
}

// OutcomeOf finds the Error in a chain. Whatever else went wrong is Unknown,
// which is always safe.
func OutcomeOf(err error) identity.Outcome {
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome()
	}
	return identity.Unknown
}
