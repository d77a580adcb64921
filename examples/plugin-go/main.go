//go:build wasip1

// The loss Poly-1 (Leng et al., arXiv:2204.12511, section 4): the cross entropy, whose first term in powers of 1 − p_y is weighed up by ε.
//
//	ℓ = −log p_y + ε·(1 − p_y)        dℓ/dz_v = (1 + ε·p_y)·(p_v − [v = y])
package main

import (
	"math"

	gsc "github.com/gsc-project/gsc/sdk/go"
)

func init() {
	gsc.Loss(gsc.Manifest{Name: "poly1", Version: "1.0.0", Targets: gsc.Classes, Params: "epsilon: *1 | number & >=-1 & <=10"}, func(p gsc.Params) (gsc.RowLoss, error) {
		epsilon := p.Number("epsilon")
		return func(r *gsc.Row) float32 {
			logP := float64(r.Logits[r.Label]) - gsc.Softmax(r.Logits, r.Gradient)
			py, q := math.Exp(logP), -math.Expm1(logP)
			if r.Gradient != nil {
				slope := 1 + epsilon*py
				for v := range r.Gradient {
					r.Gradient[v] *= float32(slope)
				}
				r.Gradient[r.Label] = float32(-slope * q)
			}
			return float32(-logP + epsilon*q)
		}, nil
	})
}

func main() {}
