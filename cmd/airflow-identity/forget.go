package main

import (
	"context"
	"errors"
	"fmt"

	"airflow-identity/identity"
	"airflow-identity/store"

	"github.com/spf13/cobra"
)

func forgetCommand() *cobra.Command {
	var (
		o                   orderFlags
		environment, reason string
	)
	cmd := &cobra.Command{
		Use:   "forget ID | --environment E --reason R",
		Short: "write off what is left of an identity and can never be removed",
		Long: `Writes off what is left of identities that have ended: a connection in an Airflow that is
gone for good, a client in a UAA that nobody can reach. Nothing is removed there; the broker
no longer tries, and the connection id is free. The reason stands in the audit events.
--environment writes off all of an environment that were tried in vain.`,
		Example: `  airflow-identity forget acme_orders --reason "that Airflow was switched off, OPS-1234"
  airflow-identity forget --environment staging --reason "staging was torn down, OPS-1235"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (environment != "") {
				return misconfigured(errors.New("say what to write off, in one way: an ID or --environment"))
			}
			if reason == "" {
				return misconfigured(errors.New("say why with --reason: it stands in the audit events"))
			}
			return o.orders(cmd, func(ctx context.Context, orders *store.Orders, order store.Order) error {
				selection := store.Selection{Environment: identity.EnvironmentName(environment)}
				if len(args) == 1 {
					row, err := findIdentity(ctx, orders.Ledger, args[0])
					if err == nil {
						err = forgettable(row)
					}
					if err != nil {
						return err
					}
					selection = store.Selection{Identity: row.ID}
				}
				forgotten, err := orders.Forget(ctx, order, selection, reason)
				if err != nil {
					return err
				}
				left, err := orders.Unclean(ctx, selection.Environment)
				if err != nil {
					return err
				}
				return tellForgotten(cmd, order, forgotten, left, o.asJSON)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&environment, "environment", "", "everything of this environment that was tried in vain")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit events; required")
	return cmd
}

// forgettable: only what nobody wants any more, and is there all the same.
func forgettable(row store.LedgerRow) error {
	switch {
	case row.CleanAt != nil:
		return fmt.Errorf("nothing is left of %s since %s", nameOf(row), stamp(row.CleanAt))
	case row.EndedAt == nil && row.RevokedAt != nil:
		return fmt.Errorf("%s was revoked, and nobody has tried to remove it yet; run this again later", nameOf(row))
	case row.EndedAt == nil:
		return fmt.Errorf("%s is in use by %d bindings; unbind them, or cut it off with airflow-identity revoke: only what is left then can be written off", nameOf(row), row.Bindings)
	default:
		return nil
	}
}

func tellForgotten(cmd *cobra.Command, order store.Order, forgotten []store.Named, left int, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return printJSON(out, struct {
			RequestID string        `json:"request_id"`
			Forgotten []store.Named `json:"forgotten"`
			Left      int           `json:"left"`
		}{order.RequestID, append([]store.Named{}, forgotten...), left})
	}
	for _, n := range forgotten {
		fmt.Fprintf(out, "%s in %s is written off; what is there stays there\n", n, n.Environment)
	}
	if len(forgotten) == 0 {
		fmt.Fprintln(out, "there is nothing to write off")
	}
	if left > 0 {
		fmt.Fprintf(out, "%d more are being removed, and nothing has failed yet; airflow-identity identities list shows them\n", left)
	}
	return nil
}
