package compiler

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// recomputePolicies in the order of what they cost in time.
var recomputePolicies = []string{"none", "selective", "full"}

// room is the memory that a plan must fit.
type room struct {
	bytes int64  // 0: any
	of    string // whose it is
	path  string // of the strategy's value that says so
}

// roomOf is the strategy's limit or, where devices have memory of their own, what the profile says they have.
func (u *unitOfWork) roomOf() (room, error) {
	if limit := u.strategy.Memory.LimitBytes; limit > 0 {
		return room{limit, "memory.limit = " + plan.FormatBytes(limit), "memory.limit"}, nil
	}
	p, err := u.profile()
	if err != nil || p.MemoryBytes == 0 {
		return room{}, err
	}
	return room{p.MemoryBytes, fmt.Sprintf("the %s that %s has", plan.FormatBytes(p.MemoryBytes), p.Name), "devices.profile"}, nil
}

// choose settles what the strategy leaves open: the fastest of the settings
// whose memory is within the room, by the estimate; with any room, one micro-batch and no recomputation.
func choose(s *schema.Strategy, r room, length int, compile func(settings) (*plan.Plan, error)) (*plan.Plan, error) {
	c := &chooser{strategy: s, room: r, compile: compile}
	err := c.try(length)
	if err != nil {
		return nil, err
	}
	if c.best == nil {
		return nil, s.Wrong(r.path, fmt.Sprintf("nothing fits into %s: the least of the %d settings tried takes %s",
			plan.FormatBytes(r.bytes), c.tried, plan.FormatBytes(c.smallest.PeakBytes())), r.fix())
	}
	c.best.Choices = append(c.explain(), c.best.Choices...)
	return c.best, nil
}

func (r room) fix() string {
	if r.path == "memory.limit" {
		return "raise the limit, or take a smaller batch or model"
	}
	return "share more out (parallel), take a smaller batch or model, or another profile; a memory.limit above it shows the plan all the same"
}

// chooser tries settings.
type chooser struct {
	strategy       *schema.Strategy
	room           room
	compile        func(settings) (*plan.Plan, error)
	tried          int
	best, smallest *plan.Plan
	chosen         settings
}

// try compiles the settings that may be the fastest. Where plans are large not all are: with more micro-batches a step takes less memory and more time, so
// that of each policy the fewest that fit are looked for by halves.
func (c *chooser) try(length int) error {
	counts, policies := c.counts(), c.policies()
	if c.large() {
		for _, policy := range policies {
			for lo, hi := 0, len(counts); lo < hi; {
				mid := (lo + hi) / 2
				fits, err := c.one(counts[mid], policy, length)
				switch {
				case err != nil:
					return err
				case fits:
					hi = mid
				default:
					lo = mid + 1
				}
			}
		}
		return nil
	}
	for _, n := range counts {
		for _, policy := range policies {
			if _, err := c.one(n, policy, length); err != nil {
				return err
			}
		}
	}
	return nil
}

// large says whether plans may be so large that only a few are made.
func (c *chooser) large() bool { return kernels.Kinds[c.strategy.Devices.Kind].Separate }

// one compiles for a number of micro-batches and a policy, with each size of chunks.
func (c *chooser) one(n int, policy string, length int) (fits bool, err error) {
	s := c.strategy
	for _, size := range c.chunkSizes(s.Batch.Sequences / (n * s.Parallel.Mesh.RowRanks()) * length / max(1, s.Parallel.Mesh.Sequence)) {
		set := settings{microBatches: n, recompute: policy, chunkBytes: size}
		p, err := c.compile(set)
		if err != nil {
			return false, err
		}
		c.tried++
		if c.smallest == nil || p.PeakBytes() < c.smallest.PeakBytes() {
			c.smallest = p
		}
		if c.room.bytes > 0 && p.PeakBytes() > c.room.bytes {
			continue
		}
		fits = true
		if c.best == nil || p.Estimate.StepSeconds < c.best.Estimate.StepSeconds {
			c.best, c.chosen = p, set
		}
		if c.large() { // smaller chunks take less memory and more time
			break
		}
	}
	return fits, nil
}

// counts are the numbers of micro-batches to try, ascending.
func (c *chooser) counts() []int {
	b := c.strategy.Batch
	if b.MicroBatches != 0 {
		return []int{b.MicroBatches}
	}
	counts, ranks := []int{1}, c.strategy.Parallel.Mesh.RowRanks()
	if p := c.strategy.Objective.Plugin; p != nil {
		ranks *= max(1, p.Records()) // which stay together
	}
	for n := 2; c.room.bytes > 0 && n <= schema.MostMicroBatches && n*ranks <= b.Sequences; n++ {
		if b.Sequences%(n*ranks) == 0 {
			counts = append(counts, n)
		}
	}
	return counts
}

func (c *chooser) policies() []string {
	switch {
	case c.strategy.Memory.Recompute != "":
		return []string{c.strategy.Memory.Recompute}
	case c.room.bytes > 0:
		return recomputePolicies
	}
	return recomputePolicies[:1]
}

// chunkSizes are the sizes of logits to try, for so many tokens of a micro-batch.
func (c *chooser) chunkSizes(tokens int) []int64 {
	if c.room.bytes > 0 && c.strategy.Memory.LossChunks == 0 && int64(tokens)*int64(c.strategy.Model.Outputs)*4 > smallChunk {
		return []int64{largeChunk, smallChunk}
	}
	return []int64{largeChunk}
}

func (c *chooser) explain() []plan.Choice {
	s, why := c.strategy, "no memory.limit is set"
	if c.room.bytes > 0 {
		why = fmt.Sprintf("the fastest by estimate of %d settings within %s", c.tried, c.room.of)
	}
	var list []plan.Choice
	if c.room.bytes > 0 && c.room.path != "memory.limit" {
		list = append(list, plan.Choice{What: "memory.limit", Value: plan.FormatBytes(c.room.bytes), Why: "none is set, and it is all that " + c.best.Estimate.Profile + " has"})
	}
	if s.Batch.MicroBatches == 0 {
		list = append(list, plan.Choice{What: "batch.micro_batches", Value: fmt.Sprint(c.chosen.microBatches), Why: why})
	}
	if s.Memory.Recompute == "" {
		list = append(list, plan.Choice{What: "memory.recompute", Value: c.chosen.recompute, Why: why})
	}
	return list
}
