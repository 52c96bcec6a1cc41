package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"airflow-identity/identity"
)

// Answer is a complete answer to one request, its body bounded. Whether it is
// the system's own is for the adapter to say.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	system  *System
	call    string
	secrets []identity.Secret
}

// Answered makes an Answer of its parts, for answers that a library received.
func (s *System) Answered(r Request, status int, header http.Header, body []byte) Answer {
	return Answer{Status: status, Header: header, Body: body, system: s, call: r.Call, secrets: r.Secrets}
}

// JSON reads the body, whatever its content type claims. An empty body, a page
// of HTML and half an object are errors.
func (a Answer) JSON(into any) error {
	body := bytes.TrimSpace(a.Body)
	switch {
	case len(body) == 0:
		return errors.New("the body is empty")
	case body[0] == '<':
		return errors.New("the body is a page of HTML")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("the body is not the JSON that is due") // json's error quotes it
	}
	return nil
}

// Empty tells whether the body is.
func (a Answer) Empty() bool { return len(bytes.TrimSpace(a.Body)) == 0 }

// FromRouter tells whether Cloud Foundry's router answered instead of the system.
func (a Answer) FromRouter() bool { return a.Header.Get("X-Cf-Routererror") != "" }

// NeverCarriedOut tells of the statuses that say of themselves that the request
// was not carried out, whoever in front of the system says it.
func (a Answer) NeverCarriedOut() bool {
	return (a.Status == http.StatusRequestTimeout || a.Status == http.StatusTooManyRequests) && !a.FromRouter()
}

// Refused is the error of an answer that is not the success hoped for. Code and
// description are what the adapter found in a body that is the system's own;
// whatever holds a secret of the request is left out.
func (a Answer) Refused(own bool, code, description string) *Error {
	e := a.failed()
	e.Own = own
	e.Code = Words(code, a.secrets...)
	e.Description = Words(description, a.secrets...)
	return e
}

// Unreadable is the error of an answer whose body cannot be made sense of.
func (a Answer) Unreadable(err error) *Error {
	e := a.failed()
	e.Err = scrubError(err, a.secrets)
	return e
}

func (a Answer) failed() *Error {
	return &Error{
		System:      a.system.config.Name,
		Call:        a.call,
		Written:     true,
		Status:      a.Status,
		RouterError: a.FromRouter(),
		RetryAfter:  retryAfter(a.Header.Get("Retry-After"), a.system.Clock()),
	}
}

// retryAfterMost keeps a remote from putting us to sleep.
const retryAfterMost = time.Hour

func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(seconds, int(retryAfterMost/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, retryAfterMost))
}
