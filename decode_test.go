package gsc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/cpu"
	"github.com/gsc-project/gsc/runtime"
)

// BenchmarkDecode generates with GPT-2 124M, sentences of 128 tokens, one at a time. Beside the tokens a second it gives the rate
// at which weights are read, and its share of what memory gives; all are medians.
func BenchmarkDecode(b *testing.B) {
	const threads = 2
	trained := planOf(b, write(b, `schema.#GPT2 & {layers: 12, heads: 12, width: 768, context: 1024, vocabulary: 50257}`, stream))
	for _, weights := range []string{gsc.WeightsTrained, gsc.WeightsInt8} {
		for _, sampling := range []runtime.Sampling{{}, {Temperature: 0.8, Seed: 1}, {Temperature: 0.8, TopK: 40, Seed: 1}} {
			b.Run(fmt.Sprintf("%s/temperature=%v,top-k=%d", weights, sampling.Temperature, sampling.TopK), func(b *testing.B) {
				p, err := gsc.GenerationPlan(trained, weights, gsc.Options{Threads: threads})
				if err != nil {
					b.Fatal(err)
				}
				g, err := runtime.NewGenerator(startMachine(b, p, threads))
				if err != nil {
					b.Fatal(err)
				}
				benchmarkSentences(b, g, sampling, float64(weightBytes(p)), threads)
			})
		}
	}
}

// benchmarkSentences reads memory before and after every few tokens, since others may share its bandwidth.
func benchmarkSentences(b *testing.B, g *runtime.Generator, sampling runtime.Sampling, tokenBytes float64, threads int) {
	const length, each = 128, 16
	meter, err := cpu.OpenBandwidthMeter(threads)
	if err != nil {
		b.Fatal(err)
	}
	defer meter.Close()
	var speeds, shares []float64
	for b.Loop() {
		if err := g.Prompt([]int32{50256}); err != nil {
			b.Fatal(err)
		}
		done, before, start := 0, meter.Pass(), time.Now()
		err := g.Generate(length, sampling, func(int32) bool {
			if done++; done%each == 0 {
				speed := each / time.Since(start).Seconds()
				after := meter.Pass()
				speeds, shares = append(speeds, speed), append(shares, speed*tokenBytes/((before+after)/2))
				before, start = after, time.Now()
			}
			return true
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(median(speeds), "tokens/s")
	b.ReportMetric(median(speeds)*tokenBytes/1e9, "GB/s")
	b.ReportMetric(100*median(shares), "%read")
	b.ReportMetric(0, "ns/op")
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
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

// bindMachine binds a plan.
func bindMachine(t testing.TB, p *plan.Plan, threads int) *runtime.Machine {
	t.Helper()
	device, err := gsc.NewDevice(p.Device, threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	m, err := runtime.Bind(p, device, runtime.Rank{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// startMachine binds a plan and gives its weights their starting values.
func startMachine(t testing.TB, p *plan.Plan, threads int) *runtime.Machine {
	t.Helper()
	m := bindMachine(t, p, threads)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	return m
}
