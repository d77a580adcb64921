package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc/schema"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [FOLDER]",
		Short: "Write the strategy language's definitions, for cue vet and editors",
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder := "."
			if len(args) > 0 {
				folder = args[0]
			}
			files, err := schema.Write(folder)
			for _, f := range files {
				fmt.Fprintln(cmd.OutOrStdout(), f)
			}
			return err
		},
	}
}
