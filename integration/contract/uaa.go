package contract

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"airflow-identity/identity"
)

// UAA is one that the suite is to be run on, and the broker's own client there.
type UAA struct {
	// URL is where it is managed, perhaps with a path.
	URL string
	// PublicURL is where the users of its clients find it; empty means URL, with the
	// zone's subdomain in front of the host.
	PublicURL string
	// Zone is the subdomain of the identity zone in which clients are made; empty
	// means the default zone.
	Zone string
	// ClientID and Secret are the broker's own client, of the default zone.
	ClientID string
	Secret   identity.Secret
	// Transport makes the calls; nil means Go's own.
	Transport http.RoundTripper
}

// SuiteUAA is the name of the suite.
const SuiteUAA = "UAA"

// Run tries every case.
func (u UAA) Run(ctx context.Context) (Report, error) {
	caller, err := newCaller(u.URL, u.Transport)
	if err != nil {
		return Report{}, fmt.Errorf("uaa: %w", err)
	}
	if u.ClientID == "" || u.Secret.IsZero() {
		return Report{}, errors.New("uaa: the broker's own client and its secret are needed")
	}
	caller.secrets = append(caller.secrets, u.Secret)
	s := &uaaSite{caller: caller, uaa: u, prefix: "contract-" + random(6)}
	return try(ctx, SuiteUAA, caller.base, uaaCases, s, s.tidy), nil
}

// uaaSite is a UAA while a suite is run on it.
type uaaSite struct {
	*caller
	uaa    UAA
	prefix string // of all that is made, so that nobody takes it for his own

	token  string   // ours
	held   []string // the authorities that it says
	number int
	made   []string // ids, from before they are made until they are surely gone
	asked  *client  // who may ask about tokens, once there is one
}

// client is a throw-away one.
type client struct {
	id, secret  string
	authorities []string
	life        int // of its tokens, in seconds
}

func (s *uaaSite) newClient() client {
	s.number++
	c := client{
		id: fmt.Sprintf("%s-%d", s.prefix, s.number), secret: s.newSecret(),
		authorities: []string{s.prefix + ".read", s.prefix + ".write"}, life: 600,
	}
	s.made = append(s.made, c.id)
	return c
}

// labels are additional information as the program sends it.
var labels = map[string]string{"contract_broker": "nobody", "contract_about": "made by a contract suite; may be deleted"}

// body is the client as the program sends it.
func (c client) body() map[string]any {
	body := map[string]any{
		"client_id": c.id, "name": "contract suite of Airflow Identity", "authorities": c.authorities, "scope": []string{"uaa.none"},
		"authorized_grant_types": []string{"client_credentials"}, "access_token_validity": c.life,
	}
	for key, value := range labels {
		body[key] = value
	}
	return body
}

func (c client) bodyWithSecret() map[string]any {
	body := c.body()
	body["client_secret"] = c.secret
	return body
}

const (
	clients    = "/oauth/clients"
	restricted = "/oauth/clients/restricted"
)

// manage makes a call with our own token. A missing privilege is nothing that is known.
func (s *uaaSite) manage(ctx context.Context, method, path string, body any) (answer, error) {
	header := http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer " + s.token}}
	if s.uaa.Zone != "" {
		header.Set("X-Identity-Zone-Subdomain", s.uaa.Zone)
	}
	var text []byte
	if body != nil {
		header.Set("Content-Type", "application/json")
		text = marshal(body)
	}
	a, err := s.send(ctx, method, s.base+path, header, text)
	if err == nil && a.status == http.StatusForbidden && a.text("error") == "insufficient_scope" {
		return a, unknowable(fmt.Sprintf("%s: %s may not: it needs one of %s", a.call, s.uaa.ClientID, a.text("scope")))
	}
	return a, err
}

// withClient is a case about a client that is there.
func withClient(check func(context.Context, *uaaSite, client) error) func(context.Context, *uaaSite) error {
	return func(ctx context.Context, s *uaaSite) error {
		c := s.newClient()
		if err := s.make(ctx, c); err != nil {
			return err
		}
		return check(ctx, s, c)
	}
}

// withTwoSecrets is one about a client that has a second secret beside its first.
func withTwoSecrets(check func(_ context.Context, _ *uaaSite, _ client, second string) error) func(context.Context, *uaaSite) error {
	return withClient(func(ctx context.Context, s *uaaSite, c client) error {
		second, err := s.added(ctx, c)
		if err != nil {
			return err
		}
		return check(ctx, s, c, second)
	})
}

// withToken is one about a client that has got a token.
func withToken(check func(_ context.Context, _ *uaaSite, _ client, token string) error) func(context.Context, *uaaSite) error {
	return withClient(func(ctx context.Context, s *uaaSite, c client) error {
		token, err := s.tokenOf(ctx, c, c.secret)
		if err != nil {
			return err
		}
		return check(ctx, s, c, token)
	})
}

// create, read and update are the program's calls on a client.
func (s *uaaSite) create(ctx context.Context, c client) (answer, error) {
	return s.manage(ctx, http.MethodPost, restricted, c.bodyWithSecret())
}

func (s *uaaSite) read(ctx context.Context, c client) (answer, error) {
	return s.manage(ctx, http.MethodGet, path(clients, c.id), nil)
}

func (s *uaaSite) update(ctx context.Context, c client) (answer, error) {
	return s.manage(ctx, http.MethodPut, path(restricted, c.id), c.body())
}

// make makes a client for a case that is not about making it.
func (s *uaaSite) make(ctx context.Context, c client) error {
	a, err := s.create(ctx, c)
	if err == nil && a.status/100 != 2 {
		return unknowable("no client could be made: " + a.String())
	}
	return err
}

// changeSecret is the program's way to a client's secrets.
func (s *uaaSite) changeSecret(ctx context.Context, c client, mode, secret string) (answer, error) {
	body := map[string]string{"clientId": c.id, "changeMode": mode}
	if secret != "" {
		body["secret"] = secret
	}
	return s.manage(ctx, http.MethodPut, path(clients, c.id)+"/secret", body)
}

// added gives a client a second secret, for a case that is not about that.
func (s *uaaSite) added(ctx context.Context, c client) (secret string, err error) {
	secret = s.newSecret()
	a, err := s.changeSecret(ctx, c, "ADD", secret)
	if err == nil && a.status != http.StatusOK {
		return "", unknowable("no second secret could be added: " + a.String())
	}
	return secret, err
}

// zoneBase is where a zone answers for itself.
func (s *uaaSite) zoneBase() string {
	if s.uaa.Zone == "" {
		return s.base
	}
	address, _ := url.Parse(s.base) // it was one
	address.Host = s.uaa.Zone + "." + address.Host
	return address.String()
}

// publicBase is where the discovery document is read.
func (s *uaaSite) publicBase() string {
	if s.uaa.PublicURL != "" {
		return strings.TrimRight(s.uaa.PublicURL, "/")
	}
	return s.zoneBase()
}

// ask asks for a token, with the credentials in the form.
func (s *uaaSite) ask(ctx context.Context, base, id, secret string, more url.Values) (answer, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	maps.Copy(form, more)
	a, err := s.send(ctx, http.MethodPost, base+"/oauth/token", http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"},
	}, []byte(form.Encode()))
	s.hide(a.text("access_token"))
	return a, err
}

// tokenOf gives a token, for a case that is not about getting it.
func (s *uaaSite) tokenOf(ctx context.Context, c client, secret string) (string, error) {
	a, err := s.ask(ctx, s.zoneBase(), c.id, secret, nil)
	if err != nil {
		return "", err
	}
	token := a.text("access_token")
	if token == "" {
		return "", unknowable("no token could be had: " + a.String())
	}
	return token, nil
}

// accepts demands that secrets give a token, or that they do not.
func (s *uaaSite) accepts(ctx context.Context, c client, want bool, what string, secret string) error {
	a, err := s.ask(ctx, s.zoneBase(), c.id, secret, nil)
	switch {
	case err != nil:
		return err
	case want && (a.status != http.StatusOK || a.text("access_token") == ""):
		return fmt.Errorf("%s is refused: %s; expected a token for it", what, a)
	case !want && a.status != http.StatusUnauthorized:
		return fmt.Errorf("%s gets %d; expected that it is refused with 401", what, a.status)
	}
	return nil
}

// alive demands that UAA itself takes a token for good, or that it does not.
func (s *uaaSite) alive(ctx context.Context, want bool, what, token string) error {
	asker, err := s.whoAsks(ctx)
	if err != nil {
		return err
	}
	header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	login := base64.StdEncoding.EncodeToString([]byte(asker.id + ":" + asker.secret)) // hex digits and dashes
	header.Set("Authorization", "Basic "+login)
	a, err := s.send(ctx, http.MethodPost, s.zoneBase()+"/check_token", header, []byte(url.Values{"token": {token}}.Encode()))
	switch {
	case err != nil:
		return err
	case a.status == http.StatusForbidden:
		return unknowable("nobody may ask about tokens: " + a.String())
	case want && a.status != http.StatusOK:
		return fmt.Errorf("%s: got %s; expected that it is good", what, a)
	case !want && a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized:
		return fmt.Errorf("%s: got %d; expected that it is refused with 400", what, a.status)
	}
	return nil
}

// whoAsks is a client that may ask about tokens. It stays until the end.
func (s *uaaSite) whoAsks(ctx context.Context) (client, error) {
	if s.asked == nil {
		c := client{id: s.prefix + "-asks", secret: s.newSecret(), authorities: []string{"uaa.resource"}, life: 600}
		if err := s.make(ctx, c); err != nil {
			return c, err
		}
		s.asked = &c
		s.made = append(s.made, c.id)
	}
	return *s.asked, nil
}

// tidy removes what was made, and gives the names of what it could not.
func (s *uaaSite) tidy(ctx context.Context) []string {
	s.made = slices.DeleteFunc(s.made, func(id string) bool {
		a, err := s.manage(ctx, http.MethodDelete, path(clients, id), nil)
		return err == nil && (a.status == http.StatusOK || a.status == http.StatusNotFound && !a.fromRouter() && len(a.body) == 0)
	})
	s.asked = nil
	left := make([]string, len(s.made))
	for i, id := range s.made {
		left[i] = "client " + id
	}
	return left
}

// missing demands UAA's own way to say that a client is not there.
func (a answer) missing() error {
	if a.status != http.StatusNotFound || a.fromRouter() || len(a.body) > 0 {
		return a.expected("404 with an empty body")
	}
	return nil
}

// refusedWith demands a status and UAA's JSON error.
func (a answer) refusedWith(status int) error {
	if a.status != status || a.fromRouter() || a.text("error") == "" {
		return a.expected("%d with a JSON error", status)
	}
	return nil
}

// isClient demands that the body is this client, with just what it was given.
func (a answer) isClient(c client) error {
	object := a.object()
	if textOf(object["client_id"]) != c.id {
		return a.expected("the client")
	}
	for key, want := range map[string][]string{
		"authorities": c.authorities, "scope": {"uaa.none"}, "authorized_grant_types": {"client_credentials"},
	} {
		if got := listOf(object[key]); !sameSet(got, want) {
			return fmt.Errorf("%s: %s is %s; expected %s", a.call, key, a.caller.say(got), a.caller.say(want))
		}
	}
	if life, _ := object["access_token_validity"].(float64); int(life) != c.life {
		return fmt.Errorf("%s: access_token_validity is %s; expected %d", a.call, a.caller.say(object["access_token_validity"]), c.life)
	}
	if a.has(c.secret) {
		return fmt.Errorf("%s: the answer repeats the secret", a.call)
	}
	return nil
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// part reads a part of a token, unverified.
func part(token string, index int) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[index])
	var object map[string]any
	if err != nil || json.Unmarshal(text, &object) != nil {
		return nil
	}
	return object
}
