package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"airflow-identity/catalog"
	"airflow-identity/identity"
	"airflow-identity/store"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

func identitiesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "identities",
		Short: "what exists, and for whom",
		Long: `Tells what exists, for whom, and what is wrong with it. It reads the database and needs
DATABASE_URL, or a bound Postgres, and nothing else: no configuration and no keyset.`,
	}
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	var environment string
	list := &cobra.Command{
		Use:   "list",
		Short: "list identities that exist, and debts",
		Long: `Lists every identity that is there or on its way, and every connection that could not be
removed yet (a debt).`,
		Example: `  airflow-identity identities list --environment prod`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withLedger(cmd.Context(), func(ctx context.Context, ledger *store.Ledger) error {
				rows, err := ledger.Identities(ctx, identity.EnvironmentName(environment))
				if err != nil {
					return err
				}
				return printIdentities(cmd.OutOrStdout(), rows, asJSON)
			})
		},
	}
	list.Flags().StringVar(&environment, "environment", "", "only this environment")
	show := &cobra.Command{
		Use:   "show ID",
		Short: "one identity, with its timeline",
		Long: `Tells everything of one identity, and what happened to it, in order. ID is the identity's
uuid, its client id (afi-…) or its connection id.`,
		Example: `  airflow-identity identities show acme_orders`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withLedger(cmd.Context(), func(ctx context.Context, ledger *store.Ledger) error {
				row, err := findIdentity(ctx, ledger, args[0])
				if err != nil {
					return err
				}
				events, err := ledger.Timeline(ctx, row.ID)
				if err != nil {
					return err
				}
				return printIdentity(cmd.OutOrStdout(), row, events, asJSON)
			})
		},
	}
	cmd.AddCommand(list, show)
	return cmd
}

// findIdentity finds one by its uuid, its client id or its connection id. Each
// environment may have a connection of that name, and then it has to be said which.
func findIdentity(ctx context.Context, ledger *store.Ledger, asked string) (store.LedgerRow, error) {
	key := asked
	if id, isClient := strings.CutPrefix(key, "afi-"); isClient && uuid.Validate(id) == nil {
		key = id
	}
	live, err := ledger.Named(ctx, identity.ConnectionID(key))
	if err != nil {
		return store.LedgerRow{}, err
	}
	var named []string
	for _, n := range live {
		named = append(named, fmt.Sprintf("%s in %s", n.ID.ClientID(), n.Environment))
	}
	if len(named) > 1 {
		return store.LedgerRow{}, fmt.Errorf("there are %d identities with the connection id %q; name one by its client: %s", len(named), key, strings.Join(named, ", "))
	}
	row, err := ledger.Identity(ctx, key)
	if errors.Is(err, store.ErrNoIdentity) {
		return row, fmt.Errorf("there is no identity %q; airflow-identity identities list shows those there are", asked)
	}
	return row, err
}

// withLedger reads the database without the keyset: nothing here needs a secret.
func withLedger(ctx context.Context, read func(context.Context, *store.Ledger) error) error {
	bound, err := readServices()
	if err != nil {
		return misconfigured(err)
	}
	url, err := databaseURL(bound)
	if err != nil {
		return misconfigured(err)
	}
	ledger, err := store.OpenLedger(ctx, url)
	if err != nil {
		return err
	}
	defer ledger.Close()
	return read(ctx, ledger)
}

func printIdentities(out io.Writer, rows []store.LedgerRow, asJSON bool) error {
	if asJSON {
		return printJSON(out, rows)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CONNECTION\tCLIENT\tENVIRONMENT\tFOR\tBINDINGS\tAUTHORITIES\tGENERATION\tROTATED\tROTATES\tSTATE\tLAST ERROR")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s\t%s\n", orDash(string(r.Connection)), r.ID.ClientID(), r.Environment,
			r.For(), r.Bindings, strings.Join(r.Authorities, " "), r.Generation, stamp(r.PublishedAt), rotates(r), r.State(), orDash(r.LastError))
	}
	return table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func printIdentity(out io.Writer, r store.LedgerRow, events []store.LedgerEvent, asJSON bool) error {
	if asJSON {
		return printJSON(out, struct {
			store.LedgerRow
			Timeline []store.LedgerEvent `json:"timeline"`
		}{r, events})
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"client", string(r.ID.ClientID())}, {"kind", string(r.Kind)}, {"environment", string(r.Environment)},
		{"connection", orDash(string(r.Connection))}, {"for", r.For()}, {"authorities", strings.Join(r.Authorities, " ")},
		{"token life", catalog.Duration(r.TokenLifetime).String()}, {"generation", fmt.Sprint(r.Generation)}, {"state", r.State()},
		{"rotated", stamp(r.PublishedAt)}, {"rotates", rotates(r)}, {"old secret", oldSecret(r)}, {"asked for", askedFor(r)},
		{"made", stamp(&r.CreatedAt)}, {"expires", stamp(r.ExpiresAt)}, {"ended", stamp(r.EndedAt)}, {"next look", stamp(r.DueAt)},
		{"last error", orDash(r.LastError)},
	} {
		fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, e := range events {
		if _, err := fmt.Fprintln(out, e.Sentence()); err != nil {
			return err
		}
	}
	return nil
}

// lateAfter is when a rotation is late enough to be told: the loop and its queues
// take a moment.
const lateAfter = time.Minute

// rotates says when the next rotation begins, or since when it should have.
func rotates(r store.LedgerRow) string {
	switch {
	case r.RotateAt == nil || r.EndedAt != nil || r.RevokedAt != nil:
		return "-"
	case r.Late >= lateAfter:
		return stamp(r.RotateAt) + " (late by " + r.Late.Round(time.Second).String() + ")"
	default:
		return stamp(r.RotateAt)
	}
}

// oldSecret says how long the former secret stays valid, if there is one.
func oldSecret(r store.LedgerRow) string {
	if r.RetireAt == nil {
		return "-"
	}
	return "valid until " + stamp(r.RetireAt)
}

// askedFor says what operators asked for and is not done.
func askedFor(r store.LedgerRow) string {
	var asked []string
	if r.RotateAbove > 0 {
		asked = append(asked, fmt.Sprintf("a generation above %d", r.RotateAbove))
	}
	if r.Urgent {
		asked = append(asked, "at once, for a leak")
	}
	if r.RevokedAt != nil {
		asked = append(asked, "revoked at "+stamp(r.RevokedAt))
	}
	if r.ForgottenAt != nil {
		asked = append(asked, "written off at "+stamp(r.ForgottenAt))
	}
	return orDash(strings.Join(asked, ", "))
}

func stamp(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
