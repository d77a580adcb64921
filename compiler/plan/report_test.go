package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

// golden holds text against a file in testdata; GSC_UPDATE=1 rewrites the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("GSC_UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s: want:\n%s\ngot:\n%s", path, want, got)
	}
}

func TestSummary(t *testing.T) {
	golden(t, "small.summary", small(t).Summary())
}

func TestSummaryFitsAScreen(t *testing.T) {
	g := gpt2
	g.microBatches = 2
	text := g.compile(t).Summary()
	for _, want := range []string{"124 M", "MFLOP a token", "GFLOP a step", "weights", "gradients", "optimizer", "activations", "workspace", "process", "a step", "matmul"} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary lacks %q", want)
		}
	}
	if lines := strings.Count(text, "\n"); lines > 60 {
		t.Errorf("the summary has %d lines", lines)
	}
}

// The classes and the gaps make up the arena; with what is reserved, they are the plan's peak.
func TestMemoryAddsUp(t *testing.T) {
	for _, g := range variants() {
		p := g.compile(t)
		m := p.Memory()
		sum, total := m.UnusedBytes, m.ArenaBytes
		for _, c := range m.Classes {
			sum += c.SizeBytes
		}
		for _, r := range m.Reserved {
			total += r.SizeBytes
		}
		for _, a := range m.OtherArenas {
			total += a.SizeBytes
		}
		if sum != m.ArenaBytes || m.UnusedBytes < 0 || total != m.TotalBytes || total != p.PeakBytes() {
			t.Errorf("%v: %+v does not add up", g, m)
		}
	}
}

func TestMemoryOfSmall(t *testing.T) {
	// At attn.grad of the second micro-batch: weights 128 + 192, moments twice that, gradients; x, qkv, o, lse; d.o, d.qkv, workspace; tokens; eight scalars.
	want := map[plan.Class]int64{plan.Weight: 320, plan.State: 640, plan.Gradient: 320, plan.Activation: 64 + 192 + 64 + 16,
		plan.Workspace: 64 + 192 + 16, plan.Input: 16, plan.ScalarKind: 64}
	m := small(t).Memory()
	if m.Name != "attn.grad" || m.Program != "backward.add" || len(m.Classes) != len(want) {
		t.Errorf("the peak is %+v", m)
	}
	for _, c := range m.Classes {
		if c.SizeBytes != want[c.Class] {
			t.Errorf("%s: %d bytes, want %d", c.Class, c.SizeBytes, want[c.Class])
		}
	}
}

func TestDiff(t *testing.T) {
	base := small(t)
	if d := plan.Diff(base, small(t)); d != "" {
		t.Errorf("equal plans differ: %s", d)
	}
	for _, c := range []struct {
		name    string
		replace []string
		want    string
	}{
		{"setting", edit("rate.peak: 0.001", "rate.peak: 0.002"), "settings\n  training.rate.peak: 0.001 → 0.002\n"},
		{"left out", edit("  rate.peak: 0.001\n", "  rate.peak: 0.001\n  rate.warmup: 5\n"), "settings\n  training.rate.warmup: 0 → 5\n"},
		{"file", edit(`train 1000 00aa11bb22cc33dd "a b.txt"`, `train 1001 00aa11bb22cc33de "a b.txt"`),
			"files\n  a b.txt: size: 1000 → 1001, digest: 00aa11bb22cc33dd → 00aa11bb22cc33de\n"},
		{"choice", edit("memory.recompute none", "memory.recompute full"), "choices\n  memory.recompute: value: none → full\n"},
		{"reserve", edit("reserve 4194304 ", "reserve 8388608 "), "memory\n  reserved for kernel scratch: 4.00 MiB → 8.00 MiB (+100.0 %)\n  total: 44.0 MiB → 48.0 MiB (+9.1 %)\n"},
		{"estimate", edit("flops_per_step: 8000", "flops_per_step: 9000"), "estimate\n  flops_per_step: 8000 → 9000 (+12.5 %)\n"},
		{"tensor", edit("init normal std=0.02 from small.cue:2:3", "init normal std=0.01 frozen from small.cue:2:3"),
			"tensors\n  table: init: {normal 0 0.02 0} → {normal 0 0.01 0}, frozen: false → true\n"},
		{"place", edit("device 2816", "device 3072", "@0xac0", "@0xb00"),
			"memory\n  device arena: 2.75 KiB → 3.00 KiB (+9.1 %)\n  total: 46140160 B → 46140416 B (+0.0 %)\nbuffers\n  1 buffer at other offsets\n"},
		{"attribute", edit("epsilon=1e-08", "epsilon=1e-06"), "program update\n  adamw table, adamw w: epsilon: 1e-08 → 1e-06\n"},
		{"operand", edit("a=%33[1,4] b=%9[4,12]", "a=%33[1,4] b=%12[4,12]"), "program decode\n  matmul qkv: b: w → w.m\n"},
		{"view", edit("k=%19+4[1,4,1,4]", "k=%19+8[1,4,1,4]"), "program forward\n  attention attn: k: [1,4,1,4]+4/[48,12,4,1] → [1,4,1,4]+8/[48,12,4,1]\n" +
			"program backward\n  attention_grad attn.grad: k: [1,4,1,4]+4/[48,12,4,1] → [1,4,1,4]+8/[48,12,4,1]\n" +
			"program backward.add\n  attention_grad attn.grad: k: [1,4,1,4]+4/[48,12,4,1] → [1,4,1,4]+8/[48,12,4,1]\n" +
			"program evaluate\n  attention attn: k: [1,4,1,4]+4/[48,12,4,1] → [1,4,1,4]+8/[48,12,4,1]\n"},
		{"instruction", edit("  sum_squares norm.w x=%15 total=%30 {accumulate} from small.cue:7:3\n", ""), "program update\n  - sum_squares norm.w\n"},
		{"predicate", edit("if %4 from", "from"), "program update\n  adamw table, adamw w: if: finite → always\n"},
		{"stream", edit("c=%39[1,8] {trans_b} from", "c=%39[1,8] {trans_b} stream 1 from"), "program decode\n  matmul head: stream: 0 → 1\n"},
		{"schedule", edit("  call decode", "  call decode\n  call decode"), "schedules\n  schedule decode: 1 call → 2 calls\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := plan.Diff(base, small(t, c.replace...)); got != c.want {
				t.Errorf("got:\n%swant:\n%s", got, c.want)
			}
		})
	}
}

// Numbering alone is a difference, too.
func TestDiffOfNumbering(t *testing.T) {
	p := small(t)
	p.Tensors[0], p.Tensors[1] = p.Tensors[1], p.Tensors[0]
	if d := plan.Diff(small(t), p); !strings.HasPrefix(d, "numbering\n") {
		t.Errorf("got %q", d)
	}
}

// What repeats shares a line: a larger batch changes every instruction of GPT-2.
func TestDiffIsShort(t *testing.T) {
	wide, deep := gpt2, gpt2
	wide.sequences, deep.layers = 8, 24
	base := gpt2.compile(t)
	for _, g := range []gpt{wide, deep} {
		if d := plan.Diff(base, g.compile(t)); d == "" || strings.Count(d, "\n") > 90 {
			t.Errorf("the difference has %d lines:\n%s", strings.Count(d, "\n"), d)
		}
	}
}

func TestUnits(t *testing.T) {
	for want, got := range map[string]string{
		"1023 B": plan.FormatBytes(1023), "1.00 KiB": plan.FormatBytes(1024), "0.98 MiB": plan.FormatBytes(1 << 20 * 98 / 100), "1.50 GiB": plan.FormatBytes(3 << 29),
		"999 B": plan.FormatBytes(999), "-5 B": plan.FormatBytes(-5),
		"7": plan.FormatCount(7), "1.00 k": plan.FormatCount(999.6), "124 M": plan.FormatCount(124439808), "2.05 G": plan.FormatCount(2.05e9),
		"839 µs": plan.FormatSeconds(839e-6), "59.9 s": plan.FormatSeconds(59.94), "1 min": plan.FormatSeconds(60), "4 min 10 s": plan.FormatSeconds(250),
		"2 h 5 min": plan.FormatSeconds(7500), "3 d 4 h": plan.FormatSeconds(76 * 3600), "3.17 k years": plan.FormatSeconds(1e11), "-9.42 ms": plan.FormatSeconds(-9.42e-3), "0 ns": plan.FormatSeconds(0),
	} {
		if want != got {
			t.Errorf("want %s, got %s", want, got)
		}
	}
}
