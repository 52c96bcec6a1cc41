package cloudcontroller

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// reply is what a broker written for a test says.
type reply struct {
	status int
	body   string
	header [2]string
}

// stub is a broker that says what it is told to say, right or wrong.
type stub struct {
	*httptest.Server

	mu      sync.Mutex
	catalog string
	replies map[Call]func(n int) reply // n counts the calls of that kind, from 1
	calls   map[Call]int
}

const plainCatalog = `{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plan_updateable":true,
	"instances_retrievable":true,"bindings_retrievable":true,"allow_context_updates":true,
	"plans":[{"id":"p1","name":"small","description":"d","maximum_polling_duration":600},{"id":"p2","name":"large","description":"d"}]}]}`

func newStub(t *testing.T) *stub {
	t.Helper()
	s := &stub{catalog: plainCatalog, replies: map[Call]func(int) reply{}, calls: map[Call]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// on says the same to each call of a kind.
func (s *stub) on(call Call, status int, body string) {
	s.each(call, func(int) reply { return reply{status: status, body: body} })
}

func (s *stub) each(call Call, f func(n int) reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[call] = f
}

func (s *stub) asked(call Call) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

func callOf(r *http.Request) Call {
	polls, binding := strings.HasSuffix(r.URL.Path, "/last_operation"), strings.Contains(r.URL.Path, "/service_bindings/")
	switch {
	case r.URL.Path == "/v2/catalog":
		return CallCatalog
	case polls && binding:
		return CallLastBindingOperation
	case polls:
		return CallLastOperation
	case binding:
		return map[string]Call{http.MethodPut: CallBind, http.MethodGet: CallFetchBinding, http.MethodDelete: CallUnbind}[r.Method]
	default:
		return map[string]Call{
			http.MethodPut: CallProvision, http.MethodPatch: CallUpdate, http.MethodGet: CallFetchInstance, http.MethodDelete: CallDeprovision,
		}[r.Method]
	}
}

// wellBehaved is what is said where a test says nothing else.
var wellBehaved = map[Call]reply{
	CallProvision:            {status: 201, body: `{}`},
	CallUpdate:               {status: 200, body: `{}`},
	CallDeprovision:          {status: 200, body: `{}`},
	CallFetchInstance:        {status: 200, body: `{"parameters":{}}`},
	CallBind:                 {status: 201, body: `{"credentials":{"n":1}}`},
	CallUnbind:               {status: 200, body: `{}`},
	CallFetchBinding:         {status: 200, body: `{"credentials":{"fetched":true},"parameters":{}}`},
	CallLastOperation:        {status: 200, body: `{"state":"succeeded"}`},
	CallLastBindingOperation: {status: 200, body: `{"state":"succeeded"}`},
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := callOf(r)
	_, _ = io.Copy(io.Discard, r.Body) // else nobody notices a client that left
	s.mu.Lock()
	s.calls[call]++
	answer, told := wellBehaved[call], s.replies[call]
	if call == CallCatalog {
		answer = reply{status: 200, body: s.catalog}
	}
	n := s.calls[call]
	s.mu.Unlock()
	if told != nil {
		answer = told(n)
	}
	switch answer.status {
	case hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case cut:
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if answer.header[0] != "" {
		w.Header().Set(answer.header[0], answer.header[1])
	}
	w.WriteHeader(answer.status)
	_, _ = fmt.Fprint(w, answer.body)
}

// Statuses that are none.
const (
	hang = -1
	cut  = -2
)

// platform is a Cloud Controller that knows of the stub, with a clock that leaps.
type platform struct {
	*Controller
	t    *testing.T
	leap *Leap
}

func (s *stub) platform(t *testing.T, adapt ...func(*Config)) *platform {
	t.Helper()
	p := s.unregistered(t, adapt...)
	p.ok(p.CreateServiceBroker(t.Context()))
	return p
}

func (s *stub) unregistered(t *testing.T, adapt ...func(*Config)) *platform {
	t.Helper()
	leap := NewLeap()
	config := Config{
		URL: s.URL, User: "user", Password: "pass", Clock: leap, Timeout: 5 * time.Second,
		Org: Place{"o-guid", "o"}, Space: Place{"s-guid", "s"},
	}
	for _, f := range adapt {
		f(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &platform{c, t, leap}
}

func (p *platform) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *platform) create(name string) error {
	return p.CreateService(p.t.Context(), "svc", "small", name, nil)
}

func (p *platform) work() {
	p.t.Helper()
	p.ok(p.Work(context.WithoutCancel(p.t.Context())))
}

// kindOf names the error that a command ended with; Done, if with none.
func kindOf(err error) Kind {
	if err == nil {
		return Done
	}
	if failure, is := err.(*Error); is {
		return failure.Kind
	}
	return Kind("not an *Error: " + err.Error())
}

// shown is what cf service shows; "" once it is gone.
func (p *platform) shown(name string) string {
	i, found := p.Service(name)
	if !found {
		return ""
	}
	return i.LastOperation.String()
}
