package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc/sdk"
)

func pluginNewCommand() *cobra.Command {
	p := sdk.Project{}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the project of a plugin, which builds as it stands",
		Long: `New makes the folder NAME with a plugin of that name: its source, the library of its language, a Makefile that builds NAME.wasm, and a strategy that trains with it. What it
computes is right, and is there to be replaced.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.Name = args[0]
			if err := p.Write("."); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s holds a %s in %s. Next:\n    make -C %[1]s\n    gsc plugin check %[1]s/%[1]s.wasm\n    gsc train -t text=FILE %[1]s/train.cue\n", p.Name, p.Kind, p.Language)
			return err
		},
	}
	cmd.Flags().StringVar(&p.Language, "language", "", "`LANGUAGE`: "+strings.Join(sdk.Languages(), ", "))
	cmd.Flags().StringVar(&p.Kind, "kind", "loss", "`KIND` of plugin: "+strings.Join(sdk.Kinds("c"), ", "))
	return cmd
}
