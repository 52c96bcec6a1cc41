package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// What UAA says of itself.

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

func showsKeys(ctx context.Context, s *uaaSite, c client, token string) error {
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
