package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
)

func benchCommand() *cobra.Command {
	var o *gsc.Options
	b := gsc.BenchOptions{}
	var asJSON bool
	var by string
	cmd := &cobra.Command{
		Use:         "bench STRATEGY|PLAN",
		Annotations: together,
		Short:       "Time training steps, operation by operation, beside what was predicted",
		Long: `Bench runs training steps of a strategy or a plan on its own data and shows the time of a step and of each operation,
the rates reached, and their share of what the machine can do at most, measured in the same run. It begins no run and saves nothing.
Steps are timed without and, by turns, with a clock around every instruction; training itself has no clocks.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := gsc.CheckBenchRows(by); err != nil {
				return err
			}
			b.Options = *o
			ctx, stop := interruptible()
			defer stop()
			result, err := gsc.Bench(ctx, args[0], b)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), result.Text(by))
			return err
		},
	}
	o = strategyFlags(cmd)
	f := cmd.Flags()
	f.IntVar(&b.Steps, "steps", 10, "`N` steps to time")
	f.BoolVar(&b.Generate, "generate", false, "time generation, a token at a time at the end of the context, instead of training")
	f.StringVar(&b.Weights, "weights", "", "`KIND` of weights to generate with: trained or int8")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.StringVar(&by, "by", "operation", "`ROWS` of the table: operation, instruction or program")
	return cmd
}
