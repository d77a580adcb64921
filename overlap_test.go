package gsc_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// BenchmarkOverlap trains with ZeRO 3 over a link that needs half as long for what is sent as the processor for what is computed. A step takes
// little longer than without the link, and less than where everything waits for it.
func BenchmarkOverlap(b *testing.B) {
	path := write(b, `schema.#GPT2 & {layers: 6, heads: 6, width: 384, context: 128}`, stream)
	set := []string{"batch.sequences=8", mesh(2), "parallel.zero=3"}
	p := planOf(b, path, set...)
	computed := stepTime(b, p, nil)
	sent := int64(0)
	calls := 0
	for _, t := range p.Traffic(0) {
		sent, calls = sent+t.SentBytes, calls+t.Calls
	}
	link := &collectives.Link{Latency: 10 * time.Microsecond}
	link.BytesPerSecond = float64(sent) / (computed/2 - time.Duration(calls)*link.Latency).Seconds()
	beside, apart := stepTime(b, p, link), stepTime(b, serialised(planOf(b, path, set...)), link)
	measured, expected := exposedTime(b, p, link), expectedExposed(b, p, link)
	b.ReportMetric(measured.Seconds()*1e3, "exposed-ms")
	b.ReportMetric(expected/measured.Seconds(), "exposed-predicted")
	b.ReportMetric(computed.Seconds()*1e3, "computed-ms")
	b.ReportMetric(beside.Seconds()/computed.Seconds(), "of-computed")
	b.ReportMetric(beside.Seconds()/apart.Seconds(), "of-serialised")
	b.ReportMetric(apart.Seconds()/computed.Seconds(), "serialised-of-computed")
}

// serialised is a plan whose collectives everything waits for.
func serialised(p *plan.Plan) *plan.Plan {
	for i := range p.Stages[0].Programs {
		for j := range p.Stages[0].Programs[i].Instructions {
			in := &p.Stages[0].Programs[i].Instructions[j]
			in.Stream, in.Wait, in.Signal = 0, nil, 0
		}
	}
	return p
}

// clocked are the instructions that ranks compute, each with the median of the time that it takes among all steps and ranks, over a link.
func clocked(b *testing.B, p *plan.Plan, link *collectives.Link) (seconds map[string]float64, computed []time.Duration, steps []time.Duration) {
	world := local.NewWorld(p.Ranks(), local.Options{Link: link})
	l := joinLab(b, p, 1, world, world.Group)
	taken := map[string][]float64{}
	for n := range int64(max(7, b.N)) {
		l.check(l.set.Fill(p.Training.Seed, n+1, l.batch))
		l.ranks.Trace(true)
		begin := time.Now()
		if _, err := l.ranks.Train(l.batch, n+1, 1e-3); err != nil {
			b.Fatal(err)
		}
		steps = append(steps, time.Since(begin))
		var all time.Duration
		for _, e := range l.ranks.Trace(false) {
			if e.Axis == "" {
				key := e.Program + " " + e.Name + " " + e.Op
				taken[key], all = append(taken[key], e.Length.Seconds()), all+e.Length
			}
		}
		computed = append(computed, all/time.Duration(p.Ranks()))
	}
	seconds = map[string]float64{}
	for key, list := range taken {
		slices.Sort(list)
		seconds[key] = list[len(list)/2]
	}
	return seconds, computed, steps
}

// exposedTime is the median of what steps take over a link beyond what they compute.
func exposedTime(b *testing.B, p *plan.Plan, link *collectives.Link) time.Duration {
	_, computed, steps := clocked(b, p, link)
	for i := range steps {
		steps[i] -= computed[i]
	}
	slices.Sort(steps)
	return steps[len(steps)/2]
}

// expectedExposed is what the plan's streams leave exposed of the link's time, where instructions take what they do without one.
func expectedExposed(b *testing.B, p *plan.Plan, link *collectives.Link) float64 {
	seconds, _, _ := clocked(b, p, nil)
	st := &p.Stages[0]
	_, exposed := compiler.Play(st, st.Schedule(plan.Train, p.Data.Length), func(c plan.Call) func(i int) float64 {
		program := st.Program(c.Program)
		return func(i int) float64 {
			in := &program.Instructions[i]
			if !kernels.Contracts[in.Op].Collective {
				return seconds[program.Name+" "+in.Name+" "+in.Op.String()]
			}
			took := float64(p.SentBytes(st, in)) / link.BytesPerSecond
			if !in.Joined {
				took += link.Latency.Seconds()
			}
			return took
		}
	}, nil)
	return exposed
}

// stepTime is the median time of a step over a link.
func stepTime(b *testing.B, p *plan.Plan, link *collectives.Link) time.Duration {
	world := local.NewWorld(p.Ranks(), local.Options{Link: link})
	l := joinLab(b, p, 1, world, world.Group)
	var times []time.Duration
	for n := range int64(max(7, b.N)) {
		l.check(l.set.Fill(p.Training.Seed, n+1, l.batch))
		begin := time.Now()
		if _, err := l.ranks.Train(l.batch, n+1, 1e-3); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	return times[len(times)/2]
}
