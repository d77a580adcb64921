package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
)

func vetCommand() *cobra.Command {
	var o *gsc.Options
	cmd := &cobra.Command{
		Use:   "vet STRATEGY",
		Short: "Check a strategy without planning it or looking at its data",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := gsc.Load(args[0], *o)
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is a valid strategy\n", s.Name)
			}
			return err
		},
	}
	o = strategyFlags(cmd)
	return cmd
}
