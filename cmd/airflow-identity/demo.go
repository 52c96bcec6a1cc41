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

// pace is how fast the story can go.
type pace struct {
	// timeout is that of the remotes. It is shorter than usual so that a killed
	// broker's lease ends while somebody is watching.
	timeout time.Duration
	// soak is how long an old secret stays valid. Usually that is half a rotation
	// period, and two hours are more than anybody watches.
	soak time.Duration
	// taskPause is what a task waits between two requests for tokens.
	taskPause time.Duration
	within    time.Duration // all of it
}

var (
	standInPace = pace{timeout: 2 * time.Second, soak: 3 * time.Second, taskPause: 10 * time.Millisecond, within: 4 * time.Minute}
	// A real UAA hashes twenty passwords a second on a small machine, and has to hear
	// the brokers as well. It takes a minute for all to start.
	realPace = pace{timeout: 4 * time.Second, soak: 4 * time.Second, taskPause: 150 * time.Millisecond, within: 10 * time.Minute}
)

func demoCommand() *cobra.Command {
	var onReal bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "play the whole story on this machine, leaving nothing behind",
		Long: `Starts a Postgres, a stand-in of UAA and of Airflow for dev and for prod, and two brokers,
and plays the story as its users live it: the developer, the DAG author, the operator and
the security officer. Secrets are replaced while tasks ask for tokens, and brokers are
killed in the middle of their work. Each line tells how long it took. Everything is on
loopback and in a temporary folder, and all of it is gone afterwards.

With --real the same story is played on two real UAAs and two real Airflows. If they are
not installed yet, that is done first, as make e2e does it, and takes minutes: into
.cache of the repository, or the folder that AIRFLOW_IDENTITY_CACHE names. The story then
takes about two minutes.

Exit: 0 if everything was as expected, 1 if not.`,
		Example: `  airflow-identity demo
  airflow-identity demo --real`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !onReal {
				return demo(cmd.Context(), cmd.OutOrStdout(), standInPace, nil)
			}
			cache, err := installReal(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return fmt.Errorf("installing the real systems: %w", err)
			}
			return demo(cmd.Context(), cmd.OutOrStdout(), realPace, openReal(cache))
		},
	}
	cmd.Flags().BoolVar(&onReal, "real", false, "on a real UAA and a real Airflow, not on stand-ins")
	return cmd
}

func demo(ctx context.Context, out io.Writer, pace pace, open opener) (err error) {
	ctx, cancel := context.WithTimeout(ctx, pace.within)
	defer cancel()
	folder, err := os.MkdirTemp("", "airflow-identity-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	t := &story{out: out, started: time.Now()}
	s, err := openStage(ctx, folder, []string{"dev", "prod"}, stageOptions{
		timeout: pace.timeout, soak: pace.soak, bcryptCost: bcrypt.DefaultCost, open: open,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	cast := &cast{stage: s, pace: pace}
	defer cast.close()
	if err := cast.enter(ctx); err != nil {
		return err
	}
	what := cast.environments["prod"].what()
	t.say("a Postgres, %s for dev and for prod, and two brokers are up", what)

	for _, act := range acts {
		t.title(act.who)
		if err := act.play(ctx, t, cast); err != nil {
			return fmt.Errorf("the story did not go as it should: %s: %w", act.who, err)
		}
	}
	t.end(open == nil)
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

// end says how to see the story on real systems, to whoever has not.
func (t *story) end(onStandIns bool) {
	fmt.Fprintf(t.out, "\nAll as expected, in %s.", time.Since(t.started).Round(time.Millisecond))
	if onStandIns {
		fmt.Fprintf(t.out, " The same on a real UAA and a real Airflow:\n\n  %s demo --real", os.Args[0])
	}
	fmt.Fprintln(t.out)
}
