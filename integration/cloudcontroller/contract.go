package cloudcontroller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Contract is the specification's own OpenAPI document, and what it forgot.
type Contract struct {
	router routers.Router
}

// NewContract reads the document of version 2.17. Clients of older versions are
// held to it too: each version only added to the one before.
func NewContract(document []byte) (*Contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	doc.Servers = nil // the broker is wherever it is
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	return &Contract{router}, nil
}

// gap is an answer that the specification's text has and its document lacks, or
// that HTTP has and both lack. What the document does not check, check does.
type gap struct {
	name   string
	calls  []Call // nil: all
	status int    // 0: any 5xx
	why    string
	check  func(Exchange) string
}

var gaps = []gap{
	{"not modified", []Call{CallCatalog}, http.StatusNotModified, "the catalog may have an entity tag", emptyBody},
	{"bad request of a read", []Call{CallCatalog, CallFetchInstance, CallFetchBinding}, http.StatusBadRequest, "§Service Broker Errors", isError},
	{"no login of a read", []Call{CallCatalog, CallFetchInstance, CallFetchBinding}, http.StatusUnauthorized, "§Platform to Service Broker Authentication", isError},
	{"nothing to change", []Call{CallProvision, CallUpdate, CallBind}, http.StatusNotFound, "the instance that is bound to, or updated, is not there", isError},
	{"no such API version", nil, http.StatusPreconditionFailed, "§API Version Header", isError},
	{"too large", []Call{CallProvision, CallUpdate, CallBind}, http.StatusRequestEntityTooLarge, "RFC 9110", isError},
	{"conflict of a delete or update", []Call{CallUpdate, CallUnbind, CallDeprovision}, http.StatusConflict, "§Service Broker Errors: any 4xx may be used", isError},
	{"busy at a read", []Call{CallFetchInstance, CallFetchBinding}, http.StatusUnprocessableEntity, "§Fetching a Service Instance: ConcurrencyError", isError},
	{"failure", nil, 0, "§Service Broker Errors", isError},
}

// omission is what the document has, and says less of than the text does.
type omission struct {
	name  string
	check func(Exchange) string
}

var omissions = []omission{
	{"errors", func(e Exchange) string {
		// 410 of what is not there may say nothing at all.
		if e.Status < 400 || e.Status == http.StatusGone {
			return ""
		}
		return isError(e)
	}},
	{"content type", func(e Exchange) string {
		if len(e.ResponseBody) > 0 && !strings.HasPrefix(e.Header.Get("Content-Type"), "application/json") {
			return "the body is not application/json but " + strconv.Quote(e.Header.Get("Content-Type"))
		}
		return ""
	}},
	{"request identity", func(e Exchange) string {
		if sent := e.Request.Header.Get(headerRequest); sent != "" && e.Header.Get(headerRequest) != sent {
			return fmt.Sprintf("%s: sent %q, told %q", headerRequest, sent, e.Header.Get(headerRequest))
		}
		return ""
	}},
	{"Retry-After", func(e Exchange) string {
		text := e.Header.Get("Retry-After")
		if text == "" {
			return ""
		}
		if _, err := strconv.ParseUint(text, 10, 31); err != nil {
			return fmt.Sprintf("Retry-After %q is not a number of seconds", text)
		}
		return ""
	}},
	{"dates", func(e Exchange) string {
		metadata, _ := objectOf(e)["metadata"].(object)
		for _, key := range []string{"expires_at", "renew_before"} {
			if text, there := metadata[key].(string); there && !date.MatchString(text) {
				return fmt.Sprintf("metadata.%s %q is not yyyy-mm-ddThh:mm:ss.sZ", key, text)
			} else if there {
				if _, err := time.Parse(time.RFC3339, text); err != nil {
					return err.Error()
				}
			}
		}
		return ""
	}},
	{"operation", func(e Exchange) string {
		text, there := objectOf(e)["operation"].(string)
		if there && (text == "" || len(text) > 10_000) {
			return "operation must have 1 to 10000 characters"
		}
		return ""
	}},
	{"nothing handed out early", func(e Exchange) string {
		if e.Status == http.StatusAccepted && objectOf(e)["credentials"] != nil {
			return "202 with credentials"
		}
		return ""
	}},
	{"texts that are there say something", func(e Exchange) string {
		for _, key := range []string{"description", "error", "dashboard_url"} {
			if text, there := objectOf(e)[key].(string); there && text == "" {
				return key + " is empty"
			}
		}
		return ""
	}},
	{"after a failure", func(e Exchange) string {
		o := objectOf(e)
		for _, key := range []string{"instance_usable", "update_repeatable"} {
			failedChange := (e.Call == CallUpdate || e.Call == CallDeprovision) && e.Status >= 400 || e.Call == CallLastOperation && o["state"] == "failed"
			if o[key] != nil && !failedChange {
				return key + " must not be here"
			}
		}
		return ""
	}},
	{"credentials of a binding", func(e Exchange) string {
		made := e.Call == CallBind && (e.Status == http.StatusOK || e.Status == http.StatusCreated)
		if made && objectOf(e)["credentials"] == nil {
			return "no credentials"
		}
		return ""
	}},
	{"catalog", func(e Exchange) string {
		if e.Call != CallCatalog || e.Status != http.StatusOK {
			return ""
		}
		_, problems := ReadCatalog(e.ResponseBody)
		return strings.Join(problems, "; ")
	}},
}

// date has one digit of a fraction, and no other zone than Z.
var date = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\dZ$`)

var oneWord = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

func objectOf(e Exchange) object {
	var o object
	_ = json.Unmarshal(e.ResponseBody, &o) // what is none says nothing
	return o
}

func emptyBody(e Exchange) string {
	if len(e.ResponseBody) > 0 {
		return "it has a body"
	}
	return ""
}

func isError(e Exchange) string {
	o := objectOf(e)
	if o == nil {
		return "the body of an error is a JSON object"
	}
	if text, _ := o["description"].(string); text == "" && (e.Status != http.StatusConflict || len(o) > 0) {
		return "an error without a description"
	}
	if word, there := o["error"]; there {
		if text, isText := word.(string); !isText || !oneWord.MatchString(text) {
			return fmt.Sprintf("error %v is not one CamelCase word", word)
		}
	}
	return ""
}

// Check holds an exchange against the contract and gives what does not agree.
func (k *Contract) Check(e Exchange) []string {
	if e.Err != nil {
		return nil // nothing was said
	}
	var found []string
	add := func(what, wrong string) {
		if wrong != "" {
			found = append(found, what+": "+wrong)
		}
	}
	for _, o := range omissions {
		add(o.name, o.check(e))
	}
	asked := e.Request.Clone(context.Background())
	asked.Body = io.NopCloser(bytes.NewReader(e.RequestBody))
	route, path, err := k.router.FindRoute(asked)
	if err != nil {
		add("route", err.Error())
		return found
	}
	request := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: path, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: loggedIn, MultiError: true, SkipSettingDefaults: true},
	}
	if err := openapi3filter.ValidateRequest(asked.Context(), request); err != nil {
		add("request", oneLine(err))
	}
	if g := gapOf(e); g != nil && (route.Operation.Responses.Status(e.Status) == nil) {
		add(g.name, g.check(e))
		return found
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: e.Status, Header: e.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	response.SetBodyBytes(e.ResponseBody)
	if err := openapi3filter.ValidateResponse(asked.Context(), response); err != nil {
		add("response", oneLine(err))
	}
	return found
}

func gapOf(e Exchange) *gap {
	for i, g := range gaps {
		if g.status != e.Status && (g.status != 0 || e.Status < 500) {
			continue
		}
		if g.calls == nil {
			return &gaps[i]
		}
		for _, call := range g.calls {
			if call == e.Call {
				return &gaps[i]
			}
		}
	}
	return nil
}

func loggedIn(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	if _, _, there := input.RequestValidationInput.Request.BasicAuth(); !there {
		return errors.New("no basic authentication")
	}
	return nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
