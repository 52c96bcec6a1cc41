package airflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	execPrints   = 64 << 10 // the most that is read of what a command prints
	execComplain = 4 << 10  // and of its complaints
	// execLinger is how long a command's children may keep its output open.
	execLinger = time.Second
)

// Exec is a command that prints a token, for logins that only a program of the
// operator's knows. It prints one JSON object,
//
//	{"token": "…", "expires_at": "2026-11-24T12:00:00Z"}
//
// in which expires_at may be missing, and exits with 0. It is no shell's line; it
// reads nothing, has half the client's time-out, and is killed with its children
// when that is over.
type Exec struct {
	Command string
	Args    []string
	Env     []string // "NAME=value"; nil means ours
}

func (e Exec) check() error { return needed("command", e.Command) }

func (Exec) only() API { return Auto }

func (e Exec) begin(config Config, c *Client) (func(context.Context) (remote.Token, error), error) {
	return func(ctx context.Context) (remote.Token, error) {
		most := config.Timeout / 2
		ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("it takes longer than %s", most))
		defer cancel()
		asked := c.system.Clock()
		token, err := e.run(ctx, asked)
		if err != nil {
			return remote.Token{}, fmt.Errorf("command %s: %w", filepath.Base(e.Command), err)
		}
		return token, nil
	}, nil
}

func (e Exec) run(ctx context.Context, asked time.Time) (remote.Token, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	printed := &capped{most: execPrints, full: func() { cancel(errExecPrints) }}
	complained := &capped{most: execComplain}
	cmd := exec.CommandContext(ctx, e.Command, e.Args...)
	cmd.Env = e.Env
	cmd.Stdout, cmd.Stderr = printed, complained
	cmd.WaitDelay = execLinger
	killWhole(cmd)

	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has exited, and left somebody behind who holds its output
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return remote.Token{}, complaint(err, complained, printed)
	}
	token, err := readExec(printed.text, asked)
	if err != nil {
		return remote.Token{}, complaint(err, complained, printed)
	}
	return token, nil
}

var errExecPrints = fmt.Errorf("it prints more than %d bytes", execPrints)

// readExec never quotes what was printed.
func readExec(printed []byte, asked time.Time) (remote.Token, error) {
	var got struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if json.Unmarshal(printed, &got) != nil {
		return remote.Token{}, errors.New(`it does not print {"token": "…", "expires_at": "2026-11-24T12:00:00Z"}`)
	}
	if got.Token == "" {
		return remote.Token{}, errors.New("it prints no token")
	}
	bearer := identity.SecretFrom(got.Token)
	if err := carriable(bearer); err != nil {
		return remote.Token{}, err
	}
	life := lifeOf(got.Token, asked)
	if !got.ExpiresAt.IsZero() {
		life = max(0, got.ExpiresAt.Sub(asked))
	}
	return lasting(bearer, asked, life), nil
}

// secretive is whatever in a complaint could be a secret: a long run of letters and
// digits, as tokens and keys are.
var secretive = regexp.MustCompile(`[A-Za-z0-9_+=~-]{20,}`)

// complaint adds what the command wrote to stderr, without what may be secret in it.
func complaint(err error, complained, printed *capped) error {
	text := secretive.ReplaceAllString(string(complained.text), "[…]")
	secret := identity.SecretFrom(string(printed.text[:min(len(printed.text), execComplain)]))
	if text = remote.Words(text, secret); text == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, text)
}

// capped keeps the beginning of what is written, and takes the rest for nothing.
type capped struct {
	text []byte
	most int
	full func() // if set, called when there is more
}

func (c *capped) Write(p []byte) (int, error) {
	kept := min(len(p), c.most-len(c.text))
	c.text = append(c.text, p[:kept]...)
	if kept < len(p) && c.full != nil {
		c.full()
	}
	return len(p), nil
}
