package contract

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	// callMost bounds one call.
	callMost = 15 * time.Second
	// bodyMost is how much is read of an answer.
	bodyMost = 4 << 20
)

// caller makes calls, and knows what must not be told of them.
type caller struct {
	base      string
	transport http.RoundTripper
	secrets   []identity.Secret
}

func newCaller(address string, transport http.RoundTripper) (*caller, error) {
	base, err := remote.Base(address)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &caller{base: base.String(), transport: transport}, nil
}

// newSecret gives a secret that is never told.
func (c *caller) newSecret() string {
	secret := random(20)
	c.hide(secret)
	return secret
}

// hide keeps texts out of reports.
func (c *caller) hide(texts ...string) {
	for _, text := range texts {
		if secret := identity.SecretFrom(text); text != "" && !slices.Contains(c.secrets, secret) {
			c.secrets = append(c.secrets, secret)
		}
	}
}

func random(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = crand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

// send makes one call. No redirect is followed and no cookie kept, as by the program.
func (c *caller) send(ctx context.Context, method, address string, header http.Header, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callMost)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header = header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	request.Header.Set("User-Agent", "airflow-identity (contract)")
	call := method + " " + request.URL.Path

	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return answer{}, silent{fmt.Errorf("%s: no answer: %s", call, remote.Words(err.Error(), c.secrets...))}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, bodyMost))
	if err != nil {
		return answer{}, silent{fmt.Errorf("%s: half an answer: %s", call, remote.Words(err.Error(), c.secrets...))}
	}
	return answer{call: call, status: response.StatusCode, header: response.Header, body: bytes.TrimSpace(text), caller: c}, nil
}

// answer is one, read.
type answer struct {
	call   string
	status int
	header http.Header
	body   []byte
	caller *caller
}

// object is the body, or nil where it is none.
func (a answer) object() map[string]any {
	var object map[string]any
	if json.Unmarshal(a.body, &object) != nil {
		return nil
	}
	return object
}

func (a answer) text(key string) string { return textOf(a.object()[key]) }

func textOf(value any) string {
	text, _ := value.(string)
	return text
}

// listOf gives the texts of a JSON list.
func listOf(value any) []string {
	items, _ := value.([]any)
	list := make([]string, 0, len(items))
	for _, item := range items {
		list = append(list, textOf(item))
	}
	return list
}

// isPage tells of HTML.
func (a answer) isPage() bool { return bytes.HasPrefix(a.body, []byte("<")) }

// has tells whether the body repeats a secret.
func (a answer) has(secret string) bool { return bytes.Contains(a.body, []byte(secret)) }

func (a answer) fromRouter() bool { return a.header.Get("X-Cf-Routererror") != "" }

// String is what a report may tell of an answer.
func (a answer) String() string {
	object := a.object()
	var words []string
	for _, key := range []string{"error", "error_description", "title", "detail", "message"} {
		if text := textOf(object[key]); text != "" {
			words = append(words, text)
		}
	}
	said := ""
	switch {
	case a.fromRouter():
		said = ", from the router in front of it"
	case len(a.body) == 0:
		said = ", empty"
	case a.isPage():
		said = ", a page of HTML"
	case object == nil:
		said = ", no JSON object"
	case len(words) > 0:
		said = " " + remote.Words(strings.Join(words, ": "), a.caller.secrets...)
	}
	return fmt.Sprintf("%d%s", a.status, said)
}

// expected is the error of an answer that is another than was expected.
func (a answer) expected(what string, args ...any) error {
	return fmt.Errorf("%s: got %s; expected %s", a.call, a, fmt.Sprintf(what, args...))
}

// be demands a status, and that what answers is the system and no page or router
// before it.
func (a answer) be(status int) error {
	if a.status != status || a.fromRouter() {
		return a.expected("%d", status)
	}
	return nil
}

// path puts a name into a path.
func path(prefix, name string) string { return prefix + "/" + url.PathEscape(name) }

func marshal(body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic("contract: a body that is no JSON: " + err.Error()) // they are literals
	}
	return text
}

// say shortens a value for a report.
func (c *caller) say(value any) string {
	text, err := json.Marshal(value)
	if err != nil || len(text) > 120 {
		return "something long"
	}
	return remote.Scrub(string(text), c.secrets...)
}
