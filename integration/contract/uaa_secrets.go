package contract

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Secrets: two of them for a while, and what becomes of tokens.

func adds(ctx context.Context, s *uaaSite, c client) error {
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

func addsThird(ctx context.Context, s *uaaSite, c client, second string) error {
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

func drops(ctx context.Context, s *uaaSite, c client, second string) error {
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

func dropsOnly(ctx context.Context, s *uaaSite, c client) error {
	a, err := s.changeSecret(ctx, c, "DELETE", "")
	if err != nil {
		return err
	}
	return errors.Join(
		a.saysOf("client secret is either empty or client has only one secret"),
		s.accepts(ctx, c, true, "the only secret, after a refused DELETE", c.secret),
	)
}

func replaces(ctx context.Context, s *uaaSite, c client, second string) error {
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

func updateEndsTokens(ctx context.Context, s *uaaSite, c client, token string) error {
	if _, err := s.changeSecret(ctx, c, "UPDATE", c.secret); err != nil {
		return err
	}
	if err := s.alive(ctx, false, "a token from before an UPDATE to the same secret", token); err != nil {
		return err
	}
	return s.accepts(ctx, c, true, "the secret, after an UPDATE to the same", c.secret)
}

func changesMissing(ctx context.Context, s *uaaSite) error {
	a, err := s.changeSecret(ctx, client{id: s.prefix + "-none"}, "ADD", s.newSecret())
	if err != nil {
		return err
	}
	return a.missing()
}

func addKeepsTokens(ctx context.Context, s *uaaSite, c client, token string) error {
	if _, err := s.added(ctx, c); err != nil {
		return err
	}
	return s.alive(ctx, true, "a token from before a secret was added", token)
}

func dropKeepsTokens(ctx context.Context, s *uaaSite, c client, _ string) error {
	token, err := s.tokenOf(ctx, c, c.secret) // by the older one, as a task may that read it before
	if err != nil {
		return err
	}
	if _, err := s.changeSecret(ctx, c, "DELETE", ""); err != nil {
		return err
	}
	return s.alive(ctx, true, "a token of the overlap, after DELETE", token)
}

// revoke ends the tokens of a client so far. In a zone UAA lets uaa.admin alone do so
// (4.30.0), which no broker should have: there another salt is put into the client.
func (s *uaaSite) revoke(ctx context.Context, id string) (answer, error) {
	if s.uaa.Zone != "" {
		return s.manage(ctx, http.MethodPut, path(restricted, id), map[string]any{
			"client_id": id, "authorized_grant_types": []string{"client_credentials"}, "token_salt": random(8),
		})
	}
	a, err := s.manage(ctx, http.MethodGet, path("/oauth/token/revoke/client", id), nil)
	if err == nil && a.status == http.StatusForbidden {
		return a, unknowable(a.call + ": our own client may not; it needs tokens.revoke")
	}
	return a, err
}

func revokes(ctx context.Context, s *uaaSite, c client, token string) error {
	a, err := s.revoke(ctx, c.id)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || a.fromRouter() || s.uaa.Zone == "" && len(a.body) > 0 {
		return a.expected("200, with an empty body where it is UAA's own call")
	}
	return s.alive(ctx, false, "a token from before the revocation", token)
}

func revokedGoesOn(ctx context.Context, s *uaaSite, c client) error {
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
