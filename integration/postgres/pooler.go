//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"airflow-identity/integration/internal/child"
)

// poolerPort is only part of the socket's name, as socketPort is.
const poolerPort = 6432

// Pooler is a running PgBouncer before a Server, which gives each of few
// connections to Postgres to whoever begins a transaction. It listens on a socket
// alone, in a folder that only the server's user and root can enter.
type Pooler struct {
	// Version is what the program says of itself.
	Version string

	server  *Server
	runDir  string
	process *child.Process

	stop    sync.Once
	stopErr error
}

// FindPgBouncer looks on PATH, which lacks Debian's folder for ordinary users.
func FindPgBouncer() (program string, found bool) {
	for _, candidate := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer", "/usr/local/bin/pgbouncer"} {
		if program, err := exec.LookPath(candidate); err == nil {
			return program, true
		}
	}
	return "", false
}

// StartPooler starts a PgBouncer with that many connections to each database of the
// server. The context bounds the start alone; it runs until Stop, or until we die.
func (s *Server) StartPooler(ctx context.Context, connections int) (_ *Pooler, err error) {
	program, found := FindPgBouncer()
	if !found {
		return nil, errors.New("no pgbouncer found on PATH: `make e2e` installs it, or the system's package pgbouncer")
	}
	said, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("ask pgbouncer for its version: %w", err)
	}
	version, _, _ := strings.Cut(string(said), "\n")
	// It refuses to be root just as Postgres does, and the socket is its user's.
	runDir, err := makeRunDir(s.who)
	if err != nil {
		return nil, err
	}
	p := &Pooler{Version: version, server: s, runDir: runDir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start pgbouncer: %w%s", err, logTail(p.logFile(), 0)), p.Stop())
		}
	}()
	if err := p.launch(program, connections); err != nil {
		return nil, err
	}
	if err := p.awaitReady(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Pooler) launch(program string, connections int) error {
	config := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s

[pgbouncer]
unix_socket_dir = %s
unix_socket_mode = 0700
listen_port = %d
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 1000
`, p.server.runDir, p.server.port(), superuser, p.runDir, poolerPort, connections)
	path := filepath.Join(p.runDir, "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return fmt.Errorf("write its configuration: %w", err)
	}
	log, err := os.OpenFile(p.logFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open its log: %w", err)
	}
	defer log.Close()
	p.process, err = child.Start(child.Config{
		Path: program, Args: []string{path},
		Env:    []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"},
		Stdout: log, Stderr: log,
		Credential: p.server.who.credential,
		// It keeps nothing, and each version has its own signal for "at once".
		Interrupt: syscall.SIGKILL,
		OrphanDir: p.runDir,
	})
	return err
}

// awaitReady returns once Postgres answers through it.
func (p *Pooler) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := runSQL(ctx, p.URL("postgres"), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-p.process.Done():
			return fmt.Errorf("it ended at once: %w", p.process.Err())
		case <-ctx.Done():
			return fmt.Errorf("wait until it answers (last: %v): %w", err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// URL is how to connect to one of the server's databases through the pooler.
func (p *Pooler) URL(database string) string {
	return urlOfSocket(p.runDir, poolerPort, database)
}

// Stop ends it, whoever is connected, and removes its folder. Stopping twice is no
// error.
func (p *Pooler) Stop() error {
	p.stop.Do(func() {
		var errs []error
		if p.process != nil {
			errs = append(errs, p.process.Stop(stopGrace))
		}
		errs = append(errs, os.RemoveAll(p.runDir))
		if err := errors.Join(errs...); err != nil {
			p.stopErr = fmt.Errorf("stop pgbouncer: %w", err)
		}
	})
	return p.stopErr
}

func (p *Pooler) logFile() string { return filepath.Join(p.runDir, "pgbouncer.log") }
