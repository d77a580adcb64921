package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
)

func planCommand() *cobra.Command {
	var o *gsc.Options
	var output, format, weights, trace string
	var candidates int
	cmd := &cobra.Command{
		Use:   "plan STRATEGY|PLAN",
		Short: "Show what a run will do, without running it",
		Long: `Plan compiles a strategy and shows the plan: a summary, or with --format text or json all of it.
With -o the plan itself is written to a file that gsc train takes.
With --candidates it shows what was weighed up where the strategy leaves parallel open ("auto"): the best are planned,
and the others priced by what one of their layers takes; each is compared with the one that is taken by the same.
With --weights it is the plan that gsc generate follows with weights of that kind.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("candidates") {
				return writeCandidates(cmd.OutOrStdout(), args[0], *o, candidates)
			}
			p, err := planOf(args[0], *o)
			if err == nil && weights != "" {
				p, err = gsc.GenerationPlan(p, weights, *o)
			}
			if err == nil && trace != "" {
				err = saveTimeline(trace, args[0], p, *o)
			}
			if err != nil {
				return err
			}
			if output == "" {
				return writePlan(cmd.OutOrStdout(), p, format)
			}
			if !cmd.Flags().Changed("format") {
				format = "text"
			}
			return savePlan(output, p, format)
		},
	}
	o = strategyFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the plan to `FILE`")
	cmd.Flags().StringVar(&format, "format", "summary", "`FORM` of the plan: summary, text or json")
	cmd.Flags().StringVar(&weights, "weights", "", "show the plan of generation with this `KIND` of weights: trained or int8")
	cmd.Flags().StringVar(&trace, "timeline", "", "write the predicted step to `FILE`, for viewers of traces (Perfetto, chrome://tracing)")
	cmd.Flags().IntVar(&candidates, "candidates", 0, "show the best `N` ways to share the work out that were looked at, and why each lost")
	cmd.AddCommand(planDiffCommand())
	return cmd
}

// planOf compiles a strategy, or reads a plan.
func planOf(path string, o gsc.Options) (*plan.Plan, error) {
	if gsc.IsPlan(path) {
		return gsc.ReadPlan(path, o)
	}
	return gsc.Plan(path, o)
}

func writePlan(w io.Writer, p *plan.Plan, format string) (err error) {
	switch format {
	case "summary":
		_, err = io.WriteString(w, p.Summary())
	case "text":
		_, err = w.Write(p.Text())
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		err = e.Encode(p)
	default:
		err = fmt.Errorf("--format %s: use summary, text or json", format)
	}
	return err
}

// writeCandidates shows the first few candidates, the one that is taken first.
func writeCandidates(w io.Writer, path string, o gsc.Options, n int) error {
	if n < 1 {
		return fmt.Errorf("--candidates %d: use 1 or more", n)
	}
	if gsc.IsPlan(path) {
		return fmt.Errorf("%s is a plan, in which all is chosen: --candidates takes a strategy", path)
	}
	list, err := gsc.Candidates(path, o)
	if err != nil {
		return err
	}
	lines := [][]string{{"candidates", "micro-batches", "recompute", "a step", "memory", "by", "why"}}
	for i := range list[:min(n, len(list))] {
		c := &list[i]
		step, memory, by := "", "", ""
		if c.Priced() {
			step, memory, by = plan.FormatSeconds(c.StepSeconds), plan.FormatBytes(c.PeakBytes), "layers" // what one of them takes
		}
		if c.Planned {
			by = "plan"
		}
		lines = append(lines, []string{"  " + c.Form(), fmt.Sprint(c.MicroBatches), c.Recompute, step, memory, by, c.Why})
	}
	_, err = fmt.Fprintf(w, "%s%d of %d\n", plan.Columns(lines), min(n, len(list)), len(list))
	return err
}

// savePlan replaces the file only when all of the plan is written.
func savePlan(path string, p *plan.Plan, format string) error {
	var b strings.Builder
	if err := writePlan(&b, p, format); err != nil {
		return err
	}
	return writeFile(path, b.String())
}

// saveTimeline replaces the file only when all of the timeline is written.
func saveTimeline(path, given string, p *plan.Plan, o gsc.Options) error {
	var b strings.Builder
	if err := gsc.PredictedTimeline(&b, given, p, o); err != nil {
		return err
	}
	return writeFile(path, b.String())
}

func planDiffCommand() *cobra.Command {
	var o *gsc.Options
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show what differs between two plans or strategies",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := planOf(args[0], *o)
			if err != nil {
				return err
			}
			b, err := planOf(args[1], *o)
			if err != nil {
				return err
			}
			diff := plan.Diff(a, b)
			fmt.Fprint(cmd.OutOrStdout(), diff)
			if diff != "" {
				return errQuiet
			}
			fmt.Fprintln(os.Stderr, "the plans are equal")
			return nil
		},
	}
	o = strategyFlags(cmd)
	return cmd
}
