package main

import (
	"strings"

	gsc "github.com/gsc-project/gsc/sdk/go"
)

type mixed struct{}

func init() {
	gsc.CompressionPolicy(gsc.Manifest{Name: "policy", Version: "1"}, func(gsc.Params) (gsc.Policy, error) { return mixed{}, nil })
}

func (mixed) Declare(w gsc.Weight) (d gsc.Declaration) {
	switch {
	case w.Kind == gsc.Table:
		d = gsc.Declaration{Bits: 4, Symmetric: true}
		if w.In%8 == 0 {
			d.Group = 8
		}
	case strings.Contains(w.Name, "attn") && w.Heads > 1:
		d = gsc.Declaration{Pattern: gsc.Heads, Sparsity: 0.5}
	case w.In%4 == 0:
		d = gsc.Declaration{Pattern: gsc.Neighbours, Of: 4, Sparsity: 0.5, Bits: 8}
	case w.Out > 1:
		d = gsc.Declaration{Pattern: gsc.Outputs, Sparsity: 0.5}
	}
	return d
}

func (mixed) Decide(_ gsc.Weight, declared gsc.Declaration, m gsc.Moment) gsc.Decision {
	d := gsc.Decision{Prune: declared.Sparsity, Mask: declared.Pattern != gsc.Unpruned && m.RMS > 0.01, Quantise: declared.Bits > 0 && m.Step > 1<<32}
	if 2*m.Step < m.Steps {
		d.Prune /= 2
	}
	return d
}

func main() {}
