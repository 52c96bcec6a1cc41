package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"airflow-identity/identity"
)

const (
	bodyLimit   = 1 << 20
	headerLimit = 64 << 10
	// writeBuffer holds a whole request, so that it leaves in one write and
	// there is hardly ever such a thing as half a request.
	writeBuffer = 16 << 10
	// keepIdle is shorter than the 5 s after which Airflow's server hangs up. A
	// request sent into a connection that is just being closed is an unknown
	// outcome, and the most frequent one there would be.
	keepIdle = 4 * time.Second
	idleMost = 32
)

// Config says how one remote system is reached.
type Config struct {
	// Name is how errors and logs call it, "uaa".
	Name string
	// CA holds PEM certificates that are trusted beside the system's own roots.
	CA []byte
	// Timeout bounds every call, from dial to the last byte of the answer.
	Timeout time.Duration
	// Limits bound what the system gets, Breaker says when it is left alone.
	Limits  Limits
	Breaker Breaker
	// Own tells whether a complete answer is the system's own, for the breaker;
	// nil means every 2xx and 4xx that is not the router's.
	Own func(Answer) bool
	// UserAgent is "airflow-identity" unless it is set.
	UserAgent string
	// Clock is what Retry-After dates and the ends of tokens are compared with;
	// nil means the system's. Deadlines always follow the system's.
	Clock func() time.Time
	// Logger hears of every call at debug level, and of the breaker above it; nil
	// means nobody does.
	Logger *slog.Logger
}

// System is one remote system as seen over HTTP.
type System struct {
	config    Config
	gate      *gate
	transport *http.Transport
	closed    context.Context
	close     context.CancelFunc
}

// New prepares the way to a system. It opens no connection.
func New(config Config) (*System, error) {
	if config.Name == "" {
		return nil, errors.New("a remote system needs a name")
	}
	if config.Timeout <= 0 {
		return nil, fmt.Errorf("%s: the time-out must be more than 0", config.Name)
	}
	if err := config.Limits.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", config.Name, err)
	}
	if config.Own == nil {
		config.Own = ownByStatus
	}
	if config.UserAgent == "" {
		config.UserAgent = "airflow-identity"
	}
	if config.Clock == nil {
		config.Clock = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	roots, err := Trusted(config.CA)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Name, err)
	}

	s := &System{config: config, gate: newGate(config.Name, config.Limits, config.Breaker, config.Logger)}
	s.closed, s.close = context.WithCancel(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.transport = &http.Transport{
		// HTTP/2 would share one connection among calls, and with it one
		// deadline and one record of what was written.
		Protocols:              protocols,
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            s.dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    config.Timeout,
		ResponseHeaderTimeout:  config.Timeout,
		IdleConnTimeout:        keepIdle,
		MaxIdleConnsPerHost:    idleMost,
		MaxResponseHeaderBytes: headerLimit,
		WriteBufferSize:        writeBuffer,
		DisableCompression:     true,
	}
	return s, nil
}

// Trusted gives the roots that are trusted with PEM certificates beside the system's own;
// nil, which means the system's, without them.
func Trusted(ca []byte) (*x509.CertPool, error) {
	if len(ca) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA file holds no PEM certificate")
	}
	return pool, nil
}

// dial opens a connection that keeps a record of its writes. net/http detaches
// dials from the calls that caused them, deadline and all, so that they end with
// the call or with Close is for us to see to.
func (s *System) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.closed.Err() != nil {
		return nil, net.ErrClosed
	}
	until := time.Now().Add(s.config.Timeout)
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		until = c.deadline
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	stop := context.AfterFunc(s.closed, cancel)
	defer stop()

	conn, err := new(net.Dialer).DialContext(ctx, network, loopback(address))
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn}, nil
}

// loopback takes names below localhost for what they are (RFC 6761), which most
// resolvers do not: the zones of a UAA on this machine have such names.
func loopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !strings.HasSuffix(host, ".localhost") {
		return address
	}
	return net.JoinHostPort("localhost", port)
}

// Close ends pending dials and closes idle connections; nothing is dialled any
// more. Calls that are under way end by themselves, within their time-out: to cut
// them would turn what they know into Unknown.
func (s *System) Close() {
	s.close()
	s.transport.CloseIdleConnections()
}

// Available tells why a call would not be sent now: an *Unavailable while the
// breaker is open. Nil promises nothing.
func (s *System) Available() error { return s.gate.available() }

// Clock tells the time as the configuration wants it.
func (s *System) Clock() time.Time { return s.config.Clock() }

// Within bounds a piece of work, such as a token and the call it is for, by the
// time-out of one call.
func (s *System) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.config.Timeout)
}

// Request is one call as an adapter wants it made.
type Request struct {
	// Call names it in errors and logs, without ids: "DELETE /oauth/clients/{id}".
	Call   string
	Method string
	URL    string
	Header http.Header
	Body   []byte
	// Secrets are what this request carries and no error may repeat, though the
	// answer does: Airflow's 422 echoes the whole request.
	Secrets []identity.Secret
	// Guess: the call asks for what may not be there. A complete answer that is not
	// the system's own then says nothing to the breaker.
	Guess bool
}

// Do makes one call, once, when the limits and the breaker let it: it follows no redirect, and the transport sends only
// what was never written or what reads only a second time. A complete answer of
// any status is an Answer; everything else is an *Error.
func (s *System) Do(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := s.Within(ctx)
	defer cancel()
	started := time.Now()

	answer, err := s.admitted(ctx, r)

	attributes := []slog.Attr{slog.String("system", s.config.Name), slog.String("call", r.Call),
		slog.Int("status", answer.Status), slog.Duration("took", time.Since(started))}
	if err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	s.config.Logger.LogAttrs(ctx, slog.LevelDebug, "remote call", attributes...)
	return answer, err
}

// admitted makes the call unless the gate keeps it from being sent.
func (s *System) admitted(ctx context.Context, r Request) (answer Answer, err error) {
	refused := s.gate.pass(ctx, func() error {
		started := time.Now()
		answer, err = s.exchange(ctx, r)
		return s.tells(ctx, r, started, answer, err)
	})
	if refused != nil {
		return Answer{}, s.Unsent(r.Call, refused)
	}
	return answer, err
}

// tells gives what a call tells the breaker. One that we gave up ourselves tells
// nothing; nor does one that had less than a third of the time-out, which is what
// is left of it after a long wait for a slot.
func (s *System) tells(ctx context.Context, r Request, started time.Time, answer Answer, err error) error {
	if err == nil {
		switch {
		case s.config.Own(answer):
			return nil
		case r.Guess:
			return errSaysNothing
		}
		return answer.Refused(false, "", "")
	}
	deadline, _ := ctx.Deadline()
	switch over := ctx.Err() != nil || late(time.Now(), deadline); {
	case s.closed.Err() != nil, errors.Is(ctx.Err(), context.Canceled):
		return errSaysNothing
	case over && deadline.Sub(started) < s.config.Timeout/3:
		return errSaysNothing
	default:
		return err
	}
}

func ownByStatus(a Answer) bool {
	return a.Status >= 200 && a.Status < 500 && a.Status/100 != 3 && !a.FromRouter()
}

func (s *System) exchange(ctx context.Context, r Request) (Answer, error) {
	deadline, _ := ctx.Deadline()
	c := &call{deadline: deadline}
	defer c.finish()

	traced := httptrace.WithClientTrace(context.WithValue(ctx, callKey{}, c), &httptrace.ClientTrace{GotConn: c.take})
	request, err := http.NewRequestWithContext(traced, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, s.failed(r, Error{Err: err})
	}
	for name, values := range r.Header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", s.config.UserAgent)

	// RoundTrip, not http.Client: there is no redirect to forbid and no cookie
	// to keep.
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return Answer{}, s.failed(r, Error{Written: c.finish(), Err: err})
	}
	defer response.Body.Close()

	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit+1))
	if err == nil && len(body) > bodyLimit {
		err = fmt.Errorf("the body is longer than %d bytes", bodyLimit)
	}
	answer := s.Answered(r, response.StatusCode, response.Header, body)
	if err != nil {
		return Answer{}, answer.Unreadable(err)
	}
	return answer, nil
}

// failed completes an error about a request that has no answer.
func (s *System) failed(r Request, e Error) *Error {
	e.System, e.Call = s.config.Name, r.Call
	e.Err = certified(scrubError(e.Err, r.Secrets))
	return &e
}

// Unsent is the error of a call that was given up before it was written.
func (s *System) Unsent(call string, err error) *Error {
	return &Error{System: s.config.Name, Call: call, Err: err}
}

// HTTPClient lends the way to a library that wants to make a request itself.
// Its requests are bounded and recorded like all others; their errors wrap *Error.
func (s *System) HTTPClient(call string, secrets ...identity.Secret) *http.Client {
	return &http.Client{
		Transport:     lent{s, call, secrets},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type lent struct {
	system  *System
	call    string
	secrets []identity.Secret
}

func (l lent) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		body, err = io.ReadAll(request.Body)
		_ = request.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	answer, err := l.system.Do(request.Context(), Request{
		Call: l.call, Method: request.Method, URL: request.URL.String(),
		Header: request.Header, Body: body, Secrets: l.secrets,
	})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", answer.Status, http.StatusText(answer.Status)),
		StatusCode:    answer.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        answer.Header,
		Body:          io.NopCloser(bytes.NewReader(answer.Body)),
		ContentLength: int64(len(answer.Body)),
		Request:       request,
	}, nil
}

// Base checks the address of a system, to which paths are appended: absolute,
// perhaps with a path of its own, and nothing after it.
func Base(address string) (*url.URL, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("it is not a URL") // url's error would repeat a password in it
	}
	if (base.Scheme != "https" && base.Scheme != "http") || base.Hostname() == "" {
		return nil, errors.New("it must begin with https:// and a host")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("it must hold no login, query or fragment")
	}
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), ""
	return base, nil
}
