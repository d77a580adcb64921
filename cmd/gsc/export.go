package main

import (
	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
)

func exportCommand() *cobra.Command {
	e := gsc.ExportOptions{}
	cmd := &cobra.Command{
		Use:   "export RUN FOLDER",
		Short: "Write a run's compressed weights in a form that other tools load",
		Long: `Export writes the weights of a run that pruned or quantised them while it trained (compress in the strategy) into a new
folder, in the layout of compressed-tensors: whole numbers with their scales, and config.json says how they are to be read.
A run that compresses nothing needs no export: its checkpoints are Hugging Face model folders.`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.Out = cmd.OutOrStdout()
			return gsc.Export(args[0], args[1], e)
		},
	}
	cmd.Flags().StringVar(&e.To, "to", gsc.FormatCompressedTensors, "the `FORMAT`")
	cmd.Flags().BoolVar(&e.Best, "best", false, "the best checkpoint instead of the newest")
	return cmd
}
