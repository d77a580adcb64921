package gsc_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/compiler/plan"
)

// expandedPlans are what is corrupted: all kinds of collectives, beside what is computed and not, within stages and between them.
var expandedPlans = []struct {
	name  string
	model string
	cut   []string
}{
	{"data × tensor", gpt2, []string{"parallel.mesh.tensor=2", mesh(2), "parallel.zero=3", "batch.micro_batches=2"}},
	{"pipeline × data", deep(gpt2), []string{"parallel.mesh.pipeline=2", mesh(2), "parallel.zero=1", "batch.micro_batches=4", "parallel.pipeline.chunks=2"}},
	{"ring × data", gpt2, append(around(2), mesh(2), "parallel.zero=1", "batch.micro_batches=2")},
	{"pipeline", deep(gpt2), []string{"parallel.mesh.pipeline=4", "batch.micro_batches=4"}},
}

// corrupter changes one thing of what a rank runs, or of what all ranks of a stage do.
type corrupter struct {
	*rand.Rand
	plan  *plan.Plan
	stage *plan.Stage // changed, of the plan's or, for one rank alone, an expansion
	rank  int         // one of those that run it
}

// expandedBase is a plan that is corrupted, with what it learns.
type expandedBase struct {
	text   []byte
	ranks  int
	losses []float64
	bits   string
}

// mutant is a corrupted plan.
type mutant struct {
	plan   *plan.Plan
	stages []*plan.Stage // by rank; nil: the plan's own
	what   string
}

// corrupt makes a mutant; false where the plan has nothing that the kind corrupts.
func (b *expandedBase) corrupt(t *testing.T, r *rand.Rand, c corruption) (mutant, bool) {
	m := mutant{plan: readPlan(t, b.text)}
	rank := r.IntN(b.ranks)
	stage := m.plan.StageOf(rank)
	if c.alone || r.IntN(2) == 0 {
		own := readPlan(t, b.text).Expand(stage, rank)
		m.stages = expand(m.plan)
		m.stages[rank] = own
		m.what = c.apply(&corrupter{r, m.plan, own, rank})
		return mutant{m.plan, m.stages, fmt.Sprintf("rank %d: %s", rank, m.what)}, m.what != ""
	}
	m.what = c.apply(&corrupter{r, m.plan, &m.plan.Stages[stage], rank})
	return mutant{m.plan, nil, fmt.Sprintf("stage %d: %s", stage, m.what)}, m.what != ""
}

func (m mutant) verify() error {
	if m.stages == nil {
		return m.plan.Verify()
	}
	return m.plan.VerifyRanks(m.stages)
}

// same says whether the mutant learns what the plan does.
func (b *expandedBase) same(t *testing.T, m mutant) {
	world := local.NewWorld(m.plan.Ranks(), local.Options{Deadline: 10 * time.Second})
	if m.stages == nil {
		m.stages = expand(m.plan)
	}
	l := stagedLab(t, m.plan, m.stages, 1, world, world.Group)
	if got := l.train(2); !slices.Equal(got, b.losses) || l.digest() != b.bits {
		t.Errorf("%s: it is admitted, and learns something else: losses %v, not %v", m.what, got, b.losses)
	}
}

// waits has the ranks of a mutant, which is refused since some would wait for ever, run all the same, which must not come to an end.
func (b *expandedBase) waits(t *testing.T, m mutant) {
	world := local.NewWorld(m.plan.Ranks(), local.Options{Deadline: 300 * time.Millisecond})
	if m.stages == nil {
		m.stages = expand(m.plan)
	}
	l := stagedLab(t, m.plan, m.stages, 1, world, world.Group)
	l.check(l.set.Fill(m.plan.Training.Seed, 1, l.batch))
	if _, err := l.ranks.Train(l.batch, 1, m.plan.Training.Rate.Peak); err == nil {
		t.Errorf("%s: it is refused as one that waits for ever, and does not", m.what)
	}
}

func readPlan(t *testing.T, text []byte) *plan.Plan {
	t.Helper()
	p, err := plan.ParseText(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tally is what became of the mutants of a kind.
type tally struct{ made, refused, planned, waited, same int }

// A corrupted rank, or stage, is refused, always where what it would do is wrong by construction; where it is not refused, all learn the same bits. Of ten corruptions nine
// are wrong by construction. Of those that are refused since a rank would wait for ever, some are run, and do.
func TestCorruptedRanksAreRefusedOrTheSame(t *testing.T) {
	want := 200
	if os.Getenv("GSC_LONG") != "" {
		want = 1000
	}
	var bases []*expandedBase
	for _, c := range expandedPlans {
		p := planOf(t, write(t, c.model, stream), append(c.cut, "batch.sequences=8", "data.length=16")...)
		if err := p.VerifyRanks(expand(p)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		one := newLab(t, p, 1)
		bases = append(bases, &expandedBase{p.Text(), p.Ranks(), one.train(2), one.digest()})
	}
	counts := make([]tally, len(corruptions))
	corruptAll(t, bases, counts, true, want*9/10)
	corruptAll(t, bases, counts, false, want/10)
	harmful, others := 0, 0
	for k, c := range corruptions {
		n := counts[k]
		t.Logf("%-55s %4d made, %4d refused (%3d as not what the plan does; %d ran and waited for ever), %3d ran and learnt the same",
			c.name, n.made, n.refused, n.planned, n.waited, n.same)
		if n.made == 0 {
			t.Errorf("%s: no plan has anything to corrupt", c.name)
		}
		if c.harmful {
			harmful += n.made
		} else {
			others += n.made
		}
	}
	t.Logf("%d mutants, %d of them wrong by construction", harmful+others, harmful)
	if harmful < want*9/10 || harmful+others < want {
		t.Errorf("fewer than %d mutants", want)
	}
}

// corruptAll makes so many different mutants, of all kinds and plans in turn.
func corruptAll(t *testing.T, bases []*expandedBase, counts []tally, harmful bool, want int) {
	seen := map[string]bool{}
	for seed := range uint64(60 * want) {
		for k, c := range corruptions {
			if c.harmful != harmful {
				continue
			}
			number := int(seed) % len(bases)
			m, ok := bases[number].corrupt(t, rand.New(rand.NewPCG(seed, uint64(k))), c)
			if key := fmt.Sprint(number, c.name, m.what); !ok || seen[key] {
				continue
			} else {
				seen[key] = true
			}
			m.what = fmt.Sprintf("%s, %s: %s", expandedPlans[number].name, c.name, m.what)
			counts[k].try(t, bases[number], c, m)
			if len(seen) == want {
				return
			}
		}
	}
}

// try has a mutant refused or run.
func (n *tally) try(t *testing.T, b *expandedBase, c corruption, m mutant) {
	n.made++
	switch err := m.verify(); {
	case err != nil:
		n.refused++
		if strings.Contains(err.Error(), "the plan") {
			n.planned++
		}
		if n.waited < 2 && strings.Contains(err.Error(), "it waits for ever, in schedule train") {
			n.waited++
			t.Run(m.what, func(t *testing.T) { b.waits(t, m) })
		}
	case c.harmful:
		t.Errorf("%s: it is admitted", m.what)
	case t.Run(m.what, func(t *testing.T) { b.same(t, m) }):
		n.same++
	}
}
