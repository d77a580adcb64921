package data

import (
	"fmt"
	"math/bits"

	"github.com/gsc-project/gsc/compiler/plan"
)

// Pass is one walk over a split for evaluation: its rows in order, none twice.
type Pass struct {
	set   *Set
	split Split
	rows  int   // a batch
	unit  int64 // rows that stay together
	count int64 // rows of the walk
}

// Evaluation is a pass over a split in batches of the given rows. A limit that is not 0 takes that many
// rows, spread evenly over the split.
func (s *Set) Evaluation(split Split, rows int, limit int64) *Pass {
	count := s.Rows(split)
	if limit > 0 {
		count = min(count, limit)
	}
	unit := max(1, int64(plan.RecordsOf(s.spec.Unit)))
	return &Pass{set: s, split: split, rows: rows, unit: unit, count: count / unit * unit}
}

// Batches is how many batches the pass has.
func (p *Pass) Batches() int64 { return (p.count + int64(p.rows) - 1) / int64(p.rows) }

// Rows is how many rows the pass has.
func (p *Pass) Rows() int64 { return p.count }

// Fill makes batch i of the pass, from 0. The rows that the last batch has
// too many are padding that is not scored (b.Index holds −1).
func (p *Pass) Fill(i int64, b *Batch) error {
	for k := range b.Index {
		b.Index[k] = -1
		if n := i*int64(p.rows) + int64(k); k < p.rows && n < p.count {
			b.Index[k] = p.row(n)
		}
	}
	if err := p.set.fill(p.split, 0, b, false); err != nil {
		return fmt.Errorf("%s, rows from %d on: %w", p.split, i*int64(p.rows), err)
	}
	return nil
}

// row is the split's row that the n-th of the pass is: n·R/count, counted in what stays together.
func (p *Pass) row(n int64) int64 {
	high, low := bits.Mul64(uint64(n/p.unit), uint64(p.set.Rows(p.split)/p.unit))
	quotient, _ := bits.Div64(high, low, uint64(p.count/p.unit))
	return int64(quotient)*p.unit + n%p.unit
}
