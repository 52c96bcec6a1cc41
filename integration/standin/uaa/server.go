package uaa

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"airflow-identity/integration/standin"
)

// Config is all that can be set. Its zero value makes an empty UAA.
type Config struct {
	Addr        string // default "127.0.0.1:0"
	ContextPath string // as "/uaa"; default none

	// Issuer is issuer.uri of uaa.yml: tokens say Issuer + "/oauth/token".
	// Default: the server's own URL.
	Issuer string

	BcryptCost  int              // default bcrypt.MinCost; the real UAA has 10
	CheapHashes bool             // no bcrypt but a salted SHA-256, counted alike: under the race detector even MinCost is slow
	Latency     time.Duration    // added to every call
	Clients     []Client         // there from the start, and not counted
	Zones       []Zone           // beside the default one; then the host's name is localhost
	Now         func() time.Time // default time.Now
	Logger      *slog.Logger     // one line per call, at debug; default none

	// Forgets makes it a UAA that keeps no additional information but the name, and so
	// tells nobody's keys again. None is known to.
	Forgets bool

	// BeforeSecretWrite is called by a change of a client's secret that has read and
	// hashed, and has yet to write. Two changes that wait in it for each other overlap.
	BeforeSecretWrite func(id string)

	// Snapshot is what Server.Snapshot gave: the key, the clients and their
	// counts are as they were then, and Clients adds only what is missing.
	Snapshot []byte
}

// Client is a client as uaa.yml would have it.
type Client struct {
	ID, Secret          string
	Authorities, Scope  []string
	GrantTypes          []string // default client_credentials
	AccessTokenValidity int      // seconds; 0 is unset, which means 43200
}

func (c Config) withDefaults() Config {
	if c.BcryptCost == 0 {
		c.BcryptCost = bcrypt.MinCost
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	if c.BcryptCost < bcrypt.MinCost || c.BcryptCost > bcrypt.MaxCost {
		return fmt.Errorf("bcrypt cost of the stand-in uaa: %d is not between %d and %d",
			c.BcryptCost, bcrypt.MinCost, bcrypt.MaxCost)
	}
	for _, client := range c.Clients {
		if client.ID == "" || client.Secret == "" {
			return errors.New("clients of the stand-in uaa: each needs an id and a secret")
		}
	}
	return nil
}

// Server is a running stand-in.
type Server struct {
	// Faults are applied to what arrives, with paths as of a UAA at the root.
	Faults *standin.Faults

	server *standin.Server
	zone   Zone
	zones  map[string]*Server // by subdomain; of the default zone's alone
	url    string
	issuer string // issuer.uri, without /oauth/token
	now    func() time.Time
	key    *signingKey
	hasher *hasher
	store  *store
	tokens atomic.Int64

	forgets           bool
	beforeSecretWrite func(id string)
}

// Start listens and answers until Close.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		Faults: &standin.Faults{},
		now:    cfg.Now,
		hasher: newHasher(cfg.BcryptCost, cfg.CheapHashes, cfg.Now),
		store:  newStore(),
		zone:   defaultZone,
		zones:  map[string]*Server{},

		forgets:           cfg.Forgets,
		beforeSecretWrite: cfg.BeforeSecretWrite,
	}
	if err := s.restore(cfg.Snapshot); err != nil {
		return nil, err
	}
	for _, client := range cfg.Clients {
		if s.store.has(client.ID) {
			continue
		}
		if err := s.AddClient(client); err != nil {
			return nil, err
		}
	}

	server, err := standin.Listen(standin.ServerConfig{
		Addr: cfg.Addr, ContextPath: cfg.ContextPath, Latency: cfg.Latency, Faults: s.Faults, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.server, s.url = server, server.URL()
	if len(cfg.Zones) > 0 {
		s.url = named(s.url)
	}
	s.issuer = strings.TrimSuffix(cfg.Issuer, "/")
	if s.issuer == "" {
		s.issuer = s.url
	}
	for _, zone := range cfg.Zones {
		if err := s.addZone(zone); err != nil {
			server.Close()
			return nil, err
		}
	}
	server.Serve(http.HandlerFunc(s.handle))
	return s, nil
}

// Close ends the server; it returns when nothing of it runs any more.
func (s *Server) Close() { s.server.Close() }

// URL is the base of all calls, with the context path.
func (s *Server) URL() string { return s.url }

// Issuer is what tokens and the discovery document say.
func (s *Server) Issuer() string { return s.issuer + "/oauth/token" }

// Hashes counts the password hashes made and compared so far, which is what the
// real UAA spends its time on: one for a client that is made, and for a secret that
// is added or put in another's place; none for one that is dropped; and one for every
// comparison that is not a remembered match, so that the newer of two secrets costs
// two at first and one from then on. What Go code asks or adds does not count.
func (s *Server) Hashes() int64 { return s.hasher.count.Load() }

// TokenCount counts the tokens granted so far, in this zone.
func (s *Server) TokenCount() int64 { return s.tokens.Load() }
