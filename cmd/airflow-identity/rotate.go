package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"airflow-identity/store"

	"github.com/spf13/cobra"
)

func rotateCommand() *cobra.Command {
	r := rotate{}
	cmd := &cobra.Command{
		Use:   "rotate ID | --instance GUID | --plan P | --environment E | --all",
		Short: "ask for new secrets, paced",
		Long: `Asks for a new secret for identities, and waits until they have one. ID is an identity's
uuid, its client id (afi-…) or its connection id. The broker paces it: people's work goes
ahead, and UAA and Airflow get no more than their limits. Given again, it joins what was
asked for before and is not done. Clients of apps are left out: their secret is renewed by
binding again.

--now is for a secret that has leaked: a new one is made and published, the old one goes
without a soak, and UAA refuses the tokens that were granted so far. A freeze does not hold
it. Clients of apps are revoked, since nobody can replace their secret.

Exit: 0 done, 1 if some failed or were not done within --timeout, 2 for a command line that
cannot be right.`,
		Example: `  airflow-identity rotate acme_orders
  airflow-identity rotate --environment prod --timeout 0
  airflow-identity rotate acme_orders --now --as "jane@example.com"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				r.id = args[0]
			}
			chosen := r.of.count() + len(args)
			if r.all {
				chosen++
			}
			if chosen != 1 {
				return misconfigured(errors.New("say which identities, in one way: an ID, --instance, --plan, --environment or --all"))
			}
			r.out, r.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return r.orders(cmd, r.run)
		},
	}
	r.flags(cmd)
	r.of.flags(cmd, "all identities")
	cmd.Flags().BoolVar(&r.all, "all", false, "all identities there are")
	cmd.Flags().BoolVar(&r.now, "now", false, "a secret has leaked: at once, without a soak, tokens too")
	cmd.Flags().DurationVar(&r.timeout, "timeout", defaultWatch, "how long to wait until it is done; 0: do not wait")
	return cmd
}

// rotate is one call of the verb.
type rotate struct {
	orderFlags
	of       scope
	id       string
	all, now bool
	timeout  time.Duration
	out, err io.Writer
}

const offlineWarning = `Mind: whoever verifies tokens offline accepts those of the leaked secret until they expire, at
most the token life of the identity. UAA itself refuses them once this is done.`

// whyLeft says why identities are left as they are, and what to do.
var whyLeft = map[store.Reason]string{
	store.IsApp:     "clients of apps: their secret is in an app's credentials, and binding again renews it (cf bind-service --strategy multiple)",
	store.IsHeld:    "held, since the database was restored; airflow-identity apply --accept-restore lets them go",
	store.IsNew:     "being made: their secret is new",
	store.IsForeign: "with a connection whose marker was removed, so that nothing can be published; unbind them, or cut them off with airflow-identity revoke",
	store.IsLost:    "with nothing left in UAA and Airflow; airflow-identity apply makes them again",
	store.IsPaused:  "paused: they go on when the freeze ends; airflow-identity resume lifts it",
	store.IsSoaking: "in the soak of their last rotation: they go on when it is over",
	store.IsLeased:  "being worked on at this moment; run this again",
	store.IsFailing: "failing; they are tried again",
	store.IsAtWork:  "not done",
}

func (r *rotate) run(ctx context.Context, orders *store.Orders, order store.Order) error {
	selection, err := r.selection(ctx, orders)
	if err != nil {
		return err
	}
	if r.now {
		fmt.Fprintln(r.err, offlineWarning)
	}
	asked, err := orders.Rotate(ctx, order, selection, r.now)
	if err != nil {
		return err
	}
	if !r.asJSON {
		r.tellAsked(asked)
	}
	open, err := r.wait(ctx, orders, selection, asked)
	if err != nil {
		return err
	}
	return r.tell(order, selection, asked, open)
}

// selection finds what is to be rotated, and refuses what there is not.
func (r *rotate) selection(ctx context.Context, orders *store.Orders) (store.Selection, error) {
	switch {
	case r.all:
		return store.Selection{}, nil
	case r.id == "":
		f, err := r.of.freeze(ctx, orders.Ledger, r.config)
		return f.Selection(), err
	}
	row, err := findIdentity(ctx, orders.Ledger, r.id)
	if err != nil {
		return store.Selection{}, err
	}
	if row.EndedAt != nil || row.RevokedAt != nil {
		return store.Selection{}, fmt.Errorf("%s is %s: there is nothing to rotate", nameOf(row), row.State())
	}
	return store.Selection{Identity: row.ID}, nil
}

// wait waits for what goes on by itself, and tells who is not done.
func (r *rotate) wait(ctx context.Context, orders *store.Orders, s store.Selection, asked store.Rotated) (open store.Groups, err error) {
	look := func(ctx context.Context) (stand, error) {
		if open, err = orders.Progress(ctx, s, asked.Apps, time.Now()); err != nil {
			return stand{}, err
		}
		open := open
		waiting := 0
		for _, group := range open {
			waiting += group.Count
		}
		now := stand{done: max(0, asked.Total()-waiting), total: asked.Total(), over: open.Count(store.IsAtWork, store.IsFailing) == 0}
		if failing := open.Count(store.IsFailing); failing > 0 {
			now.words = fmt.Sprintf("%d failing", failing)
		}
		return now, nil
	}
	if r.timeout <= 0 || asked.Total() == 0 {
		_, err := look(ctx)
		return open, err
	}
	_, err = watch(ctx, r.err, r.timeout, r.asJSON, look)
	return open, err
}

func (r *rotate) tellAsked(asked store.Rotated) {
	fmt.Fprintf(r.out, "asked %d for a new secret", asked.Asked)
	if asked.Joined > 0 {
		fmt.Fprintf(r.out, ", joined %d that had been asked before", asked.Joined)
	}
	if len(asked.Apps) > 0 {
		fmt.Fprintf(r.out, ", revoked %d clients of apps", len(asked.Apps))
	}
	fmt.Fprintln(r.out)
	tellGroups(r.out, "left as they are: ", asked.Left)
}

func tellGroups(out io.Writer, prefix string, groups store.Groups) {
	for _, group := range groups {
		fmt.Fprintf(out, "%s%d %s\n", prefix, group.Count, whyLeft[group.Reason])
		for _, n := range group.Some {
			line := "  " + n.String()
			if n.LastError != "" && group.Reason == store.IsFailing {
				line += ": " + n.LastError
			}
			fmt.Fprintln(out, line)
		}
		if more := group.Count - len(group.Some); more > 0 {
			fmt.Fprintf(out, "  and %d more\n", more)
		}
	}
}

// tell gives the result, and decides whether it is one: what goes on by itself when
// a freeze or a soak ends is none of a failure.
func (r *rotate) tell(order store.Order, s store.Selection, asked store.Rotated, open store.Groups) error {
	total, waiting := asked.Total(), 0
	for _, group := range open {
		waiting += group.Count
	}
	done := max(0, total-waiting)
	if r.asJSON {
		err := printJSON(r.out, struct {
			RequestID string `json:"request_id"`
			store.Rotated
			Done int          `json:"done"`
			Open store.Groups `json:"open"`
		}{order.RequestID, asked, done, open})
		if err != nil {
			return err
		}
	} else {
		fmt.Fprintf(r.out, "done: %d of %d\n", done, total)
		tellGroups(r.out, "not done: ", open)
	}
	var problems []string
	if n := open.Count(store.IsHeld, store.IsForeign, store.IsLost); n > 0 {
		problems = append(problems, fmt.Sprintf("%d cannot be rotated as they are", n))
	}
	if n := open.Count(store.IsAtWork, store.IsFailing); n > 0 && r.timeout > 0 {
		problems = append(problems, unfinished(n, done, r.timeout))
	}
	if n := asked.Left.Count(store.IsHeld, store.IsForeign, store.IsLost); r.now && n > 0 || s.Identity != "" && len(asked.Left) > 0 {
		problems = append(problems, fmt.Sprintf("%d refused: %s", max(n, 1), whyLeft[asked.Left[0].Reason]))
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

// unfinished says that serve goes on by itself, if there is one.
func unfinished(n, done int, after time.Duration) string {
	text := fmt.Sprintf("%d are not done after %s; the broker goes on, and the same command joins them", n, after)
	if done == 0 {
		text += "; is airflow-identity serve running, and reaches it UAA and Airflow?"
	}
	return text
}
