package gsc

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gsc-project/gsc/compiler/plan"
)

// benchRows are the tables that [Benchmark.Text] can show.
var benchRows = []string{"operation", "instruction", "program"}

// CheckBenchRows refuses a table that there is not.
func CheckBenchRows(by string) error {
	if slices.Contains(benchRows, by) {
		return nil
	}
	return fmt.Errorf("--by %s: use %s", by, strings.Join(benchRows, ", "))
}

// maxBenchRows is how many instructions the table lists; the others share a row.
const maxBenchRows = 40

// Text is the benchmark for a terminal, its table by operation, instruction or program.
func (b *Benchmark) Text(by string) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range b.head() {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	w.Flush()
	out.WriteString("\n" + b.rowsText(by))
	return out.String()
}

func (b *Benchmark) head() [][2]string {
	step, tokens := "step", float64(b.TokensPerStep)/b.Median
	if b.Mode == "generate" {
		step = "token"
	}
	rows := [][2]string{
		{"bench", fmt.Sprintf("%s, %s, on %s with %s", b.Name, b.Mode, b.Device, plural(b.Threads, "thread"))},
		{step, fmt.Sprintf("%s median, %s to %s in %d", plan.FormatSeconds(b.Median), plan.FormatSeconds(slices.Min(b.Steps)), plan.FormatSeconds(slices.Max(b.Steps)), len(b.Steps))},
		{"predicted", fmt.Sprintf("%s by profile %s, %.2f of measured", plan.FormatSeconds(b.Predicted), b.Profile, b.Predicted/b.Median)},
		{"speed", fmt.Sprintf("%s tokens/s", plan.FormatCount(tokens))},
		{"model", b.rate("%sFLOP/s", b.ModelFlops, b.PeakFlops) + ", counted as 6·N a token and attention 12·L·C·T"},
		{"arithmetic", b.rate("%sFLOP/s", b.PlanFlops, b.PeakFlops) + ", all operations of the plan"},
	}
	if b.Mode == "generate" {
		rows[4][1] = b.rate("%sFLOP/s", b.ModelFlops, b.PeakFlops) + ", counted as 2·N a token and attention 4·L·C·T"
		rows = append(rows, [2]string{"weights", b.rate("%sB/s", float64(b.WeightBytes), b.ReadBytesPerSecond) + fmt.Sprintf(", %s read a token", plan.FormatBytes(b.WeightBytes))})
	}
	return append(rows,
		[2]string{"ceilings", fmt.Sprintf("%sFLOP/s in registers (%s sustained), %sB/s read from memory, measured in this run",
			plan.FormatCount(b.PeakFlops), plan.FormatCount(b.SustainedFlops), plan.FormatCount(b.ReadBytesPerSecond))},
		[2]string{"memory", fmt.Sprintf("%s predicted, %s measured", plan.FormatBytes(b.PredictedRSSBytes), plan.FormatBytes(b.RSSBytes))},
		[2]string{"clocks", fmt.Sprintf("%+.1f %% on a step, not in the times above", 100*(b.Clocked/b.Median-1))})
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// rate is an amount of a step as a rate, with its share of a ceiling where there is one.
func (b *Benchmark) rate(format string, amount, ceiling float64) string {
	text := fmt.Sprintf(format, plan.FormatCount(amount/b.Median))
	if ceiling > 0 {
		text += fmt.Sprintf(", %.1f %% of the ceiling", 100*amount/b.Median/ceiling)
	}
	return text
}

// rowsText is the table.
func (b *Benchmark) rowsText(by string) string {
	rows := b.Operations
	switch by {
	case "instruction":
		rows = b.Instructions
	case "program":
		rows = grouped(b.Instructions, func(r BenchRow) BenchRow { return BenchRow{Op: r.Program} })
	}
	total := 0.0
	for _, r := range rows {
		total += r.Seconds
	}
	lines := [][]string{{by, "calls", "time", "share", "rate", "of ceiling", "predicted", "ratio"}}
	if n := maxBenchRows; len(rows) > n {
		rest := grouped(rows[n:], func(BenchRow) BenchRow { return BenchRow{Op: "others"} })
		rows = append(slices.Clone(rows[:n]), rest...)
	}
	for _, r := range rows {
		lines = append(lines, b.words(r))
	}
	lines = append(lines, []string{"  between them", "", plan.FormatSeconds(b.Clocked - total), share(b.Clocked-total, b.Clocked), "", "", "", ""})
	return plan.Columns(lines)
}

// words are the cells of a row; the rate is that of arithmetic or of memory, whichever is nearer to its ceiling.
func (b *Benchmark) words(r BenchRow) []string {
	name := strings.TrimSpace(r.Op + " " + r.Shape)
	if r.Name != "" {
		name = strings.TrimSpace(r.Name + " " + r.Shape)
	}
	rate, of := "·", "·"
	flops, bytes := r.Flops/r.Seconds, float64(r.Bytes)/r.Seconds
	if b.PeakFlops > 0 && b.ReadBytesPerSecond > 0 {
		arithmetic := flops/b.PeakFlops >= bytes/b.ReadBytesPerSecond
		if arithmetic {
			rate, of = plan.FormatCount(flops)+"FLOP/s", share(flops, b.PeakFlops)
		} else {
			rate, of = plan.FormatCount(bytes)+"B/s", share(bytes, b.ReadBytesPerSecond)
		}
	}
	ratio := "·"
	if v := r.Predicted / r.Seconds; r.Seconds > 0 && !math.IsNaN(v) {
		ratio = fmt.Sprintf("%.2f", v)
	}
	return []string{"  " + name, fmt.Sprint(r.Calls), plan.FormatSeconds(r.Seconds), share(r.Seconds, b.Clocked), rate, of, plan.FormatSeconds(r.Predicted), ratio}
}

func share(part, whole float64) string { return fmt.Sprintf("%.1f %%", 100*part/whole) }
