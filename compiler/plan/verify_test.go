package plan_test

import "testing"

func TestVerifyAdmitsCompiledPlans(t *testing.T) {
	for _, g := range variants() {
		t.Run(g.String(), func(t *testing.T) {
			if err := g.compile(t).Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	deep := gpt2
	deep.layers, deep.microBatches = 96, 4
	for name, g := range map[string]gpt{"tiny": tiny, "gpt2-124M": gpt2, "96-layers": deep} {
		p := g.compile(b)
		instructions := 0
		for _, program := range p.Stages[0].Programs {
			instructions += len(program.Instructions)
		}
		b.Run(name, func(b *testing.B) {
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
