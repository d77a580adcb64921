package compiler

import (
	"math"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// gathering is a plan whose one collective gathers 6 GiB from the ranks along an axis.
func gathering(op kernels.Op, axis string, mesh ...plan.Axis) (*plan.Plan, *plan.Stage, *plan.Instruction) {
	p := &plan.Plan{Device: "cuda", Mesh: mesh}
	whole := 3 << 30
	part := whole / p.Degree(axis)
	x := plan.Buffer{ID: 0, DType: kernels.BF16, Dims: []plan.Dim{{Name: "x", Size: part}}}
	y := plan.Buffer{ID: 1, DType: kernels.BF16, Dims: []plan.Dim{{Name: "y", Size: whole}}}
	st := &plan.Stage{Buffers: []plan.Buffer{x, y}}
	in := &plan.Instruction{Op: op, Attrs: kernels.Attrs{Axis: axis}, Operands: []plan.Operand{{Buffer: 0, Shape: x.Shape()}, {Buffer: 1, Shape: y.Shape()}}}
	if op == kernels.AllReduce {
		in.Operands[0] = in.Operands[1]
	}
	return p, st, in
}

// What a group's collective takes is what its ranks send over the links between them: those of a node, the network's, or the slower of both.
func TestCollectiveByLink(t *testing.T) {
	data, tensor := plan.AxisData, plan.AxisTensor
	const whole = 6 << 30 // bytes
	p := &Profile{CallSeconds: 1e-6, Topology: Topology{PerNode: 8, Node: Link{"NVLink", 1e-5, 400e9}, Network: Link{"InfiniBand", 1e-4, 50e9}}}
	for _, c := range []struct {
		name string
		op   kernels.Op
		axis string
		mesh []plan.Axis
		want float64
	}{
		{"within a node", kernels.AllGather, tensor, []plan.Axis{{Name: data, Degree: 16}, {Name: tensor, Degree: 8}}, 3e-5 + whole*7/8/400e9},
		{"an all-reduce sends twice as much, in twice the steps", kernels.AllReduce, tensor, []plan.Axis{{Name: data, Degree: 16}, {Name: tensor, Degree: 8}}, 6e-5 + 2*whole*7/8/400e9},
		{"across nodes", kernels.AllGather, data, []plan.Axis{{Name: data, Degree: 16}, {Name: tensor, Degree: 8}}, 4e-4 + whole*15/16/50e9},
		{"two on each of eight nodes share the network's two places", kernels.AllGather, data, []plan.Axis{{Name: data, Degree: 16}, {Name: tensor, Degree: 4}}, 1e-5 + 3e-4 + whole*15.0/16/2/50e9},
		{"eight on each of two nodes: a node's link is the slower", kernels.AllGather, data, []plan.Axis{{Name: data, Degree: 16}}, 3e-5 + 1e-4 + whole*15/16/400e9},
		{"all in one node", kernels.AllGather, data, []plan.Axis{{Name: data, Degree: 2}, {Name: tensor, Degree: 4}}, 1e-5 + whole/2/400e9},
		{"six do not divide a node of eight: some groups reach two", kernels.AllGather, tensor, []plan.Axis{{Name: data, Degree: 16}, {Name: tensor, Degree: 6}}, 2e-5 + 1e-4 + whole*5/6/3/50e9},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl, st, in := gathering(c.op, c.axis, c.mesh...)
			if got, want := p.collective(pl, st, in), c.want+1e-6; math.Abs(got/want-1) > 1e-6 {
				t.Errorf("%v seconds, want %v", got, want)
			}
		})
	}
}

// Larger products reach more of the peak, and none more than its best share.
func TestMatrixEfficiency(t *testing.T) {
	for name := range Profiles {
		p := Profiles[name]
		if p.Matrix == nil {
			continue
		}
		last := 0.0
		for n := 64; n <= 1<<16; n *= 2 {
			args := []kernels.Tensor{{DType: kernels.BF16, Shape: []int{n, n}}, {DType: kernels.BF16, Shape: []int{n, n}}, {}, {DType: kernels.BF16, Shape: []int{n, n}}, {}, {}, {}}
			rate := p.rate(1, Call{Op: kernels.MatMul, Args: args, Sizes: kernels.Sizes{"M": n, "N": n, "K": n}})
			if rate <= last || rate > p.Matrix.Best*p.Matrix.Peak["bf16"] {
				t.Errorf("%s: %d rows, columns and steps: %.3g FLOP/s after %.3g", name, n, rate, last)
			}
			last = rate
		}
		if share := last / p.Matrix.Peak["bf16"]; share < 0.9*p.Matrix.Best {
			t.Errorf("%s: the largest reach %.2f of the peak", name, share)
		}
	}
}
