package airflow

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// Login is how we prove to an Airflow who we are: Password, Keycloak, Basic, Token,
// ClientCredentials or Exec.
type Login interface {
	check() error
	// only is the one API that takes this login, or Auto.
	only() API
	// begin gives what fetches a token, each time one is needed.
	begin(Config, *Client) (func(context.Context) (remote.Token, error), error)
}

// api is the version that Config and login agree on.
func (c Config) api() (API, error) {
	if c.Login == nil {
		return "", errors.New("a login is needed")
	}
	if err := c.Login.check(); err != nil {
		return "", err
	}
	only := c.Login.only()
	switch c.API {
	case "", Auto:
		return only, nil
	case V1, V2:
		if only != Auto && only != c.API {
			return "", fmt.Errorf("api: this login is one of %s, not of %s", only, c.API)
		}
		return c.API, nil
	default:
		return "", fmt.Errorf("api: it is %q, not %s, %s or %s", c.API, Auto, V1, V2)
	}
}

const (
	// lifeUnsaid is taken for the life of a token that does not tell its own.
	lifeUnsaid = 30 * time.Minute
	// refreshAfter is the part of its life, in percent, after which a token is renewed.
	refreshAfter = 70
)

// lasting is a token with a life that began when it was asked for.
func lasting(token identity.Secret, asked time.Time, life time.Duration) remote.Token {
	return remote.Token{
		Bearer:    token,
		RefreshAt: asked.Add(life / 100 * refreshAfter),
		ExpiresAt: asked.Add(life),
	}
}

// lifeOf reads how long a token lives, unverified: Airflow is to believe it, not
// we. Counted from when it was made, it does not mind clocks that differ.
func lifeOf(token string, now time.Time) time.Duration {
	var claims struct {
		IssuedAt  float64 `json:"iat"`
		ExpiresAt float64 `json:"exp"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return lifeUnsaid
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return lifeUnsaid
	}
	err = json.Unmarshal(payload, &claims)
	if err != nil || claims.ExpiresAt <= 0 || claims.ExpiresAt > farthest {
		return lifeUnsaid
	}
	if claims.IssuedAt <= 0 || claims.IssuedAt > claims.ExpiresAt {
		claims.IssuedAt = float64(now.Unix())
	}
	return max(0, time.Duration((claims.ExpiresAt-claims.IssuedAt)*float64(time.Second)))
}

// farthest is a time in the year 2200: what lies beyond is no time, and a
// Duration could not hold it.
const farthest = 7_258_118_400

// needed tells which of a login's settings is missing.
func needed(settings ...string) error {
	for i := 0; i+1 < len(settings); i += 2 {
		if settings[i+1] == "" {
			return fmt.Errorf("auth: %s is needed", settings[i])
		}
	}
	return nil
}

func given(credential remote.Credential) string {
	if credential == nil {
		return ""
	}
	return "given"
}

// carriable tells whether a header can carry a token. net/http would refuse the
// request otherwise, with the token in its error.
func carriable(token identity.Secret) error {
	for _, letter := range []byte(token.Reveal()) {
		if letter <= ' ' || letter >= 0x7f {
			return errors.New("it is no token: it has blanks, line breaks or letters that a header cannot carry")
		}
	}
	return nil
}
