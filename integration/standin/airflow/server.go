package airflow

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"airflow-identity/integration/standin"
)

// The roles of the simple auth manager. Connections need op.
const (
	RoleViewer = "viewer"
	RoleUser   = "user"
	RoleOp     = "op"
	RoleAdmin  = "admin"
)

// The versions that can be stood in for: 3.3.2 with the simple auth manager, 2.11.2 with
// FAB's, of which API 1 is there and nothing else.
const (
	Version3 = "3.3"
	Version2 = "2.11"
)

// Config is all that can be set. Its zero value is an Airflow nobody can log in to.
type Config struct {
	Addr          string // default "127.0.0.1:0"
	ContextPath   string // as "/airflow"; default none
	Version       string // Version3, which is the default, or Version2
	Users         map[string]User
	Clients       map[string]User   // at [Server.TokenURL], and as with Keycloak at /auth/token; the secret is the password
	Tokens        map[string]string // ready-made bearer tokens, without end, and their roles
	FAB           bool              // Airflow 3 has FAB's auth manager, which differs in its logins
	Teams         []string          // Airflow 3's teams, with [core] multi_team on; nil: off
	NoTeams       bool              // as 3.0 and 3.1, where team_name is not known
	Latency       time.Duration     // added to every call
	TokenLifetime time.Duration     // default 24 h
	Now           func() time.Time  // default time.Now
	Logger        *slog.Logger      // one line per call, at debug; default none

	// Snapshot is what Server.Snapshot gave: connections, their counts and the
	// key of the tokens are as they were then.
	Snapshot []byte
}

// User is a login.
type User struct {
	Password string
	Role     string
	Teams    []string // with Config.Teams
}

func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = Version3
	}
	if c.TokenLifetime == 0 {
		c.TokenLifetime = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	roles := []string{RoleViewer, RoleUser, RoleOp, RoleAdmin}
	if c.Version != Version2 && c.Version != Version3 {
		return fmt.Errorf("version of the stand-in airflow: %q is neither %s nor %s", c.Version, Version2, Version3)
	}
	for _, logins := range []map[string]User{c.Users, c.Clients} {
		for name, user := range logins {
			if name == "" || user.Password == "" {
				return errors.New("users of the stand-in airflow: each needs a name and a password")
			}
			if !slices.Contains(roles, user.Role) {
				return fmt.Errorf("users of the stand-in airflow: %s has role %q, not one of %v", name, user.Role, roles)
			}
		}
	}
	for _, role := range c.Tokens {
		if !slices.Contains(roles, role) {
			return fmt.Errorf("tokens of the stand-in airflow: one has role %q, not one of %v", role, roles)
		}
	}
	return nil
}

// Server is a running stand-in.
type Server struct {
	// Faults are applied to what arrives, with paths as of an Airflow at the root.
	Faults *standin.Faults

	server   *standin.Server
	version  atomic.Value // of string
	mu       sync.RWMutex // of users and teams, which tests change
	users    map[string]User
	clients  map[string]User
	tokens   map[string]string
	lifetime time.Duration
	now      func() time.Time
	key      atomic.Pointer[[]byte] // of all tokens, as [api_auth] jwt_secret
	fab      bool
	teams    []string
	noTeams  bool
	store    *store
}

// Start listens and answers until Close.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		Faults:   &standin.Faults{},
		users:    maps.Clone(cfg.Users),
		clients:  maps.Clone(cfg.Clients),
		tokens:   maps.Clone(cfg.Tokens),
		fab:      cfg.FAB,
		teams:    slices.Clone(cfg.Teams),
		noTeams:  cfg.NoTeams,
		lifetime: cfg.TokenLifetime,
		now:      cfg.Now,
		store:    newStore(),
	}
	s.version.Store(cfg.Version)
	if err := s.restore(cfg.Snapshot); err != nil {
		return nil, err
	}
	server, err := standin.Listen(standin.ServerConfig{
		Addr: cfg.Addr, ContextPath: cfg.ContextPath, Latency: cfg.Latency, Faults: s.Faults, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.server = server
	server.Serve(http.HandlerFunc(s.route))
	return s, nil
}

// Close ends the server; it returns when nothing of it runs any more.
func (s *Server) Close() { s.server.Close() }

// URL is the base of all calls, with the context path.
func (s *Server) URL() string { return s.server.URL() }

// SetRole gives a user another role. As with the simple auth manager, tokens that were
// given before keep the one they had; FAB's do not.
func (s *Server) SetRole(name, role string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := s.users[name]
	user.Role = role
	s.users[name] = user
}

// AddTeam makes a team, as "airflow teams create" does, with a user in it.
func (s *Server) AddTeam(team, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.teams = append(s.teams, team)
	user := s.users[name]
	user.Teams = append(slices.Clone(user.Teams), team)
	s.users[name] = user
}

// ChangeKey signs with another key from now on, as a restart does where jwt_secret is
// not kept: every token that was given before is refused.
func (s *Server) ChangeKey() error { return s.newKey() }

// Become makes another version of it, as an upgrade does that keeps the metastore.
func (s *Server) Become(version string) { s.version.Store(version) }
