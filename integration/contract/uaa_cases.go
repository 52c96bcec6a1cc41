package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// uaaCases are what package uaa, and what the README promises of tokens, rest on.
// Their sources are pages of UAA as it was measured, and calls of package uaa.
var uaaCases = []testCase[*uaaSite]{
	{"our own client gets a token with its credentials in a form", "measured: token CC; uaa.login", true, ownLogin},
	{"our own client may manage clients", "measured: scope missing; README: the UAA client", true, mayManage},
	{"our own client may revoke tokens", "measured: revoke/client; uaa.RevokeTokens", false, mayRevoke},
	{"our own client holds nothing that it does not need", "README: the UAA client", false, holdsNoMore},
	{"a call without a token is refused with 401 and a JSON error", "measured: no token; uaa.tokenRefused", false, noToken},
	{"a call with a token that is none is refused with 401 and a JSON error", "measured: garbage token; uaa.tokenRefused", false, badToken},

	{"a client is made with 201, and answered as it was asked for, without its secret", "measured: POST client; uaa.Create", false, creates},
	{"its secret gets a token at once", "measured: token CC; uaa.Probe", false, createdWorks},
	{"its tokens live as long as was asked", "measured: access_token_validity; uaa.Create", false, lifeIsKept},
	{"additional information is kept and shown", "measured: unknown keys; ownership of clients", false, keepsLabels},
	{"an id that is taken is refused with 409 and a JSON error", "measured: POST same id; uaa.Create", false, taken},
	{"a refused create leaves the client that is there as it was", "measured: POST same id; uaa.Create", false, takenIsLeft},
	{"UAA's own authorities are refused on the restricted path with 400", "measured: restricted POST; uaa.Create", false, restrictedRefuses},

	{"a client is read with 200, without its secret", "measured: GET; uaa.Read", false, reads},
	{"reading a client that is not there is 404 with an empty body", "measured: GET missing; uaa.Read", false, readsMissing},
	{"an update with all but the secret is answered as it was asked for", "measured: PUT; uaa.Update", false, updates},
	{"an update keeps the secret", "measured: PUT; uaa.Update", false, updateKeepsSecret},
	{"an update keeps both of two secrets", "measured: PUT during two secrets; uaa.Update", false, updateKeepsBoth},
	{"an update to uaa.none leaves nothing", "measured: PUT []; uaa.Update", false, updateToNothing},
	{"an authority that is taken away ends the tokens that say it", "measured: check_token, authority removed; README: updates", false, narrowingEnds},
	{"updating a client that is not there is 404 with an empty body", "measured: PUT missing; uaa.Update", false, updatesMissing},
	{"a client is deleted with 200 and its last state", "measured: DELETE client; uaa.Delete", false, deletes},
	{"deleting a client that is not there is 404 with an empty body", "measured: DELETE missing; uaa.Delete", false, deletesMissing},
	{"a deleted client is gone, and its tokens with it", "measured: check_token, client deleted; README: verifying", false, deletedIsGone},

	{"a wrong secret is refused with 401 and unauthorized or invalid_client", "measured: token, wrong secret; uaa.Probe", false, wrongSecret},
	{"a client that is not there is refused as a wrong secret is", "measured: token, unknown client; uaa.Probe", false, unknownClient},
	{"a grant that a client does not have is refused after its secret has passed", "measured: token, grant type not allowed; uaa.Probe", false, wrongGrant},
	{"a token's answer names the authorities that it has", "measured: token CC; uaa.Probe", false, answerNames},
	{"a token says issuer, audience and authorities", "measured: token claims; README: verifying a token", false, claims},

	{"a second secret is added beside the first", "measured: PUT secret ADD; uaa.AddSecret", false, adds},
	{"a third secret is refused with 400 and UAA's words for it", "measured: ADD again; uaa.AddSecret", false, addsThird},
	{"DELETE drops the older of two secrets", "measured: PUT secret DELETE; uaa.DropSecret", false, drops},
	{"DELETE of the only secret is refused with 400 and UAA's words for it", "measured: DELETE again; uaa.DropSecret", false, dropsOnly},
	{"UPDATE puts one secret in the place of two", "measured: PUT secret UPDATE; uaa.ReplaceSecret", false, replaces},
	{"changing the secret of a client that is not there is 404 with an empty body", "measured: PUT secret missing; uaa.AddSecret", false, changesMissing},
	{"a token lives on when a secret is added", "measured: token before ADD; the soak", false, addKeepsTokens},
	{"a token of the overlap lives on when the older secret goes", "measured: token in overlap; the soak", false, dropKeepsTokens},
	{"revoking is 200 and empty, and ends the tokens so far", "measured: revoke/client; rotate --now", false, revokes},
	{"after revoking, the same secret gets a token that is good", "measured: revoke/client; rotate --now", false, revokedGoesOn},
	{"revoking for a client that is not there is 404, empty or UAA's words for it", "measured: revoke/client; uaa.RevokeTokens", false, revokesMissing},

	{"a list shows the page that was asked for, and how many there are", "measured: list; uaa.List", false, lists},
	{"a list shows each client with its lists and its life", "measured: list; uaa.List", false, listsWhole},
	{"a page behind the end is empty", "measured: list, beyond end; uaa.List", false, listsBeyond},
	{"itemsPerPage is how many clients are on the page", "measured: list; uaa.readPage", false, itemsPerPage},
	{"the filter of a list minds upper and lower case", "measured: filter match; uaa.readPage", false, filterMindsCase},

	{"the discovery document names issuer, token endpoint and keys", "measured: discovery; uaa.Endpoints", false, discovers},
	{"the key of a token is among those that the discovery document leads to", "measured: /token_keys; README: verifying a token", false, showsKeys},
}

// Our own client.

func ownLogin(ctx context.Context, s *uaaSite) error {
	a, err := s.ask(ctx, s.base, s.uaa.ClientID, s.uaa.Secret.Reveal(), nil)
	if err != nil {
		return err
	}
	s.token, s.held = a.text("access_token"), strings.Fields(a.text("scope"))
	life, _ := a.object()["expires_in"].(float64)
	switch {
	case a.status == http.StatusUnauthorized:
		return fmt.Errorf("client %s cannot log in: %s; look at client_id, the secret and the grant client_credentials", s.uaa.ClientID, a)
	case a.status != http.StatusOK || s.token == "" || life <= 0:
		return a.expected("200 with an access_token and expires_in")
	}
	return nil
}

// holdsOne tells whether our client holds one of them; "*" is one segment or more.
func (s *uaaSite) holdsOne(patterns ...string) bool {
	return slices.ContainsFunc(s.held, func(held string) bool { return slices.ContainsFunc(patterns, matching(held)) })
}

func matching(held string) func(pattern string) bool {
	return func(pattern string) bool {
		before, after, wild := strings.Cut(pattern, "*")
		if !wild {
			return held == pattern
		}
		return len(held) > len(before)+len(after) && strings.HasPrefix(held, before) && strings.HasSuffix(held, after)
	}
}

// manages are the authorities that do, the one to have first.
func (s *uaaSite) manages() []string {
	if s.uaa.Zone != "" {
		return []string{"zones.*.clients.admin", "zones.*.admin"}
	}
	return []string{"clients.admin", "uaa.admin"}
}

func mayManage(ctx context.Context, s *uaaSite) error {
	if !s.holdsOne(s.manages()...) {
		add := strings.ReplaceAll(s.manages()[0], "*", "<zone id>")
		return fmt.Errorf("client %s lacks the authority %s: add it; it holds %s", s.uaa.ClientID, add, s.say(s.held))
	}
	return nil
}

func mayRevoke(ctx context.Context, s *uaaSite) error {
	if !s.holdsOne("tokens.revoke", "uaa.admin") && !(s.uaa.Zone != "" && s.holdsOne("zones.*.admin")) {
		return fmt.Errorf("client %s lacks the authority tokens.revoke: add it; without it rotate --now cannot end the tokens of a leaked secret", s.uaa.ClientID)
	}
	return nil
}

func holdsNoMore(ctx context.Context, s *uaaSite) error {
	needed := []string{s.manages()[0], "tokens.revoke", "uaa.none"}
	var spare []string
	for _, held := range s.held {
		if !slices.ContainsFunc(needed, matching(held)) {
			spare = append(spare, held)
		}
	}
	if len(spare) > 0 {
		return fmt.Errorf("client %s does not need %s: take it away", s.uaa.ClientID, strings.Join(slices.Sorted(slices.Values(spare)), ", "))
	}
	return nil
}

func noToken(ctx context.Context, s *uaaSite) error { return s.unauthorized(ctx, "") }

func badToken(ctx context.Context, s *uaaSite) error {
	return s.unauthorized(ctx, "Bearer "+random(20))
}

func (s *uaaSite) unauthorized(ctx context.Context, authorization string) error {
	header := http.Header{"Accept": {"application/json"}}
	if authorization != "" {
		header.Set("Authorization", authorization)
	}
	a, err := s.send(ctx, http.MethodGet, s.base+path(clients, s.prefix+"-none"), header, nil)
	if err != nil {
		return err
	}
	return a.refusedWith(http.StatusUnauthorized)
}

// Clients.

func creates(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	a, err := s.manage(ctx, http.MethodPost, restricted, c.bodyWithSecret())
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusCreated), a.isClient(c))
}

func createdWorks(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	return s.accepts(ctx, c, true, "the secret it was made with", c.secret)
}

func lifeIsKept(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	c.life = 321
	if err := s.make(ctx, c); err != nil {
		return err
	}
	a, err := s.ask(ctx, s.zoneBase(), c.id, c.secret, nil)
	if err != nil {
		return err
	}
	// It is a second less, and more where UAA takes a while.
	if life, _ := a.object()["expires_in"].(float64); life > float64(c.life) || life < float64(c.life)-30 {
		return fmt.Errorf("%s: expires_in is %s; expected %d or a little less", a.call, s.say(a.object()["expires_in"]), c.life)
	}
	return nil
}

// keepsLabels looks at all three answers that could show them. One that shows some of
// them is of no kind that is known.
func keepsLabels(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	made, err := s.manage(ctx, http.MethodPost, restricted, c.bodyWithSecret())
	if err != nil {
		return err
	}
	if made.status/100 != 2 {
		return unknowable("no client could be made: " + made.String())
	}
	read, readErr := s.manage(ctx, http.MethodGet, path(clients, c.id), nil)
	updated, updateErr := s.manage(ctx, http.MethodPut, path(restricted, c.id), c.body())
	if err := errors.Join(readErr, updateErr); err != nil {
		return err
	}
	kept, all := 0, 0
	for _, a := range []answer{made, read, updated} {
		for key, value := range labels {
			all++
			if a.text(key) == value {
				kept++
			}
		}
	}
	switch kept {
	case all:
		return nil
	case 0:
		return handled("this UAA shows none of it: which client is whose is told by the broker's database alone, " +
			"and a client that no row knows is reported and never removed")
	default:
		return fmt.Errorf("%d of %d keys are shown; expected all", kept, all)
	}
}

func taken(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	c.secret = s.newSecret()
	a, err := s.manage(ctx, http.MethodPost, restricted, c.bodyWithSecret())
	if err != nil {
		return err
	}
	return a.refusedWith(http.StatusConflict)
}

func takenIsLeft(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	other := c
	other.secret = s.newSecret()
	if _, err := s.manage(ctx, http.MethodPost, restricted, other.bodyWithSecret()); err != nil {
		return err
	}
	return errors.Join(
		s.accepts(ctx, c, true, "the secret of the client that was there", c.secret),
		s.accepts(ctx, c, false, "the secret of the refused create", other.secret),
	)
}

func restrictedRefuses(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	c.authorities = []string{"clients.read"}
	a, err := s.manage(ctx, http.MethodPost, restricted, c.bodyWithSecret())
	if err != nil {
		return err
	}
	return a.refusedWith(http.StatusBadRequest)
}

func reads(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	a, err := s.manage(ctx, http.MethodGet, path(clients, c.id), nil)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusOK), a.isClient(c))
}

func readsMissing(ctx context.Context, s *uaaSite) error {
	return s.onMissing(ctx, http.MethodGet, path(clients, s.prefix+"-none"), nil)
}

func (s *uaaSite) onMissing(ctx context.Context, method, path string, body any) error {
	a, err := s.manage(ctx, method, path, body)
	if err != nil {
		return err
	}
	return a.missing()
}

func (s *uaaSite) update(ctx context.Context, c client) (answer, error) {
	return s.manage(ctx, http.MethodPut, path(restricted, c.id), c.body())
}

func updates(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	c.authorities, c.life = []string{s.prefix + ".write", s.prefix + ".list"}, 300
	a, err := s.update(ctx, c)
	if err != nil {
		return err
	}
	read, err := s.manage(ctx, http.MethodGet, path(clients, c.id), nil)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusOK), a.isClient(c), read.isClient(c))
}

func updateKeepsSecret(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	if _, err := s.update(ctx, c); err != nil {
		return err
	}
	return s.accepts(ctx, c, true, "the secret, after an update", c.secret)
}

func updateKeepsBoth(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	second, err := s.added(ctx, c)
	if err != nil {
		return err
	}
	if _, err := s.update(ctx, c); err != nil {
		return err
	}
	return errors.Join(
		s.accepts(ctx, c, true, "the older secret, after an update", c.secret),
		s.accepts(ctx, c, true, "the newer secret, after an update", second),
	)
}

func updateToNothing(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	c.authorities = []string{"uaa.none"}
	if _, err := s.update(ctx, c); err != nil {
		return err
	}
	read, err := s.manage(ctx, http.MethodGet, path(clients, c.id), nil)
	if err != nil {
		return err
	}
	return read.isClient(c)
}

func narrowingEnds(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	token, err := s.tokenOf(ctx, c, c.secret)
	if err != nil {
		return err
	}
	if err := s.alive(ctx, true, "a token of a client that was just made", token); err != nil {
		return err
	}
	c.authorities = c.authorities[:1]
	if _, err := s.update(ctx, c); err != nil {
		return err
	}
	return s.alive(ctx, false, "a token with an authority that was taken away", token)
}

func updatesMissing(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	return s.onMissing(ctx, http.MethodPut, path(restricted, c.id), c.body())
}

func deletes(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	a, err := s.manage(ctx, http.MethodDelete, path(clients, c.id), nil)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusOK), a.isClient(c))
}

func deletesMissing(ctx context.Context, s *uaaSite) error {
	return s.onMissing(ctx, http.MethodDelete, path(clients, s.prefix+"-none"), nil)
}

func deletedIsGone(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	token, err := s.tokenOf(ctx, c, c.secret)
	if err != nil {
		return err
	}
	if _, err := s.manage(ctx, http.MethodDelete, path(clients, c.id), nil); err != nil {
		return err
	}
	read, err := s.manage(ctx, http.MethodGet, path(clients, c.id), nil)
	if err != nil {
		return err
	}
	if read.status != http.StatusNotFound {
		return fmt.Errorf("after DELETE a read gives %s; expected 404", read)
	}
	return errors.Join(
		s.accepts(ctx, c, false, "the secret of a deleted client", c.secret),
		s.alive(ctx, false, "a token of a deleted client", token),
	)
}

// Probes and tokens.

func wrongSecret(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	a, err := s.ask(ctx, s.zoneBase(), c.id, random(20), nil)
	if err != nil {
		return err
	}
	return a.badCredentials()
}

func unknownClient(ctx context.Context, s *uaaSite) error {
	a, err := s.ask(ctx, s.zoneBase(), s.prefix+"-none", random(20), nil)
	if err != nil {
		return err
	}
	return a.badCredentials()
}

func (a answer) badCredentials() error {
	if code := a.text("error"); a.status != http.StatusUnauthorized || a.fromRouter() ||
		code != "unauthorized" && code != "invalid_client" || strings.HasPrefix(a.text("error_description"), "Unauthorized grant type") {
		return a.expected("401 unauthorized or invalid_client, and not of a grant type")
	}
	return nil
}

func wrongGrant(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	other := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"none"}}
	a, err := s.ask(ctx, s.zoneBase(), c.id, c.secret, other)
	if err != nil {
		return err
	}
	refused, err := s.ask(ctx, s.zoneBase(), c.id, random(20), other)
	if err != nil {
		return err
	}
	if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.text("error_description"), "Unauthorized grant type") {
		return a.expected("401 Unauthorized grant type")
	}
	return refused.badCredentials()
}

func answerNames(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	a, err := s.ask(ctx, s.zoneBase(), c.id, c.secret, nil)
	if err != nil {
		return err
	}
	if got := strings.Fields(a.text("scope")); !sameSet(got, c.authorities) {
		return fmt.Errorf("%s: scope is %s; expected %s", a.call, s.say(got), s.say(c.authorities))
	}
	return nil
}

func claims(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	token, err := s.tokenOf(ctx, c, c.secret)
	if err != nil {
		return err
	}
	document, err := s.discovery(ctx)
	if err != nil {
		return err
	}
	said := part(token, 1)
	var wrong []error
	if issuer := textOf(said["iss"]); issuer == "" || issuer != document.text("issuer") {
		wrong = append(wrong, fmt.Errorf("iss is %s; expected the issuer of the discovery document, %s", s.say(issuer), s.say(document.text("issuer"))))
	}
	if audience := listOf(said["aud"]); !slices.Contains(audience, s.prefix) {
		wrong = append(wrong, fmt.Errorf("aud is %s; expected the part before the dot of its authorities, %s, in it", s.say(audience), s.say(s.prefix)))
	}
	if authorities := listOf(said["authorities"]); !sameSet(authorities, c.authorities) {
		wrong = append(wrong, fmt.Errorf("authorities is %s; expected %s", s.say(authorities), s.say(c.authorities)))
	}
	if _, number := said["exp"].(float64); !number {
		wrong = append(wrong, errors.New("there is no exp"))
	}
	return errors.Join(wrong...)
}

// Secrets.

func adds(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	second := s.newSecret()
	a, err := s.changeSecret(ctx, c, "ADD", second)
	if err != nil {
		return err
	}
	return errors.Join(
		a.changed(),
		s.accepts(ctx, c, true, "the first secret, beside a second", c.secret),
		s.accepts(ctx, c, true, "the second secret", second),
	)
}

// changed demands what the program takes for a change that was made.
func (a answer) changed() error {
	if a.status != http.StatusOK || a.text("status") != "ok" || !strings.Contains(strings.ToLower(a.text("message")), "secret") {
		return a.expected(`200 with "status":"ok" and a message about the secret`)
	}
	return nil
}

func addsThird(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	second, err := s.added(ctx, c)
	if err != nil {
		return err
	}
	third := s.newSecret()
	a, err := s.changeSecret(ctx, c, "ADD", third)
	if err != nil {
		return err
	}
	return errors.Join(
		a.saysOf("client secret is either empty or client already has two secrets"),
		s.accepts(ctx, c, true, "the second secret, after a third was refused", second),
	)
}

func (a answer) saysOf(words string) error {
	if a.status != http.StatusBadRequest || a.text("error") == "" || !strings.HasPrefix(a.text("error_description"), words) {
		return a.expected("400 %q", words)
	}
	return nil
}

func drops(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	second, err := s.added(ctx, c)
	if err != nil {
		return err
	}
	a, err := s.changeSecret(ctx, c, "DELETE", "")
	if err != nil {
		return err
	}
	return errors.Join(
		a.changed(),
		s.accepts(ctx, c, false, "the older secret, after DELETE", c.secret),
		s.accepts(ctx, c, true, "the newer secret, after DELETE", second),
	)
}

func dropsOnly(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	a, err := s.changeSecret(ctx, c, "DELETE", "")
	if err != nil {
		return err
	}
	return errors.Join(
		a.saysOf("client secret is either empty or client has only one secret"),
		s.accepts(ctx, c, true, "the only secret, after a refused DELETE", c.secret),
	)
}

func replaces(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	second, err := s.added(ctx, c)
	if err != nil {
		return err
	}
	third := s.newSecret()
	a, err := s.changeSecret(ctx, c, "UPDATE", third)
	if err != nil {
		return err
	}
	return errors.Join(
		a.changed(),
		s.accepts(ctx, c, false, "the first secret, after UPDATE", c.secret),
		s.accepts(ctx, c, false, "the second secret, after UPDATE", second),
		s.accepts(ctx, c, true, "the secret of the UPDATE", third),
	)
}

func changesMissing(ctx context.Context, s *uaaSite) error {
	a, err := s.changeSecret(ctx, client{id: s.prefix + "-none"}, "ADD", s.newSecret())
	if err != nil {
		return err
	}
	return a.missing()
}

func addKeepsTokens(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	token, err := s.tokenOf(ctx, c, c.secret)
	if err != nil {
		return err
	}
	if _, err := s.added(ctx, c); err != nil {
		return err
	}
	return s.alive(ctx, true, "a token from before a secret was added", token)
}

func dropKeepsTokens(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	if _, err := s.added(ctx, c); err != nil {
		return err
	}
	token, err := s.tokenOf(ctx, c, c.secret) // by the older one, as a task may that read it before
	if err != nil {
		return err
	}
	if _, err := s.changeSecret(ctx, c, "DELETE", ""); err != nil {
		return err
	}
	return s.alive(ctx, true, "a token of the overlap, after DELETE", token)
}

func (s *uaaSite) revoke(ctx context.Context, id string) (answer, error) {
	a, err := s.manage(ctx, http.MethodGet, path("/oauth/token/revoke/client", id), nil)
	if err == nil && a.status == http.StatusForbidden {
		return a, unknowable(a.call + ": our own client may not; it needs tokens.revoke")
	}
	return a, err
}

func revokes(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	token, err := s.tokenOf(ctx, c, c.secret)
	if err != nil {
		return err
	}
	a, err := s.revoke(ctx, c.id)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || len(a.body) > 0 || a.fromRouter() {
		return a.expected("200 with an empty body")
	}
	return s.alive(ctx, false, "a token from before the revocation", token)
}

func revokedGoesOn(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	if _, err := s.revoke(ctx, c.id); err != nil {
		return err
	}
	if err := s.accepts(ctx, c, true, "the secret, after a revocation", c.secret); err != nil {
		return err
	}
	token, err := s.tokenOf(ctx, c, c.secret)
	if err != nil {
		return err
	}
	return s.alive(ctx, true, "a token from after the revocation", token)
}

func revokesMissing(ctx context.Context, s *uaaSite) error {
	a, err := s.revoke(ctx, s.prefix+"-none")
	if err != nil {
		return err
	}
	said := a.text("error") == "invalid_token" && a.text("error_description") == "Resource not found"
	if a.status != http.StatusNotFound || a.fromRouter() || !said && len(a.body) > 0 {
		return a.expected(`404, empty or invalid_token "Resource not found"`)
	}
	return nil
}

// Lists.

// listed asks for a page of the list of the clients whose ids begin so.
func (s *uaaSite) listed(ctx context.Context, prefix string, start, count int) (answer, error) {
	return s.manage(ctx, http.MethodGet, clients+"?"+url.Values{
		"filter": {`client_id sw "` + prefix + `"`}, "sortBy": {"client_id"}, "sortOrder": {"ascending"},
		"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(count)},
	}.Encode(), nil)
}

// three makes three clients whose ids begin alike, and as no others do.
func (s *uaaSite) three(ctx context.Context) (prefix string, made []client, err error) {
	s.number++
	prefix = fmt.Sprintf("%s-%d-", s.prefix, s.number)
	for _, letter := range "cab" {
		c := s.newClient()
		c.id = prefix + string(letter)
		s.made[len(s.made)-1] = c.id
		if err := s.make(ctx, c); err != nil {
			return "", nil, err
		}
		made = append(made, c)
	}
	return prefix, made, nil
}

func idsOf(a answer) []string {
	rows, _ := a.object()["resources"].([]any)
	var ids []string
	for _, row := range rows {
		object, _ := row.(map[string]any)
		ids = append(ids, textOf(object["client_id"]))
	}
	return ids
}

func lists(ctx context.Context, s *uaaSite) error {
	prefix, _, err := s.three(ctx)
	if err != nil {
		return err
	}
	for _, page := range []struct {
		start, count int
		want         []string
	}{{1, 2, []string{prefix + "a", prefix + "b"}}, {3, 2, []string{prefix + "c"}}} {
		a, err := s.listed(ctx, prefix, page.start, page.count)
		if err != nil {
			return err
		}
		if err := a.be(http.StatusOK); err != nil {
			return err
		}
		start, _ := a.object()["startIndex"].(float64)
		total, _ := a.object()["totalResults"].(float64)
		if got := idsOf(a); int(start) != page.start || int(total) != 3 || !slices.Equal(got, page.want) {
			return fmt.Errorf("%s from %d: got startIndex %v, totalResults %v and %s; expected %d, 3 and %s",
				a.call, page.start, start, total, s.say(got), page.start, s.say(page.want))
		}
	}
	return nil
}

func listsWhole(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	a, err := s.listed(ctx, c.id, 1, 10)
	if err != nil {
		return err
	}
	rows, _ := a.object()["resources"].([]any)
	for _, row := range rows {
		one := a
		one.body = marshal(row)
		if one.text("client_id") == c.id {
			return one.isClient(c)
		}
	}
	return a.expected("a list with the client in it")
}

func listsBeyond(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	a, err := s.listed(ctx, c.id, 1000, 10)
	if err != nil {
		return err
	}
	rows, list := a.object()["resources"].([]any)
	if a.status != http.StatusOK || !list || len(rows) > 0 {
		return a.expected("200 with a list of none")
	}
	return nil
}

func itemsPerPage(ctx context.Context, s *uaaSite) error {
	prefix, _, err := s.three(ctx)
	if err != nil {
		return err
	}
	a, err := s.listed(ctx, prefix, 3, 2)
	if err != nil {
		return err
	}
	items, _ := a.object()["itemsPerPage"].(float64)
	if shown := len(idsOf(a)); shown > 0 && int(items) != shown {
		return handled(fmt.Sprintf("it says %v of a page with %d: the program counts them", items, shown))
	}
	return nil
}

func filterMindsCase(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	a, err := s.listed(ctx, strings.ToUpper(c.id), 1, 10)
	if err != nil {
		return err
	}
	if slices.Contains(idsOf(a), c.id) {
		return handled("it finds ids in any case: the program looks at each id again")
	}
	return nil
}

// Discovery.

func (s *uaaSite) discovery(ctx context.Context) (answer, error) {
	return s.send(ctx, http.MethodGet, s.publicBase()+"/.well-known/openid-configuration", http.Header{"Accept": {"application/json"}}, nil)
}

func discovers(ctx context.Context, s *uaaSite) error {
	a, err := s.discovery(ctx)
	if err != nil {
		return err
	}
	if err := a.be(http.StatusOK); err != nil {
		return err
	}
	var wrong []error
	for _, key := range []string{"issuer", "token_endpoint", "jwks_uri"} {
		address, err := url.Parse(a.text(key))
		switch {
		case err != nil || address.Host == "":
			wrong = append(wrong, fmt.Errorf("%s is %s; expected an address", key, s.say(a.text(key))))
		case key != "issuer" && strings.HasPrefix(s.publicBase(), "https:") && address.Scheme != "https":
			wrong = append(wrong, fmt.Errorf("%s is %s; expected https: mend uaa's issuer.uri or the headers its router sets", key, s.say(a.text(key))))
		}
	}
	return errors.Join(wrong...)
}

func showsKeys(ctx context.Context, s *uaaSite) error {
	c, err := s.there(ctx)
	if err != nil {
		return err
	}
	token, err := s.tokenOf(ctx, c, c.secret)
	if err != nil {
		return err
	}
	document, err := s.discovery(ctx)
	if err != nil {
		return err
	}
	a, err := s.send(ctx, http.MethodGet, document.text("jwks_uri"), http.Header{"Accept": {"application/json"}}, nil)
	if err != nil {
		return err
	}
	if err := a.be(http.StatusOK); err != nil {
		return err
	}
	header := part(token, 0)
	keys, _ := a.object()["keys"].([]any)
	for _, key := range keys {
		if key, _ := key.(map[string]any); textOf(key["kid"]) == textOf(header["kid"]) && textOf(key["n"]) != "" {
			return nil
		}
	}
	return fmt.Errorf("%s: %d keys, and none is %s, which signs tokens", a.call, len(keys), s.say(header["kid"]))
}
