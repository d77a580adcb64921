package compiler

import (
	"fmt"
	"math"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/kernels"
)

// turn is what a stage does with a micro-batch: a program of one of its chunks.
type turn struct {
	kind  turnKind
	chunk int // among those of the stage
	micro int
}

type turnKind uint8

const (
	goesForward turnKind = iota
	goesBack
	weighs // the gradients of weights that going back left for later
)

// takeTurns settles the order in which each stage takes its micro-batches, and how many it has under way.
func (u *unitOfWork) takeTurns() error {
	p := u.strategy.Parallel.Pipeline
	stages, micro, chunks := len(u.stages), u.settings.microBatches, max(1, p.Chunks)
	if chunks > 1 && micro%stages != 0 {
		return u.strategy.Wrong("parallel.pipeline.chunks", fmt.Sprintf("with chunks, micro-batches go through the %d stages in whole rounds, and there are %d", stages, micro),
			fmt.Sprintf("use a multiple of %d as batch.micro_batches", stages))
	}
	var all [][]turn
	if p.Schedule == "zero_bubble" {
		all = zeroBubble(u.durations(), micro)
	}
	for i, s := range u.stages {
		switch {
		case p.Schedule == "zero_bubble":
			s.turns = all[i]
		case p.Schedule == "gpipe":
			s.turns = rounds(micro, micro, 1, 1)
		case chunks > 1:
			s.turns = rounds(micro*chunks, forwardFirst(stages, chunks, i), stages, chunks)
		default:
			s.turns = rounds(micro, forwardFirst(stages, 1, i), 1, 1)
		}
		s.turns = slices.DeleteFunc(s.turns, func(t turn) bool { return !s.takes(t) })
		_, s.slots = underWay(s.turns)
	}
	return nil
}

// durations are how long the programs of each stage take, as their arithmetic says.
func (u *unitOfWork) durations() (list []durations) {
	for _, s := range u.stages {
		b := &s.buckets[0]
		d := durations{arithmetic(b.forward), arithmetic(b.backward), arithmetic(b.weigh)}
		if u.settings.recompute == "full" {
			d.back += d.forward
		}
		list = append(list, d)
	}
	return list
}

// arithmetic is the floating-point operations of a program, and one more, since none takes nothing.
func arithmetic(p *graph.Program) float64 {
	flops := 1.0
	if p == nil {
		return flops
	}
	for _, n := range p.Nodes {
		if sizes, err := kernels.Check(n.Op, n.Attrs, tensors(n)); err == nil { // else Verify says so with its place
			flops += kernels.FlopsOf(n.Op, sizes, n.Attrs)
		}
	}
	return flops
}

// takes says whether a chunk has anything to do in a turn.
func (s *stage) takes(t turn) bool {
	b := s.bucketOf(t.chunk, s.buckets[0].length)
	return t.kind == goesForward || t.kind == goesBack && b.backward != nil || t.kind == weighs && b.weigh != nil
}

// bucketOf finds a chunk's programs for a length.
func (s *stage) bucketOf(chunk, length int) *bucket {
	for i := range s.buckets {
		if b := &s.buckets[i]; b.chunk == chunk && b.length == length {
			return b
		}
	}
	return nil
}

// forwardFirst is how many pieces of a stage have gone forward when the first goes back, where the two take turns: with chunks as Narayanan et al.,
// arXiv:2104.04473, section 2.2 has them.
func forwardFirst(stages, chunks, stage int) int {
	if chunks > 1 {
		return (stages-stage-1)*2 + (chunks-1)*stages + 1
	}
	return stages - stage
}

// rounds goes forward n times, and back as often: forward alone until so many are ahead, then by turns, then back alone. With chunks, a round of
// micro-batches goes through one chunk after another before the next round; what goes back takes the chunks from the last on.
func rounds(n, ahead, round, chunks int) (turns []turn) {
	at := func(kind turnKind, i int) turn {
		chunk := i / round % chunks
		if kind == goesBack {
			chunk = chunks - 1 - chunk
		}
		return turn{kind, chunk, i/(round*chunks)*round + i%round}
	}
	ahead = min(n, ahead)
	for i := range ahead - 1 {
		turns = append(turns, at(goesForward, i))
	}
	for i := range n {
		if i+ahead-1 < n {
			turns = append(turns, at(goesForward, i+ahead-1))
		}
		turns = append(turns, at(goesBack, i))
	}
	return turns
}

// durations are how long the programs of a stage take, in any unit.
type durations struct{ forward, back, weigh float64 }

// zeroBubble plays stages whose programs take so long: one that is free goes back where it can, else forward, as long as no more micro-batches are under way
// than 1f1b has in its first stage, else it weighs what waits, and else it waits for what comes first (ZB-H1, Qi et al., arXiv:2401.10241, section 2.3).
func zeroBubble(take []durations, micro int) [][]turn {
	z := &bubbles{micro: micro}
	for range take {
		z.stages = append(z.stages, bubbleStage{forwards: make([]float64, micro), backs: make([]float64, micro)})
	}
	turns := make([][]turn, len(take))
	for {
		i := z.next()
		if i < 0 {
			return turns
		}
		if t, ok := z.choose(i); ok {
			turns[i] = append(turns[i], t)
			z.take(i, t, take[i])
		}
	}
}

// bubbles is the play: what each stage has done, and when.
type bubbles struct {
	micro  int
	stages []bubbleStage
}

type bubbleStage struct {
	now                   float64
	forward, back, weighs int       // micro-batches so far
	forwards, backs       []float64 // when each ended
	waits                 bool      // for what another stage has not done yet
}

// next is the stage that is free first, and does not wait for what others have not done; −1 when all are done.
func (z *bubbles) next() int {
	next := -1
	for i := range z.stages {
		if s := &z.stages[i]; s.weighs < z.micro && !s.waits && (next < 0 || s.now < z.stages[next].now) {
			next = i
		}
	}
	return next
}

// choose is what a stage does; false: it waits.
func (z *bubbles) choose(i int) (turn, bool) {
	s, n := &z.stages[i], len(z.stages)
	never := math.Inf(1)
	back, forward := never, never // when each can begin, as far as that is known
	if s.back < s.forward {
		switch {
		case i == n-1:
			back = s.now
		case z.stages[i+1].back > s.back:
			back = z.stages[i+1].backs[s.back]
		}
	}
	if s.forward < z.micro && s.forward-s.back < n-i && s.forward-s.weighs < n {
		switch {
		case i == 0:
			forward = s.now
		case z.stages[i-1].forward > s.forward:
			forward = z.stages[i-1].forwards[s.forward]
		}
	}
	switch {
	case back <= s.now:
		return turn{goesBack, 0, s.back}, true
	case forward <= s.now:
		return turn{goesForward, 0, s.forward}, true
	case s.weighs < s.back:
		return turn{weighs, 0, s.weighs}, true
	}
	if first := min(back, forward); first < never {
		s.now = first
	} else {
		s.waits = true
	}
	return turn{}, false
}

func (z *bubbles) take(i int, t turn, d durations) {
	for k := range z.stages {
		z.stages[k].waits = false
	}
	s := &z.stages[i]
	switch t.kind {
	case goesForward:
		s.now += d.forward
		s.forwards[t.micro], s.forward = s.now, s.forward+1
	case goesBack:
		s.now += d.back
		s.backs[t.micro], s.back = s.now, s.back+1
	case weighs:
		s.now += d.weigh
		s.weighs++
	}
}

// underWay follows micro-batches through a stage's turns: it gives each turn its slot, and says how many slots are used at a time.
func underWay(turns []turn) (slots []int, most int) {
	type place struct{ chunk, micro int }
	last, in := map[place]int{}, map[place]int{}
	for i, t := range turns {
		last[place{t.chunk, t.micro}] = i
	}
	var free []int
	for i, t := range turns {
		p := place{t.chunk, t.micro}
		if _, known := in[p]; !known {
			if len(free) == 0 {
				free, most = append(free, most), most+1
			}
			in[p], free = free[0], free[1:]
		}
		slots = append(slots, in[p])
		if last[p] == i {
			free = append(free, in[p])
			slices.Sort(free)
		}
	}
	return slots, most
}

// early says which turns forward can begin to receive what they read before the turn before them: those whose slot is free by then.
func early(turns []turn, slots []int) []bool {
	list := make([]bool, len(turns))
	for i := 1; i < len(turns); i++ {
		list[i] = slots[i] != slots[i-1]
	}
	return list
}

// program is what a turn runs.
func (b *bucket) program(kind turnKind) *graph.Program {
	return [...]*graph.Program{goesForward: b.forward, goesBack: b.backward, weighs: b.weigh}[kind]
}
