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
func choose(s *schema.Strategy, compile func(settings) (*plan.Plan, error)) (*plan.Plan, error) {
	candidates := candidates(s)
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

func candidates(s *schema.Strategy) []settings {
	counts := []int{s.Batch.MicroBatches}
	if s.Batch.MicroBatches == 0 {
		counts = []int{1}
		for n := 2; s.Memory.LimitBytes > 0 && n <= s.Batch.Sequences; n++ {
			if s.Batch.Sequences%n == 0 {
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
	chunks := []int64{largeChunk}
	if s.Memory.LimitBytes > 0 && s.Memory.LossChunks == 0 {
		chunks = append(chunks, smallChunk)
	}
	var list []settings
	for _, n := range counts {
		for _, policy := range policies {
			for _, size := range chunks {
				list = append(list, settings{microBatches: n, recompute: policy, chunkBytes: size})
			}
		}
	}
	return list
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
