package compiler

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// allOpen is what parallel: "auto" leaves open.
var allOpen = []string{"mesh.replica", "mesh.data", "mesh.sequence", "mesh.tensor", "mesh.pipeline", "zero", "pipeline.schedule", "pipeline.chunks"}

// seventy is a model of 70·10⁹ parameters as wide and deep as Llama's, on 64 H100.
func seventy() (*schema.Strategy, plan.Data) {
	s, data := gpt2(80, 64, 8192, 32000, 4096)
	s.Batch = schema.Batch{Sequences: 512}
	s.Precision = schema.Precision{Compute: "bf16", Master: "f32", Reduce: "f32"}
	s.Parallel.Open = allOpen
	s.Devices = schema.Devices{Kind: "cuda", Profile: "h100-sxm", Nodes: 8, PerNode: 8}
	return s, data
}

func newSearch(t testing.TB, s *schema.Strategy, data plan.Data, layers int) *search {
	t.Helper()
	u := &unitOfWork{strategy: s, kind: kernels.Kinds[s.Devices.Kind]}
	within, err := u.roomOf()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := u.profile()
	if err != nil {
		t.Fatal(err)
	}
	return &search{strategy: s, data: data, kind: u.kind, profile: profile, room: within, ranks: s.Ranks(), layers: layers, costs: map[costKey]*layerCost{}}
}

// What one layer says of a candidate is what its plan says, as far as the search needs it.
func TestLayersPriceWholePlans(t *testing.T) {
	if testing.Short() {
		t.Skip("plans of 70·10⁹ parameters")
	}
	s, data := seventy()
	x := newSearch(t, s, data, 80)
	list, err := x.enumerate()
	if err != nil {
		t.Fatal(err)
	}
	list = slices.DeleteFunc(list, func(c Candidate) bool {
		return x.overflow(c.PeakBytes) > 0 || c.Parallel.Pipeline.Schedule == "zero_bubble" || c.Parallel.Pipeline.Chunks > 1
	})
	slices.SortStableFunc(list, func(a, b Candidate) int { return int(math.Copysign(1, a.StepSeconds-b.StepSeconds)) })
	for i := 0; i < 80; i += 10 {
		c := list[i]
		if _, err := x.compile(&c); err != nil {
			t.Fatal(err)
		}
		if off := list[i].StepSeconds/c.StepSeconds - 1; math.Abs(off) > 0.1 {
			t.Errorf("%s: a step of %.2f s, planned %.2f", c.Form(), list[i].StepSeconds, c.StepSeconds)
		}
		if off := float64(list[i].PeakBytes)/float64(c.PeakBytes) - 1; math.Abs(off) > 0.15 {
			t.Errorf("%s: %s, planned %s", c.Form(), plan.FormatBytes(list[i].PeakBytes), plan.FormatBytes(c.PeakBytes))
		}
	}
}

// The search takes a few seconds for thousands of candidates, and its plan fits and is sound.
func TestSearchAtScale(t *testing.T) {
	if testing.Short() {
		t.Skip("plans of 70·10⁹ parameters")
	}
	s, data := seventy()
	begun := time.Now()
	p, list, err := Search(s, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	t.Logf("%d candidates in %v: %s", len(list), took, list[0].Form())
	if took > time.Minute { // several times what an idle machine takes
		t.Errorf("it took %v", took)
	}
	if p.PeakBytes() > 80e9 || len(list) < 1000 || p.Ranks() != 64 || list[0].Why != "taken" || p.Estimate.StepSeconds != list[0].StepSeconds {
		t.Errorf("%d candidates, %d ranks, %s, %+v", len(list), p.Ranks(), plan.FormatBytes(p.PeakBytes()), list[0])
	}
}

// Where all candidates are planned, the one that the search takes is among the fastest that fit.
func TestSearchFindsTheFastest(t *testing.T) {
	for _, limit := range []int64{0, 3 << 30} {
		s, data := gpt2(8, 8, 512, 4096, 256)
		s.Batch = schema.Batch{Sequences: 64}
		s.Precision = schema.Precision{Compute: "bf16", Master: "f32", Reduce: "f32"}
		s.Parallel.Open = allOpen
		s.Memory.LimitBytes = limit
		s.Devices = schema.Devices{Kind: "cuda", Profile: "a100-80", PerNode: 4}
		p, list, err := Search(s, data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		x := newSearch(t, s, data, 8)
		best := math.Inf(1)
		for i := range list {
			c := list[i]
			if i%7 != 0 && !c.Planned { // a sample of the others
				continue
			}
			if _, err := x.compile(&c); err != nil {
				t.Fatal(err)
			}
			if limit == 0 || c.PeakBytes <= limit {
				best = min(best, c.StepSeconds)
			}
		}
		if p.Estimate.StepSeconds > 1.05*best || limit > 0 && p.PeakBytes() > limit {
			t.Errorf("limit %d: %s takes %.4g s and %s; another takes %.4g s", limit, list[0].Form(), p.Estimate.StepSeconds, plan.FormatBytes(p.PeakBytes()), best)
		}
	}
}

// With chunks of few layers much of what ZeRO gathers is waited for, and all of it where a layer is one bucket: nothing is computed beside what the first call gathers.
func TestChunksWaitForTheirFirstLayer(t *testing.T) {
	for _, bucket := range []int64{0, 8 << 20} {
		chunksWait(t, bucket)
	}
}

func chunksWait(t *testing.T, bucket int64) {
	t.Helper()
	s, data := gpt2(6, 4, 256, 64, 16)
	s.Batch = schema.Batch{Sequences: 8, MicroBatches: 2}
	s.Memory.Recompute = "none"
	s.Parallel = schema.Parallel{Mesh: schema.Mesh{Pipeline: 2, Data: 2}, Zero: 3, Pipeline: schema.Pipeline{Schedule: "1f1b"}, BucketBytes: bucket, Open: []string{"pipeline.chunks"}}
	s.Devices = schema.Devices{Kind: "cpu", Profile: "host", Threads: 4}
	x := newSearch(t, s, data, 6)
	list, err := x.enumerate()
	if err != nil || len(list) != 3 {
		t.Fatalf("%d candidates, %v", len(list), err)
	}
	for i := range list {
		c := &list[i]
		if _, err := x.compile(c); err != nil {
			t.Fatal(err)
		}
		if priced := c.ByLayer.Exposed / c.Exposed; priced < 0.5 || priced > 2 {
			t.Errorf("buckets of %d bytes, %s: %.3g s of communication by layers, %.3g s in the plan", bucket, c.Form(), c.ByLayer.Exposed, c.Exposed)
		}
	}
}

// Where nodes are joined by little, ZeRO's gathers stay within them.
func TestGroupsStayWithinNodes(t *testing.T) {
	s, data := gpt2(8, 8, 512, 4096, 256)
	s.Batch = schema.Batch{Sequences: 64}
	s.Precision = schema.Precision{Compute: "bf16", Master: "f32", Reduce: "f32"}
	s.Parallel.Open, s.Parallel.Zero = []string{"mesh.data", "mesh.replica"}, 3
	s.Devices = schema.Devices{Kind: "cuda", Profile: "ours", PerNode: 4, Nodes: 4,
		Profiles: map[string]schema.Profile{"ours": {Like: "a100-80", PerNode: 4, Network: schema.Link{Bandwidth: 1e9}}}}
	p, list, err := Search(s, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := list[0].Form(); got != "replica 4, data 4, zero 3" {
		t.Errorf("taken: %s", got)
	}
	for _, sent := range p.Traffic(0, plan.Train) {
		if between := sent.Axis == plan.AxisReplica; between != (sent.Op == kernels.AllReduce) && sent.SentBytes > 1024 {
			t.Errorf("%s along %s: %d bytes", sent.Op, sent.Axis, sent.SentBytes)
		}
	}
}

// What the strategy settles is not searched, and what goes with nothing is refused.
func TestSearchKeepsWhatIsSaid(t *testing.T) {
	s, data := gpt2(4, 4, 64, 256, 32)
	s.Batch = schema.Batch{Sequences: 16, MicroBatches: 4}
	s.Memory.Recompute = "full"
	s.Devices = schema.Devices{Kind: "cpu", Profile: "host", PerNode: 4}
	s.Parallel = schema.Parallel{Mesh: schema.Mesh{Pipeline: 2, Tensor: 1, Sequence: 1}, Pipeline: schema.Pipeline{Schedule: "gpipe", Chunks: 1}, Open: []string{"mesh.data", "zero"}}
	p, list, err := Search(s, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if m := c.Parallel.Mesh; m.Pipeline != 2 || m.Data != 2 || c.MicroBatches != 4 || c.Recompute != "full" || c.Parallel.Pipeline.Schedule != "gpipe" {
			t.Errorf("%+v", c)
		}
	}
	if len(list) != 4 || p.Ranks() != 4 {
		t.Errorf("%d candidates, %d ranks", len(list), p.Ranks())
	}
	s.Parallel.Mesh.Pipeline = 3
	if _, _, err := Search(s, data, Options{}); err == nil {
		t.Error("three stages of four ranks were planned")
	}
}

// What is chosen keeps to what a strategy may say, however many rows there are.
func TestMicroBatchesChosenAreBounded(t *testing.T) {
	s, data := gpt2(4, 4, 32, 64, 16)
	s.Batch = schema.Batch{Sequences: 1 << 24}
	s.Devices = schema.Devices{Kind: "cpu", Profile: "host"}
	c := chooser{strategy: s, room: room{bytes: 1}}
	if counts := c.counts(); slices.Max(counts) != schema.MostMicroBatches {
		t.Errorf("%d micro-batches are tried", slices.Max(counts))
	}
	for _, n := range newSearch(t, s, data, 4).microBatches(schema.Mesh{Data: 1, Pipeline: 1}) {
		if n > schema.MostMicroBatches {
			t.Errorf("the search tries %d micro-batches", n)
		}
	}
}
