//go:build unix

package real

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"airflow-identity/integration/internal/child"
)

// stopGrace is several times what a stop takes: UAA 2 s, Airflow 4 s. Only a Tomcat
// whose application did not deploy was seen to ignore SIGTERM.
const stopGrace = 30 * time.Second

// server is what UAA and Airflow have in common: a process, its working folder, its
// log, and an address at which it will answer.
type server struct {
	dir       string
	temporary bool
	logFile   string
	process   *child.Process

	stop    sync.Once
	stopErr error
}

// newServer makes the working folder: the named one, or a temporary one.
func newServer(dir, name string) (*server, error) {
	s := &server{dir: dir, temporary: dir == ""}
	if s.temporary {
		temporary, err := os.MkdirTemp("", "airflow-identity-"+name+"-")
		if err != nil {
			return nil, fmt.Errorf("make a working folder: %w", err)
		}
		s.dir = temporary
	}
	absolute, err := filepath.Abs(s.dir)
	if err != nil {
		return nil, fmt.Errorf("make the working folder's path absolute: %w", err)
	}
	s.dir, s.logFile = absolute, filepath.Join(absolute, name+".log")
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the working folder: %w", err)
	}
	return s, nil
}

// Dir is the working folder. Without one of your own it goes with Stop.
func (s *server) Dir() string { return s.dir }

// LogFile holds what the server wrote to stdout and stderr.
func (s *server) LogFile() string { return s.logFile }

// Pid is the server's process and process group.
func (s *server) Pid() int { return s.process.Pid() }

// Stop ends the server, kills what does not end, and removes the temporary folder.
// Stopping twice is no error.
func (s *server) Stop() error {
	s.stop.Do(func() {
		var errs []error
		if s.process != nil {
			errs = append(errs, s.process.Stop(stopGrace))
		}
		if s.temporary {
			errs = append(errs, os.RemoveAll(s.dir))
		}
		s.stopErr = errors.Join(errs...)
	})
	return s.stopErr
}

// file writes a file of the working folder, its parents too, for our eyes only.
func (s *server) file(name, content string) (path string, err error) {
	path = filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("make the folder of %s: %w", name, err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return path, nil
}

// launch starts the server's process, with its output in the log.
func (s *server) launch(env []string, program string, arguments ...string) error {
	log, err := os.OpenFile(s.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	s.process, err = child.Start(child.Config{
		Path: program, Args: arguments, Env: env, Dir: s.dir,
		Stdout: log, Stderr: log,
		OrphanDir: s.orphanDir(),
	})
	return err
}

func (s *server) orphanDir() string {
	if s.temporary {
		return s.dir
	}
	return ""
}

// logTail is the end of the log, for an error's last lines.
func (s *server) logTail() string {
	content, err := os.ReadFile(s.logFile)
	if err != nil {
		return ""
	}
	return "\n" + lastLines(content, 25)
}

// awaitReady polls until the address answers 200. What is not ready does not answer
// at all; so any other status is a server that started and failed, or not ours.
func (s *server) awaitReady(ctx context.Context, url string) error {
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy: this is loopback
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := get(ctx, client, url)
		switch {
		case err == nil && status == http.StatusOK:
			return nil
		case err == nil:
			return fmt.Errorf("%s answers %d%s", url, status, s.logTail())
		}
		select {
		case <-s.process.Done():
			tail := s.logTail()
			if lostItsPort(tail) {
				return fmt.Errorf("it ended while starting: %w%s", errPortTaken, tail)
			}
			return fmt.Errorf("it ended while starting: %v%s", s.process.Err(), tail)
		case <-ctx.Done():
			return fmt.Errorf("wait until %s answers: %w%s", url, context.Cause(ctx), s.logTail())
		case <-tick.C:
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// freePort is a loopback port that nothing listens on: with a taken one Tomcat goes
// on for half a minute while whoever holds it answers our probes.
func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return 0, fmt.Errorf("free the port again: %w", err)
	}
	return port, nil
}

// runToEnd runs a program in the server's folder and gives its stdout. It dies with
// us as the server does; its stderr is part of the error.
func (s *server) runToEnd(ctx context.Context, env []string, program string, arguments ...string) (stdout string, err error) {
	out, err := os.CreateTemp(s.dir, "stdout-")
	if err != nil {
		return "", fmt.Errorf("make a file for the output: %w", err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	complaints, err := os.CreateTemp(s.dir, "stderr-")
	if err != nil {
		return "", fmt.Errorf("make a file for the errors: %w", err)
	}
	defer os.Remove(complaints.Name())
	defer complaints.Close()

	process, err := child.Start(child.Config{
		Path: program, Args: arguments, Env: env, Dir: s.dir,
		Stdout: out, Stderr: complaints,
		Interrupt: syscall.SIGKILL,
	})
	if err != nil {
		return "", err
	}
	select {
	case <-process.Done():
		err = process.Err()
	case <-ctx.Done():
		err = errors.Join(context.Cause(ctx), process.Stop(stopGrace))
	}
	said, readErr := os.ReadFile(out.Name())
	if err = errors.Join(err, readErr); err != nil {
		why, _ := os.ReadFile(complaints.Name())
		return string(said), fmt.Errorf("%w\n%s", err, lastLines(why, 25))
	}
	return string(said), nil
}

// random is a secret of letters and digits, which no configuration format, and no
// URL, needs quoted.
func random() string { return rand.Text() }
