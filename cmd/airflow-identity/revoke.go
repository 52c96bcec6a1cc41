package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"airflow-identity/identity"
	"airflow-identity/store"

	"github.com/spf13/cobra"
)

func revokeCommand() *cobra.Command {
	r := revoke{}
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "cut an identity off at once",
		Long: `Takes an identity's client and connection away, for good: nothing repairs it and nobody
joins it. Its bindings stay, say "revoked": true, and unbind as ever. ID is the identity's
uuid, its client id (afi-…) or its connection id.

It waits until nothing is left. Exit: 0 done, 1 if the client is not gone within --timeout;
the broker goes on.`,
		Example: `  airflow-identity revoke acme_orders --as "jane@example.com"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.id, r.out, r.err = args[0], cmd.OutOrStdout(), cmd.ErrOrStderr()
			return r.orders(cmd, r.run)
		},
	}
	r.flags(cmd)
	cmd.Flags().DurationVar(&r.timeout, "timeout", time.Minute, "how long to wait until it is done; 0: do not wait")
	return cmd
}

type revoke struct {
	orderFlags
	id       string
	timeout  time.Duration
	out, err io.Writer
}

func (r *revoke) run(ctx context.Context, orders *store.Orders, order store.Order) error {
	row, err := findIdentity(ctx, orders.Ledger, r.id)
	if err != nil {
		return err
	}
	revoked, err := orders.Revoke(ctx, order, row.ID)
	if err != nil {
		return err
	}
	cutOff := func() bool { return row.CleanAt != nil || row.EndedAt != nil && row.ClientPhase == identity.Gone }
	look := func(ctx context.Context) (stand, error) {
		if row, err = orders.Identity(ctx, string(row.ID)); err != nil {
			return stand{}, err
		}
		s := stand{total: 1, words: row.State(), over: row.CleanAt != nil || cutOff() && row.DebtSince != nil}
		if s.over {
			s.done = 1
		}
		return s, nil
	}
	if r.timeout > 0 && revoked {
		_, err = watch(ctx, r.err, r.timeout, r.asJSON, look)
	} else {
		_, err = look(ctx)
	}
	if err != nil {
		return err
	}
	if err := r.tell(order, row, revoked); err != nil {
		return err
	}
	if revoked && r.timeout > 0 && !cutOff() {
		return fmt.Errorf("%s is not gone after %s: %s; the broker goes on. Is airflow-identity serve running, and reaches it UAA?", nameOf(row), r.timeout, lastError(row))
	}
	return nil
}

func lastError(row store.LedgerRow) string {
	if row.LastError == "" {
		return "nothing has failed"
	}
	return row.LastError
}

func (r *revoke) tell(order store.Order, row store.LedgerRow, revoked bool) error {
	if r.asJSON {
		return printJSON(r.out, struct {
			RequestID string `json:"request_id"`
			Revoked   bool   `json:"revoked"` // by this order
			store.LedgerRow
		}{order.RequestID, revoked, row})
	}
	switch {
	case !revoked && row.RevokedAt != nil:
		fmt.Fprintf(r.out, "%s was revoked before, at %s: %s\n", nameOf(row), stamp(row.RevokedAt), row.State())
	case !revoked:
		fmt.Fprintf(r.out, "%s had ended at %s without it: %s\n", nameOf(row), stamp(row.EndedAt), row.State())
	default:
		fmt.Fprintf(r.out, "%s is revoked: %s\n", nameOf(row), row.State())
	}
	return nil
}
