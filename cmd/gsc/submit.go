package main

import (
	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
)

func submitCommand() *cobra.Command {
	var o *gsc.Options
	s := gsc.SubmitOptions{}
	cmd := &cobra.Command{
		Use:   "submit STRATEGY --to slurm|kubernetes",
		Short: "Train by a strategy on a cluster",
		Long: `Submit writes the job that trains by a strategy, from its section devices, and hands it to the cluster's own client: a script to
sbatch, or a JobSet or MPIJob to kubectl. With --dry-run it prints the job instead. The job runs gsc train with the
flags that submit is given; when its time ends, or its place is taken, it saves, queues again, and goes on.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.Options = *o
			s.Out = cmd.OutOrStdout()
			ctx, stop := interruptible()
			defer stop()
			return gsc.Submit(ctx, args[0], s)
		},
	}
	o = strategyFlags(cmd)
	cmd.Flags().StringVar(&s.To, "to", "", "`CLUSTER` to submit to: slurm or kubernetes")
	cmd.Flags().StringVar(&s.Run, "run", "", "run `FOLDER`; runs/NAME of the strategy when left out")
	cmd.Flags().BoolVar(&s.Reshard, "reshard", false, "go on with the run on the mesh, and with the settings of memory, that the strategy now has")
	cmd.Flags().BoolVar(&s.DryRun, "dry-run", false, "print the job, and submit nothing")
	return cmd
}
