package main

// row is one piece of work that gsc and a peer do by turns.
type row struct {
	name string
	work string
	must string // what it must reach; empty: it is shown for information
	run  func(*session, row) ([]line, error)
}

// rows is the table of contents.
var rows []row

// The rows ask for the list of rows when they run, hence the assignment here.
func init() {
	rows = []row{
		{"sgemm", "matrix products, fp32", "≥ 1.00 × OpenBLAS each, mean share ≥ 88 %", sgemm},
		{"gpt2-t256", "GPT-2 124M step, 4 × 256 tokens, fp32", "≥ min(1.25 ×, 84 %)", steps(gpt2(256), 1.25, 0.84)},
		{"gpt2-t64", "GPT-2 124M step, 4 × 64 tokens, fp32", "≥ min(1.20 ×, 80 %)", steps(gpt2(64), 1.2, 0.80)},
		{"char6", "6 layers of 384, 8 × 256 characters, fp32", "≥ min(1.25 ×, 82 %)", steps(char6, 1.25, 0.82)},
		{"bert", "BERT-base token labels, 8 × 128 tokens, fp32", "≥ min(1.20 ×, 84 %)", steps(bert, 1.2, 0.84)},
		{"gpt2-t256-bf16", "GPT-2 124M step, 4 × 256 tokens, bf16", "≥ 1.70 × gsc's fp32", narrowSteps(gpt2(256), 1.7)},
		{"gpt2-t64-bf16", "GPT-2 124M step, 4 × 64 tokens, bf16", "≥ 1.50 × gsc's fp32", narrowSteps(gpt2(64), 1.5)},
		{"char6-bf16", "6 layers of 384, 8 × 256 characters, bf16", "≥ 1.50 × gsc's fp32", narrowSteps(char6, 1.5)},
		{"bert-bf16", "BERT-base token labels, 8 × 128 tokens, bf16", "≥ 1.70 × gsc's fp32", narrowSteps(bert, 1.7)},
		{"plugin", "GPT-2 124M step, 4 × 64 tokens, fp32, the loss a plugin", "≥ 0.93 × gsc's own loss", pluginSteps(gpt2(64), 0.93)},
		{"curve-bf16", "loss of 500 steps, bf16 beside fp32", "within 1 %", curve},
		{"nanogpt", "nanoGPT's small CPU configuration, 2,000 steps", "≤ 0.55 × the peer's time", nanoGPT},
		{"generate-int8", "GPT-2 124M, a token at a time, int8 weights", "≥ 85 % of read bandwidth", generation(0.85, "--weights", "int8")},
		{"generate-f32", "GPT-2 124M, a token at a time, f32 weights", "", generation(0)},
		{"llmc", "llm.c's GPT-2 124M step, 4 × 64 tokens", "≥ 4.00 ×", llmC},
		{"memory-t256", "peak resident set, GPT-2 124M, 4 × 256 tokens", "≤ 0.60 × the peer's", memory(gpt2(256), 0.6)},
		{"memory-t64", "peak resident set, GPT-2 124M, 4 × 64 tokens", "≤ 0.75 × the peer's", memory(gpt2(64), 0.75)},
		{"context", "context 512 to 8,192 at 8,192 tokens a step", "time within 15 %, memory within 5 %", contextScaling},
		{"predicted", "step time by gsc calibrate's profile, never having run the model", "within 10 %", predicted},
	}
}

// line starts a line of the row's.
func (r row) line(unit string) line { return line{Row: r.name, Work: r.work, Must: r.must, Unit: unit} }

// skipped is the line of a row that could not run.
func (r row) skipped(why string) line {
	l := r.line("")
	l.Verdict, l.Note = skipped, why
	return l
}
