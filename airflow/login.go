package airflow

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	callLogin = "POST /auth/token"
	loginPath = "/auth/token"

	// lifeUnsaid is taken for the life of a token that does not tell its own.
	lifeUnsaid = 30 * time.Minute
	// refreshAfter is the part of its life, in percent, after which a token is renewed.
	refreshAfter = 70
)

// login fetches a token by password. It stands under the same path as the API,
// and is no part of its version.
func (c *Client) login(ctx context.Context) (remote.Token, error) {
	password, err := c.config.Password()
	if err != nil {
		return remote.Token{}, fmt.Errorf("the password of user %s: %w", c.config.Username, err)
	}
	body, err := json.Marshal(map[string]string{"username": c.config.Username, "password": password.Reveal()})
	if err != nil {
		return remote.Token{}, err
	}
	asked := c.system.Clock()
	answer, err := c.system.Do(ctx, remote.Request{
		Call: callLogin, Method: http.MethodPost, URL: c.url + loginPath,
		Header: jsonHeader(), Body: body, Secrets: []identity.Secret{password},
	})
	if err != nil {
		return remote.Token{}, err
	}
	if answer.Status != http.StatusCreated && answer.Status != http.StatusOK {
		return remote.Token{}, refusal(answer)
	}
	var got struct {
		AccessToken string `json:"access_token"`
		JWTToken    string `json:"jwt_token"` // as Airflow 3.0.0 called it
	}
	if err := answer.JSON(&got); err != nil {
		return remote.Token{}, answer.Unreadable(err)
	}
	token := got.AccessToken
	if token == "" {
		token = got.JWTToken
	}
	if token == "" {
		return remote.Token{}, answer.Unreadable(errors.New("the body holds no token"))
	}
	life := lifeOf(token, asked)
	return remote.Token{
		Bearer:    identity.SecretFrom(token),
		RefreshAt: asked.Add(life * refreshAfter / 100),
		ExpiresAt: asked.Add(life),
	}, nil
}

// lifeOf reads how long a token lives, unverified: Airflow is to believe it, not
// we. Counted from when Airflow made it, it does not mind clocks that differ.
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

func (c *Client) tokenRefused(a remote.Answer) bool {
	refused := refusal(a)
	return refused.Own && c.dialect.refuses(refused.Status, refused.Description)
}

func jsonHeader() http.Header {
	return http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}}
}
