package main

import gsc "github.com/gsc-project/gsc/sdk/go"

func init() {
	gsc.UnitLoss(gsc.Manifest{Name: "pairs", Version: "1", Unit: gsc.Pairs, Inputs: []string{"unused", "reference"}}, func(gsc.Params) (gsc.RowsLoss, error) { return unit, nil })
}

func unit(u *gsc.Rows) float32 {
	clear(u.Gradient)
	margin := float32(0)
	scored := func(do func(at int, sign float32)) {
		for row, label := range u.Labels {
			if sequence := row / u.Length; label != gsc.NotScored && int32(row%u.Length) < u.Lengths[sequence] {
				do(row*u.Classes+int(label), float32(1-2*sequence))
			}
		}
	}
	scored(func(at int, sign float32) {
		margin += sign * (u.Row(u.Logits, at/u.Classes)[at%u.Classes] - u.Inputs[1][at])
	})
	if u.Gradient != nil {
		scored(func(at int, sign float32) { u.Gradient[at] = sign * margin })
	}
	return 0.5 * margin * margin
}

func main() {}
