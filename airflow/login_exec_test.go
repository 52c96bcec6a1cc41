package airflow_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airflow-identity/airflow"
	"airflow-identity/identity"
)

const (
	execPart    = "AIRFLOW_IDENTITY_TEST_COMMAND" // which part the command plays
	execWaiting = "AIRFLOW_IDENTITY_TEST_WAITING" // whom a command that hangs tells that it runs
)

// playCommand prints its first argument, complains with its second, and so on.
func playCommand(part string) (exit int) {
	argument := func(i int) string {
		if i < len(os.Args) {
			return os.Args[i]
		}
		return ""
	}
	switch part {
	case "print":
		fmt.Fprint(os.Stdout, argument(1))
		fmt.Fprint(os.Stderr, argument(2))
		if argument(2) != "" {
			return 7
		}
	case "flood":
		for range 1 << 20 {
			if _, err := os.Stdout.Write(bytes.Repeat([]byte(" "), 1<<10)); err != nil {
				return 1
			}
		}
	case "read":
		text, err := io.ReadAll(os.Stdin)
		fmt.Printf(`{"token": "read-%d-%v"}`, len(text), err)
	case "orphan", "parent": // a child stays behind that holds the output
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), execPart+"=hang")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return 1
		}
		if part == "parent" {
			return hang()
		}
		fmt.Print(`{"token": "t1"}`)
	case "hang":
		return hang()
	}
	return 0
}

// hang tells that it runs, and ends once nobody listens any more.
func hang() int {
	conn, err := net.Dial("tcp", os.Getenv(execWaiting))
	if err != nil {
		return 1
	}
	_, _ = io.Copy(io.Discard, conn)
	return 0
}

// command is this program, in another part.
func command(t *testing.T, part string, args ...string) airflow.Exec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return airflow.Exec{Command: self, Args: args, Env: []string{execPart + "=" + part}}
}

func TestExecByWhatItPrints(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZmkifQ.c2lnbmF0dXJl"
	tests := []struct {
		name           string
		part           string
		print, wail    string
		carried, fails string // what the call carries, or how it fails
	}{
		{"a token", "print", `{"token": "t1"}`, "", "t1", ""},
		{"and its end", "print", `{"token": "t1", "expires_at": "2026-11-24T12:00:00Z"}` + "\n", "", "t1", ""},
		{"an end that is null", "print", `{"token": "t1", "expires_at": null}`, "", "t1", ""},
		{"more than that", "print", `{"token": "t1", "kind": "ExecCredential"}`, "", "t1", ""},
		{"what a shell would read", "print", `{"token": "$HOME;'*"}`, "", "$HOME;'*", ""},
		{"it has nothing to read", "read", "", "", "read-0-<nil>", ""},
		{"an end that is none", "print", `{"token": "t1", "expires_at": "tomorrow"}`, "", "", `it does not print {"token"`},
		{"nothing", "print", "", "", "", "it does not print"},
		{"a token alone", "print", token, "", "", "it does not print"},
		{"no token", "print", `{}`, "", "", "it prints no token"},
		{"two", "print", `{"token": "t1"}{"token": "t2"}`, "", "", "it does not print"},
		{"a token of two lines", "print", `{"token": "a\nb"}`, "", "", "it is no token"},
		{"too much", "flood", "", "", "", "it prints more than 65536 bytes"},
		{"a complaint", "print", "", "no login:\nask  Ann", "", "exit status 7: no login: ask Ann"},
		{"a complaint with the token", "print", `{"token": "` + token + `"}`, "refused: " + token, "", "exit status 7: "},
		{"a complaint with a part of it", "print", `{"token": "short-secret-1"}`, "refused: short-secret-1", "", "left out"},
		{"a complaint with another secret", "print", "", "key AKIAABCDEFGHIJKLMNOPQRSTUV is refused", "", "exit status 7: key […] is refused"},
		{"a long complaint", "print", "", strings.Repeat("word ", 2000), "", "word word word …"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var carried string
			url, _ := asked(t, reply(200, `{"version":"3.3.2"}`), func(w http.ResponseWriter, r *http.Request) {
				carried = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				reply(404, missing)(w, r)
			})
			login := command(t, test.part, test.print, test.wail)
			client := newClient(t, airflow.Config{URL: url, Login: login, Timeout: time.Minute})

			_, outcome, err := client.Read(background, orders)

			if test.fails == "" {
				if outcome != identity.NotThere || carried != test.carried {
					t.Errorf("got %s, %v, carrying %q; want %q carried", outcome, err, carried, test.carried)
				}
				return
			}
			if outcome != identity.Later || !strings.Contains(err.Error(), test.fails) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
				t.Errorf("got %s, %v; want later, and %q", outcome, err, test.fails)
			}
			for _, word := range []string{token[:30], "short-secret", "AKIA"} {
				if strings.Contains(err.Error(), word) {
					t.Errorf("the error tells %q: %v", word, err)
				}
			}
		})
	}
}

func TestExecThatIsNotThere(t *testing.T) {
	t.Parallel()
	client := newClient(t, airflow.Config{URL: "http://127.0.0.1:1", Login: airflow.Exec{Command: "/nowhere/login"}})
	_, outcome, err := client.Read(background, orders)
	if outcome != identity.Later || !strings.Contains(err.Error(), "command login") {
		t.Errorf("got %s, %v; want later, and the command's name", outcome, err)
	}
}

func TestExecIsAskedAgain(t *testing.T) {
	t.Parallel()
	clock := newHand()
	var refuse atomic.Bool
	var calls atomic.Int32
	url, _ := asked(t, reply(200, `{"version":"3.3.2"}`), func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if refuse.Load() {
			reply(401, `{"detail":"Token Expired"}`)(w, r)
			return
		}
		reply(404, missing)(w, r)
	})
	until := clock.Now().Add(time.Hour).Format(time.RFC3339)
	counter := t.TempDir() + "/ran"
	login := airflow.Exec{Command: "/bin/sh", Args: []string{"-c", `echo x >> "$0"; echo '{"token": "t1", "expires_at": "` + until + `"}'`, counter}}
	client := newClient(t, airflow.Config{URL: url, Login: login, Clock: clock.Now, Timeout: time.Minute})
	ran := func() int {
		text, _ := os.ReadFile(counter)
		return bytes.Count(text, []byte("x"))
	}
	for _, step := range []struct {
		pass time.Duration
		ran  int
	}{{0, 1}, {40 * time.Minute, 1}, {5 * time.Minute, 2}} {
		clock.pass(step.pass)
		if _, outcome, err := client.Read(background, orders); outcome != identity.NotThere || ran() != step.ran {
			t.Errorf("after %s: got %s, %v, ran %d times; want not_there, %d times", step.pass, outcome, err, ran(), step.ran)
		}
	}

	refuse.Store(true)
	before := calls.Load()
	_, outcome, err := client.Read(background, orders)
	if outcome != identity.Later || !strings.Contains(err.Error(), "Token Expired") || calls.Load() != before+1 {
		t.Errorf("with the same token again: got %s, %v in %d calls; want later in 1", outcome, err, calls.Load()-before)
	}
}

// A command is killed with all its children, by its own time-out or by the end of the
// call, whichever is first.
func TestExecIsKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		part    string
		running int // processes that are waited for until they tell that they run
		timeout time.Duration
		cancel  bool
		says    string
	}{
		"by the call":               {"hang", 1, time.Hour, true, context.Canceled.Error()},
		"by the call, with a child": {"parent", 2, time.Hour, true, context.Canceled.Error()},
		"by its time-out":           {"hang", 0, 200 * time.Millisecond, false, "it takes longer than 100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			login := command(t, test.part)
			login.Env = append(login.Env, execWaiting+"="+listener.Addr().String())
			client := newClient(t, airflow.Config{URL: "http://127.0.0.1:1", Login: login, Timeout: test.timeout})
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			done := make(chan error)
			go func() {
				_, _, err := client.Read(ctx, orders)
				done <- err
			}()
			running := make([]net.Conn, test.running)
			for i := range running {
				if running[i], err = listener.Accept(); err != nil {
					t.Fatal(err)
				}
				defer running[i].Close()
			}

			if test.cancel {
				cancel()
			}

			if err := <-done; err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
			for _, conn := range running {
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					t.Error("a process goes on")
				}
			}
		})
	}
}

// A child that stays behind and holds the output does not hold the call.
func TestExecThatLeavesSomebodyBehind(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	url, _ := asked(t, reply(200, `{"version":"3.3.2"}`), reply(404, missing))
	login := command(t, "orphan")
	login.Env = append(login.Env, execWaiting+"="+listener.Addr().String())
	client := newClient(t, airflow.Config{URL: url, Login: login, Timeout: time.Minute})

	_, outcome, err := client.Read(background, orders)

	if outcome != identity.NotThere {
		t.Errorf("got %s, %v; want not_there", outcome, err)
	}
	orphan, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = orphan.Close() // and it ends
}
