package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/graph"
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
		all = zeroBubble(stages, micro)
	}
	for i, s := range u.stages {
		switch {
		case p.Schedule == "zero_bubble":
			s.turns = all[i]
		case p.Schedule == "gpipe":
			s.turns = rounds(micro, micro, 1, 1)
		case chunks > 1: // (Narayanan et al., arXiv:2104.04473, section 2.2)
			s.turns = rounds(micro*chunks, (stages-i-1)*2+(chunks-1)*stages+1, stages, chunks)
		default:
			s.turns = rounds(micro, stages-i, 1, 1)
		}
		s.turns = slices.DeleteFunc(s.turns, func(t turn) bool { return !s.takes(t) })
		_, s.slots = underWay(s.turns)
	}
	return nil
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

// zeroBubble plays stages for which going forward, going back and weighing take the same time: going back comes first where it can, then going forward, as
// long as no more micro-batches are under way than 1f1b has in its first stage, and else what waits is weighed (ZB-H1, Qi et al., arXiv:2401.10241, section 2.3).
func zeroBubble(stages, micro int) [][]turn {
	type progress struct{ forward, back, weighed int }
	at, turns := make([]progress, stages), make([][]turn, stages)
	for done := 0; done < stages; {
		was := slices.Clone(at)
		done = 0
		for i := range at {
			p := &at[i]
			ready := was[i].forward
			if i < stages-1 {
				ready = was[i+1].back
			}
			canBack := p.back < min(ready, was[i].forward)
			arrived := micro
			if i > 0 {
				arrived = was[i-1].forward
			}
			canForward := p.forward < arrived && p.forward < micro && p.forward-p.weighed < stages && (p.forward-p.back < stages-i || p.weighed == p.back)
			switch {
			case canBack:
				turns[i] = append(turns[i], turn{goesBack, 0, p.back})
				p.back++
			case canForward && p.forward-p.back < stages-i:
				turns[i] = append(turns[i], turn{goesForward, 0, p.forward})
				p.forward++
			case p.weighed < p.back:
				turns[i] = append(turns[i], turn{weighs, 0, p.weighed})
				p.weighed++
			}
			if p.weighed == micro {
				done++
			}
		}
	}
	return turns
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
