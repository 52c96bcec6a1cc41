package contract

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// What our own client is and may.

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

// mayRevoke: in a zone whoever may change clients may.
func mayRevoke(ctx context.Context, s *uaaSite) error {
	if s.uaa.Zone != "" || s.holdsOne("uaa.admin", "tokens.revoke") {
		return nil
	}
	return fmt.Errorf("client %s lacks the authority tokens.revoke: add it; without it rotate --now gets its new secret all the same, and then cannot end the tokens that the leaked one got while it was changed", s.uaa.ClientID)
}

func holdsNoMore(ctx context.Context, s *uaaSite) error {
	needed := []string{s.manages()[0], "uaa.none"}
	if s.uaa.Zone == "" {
		needed = append(needed, "tokens.revoke")
	}
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
