package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Tokens: who gets one, and what it says.

func wrongSecret(ctx context.Context, s *uaaSite, c client) error {
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

func wrongGrant(ctx context.Context, s *uaaSite, c client) error {
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

func answerNames(ctx context.Context, s *uaaSite, c client) error {
	a, err := s.ask(ctx, s.zoneBase(), c.id, c.secret, nil)
	if err != nil {
		return err
	}
	if got := strings.Fields(a.text("scope")); !sameSet(got, c.authorities) {
		return fmt.Errorf("%s: scope is %s; expected %s", a.call, s.say(got), s.say(c.authorities))
	}
	return nil
}

func claims(ctx context.Context, s *uaaSite, c client, token string) error {
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
