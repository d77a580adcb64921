package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/conformance"
)

func conformanceCommand() *cobra.Command {
	c := &conformanceFlags{}
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Hold gsc, or a device, to the definitions of correct",
		Long:  "Conformance runs every suite that needs no files and prints a table; the exit status is 1 where something fails.",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := conformance.All(c.device, c.threads, c.kernels)
			return c.print(cmd.OutOrStdout(), report, err)
		},
	}
	f := cmd.PersistentFlags()
	f.StringVar(&c.device, "device", "cpu", "device `KIND`: cpu or ref")
	f.IntVar(&c.threads, "threads", 0, "`N` threads; 0: as many as processors")
	f.BoolVar(&c.json, "json", false, "print a report as JSON instead of a table")
	cmd.Flags().IntVar(&c.kernels.CasesPerOp, "cases", 0, "`N` random cases for each operation; 0: the default")
	cmd.AddCommand(c.referenceCommand(), c.kernelsCommand(), c.strategiesCommand(), c.pluginsCommand())
	return cmd
}

type conformanceFlags struct {
	device  string
	threads int
	json    bool
	kernels conformance.KernelOptions
}

func (c *conformanceFlags) referenceCommand() *cobra.Command {
	var strategies, recompute string
	var mesh []string
	cmd := &cobra.Command{
		Use:         "reference FOLDER...",
		Annotations: together,
		Short:       "Run reference cases and compare logits, losses, gradients and weights",
		Args:        atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := conformance.References(args, conformance.ReferenceOptions{
				Device: c.device, Threads: c.threads, Recompute: recompute, Mesh: meshSettings(mesh), WriteStrategy: strategies})
			return c.print(cmd.OutOrStdout(), report, err)
		},
	}
	cmd.Flags().StringVar(&strategies, "write-strategy", "", "keep the strategies the cases are run by in `FOLDER`")
	cmd.Flags().StringSliceVar(&mesh, "mesh", nil, "share each case out as `AXIS=RANKS,…` says, and by zero=STAGE, reduce=each, attention=ring, schedule=gpipe or chunks=2, such as data=2,zero=1; the axes are "+strings.Join(gsc.Axes, ", "))
	cmd.Flags().StringVar(&recompute, "recompute", "none", "memory.recompute of the strategies: none, selective or full")
	return cmd
}

// meshSettings turns AXIS=RANKS, and the names that rows of strategies show of other settings, into settings of a strategy's section parallel.
func meshSettings(list []string) []string {
	var settings []string
	for _, s := range list {
		switch name, value, _ := strings.Cut(s, "="); {
		case slices.Contains(gsc.Axes, name):
			s = "mesh." + s
		case name == "attention", name == "reduce":
			s = fmt.Sprintf("%s=%q", name, value)
		case name == "schedule":
			s = fmt.Sprintf("pipeline.schedule=%q", value)
		case name == "chunks":
			s = "pipeline." + s
		}
		settings = append(settings, s)
	}
	return settings
}

func (c *conformanceFlags) strategiesCommand() *cobra.Command {
	var o conformance.StrategyOptions
	cmd := &cobra.Command{
		Use:   "strategies",
		Short: "Train random models on random meshes, and compare with one rank",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Device, o.Threads = c.device, c.threads
			t := &table{w: cmd.OutOrStdout()}
			if !c.json {
				o.Tell = t.tell
			}
			report, err := conformance.Strategies(o)
			if err != nil || c.json {
				return c.print(cmd.OutOrStdout(), report, err)
			}
			return verdict(report, t.end(report))
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Seeds, "seeds", conformance.DefaultSeeds, "`N` random strategies")
	f.IntVar(&o.First, "first", 1, "the first `SEED`")
	return cmd
}

func (c *conformanceFlags) pluginsCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "plugins [FOLDER...]",
		Annotations: together,
		Short:       "Hold plugins, the examples' where no folder is given, to their contract",
		Args:        atLeast(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible()
			defer stop()
			o := conformance.PluginOptions{Folders: args}
			t := &table{w: cmd.OutOrStdout()}
			if !c.json {
				o.Tell = t.tell
			}
			report, err := conformance.Plugins(ctx, o)
			if err != nil || c.json {
				return c.print(cmd.OutOrStdout(), report, err)
			}
			return verdict(report, t.end(report))
		},
	}
}

func (c *conformanceFlags) kernelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "Compare each operation with ref over random shapes, and each derivative with finite differences",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := conformance.Kernels(c.device, c.threads, c.kernels)
			return c.print(cmd.OutOrStdout(), report, err)
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.kernels.CasesPerOp, "cases", 0, "`N` random cases for each operation; 0: the default")
	f.Int64Var(&c.kernels.Seed, "seed", 1, "`SEED` of the cases")
	f.StringSliceVar(&c.kernels.Ops, "op", nil, "only these `OPERATIONS`")
	return cmd
}

// print writes a report, and makes a failure the exit status.
func (c *conformanceFlags) print(w io.Writer, report conformance.Report, err error) error {
	if err != nil {
		return err
	}
	if c.json {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return verdict(report, e.Encode(report))
	}
	t := &table{w: w}
	for i := range report.Suites {
		s := &report.Suites[i]
		for row := range s.Rows {
			t.tell(s, row)
		}
	}
	return verdict(report, t.end(report))
}

// verdict makes a failure the exit status of a report that was written, or not.
func verdict(report conformance.Report, written error) error {
	if written == nil && report.Failed > 0 {
		return errQuiet
	}
	return written
}
