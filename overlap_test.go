package gsc_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gsc-project/gsc/collectives"
	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler/plan"
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
