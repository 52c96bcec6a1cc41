package main

import (
	"fmt"

	"airflow-identity/store"

	"github.com/spf13/cobra"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "the keyset that seals secrets in the database",
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "new",
		Short: "make a new keyset and print it, once",
		Long: `Prints a new keyset: a secret, to be kept where the configuration's sealing_keyset
points. Without it nothing that was sealed with it can be opened again.`,
		Example: `  umask 077; airflow-identity keys new > keyset.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keyset, err := store.NewKeyset()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), keyset.Reveal())
			return err
		},
	})
	return cmd
}
