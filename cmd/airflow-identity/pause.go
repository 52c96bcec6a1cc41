package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"airflow-identity/store"

	"github.com/spf13/cobra"
)

var errWhichScope = errors.New("say what it covers, in one way: --environment, --plan or --instance")

func pauseCommand() *cobra.Command {
	var (
		o     orderFlags
		of    scope
		until string
		list  bool
	)
	cmd := &cobra.Command{
		Use:   "pause --environment E | --plan P | --instance GUID",
		Short: "freeze rotation: none starts, and no old secret goes",
		Long: `Begins a freeze: no rotation starts and no old secret goes, until it is lifted with resume
or its time is over. Binding and unbinding go on, and so does rotate --now. Given again it
gives the freeze another end. --list shows the freezes there are.`,
		Example: `  airflow-identity pause --environment prod --until 4h
  airflow-identity pause --plan prod --until 2026-12-27T06:00:00Z
  airflow-identity pause --list`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list && of.count() == 0 {
				return withLedger(cmd.Context(), func(ctx context.Context, ledger *store.Ledger) error {
					return printFreezes(ctx, cmd, ledger, o.asJSON)
				})
			}
			if of.count() != 1 || list {
				return misconfigured(errWhichScope)
			}
			end, err := parseUntil(until, time.Now())
			if err != nil {
				return misconfigured(err)
			}
			return o.orders(cmd, func(ctx context.Context, orders *store.Orders, order store.Order) error {
				f, err := of.freeze(ctx, orders.Ledger, o.config)
				if err != nil {
					return err
				}
				f.Since, f.Until = order.At, end
				if err := orders.Pause(ctx, order, f); err != nil {
					return err
				}
				if o.asJSON {
					return printJSON(cmd.OutOrStdout(), f)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "rotation of %s %s is paused %s\n", f.Kind, f.Key, freezeEnd(f))
				return err
			})
		},
	}
	o.flags(cmd)
	of.flags(cmd, "identities")
	cmd.Flags().StringVar(&until, "until", "", "when it ends by itself: a time as 2026-12-27T06:00:00Z, or from now on, as 4h")
	cmd.Flags().BoolVar(&list, "list", false, "show the freezes there are")
	return cmd
}

func resumeCommand() *cobra.Command {
	var (
		o  orderFlags
		of scope
	)
	cmd := &cobra.Command{
		Use:   "resume --environment E | --plan P | --instance GUID",
		Short: "lift a freeze",
		Long: `Lifts a freeze that pause began. What is overdue by then is rotated, paced as ever. An
identity that another freeze covers stays frozen.`,
		Example: `  airflow-identity resume --environment prod`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if of.count() != 1 {
				return misconfigured(errWhichScope)
			}
			return o.orders(cmd, func(ctx context.Context, orders *store.Orders, order store.Order) error {
				f, err := of.freeze(ctx, orders.Ledger, o.config)
				if err != nil {
					return err
				}
				lifted, due, err := orders.Resume(ctx, order, f)
				if err != nil {
					return err
				}
				if o.asJSON {
					return printJSON(cmd.OutOrStdout(), struct {
						store.Freeze
						Lifted bool `json:"lifted"`
						Due    int  `json:"due"`
					}{f, lifted, due})
				}
				what := "is resumed"
				if !lifted {
					what = "was not paused; airflow-identity pause --list shows what is"
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "rotation of %s %s %s; %d identities are overdue\n", f.Kind, f.Key, what, due)
				return err
			})
		},
	}
	o.flags(cmd)
	of.flags(cmd, "identities")
	return cmd
}

// parseUntil reads a time, or a duration from now on; "" is no end.
func parseUntil(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	end, err := time.Parse(time.RFC3339, text)
	if err != nil {
		length, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("--until %q is neither a time as 2026-12-27T06:00:00Z nor a duration as 4h", text)
		}
		end = now.Add(length)
	}
	if !end.After(now) {
		return nil, fmt.Errorf("--until %s is over already", end.UTC().Format(time.RFC3339))
	}
	end = end.UTC().Truncate(time.Second)
	return &end, nil
}

func printFreezes(ctx context.Context, cmd *cobra.Command, ledger *store.Ledger, asJSON bool) error {
	freezes, err := ledger.Freezes(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), freezes)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COVERS\tSINCE\tENDS")
	for _, f := range freezes {
		fmt.Fprintf(table, "%s %s\t%s\t%s\n", f.Kind, f.Key, stamp(&f.Since), freezeEnd(f))
	}
	return table.Flush()
}

func freezeEnd(f store.Freeze) string {
	switch {
	case f.Until == nil:
		return "until it is resumed"
	case f.Until.After(time.Now()):
		return "until " + stamp(f.Until)
	default:
		return "was over at " + stamp(f.Until)
	}
}
