package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// listing is the instructions of some programs: names, and the operands by the names of their buffers.
func listing(p *plan.Plan, programs ...string) string {
	var b strings.Builder
	stage := &p.Stages[0]
	for _, name := range programs {
		fmt.Fprintf(&b, "%s\n", name)
		program := stage.Program(name)
		for i := range program.Instructions {
			in := &program.Instructions[i]
			fmt.Fprintf(&b, "  %v %s:", in.Op, in.Name)
			for j, o := range in.Operands {
				if o.Buffer >= 0 {
					fmt.Fprintf(&b, " %s=%s", kernels.Contracts[in.Op].Params[j].Name, stage.Buffers[o.Buffer].Name)
				}
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// golden holds text against a file in testdata; GSC_UPDATE=1 rewrites the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("GSC_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; GSC_UPDATE=1 rewrites it:\n%s", path, got)
	}
}

// The programs of a GPT-2 with one layer, with all operations apart, fused, and with the loss in two chunks.
func TestFusedPrograms(t *testing.T) {
	for _, c := range []struct {
		name    string
		unfused bool
		chunks  int
	}{{"apart", true, 1}, {"fused", false, 1}, {"chunked", false, 2}} {
		s, data := gpt2(1, 3, 12, 11, 8)
		s.Compile.Unfused, s.Memory.LossChunks = c.unfused, c.chunks
		p, err := Compile(s, data, Options{Verify: true})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, c.name+".txt", listing(p, "forward", "backward", "evaluate"))
	}
}

// Fusion takes no memory: GPT-2 124M needs no more for it, and less with its logits in chunks where these are its peak.
func TestFusionTakesNoMemory(t *testing.T) {
	arena := func(length int, unfused bool, chunks int) int64 {
		s, data := gpt2(12, 12, 768, 50257, length)
		s.Compile.Unfused, s.Memory.LossChunks = unfused, chunks
		p, err := Compile(s, data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return p.Arenas[0].SizeBytes
	}
	for _, length := range []int{64, 256} {
		if fused, apart := arena(length, false, 1), arena(length, true, 1); fused > apart {
			t.Errorf("4×%d: %d bytes fused, %d apart", length, fused, apart)
		}
	}
	if four, whole := arena(256, false, 4), arena(256, false, 1); four > whole-100<<20 {
		t.Errorf("4×256: %d bytes with four chunks, %d whole", four, whole)
	}
}

// A loss that cannot be cut is an error where the strategy asks for it; chunks are chosen for large logits alone.
func TestChosenChunks(t *testing.T) {
	for _, c := range []struct {
		vocab, length int
		limit         int64
		want          string
	}{{11, 8, 0, "1"}, {50257, 256, 0, "1"}, {50257, 2048, 0, "7"}, {50257, 256, 200 << 20, "4"}} {
		s, data := gpt2(1, 3, 12, c.vocab, c.length)
		s.Memory.LimitBytes, s.Batch.MicroBatches = c.limit, 1
		p, err := Compile(s, data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, choice := range p.Choices {
			if choice.What == "memory.loss_chunks" {
				got = choice.Value
			}
		}
		if got != c.want {
			t.Errorf("vocabulary %d, length %d, limit %d: %q chunks, want %s", c.vocab, c.length, c.limit, got, c.want)
		}
	}
}
