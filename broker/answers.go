package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"airflow-identity/catalog"
	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain/apiresponses"
)

// verb is what a request asks for; its name is also the action in the audit.
type verb string

const (
	verbCatalog              verb = "catalog"
	verbProvision            verb = "provision"
	verbUpdate               verb = "update"
	verbDeprovision          verb = "deprovision"
	verbGetInstance          verb = "get_instance"
	verbLastOperation        verb = "last_operation"
	verbBind                 verb = "bind"
	verbUnbind               verb = "unbind"
	verbGetBinding           verb = "get_binding"
	verbLastBindingOperation verb = "last_binding_operation"
)

// answer is an error as the platform hears it: a status, one CamelCase word and
// a sentence for people. Without a sentence the body is an empty object.
type answer struct {
	status   int
	word     string
	sentence string
}

func (a answer) Error() string { return a.sentence }

// meaning is one line of the table: what an error means to the platform.
type meaning struct {
	of     func(error) bool
	on     []verb // nil: whichever the verb
	status int
	word   string
	say    func(err error, x *exchange) string
}

// meanings says what each error of the core and of the catalog is answered with.
// The first line that fits counts; an error that none fits is 500.
//
// Two rules of Cloud Controller stand behind it: a 4xx on a create makes it
// forget the thing, a 5xx makes it delete the thing, so 5xx is for whatever may
// have left something behind; and nothing but 200 and 410 ever ends a delete.
var meanings = []meaning{
	{as[*catalog.ParametersError], nil, http.StatusBadRequest, "ParametersInvalid", itself},
	{as[*catalog.NotAllowedError], nil, http.StatusBadRequest, "NotAllowed", itself},

	{is(identity.ErrNotFound), []verb{verbDeprovision, verbUnbind}, http.StatusGone, "", nothing},
	{is(identity.ErrNotFound), []verb{verbGetBinding, verbLastBindingOperation}, http.StatusNotFound, "BindingNotFound",
		always("there is no such binding in this instance, or it is still being made, or it is being removed")},
	{is(identity.ErrNotFound), nil, http.StatusNotFound, "InstanceNotFound",
		always("there is no such service instance, or it is being removed; create it with cf create-service")},

	{is(identity.ErrConflict), []verb{verbBind}, http.StatusConflict, "Conflict",
		always("this binding exists with another plan, app or other parameters; unbind it first, or use another binding id")},
	{is(identity.ErrConflict), nil, http.StatusConflict, "Conflict",
		always("this service instance exists with another plan, org, space or other parameters; delete it first, or use another instance id")},
	{is(identity.ErrBusy), nil, http.StatusUnprocessableEntity, "ConcurrencyError",
		always("another operation on the same instance, binding or connection id is under way; wait until it is done and repeat this one")},
	{is(identity.ErrForeignSpace), nil, http.StatusBadRequest, "SpaceForeign",
		always("this service instance belongs to another space, and an identity is never shared; create an instance in the space that needs it")},

	{as[*identity.QuotaError], nil, http.StatusBadRequest, "QuotaExceeded", quotaExceeded},
	{as[*identity.TakenError], nil, http.StatusBadRequest, "ConnectionTaken", taken},
	{failed(identity.FailedTaken), nil, http.StatusBadRequest, "ConnectionTaken", failedTaken},
	{failed(identity.FailedRefused), nil, http.StatusBadRequest, "Refused", failedRefused},

	{late, []verb{verbDeprovision, verbUnbind}, http.StatusServiceUnavailable, "NotFinished",
		withID("it is being removed and this goes on, but was not finished in time; repeat the request until it is answered with success")},
	{late, []verb{verbUpdate}, http.StatusServiceUnavailable, "NotFinished",
		withID("it is being changed and this goes on, but was not finished in time; repeat the request until it is answered with success")},
	{late, nil, http.StatusServiceUnavailable, "NotFinished",
		withID("it was not finished in time, and what was begun is being removed; try again in a few minutes")},
	{is(identity.ErrUnavailable), nil, http.StatusServiceUnavailable, "Unavailable",
		withID("a system that is needed for this does not answer, and nothing was changed; try again in a few minutes")},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func failed(code identity.FailureCode) func(error) bool {
	return func(err error) bool {
		var failure *identity.FailedError
		return errors.As(err, &failure) && failure.Failure.Code == code
	}
}

func late(err error) bool {
	return errors.Is(err, identity.ErrLate) || failed(identity.FailedLate)(err)
}

func itself(err error, _ *exchange) string { return err.Error() }

func nothing(error, *exchange) string { return "" }

func always(sentence string) func(error, *exchange) string {
	return func(error, *exchange) string { return sentence }
}

func withID(sentence string) func(error, *exchange) string {
	return func(_ error, x *exchange) string {
		return sentence + "; request id " + x.requestID + " finds the cause in the broker's log"
	}
}

func quotaExceeded(err error, _ *exchange) string {
	return err.Error() + "; delete what is not needed any more, or ask the operator of the broker for more"
}

func taken(err error, _ *exchange) string {
	var failure *identity.TakenError
	errors.As(err, &failure)
	return fmt.Sprintf("connection id %q is taken: %s", failure.Connection, failure.Message)
}

func failedTaken(err error, _ *exchange) string {
	var failure *identity.FailedError
	errors.As(err, &failure)
	return failure.Failure.Message + "; choose another connection_id, or have that connection removed first"
}

func failedRefused(err error, x *exchange) string {
	var failure *identity.FailedError
	errors.As(err, &failure)
	return failure.Failure.Message + ", although the plan allows it; ask the operator of the broker, giving request id " + x.requestID
}

// means finds the answer to an error.
func means(v verb, err error, x *exchange) answer {
	var own answer
	if errors.As(err, &own) {
		return own
	}
	for _, m := range meanings {
		if m.of(err) && m.concerns(v) {
			return answer{m.status, m.word, m.say(err, x)}
		}
	}
	return internalError(x)
}

func (m meaning) concerns(v verb) bool {
	return m.on == nil || slices.Contains(m.on, v)
}

// fail answers a verb with an error, in the only form that brokerapi passes on
// as it is. What the user is not told goes to the log.
func (b *broker) fail(x *exchange, v verb, err error) error {
	a := means(v, err, x)
	x.word = a.word
	if a.status >= http.StatusInternalServerError {
		b.logger.Error("request failed",
			slog.String("request_id", x.requestID),
			slog.String("verb", string(v)),
			slog.String("instance", x.instance),
			slog.String("binding", x.binding),
			slog.Any("error", err),
		)
	}
	response := apiresponses.NewFailureResponseBuilder(errors.New(a.sentence), a.status, strings.ToLower(a.word)).WithErrorKey(a.word)
	if a.sentence == "" {
		response = response.WithEmptyResponse()
	}
	return response.Build()
}

// write answers where brokerapi is not asked any more.
func (a answer) write(w http.ResponseWriter, r *http.Request) {
	exchangeOf(r.Context()).word = a.word
	writeJSON(w, a.status, apiresponses.ErrorResponse{Error: a.word, Description: a.sentence})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	// Only a connection that is gone makes this fail, and then nobody listens.
	_ = encoder.Encode(body)
}

func requestInvalid(sentence string) answer {
	return answer{http.StatusBadRequest, "RequestInvalid", sentence}
}

func internalError(x *exchange) answer {
	return answer{http.StatusInternalServerError, "InternalError",
		"something went wrong inside the broker; request id " + x.requestID + " finds the cause in its log"}
}
