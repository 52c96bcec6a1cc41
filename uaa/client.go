package uaa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// Config says which UAA, and as whom.
type Config struct {
	// URL is where UAA is managed, perhaps with a path, as https://host/uaa.
	URL string
	// PublicURL is where the users of its clients find it; empty means URL, with
	// the zone's subdomain in front of the host.
	PublicURL string
	// ClientID and Secret are our own client, of the default zone. It needs
	// clients.admin and tokens.revoke, or zones.<zone id>.clients.admin alone where
	// there is a zone.
	ClientID identity.ClientID
	Secret   remote.Credential
	// Zone is the subdomain of the identity zone in which clients are made;
	// empty means the default zone.
	Zone string
	// Strict: see [Client.Permitted].
	Strict bool
	// CA holds PEM certificates that are trusted beside the system's own roots.
	CA []byte
	// Timeout bounds one method of the client, with everything it sends.
	Timeout time.Duration
	// Limits bound what UAA gets from us, Breaker says when it is left alone.
	Limits  remote.Limits
	Breaker remote.Breaker
	// Clock is what our own token's end is compared with; nil means the system's.
	Clock func() time.Time
	// Logger hears of every call at debug level, and of the breaker above it; nil
	// means nobody does.
	Logger *slog.Logger
}

// Client is one environment's UAA. It implements identity.Clients.
type Client struct {
	config  Config
	system  *remote.System
	session *remote.Session

	url    string // management, and our own token
	zone   string // the zone's own address: its tokens, and probes
	public string // discovery

	mu         sync.Mutex
	endpoints  identity.Endpoints // zero until they were read once
	privileges privileges
}

var _ identity.Clients = (*Client)(nil)

var zoneName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// New checks the configuration. It calls nothing.
func New(config Config) (*Client, error) {
	base, err := remote.Base(config.URL)
	if err != nil {
		return nil, fmt.Errorf("uaa: url: %w", err)
	}
	if config.ClientID == "" || config.Secret == nil {
		return nil, errors.New("uaa: client_id and its secret are needed")
	}
	if config.Zone != "" && !zoneName.MatchString(config.Zone) {
		return nil, fmt.Errorf("uaa: zone %q is not a subdomain", config.Zone)
	}
	zone := zoneURL(base, config.Zone)
	public := zone
	if config.PublicURL != "" {
		given, err := remote.Base(config.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("uaa: public_url: %w", err)
		}
		public = given.String()
	}
	system, err := remote.New(remote.Config{
		Name: "uaa", CA: config.CA, Timeout: config.Timeout, Limits: config.Limits, Breaker: config.Breaker,
		Own: own, Clock: config.Clock, Logger: config.Logger,
	})
	if err != nil {
		return nil, err
	}

	c := &Client{config: config, system: system, url: base.String(), zone: zone, public: public}
	c.session = remote.NewSession(system, c.login, tokenRefused)
	return c, nil
}

// zoneURL is the address under which a zone answers for itself: UAA tells zones
// apart by the host, and by a header on management calls alone.
func zoneURL(base *url.URL, zone string) string {
	own := *base
	if zone != "" {
		own.Host = zone + "." + own.Host
	}
	return own.String()
}

// Close ends what is idle. Calls under way end within their time-out.
func (c *Client) Close() { c.system.Close() }

// Available tells why UAA would not be called now. See identity.Clients.
func (c *Client) Available(context.Context) error { return c.system.Available() }

// header is that of a management call.
func (c *Client) header() http.Header {
	// Without it UAA answers errors with pages of HTML.
	header := http.Header{"Accept": {"application/json"}}
	if c.config.Zone != "" {
		header.Set("X-Identity-Zone-Subdomain", c.config.Zone)
	}
	return header
}

// jsonHeader is that of a management call with a body.
func (c *Client) jsonHeader() http.Header {
	header := c.header()
	header.Set("Content-Type", "application/json")
	return header
}
