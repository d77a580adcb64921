package compiler

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/schema"
)

// recomputePolicies in the order of what they cost in time.
var recomputePolicies = []string{"none", "selective", "full"}

// choose settles what the strategy leaves open: the fastest of the settings
// whose memory is within the limit, by the estimate; without a limit, one micro-batch and no recomputation.
func choose(s *schema.Strategy, length int, compile func(settings) (*plan.Plan, error)) (*plan.Plan, error) {
	candidates := candidates(s, length)
	var best, smallest *plan.Plan
	var chosen settings
	for _, c := range candidates {
		p, err := compile(c)
		if err != nil {
			return nil, err
		}
		if smallest == nil || p.PeakBytes() < smallest.PeakBytes() {
			smallest = p
		}
		fits := s.Memory.LimitBytes == 0 || p.PeakBytes() <= s.Memory.LimitBytes
		if fits && (best == nil || p.Estimate.StepSeconds < best.Estimate.StepSeconds) {
			best, chosen = p, c
		}
	}
	if best == nil {
		return nil, s.Wrong("memory.limit", fmt.Sprintf("nothing fits into %s: the least of the %d settings tried takes %s",
			plan.FormatBytes(s.Memory.LimitBytes), len(candidates), plan.FormatBytes(smallest.PeakBytes())), "raise the limit, or take a smaller batch or model")
	}
	best.Choices = append(explain(s, chosen, len(candidates)), best.Choices...)
	return best, nil
}

func candidates(s *schema.Strategy, length int) []settings {
	counts := []int{s.Batch.MicroBatches}
	if s.Batch.MicroBatches == 0 {
		counts = []int{1}
		ranks := s.Parallel.Mesh.DataRanks()
		for n := 2; s.Memory.LimitBytes > 0 && n*ranks <= s.Batch.Sequences; n++ {
			if s.Batch.Sequences%(n*ranks) == 0 {
				counts = append(counts, n)
			}
		}
	}
	policies := []string{s.Memory.Recompute}
	if s.Memory.Recompute == "" {
		policies = recomputePolicies[:1]
		if s.Memory.LimitBytes > 0 {
			policies = recomputePolicies
		}
	}
	var list []settings
	for _, n := range counts {
		for _, policy := range policies {
			for _, size := range chunkSizes(s, s.Batch.Sequences/(n*s.Parallel.Mesh.DataRanks())*length/max(1, s.Parallel.Mesh.Sequence)) {
				list = append(list, settings{microBatches: n, recompute: policy, chunkBytes: size})
			}
		}
	}
	return list
}

// chunkSizes are the sizes of logits to try, for so many tokens of a micro-batch.
func chunkSizes(s *schema.Strategy, tokens int) []int64 {
	if s.Memory.LimitBytes > 0 && s.Memory.LossChunks == 0 && int64(tokens)*int64(s.Model.Outputs)*4 > smallChunk {
		return []int64{largeChunk, smallChunk}
	}
	return []int64{largeChunk}
}

func explain(s *schema.Strategy, chosen settings, tried int) []plan.Choice {
	why := "no memory.limit is set"
	if s.Memory.LimitBytes > 0 {
		why = fmt.Sprintf("the fastest by estimate of %d settings within memory.limit = %s", tried, plan.FormatBytes(s.Memory.LimitBytes))
	}
	var list []plan.Choice
	if s.Batch.MicroBatches == 0 {
		list = append(list, plan.Choice{What: "batch.micro_batches", Value: fmt.Sprint(chosen.microBatches), Why: why})
	}
	if s.Memory.Recompute == "" {
		list = append(list, plan.Choice{What: "memory.recompute", Value: chosen.recompute, Why: why})
	}
	return list
}
