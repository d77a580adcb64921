package gsc_test

import (
	"fmt"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/cpu"
	"github.com/gsc-project/gsc/runtime"
)

// BenchmarkDecode generates with GPT-2 124M, sentences of 128 tokens, one at a time. Beside the tokens a second it gives the rate
// at which weights are read, and its share of what memory gives, measured before and after.
func BenchmarkDecode(b *testing.B) {
	const threads = 2
	trained := planOf(b, write(b, `schema.#GPT2 & {layers: 12, heads: 12, width: 768, context: 1024, vocabulary: 50257}`, stream))
	for _, weights := range []string{gsc.WeightsTrained, gsc.WeightsInt8} {
		for _, sampling := range []runtime.Sampling{{}, {Temperature: 0.8, Seed: 1}, {Temperature: 0.8, TopK: 40, Seed: 1}} {
			b.Run(fmt.Sprintf("%s/temperature=%v,top-k=%d", weights, sampling.Temperature, sampling.TopK), func(b *testing.B) {
				p, err := gsc.GenerationPlan(trained, weights, threads)
				if err != nil {
					b.Fatal(err)
				}
				m := startMachine(b, p, threads)
				before := readBandwidth(b, threads)
				g, err := runtime.NewGenerator(m)
				if err != nil {
					b.Fatal(err)
				}
				tokens := 0
				b.ResetTimer()
				for b.Loop() {
					if err := g.Prompt([]int32{50256}); err != nil {
						b.Fatal(err)
					}
					if err := g.Generate(128, sampling, func(int32) bool { return true }); err != nil {
						b.Fatal(err)
					}
					tokens += 128
				}
				perSecond := float64(tokens) / b.Elapsed().Seconds()
				b.StopTimer()
				ceiling := (before + readBandwidth(b, threads)) / 2
				rate := perSecond * float64(weightBytes(p))
				b.ReportMetric(perSecond, "tokens/s")
				b.ReportMetric(rate/1e9, "GB/s")
				b.ReportMetric(100*rate/ceiling, "%read")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// weightBytes is what a token reads of the weights.
func weightBytes(p *plan.Plan) (n int64) {
	st := &p.Stages[0]
	for _, in := range st.Program("decode").Instructions {
		for _, o := range in.Operands {
			if o.Buffer >= 0 && st.Buffers[o.Buffer].Class == plan.Weight && in.Op != kernels.Embedding && in.Op != kernels.EmbeddingInt8 {
				n += st.Buffers[o.Buffer].SizeBytes()
			}
		}
	}
	return n
}

func readBandwidth(b *testing.B, threads int) float64 {
	rate, err := cpu.ReadBandwidth(threads)
	if err != nil {
		b.Fatal(err)
	}
	return rate
}

// startMachine binds a plan and gives its weights their starting values.
func startMachine(t testing.TB, p *plan.Plan, threads int) *runtime.Machine {
	t.Helper()
	device, err := gsc.NewDevice(p.Device, threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	m, err := runtime.Bind(p, device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	return m
}
