package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"airflow-identity/identity"
	"airflow-identity/store"

	"github.com/spf13/cobra"
)

func applyCommand() *cobra.Command {
	a := apply{}
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "do what the broker does only when it is told to",
		Long: `Has what was lost made again: identities of which neither client nor connection is found
any more, and clients of apps that are gone. Perhaps they were unbound after the backup
that the database was restored from, so the broker does not make them again by itself. They
get the secrets that they had.

--accept-restore accepts that the database was restored: identities whose connection in
Airflow is newer than their row, and environments with many of them, are held until then.
Each goes on from what Airflow has and gets a new secret. --dry-run shows what would be
done.

Exit: 0 done, 1 if --accept-restore was not done within --timeout.`,
		Example: `  airflow-identity apply --dry-run
  airflow-identity apply --accept-restore --environment prod`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.out, a.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			if a.acceptRestore {
				return a.orders(cmd, a.accept)
			}
			return a.orders(cmd, a.remake)
		},
	}
	a.flags(cmd)
	cmd.Flags().BoolVar(&a.acceptRestore, "accept-restore", false, "accept that the database was restored")
	cmd.Flags().StringVar(&a.environment, "environment", "", "only this environment")
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().DurationVar(&a.timeout, "timeout", defaultWatch, "how long --accept-restore waits until all were looked at; 0: it does not wait")
	return cmd
}

type apply struct {
	orderFlags
	environment           string
	acceptRestore, dryRun bool
	timeout               time.Duration
	out, err              io.Writer
}

func (a *apply) remake(ctx context.Context, orders *store.Orders, order store.Order) error {
	if err := a.known(ctx, orders); err != nil {
		return err
	}
	remade, err := orders.Remake(ctx, order, identity.EnvironmentName(a.environment), a.dryRun)
	if err != nil {
		return err
	}
	if a.asJSON {
		return printJSON(a.out, struct {
			RequestID string `json:"request_id"`
			DryRun    bool   `json:"dry_run"`
			store.Remade
		}{order.RequestID, a.dryRun, remade})
	}
	what := "is being made again"
	if a.dryRun {
		what = "would be made again"
	}
	for _, n := range remade.Made {
		fmt.Fprintf(a.out, "%s in %s %s\n", n, n.Environment, what)
	}
	tellGroups(a.out, "left as they are: ", remade.Left)
	if len(remade.Made)+len(remade.Left) == 0 {
		fmt.Fprintln(a.out, "there is nothing to do")
	}
	return nil
}

func (a *apply) known(ctx context.Context, orders *store.Orders) error {
	if a.environment == "" {
		return nil
	}
	_, err := scope{environment: a.environment}.freeze(ctx, orders.Ledger, a.config)
	return err
}

const restoreWarning = `Mind: an identity that was between the adding of a secret and its publishing when the backup
was taken, or when the database was lost, has two secrets at UAA, and nothing tells which of
them Airflow has. The older goes; if that was the one in Airflow, tasks of that connection are
refused until the new secret is published, some seconds later.`

func (a *apply) accept(ctx context.Context, orders *store.Orders, order store.Order) error {
	if err := a.known(ctx, orders); err != nil {
		return err
	}
	waits, err := orders.Restored(ctx, identity.EnvironmentName(a.environment), nil)
	if err != nil {
		return err
	}
	if waits.Waits() {
		fmt.Fprintln(a.err, restoreWarning)
	}
	if a.dryRun {
		return a.tellWaiting(waits)
	}
	accepted, open, err := a.acceptAll(ctx, orders, order)
	if err != nil {
		return err
	}
	return a.tellAccepted(order, accepted, open)
}

func (a *apply) tellWaiting(waits store.Restore) error {
	if a.asJSON {
		return printJSON(a.out, struct {
			DryRun bool `json:"dry_run"`
			store.Restore
		}{true, waits})
	}
	for _, name := range waits.Environments {
		fmt.Fprintf(a.out, "environment %s is held: all its identities would be looked at\n", name)
	}
	_, err := fmt.Fprintf(a.out, "%d identities are held and would go on from what Airflow has\n", waits.Held)
	return err
}

// acceptAll accepts until all were looked at. What is found to be ahead on the way
// would be held again, although it is the same restore: so it is accepted too.
func (a *apply) acceptAll(ctx context.Context, orders *store.Orders, order store.Order) (store.Accepted, store.Restore, error) {
	environment := identity.EnvironmentName(a.environment)
	total, err := orders.AcceptRestore(ctx, order, environment)
	if err != nil {
		return total, store.Restore{}, err
	}
	var open store.Restore
	all := total.Released + total.Doubted + total.Leased
	look := func(ctx context.Context) (stand, error) {
		if open, err = orders.Restored(ctx, environment, total.Environments); err != nil {
			return stand{}, err
		}
		if len(open.Environments)+open.Held > 0 && a.timeout > 0 {
			again := order
			again.At = time.Now().UTC().Truncate(time.Microsecond)
			more, err := orders.AcceptRestore(ctx, again, environment)
			if err != nil {
				return stand{}, err
			}
			total = sum(total, more)
		}
		left := open.Held + open.Doubted
		all = max(all, left)
		return stand{done: all - left, total: all, words: "looked at", over: !open.Waits()}, nil
	}
	if a.timeout > 0 && len(total.Environments) > 0 {
		_, err = watch(ctx, a.err, a.timeout, a.asJSON, look)
	} else {
		_, err = look(ctx)
	}
	return total, open, err
}

func sum(a, b store.Accepted) store.Accepted {
	a.Released += b.Released
	a.Doubted += b.Doubted
	a.Leased = b.Leased
	for _, name := range b.Environments {
		if !slices.Contains(a.Environments, name) {
			a.Environments = append(a.Environments, name)
		}
	}
	return a
}

func (a *apply) tellAccepted(order store.Order, accepted store.Accepted, open store.Restore) error {
	var err error
	if a.asJSON {
		accepted.Environments = append([]identity.EnvironmentName{}, accepted.Environments...)
		err = printJSON(a.out, struct {
			RequestID string `json:"request_id"`
			store.Accepted
			Open store.Restore `json:"open"`
		}{order.RequestID, accepted, open})
	} else if len(accepted.Environments) == 0 {
		_, err = fmt.Fprintln(a.out, "nothing is held")
	} else {
		_, err = fmt.Fprintf(a.out, "accepted in %s: %d identities go on from what Airflow has, and %d others are looked at\n",
			strings.Join(texts(accepted.Environments), ", "), accepted.Released, accepted.Doubted)
	}
	if err == nil && a.timeout > 0 && open.Waits() {
		err = errors.New(unfinished(open.Held+open.Doubted, accepted.Released, a.timeout))
	}
	return err
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = string(text)
	}
	return out
}
