package main

import (
	"fmt"

	"airflow-identity/store"

	"github.com/spf13/cobra"
)

func migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "bring the database's schema up to date",
		Long: `Brings the schema up to date. It is safe to run from every instance at once and again
at any time. It needs DATABASE_URL, DIRECT_DATABASE_URL where a pooler stands before
Postgres, or a bound Postgres.`,
		Example: `  DATABASE_URL=postgres://… airflow-identity migrate`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bound, err := readServices()
			if err != nil {
				return misconfigured(err)
			}
			url, err := directDatabaseURL(bound)
			if err != nil {
				return misconfigured(err)
			}
			if err := store.Migrate(cmd.Context(), url); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the schema is up to date: version %d, or a later one\n", store.SchemaVersion())
			return err
		},
	}
}
