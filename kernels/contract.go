package kernels

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Role says how an operation uses an operand.
type Role uint8

// The roles.
const (
	In Role = iota
	Out
	InOut
)

// Reads and Writes say what the role means for the order of instructions.
func (r Role) Reads() bool  { return r != Out }
func (r Role) Writes() bool { return r != In }

// Class is the set of types an operand may have.
type Class uint8

// The classes.
const (
	Float     Class = iota // the compute type of the call
	Index                  // I32
	Real                   // F64, whatever the compute type: scalars and sums
	Counter                // I64
	Bytes                  // U8: workspace
	Any                    // F32, F64, I32 or I8, the same for all such operands of a call
	Half                   // BF16 or F16: weights as they are stored
	Quantised              // I8: whole numbers that a scale belongs to
	Number                 // any float, I32 or I64, whatever the compute type: what ranks add up. Halves are added up in F32, and rounded once
)

// DType is the one type that operands of the class have, or that they have on most devices; Invalid where there are several.
func (c Class) DType() DType {
	return [...]DType{Index: I32, Real: F64, Counter: I64, Bytes: U8, Half: BF16, Quantised: I8, Float: Invalid, Any: Invalid, Number: Invalid}[c]
}

// Param is one operand of an operation.
type Param struct {
	Name     string
	Role     Role
	Class    Class
	Shape    string // see the package comment; "1" is a scalar, "*" any shape
	Optional bool
	Strided  bool   // may be strided; the last dim is dense all the same
	Sums     bool   // an output that the attribute accumulate adds to
	Wide     bool   // of floats: F32 where the call's other floats are halves. Statistics, losses, and what an optimizer keeps
	Swap     string // "trans_a" or "trans_b": when set, the last two dims are stored swapped
}

// Contract is what plans and devices agree on for one operation.
type Contract struct {
	Name    string
	Params  []Param
	Attrs   string      // the attributes it takes, separated by spaces
	InPlace [][2]string // (output, input): pairs that may be the same view of the same storage
	Check   func(s Sizes, a Attrs) error
	Needs   func(has func(name string) bool, a Attrs) error // which optional operands go together; nil: any
	Flops   func(s Sizes, a Attrs) float64                  // floating-point operations; nil: one per element of the largest operand

	Collective bool // ranks do it together: it is no device's
	Host       bool // a plugin does it, on the host: it is no device's
}

// Sizes are the lengths that the letters of the shape patterns stand for. "..."
// holds the product of the leading dims.
type Sizes map[string]int

func in(name, shape string) Param         { return Param{Name: name, Shape: shape} }
func out(name, shape string) Param        { return Param{Name: name, Shape: shape, Role: Out} }
func inout(name, shape string) Param      { return Param{Name: name, Shape: shape, Role: InOut} }
func (p Param) of(c Class) Param          { p.Class = c; return p }
func (p Param) opt() Param                { p.Optional = true; return p }
func (p Param) strided() Param            { p.Strided = true; return p }
func (p Param) sums() Param               { p.Sums = true; return p }
func (p Param) wide() Param               { p.Wide = true; return p }
func (p Param) swapped(attr string) Param { p.Swap = attr; return p }
func index(name, shape string) Param      { return in(name, shape).of(Index) }
func real64(name string) Param            { return in(name, "1").of(Real) }
func counter(name string) Param           { return in(name, "1").of(Counter) }
func workspace() Param                    { return out("workspace", "*").of(Bytes).opt() }
func perElement(n float64) func(Sizes, Attrs) float64 {
	return func(s Sizes, _ Attrs) float64 { return n * float64(s["..."]) }
}
func perRow(n float64, width string) func(Sizes, Attrs) float64 {
	return func(s Sizes, _ Attrs) float64 { return n * float64(s["..."]) * float64(s[width]) }
}

func perWeight(n float64) func(Sizes, Attrs) float64 {
	return func(s Sizes, _ Attrs) float64 { return n * float64(s["A"]*s["K"]*s["B"]) }
}

var maskParams = []Param{
	index("lengths", "B").opt(), index("q_segments", "B T").opt(), index("k_segments", "B S").opt(),
	counter("offset").opt(), counter("seed").opt(), counter("step").opt(), counter("origin").opt(), counter("place").opt(),
}

const (
	maskAttrs = "causal window scale cap rate key of length compute"
	ropeAttrs = "theta rope_scaling rope_factor rope_low rope_high rope_original"
)

// Contracts holds the contract of every operation, indexed by Op.
var Contracts = [opCount]Contract{
	Zero: {Name: "zero", Params: []Param{out("y", "...").of(Any)}, Flops: perElement(0)},
	Copy: {Name: "copy", Params: []Param{in("x", "...").of(Any).strided(), out("y", "...").of(Any).strided()}, Flops: perElement(0)},
	Iota: {Name: "iota", Params: []Param{counter("offset").opt(), out("y", "B T").of(Index)}, Flops: perElement(0)},
	Shift: {Name: "shift", Params: []Param{index("x", "..."), counter("place"), out("y", "...").of(Index)}, Attrs: "index", InPlace: [][2]string{{"y", "x"}},
		Flops: perElement(0)},
	Embedding: {Name: "embedding", Params: []Param{index("ids", "..."), in("table", "V C"), out("y", "... C")},
		Flops: perElement(0)},
	EmbeddingGrad: {Name: "embedding_grad", Params: []Param{index("ids", "..."), in("dy", "... C"), out("dtable", "V C").sums()},
		Attrs: "accumulate", Flops: perRow(1, "C")},
	Select: {Name: "select", Params: []Param{in("x", "B T C"), out("y", "B C")}, Attrs: "index", Check: checkIndex, Flops: perElement(0)},
	SelectGrad: {Name: "select_grad", Params: []Param{in("dy", "B C"), out("dx", "B T C")}, Attrs: "index", Check: checkIndex,
		Flops: perElement(0)},
	CacheWrite: {Name: "cache_write", Params: []Param{in("x", "B T G D").strided(), counter("offset"), inout("cache", "B S G D")},
		Flops: perElement(0)},

	Widen: {Name: "widen", Params: []Param{in("x", "...").of(Half), out("y", "...")}, Flops: perElement(0)},
	Round: {Name: "round", Params: []Param{in("x", "..."), counter("seed").opt(), counter("step").opt(), out("y", "...").of(Half)},
		Attrs: "rounding key", Check: checkRounding, Needs: needsWords, Flops: perElement(1)},

	Add: {Name: "add", Params: []Param{in("x", "...").strided(), in("y", "...").strided(), out("z", "...").strided()},
		InPlace: [][2]string{{"z", "x"}, {"z", "y"}}, Flops: perElement(1)},
	AddBias: {Name: "add_bias", Params: []Param{in("x", "... N"), in("bias", "N"), out("y", "... N")}, InPlace: [][2]string{{"y", "x"}}, Flops: perRow(1, "N")},
	Scale: {Name: "scale", Params: []Param{in("x", "..."), out("y", "...")}, Attrs: "alpha", InPlace: [][2]string{{"y", "x"}},
		Flops: perElement(1)},
	Activate: {Name: "activate", Params: []Param{in("x", "..."), out("y", "...")}, Attrs: "kind cap",
		InPlace: [][2]string{{"y", "x"}}, Check: checkActivation, Flops: perElement(10)},
	ActivateGrad: {Name: "activate_grad", Params: []Param{in("dy", "..."), in("x", "..."), out("dx", "...")}, Attrs: "kind cap",
		InPlace: [][2]string{{"dx", "dy"}, {"dx", "x"}}, Check: checkActivation, Flops: perElement(14)},
	Gate: {Name: "gate", Params: []Param{in("gate", "...").strided(), in("up", "...").strided(), out("y", "...")}, Attrs: "kind cap",
		InPlace: [][2]string{{"y", "gate"}, {"y", "up"}}, Check: checkActivation, Flops: perElement(11)},
	GateGrad: {Name: "gate_grad", Params: []Param{in("dy", "..."), in("gate", "...").strided(), in("up", "...").strided(),
		out("dgate", "...").strided(), out("dup", "...").strided()}, Attrs: "kind cap",
		InPlace: [][2]string{{"dgate", "dy"}, {"dup", "dy"}, {"dgate", "gate"}, {"dup", "up"}}, Check: checkActivation, Flops: perElement(18)},
	Dropout: {Name: "dropout", Params: []Param{in("x", "..."), counter("seed"), counter("step"), counter("origin"), counter("place").opt(), out("y", "...")},
		Attrs: "rate key dim of", InPlace: [][2]string{{"y", "x"}}, Check: checkRate, Needs: needsPlace, Flops: perElement(10)},

	MatMul: {Name: "matmul", Params: []Param{in("a", "M K").strided().swapped("trans_a"), in("b", "K N").strided().swapped("trans_b"),
		in("bias", "N").opt(), out("c", "M N").strided().sums(), in("x", "M N").strided().opt(), in("residual", "M N").strided().opt(),
		out("pre", "M N").strided().opt()}, Attrs: "trans_a trans_b accumulate compute alpha kind derivative cap",
		Check: checkEpilogue, Needs: needsEpilogue, Flops: matMulFlops},
	SumRows: {Name: "sum_rows", Params: []Param{in("x", "... N").strided(), out("y", "N").sums()}, Attrs: "accumulate", Flops: perRow(1, "N")},

	LayerNorm: {Name: "layer_norm", Params: []Param{in("x", "... C"), in("weight", "C").opt(), in("bias", "C").opt(),
		out("y", "... C"), out("mean", "...").wide(), out("rstd", "...").wide()}, Attrs: "epsilon", InPlace: [][2]string{{"y", "x"}}, Flops: perRow(8, "C")},
	LayerNormGrad: {Name: "layer_norm_grad", Params: []Param{in("dy", "... C"), in("x", "... C"), in("weight", "C").opt(), in("mean", "...").wide(),
		in("rstd", "...").wide(), out("dx", "... C"), out("dweight", "C").opt().sums(), out("dbias", "C").opt().sums(), workspace()},
		Attrs: "accumulate", InPlace: [][2]string{{"dx", "dy"}, {"dx", "x"}}, Flops: perRow(14, "C")},
	RMSNorm: {Name: "rms_norm", Params: []Param{in("x", "... C"), in("weight", "C").opt(), out("y", "... C"), out("rstd", "...").wide()},
		Attrs: "epsilon offset", InPlace: [][2]string{{"y", "x"}}, Flops: perRow(5, "C")},
	RMSNormGrad: {Name: "rms_norm_grad", Params: []Param{in("dy", "... C"), in("x", "... C"), in("weight", "C").opt(), in("rstd", "...").wide(),
		out("dx", "... C"), out("dweight", "C").opt().sums(), workspace()}, Attrs: "accumulate offset",
		InPlace: [][2]string{{"dx", "dy"}, {"dx", "x"}}, Flops: perRow(10, "C")},

	RotaryTable: {Name: "rotary_table", Params: []Param{index("positions", "B T"), out("table", "B T R").wide()}, Attrs: ropeAttrs, Check: checkRope,
		Flops: func(s Sizes, _ Attrs) float64 { return 20 * float64(s["B"]) * float64(s["T"]) * float64(s["R"]) }},
	Rotary: {Name: "rotary", Params: []Param{in("x", "B T H D").strided(), in("table", "E T R").wide(), out("y", "B T H D").strided()},
		Attrs: "interleaved inverse", InPlace: [][2]string{{"y", "x"}}, Check: checkRotary,
		Flops: func(s Sizes, _ Attrs) float64 { return 3 * float64(s["B"]*s["T"]*s["H"]) * float64(s["R"]) }},
	Attention: {Name: "attention", Params: append(append([]Param{in("q", "B T H D").strided(), in("k", "B S G D").strided(),
		in("v", "B S G D").strided()}, maskParams...), out("o", "B T H D").strided(), out("lse", "B H T").wide(),
		counter("first_key").opt(), in("before", "B T H D").strided().opt(), in("before_lse", "B H T").wide().opt()),
		Attrs: maskAttrs, InPlace: [][2]string{{"o", "before"}, {"lse", "before_lse"}}, Check: checkAttention, Needs: needsBoth, Flops: attentionFlops(4)},
	AttentionGrad: {Name: "attention_grad", Params: append(append([]Param{in("do", "B T H D").strided(), in("q", "B T H D").strided(),
		in("k", "B S G D").strided(), in("v", "B S G D").strided(), in("o", "B T H D").strided(), in("lse", "B H T").wide()}, maskParams...),
		out("dq", "B T H D").strided(), out("dk", "B S G D").strided(), out("dv", "B S G D").strided(), workspace(),
		counter("first_key").opt()),
		Attrs: maskAttrs, Check: checkAttention, Needs: needsMask, Flops: attentionFlops(10)},

	CrossEntropy: {Name: "cross_entropy", Params: []Param{in("logits", "... V"), index("labels", "..."), out("loss", "...").wide(), out("lse", "...").wide(),
		in("row_weights", "...").wide().opt(), real64("weight").opt(), real64("scale").opt(), out("dlogits", "... V").opt()}, Attrs: "ignore_index smoothing",
		InPlace: [][2]string{{"dlogits", "logits"}}, Needs: needsWeight, Flops: perRow(5, "V")},
	CrossEntropyGrad: {Name: "cross_entropy_grad", Params: []Param{in("logits", "... V"), index("labels", "..."), in("lse", "...").wide(),
		in("row_weights", "...").wide().opt(), real64("weight"), real64("scale").opt(), counter("place").opt(), out("dlogits", "... V")},
		Attrs: "ignore_index smoothing classes", InPlace: [][2]string{{"dlogits", "logits"}}, Needs: needsPlace, Flops: perRow(5, "V")},
	CrossEntropyPart: {Name: "cross_entropy_part", Params: []Param{in("logits", "... V"), index("labels", "..."), counter("place").opt(), out("stats", "... 1 2").wide()},
		Attrs: "smoothing classes", Needs: needsPlace, Flops: perRow(5, "V")},
	CrossEntropyJoin: {Name: "cross_entropy_join", Params: []Param{in("stats", "... R 2").wide(), index("labels", "..."), out("loss", "...").wide(), out("lse", "...").wide()},
		Attrs: "ignore_index classes", Flops: perRow(2, "R")},
	BinaryCrossEntropy: {Name: "binary_cross_entropy", Params: []Param{in("logits", "... V"), in("targets", "... V").wide(), out("loss", "...").wide()},
		Flops: perRow(8, "V")},
	BinaryCrossEntropyGrad: {Name: "binary_cross_entropy_grad", Params: []Param{in("logits", "... V"), in("targets", "... V").wide(),
		in("row_weights", "...").wide().opt(), real64("weight"), real64("scale").opt(), out("dlogits", "... V")}, InPlace: [][2]string{{"dlogits", "logits"}}, Flops: perRow(6, "V")},
	SquaredError: {Name: "squared_error", Params: []Param{in("logits", "... V"), in("targets", "... V").wide(), out("loss", "...").wide()},
		Flops: perRow(3, "V")},
	SquaredErrorGrad: {Name: "squared_error_grad", Params: []Param{in("logits", "... V"), in("targets", "... V").wide(),
		in("row_weights", "...").wide().opt(), real64("weight"), real64("scale").opt(), out("dlogits", "... V")}, InPlace: [][2]string{{"dlogits", "logits"}}, Flops: perRow(3, "V")},
	PluginLoss: {Name: "plugin_loss", Params: []Param{in("logits", "... V"), index("labels", "...").opt(), in("targets", "... V").wide().opt(), out("loss", "...").wide(),
		in("row_weights", "...").wide().opt(), real64("weight").opt(), real64("scale").opt(), out("dlogits", "... V").opt(),
		in("input1", "... V").wide().opt(), in("input2", "... V").wide().opt()}, Attrs: "plugin ignore_index length",
		InPlace: [][2]string{{"dlogits", "logits"}}, Check: checkPlugin, Needs: needsTargets, Flops: perRow(5, "V"), Host: true},
	PluginLossGrad: {Name: "plugin_loss_grad", Params: []Param{in("logits", "... V"), index("labels", "...").opt(), in("targets", "... V").wide().opt(),
		in("row_weights", "...").wide().opt(), real64("weight"), real64("scale").opt(), out("dlogits", "... V"),
		in("input1", "... V").wide().opt(), in("input2", "... V").wide().opt()}, Attrs: "plugin ignore_index length",
		InPlace: [][2]string{{"dlogits", "logits"}}, Check: checkPlugin, Needs: needsTargets, Flops: perRow(5, "V"), Host: true},
	LossSum: {Name: "loss_sum", Params: []Param{in("loss", "...").wide(), in("row_weights", "...").wide().opt(), out("total", "1").of(Real).sums()},
		Attrs: "accumulate", Flops: perElement(2)},
	ArgMax: {Name: "argmax", Params: []Param{in("x", "... V"), out("y", "...").of(Index)}, Flops: perRow(1, "V")},

	SumSquares: {Name: "sum_squares", Params: []Param{in("x", "..."), out("total", "1").of(Real).sums()}, Attrs: "accumulate", Flops: perElement(2)},
	ClipFactor: {Name: "clip_factor", Params: []Param{in("total", "...").of(Real), real64("scale").opt(), out("norm", "1").of(Real), out("factor", "1").of(Real),
		out("finite", "1").of(Counter)}, Attrs: "max_norm", Flops: perElement(0)},
	LossScale: {Name: "loss_scale", Params: []Param{counter("finite"), real64("loss"), inout("scale", "1").of(Real), inout("good", "1").of(Counter),
		inout("updates", "1").of(Counter)}, Attrs: "growth growth_interval backoff", Check: checkLossScale, Flops: perElement(0)},
	SGD: {Name: "sgd", Params: []Param{inout("weight", "...").wide(), in("grad", "..."), inout("m", "...").wide().opt(), real64("rate"), real64("factor")},
		Attrs: "momentum nesterov decay rate_scale", Flops: perElement(6)},
	Adam: {Name: "adam", Params: []Param{inout("weight", "...").wide(), in("grad", "..."), inout("m", "...").wide(), inout("v", "...").wide(), real64("rate"),
		counter("step"), real64("factor")}, Attrs: "beta1 beta2 variance_steps epsilon decay rate_scale", Check: checkVariance, Flops: perElement(15)},
	AdamW: {Name: "adamw", Params: []Param{inout("weight", "...").wide(), in("grad", "..."), inout("m", "...").wide(), inout("v", "...").wide(), real64("rate"),
		counter("step"), real64("factor")}, Attrs: "beta1 beta2 variance_steps epsilon decay rate_scale", Check: checkVariance, Flops: perElement(15)},
	Lion: {Name: "lion", Params: []Param{inout("weight", "...").wide(), in("grad", "..."), inout("m", "...").wide(), real64("rate"), real64("factor")},
		Attrs: "beta1 beta2 decay rate_scale", Flops: perElement(11)},
	LAMBMoments: {Name: "lamb_moments", Params: []Param{in("weight", "...").wide(), in("grad", "..."), inout("m", "...").wide(), inout("v", "...").wide(),
		counter("step"), real64("factor"), out("norms", "2").of(Real)}, Attrs: "beta1 beta2 variance_steps epsilon decay", Check: checkVariance, Flops: perElement(20)},
	LAMBApply: {Name: "lamb_apply", Params: []Param{inout("weight", "...").wide(), in("m", "...").wide(), in("v", "...").wide(), in("norms", "2").of(Real),
		real64("rate"), counter("step")}, Attrs: "beta1 beta2 variance_steps epsilon decay rate_scale", Check: checkVariance, Flops: perElement(10)},
	AdafactorMoments: {Name: "adafactor_moments", Params: []Param{in("grad", "R C"), real64("factor"), counter("step"),
		inout("row", "R").wide().opt(), inout("column", "C").wide().opt(), inout("variance", "R C").wide().opt()}, Needs: needsFactors,
		Flops: func(s Sizes, _ Attrs) float64 { return 4 * float64(s["R"]) * float64(s["C"]) }},
	AdafactorNorms: {Name: "adafactor_norms", Params: []Param{in("weight", "R C").wide(), in("grad", "R C"), in("row", "R").wide().opt(), in("column", "C").wide().opt(),
		in("variance", "R C").wide().opt(), real64("factor"), out("norms", "2").of(Real)}, Attrs: "epsilon", Needs: needsFactors,
		Flops: func(s Sizes, _ Attrs) float64 { return 10 * float64(s["R"]) * float64(s["C"]) }},
	AdafactorApply: {Name: "adafactor_apply", Params: []Param{inout("weight", "R C").wide(), in("grad", "R C"), in("row", "R").wide().opt(),
		in("column", "C").wide().opt(), in("variance", "R C").wide().opt(), in("norms", "2").of(Real), real64("rate"), counter("step"), real64("factor")},
		Attrs: "epsilon epsilon2 max_rms decay rate_scale", Needs: needsFactors,
		Flops: func(s Sizes, _ Attrs) float64 { return 10 * float64(s["R"]) * float64(s["C"]) }},
	MuonMomentum: {Name: "muon_momentum", Params: []Param{in("grad", "..."), inout("m", "...").wide(), real64("factor"), out("u", "...").wide()},
		Attrs: "momentum nesterov", Flops: perElement(5)},
	NewtonSchulz: {Name: "newton_schulz", Params: []Param{in("x", "M N"), out("y", "M N"), workspace()}, Attrs: "steps epsilon compute",
		InPlace: [][2]string{{"y", "x"}}, Check: checkCompute, Flops: newtonSchulzFlops},
	MuonApply: {Name: "muon_apply", Params: []Param{inout("weight", "...").wide(), in("u", "...").wide(), real64("rate")}, Attrs: "alpha decay rate_scale",
		Flops: perElement(4)},

	QuantizeRows: {Name: "quantize_rows", Params: []Param{in("x", "N K").swapped("trans_a"), out("q", "N K").of(Quantised), out("scale", "N").wide()},
		Attrs: "trans_a", Flops: func(s Sizes, _ Attrs) float64 { return 3 * float64(s["N"]) * float64(s["K"]) }},
	MatMulInt8: {Name: "matmul_int8", Params: []Param{in("a", "M K").strided(), in("b", "N K").of(Quantised), in("scale", "N").wide(),
		in("bias", "N").opt(), out("c", "M N").strided(), in("x", "M N").strided().opt(), in("residual", "M N").strided().opt(),
		out("pre", "M N").strided().opt()}, Attrs: "alpha kind derivative cap", Check: checkInt8Sum, Needs: needsEpilogue, Flops: matMulFlops},
	EmbeddingInt8: {Name: "embedding_int8", Params: []Param{index("ids", "..."), in("table", "V C").of(Quantised), in("scale", "V").wide(),
		out("y", "... C")}, Flops: perRow(1, "C")},

	PruneMask: {Name: "prune_mask", Params: []Param{in("x", "A K B"), real64("sparsity"), out("mask", "A K B").of(Quantised)}, Attrs: "pattern group",
		Check: checkPattern, Flops: perWeight(4)},
	ApplyMask: {Name: "apply_mask", Params: []Param{in("x", "..."), in("mask", "...").of(Quantised), out("y", "...")}, InPlace: [][2]string{{"y", "x"}}, Flops: perElement(1)},
	FakeQuantize: {Name: "fake_quantize", Params: []Param{in("x", "A K B"), in("mask", "A K B").of(Quantised).opt(), counter("on").opt(), out("y", "A K B"),
		out("scale", "A G B").wide().opt(), out("zero", "A G B").wide().opt()}, Attrs: "bits group symmetric", InPlace: [][2]string{{"y", "x"}}, Check: checkBits,
		Flops: perWeight(6)},
	Encode: {Name: "encode", Params: []Param{in("x", "..."), in("residual", "..."), real64("scale").opt(), out("code", "N").of(Index), out("next", "..."), workspace()}, Attrs: "kind share",
		InPlace: [][2]string{{"next", "x"}}, Check: checkEncode, Flops: perElement(12)},
	Decode: {Name: "decode", Params: []Param{index("codes", "R N"), counter("place").opt(), real64("scale").opt(), out("y", "M")}, Attrs: "kind share of", Check: checkDecode, Needs: needsPart,
		Flops: decodeFlops},
	PluginEncode: {Name: "plugin_encode", Params: []Param{in("x", "..."), in("residual", "..."), real64("scale").opt(), out("code", "N").of(Index), out("next", "...")}, Attrs: "plugin",
		InPlace: [][2]string{{"next", "x"}}, Check: checkPlugin, Flops: perElement(12), Host: true},
	PluginDecode: {Name: "plugin_decode", Params: []Param{index("codes", "R N"), counter("place").opt(), real64("scale").opt(), out("y", "M")}, Attrs: "plugin of", Check: checkPluginDecode,
		Needs: needsPart, Flops: decodeFlops, Host: true},

	AllReduce: {Name: "all_reduce", Params: []Param{in("x", "*").of(Number), out("y", "*").of(Number)}, Attrs: "axis", InPlace: [][2]string{{"y", "x"}},
		Check: needsAxis, Collective: true},
	ReduceScatter: {Name: "reduce_scatter", Params: []Param{in("x", "*").of(Number), out("y", "*").of(Number).sums()}, Attrs: "axis dim accumulate",
		Check: needsAxis, Collective: true},
	AllGather: {Name: "all_gather", Params: []Param{in("x", "*").of(Number), out("y", "*").of(Number)}, Attrs: "axis dim", Check: needsAxis,
		Flops: perElement(0), Collective: true},
	AllToAll: {Name: "all_to_all", Params: []Param{in("x", "*").of(Number), out("y", "*").of(Number)}, Attrs: "axis dim into", Check: needsAxis,
		Flops: perElement(0), Collective: true},
	Send:    {Name: "send", Params: []Param{in("x", "*").of(Number)}, Attrs: "axis peer lane", Check: needsAxis, Flops: perElement(0), Collective: true},
	Receive: {Name: "receive", Params: []Param{out("y", "*").of(Number)}, Attrs: "axis peer lane", Check: needsAxis, Flops: perElement(0), Collective: true},
	RingShift: {Name: "ring_shift", Params: []Param{in("x", "*").of(Number), out("y", "*").of(Number)}, Attrs: "axis", Check: needsAxis,
		Flops: perElement(0), Collective: true},
}

func attentionFlops(perPair float64) func(Sizes, Attrs) float64 {
	return func(s Sizes, a Attrs) float64 {
		return perPair * float64(s["B"]) * float64(s["H"]) * float64(s["D"]) * visiblePairs(s["T"], s["S"], a)
	}
}

// visiblePairs counts the (query, key) pairs that the causal rule and the window leave, queries being the last T of S positions.
func visiblePairs(t, s int, a Attrs) float64 {
	if !a.Causal && a.Window == 0 {
		return float64(t) * float64(s)
	}
	pairs := 0
	for i := range t {
		at := i + s - t
		lo, hi := 0, s-1
		if a.Causal {
			hi = min(hi, at)
		}
		if a.Window > 0 {
			lo, hi = max(lo, at-a.Window+1), min(hi, at+a.Window-1)
		}
		pairs += max(0, hi-lo+1)
	}
	return float64(pairs)
}

func newtonSchulzFlops(s Sizes, a Attrs) float64 {
	small, large := float64(min(s["M"], s["N"])), float64(max(s["M"], s["N"]))
	return float64(a.Steps) * (4*small*small*large + 2*small*small*small)
}

// Activations are the kinds that Activate and Gate know.
var Activations = []string{"relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "soft_cap"}

func checkActivation(_ Sizes, a Attrs) error {
	if !slices.Contains(Activations, a.Kind) {
		return fmt.Errorf("unknown activation %q: use one of %s", a.Kind, strings.Join(Activations, ", "))
	}
	if (a.Kind == "soft_cap") != (a.Cap > 0) {
		return fmt.Errorf("cap = %v does not go with activation %q", a.Cap, a.Kind)
	}
	return nil
}

// checkEpilogue: a product need not have an activation.
func checkEpilogue(s Sizes, a Attrs) error {
	if err := checkCompute(s, a); err != nil {
		return err
	}
	if a.Kind == "" && a.Cap == 0 {
		return nil
	}
	return checkActivation(s, a)
}

// needsEpilogue: x and pre belong to an activation, and what accumulates is a product alone.
func needsEpilogue(has func(string) bool, a Attrs) error {
	switch {
	case a.Kind == "" && (has("x") || has("pre")):
		return fmt.Errorf("x and pre mean nothing without kind")
	case a.Derivative && !has("x"):
		return fmt.Errorf("derivative means nothing without x")
	case a.Accumulate && (a.Alpha != 0 || a.Kind != "" || has("residual")):
		return fmt.Errorf("what accumulates has no epilogue")
	}
	return nil
}

// matMulFlops counts an activation as Activate does.
func matMulFlops(s Sizes, a Attrs) float64 {
	each := 2 * float64(s["K"])
	if a.Kind != "" {
		each += 10
	}
	return each * float64(s["M"]) * float64(s["N"])
}

// MaxInt8Sum is the longest sum of MatMulInt8: a digit of an activation times a weight is at most 2¹⁴, and the sum of each digit's products is an int32.
const MaxInt8Sum = 1 << 16

func checkInt8Sum(s Sizes, a Attrs) error {
	if s["K"] > MaxInt8Sum {
		return fmt.Errorf("rows of %d are longer than the %d whose products an int32 holds", s["K"], MaxInt8Sum)
	}
	return checkEpilogue(s, a)
}

func checkIndex(s Sizes, a Attrs) error {
	if a.Index < 0 || a.Index >= s["T"] {
		return fmt.Errorf("index %d is outside the %d positions", a.Index, s["T"])
	}
	return nil
}

func checkRate(_ Sizes, a Attrs) error {
	if !(a.Rate >= 0 && a.Rate < 1) {
		return fmt.Errorf("dropout rate %v is outside [0, 1)", a.Rate)
	}
	return nil
}

func checkRope(s Sizes, a Attrs) error {
	if s["R"]%2 != 0 || !(a.Theta > 0) {
		return fmt.Errorf("rotary width %d must be even and theta %v positive", s["R"], a.Theta)
	}
	switch {
	case a.RopeScaling == "":
	case a.RopeScaling == "linear" && a.RopeFactor > 0:
	case a.RopeScaling == "llama3" && a.RopeFactor > 0 && a.RopeHigh > a.RopeLow && a.RopeOriginal > 0:
	default:
		return fmt.Errorf("rope scaling %q lacks its factors", a.RopeScaling)
	}
	return nil
}

func checkRotary(s Sizes, _ Attrs) error {
	if s["R"]%2 != 0 || s["R"] > s["D"] {
		return fmt.Errorf("rotary width %d must be even and at most the head width %d", s["R"], s["D"])
	}
	if s["E"] != 1 && s["E"] != s["B"] {
		return fmt.Errorf("a table for %d rows does not go with a batch of %d", s["E"], s["B"])
	}
	return nil
}

func checkAttention(s Sizes, a Attrs) error {
	if s["G"] == 0 || s["H"]%s["G"] != 0 {
		return fmt.Errorf("%d key-value heads do not divide %d heads", s["G"], s["H"])
	}
	if a.Window < 0 || !(a.Cap >= 0) || !(a.Scale >= 0) {
		return fmt.Errorf("window %d, cap %v and scale %v must not be negative", a.Window, a.Cap, a.Scale)
	}
	return errors.Join(checkRate(s, a), checkCompute(s, a))
}

func checkCompute(_ Sizes, a Attrs) error {
	if a.Compute != "" && a.Compute != "bf16" && a.Compute != "f16" {
		return fmt.Errorf("unknown compute type %q: use bf16 or f16, or leave it out", a.Compute)
	}
	return nil
}

func checkLossScale(_ Sizes, a Attrs) error {
	if !(a.Growth >= 1) || !(a.Backoff >= 0 && a.Backoff < 1) || a.GrowthInterval < 0 {
		return fmt.Errorf("growth %v must be at least 1, backoff %v at least 0 and under 1, and growth_interval %d not negative", a.Growth, a.Backoff, a.GrowthInterval)
	}
	return nil
}

func checkVariance(_ Sizes, a Attrs) error {
	if a.VarianceSteps < 0 {
		return fmt.Errorf("variance_steps %d is negative", a.VarianceSteps)
	}
	return nil
}

// needsMask: segments of queries mean nothing without those of keys, and dropout needs all that its random bits are made of.
func needsMask(has func(string) bool, a Attrs) error {
	if has("q_segments") && !has("k_segments") {
		return fmt.Errorf("q_segments without k_segments")
	}
	if a.Rate > 0 && !(has("seed") && has("step") && has("origin")) {
		return fmt.Errorf("dropout needs seed, step and origin")
	}
	return needsPlace(has, a)
}

// needsBoth: a result over some keys is its output and its sum.
func needsBoth(has func(string) bool, a Attrs) error {
	if has("before") != has("before_lse") {
		return fmt.Errorf("before goes with before_lse")
	}
	return needsMask(has, a)
}

// needsPlace: the number of a part means something where it is known of what.
func needsPlace(has func(string) bool, a Attrs) error {
	if has("place") && a.Of <= 0 && a.Classes <= 0 || min(a.Of, a.Length, a.Classes) < 0 {
		return fmt.Errorf("place means nothing without of or classes, which are not negative")
	}
	return nil
}

// needsWeight: the weights of the rows and their sum are those of a gradient.
func needsWeight(has func(string) bool, _ Attrs) error {
	if has("dlogits") != has("weight") || has("row_weights") && !has("dlogits") {
		return fmt.Errorf("dlogits goes with weight, and row_weights with both")
	}
	return nil
}

func checkPlugin(_ Sizes, a Attrs) error {
	if a.Plugin == "" {
		return errors.New("it names no plugin")
	}
	return nil
}

// needsTargets: a plugin compares logits with labels or with values.
func needsTargets(has func(string) bool, _ Attrs) error {
	if has("labels") == has("targets") {
		return errors.New("it takes either labels or targets")
	}
	if has("dlogits") != has("weight") || has("row_weights") && !has("dlogits") {
		return errors.New("dlogits goes with weight, and row_weights with both")
	}
	return nil
}

// Patterns are those of PruneMask.
var Patterns = []string{"elements", "groups", "slices"}

func checkPattern(s Sizes, a Attrs) error {
	switch {
	case !slices.Contains(Patterns, a.Pattern):
		return fmt.Errorf("unknown pattern %q: use one of %s", a.Pattern, strings.Join(Patterns, ", "))
	case (a.Pattern == "groups") != (a.Group > 0):
		return fmt.Errorf("group = %d does not go with pattern %q", a.Group, a.Pattern)
	case a.Group > 0 && s["K"]%a.Group != 0:
		return fmt.Errorf("groups of %d do not divide K = %d", a.Group, s["K"])
	}
	return nil
}

func checkBits(s Sizes, a Attrs) error {
	switch g, known := s["G"]; {
	case a.Bits < 2 || a.Bits > 8:
		return fmt.Errorf("%d bits are outside [2, 8]", a.Bits)
	case a.Group < 0 || a.Group > 0 && s["K"]%a.Group != 0:
		return fmt.Errorf("groups of %d do not divide K = %d", a.Group, s["K"])
	case known && g != Groups(s["K"], a):
		return fmt.Errorf("there are %d groups along K, not %d", Groups(s["K"], a), g)
	}
	return nil
}

// Groups is how many runs of K neighbours have a scale of their own.
func Groups(k int, a Attrs) int {
	if a.Group == 0 {
		return 1
	}
	return k / a.Group
}

func checkRounding(_ Sizes, a Attrs) error {
	if a.Rounding != "" && a.Rounding != "stochastic" {
		return fmt.Errorf("unknown rounding %q: use stochastic, or leave it out", a.Rounding)
	}
	return nil
}

// needsAxis: a group is that along an axis.
func needsAxis(_ Sizes, a Attrs) error {
	if a.Axis == "" {
		return fmt.Errorf("a collective needs an axis")
	}
	return nil
}

// needsWords: stochastic rounding needs all that its random bits are made of.
func needsWords(has func(string) bool, a Attrs) error {
	if a.Rounding != "" && !(has("seed") && has("step")) {
		return fmt.Errorf("stochastic rounding needs seed and step")
	}
	return nil
}

// needsFactors: the second moment is factored into row and column, or kept whole in variance.
func needsFactors(has func(string) bool, _ Attrs) error {
	if has("row") != has("column") || has("row") == has("variance") {
		return fmt.Errorf("it takes either row and column or variance")
	}
	return nil
}

// Takes says whether the operation takes the attribute, by its JSON name.
func (c *Contract) Takes(attr string) bool {
	return slices.Contains(strings.Fields(c.Attrs), attr)
}

// Param finds an operand by name; -1 when there is none.
func (c *Contract) Param(name string) int {
	return slices.IndexFunc(c.Params, func(p Param) bool { return p.Name == name })
}

// RoleOf is the role of operand i under the attributes: a summing output that accumulates is read, too.
func (c *Contract) RoleOf(i int, a Attrs) Role {
	p := c.Params[i]
	if p.Sums && a.Accumulate {
		return InOut
	}
	return p.Role
}

// MayShare says whether output i may be the same view as operand j.
func (c *Contract) MayShare(i, j int) bool {
	return slices.Contains(c.InPlace, [2]string{c.Params[i].Name, c.Params[j].Name})
}

// attrNames are the names of the attributes, in the order of the fields of Attrs.
var attrNames = func() []string {
	t := reflect.TypeFor[Attrs]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return names
}()

// patterns are the shape patterns of all operands, taken apart once: plans hold tens of thousands of operands against them.
var patterns = func() map[string][]string {
	all := map[string][]string{}
	for i := range Contracts {
		for _, p := range Contracts[i].Params {
			all[p.Shape] = strings.Fields(p.Shape)
		}
	}
	return all
}()

// Letters are those of the operand's shape pattern, "..." among them.
func (p Param) Letters() []string { return patterns[p.Shape] }

// checkAttrs refuses attributes that the operation does not take.
func (c *Contract) checkAttrs(a Attrs) error {
	if a == (Attrs{}) {
		return nil
	}
	v := reflect.ValueOf(a)
	for i, name := range attrNames {
		if !v.Field(i).IsZero() && !c.Takes(name) {
			return fmt.Errorf("%s takes no attribute %s", c.Name, name)
		}
	}
	return nil
}
