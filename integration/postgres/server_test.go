//go:build unix

package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// orphanEnv makes the test binary a program that starts a server, tells where it
// is, and waits to be killed.
const (
	orphanEnv     = "POSTGRES_TEST_ORPHAN"
	orphanDataEnv = "POSTGRES_TEST_ORPHAN_DATA"
)

func TestMain(m *testing.M) {
	if os.Getenv(orphanEnv) != "" {
		beKilled()
	}
	goleak.VerifyTestMain(m)
}

func beKilled() {
	server, err := Start(context.Background(), Config{DataDir: os.Getenv(orphanDataEnv)})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := server.exec(context.Background(), "CREATE TABLE kept AS SELECT 'here' AS what"); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(server.process.Pid(), server.runDir)
	select {}
}

func TestTemporaryServerRunsSQLAndLeavesNothing(t *testing.T) {
	t.Parallel()
	server := start(t, Config{})
	pid, runDir := server.process.Pid(), server.runDir

	if got := query(t, server.URL("postgres"), "SHOW fsync"); got != "off" {
		t.Errorf("fsync of a server that is not durable: got %q, want off", got)
	}
	if got := query(t, server.URL("postgres"), "SHOW listen_addresses"); got != "" {
		t.Errorf("listen_addresses without a port: got %q, want none", got)
	}
	if err := server.CreateDatabase(t.Context(), "seed", ""); err != nil {
		t.Fatal(err)
	}
	query(t, server.URL("seed"), "CREATE TABLE t AS SELECT 42 AS n; SELECT n FROM t")
	if err := server.CreateDatabase(t.Context(), `odd "name"`, "seed"); err != nil {
		t.Fatal(err)
	}
	if got := query(t, server.URL(`odd "name"`), "SELECT n FROM t"); got != "42" {
		t.Errorf("row of the template in its copy: got %q, want 42", got)
	}
	if err := server.DropDatabase(t.Context(), `odd "name"`); err != nil {
		t.Error(err)
	}

	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if err := server.Stop(); err != nil {
		t.Errorf("second stop: got %v, want nothing to complain about", err)
	}
	if running(pid) {
		t.Errorf("process %d still runs after Stop", pid)
	}
	if _, err := os.Stat(runDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary folder after Stop: got %v, want it gone", err)
	}
}

// The data folder lies in one that only we may enter, as `mktemp -d` makes it: as
// root that is the case in which the server's user cannot walk there.
func TestDataOutlivesTheServer(t *testing.T) {
	t.Parallel()
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	config := Config{
		DataDir: filepath.Join(private, "state", "postgres"),
		LogFile: filepath.Join(private, "postgres.log"),
		Durable: true,
	}

	first := start(t, config)
	if got := query(t, first.URL("postgres"), "SHOW fsync"); got != "on" {
		t.Errorf("fsync of a durable server: got %q, want on", got)
	}
	query(t, first.URL("postgres"), "CREATE TABLE kept AS SELECT 'here' AS what; SELECT what FROM kept")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}

	second := start(t, config)
	if got := query(t, second.URL("postgres"), "SELECT what FROM kept"); got != "here" {
		t.Errorf("row written before the restart: got %q, want here", got)
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	if log, err := os.ReadFile(config.LogFile); err != nil || !bytes.Contains(log, []byte("ready to accept connections")) {
		t.Errorf("log after both runs: got %q, %v; want the server's own lines", log, err)
	}
	if leftovers, _ := filepath.Glob(config.DataDir + ".initdb-*"); len(leftovers) > 0 {
		t.Errorf("initdb left %v behind", leftovers)
	}
}

func TestTCPDemandsThePasswordAndKeepsIt(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: filepath.Join(t.TempDir(), "data"), Port: freePort(t)}

	server := start(t, config)
	address := server.URL("postgres")
	if got := query(t, address, "SELECT inet_client_addr()::text"); got != "127.0.0.1/32" {
		t.Errorf("address seen by the server: got %q, want loopback", got)
	}
	for name, user := range map[string]*url.Userinfo{
		"wrong password": url.UserPassword(superuser, "wrong"),
		"no password":    url.User(superuser),
	} {
		tried, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		tried.User = user
		if connection, err := pgx.Connect(t.Context(), tried.String()); err == nil {
			_ = connection.Close(t.Context())
			t.Errorf("%s: got a connection, want a refusal", name)
		}
	}

	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if again := start(t, config).URL("postgres"); again != address {
		t.Error("the URL changed over a restart, want the same port and password")
	}
}

func TestForeignDataIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, content string
		want          []string
	}{
		"another major version": {"PG_VERSION", "9.1\n", []string{"made by Postgres 9.1", "left as it is"}},
		"no data folder at all": {"thesis.txt", "years of work", []string{"not a Postgres data folder", "left as it is"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, test.file)
			if err := os.WriteFile(path, []byte(test.content), 0o640); err != nil {
				t.Fatal(err)
			}
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}

			server, err := Start(t.Context(), Config{DataDir: dir})
			if err == nil {
				_ = server.Stop()
				t.Fatal("got a server, want a refusal")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to say %q", err, want)
				}
			}

			entries, _ := os.ReadDir(dir)
			content, _ := os.ReadFile(path)
			after, err := os.Stat(path)
			if err != nil || len(entries) != 1 || string(content) != test.content ||
				after.ModTime() != before.ModTime() || *owner(after) != *owner(before) {
				t.Errorf("the folder was touched: %d entries, %q, %v", len(entries), content, err)
			}
		})
	}
}

func TestSecondServerOnTheSameDataIsRefused(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: filepath.Join(t.TempDir(), "data")}
	first := start(t, config)

	second, err := Start(t.Context(), config)
	if err == nil {
		_ = second.Stop()
		t.Fatal("got a second server on the same data, want a refusal")
	}
	if !strings.Contains(err.Error(), "postmaster.pid") {
		t.Errorf("got %q, want Postgres' own reason in it", err)
	}
	if got := query(t, first.URL("postgres"), "SELECT 1"); got != "1" {
		t.Errorf("the first server afterwards: got %q, want 1", got)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	neighbour, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.Close()
	config := Config{DataDir: filepath.Join(t.TempDir(), "data"), Port: neighbour.Addr().(*net.TCPAddr).Port}
	config.LogFile = config.DataDir + ".log" // is kept, so each start appends to it

	if _, err := Start(t.Context(), config); !errors.Is(err, ErrPortTaken) {
		t.Errorf("got %v, want %v", err, ErrPortTaken)
	}
	config.Port = freePort(t)
	start(t, config)
	if second, err := Start(t.Context(), config); err == nil || errors.Is(err, ErrPortTaken) {
		_ = second.Stop()
		t.Errorf("a second server on the same data: got %v, want another reason", err)
	}
}

// A stale postmaster.pid and a log to replay are what a crash leaves.
func TestStartsAfterACrash(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: filepath.Join(t.TempDir(), "data"), Durable: true}
	crashed := start(t, config)
	query(t, crashed.URL("postgres"), "CREATE TABLE kept AS SELECT 'here' AS what; SELECT what FROM kept")
	if err := syscall.Kill(crashed.process.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-crashed.process.Done()

	// Its children need a moment to see that they are orphans, and Postgres
	// refuses to start beside them.
	var server *Server
	eventually(t, "a server on the crashed one's data", func() bool {
		var err error
		server, err = Start(t.Context(), config)
		return err == nil
	})
	t.Cleanup(func() { _ = server.Stop() })
	if got := query(t, server.URL("postgres"), "SELECT what FROM kept"); got != "here" {
		t.Errorf("row committed before the crash: got %q, want here", got)
	}
}

func TestDiesWithItsParent(t *testing.T) {
	t.Parallel()
	for name, dataDir := range map[string]string{
		"temporary data goes too": "",
		"kept data is all there":  filepath.Join(t.TempDir(), "data"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pid, runDir := startAndKillParent(t, dataDir)
			eventually(t, "the end of the orphan", func() bool { return !running(pid) })
			eventually(t, "the end of its temporary folder", func() bool {
				_, err := os.Stat(runDir)
				return errors.Is(err, os.ErrNotExist)
			})
			if dataDir == "" {
				return
			}
			again := start(t, Config{DataDir: dataDir})
			if got := query(t, again.URL("postgres"), "SELECT what FROM kept"); got != "here" {
				t.Errorf("row written just before the kill: got %q, want here", got)
			}
		})
	}
}

// startAndKillParent has another process start a server, and kills that process.
func startAndKillParent(t *testing.T, dataDir string) (pid int, runDir string) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), orphanEnv+"=1", orphanDataEnv+"="+dataDir)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_, scanErr := fmt.Fscan(out, &pid, &runDir)
	if err := command.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = command.Wait() // it was killed, and says so
	if scanErr != nil {
		t.Fatalf("the child did not start a server: %v", scanErr)
	}
	return pid, runDir
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("changed my mind"))

	_, err := Start(ctx, Config{DataDir: filepath.Join(parent, "data")})
	if err == nil || !strings.Contains(err.Error(), "changed my mind") {
		t.Errorf("got %v, want the reason of the cancellation", err)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestConfigIsJudged(t *testing.T) {
	t.Parallel()
	for _, config := range []Config{{Port: -1}, {Port: 65536}, {MaxConnections: 3}} {
		if server, err := Start(t.Context(), config); err == nil {
			_ = server.Stop()
			t.Errorf("%+v: got a server, want a refusal", config)
		}
	}
}

func start(t *testing.T, c Config) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// query runs statements and gives the only value of the last one.
func query(t *testing.T, address, statements string) string {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	results, err := connection.PgConn().Exec(t.Context(), statements).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return string(results[len(results)-1].Rows[0][0])
}

func freePort(t *testing.T) int {
	t.Helper()
	// The kernel hands out ephemeral ports in turn, so nobody gets this one again
	// within the moment that it is free.
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(socket)
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return name.(*syscall.SockaddrInet4).Port
}

// running says whether a process is there and more than a zombie: who inherits an
// orphan may take its time to wait for it, or never do it.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return err != nil || !bytes.Contains(status, []byte("State:\tZ"))
}

func owner(info os.FileInfo) *[2]uint32 {
	stat := info.Sys().(*syscall.Stat_t)
	return &[2]uint32{stat.Uid, stat.Gid}
}

// eventually polls for what another process brings about.
func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-deadline.C:
			t.Fatalf("waited 30 s in vain for %s", what)
		case <-tick.C:
		}
	}
}
