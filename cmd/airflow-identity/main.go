// Airflow-identity is the broker, and the commands around it, in one binary.
//
//	airflow-identity demo           the whole story on this machine, leaving nothing behind
//	airflow-identity dev            the same pieces, staying up for curl and cf
//	airflow-identity migrate        brings the database's schema up to date
//	airflow-identity keys new       makes a keyset for sealing secrets
//	airflow-identity config check   what is in effect, and where it comes from
//	airflow-identity serve          the broker
//	airflow-identity identities     what exists, for whom, and what happened to it
//	airflow-identity rotate         asks for new secrets, paced, or at once for a leak
//	airflow-identity revoke         cuts an identity off
//	airflow-identity pause, resume  freezes rotation, and lifts a freeze
//	airflow-identity forget         writes off what can never be removed
//	airflow-identity apply          what is done only when told: after a restore, a loss
//	airflow-identity doctor         tries what is taken for granted of a UAA and an Airflow
//
// Each verb is a file of its own. This package wires the others together and
// reads configuration; only the files of dev and demo know a stand-in or start a real system.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := execute(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "airflow-identity: %v\n", err)
		os.Exit(exitCode(err))
	}
}

// execute runs a verb. What fails before one has begun is the command line's
// fault.
func execute(ctx context.Context) error {
	cmd, begun := root(), false
	cmd.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	err := cmd.ExecuteContext(ctx)
	if err != nil && !begun {
		return misconfigured(fmt.Errorf("%w; airflow-identity --help lists what there is", err))
	}
	return err
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

const (
	exitFailed = 1
	// exitMisconfigured is for settings and command lines that cannot be right.
	exitMisconfigured = 2
)

func misconfigured(err error) error { return &exitError{exitMisconfigured, err} }

func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return exitFailed
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "airflow-identity",
		Short: "a Cloud Foundry service broker that gives Apache Airflow scoped UAA clients",
		Long: `Airflow Identity turns a Cloud Foundry service binding into a scoped UAA client that
is registered in the team's Airflow as a connection.`,
		Example: `  airflow-identity demo
  airflow-identity serve --config config.yml`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(serveCommand(), migrateCommand(), keysCommand(), devCommand(), demoCommand(), configCommand(), identitiesCommand(),
		rotateCommand(), revokeCommand(), pauseCommand(), resumeCommand(), forgetCommand(), applyCommand(), doctorCommand())
	return cmd
}
