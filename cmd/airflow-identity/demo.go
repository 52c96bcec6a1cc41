package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
)

// demoTimeout is that of the remotes in the demo. It is shorter than a real one
// so that a killed broker's lease ends while somebody is watching.
const demoTimeout = 2 * time.Second

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "play the whole story on this machine, leaving nothing behind",
		Long: `Starts a Postgres, a stand-in of UAA and of Airflow for dev and for prod, and two brokers,
and plays the story as its users live it: the developer, the DAG author, the operator and
the security officer. Secrets are replaced while tasks ask for tokens, and brokers are
killed in the middle of their work. Each line tells how long it took. Everything is on
loopback and in a temporary folder, and all of it is gone afterwards.

Exit: 0 if everything was as expected, 1 if not.`,
		Example: `  airflow-identity demo`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

func demo(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "airflow-identity-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	t := &story{out: out, started: time.Now()}
	s, err := openStage(ctx, folder, []string{"dev", "prod"}, stageOptions{timeout: demoTimeout, soak: demoSoak, bcryptCost: bcrypt.DefaultCost})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	cast := &cast{stage: s}
	defer cast.close()
	if err := cast.enter(ctx); err != nil {
		return err
	}
	t.say("a Postgres, a UAA and an Airflow for dev and for prod, and two brokers are up")

	for _, act := range acts {
		t.title(act.who)
		if err := act.play(ctx, t, cast); err != nil {
			return fmt.Errorf("the story did not go as it should: %s: %w", act.who, err)
		}
	}
	t.end()
	return nil
}

// story tells what happens, and how long it took.
type story struct {
	out     io.Writer
	started time.Time
	last    time.Time
}

func (t *story) title(who string) {
	fmt.Fprintf(t.out, "\n%s\n", who)
	t.last = time.Now()
}

// cf is the line of the cf CLI, or of a person's shell, that what follows stands for.
func (t *story) cf(line string) { fmt.Fprintf(t.out, "  $ %s\n", line) }

// say is one line of evidence.
func (t *story) say(format string, args ...any) {
	if t.last.IsZero() {
		t.last = t.started
	}
	took := time.Since(t.last)
	t.last = time.Now()
	fmt.Fprintf(t.out, "  %7s  %s\n", took.Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// show is a piece of text as it is.
func (t *story) show(lines ...string) {
	for _, line := range lines {
		fmt.Fprintf(t.out, "           %s\n", line)
	}
}

func (t *story) end() {
	fmt.Fprintf(t.out, "\nAll as expected, in %s. The same on a real UAA and a real Airflow:\n\n  make e2e\n", time.Since(t.started).Round(time.Millisecond))
}
