package airflow

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
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

// Config is all that can be set. Its zero value is an Airflow nobody can log in to.
type Config struct {
	Addr          string // default "127.0.0.1:0"
	ContextPath   string // as "/airflow"; default none
	Users         map[string]User
	Latency       time.Duration    // added to every call
	TokenLifetime time.Duration    // default 24 h
	Now           func() time.Time // default time.Now
	Logger        *slog.Logger     // one line per call, at debug; default none

	// Snapshot is what Server.Snapshot gave: connections, their counts and the
	// key of the tokens are as they were then.
	Snapshot []byte
}

// User is a login.
type User struct {
	Password string
	Role     string
}

func (c Config) withDefaults() Config {
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
	for name, user := range c.Users {
		if name == "" || user.Password == "" {
			return errors.New("users of the stand-in airflow: each needs a name and a password")
		}
		if !slices.Contains(roles, user.Role) {
			return fmt.Errorf("users of the stand-in airflow: %s has role %q, not one of %v", name, user.Role, roles)
		}
	}
	return nil
}

// Server is a running stand-in.
type Server struct {
	// Faults are applied to what arrives, with paths as of an Airflow at the root.
	Faults *standin.Faults

	server   *standin.Server
	users    map[string]User
	lifetime time.Duration
	now      func() time.Time
	key      []byte // of all tokens, as [api_auth] jwt_secret
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
		users:    make(map[string]User, len(cfg.Users)),
		lifetime: cfg.TokenLifetime,
		now:      cfg.Now,
		store:    newStore(),
	}
	for name, user := range cfg.Users {
		s.users[name] = user
	}
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
