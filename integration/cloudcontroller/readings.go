package cloudcontroller

import (
	"fmt"
	"net/http"
	"strings"
)

// Kind is what Cloud Controller takes an answer for. The failures have the names
// of its own errors, which users meet with "CF-" before them.
type Kind string

// What an answer can be taken for.
const (
	Done     Kind = "done"
	Accepted Kind = "accepted" // 202: poll
	Gone     Kind = "gone"     // 410, where that is no error
	Failed   Kind = "failed"   // a last operation that is answered with 400

	HTTPClientTimeout       Kind = "HttpClientTimeout"
	HTTPRequestError        Kind = "HttpRequestError" // the connection broke
	APIUnreachable          Kind = "ServiceBrokerApiUnreachable"
	APITimeout              Kind = "ServiceBrokerApiTimeout" // 408
	AuthenticationFailed    Kind = "ServiceBrokerApiAuthenticationFailed"
	RequestRejected         Kind = "ServiceBrokerRequestRejected"
	BadResponse             Kind = "ServiceBrokerBadResponse"
	ResponseMalformed       Kind = "ServiceBrokerResponseMalformed"
	BrokerConflict          Kind = "ServiceBrokerConflict"
	AsyncRequired           Kind = "AsyncRequired"
	ConcurrencyError        Kind = "ConcurrencyError"
	MaintenanceInfoConflict Kind = "MaintenanceInfoConflict"
	AppRequired             Kind = "AppRequired"

	// Refused is Cloud Controller's own no: the broker was not asked.
	Refused Kind = "UnprocessableEntity"
	// OperationFailed is a 202 that ended badly.
	OperationFailed Kind = "UnableToPerform"
	// JobTimeout is a 202 that did not end in time.
	JobTimeout Kind = "JobTimeout"
)

// Error is what a user is told.
type Error struct {
	Kind    Kind
	Call    Call
	Status  int    // 0: there was no answer
	Message string // the broker's description, or Cloud Controller's own words
}

func (e *Error) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("%s: %s", e.Kind, e.Message)
	}
	return fmt.Sprintf("%s: Service broker error: %s", e.Kind, e.Message)
}

func refused(format string, args ...any) *Error {
	return &Error{Kind: Refused, Message: fmt.Sprintf(format, args...)}
}

// reading is one line of the table: an answer that fits is taken for a kind.
type reading struct {
	from, to int    // statuses
	word     string // what "error" must say; "": anything
	kind     Kind
	// well tells what is wrong with the body of an answer that is taken for a
	// success; nil: it may be anything.
	well func(object) string
}

func on(status int, kind Kind, well func(object) string) reading {
	return reading{from: status, to: status, kind: kind, well: well}
}

func word(word string, kind Kind) reading {
	return reading{from: http.StatusUnprocessableEntity, to: http.StatusUnprocessableEntity, word: word, kind: kind}
}

// common comes before the lines of every call but the last operations.
var common = []reading{
	on(http.StatusUnauthorized, AuthenticationFailed, nil),
	on(http.StatusRequestTimeout, APITimeout, nil),
	{from: 400, to: 408, kind: RequestRejected},
	{from: 411, to: 421, kind: RequestRejected},
	{from: 423, to: 499, kind: RequestRejected},
	{from: 500, to: 599, kind: BadResponse},
}

// readings says how the answer to each call is read. The first line that fits
// counts; an answer that none fits is a bad response.
var readings = map[Call][]reading{
	CallCatalog: {on(200, Done, isObject)},
	CallProvision: {
		on(200, Done, all(isObject, isText("dashboard_url"), isShort("operation"))),
		on(201, Done, all(isObject, isText("dashboard_url"), isShort("operation"))),
		on(202, Accepted, all(isObject, isText("dashboard_url"), isShort("operation"))),
		on(409, BrokerConflict, nil),
		word("AsyncRequired", AsyncRequired),
		word("ConcurrencyError", ConcurrencyError),
		word("MaintenanceInfoConflict", MaintenanceInfoConflict),
	},
	CallBind: {
		on(200, Done, all(isObject, holdsObject("credentials"))),
		on(201, Done, all(isObject, holdsObject("credentials"))),
		on(202, Accepted, all(isObject, isShort("operation"))),
		on(409, BrokerConflict, nil),
		word("RequiresApp", AppRequired),
		word("AsyncRequired", AsyncRequired),
		word("ConcurrencyError", ConcurrencyError),
	},
	CallUpdate: {
		on(200, Done, all(isObject, isText("dashboard_url"), isShort("operation"))),
		on(202, Accepted, all(isObject, isText("dashboard_url"), isShort("operation"))),
		word("AsyncRequired", AsyncRequired),
		word("MaintenanceInfoConflict", MaintenanceInfoConflict),
		word("", RequestRejected),
	},
	CallUnbind:      deleted,
	CallDeprovision: deleted,
	CallFetchInstance: {
		on(200, Done, all(isObject, isText("service_id"), isText("plan_id"), isText("dashboard_url"), holdsObject("parameters"))),
	},
	CallFetchBinding: {
		on(200, Done, all(isObject, holdsObject("parameters"), holdsObject("credentials"))),
	},
	CallLastOperation:        polled,
	CallLastBindingOperation: polled,
}

var deleted = []reading{
	on(200, Done, isObject),
	on(202, Accepted, all(isObject, isShort("operation"))),
	on(410, Gone, nil),
	word("AsyncRequired", AsyncRequired),
	word("ConcurrencyError", ConcurrencyError),
}

var polled = append([]reading{
	on(200, Done, all(isObject, isState)),
	on(400, Failed, nil),
	on(410, Gone, nil),
}, common...)

// read finds what an answer is taken for. The error says the same to a user; it is
// nil for what is none.
func read(call Call, a answer) (Kind, *Error) {
	lines := readings[call]
	if call != CallLastOperation && call != CallLastBindingOperation {
		lines = append(append([]reading{}, common...), lines...)
	}
	kind, message := BadResponse, a.said("description")
	for _, line := range lines {
		if a.status < line.from || a.status > line.to || line.word != "" && a.said("error") != line.word {
			continue
		}
		kind = line.kind
		if line.well != nil {
			if wrong := line.well(a.body); wrong != "" {
				kind, message = ResponseMalformed, wrong
			}
		}
		break
	}
	switch kind {
	case Done, Accepted, Gone, Failed:
		return kind, nil
	}
	if message == "" {
		message = fmt.Sprintf("the broker answered %d %s", a.status, http.StatusText(a.status))
	}
	return kind, &Error{Kind: kind, Call: call, Status: a.status, Message: message}
}

// The checks of bodies. Each gives what is wrong, or nothing.

func all(checks ...func(object) string) func(object) string {
	return func(o object) string {
		for _, check := range checks {
			if wrong := check(o); wrong != "" {
				return wrong
			}
		}
		return ""
	}
}

func isObject(o object) string {
	if o == nil {
		return "expected valid JSON object in body"
	}
	return ""
}

func isText(key string) func(object) string {
	return func(o object) string {
		if _, text := o[key].(string); o[key] != nil && !text {
			return key + " is no text"
		}
		return ""
	}
}

// isShort is the limit of operations.
func isShort(key string) func(object) string {
	return func(o object) string {
		value, there := o[key]
		if text, isText := value.(string); there && (!isText || len(text) > 10_000) {
			return key + " is no text of at most 10000 characters"
		}
		return ""
	}
}

func holdsObject(key string) func(object) string {
	return func(o object) string {
		if _, isObject := o[key].(object); o[key] != nil && !isObject {
			return "expected " + key + " to be a valid JSON object"
		}
		return ""
	}
}

func isState(o object) string {
	switch o["state"] {
	case string(StateSucceeded), string(StateFailed), string(StateInProgress):
		return ""
	}
	return fmt.Sprintf("state is %q", strings.TrimSpace(fmt.Sprint(o["state"])))
}
