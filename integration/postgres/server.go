//go:build unix

package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"airflow-identity/integration/internal/child"
)

const (
	superuser = "postgres"
	// socketPort is only part of the socket's name: nothing listens on it.
	socketPort = 5432
	// longestSocket is what fits into a socket address on the stingiest system
	// (macOS: 104 bytes with the closing zero).
	longestSocket = 103
	// passwordFile keeps the password with the data, so that a URL that was
	// handed out stays right over a restart.
	passwordFile = "launcher.password"
	// stopGrace is ample for a fast shutdown: one checkpoint, no waiting for clients.
	stopGrace = 30 * time.Second
)

// Config says what to start. The zero value is a temporary server on a socket.
type Config struct {
	// DataDir is the data folder, made if it does not exist. "" means a
	// temporary one that Stop removes.
	DataDir string
	// Port opens TCP on loopback, with a password. 0 means the socket alone.
	Port int
	// Durable waits for the disk, as a server should. False is several times
	// faster; a killed server may lose its last second of commits then, and a loss
	// of power the whole cluster.
	Durable bool
	// MaxConnections is Postgres' max_connections; 0 means 100.
	MaxConnections int
	// LogFile is appended to; "" keeps the log with the temporary files. The end
	// of it is part of the error when the server does not start.
	LogFile string
}

func (c *Config) validate() error {
	if c.MaxConnections == 0 {
		c.MaxConnections = 100
	}
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("port %d is not a port", c.Port)
	}
	if c.MaxConnections < 10 {
		return fmt.Errorf("max connections %d: fewer than the launcher, a test and Postgres itself need", c.MaxConnections)
	}
	for _, path := range []*string{&c.DataDir, &c.LogFile} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("make %s absolute: %w", *path, err)
		}
		*path = absolute
	}
	return nil
}

// ErrPortTaken says that Postgres could not listen on Config.Port: somebody else does.
var ErrPortTaken = errors.New("its port is taken")

// noPort is what Postgres says then, and says for no other reason on loopback; it
// speaks English, since we set its locale.
const noPort = "could not create any TCP/IP sockets"

// Server is a running Postgres. Its methods may be called from any goroutine.
type Server struct {
	config   Config
	who      account
	runDir   string // socket, access rules, and what is temporary
	password string // of TCP, "" without it
	process  *child.Process
	logFrom  int64 // where the log of the present program begins

	stop    sync.Once
	stopErr error
}

// Start makes the data folder if need be and starts a server on it. The context
// bounds the start alone; the server runs until Stop, or until we die.
func Start(ctx context.Context, c Config) (_ *Server, err error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	installed, fresh, err := choose(c.DataDir, os.Getenv("PATH"), folders)
	if err != nil {
		return nil, err // the sentence is for the user, who asked for no Postgres
	}
	who, err := accountFor(c.DataDir)
	if err != nil {
		return nil, err
	}
	runDir, err := makeRunDir(who)
	if err != nil {
		return nil, err
	}

	s := &Server{config: c, who: who, runDir: runDir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start postgres: %w", err), s.Stop())
		}
	}()
	if s.config.DataDir == "" {
		s.config.DataDir = filepath.Join(runDir, "data")
	}
	if s.config.LogFile == "" {
		s.config.LogFile = filepath.Join(runDir, "postgres.log")
	}
	if fresh {
		if err := s.initialise(ctx, installed, who); err != nil {
			return nil, err
		}
	}
	if err := s.launch(installed, who); err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, err
	}
	if c.Port != 0 {
		if err := s.requirePassword(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// makeRunDir makes the folder of everything that lives no longer than the server.
// It is short enough for a socket's address and open to nobody but the account.
func makeRunDir(who account) (string, error) {
	const pattern, longestSuffix = "airflow-identity-pg-", "4294967295/.s.PGSQL.5432"
	var reasons []error
	for _, base := range []string{os.TempDir(), "/tmp"} {
		if length := len(base) + 1 + len(pattern) + len(longestSuffix); length > longestSocket {
			reasons = append(reasons, fmt.Errorf("%s is too long a path for a socket", base))
			continue
		}
		blocked, err := who.blocker(base)
		if err == nil && blocked != "" {
			err = fmt.Errorf("the user that postgres runs as may not enter %s", blocked)
		}
		if err != nil {
			reasons = append(reasons, err)
			continue
		}
		dir, err := os.MkdirTemp(base, pattern) // mode 0700
		if err == nil {
			err = who.own(dir)
		}
		if err != nil {
			reasons = append(reasons, err)
			continue
		}
		return dir, nil
	}
	return "", fmt.Errorf("make a temporary folder for postgres: %w", errors.Join(reasons...))
}

// initialise runs initdb in a folder beside the wanted one and renames it when it
// is whole, so that a data folder is complete or not there.
func (s *Server) initialise(ctx context.Context, installed binaries, who account) error {
	parent := filepath.Dir(s.config.DataDir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("make the folder above the data folder: %w", err)
	}
	staging, err := os.MkdirTemp(parent, filepath.Base(s.config.DataDir)+".initdb-")
	if err != nil {
		return fmt.Errorf("make a folder for initdb: %w", err)
	}
	defer os.RemoveAll(staging) // finds nothing after the rename
	if err := who.own(staging); err != nil {
		return fmt.Errorf("give initdb its folder: %w", err)
	}

	arguments := []string{"--username=" + superuser, "--encoding=UTF8", "--locale=C", "--auth=trust"}
	if !s.config.Durable {
		arguments = append(arguments, "--no-sync")
	}
	process, err := s.run(installed.initdb(), staging, who, arguments)
	if err != nil {
		return err
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
		_ = process.Stop(0)
		return fmt.Errorf("wait for initdb: %w", context.Cause(ctx))
	}
	if err := process.Err(); err != nil {
		return fmt.Errorf("run initdb: %w%s", err, logTail(s.config.LogFile, s.logFrom))
	}

	if err := os.Rename(staging, s.config.DataDir); err != nil {
		return fmt.Errorf("put the data folder in its place: %w", err)
	}
	return nil
}

// launch starts the server's process, which then makes up its mind by itself.
func (s *Server) launch(installed binaries, who account) error {
	if err := who.own(s.config.DataDir); err != nil {
		return fmt.Errorf("give postgres its data folder: %w", err)
	}
	// Rules of ours in place of the data folder's: they are known, and the
	// folder's own stay as somebody may have written them.
	const rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	rulesFile := filepath.Join(s.runDir, "pg_hba.conf")
	if err := os.WriteFile(rulesFile, []byte(rules), 0o644); err != nil {
		return fmt.Errorf("write postgres' access rules: %w", err)
	}

	listen := ""
	if s.config.Port != 0 {
		listen = "127.0.0.1"
	}
	durable := onOff(s.config.Durable)
	settings := []string{
		"listen_addresses=" + listen,
		"port=" + strconv.Itoa(s.port()),
		"unix_socket_directories=" + s.runDir,
		"unix_socket_permissions=0700",
		"hba_file=" + rulesFile,
		"max_connections=" + strconv.Itoa(s.config.MaxConnections),
		"fsync=" + durable,
		"synchronous_commit=" + durable,
		"full_page_writes=" + durable,
		"password_encryption=scram-sha-256",
		"logging_collector=off",
		"log_destination=stderr",
		"timezone=UTC",
		"log_timezone=UTC",
	}
	var arguments []string
	for _, setting := range settings {
		arguments = append(arguments, "-c", setting)
	}

	process, err := s.run(installed.postgres(), s.config.DataDir, who, arguments)
	if err != nil {
		return err
	}
	s.process = process
	return nil
}

// run starts one of Postgres' programs on a data folder.
func (s *Server) run(program, dataDir string, who account, arguments []string) (*child.Process, error) {
	name, extra, err := who.reach(dataDir)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.config.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open postgres' log: %w", err)
	}
	defer log.Close()
	for _, file := range extra {
		defer file.Close()
	}
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at postgres' log: %w", err)
	}
	s.logFrom = info.Size()

	onOrphan := syscall.SIGINT // somebody's data: written out in good order
	if filepath.Dir(s.config.DataDir) == s.runDir {
		onOrphan = syscall.SIGQUIT // nobody's: at once
	}

	return child.Start(child.Config{
		Path: program,
		Args: append([]string{"-D", name}, arguments...),
		// Nothing of ours: PGDATA, PGPORT and the like would have a say, and macOS'
		// Postgres needs a locale that does not start threads.
		Env:        []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"},
		Stdout:     log,
		Stderr:     log,
		ExtraFiles: extra,
		Credential: who.credential,
		Interrupt:  syscall.SIGINT, // fast shutdown: clients are thrown out
		OnOrphan:   onOrphan,
		OrphanDir:  s.runDir,
	})
}

// awaitReady returns when the server answers SQL, which proves more than a port
// that is open: while it starts it accepts connections and refuses them.
func (s *Server) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			tail := logTail(s.config.LogFile, s.logFrom)
			if strings.Contains(tail, noPort) {
				return fmt.Errorf("%w: %w%s", ErrPortTaken, s.process.Err(), tail)
			}
			return fmt.Errorf("it ended at once: %w%s", s.process.Err(), tail)
		case <-ctx.Done():
			return fmt.Errorf("wait until it answers (last: %v): %w", err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// requirePassword sets the password of TCP: the one kept with the data, or a new
// one. It travels over the socket, never on a command line.
func (s *Server) requirePassword(ctx context.Context) error {
	path := filepath.Join(s.config.DataDir, passwordFile)
	kept, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		kept = []byte(rand.Text())
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			return fmt.Errorf("keep the password: %w", err)
		}
	case err != nil:
		return fmt.Errorf("read the password: %w", err)
	}

	literal := strings.ReplaceAll(string(kept), "'", "''")
	if err := s.exec(ctx, "ALTER ROLE "+superuser+" PASSWORD '"+literal+"'"); err != nil {
		return fmt.Errorf("set the password: %w", err)
	}
	s.password = string(kept)
	return nil
}

// URL is how to connect to a database: through the socket, or over TCP where a
// port was asked for. Other programs of the same user can use it too.
func (s *Server) URL(database string) string {
	if s.config.Port == 0 {
		return s.socketURL(database)
	}
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.config.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return address.String()
}

func (s *Server) socketURL(database string) string {
	return urlOfSocket(s.runDir, s.port(), database)
}

func urlOfSocket(dir string, port int, database string) string {
	query := url.Values{"host": {dir}, "port": {strconv.Itoa(port)}, "user": {superuser}, "sslmode": {"disable"}}
	address := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: query.Encode()}
	return address.String()
}

func (s *Server) port() int {
	if s.config.Port != 0 {
		return s.config.Port
	}
	return socketPort
}

// CreateDatabase makes a database as a copy of another, or an empty one if
// template is "". The template must have no open connections.
func (s *Server) CreateDatabase(ctx context.Context, name, template string) error {
	if template == "" {
		template = "template1"
	}
	statement := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE " + pgx.Identifier{template}.Sanitize()
	if err := s.exec(ctx, statement); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// DropDatabase removes a database, whoever is connected to it.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	if err := s.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// exec runs one statement as superuser.
func (s *Server) exec(ctx context.Context, statement string) error {
	return runSQL(ctx, s.socketURL("postgres"), statement)
}

// runSQL runs one statement on a connection of its own.
func runSQL(ctx context.Context, address, statement string) error {
	connection, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, statement)
	return errors.Join(err, connection.Close(ctx))
}

// Stop shuts the server down, whoever is connected, waits until it is gone and
// removes what was temporary. Stopping twice is no error.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		var errs []error
		if s.process != nil {
			errs = append(errs, s.process.Stop(stopGrace))
		}
		errs = append(errs, os.RemoveAll(s.runDir))
		if err := errors.Join(errs...); err != nil {
			s.stopErr = fmt.Errorf("stop postgres: %w", err)
		}
	})
	return s.stopErr
}

// logTail is the end of a log from that byte on, for an error's last lines.
func logTail(file string, from int64) string {
	content, err := os.ReadFile(file)
	if err != nil || int64(len(content)) < from {
		return ""
	}
	content = content[from:]
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) > 12 {
		lines = lines[len(lines)-12:]
	}
	return "\n" + strings.Join(lines, "\n")
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
