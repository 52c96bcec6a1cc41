package broker

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11"
)

func TestBothLoginsAreKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{})
	for user, password := range map[string]string{"cloud-controller": "first-password", "cloud-controller-2": "second-password"} {
		header := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
		if got := w.send(http.MethodGet, "/v2/catalog", "", "Authorization", header); got.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", user, got.status, got.body)
		}
	}
	got := w.send(http.MethodGet, "/v2/catalog", "", "Authorization", "-")
	if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("got %d, WWW-Authenticate %q, want 401 and Basic", got.status, got.header.Get("WWW-Authenticate"))
	}
}

func TestAConfigurationThatWouldNotWorkIsRefused(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Credentials: []Credential{{User: "a:b"}, {Password: identity.SecretFrom("x")}}})
	for _, want := range []string{"Catalog", "Engine", "Ready", "Logger", `Credentials[0].User holds a ":"`, "Credentials[0].Password is missing", "Credentials[1].User is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %s", err, want)
		}
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Credentials is missing") {
		t.Errorf("got %v, want credentials to be asked for", err)
	}
}

func TestIdentitiesAreEchoedOnEveryAnswer(t *testing.T) {
	t.Parallel()
	who := originating("cloudfoundry", `{"user_id":"683ea748-3092-4ff4-b656-39cacc4d5360"}`)
	for name, c := range map[string]struct {
		core         *core
		method, path string
		body         string
		headers      []string
		status       int
	}{
		"200": {&core{}, http.MethodGet, "/v2/catalog", "", nil, 200},
		"201": {&core{}, http.MethodPut, instanceURL, provisionBody(), nil, 201},
		"400": {&core{}, http.MethodPut, instanceURL, "{", nil, 400},
		"401": {&core{}, http.MethodGet, "/v2/catalog", "", []string{"Authorization", "-"}, 401},
		"404": {&core{}, http.MethodGet, instanceURL, "", nil, 404},
		"405": {&core{}, http.MethodPost, instanceURL, "{}", nil, 405},
		"410": {&core{err: identity.ErrNotFound}, http.MethodDelete, instanceURL + ids, "", nil, 410},
		"412": {&core{}, http.MethodGet, "/v2/catalog", "", []string{apiVersionHeader, "-"}, 412},
		"500": {&core{panics: "x"}, http.MethodGet, instanceURL, "", nil, 500},
		"503": {&core{err: identity.ErrLate}, http.MethodPut, bindingURL, bindBody(), nil, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.core)
			got := w.send(c.method, c.path, c.body, append([]string{requestIdentityHeader, "an-id.1", originatingIdentityHeader, who}, c.headers...)...)
			if got.status != c.status || got.header.Get(requestIdentityHeader) != "an-id.1" || got.header.Get(originatingIdentityHeader) != who {
				t.Errorf("got %d %v, want %d and both identities", got.status, got.header, c.status)
			}
			if len(got.header.Values(requestIdentityHeader)) != 1 {
				t.Errorf("the request id stands there %d times", len(got.header.Values(requestIdentityHeader)))
			}
			if !strings.Contains(w.log.String(), `"request_id":"an-id.1"`) {
				t.Errorf("the log does not name the request: %s", w.log)
			}
		})
	}
}

func TestARequestWithoutAnIDGetsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{findErr: errInternal})
	got := w.send(http.MethodGet, instanceURL, "", requestIdentityHeader, "-")
	id := got.header.Get(requestIdentityHeader)
	if id == "" || !strings.Contains(got.description(t), id) || !strings.Contains(w.log.String(), `"request_id":"`+id+`","verb":"get_instance","instance":"i1","binding":"","error":"saving: very internal text"`) {
		t.Errorf("got id %q, %s, log %s", id, got.body, w.log)
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"of the program's own": "parameters were planted-value",
		"an error":             errors.New("planted-value"),
		"of the runtime":       runtimeError(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &core{panics: value})
			got := w.send(http.MethodPut, instanceURL, provisionBody())
			if got.status != http.StatusInternalServerError || got.word(t) != "InternalError" || !strings.Contains(got.description(t), "7e57c0de") {
				t.Errorf("got %d %s, want 500 with the request id", got.status, got.body)
			}
			log := w.log.String()
			if !strings.Contains(log, "a request panicked") || !strings.Contains(log, "provision.go") || strings.Contains(log+got.body, "planted-value") {
				t.Errorf("got log %s", log)
			}
			if name == "of the runtime" && !strings.Contains(log, "index out of range") {
				t.Errorf("the runtime's own words are not in the log: %s", log)
			}
			if again := w.send(http.MethodGet, "/v2/catalog", ""); again.status != http.StatusOK {
				t.Errorf("the next request got %d", again.status)
			}
		})
	}
}

func runtimeError() (value any) {
	defer func() { value = recover() }()
	var empty []int
	at := len(empty)
	return empty[at]
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &core{})
	open := []string{"Authorization", "-", apiVersionHeader, "-", originatingIdentityHeader, "-", requestIdentityHeader, "-"}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := w.send(http.MethodGet, path, "", open...); got.status != http.StatusOK || len(got.object(t)) != 1 {
			t.Errorf("%s: got %d %s, want 200", path, got.status, got.body)
		}
	}

	unready := newWorld(t, &core{})
	unready.ready = errInternal
	got := unready.send(http.MethodGet, "/readyz", "", open...)
	if got.status != http.StatusServiceUnavailable || got.word(t) != "NotReady" || strings.Contains(got.body, "very internal") {
		t.Errorf("got %d %s, want 503 with a sentence", got.status, got.body)
	}
	if !strings.Contains(unready.log.String(), "very internal text") {
		t.Errorf("the cause is not in the log: %s", unready.log)
	}
	if got := unready.send(http.MethodGet, "/healthz", "", open...); got.status != http.StatusOK {
		t.Errorf("health follows readiness: got %d", got.status)
	}
	if len(w.core.calls)+len(unready.core.calls) != 0 {
		t.Error("a probe asked the core")
	}
}

// Parameter values are looked for in everything that is said: in all lines of
// the log, at its most talkative, and in all bodies but those that must tell.
func TestNoParameterIsRepeated(t *testing.T) {
	t.Parallel()

	const planted = "planted-5f1c9e"
	instance := ordersInstance()
	bound := ordersBound()
	long := planted + strings.Repeat("z", 300) + planted + "-end"
	bodies := map[string][2]string{ // provision, bind
		"unknown key":     {`{"password":"` + planted + `"}`, `{"password":"` + planted + `"}`},
		"nested":          {`{"a":{"b":["` + planted + `"]}}`, `{"a":{"b":["` + planted + `"]}}`},
		"wrong type":      {`{"authorities":{"x":"` + planted + `"}}`, `{"connection_id":["` + planted + `"]}`},
		"not an object":   {`"` + planted + `"`, `["` + planted + `"]`},
		"in a wrong list": {`{"authorities":[["` + planted + `"]]}`, `{"authorities":[{"x":"` + planted + `"}]}`},
	}
	named := map[string][2]string{ // these name the authority to the user, and never in the log
		"not allowed":   {`{"authorities":["billing.` + planted + `"]}`, `{"authorities":["billing.` + planted + `"],"connection_id":"` + planted + `"}`},
		"not one":       {`{"authorities":["orders.read,` + planted + `"]}`, `{"authorities":["orders.read,` + planted + `"]}`},
		"too long":      {`{"authorities":["` + long + `"]}`, `{"connection_id":"` + long + `"}`},
		"accepted":      {`{"authorities":["orders.` + planted + `"]}`, `{"authorities":["orders.` + planted + `"],"connection_id":"acme_` + planted + `"}`},
		"repeated":      {`{"authorities":["orders.` + planted + `","orders.` + planted + `"]}`, `{"authorities":["orders.` + planted + `","orders.` + planted + `"]}`},
		"never granted": {`{"authorities":["uaa.` + planted + `"]}`, `{"authorities":["uaa.` + planted + `"]}`},
	}
	outcomes := map[string]*core{
		"fine":     {},
		"conflict": {err: identity.ErrConflict},
		"busy":     {err: identity.ErrBusy},
		"taken":    {err: &identity.TakenError{Connection: planted, Message: "held"}},
		"refused":  {err: &identity.FailedError{Failure: identity.Failure{Code: identity.FailedRefused, Message: "no"}}},
		"late":     {err: identity.ErrLate},
		"internal": {err: errInternal},
		"panic":    {panics: planted},
	}
	for outcome, c := range outcomes {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			c.instance, c.bound = instance, bound
			w := newWorld(t, c)
			send := func(parameters [2]string) []reply {
				provision := provisionBody("parameters", json.RawMessage(parameters[0]))
				bind := bindBody("parameters", json.RawMessage(parameters[1]))
				return []reply{
					w.send(http.MethodPut, instanceURL, provision),
					w.send(http.MethodPut, bindingURL, bind),
					w.send(http.MethodPut, instanceURL, provision+"x"),
					w.send(http.MethodPut, bindingURL, bind+"x"),
					w.send(http.MethodPut, bindingURL, strings.TrimSuffix(bind, "}")),
					w.send(http.MethodPatch, instanceURL, `{"service_id":"`+serviceID+`","parameters":`+parameters[0]+`}`),
				}
			}
			for name, parameters := range bodies {
				for i, got := range send(parameters) {
					if outcome != "taken" && strings.Contains(got.body, planted) {
						t.Errorf("%s, request %d: the answer repeats a value: %s", name, i, got.body)
					}
				}
			}
			for name, parameters := range named {
				for i, got := range send(parameters) {
					if strings.Contains(got.body, planted+"-end") || strings.Contains(got.body, strings.Repeat("z", 100)) {
						t.Errorf("%s, request %d: the answer repeats a value at length: %s", name, i, got.body)
					}
				}
			}
			if strings.Contains(w.log.String(), planted) {
				for _, line := range strings.Split(w.log.String(), "\n") {
					if strings.Contains(line, planted) {
						t.Errorf("a line of the log repeats a value: %s", line)
					}
				}
			}
			if strings.Contains(w.log.String(), "instance-details") || strings.Contains(w.log.String(), "first-password") {
				t.Error("brokerapi's details, or a password, are in the log")
			}
			// The proof that it was searched in the right place.
			if !strings.Contains(w.log.String(), `"msg":"answered"`) || !strings.Contains(w.log.String(), `"level":"DEBUG","msg":"provision.`) && outcome != "fine" && outcome != "panic" {
				t.Errorf("the log does not have brokerapi's lines: %s", w.log)
			}
		})
	}
}

// The same request once with brokerapi's lines as they are and once with ours
// between, to see that there is something to keep out.
func TestBrokerapisLinesAreWrittenWithoutTheRequest(t *testing.T) {
	t.Parallel()

	b := &broker{catalog: testCatalog(t), engine: &core{err: identity.ErrConflict}, logger: slog.New(slog.DiscardHandler)}
	lines := func(through func(slog.Handler) slog.Handler) string {
		var log lockedBuffer
		plain := slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
		library := brokerapi.NewWithOptions(b, slog.New(through(plain)))
		r := httptest.NewRequest(http.MethodPut, instanceURL, strings.NewReader(provisionBody("parameters", object{"authorities": []string{"orders.planted"}})))
		r.Header.Set(apiVersionHeader, "2.15")
		library.ServeHTTP(httptest.NewRecorder(), r)
		return log.String()
	}

	if bare := lines(func(h slog.Handler) slog.Handler { return h }); !strings.Contains(bare, "instance-details") || !strings.Contains(bare, "orders.planted") {
		t.Errorf("brokerapi does not log the request any more; then libraryLog may go: %s", bare)
	}
	ours := lines(func(h slog.Handler) slog.Handler { return libraryLog{h} })
	if !strings.Contains(ours, `"msg":"provision.conflict","instance-id":"i1"`) || strings.Contains(ours, "instance-details") || strings.Contains(ours, "planted") || strings.Contains(ours, `"error"`) {
		t.Errorf("got %s, want the line with the instance alone", ours)
	}
}

func TestAValueOfTheLibrarysLinesIsShort(t *testing.T) {
	t.Parallel()
	attrs := libraryAttrs(slog.String("instance-id", "i1"), slog.String("correlation-id", strings.Repeat("x", 300)), slog.Any("binding-id", errInternal))
	if len(attrs) != 1 || attrs[0].Key != "instance-id" {
		t.Errorf("got %v, want instance-id alone", attrs)
	}
}
