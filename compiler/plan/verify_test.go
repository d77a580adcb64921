package plan_test

import (
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

func TestVerifyAdmitsCompiledPlans(t *testing.T) {
	for _, g := range variants() {
		t.Run(g.String(), func(t *testing.T) {
			if err := g.compile(t).Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A second account of what a plan does finds nothing wrong with what the compiler makes, either.
func TestCompiledPlansRunRight(t *testing.T) {
	for _, g := range variants() {
		if g.device == "cpu" && g.microBatches == 2 && (g.buckets == nil || !testing.Short()) {
			if h := harm(g.compile(t), 1); h != "" {
				t.Errorf("%v: %s", g, h)
			}
		}
	}
}

// slotted is the small plan with two micro-batches in flight: what lives between forward and backward has a place for each.
var slotted = []string{
	"stage slots 1", "stage slots 2 bytes 1088",
	"device 2816", "device 3904",
	"[batch 1, seq 4] device @0x700", "[batch 1, seq 4] device @0x700 slotted",
	"[batch 1, seq 4] device @0x740", "[batch 1, seq 4] device @0x740 slotted",
	"device @0x7c0", "device @0x7c0 slotted",
	"[batch 1, seq 4, embed 4] device @0x780", "[batch 1, seq 4, embed 4] device @0x780 slotted",
	"[batch 1, seq 4, heads 1, head 4] device @0x880", "[batch 1, seq 4, heads 1, head 4] device @0x880 slotted",
	"device @0x8c0", "device @0x8c0 slotted",
	"device @0x900", "device @0x900 slotted",
	"[batch 1, seq 4] device @0x980", "[batch 1, seq 4] device @0x980 slotted",
	"device @0x9c0", "device @0x9c0 slotted",
	"[batch 1, seq 4, heads 1, head 4] device @0x980", "[batch 1, seq 4, heads 1, head 4] device @0x980 slotted",
	"[batch 1, seq 4, part 3, heads 1, head 4] device @0xa00", "[batch 1, seq 4, part 3, heads 1, head 4] device @0xa00 slotted",
	"device @0xac0", "device @0xac0 slotted",
	"[batch 1, seq 4, embed 4] device @0x880", "[batch 1, seq 4, embed 4] device @0x880 slotted",
	"  call backward\n  call forward micro_batch 1\n  call backward.add micro_batch 1\n",
	"  call forward micro_batch 1 slot 1\n  call backward\n  call backward.add micro_batch 1 slot 1\n",
}

func TestVerifyFollowsSlots(t *testing.T) {
	p := small(t, slotted...)
	if err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	if h := harm(p, 1); h != "" {
		t.Error(h)
	}
	for _, c := range []struct{ old, new, want string }{
		{"call forward micro_batch 1 slot 1", "call forward micro_batch 1", "program backward.add: instruction 0 (loss.grad): operand logits: %22 logits is read before it is written"},
		{"slots 2 bytes 1088", "slots 2 bytes 960", "%16 tokens is read, but its bytes were reused by"},
		{"device 3904", "device 3008", "do not fit into the arena"},
		{"%18 x activation f32 [batch 1, seq 4, embed 4] device @0x780 slotted", "%18 x activation f32 [batch 1, seq 4, embed 4] device @0x780",
			"%18 x is read for micro-batch 0, but it holds what was written for micro-batch 1"},
		{"%28 attn.grad.workspace workspace u8 [byte 16] device @0xac0 slotted", "%28 attn.grad.workspace workspace u8 [byte 16] device @0xe40",
			"operand dq (%27 d.qkv) overlaps operand workspace (%28 attn.grad.workspace)"},
	} {
		if err := small(t, append(slotted[:len(slotted):len(slotted)], c.old, c.new)...).Verify(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: want %q, got %v", c.new, c.old, c.want, err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	many, deep := gpt2, gpt2
	many.sequences, many.microBatches = 256, 256
	deep.layers, deep.microBatches = 96, 4
	for _, c := range []struct {
		name string
		gpt  gpt
	}{{"tiny", tiny}, {"gpt2-124M", gpt2}, {"gpt2-124M-256-micro-batches", many}, {"96-layers", deep}} {
		p := c.gpt.compile(b)
		instructions := 0
		for _, program := range p.Stages[0].Programs {
			instructions += len(program.Instructions)
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := p.Verify(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(instructions), "instructions")
			b.ReportMetric(float64(len(p.Stages[0].Buffers)), "buffers")
		})
	}
}

func BenchmarkForms(b *testing.B) {
	p := gpt2.compile(b)
	text := p.Text()
	encoded, err := p.JSON()
	if err != nil {
		b.Fatal(err)
	}
	for name, run := range map[string]func() error{
		"Text":      func() error { p.Text(); return nil },
		"ParseText": func() error { _, err := plan.ParseText(text); return err },
		"ParseJSON": func() error { _, err := plan.ParseJSON(encoded); return err },
		"Summary":   func() error { p.Summary(); return nil },
		"Memory":    func() error { p.Memory(); return nil },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
