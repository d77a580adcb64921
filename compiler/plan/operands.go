package plan

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// operands applies rules 13 to 16 to every instruction, each building on the one before.
func (v *stageVerifier) operands() {
	v.each(func(a at, in *Instruction) {
		for _, rule := range []func(*Instruction) error{v.references, v.ranges, v.contract} {
			if err := rule(in); err != nil {
				v.refused[in] = true
				v.failIn(a, "%v", err)
				return
			}
		}
	})
}

// operandName is what the contract calls an operand.
func operandName(in *Instruction, i int) string {
	if int(in.Op) < len(kernels.Contracts) && i < len(kernels.Contracts[in.Op].Params) {
		return kernels.Contracts[in.Op].Params[i].Name
	}
	return fmt.Sprintf("#%d", i)
}

// references is rule 13.
func (v *stageVerifier) references(in *Instruction) error {
	if err := v.counter(in.Predicate); err != nil {
		return fmt.Errorf("predicate: %w", err)
	}
	for i, o := range in.Operands {
		switch {
		case o.Buffer == Absent.Buffer:
			if o.Offset != 0 || len(o.Shape) > 0 || len(o.Strides) > 0 || o.Bound != 0 || o.Part != "" || o.Step != 0 {
				return fmt.Errorf("operand %s is absent, but has an offset, shape, strides or bound", operandName(in, i))
			}
		case o.Buffer < 0 || o.Buffer >= len(v.stage.Buffers):
			return fmt.Errorf("operand %s: there is no buffer %%%d", operandName(in, i), o.Buffer)
		}
		if err := v.counter(o.Bound); err != nil {
			return fmt.Errorf("operand %s: bound: %w", operandName(in, i), err)
		}
	}
	return nil
}

// counter holds a reference, plus 1, to be an I64 scalar; 0 is none.
func (v *stageVerifier) counter(plusOne int) error {
	if plusOne == 0 {
		return nil
	}
	id := plusOne - 1
	if id < 0 || id >= len(v.stage.Buffers) {
		return fmt.Errorf("there is no buffer %%%d", id)
	}
	if b := &v.stage.Buffers[id]; b.Class != ScalarKind || b.DType != kernels.I64 {
		return fmt.Errorf("%s is of class %s and type %v, want an i64 scalar", v.stage.label(id), b.Class, b.DType)
	}
	return nil
}

// ranges is rule 14.
func (v *stageVerifier) ranges(in *Instruction) error {
	for i, o := range in.Operands {
		if o.Buffer < 0 {
			continue
		}
		size := kernels.Elements(v.stage.Buffers[o.Buffer].Shape())
		n, ok := extent(o.Shape, o.Strides)
		if !ok {
			return fmt.Errorf("operand %s: shape %v with strides %v is no view: lengths and strides must be positive, and their products small",
				operandName(in, i), o.Shape, o.Strides)
		}
		if o.Offset < 0 || o.Offset > size || n > size-o.Offset {
			return fmt.Errorf("operand %s: %d elements from element %d do not lie within %s, which has %d",
				operandName(in, i), n, o.Offset, v.stage.label(o.Buffer), size)
		}
	}
	return nil
}

// extent is kernels.Extent with checked arithmetic: false where lengths or strides are not positive, or too large for any arena.
func extent(shape, strides []int) (int, bool) {
	n, ok := elements(shape)
	if !ok || strides == nil {
		return n, ok
	}
	if len(strides) != len(shape) {
		return 0, false
	}
	last := 0
	for i, s := range shape {
		if strides[i] < 1 || strides[i] > MaxArenaBytes || s > 1 && strides[i] > MaxArenaBytes/(s-1) {
			return 0, false
		}
		if last += (s - 1) * strides[i]; last > MaxArenaBytes {
			return 0, false
		}
	}
	return last + 1, true
}

// calls refuses an instruction whose plugin the plan lacks, or gives it other targets than it takes, and one whose operands no plugin can see.
func (v *stageVerifier) calls(in *Instruction) error {
	args := v.stage.Tensors(in)
	p, labels := v.plan.Plugin(in.Attrs.Plugin), kernels.Contracts[in.Op].Param("labels")
	kind := PluginLoss
	if in.Op == kernels.PluginEncode || in.Op == kernels.PluginDecode {
		kind = PluginCodec
	}
	switch {
	case p == nil:
		return fmt.Errorf("the plan has no plugin %q", in.Attrs.Plugin)
	case p.Kind != kind:
		return fmt.Errorf("plugin %s is a %s, not a %s", p.Name, p.Kind, kind)
	case kind == PluginLoss && (in.Operands[labels].Buffer >= 0) != (p.Targets == TargetClasses):
		return fmt.Errorf("plugin %s compares with %s", p.Name, p.Targets)
	case kind == PluginLoss && !p.inputsFit(in):
		return fmt.Errorf("plugin %s takes the inputs %v", p.Name, p.Inputs)
	case p.Records() > 0 && (in.Attrs.Length < 1 || args[0].Len()/args[0].Shape[len(args[0].Shape)-1]%(p.Records()*in.Attrs.Length) != 0):
		return fmt.Errorf("plugin %s takes %s of %d rows, which the logits %v do not divide into", p.Name, p.Unit, in.Attrs.Length, args[0].Shape)
	case v.kind.Separate:
		return fmt.Errorf("plugins work on the host's memory, and device kind %s has its own", v.kind.Name)
	}
	return nil
}

// contract is rules 15 and 16.
func (v *stageVerifier) contract(in *Instruction) error {
	args := v.stage.Tensors(in)
	sizes, err := kernels.Check(in.Op, in.Attrs, args)
	if err != nil {
		return err
	}
	if kernels.Contracts[in.Op].Host {
		if err := v.calls(in); err != nil {
			return err
		}
	}
	if in.Attrs.Of > 0 && (in.Op == kernels.Decode || in.Op == kernels.PluginDecode) {
		if err := v.decodesPart(in, args); err != nil {
			return err
		}
	}
	if kernels.Contracts[in.Op].Collective {
		if v.plan.Degree(in.Attrs.Axis) < 2 {
			return fmt.Errorf("axis %q: the mesh has no such axis", in.Attrs.Axis)
		}
		if err := v.exchange(in, args); err != nil {
			return err
		}
		if in.Predicate != 0 {
			return fmt.Errorf("a collective with a predicate: ranks that skip it would leave the others waiting")
		}
	}
	for i, p := range kernels.Contracts[in.Op].Params {
		if args[i].Absent() {
			continue
		}
		if in.Op != kernels.Zero && !v.kept(p, args[i].DType) {
			return fmt.Errorf("operand %s: type %v, but device kind %s computes in %v", p.Name, args[i].DType, v.kind.Name, v.kind.Compute)
		}
		if b := &v.stage.Buffers[in.Operands[i].Buffer]; b.Space != kernels.DeviceMemory && in.Op != kernels.Copy {
			return fmt.Errorf("operand %s: %s lies in %v memory, where only a copy works", p.Name, v.stage.label(b.ID), b.Space)
		}
	}
	return v.workspace(in, sizes, args)
}

// decodesPart refuses codes of which a rank would decode a part that they do not have.
func (v *stageVerifier) decodesPart(in *Instruction, args []kernels.Tensor) error {
	parts, scalar := in.Attrs.Of/max(1, args[len(args)-1].Len()), in.Operands[kernels.Contracts[in.Op].Param("place")].Buffer
	i := slices.IndexFunc(v.plan.Scalars, func(s Scalar) bool { return s.Buffer == scalar })
	if i < 0 {
		return fmt.Errorf("operand place: it is no scalar of the plan")
	}
	p, ok := placeOf(v.plan.Scalars[i].Name)
	places := 1
	for _, axis := range p.axes {
		places *= max(1, v.plan.Degree(axis))
	}
	if !ok || p.times < 1 || (places-1)*p.times >= parts {
		return fmt.Errorf("operand place: %s is no place among %d parts", v.plan.Scalars[i].Name, parts)
	}
	return nil
}

// exchange looks at what a collective moves.
func (v *stageVerifier) exchange(in *Instruction, args []kernels.Tensor) error {
	degree, last := v.plan.Degree(in.Attrs.Axis), args[len(args)-1]
	if _, err := kernels.ExchangeOf(in.Op, in.Attrs, args[0].Shape, last.Shape, degree); err != nil {
		return err
	}
	if args[0].DType != last.DType {
		return fmt.Errorf("operand y has the type %v, x %v", last.DType, args[0].DType)
	}
	if in.Op != kernels.Send && in.Op != kernels.Receive {
		if in.Open != 0 {
			return fmt.Errorf("it is open, which only what is sent or received may be")
		}
		return nil
	}
	switch place := v.plan.Place(v.rank, AxisPipeline); {
	case in.Attrs.Axis != AxisPipeline:
		return fmt.Errorf("axis %q: ranks send to those of other stages, along %s", in.Attrs.Axis, AxisPipeline)
	case in.Attrs.Peer < 0 || in.Attrs.Peer >= degree || in.Attrs.Peer == place:
		return fmt.Errorf("peer %d of the %d places along %s, of which the rank has %d", in.Attrs.Peer, degree, in.Attrs.Axis, place)
	case (in.Open != 0) != (in.Stream != 0):
		return fmt.Errorf("stream %d: what is sent or received goes on beside what is computed where it is open, and only there", in.Stream)
	}
	return nil
}

// kept says whether the device kind keeps an operand in a type, which the contract admits.
func (v *stageVerifier) kept(p kernels.Param, d kernels.DType) bool {
	switch {
	case p.Class == kernels.Float && p.Wide:
		return d == v.kind.Compute
	case p.Class == kernels.Float, p.Class == kernels.Any && d.Float(), p.Class == kernels.Number && d.Half(), p.Class == kernels.Half && d != kernels.BF16:
		return v.kind.Keeps(d)
	}
	return true
}

func (v *stageVerifier) workspace(in *Instruction, sizes kernels.Sizes, args []kernels.Tensor) error {
	need := v.kind.Workspace(in.Op, sizes, in.Attrs)
	if need <= 0 {
		return nil
	}
	i := kernels.Contracts[in.Op].Param("workspace")
	if i < 0 {
		return fmt.Errorf("device kind %s needs %d bytes of workspace, but %v takes none", v.kind.Name, need, in.Op)
	}
	has := int64(0)
	if !args[i].Absent() {
		has = int64(args[i].Len())
	}
	if has < need {
		return fmt.Errorf("operand workspace has %d bytes, but device kind %s needs %d", has, v.kind.Name, need)
	}
	return nil
}

// parts holds the axes of operands that are parts to those of the mesh. What else must be true of them is looked at for the first
// rank and the last one: between these, the same views lie at other places.
func (v *verifier) parts(s int) bool {
	st, ok := &v.plan.Stages[s], true
	sv := &stageVerifier{verifier: v, index: s, stage: st}
	sv.each(func(a at, in *Instruction) {
		for i, o := range in.Operands {
			if o.Part != "" && v.plan.Degree(o.Part) < 2 {
				sv.failIn(a, "operand %s: it is a part along %q, and the mesh has no such axis", operandName(in, i), o.Part)
				ok = false
			} else if o.Step < 0 || o.Step > MaxArenaBytes/maxDegree || o.Part == "" && o.Step != 0 {
				sv.failIn(a, "operand %s: a step of %d elements", operandName(in, i), o.Step)
				ok = false
			}
		}
	})
	return ok
}

// writers is rule 17.
func (v *stageVerifier) writers() {
	frozen, writer := map[int]bool{}, map[int]at{}
	for i := range v.plan.Tensors {
		t := &v.plan.Tensors[i]
		if id, here := t.In(v.index); here && t.Frozen {
			frozen[id] = true
		}
	}
	v.each(func(a at, in *Instruction) {
		if v.refused[in] {
			return
		}
		for i, o := range in.Operands {
			if o.Buffer < 0 || !role(in, i).Writes() || v.stage.Buffers[o.Buffer].Class != Weight || v.gathersInPlace(in) {
				continue
			}
			if frozen[o.Buffer] {
				v.failIn(a, "operand %s: it writes %s, which is frozen", operandName(in, i), v.stage.label(o.Buffer))
			}
			if first, twice := writer[o.Buffer]; twice {
				v.failIn(a, "operand %s: it writes %s, which %s writes already", operandName(in, i), v.stage.label(o.Buffer), v.stage.where(first))
			} else {
				writer[o.Buffer] = a
			}
		}
	})
}

// gathersInPlace says whether an instruction gathers the parts of a buffer, of which the rank's lies in its place already: it changes none.
func (v *stageVerifier) gathersInPlace(in *Instruction) bool {
	if in.Op != kernels.AllGather || in.Attrs.Dim != 0 {
		return false
	}
	x, y := &in.Operands[0], &in.Operands[1]
	place := v.plan.Place(v.rank, in.Attrs.Axis)
	return x.Buffer == y.Buffer && x.Strides == nil && y.Strides == nil && x.Offset == y.Offset+place*kernels.Elements(x.Shape)
}

// where names an instruction in a message.
func (s *Stage) where(a at) string {
	p := &s.Programs[a.program]
	if a.instruction < 0 {
		return "the filling of the inputs of program " + p.Name
	}
	return fmt.Sprintf("%s (program %s, instruction %d)", p.Instructions[a.instruction].Name, p.Name, a.instruction)
}
