package airflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// Config says which Airflow, and as whom.
type Config struct {
	// URL is Airflow's base URL, perhaps with a path: what stands before
	// /api/v2 and /auth/token.
	URL string
	// Username and Password are those of a user that may read, create, edit and
	// delete connections: the role Op, or better.
	Username string
	Password remote.Credential
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
	config  Config
	url     string
	dialect dialect
	system  *remote.System
	session *remote.Session
}

var _ identity.Connections = (*Client)(nil)

// New checks the configuration. It calls nothing.
func New(config Config) (*Client, error) {
	base, err := remote.Base(config.URL)
	if err != nil {
		return nil, fmt.Errorf("airflow: url: %w", err)
	}
	if config.Username == "" || config.Password == nil {
		return nil, errors.New("airflow: username and password are needed")
	}
	system, err := remote.New(remote.Config{
		Name: "airflow", CA: config.CA, Timeout: config.Timeout, Limits: config.Limits, Breaker: config.Breaker,
		Own: own, Clock: config.Clock, Logger: config.Logger,
	})
	if err != nil {
		return nil, err
	}

	c := &Client{config: config, url: base.String(), dialect: v2, system: system}
	c.session = remote.NewSession(system, c.login, c.tokenRefused)
	return c, nil
}

// Close ends what is idle. Calls under way end within their time-out.
func (c *Client) Close() { c.system.Close() }

// Available tells why Airflow would not be called now. See identity.Connections.
func (c *Client) Available(context.Context) error { return c.system.Available() }
