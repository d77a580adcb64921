package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gsc-project/gsc"
)

func trainCommand() *cobra.Command {
	var o *gsc.Options
	t := gsc.TrainOptions{}
	var status uint8
	cmd := &cobra.Command{
		Use:         "train STRATEGY|PLAN",
		Annotations: together,
		Short:       "Train by a strategy or a plan; resume a run that was stopped",
		Long: `Train compiles the strategy and runs the plan in a run folder, runs/NAME unless --run names another.
Where the folder holds a run already, it is resumed with its stored plan from its newest intact checkpoint;
if the strategy has changed since, gsc says how and stops; with --reshard it goes on where only the mesh or the
settings of memory have. Ctrl-C saves and ends cleanly.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if t.Timeline != "" {
				if err := writable(t.Timeline); err != nil {
					return err
				}
			}
			t.Options = *o
			t.Out = cmd.OutOrStdout()
			t.Width = terminalWidth()
			ctx, stop := interruptible()
			defer stop()
			t.TellInterrupted = status != 0
			err := gsc.Train(ctx, args[0], t)
			if errors.Is(err, gsc.ErrInterrupted) {
				return exitStatus(status)
			}
			return err
		},
	}
	o = strategyFlags(cmd)
	cmd.Flags().StringVar(&t.Run, "run", "", "run `FOLDER`; runs/NAME of the strategy when left out")
	cmd.Flags().StringVar(&t.From, "from", "", "start a new run from the newest weights of another `RUN`")
	cmd.Flags().BoolVar(&t.Reshard, "reshard", false, "go on with the run on the mesh, and with the settings of memory, that the strategy now has")
	cmd.Flags().StringVar(&t.Timeline, "timeline", "", "write what every rank does in the third step to `FILE`, for viewers of traces (Perfetto, chrome://tracing)")
	cmd.Flags().Uint8Var(&status, "interrupted", 0, "end with this `STATUS` where the run was interrupted and can go on, as the jobs of gsc submit do")
	cmd.Flags().StringVar(&t.Sample, "sample", "", "at the end, continue this `PROMPT`")
	cmd.Flags().BoolVar(&t.Baselines, "baselines", false, "at the end, fit byte models of order 3 and 4 on the same data and compare")
	return cmd
}

// terminalWidth is the width of the terminal on standard output; 0 when it is none.
func terminalWidth() int {
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return width
}

func evalCommand() *cobra.Command {
	e := gsc.EvalOptions{}
	cmd := &cobra.Command{
		Use:         "eval RUN",
		Annotations: together,
		Short:       "Evaluate a run's weights on its validation or test split",
		Args:        exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible()
			defer stop()
			scores, err := gsc.Evaluate(ctx, args[0], e)
			if err == nil {
				fmt.Fprint(cmd.OutOrStdout(), scores)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&e.Split, "split", "validation", "`SPLIT` to evaluate: train, validation or test")
	cmd.Flags().BoolVar(&e.Best, "best", false, "the best checkpoint instead of the newest")
	cmd.Flags().IntVar(&e.Threads, "threads", 0, "`N` threads; 0: as many as processors")
	return cmd
}

func generateCommand() *cobra.Command {
	g := gsc.GenerateOptions{}
	cmd := &cobra.Command{
		Use:   "generate RUN",
		Short: "Continue a prompt with a run's weights",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g.Out = cmd.OutOrStdout()
			ctx, stop := interruptible()
			defer stop()
			return gsc.Generate(ctx, args[0], g)
		},
	}
	f := cmd.Flags()
	f.StringVar(&g.Prompt, "prompt", "", "`TEXT` to continue")
	f.IntVarP(&g.Tokens, "tokens", "n", 256, "`N` tokens to generate")
	f.Float64Var(&g.Sampling.Temperature, "temperature", 0.8, "`T` of the softmax; 0 takes the likeliest token")
	f.IntVar(&g.Sampling.TopK, "top-k", 0, "draw from the `K` likeliest tokens; 0: all")
	f.Float64Var(&g.Sampling.TopP, "top-p", 0, "draw from the likeliest tokens that reach probability `P`; 0: all")
	f.Uint64Var(&g.Sampling.Seed, "seed", 1, "`SEED` of the draw")
	f.StringVar(&g.Weights, "weights", gsc.WeightsTrained, "`KIND` of weights: trained, or int8, which are a quarter of the size and read that much faster")
	f.BoolVar(&g.Best, "best", false, "the best checkpoint instead of the newest")
	f.IntVar(&g.Threads, "threads", 0, "`N` threads; 0: as many as processors")
	return cmd
}
