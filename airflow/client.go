package airflow

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// Config says which Airflow, and as whom.
type Config struct {
	// URL is Airflow's base URL, perhaps with a path: what stands before
	// /api/v2 and /auth/token.
	URL string
	// API is the version of its REST API; "" means Auto.
	API API
	// Login is how we prove who we are: a user that may read, create, edit and
	// delete connections, which is the role Op, or better.
	Login Login
	// CA holds PEM certificates that are trusted beside the system's own roots.
	CA []byte
	// Timeout bounds one method of the client, with everything it sends.
	Timeout time.Duration
	// Limits bound what Airflow gets from us, Breaker says when it is left alone.
	Limits  remote.Limits
	Breaker remote.Breaker
	// Clock is what our own token's end is compared with; nil means the system's.
	Clock func() time.Time
	// Logger hears of every call at debug level, and of the breaker above it; nil
	// means nobody does.
	Logger *slog.Logger
}

// Client is one environment's Airflow. It implements identity.Connections.
type Client struct {
	url     string
	tongue  *tongue
	system  *remote.System
	session *remote.Session
	issuer  *remote.System // of tokens, where that is not Airflow itself; or nil
}

var _ identity.Connections = (*Client)(nil)

// New checks the configuration. It calls nothing.
func New(config Config) (*Client, error) {
	base, err := remote.Base(config.URL)
	if err != nil {
		return nil, fmt.Errorf("airflow: url: %w", err)
	}
	api, err := config.api()
	if err != nil {
		return nil, fmt.Errorf("airflow: %w", err)
	}
	c := &Client{url: base.String(), tongue: newTongue(api)}
	c.system, err = config.system("airflow", own)
	if err != nil {
		return nil, err
	}
	fetch, err := config.Login.begin(config, c)
	if err != nil {
		return nil, fmt.Errorf("airflow: %w", err)
	}
	c.session = remote.NewSession(c.system, fetch, c.loginRefused)
	return c, nil
}

func (c Config) system(name string, own func(remote.Answer) bool) (*remote.System, error) {
	return remote.New(remote.Config{
		Name: name, CA: c.CA, Timeout: c.Timeout, Limits: c.Limits, Breaker: c.Breaker,
		Own: own, Clock: c.Clock, Logger: c.Logger,
	})
}

// Close ends what is idle. Calls under way end within their time-out.
func (c *Client) Close() {
	c.system.Close()
	if c.issuer != nil {
		c.issuer.Close()
	}
}

// Available tells why Airflow would not be called now. See identity.Connections.
// Whoever gives us tokens matters only while we have none.
func (c *Client) Available(context.Context) error {
	if err := c.system.Available(); err != nil || c.issuer == nil || c.session.LoggedIn() {
		return err
	}
	return c.issuer.Available()
}

// Authorize puts our login, of whatever kind it is, into a request to this Airflow that
// is made by hand. It may have to fetch a token first. The error holds no secret.
func (c *Client) Authorize(ctx context.Context, r *http.Request) error {
	return c.session.Authorize(ctx, r.Header)
}
