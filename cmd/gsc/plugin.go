package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/schema"
)

func pluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Look at plugins of your own, as WebAssembly: losses, transforms of data, policies that compress weights, gradient codecs",
	}
	cmd.AddCommand(pluginCheckCommand(), pluginNewCommand())
	return cmd
}

func pluginCheckCommand() *cobra.Command {
	o, memory := gsc.PluginOptions{}, ""
	cmd := &cobra.Command{
		Use:   "check FILE.wasm",
		Short: "Hold a plugin to its contract",
		Long: `Check loads a module as training does, and holds it to the contract of plugins (package plugins/abi): its manifest and parameters; that it gives memory and takes care
of it. Of a loss, that its values are finite, the same with and without gradients, the same for a row alone and among others, the same twice and in another instance; and that
its gradients are those of its values, against finite differences. Of a transform, that it takes empty, huge and malformed records, or rows at their limits, and gives the same
twice, in another instance, and however records or rows are cut into batches. Of a compression policy, that what it declares for weights of many names and shapes can be, and that what it decides stays
within that, the same twice and in another instance. Of a gradient codec, that what its codes leave out is within the contraction that its manifest states, for gradients of many
kinds; that with it kept and added to the next, nothing is lost; that codes are the same twice and in another instance; and that it refuses codes that were spoilt, or makes finite numbers of them.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible()
			defer stop()
			var err error
			if memory != "" {
				if o.Limits.MemoryBytes, err = schema.SizeBytes(memory); err != nil {
					return fmt.Errorf("--memory: %w: write it as 16MiB", err)
				}
			}
			switch {
			case o.Limits.MemoryBytes > plugins.MaxMemoryBytes:
				return fmt.Errorf("--memory: %s is more than WebAssembly's pointers reach, 4GiB", memory)
			case o.Limits.Time < 0 || o.Limits.Fuel < 0:
				return errors.New("--time, --fuel: less than nothing")
			}
			o.Print = firstLines(cmd.ErrOrStderr())
			list, err := gsc.CheckPlugin(ctx, args[0], o)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			failed := 0
			for _, f := range list {
				verdict, text := "ok", f.Found
				if f.Err != nil {
					verdict, text = "wrong", f.Err.Error()
					failed++
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", f.Check, verdict, strings.ReplaceAll(text, "\n", "\n\t\t"))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if failed > 0 {
				return fmt.Errorf("%s: %d of %d checks failed", args[0], failed, len(list))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Params, "params", "", "the plugin's parameters in `CUE`, such as 'gamma: 2'")
	cmd.Flags().StringVar(&memory, "memory", "", "how much memory an instance may have, such as `16MiB`; empty: as much as in a strategy that says nothing")
	cmd.Flags().Int64Var(&o.Limits.Fuel, "fuel", 0, "how many instructions a call may take; 0: any number")
	cmd.Flags().DurationVar(&o.Limits.Time, "time", 0, "how long a call may take; 0: as long as in a strategy that says nothing")
	return cmd
}

// printedLines is how much of what a plugin prints is shown: it may print the same for each check.
const printedLines = 10

// firstLines shows the first lines of what a plugin prints.
func firstLines(w io.Writer) func(line string) {
	shown := 0
	return func(line string) {
		if shown++; shown <= printedLines {
			fmt.Fprintln(w, line)
		} else if shown == printedLines+1 {
			fmt.Fprintln(w, "(it prints more)")
		}
	}
}
