package standin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Kind says what a fault does to a request.
type Kind int

const (
	// Answer does not act and answers the rule's Status, Header and Body.
	Answer Kind = iota
	// LoseBefore drops the connection; nothing has acted.
	LoseBefore
	// LoseAfter acts and then drops the connection without a reply.
	LoseAfter
	// Slow waits for Delay or Release, whichever comes first, and then acts and
	// answers, even if the client has long gone.
	Slow
	// Notice only calls Before and After; it acts and answers as usual.
	Notice
)

func (k Kind) String() string {
	switch k {
	case Answer:
		return "answer"
	case LoseBefore:
		return "lose before"
	case LoseAfter:
		return "lose after"
	case Slow:
		return "slow"
	case Notice:
		return "notice"
	default:
		return fmt.Sprintf("kind %d", int(k))
	}
}

// Fault is one rule. The first rule that matches a request is applied.
type Fault struct {
	// Call is "METHOD /path-prefix" as the client sends it, without the context
	// path. Without a method it stands for all of them; empty, for every call.
	Call string
	// Match, if set, must agree as well. It gets the request and its whole body,
	// and is called with the rules locked: it must not call them.
	Match func(*http.Request, []byte) bool

	Kind   Kind
	Status int         // Answer: 0 means 503
	Header http.Header // Answer
	Body   string      // Answer

	Delay   time.Duration   // Slow
	Release <-chan struct{} // Slow: closed to let the request go on

	// Before is called when the request has arrived, with every kind. After is
	// called once it has acted and before its reply is sent or lost, with the
	// kinds that act.
	Before, After func()

	Times int // how many requests it is applied to; 0 means 1
	Skip  int // how many matching requests pass first
}

func (f *Fault) matches(r *http.Request, body []byte) bool {
	method, path, found := strings.Cut(f.Call, " ")
	if !found {
		method, path = "", f.Call
	}
	if method != "" && method != r.Method {
		return false
	}
	if !strings.HasPrefix(r.URL.Path, path) {
		return false
	}
	return f.Match == nil || f.Match(r, body)
}

// Faults is a list of rules and the middleware that applies them. Its zero value
// is ready, and it is safe for concurrent use.
type Faults struct {
	mu     sync.Mutex
	rules  []*Fault
	hits   int
	closed bool
	done   chan struct{} // made when first asked for
}

// Add appends rules.
func (f *Faults) Add(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, fault := range faults {
		if fault.Times == 0 {
			fault.Times = 1
		}
		f.rules = append(f.rules, &fault)
	}
}

// Clear takes all rules away. Requests that are being held stay held.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.rules = nil
}

// Pending counts the rules that are not used up. A test that ends with one of
// them pending has not tested what it says.
func (f *Faults) Pending() int {
	f.mu.Lock()
	defer f.mu.Unlock()

	return len(f.rules)
}

// Hits counts the requests to which a rule was applied.
func (f *Faults) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.hits
}

// take finds the rule for a request and uses it up by one.
func (f *Faults) take(r *http.Request, body []byte) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for i, rule := range f.rules {
		if !rule.matches(r, body) {
			continue
		}
		if rule.Skip > 0 {
			rule.Skip--
			continue
		}
		rule.Times--
		taken := *rule
		if rule.Times <= 0 {
			f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
		}
		f.hits++
		return taken, true
	}
	return Fault{}, false
}

// shut gives the channel that is closed when held requests must end.
func (f *Faults) shut() chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.done == nil {
		f.done = make(chan struct{})
	}
	return f.done
}

// close ends what is held; it does not act any more.
func (f *Faults) close() {
	done := f.shut()
	f.mu.Lock()
	defer f.mu.Unlock()

	if !f.closed {
		f.closed = true
		close(done)
	}
}

// Wrap puts the rules before a handler. The handler gets the whole body and a
// context that the client cannot cancel.
func (f *Faults) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, body, whole := receive(r)
		if !whole {
			drop(w) // a request that never arrived whole does not act
			return
		}
		fault, found := f.take(r, body)
		if !found {
			next.ServeHTTP(w, r)
			return
		}
		f.apply(fault, next, w, r)
	})
}

// receive reads the body and frees the request from its client: from here on it
// acts, whether or not anybody still waits for the reply.
func receive(r *http.Request) (*http.Request, []byte, bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return r, nil, false
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, body, true
}

func (f *Faults) apply(fault Fault, next http.Handler, w http.ResponseWriter, r *http.Request) {
	if fault.Before != nil {
		fault.Before()
	}
	switch fault.Kind {
	case Answer:
		fault.answer().send(w)
		return
	case LoseBefore:
		drop(w)
		return
	case Slow:
		if !f.wait(fault) {
			drop(w)
			return
		}
	}

	reply := newReply()
	next.ServeHTTP(reply, r)
	if fault.After != nil {
		fault.After()
	}
	if fault.Kind == LoseAfter {
		drop(w)
		return
	}
	reply.send(w)
}

// wait holds a slow request and tells whether it may act.
func (f *Faults) wait(fault Fault) bool {
	var elapsed <-chan time.Time
	if fault.Delay > 0 || fault.Release == nil {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return true
	case <-fault.Release:
		return true
	case <-f.shut():
		return false
	}
}

func (f *Fault) answer() *reply {
	answer := newReply()
	for key, values := range f.Header {
		answer.header[http.CanonicalHeaderKey(key)] = values
	}
	answer.status = f.Status
	if answer.status == 0 {
		answer.status = http.StatusServiceUnavailable
	}
	answer.body.WriteString(f.Body)
	return answer
}

// drop cuts the connection so that the client cannot tell whether anything
// happened: the reset, instead of an orderly end, is what a killed process or a
// router that gave up looks like.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// reply keeps what a handler answers until it is known whether it is sent.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newReply() *reply { return &reply{header: http.Header{}} }

func (r *reply) Header() http.Header         { return r.header }
func (r *reply) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *reply) send(w http.ResponseWriter) {
	for key, values := range r.header {
		w.Header()[key] = values
	}
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	_, _ = w.Write(r.body.Bytes()) // nobody to tell: the client may have gone
}
