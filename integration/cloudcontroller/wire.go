package cloudcontroller

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/google/uuid"
)

// Call is one of the requests that a broker gets.
type Call string

// The calls.
const (
	CallCatalog              Call = "catalog"
	CallProvision            Call = "provision"
	CallUpdate               Call = "update"
	CallDeprovision          Call = "deprovision"
	CallFetchInstance        Call = "fetch instance"
	CallLastOperation        Call = "last operation"
	CallBind                 Call = "bind"
	CallUnbind               Call = "unbind"
	CallFetchBinding         Call = "fetch binding"
	CallLastBindingOperation Call = "last binding operation"
)

// request is a call before it is sent.
type request struct {
	call   Call
	method string
	path   string
	query  url.Values
	body   object // nil: none
	// nobody: it is sent on behalf of no user.
	nobody bool
}

type object = map[string]any

// Exchange is a request as it went out and its answer as it came back.
type Exchange struct {
	Call         Call
	Request      *http.Request // its body is spent
	RequestBody  []byte
	Status       int
	Header       http.Header
	ResponseBody []byte
	Err          error // no answer at all
}

// answer is what came back, as far as it could be understood.
type answer struct {
	status int
	header http.Header
	text   []byte
	body   object // nil: it was no JSON object
}

func (a answer) said(key string) string {
	text, _ := a.body[key].(string)
	return text
}

// The names are those of Cloud Controller's own headers, in its own spelling.
const (
	headerVersion      = "X-Broker-Api-Version"
	headerOriginating  = "X-Broker-Api-Originating-Identity"
	headerRequest      = "X-Broker-API-Request-Identity"
	headerVcapRequest  = "X-VCAP-Request-ID"
	headerInfoLocation = "X-Api-Info-Location"
	headerTrace        = "X-B3-TraceId"
	headerSpan         = "X-B3-SpanId"
)

func (c *Controller) headers(r request) http.Header {
	h := http.Header{}
	id := uuid.NewString()
	h.Set("Accept", "application/json")
	h.Set(headerVersion, c.config.APIVersion)
	h.Set(headerVcapRequest, id)
	h.Set(headerInfoLocation, c.config.API+"/v2/info")
	trace := uuid.New()
	h.Set(headerTrace, fmt.Sprintf("%x", trace[:]))
	h.Set(headerSpan, fmt.Sprintf("%x", trace[:8]))
	if c.features.requestIdentity {
		h.Set(headerRequest, id)
	}
	if r.call != CallCatalog && !r.nobody {
		who, _ := json.Marshal(object{"user_id": c.config.UserGUID}) // a map of strings
		h.Set(headerOriginating, "cloudfoundry "+base64.StdEncoding.EncodeToString(who))
	}
	if r.body != nil {
		h.Set("Content-Type", "application/json")
	}
	return h
}

// maxRedirects is where a loop is given up.
const maxRedirects = 10

// send makes a call and gives its answer, or why there is none.
func (c *Controller) send(ctx context.Context, r request) (answer, *Error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return answer{}, &Error{Kind: HTTPRequestError, Call: r.call, Message: err.Error()}
		}
	}
	target, err := url.Parse(c.config.URL + r.path)
	if err != nil {
		return answer{}, &Error{Kind: HTTPRequestError, Call: r.call, Message: err.Error()}
	}
	target.RawQuery = r.query.Encode()

	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	method, header := r.method, c.headers(r)
	for range maxRedirects {
		a, err := c.exchange(ctx, r.call, method, target, header, body)
		if err != nil {
			return answer{}, noAnswer(r.call, err)
		}
		next, redirected := redirect(a, target)
		if !redirected {
			return a, nil
		}
		target = next
		if a.status == http.StatusSeeOther {
			method, body = http.MethodGet, nil
		}
	}
	return answer{}, &Error{Kind: HTTPRequestError, Call: r.call, Message: "too many redirects"}
}

// redirect tells where an answer leads. Method and body are kept, except by 303:
// not what a browser does, nor Go's own client.
func redirect(a answer, from *url.URL) (*url.URL, bool) {
	switch a.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		next, err := from.Parse(a.header.Get("Location"))
		return next, err == nil && a.header.Get("Location") != ""
	}
	return nil, false
}

// exchange sends one request. The login goes with every one of them, unasked, but
// to no other host than the broker's.
func (c *Controller) exchange(ctx context.Context, call Call, method string, target *url.URL, header http.Header, body []byte) (answer, error) {
	outgoing, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	outgoing.Header = header.Clone()
	if own, err := url.Parse(c.config.URL); err == nil && own.Host == target.Host {
		outgoing.SetBasicAuth(c.config.User, c.config.Password)
	}
	e := Exchange{Call: call, Request: outgoing, RequestBody: body}
	defer func() { c.observe(e) }()

	response, err := c.transport.RoundTrip(outgoing)
	if err != nil {
		e.Err = err
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		e.Err = err
		return answer{}, err
	}
	e.Status, e.Header, e.ResponseBody = response.StatusCode, response.Header, text
	a := answer{status: response.StatusCode, header: response.Header, text: text}
	var decoded any
	if json.Unmarshal(text, &decoded) == nil {
		a.body, _ = decoded.(object)
	}
	return a, nil
}

// observe keeps an exchange and holds it against the contract.
func (c *Controller) observe(e Exchange) {
	c.exchanges = append(c.exchanges, e)
	if c.config.Observe != nil {
		c.config.Observe(e)
	}
	if c.config.Contract == nil {
		return
	}
	for _, finding := range c.config.Contract.Check(e) {
		c.config.Report(fmt.Sprintf("%s, answered %d %s: %s", e.Call, e.Status, e.ResponseBody, finding))
	}
}

// noAnswer names the ways in which an answer can stay away. Only one of them is a
// time-out, and only that makes Cloud Controller clean up.
func noAnswer(call Call, err error) *Error {
	var dial *net.OpError
	var lookup *net.DNSError
	var timeout net.Error
	kind := HTTPRequestError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		kind = HTTPClientTimeout
	case errors.As(err, &lookup), errors.As(err, &dial) && dial.Op == "dial":
		kind = APIUnreachable
	}
	return &Error{Kind: kind, Call: call, Message: err.Error()}
}
