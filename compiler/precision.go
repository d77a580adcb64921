package compiler

import (
	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// computeTypes are what precision.compute means to the operations that take the attribute.
var computeTypes = map[string]string{"f32": "", "bf16": kernels.BF16.String(), "fp16": kernels.F16.String()}

// setTypes gives every float value the type the kind computes in.
func setTypes(g *graph.Graph, kind kernels.Kind) {
	for _, v := range g.Values {
		if v.DType == kernels.F32 {
			v.DType = kind.Compute
		}
	}
}

// setCompute gives every contraction, forward, backward and of the optimizer, the type of what it multiplies.
func setCompute(g *graph.Graph, compute string) {
	for _, p := range g.Programs {
		for _, n := range p.Nodes {
			if n.Contract().Takes("compute") {
				n.Attrs.Compute = compute
			}
		}
	}
}

// scaled says whether gradients are computed multiplied by a scale.
func scaled(s *schema.Strategy) bool { return s.Precision.LossScale.Initial > 0 }
