package compiler

import (
	"math/rand/v2"
	"testing"
)

// The lowest place is the one that a search over all that is placed finds, byte by byte.
func TestLowest(t *testing.T) {
	type unit struct {
		offset, size int64
		lives        []life
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		lines := make([]line, 3)
		var units []unit
		for range 700 { // enough for a line to be cut into pieces
			u := unit{size: 1 + r.Int64N(9)}
			for timeline := range lines {
				if from := r.IntN(60); r.IntN(2) == 0 {
					u.lives = append(u.lives, life{timeline, span{from, from + r.IntN(12)}, -1})
				}
			}
			if len(u.lives) == 0 {
				continue
			}
			u.offset = lowest(lines, u.lives, 5, u.size)
			want := int64(5)
			for i := 0; i < len(units); i++ {
				o := units[i]
				if o.offset < want+u.size && want < o.offset+o.size && meet(o.lives, u.lives) {
					want, i = want+1, -1 // from the start, one byte further
				}
			}
			if u.offset != want {
				t.Fatalf("seed %d: unit %d lies at %d, want %d", seed, len(units), u.offset, want)
			}
			for _, l := range u.lives {
				lines[l.timeline].insert(placed{u.offset, u.offset + u.size, l.span})
			}
			units = append(units, u)
		}
		for timeline := range lines {
			last := int64(0)
			for _, piece := range lines[timeline].pieces {
				for _, p := range piece {
					if p.offset < last {
						t.Fatalf("seed %d: timeline %d is not in order", seed, timeline)
					}
					last = p.offset
				}
			}
		}
	}
}

func meet(a, b []life) bool {
	for _, x := range a {
		for _, y := range b {
			if x.timeline == y.timeline && x.meets(y.span) {
				return true
			}
		}
	}
	return false
}
