package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gsc-project/gsc/kernels"
)

// Summary answers what a user asks before a run: what is trained on what, how
// much memory, arithmetic and time that takes, and what was chosen. The plan must have passed Verify.
func (p *Plan) Summary() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	parts := [][][2]string{p.modelRows(), p.dataRows(), p.runRows()}
	if !p.Trains() {
		parts = [][][2]string{p.modelRows(), p.tokenRows()}
	}
	for _, part := range parts {
		for _, row := range part {
			fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
	w.Flush()
	b.WriteString(p.stageTable())
	b.WriteString(p.memoryTable())
	b.WriteString(p.trafficTables())
	b.WriteString(p.operationTable())
	b.WriteString(p.choiceList())
	return b.String()
}

func (p *Plan) modelRows() [][2]string {
	e := &p.Estimate
	model := fmt.Sprintf("%s (%s), vocabulary %d, context %d", p.Model.Architecture, p.Model.Task, p.Model.Vocabulary, p.Model.Context)
	if p.Model.Task != "causal" {
		model += fmt.Sprintf(", %d outputs", p.Model.Outputs)
	}
	if p.Model.From != "" {
		model += ", from " + p.Model.From
	}
	parameters := FormatCount(float64(e.Parameters)) + ", all trained"
	if !p.Trains() {
		parameters = FormatCount(float64(e.Parameters)) + p.weightBrief()
	} else if frozen := e.Parameters - e.Trained; frozen != 0 {
		parameters = fmt.Sprintf("%s: %s trained, %s frozen", FormatCount(float64(e.Parameters)), FormatCount(float64(e.Trained)), FormatCount(float64(frozen)))
	}
	return [][2]string{
		{"plan", p.Name + ", digest " + p.Digest()[:12]},
		{"device", p.Device + ", profile " + e.Profile + p.meshBrief()},
		{"model", model},
		{"parameters", parameters},
	}
}

// meshBrief says what ranks there are, where there are several.
func (p *Plan) meshBrief() string {
	if len(p.Mesh) == 0 {
		return ""
	}
	text := fmt.Sprintf(", %d ranks: %s", p.Ranks(), strings.Trim(axes(p.Mesh), "[]"))
	if n := p.Estimate.RanksPerNode; n > 0 && p.Ranks() > n {
		text += fmt.Sprintf("; %d on a node", n)
	}
	return text
}

// weightBrief says what types weights are kept in.
func (p *Plan) weightBrief() string {
	counts := map[kernels.DType]int{}
	for i := range p.Tensors {
		counts[p.Tensors[i].DType] += kernels.Elements(p.Tensors[i].Shape())
	}
	var words []string
	for _, t := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%s as %v", FormatCount(float64(counts[t])), t))
	}
	return ", kept " + strings.Join(words, ", ")
}

// tokenRows say what a token costs where there is only generation.
func (p *Plan) tokenRows() [][2]string {
	st := &p.Stages[0]
	bytes := int64(0)
	for _, c := range st.Schedule(Decode, 0).Calls {
		program := st.Program(c.Program)
		for i := range program.Instructions {
			in := &program.Instructions[i]
			bytes += kernels.TrafficBytes(in.Op, in.Attrs, st.Tensors(in))
		}
	}
	e := &p.Estimate
	return [][2]string{
		{"arithmetic", fmt.Sprintf("%sFLOP a token", FormatCount(e.FlopsPerToken))},
		{"traffic", fmt.Sprintf("%s of memory a token, with a full cache", FormatBytes(bytes))},
		{"time", fmt.Sprintf("%s a token, by estimate", FormatSeconds(e.StepSeconds))},
	}
}

func (p *Plan) dataRows() [][2]string {
	d := &p.Data
	source := []string{d.Format}
	if d.Tokenizer != "" && d.Tokenizer != "none" {
		source = append(source, d.Tokenizer)
	}
	rows := [][2]string{{"data", fmt.Sprintf("%s: %s", strings.Join(source, ", "), brief(d.Train))},
		{"rows", fmt.Sprintf("%s, %s, %d tokens%s", d.Rows, d.Order, d.Length, bucketNote(d.Buckets))}}
	files := map[string]int{}
	for _, f := range d.Files {
		files[f.Split]++
	}
	for _, s := range []struct {
		name  string
		count Count
	}{{"train", d.Splits.Train}, {"validation", d.Splits.Validation}, {"test", d.Splits.Test}} {
		if s.count == (Count{}) {
			continue
		}
		n := files[s.name] + files["all"]
		rows = append(rows, [2]string{"  " + s.name, fmt.Sprintf("%s, %s tokens in %s rows", plural(n, "file"), FormatCount(float64(s.count.Tokens)), FormatCount(float64(s.count.Rows)))})
	}
	rows = append(rows, p.transformRows()...)
	for _, note := range d.Notes {
		rows = append(rows, [2]string{"  note", note})
	}
	return rows
}

// brief lists a few words.
func brief(list []string) string {
	const most = 3
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

func bucketNote(buckets []int) string {
	if len(buckets) < 2 {
		return ""
	}
	return fmt.Sprintf(" at most, in buckets %s", strings.Trim(fmt.Sprint(buckets), "[]"))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func (p *Plan) runRows() [][2]string {
	t, e := &p.Training, &p.Estimate
	batch := fmt.Sprintf("%s × %d tokens = %s tokens a step", plural(t.Sequences, "sequence"), p.Data.Length, FormatCount(float64(e.TokensPerStep)))
	if t.MicroBatches > 1 {
		batch += fmt.Sprintf(", in %d micro-batches of %d", t.MicroBatches, t.Sequences/t.MicroBatches)
	}
	run := fmt.Sprintf("%d steps, %s tokens", t.Steps, FormatCount(float64(t.Steps)*float64(e.TokensPerStep)))
	if rows := p.Data.Splits.Train.Rows; rows > 0 {
		run += fmt.Sprintf(", %s epochs", FormatCount(float64(t.Steps)*float64(t.Sequences)/float64(rows)))
	}
	step := FormatSeconds(e.StepSeconds) + " a step"
	if waits := e.ExposedSeconds + e.BubbleSeconds; waits > 0 {
		step += fmt.Sprintf(" (%.0f %% of it waiting for other ranks)", 100*waits/e.StepSeconds)
	}
	if t.Uncoded > 0 {
		step += fmt.Sprintf(", %s for each of the first %d", FormatSeconds(e.UncodedSeconds), t.Uncoded)
	}
	rows := append(append(p.pluginRows(), p.compressionRows()...), [][2]string{
		{"batch", batch},
		{"run", run},
		{"rate", t.Rate.brief()},
		{"update", p.updateBrief()},
	}...)
	rows = append(rows, p.codecRows()...)
	rows = append(rows, [][2]string{
		{"arithmetic", fmt.Sprintf("%sFLOP a token, %sFLOP a step", FormatCount(e.FlopsPerToken), FormatCount(e.FlopsPerStep))},
		{"time", fmt.Sprintf("%s, %s for the run, by estimate", step, FormatSeconds(e.RunSeconds(t)))},
	}...)
	if e.PeakFlops > 0 {
		rows = append(rows, [2]string{"  of a rank", p.timeBrief()}, [2]string{"utilisation", p.utilisationBrief()})
	}
	return rows
}

// timeBrief says what a step's time is made of.
func (p *Plan) timeBrief() string {
	e := &p.Estimate
	text := FormatSeconds(e.StepSeconds-e.ExposedSeconds-e.BubbleSeconds) + " computing"
	if p.Ranks() > 1 {
		text += fmt.Sprintf(", %s in collectives that nothing is computed beside", FormatSeconds(e.ExposedSeconds))
	}
	if e.BubbleSeconds > 0 {
		text += fmt.Sprintf(", %s idle (%.1f %%)", FormatSeconds(e.BubbleSeconds), 100*e.BubbleSeconds/e.StepSeconds)
	}
	return text
}

// utilisationBrief is the share of the peak that the model's own arithmetic reaches.
func (p *Plan) utilisationBrief() string {
	e := &p.Estimate
	share := e.Utilisation(p.Ranks())
	return fmt.Sprintf("%.1f %%: %sFLOP/s of %sFLOP/s a rank, for %sFLOP a step: 6 a trained parameter and token, and attention", 100*share, FormatCount(share*e.PeakFlops), FormatCount(e.PeakFlops), FormatCount(e.ModelFlops))
}

func (r *Rate) brief() string {
	text := fmt.Sprintf("%s, peak %g", r.Kind, r.Peak)
	if r.Floor != 0 {
		text += fmt.Sprintf(", floor %g", r.Floor)
	}
	if r.Warmup > 0 {
		text += fmt.Sprintf(", warm-up %d steps", r.Warmup)
	}
	return text
}

// updateBrief names the operations that write weights, and how gradients are clipped.
func (p *Plan) updateBrief() string {
	var ops []string
	clip := ""
	for s := range p.Stages {
		st := &p.Stages[s]
		for i := range st.Programs {
			for j := range st.Programs[i].Instructions {
				in := &st.Programs[i].Instructions[j]
				if in.Op == kernels.ClipFactor && in.Attrs.MaxNorm > 0 {
					clip = fmt.Sprintf(", gradients clipped to norm %g", in.Attrs.MaxNorm)
				}
				if op := in.Op.String(); st.updates(in) && !slices.Contains(ops, op) {
					ops = append(ops, op)
				}
			}
		}
	}
	return strings.Join(ops, ", ") + clip
}

// updates says whether an instruction computes new weights.
func (s *Stage) updates(in *Instruction) bool {
	if kernels.Contracts[in.Op].Collective || slices.Contains([]kernels.Op{kernels.Round, kernels.Copy, kernels.ApplyMask, kernels.FakeQuantize}, in.Op) {
		return false
	}
	for k, o := range in.Operands {
		if o.Buffer >= 0 && (s.Buffers[o.Buffer].Class == Weight || operandName(in, k) == "weight") && role(in, k).Writes() {
			return true
		}
	}
	return false
}

// classWords are what the summary calls the classes.
var classWords = map[Class]string{
	Weight: "weights", Taught: "teacher", Gradient: "gradients", State: "optimizer", Activation: "activations", Workspace: "workspace",
	Input: "inputs", ScalarKind: "scalars", Cache: "cache", Transfer: "transfers",
}

// memoryTable lists the peak by class.
func (p *Plan) memoryTable() string {
	m := p.Memory()
	var b strings.Builder
	b.WriteString("\nmemory at its peak" + p.ofStage(m.Stage) + "\n")
	rows := [][2]string{}
	for _, c := range m.Classes {
		rows = append(rows, [2]string{classWords[c.Class], FormatBytes(c.SizeBytes)})
	}
	if m.UnusedBytes > 0 {
		rows = append(rows, [2]string{"gaps", FormatBytes(m.UnusedBytes)})
	}
	for _, a := range m.OtherArenas {
		rows = append(rows, [2]string{a.Space.String() + " arena", FormatBytes(a.SizeBytes)})
	}
	for _, r := range m.Reserved {
		if r.SizeBytes > 0 {
			rows = append(rows, [2]string{r.For, FormatBytes(r.SizeBytes)})
		}
	}
	rows = append(rows, [2]string{"total", FormatBytes(m.TotalBytes)})
	if n := p.Ranks(); n > 1 && !kernels.Kinds[p.Device].Separate {
		rows = append(rows, [2]string{fmt.Sprintf("a process of %d ranks", n), FormatBytes(p.ProcessBytes())})
	}
	if has := p.Estimate.MemoryBytes; has > 0 {
		rows = append(rows, [2]string{"device has", fmt.Sprintf("%s (%.0f %%)", FormatBytes(has), 100*float64(m.TotalBytes)/float64(has))})
	}
	if m.HostBytes > 0 {
		rows = append(rows, [2]string{"host, a rank", FormatBytes(m.HostBytes)})
	}
	table(&b, rows)
	if m.Program != "" {
		fmt.Fprintf(&b, "  in %s at %s; the largest of %d buffers: %s\n", m.Program, m.Name, m.LargestCount, heldList(m.Largest))
	}
	return b.String()
}

// ofStage names a stage, where there are several.
func (p *Plan) ofStage(stage int) string {
	switch {
	case p.Ranks() < 2:
		return ""
	case len(p.Stages) < 2:
		return ", of a rank"
	}
	return fmt.Sprintf(", of a rank of stage %d", stage)
}

// stageTable says how the stages share the work out.
func (p *Plan) stageTable() string {
	if len(p.Stages) < 2 {
		return ""
	}
	flops, weights, all := make([]float64, len(p.Stages)), make([]int64, len(p.Stages)), 0.0
	for i := range p.Stages {
		flops[i] = p.Stages[i].stepFlops(p.Data.Length)
		all += flops[i]
	}
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Class == Weight {
			weights[t.Stage] += int64(kernels.Elements(t.Shape()))
		}
	}
	lines := [][]string{{"stages", "parameters", "of a step's FLOP", "micro-batches under way", "memory of a rank"}}
	for i := range p.Stages {
		s := &p.Stages[i]
		peak := p.PeakBytes()
		for _, a := range p.Arenas {
			peak += p.ArenaBytes(i, a) - a.SizeBytes
		}
		lines = append(lines, []string{fmt.Sprintf("  %d", i), FormatCount(float64(weights[i])), fmt.Sprintf("%.1f %%", 100*flops[i]/all), fmt.Sprint(s.Slots), FormatBytes(peak)})
	}
	return "\n" + Columns(lines)
}

// stepFlops is the arithmetic of a training step of rows of a length.
func (s *Stage) stepFlops(length int) (total float64) {
	known := map[string]float64{}
	for _, c := range s.Schedule(Train, length).Calls {
		if _, ok := known[c.Program]; !ok {
			program := s.Program(c.Program)
			for i := range program.Instructions {
				known[c.Program] += s.flop(&program.Instructions[i])
			}
		}
		total += known[c.Program]
	}
	return total
}

func heldList(list []Held) string {
	words := make([]string, 0, len(list))
	for _, h := range list[:min(3, len(list))] {
		words = append(words, fmt.Sprintf("%s %s", h.Name, FormatBytes(h.SizeBytes)))
	}
	return strings.Join(words, ", ")
}

// table writes names to the left and values to the right.
func table(b *strings.Builder, rows [][2]string) {
	name, value := 0, 0
	for _, r := range rows {
		name, value = max(name, width(r[0])), max(value, width(r[1]))
	}
	for _, r := range rows {
		fmt.Fprintf(b, "  %s%s  %s%s\n", r[0], spaces(name-width(r[0])), spaces(value-width(r[1])), r[1])
	}
}

func width(s string) int { return len([]rune(s)) }

func spaces(n int) string { return strings.Repeat(" ", n) }

// opRow is what one operation does in each program.
type opRow struct {
	op       kernels.Op
	counts   []int
	stepFlop float64 // of a training step
}

// maxOpRows is how many operations the table names; the others share a row.
const maxOpRows = 12

// operationTable counts the instructions of each operation by program, the
// programs of the longest bucket alone, and gives the share in a training step's arithmetic; where there are stages, those of the first.
func (p *Plan) operationTable() string {
	st := &p.Stages[0]
	columns, calls := p.columns(st)
	rows, total := countOperations(st, columns, calls)
	slices.SortStableFunc(rows, func(a, b opRow) int { return cmp.Compare(b.stepFlop, a.stepFlop) })
	if len(rows) > maxOpRows+1 {
		rest := opRow{counts: make([]int, len(columns))}
		for _, r := range rows[maxOpRows:] {
			rest.stepFlop += r.stepFlop
			for i, n := range r.counts {
				rest.counts[i] += n
			}
		}
		rows = append(rows[:maxOpRows:maxOpRows], rest)
	}
	head := []string{"operations"}
	if len(p.Stages) > 1 {
		head[0] = "operations of stage 0"
	}
	for i, c := range columns {
		head = append(head, c.Name)
		if calls[i] > 1 {
			head[i+1] += fmt.Sprintf(" ×%d", calls[i])
		}
	}
	share := "of a step's FLOP"
	if !p.Trains() {
		share = "of a token's FLOP"
	}
	lines := [][]string{append(head, share)}
	for _, r := range rows {
		lines = append(lines, r.words(total))
	}
	return "\n" + Columns(lines)
}

func (r opRow) words(total float64) []string {
	name := "  others"
	if r.op != kernels.NoOp {
		name = "  " + r.op.String()
	}
	line := []string{name}
	for _, n := range r.counts {
		if n == 0 {
			line = append(line, "·")
		} else {
			line = append(line, fmt.Sprint(n))
		}
	}
	share := "·"
	if r.stepFlop > 0 && total > 0 {
		share = fmt.Sprintf("%.1f %%", 100*r.stepFlop/total)
		if r.stepFlop < 0.0005*total {
			share = "< 0.1 %"
		}
	}
	return append(line, share)
}

// columns are the programs of the longest bucket and of generation, each with how often a training step, or a token where nothing is
// trained, calls it.
func (p *Plan) columns(st *Stage) (programs []*Program, calls []int) {
	unit := Train
	if !p.Trains() {
		unit = Decode
	}
	for _, s := range []*Schedule{st.Schedule(Train, p.Data.Length), st.Schedule(Evaluate, p.Data.Length), st.Schedule(Prefill, 0), st.Schedule(Decode, 0)} {
		if s == nil {
			continue
		}
		for _, c := range s.Calls {
			program := st.Program(c.Program)
			i := slices.Index(programs, program)
			if i < 0 {
				i = len(programs)
				programs, calls = append(programs, program), append(calls, 0)
			}
			if s.Kind == unit {
				calls[i]++
			}
		}
	}
	return programs, calls
}

func countOperations(st *Stage, columns []*Program, calls []int) (rows []opRow, total float64) {
	index := map[kernels.Op]int{}
	for i, program := range columns {
		for j := range program.Instructions {
			in := &program.Instructions[j]
			k, known := index[in.Op]
			if !known {
				k = len(rows)
				index[in.Op] = k
				rows = append(rows, opRow{op: in.Op, counts: make([]int, len(columns))})
			}
			rows[k].counts[i]++
			flop := st.flop(in) * float64(calls[i])
			rows[k].stepFlop += flop
			total += flop
		}
	}
	return rows, total
}

// flop is the floating-point operations of an instruction.
func (s *Stage) flop(in *Instruction) float64 {
	sizes, err := kernels.Check(in.Op, in.Attrs, s.Tensors(in))
	if err != nil {
		return 0 // Verify says so
	}
	return kernels.FlopsOf(in.Op, sizes, in.Attrs)
}

// Columns aligns columns: the first to the left, the others to the right.
func Columns(lines [][]string) string {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, word := range line {
			widths[i] = max(widths[i], width(word))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line[0] + spaces(widths[0]-width(line[0])))
		for i, word := range line[1:] {
			b.WriteString("  " + spaces(widths[i+1]-width(word)) + word)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (p *Plan) choiceList() string {
	if len(p.Choices) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nchosen\n")
	for _, c := range p.Choices {
		fmt.Fprintf(&b, "  %s = %s: %s\n", c.What, c.Value, c.Why)
	}
	return b.String()
}
