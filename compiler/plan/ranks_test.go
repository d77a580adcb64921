package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// crossed is the small plan on four ranks, data × tensor, that reduce one gradient along each axis, on streams that go past each other.
func crossed(t *testing.T, replace ...string) (*plan.Plan, []*plan.Stage) {
	t.Helper()
	read := func() *plan.Plan {
		p := small(t, append([]string{
			"  sum_squares norm.table x=%14 total=%30 from", `  all_reduce reduce.table x=%14 y=%14 {axis=data} stream 1 signal 1
  all_reduce reduce.w x=%15 y=%15 {axis=tensor} stream 2 signal 2
  sum_squares norm.table x=%14[16] total=%30 wait 1 from`,
			"  sum_squares norm.w x=%15 total=%30 {accumulate} from", "  sum_squares norm.w x=%15 total=%30 {accumulate} wait 2 from small.cue:7:3\n  sum_squares norm.again x=%14 total=%30 {accumulate} from",
		}, replace...)...)
		four(p)
		return p
	}
	p := read()
	if err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	var stages []*plan.Stage
	for rank := range p.Ranks() {
		stages = append(stages, read().Expand(0, rank))
	}
	if err := p.VerifyRanks(stages); err != nil {
		t.Fatal(err)
	}
	return p, stages
}

// update gives the instructions of the program that reduces.
func update(s *plan.Stage) []plan.Instruction { return s.Program("update").Instructions }

// swap has a rank come to the two collectives in the other order.
func swap(s *plan.Stage) { list := update(s); list[0], list[1] = list[1], list[0] }

// blocking puts the collectives of all ranks into the stream that computes.
var blocking = []string{"stream 1 signal 1", "signal 1", "stream 2 signal 2", "signal 2"}

// chained has the second of the two begin when the first has ended.
func chained(stages []*plan.Stage) {
	for _, s := range stages {
		list := update(s)
		list[1].Wait = []int{list[0].Signal}
	}
}

// Each rank of a plan may come to what it does along two axes in its own order, as long as no ring of ranks waits for each other.
func TestRanksWaitInARing(t *testing.T) {
	ring := func(stages []*plan.Stage) { swap(stages[1]); swap(stages[2]) } // rank 0 waits for 2, 2 for 3, 3 for 1 and 1 for 0
	for _, c := range []struct {
		name    string
		replace []string
		change  func([]*plan.Stage)
		waits   bool
	}{
		{"streams go past each other", nil, ring, false},
		{"one stream", blocking, ring, true},
		{"one stream, one rank in another order", blocking, func(stages []*plan.Stage) { swap(stages[1]) }, false},
		{"one stream, two neighbours in another order", blocking, func(stages []*plan.Stage) { swap(stages[0]); swap(stages[1]) }, false},
		{"streams that wait for each other", nil, func(stages []*plan.Stage) { ring(stages); chained(stages) }, true},
		{"streams that wait for each other, in one order", nil, chained, false},
		{"a stream runs in order", nil, func(stages []*plan.Stage) {
			ring(stages)
			for _, s := range stages { // what is computed behind the first goes between the two
				list := s.Program("update").Instructions
				zero := plan.Instruction{Op: kernels.Zero, Name: "aside", Operands: []plan.Operand{{Buffer: 26, Shape: []int{16}}}, Stream: list[0].Stream}
				s.Program("update").Instructions = slices.Insert(slices.Clone(list), 1, zero)
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, stages := crossed(t, c.replace...)
			c.change(stages)
			err := p.VerifyRanks(stages)
			if !c.waits && err != nil {
				t.Error(err)
			}
			if c.waits && (err == nil || !strings.Contains(err.Error(), "it waits for ever")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What one rank does otherwise is told, with the rank and the place.
func TestRanksAgree(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*plan.Stage) // of rank 2
		want   []string
	}{
		{"nothing", func(*plan.Stage) {}, nil},
		{"another size", func(s *plan.Stage) {
			for i := range 2 {
				update(s)[0].Operands[i].Shape = []int{4, 4}
			}
		}, []string{"(reduce.table): rank 2: all_reduce of 16 f32, but rank 0 comes to all_reduce of 32 f32 there, in schedule train for length 4"}},
		{"another buffer", func(s *plan.Stage) {
			list := update(s)
			list[0].Operands, list[1].Operands = list[1].Operands, list[0].Operands
			for k := range 4 {
				list[k/2].Operands[k%2].Shape = []int{32}
			}
			list[2].Wait, list[3].Wait = []int{1, 2}, nil
		}, []string{"(reduce.table): rank 2: it works on %15 grad.w, but rank 0 on %14 grad.table there", "(reduce.w): rank 3: all_reduce of 48 f32, but rank 2"}},
		{"one less", func(s *plan.Stage) {
			p := s.Program("update")
			p.Instructions = p.Instructions[1:]
			p.Instructions[1].Wait = nil
		}, []string{"(norm.table): rank 0: it waits for ever, in schedule train for length 4: for rank 2 to come to reduce.table, number 1 of what they do along data"}},
		{"another part", func(s *plan.Stage) { update(s)[2].Operands[0].Offset = 16 },
			[]string{"(norm.table): rank 2: its operands, attributes or predicate are not those that the plan has at the rank's place"}},
		{"what does not depend on each other, in another order", func(s *plan.Stage) {
			list := update(s)
			list[6], list[7] = list[7], list[6]
		}, nil},
		{"additions in another order", func(s *plan.Stage) {
			list := update(s)
			list[3], list[4] = list[4], list[3]
		}, []string{"(norm.w): rank 2: it comes before or behind what writes its operands, where the plan has it the other way round", "(norm.again): rank 2: it comes before"}},
		{"an instruction less", func(s *plan.Stage) {
			p := s.Program("update")
			p.Instructions[5].Wait = []int{2}
			p.Instructions = slices.Delete(p.Instructions, 3, 4)
		}, []string{"rank 2: it lacks norm.w (sum_squares) of the plan's"}},
		{"another attribute", func(s *plan.Stage) { update(s)[5].Attrs.MaxNorm = 2 },
			[]string{"(norm): rank 2: its operands, attributes or predicate are not those"}},
		{"another kind of buffer", func(s *plan.Stage) { s.Buffers[26].Name = "aside" }, []string{"rank 2: its buffers differ from the plan's in more than where they lie"}},
		{"micro-batches in another order", func(s *plan.Stage) {
			calls := s.Schedules[0].Calls
			for i := range calls[:4] {
				calls[i].MicroBatch = 1 - calls[i].MicroBatch
			}
		}, []string{"rank 2: schedule train for length 4 lacks the call of backward for micro-batch 0"}},
		{"losses added up in another order", func(s *plan.Stage) {
			calls := s.Schedules[0].Calls
			calls[0], calls[1], calls[2], calls[3] = calls[2], calls[3], calls[0], calls[1]
			calls[1].Program, calls[3].Program = calls[3].Program, calls[1].Program
		}, []string{"rank 2: schedule train for length 4 calls forward for micro-batch 0 before or behind what writes the same, where the plan has it the other way round"}},
		{"beyond its end", func(s *plan.Stage) { update(s)[2].Operands[0].Offset = 17 }, []string{"rank 2: operand x: 16 elements from element 17"}},
		{"a part that is not its own place's", func(s *plan.Stage) { update(s)[2].Operands[0].Part = "expert" }, []string{`rank 2: operand x: it is a part along "expert"`}},
		{"no schedule", func(s *plan.Stage) { s.Schedules = s.Schedules[:1] }, []string{"rank 2: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, stages := crossed(t)
			c.change(stages[2])
			err := p.VerifyRanks(stages)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %s", err, want)
				}
			}
		})
	}
	p, stages := crossed(t)
	if err := p.VerifyRanks(stages[:3]); err == nil || !strings.Contains(err.Error(), "3 ranks, but the mesh has 4") {
		t.Errorf("got %v", err)
	}
}

// Ranks that add up what they compute do so for the same micro-batch.
func TestRanksTakeMicroBatchesTogether(t *testing.T) {
	p, stages := crossed(t, "  loss_sum loss.sum loss=%23 total=%0 {accumulate} from small.cue:6:3\n\nprogram backward length 4",
		"  all_reduce reduce.rows x=%23 y=%23 {axis=tensor} from small.cue:6:3\n  loss_sum loss.sum loss=%23 total=%0 {accumulate} from small.cue:6:3\n\nprogram backward length 4")
	calls := stages[1].Schedules[0].Calls
	for i := range calls[:4] {
		calls[i].MicroBatch = 1 - calls[i].MicroBatch
	}
	err := p.VerifyRanks(stages)
	if want := "(reduce.rows): rank 1: it comes to it for micro-batch 1, but rank 0 for micro-batch 0, in schedule train"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
