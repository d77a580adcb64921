package plan

import (
	"slices"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// buffer finds a buffer of a stage; nil when there is none.
func (v *verifier) buffer(stage, id int) *Buffer {
	if stage < 0 || stage >= len(v.plan.Stages) || id < 0 || id >= len(v.plan.Stages[stage].Buffers) {
		return nil
	}
	return &v.plan.Stages[stage].Buffers[id]
}

// hasStage says whether there is a stage to look at; rule 1 says that there must be.
func (v *verifier) hasStage() bool { return len(v.plan.Stages) > 0 }

var initKinds = []string{"zeros", "ones", "constant", "normal", "uniform", InitWeight}

// tensors is rule 7.
func (v *verifier) tensors() {
	if !v.hasStage() {
		return
	}
	names, weights, owner := map[string]Class{}, map[string]*Tensor{}, map[Copy]string{}
	for i := range v.plan.Tensors {
		t := &v.plan.Tensors[i]
		if _, twice := names[t.Name]; twice || t.Name == "" {
			v.failAt(t.Pos, "tensor %q stands twice or has no name", t.Name)
		}
		if names[t.Name] = t.Class; t.Class == Weight {
			weights[t.Name] = t
		}
		for _, c := range append([]Copy{{t.Stage, t.Buffer}}, t.Copies...) {
			if other, shared := owner[c]; shared {
				v.failAt(t.Pos, "tensors %s and %s share buffer %%%d", other, t.Name, c.Buffer)
			}
			owner[c] = t.Name
			v.tensor(t, c)
		}
		v.copies(t)
	}
	loaded := v.loaded()
	for i := range v.plan.Tensors {
		switch t := &v.plan.Tensors[i]; {
		case t.Class == State && names[t.Of] != Weight:
			v.failAt(t.Pos, "tensor %s: it is state of %q, which is no weight", t.Name, t.Of)
		case t.Class == State && !v.sharedAs(t, weights[t.Of]):
			v.failAt(t.Pos, "tensor %s: cut %+v and part %q do not go with how %s is shared out", t.Name, t.Cut, t.Part, t.Of)
		case t.Class == Weight && t.Init.Kind == InitWeight:
			v.failAt(t.Pos, "tensor %s: a weight does not start as another one", t.Name)
		case t.Class == Weight && t.Of != "" && !loaded[t.Of]:
			v.failAt(t.Pos, "tensor %s: it is computed of %q, which no program loads", t.Name, t.Of)
		}
	}
	for s := range v.plan.Stages {
		for id, b := range v.plan.Stages[s].Buffers {
			if _, ok := owner[Copy{s, id}]; !ok && (b.Class == Weight || b.Class == Taught || b.Class == State) {
				v.fail("buffer %d %s: class %s, but no tensor is kept in it", id, b.Name, b.Class)
			}
		}
	}
}

// sharedAs says whether a state is shared out as it must be beside its weight, whose elements are its own where it has the same dims. Of terms each rank that takes rows has one, which is shared out as the weight is.
func (v *verifier) sharedAs(t, weight *Tensor) bool {
	switch {
	case weight == nil:
		return false
	case !t.Terms:
		return !slices.Equal(t.Dims, weight.Dims) || t.Cut == weight.Cut
	case len(t.Dims) == 0 || !slices.Equal(t.Dims[1:], weight.Dims):
		return false
	}
	cut, part := CutOfTerms(weight.Cut, v.plan.Degree)
	return t.Cut == cut && t.Part == part
}

// copies: only weights have some, one a stage.
func (v *verifier) copies(t *Tensor) {
	seen := map[int]bool{t.Stage: true}
	for _, c := range t.Copies {
		if t.Class != Weight || seen[c.Stage] {
			v.failAt(t.Pos, "tensor %s: a copy in stage %d, where it is kept already, or of what is no weight", t.Name, c.Stage)
		}
		seen[c.Stage] = true
	}
}

// loaded are the weights that are computed with when they are loaded: the inputs of the programs that load.
func (v *verifier) loaded() map[string]bool {
	names := map[string]bool{}
	st := &v.plan.Stages[0]
	programs := st.byName()
	for i := range st.Schedules {
		for _, c := range st.Schedules[i].Calls {
			if p := programs[c.Program]; p != nil && st.Schedules[i].Kind == Load {
				for _, port := range p.Inputs {
					names[port.Name] = true
				}
			}
		}
	}
	return names
}

// tensor looks at a tensor in one of the stages that keep it.
func (v *verifier) tensor(t *Tensor, in Copy) {
	b := v.buffer(in.Stage, in.Buffer)
	n, sized := elements(t.Shape())
	switch {
	case t.Class != Weight && t.Class != Taught && t.Class != State:
		v.failAt(t.Pos, "tensor %s: class %q is neither weight nor optimizer", t.Name, t.Class)
	case t.Class == Taught && (!t.Frozen || v.plan.Model.Teacher.From == "" || !strings.HasPrefix(t.Name, TeacherPrefix)):
		v.failAt(t.Pos, "tensor %s: it is a teacher's, and the plan has none, trains it, or calls it otherwise than %s…", t.Name, TeacherPrefix)
	case !sized:
		v.failAt(t.Pos, "tensor %s: dims %v must be at most %d, positive, and their product at most %d", t.Name, t.Dims, MaxDims, int64(MaxArenaBytes))
	case b == nil:
		v.failAt(t.Pos, "tensor %s: there is no buffer %%%d in stage %d", t.Name, in.Buffer, in.Stage)
	case t.Cut.Axis == AxisPipeline || t.Part == AxisPipeline:
		v.failAt(t.Pos, "tensor %s: it is shared out along %s, whose stages have tensors of their own", t.Name, AxisPipeline)
	case t.Cut.Axis != "" && (v.plan.Degree(t.Cut.Axis) < 2 || t.Cut.Dim < 0 || t.Cut.Dim >= len(t.Dims) || t.Cut.Dim > 0 && t.Dims[t.Cut.Dim].Size%v.plan.Degree(t.Cut.Axis) != 0):
		v.failAt(t.Pos, "tensor %s: dim %d of %v does not divide along %q, of degree %d", t.Name, t.Cut.Dim, t.Shape(), t.Cut.Axis, v.plan.Degree(t.Cut.Axis))
	case t.Part != "" && (v.plan.Degree(t.Part) < 2 || t.Part == t.Cut.Axis || v.plan.cutLen(t)%v.plan.Degree(t.Part) != 0):
		v.failAt(t.Pos, "tensor %s: its %d elements do not divide along %q, of degree %d", t.Name, v.plan.cutLen(t), t.Part, v.plan.Degree(t.Part))
	case t.Terms && (t.Class != State || len(t.Dims) == 0 || t.Dims[0].Size != v.plan.RowRanks() || n != v.plan.PartLen(t)*v.plan.RowRanks()*v.plan.shares(t)):
		v.failAt(t.Pos, "tensor %s: its terms %v are not one for each of the %d ranks that take rows", t.Name, t.Shape(), v.plan.RowRanks())
	case b.Class != t.Class || b.DType != t.DType || kernels.Elements(b.Shape()) != v.plan.PartLen(t):
		v.failAt(t.Pos, "tensor %s: %s %v %v does not go with buffer %%%d %s, which is %s %v %v",
			t.Name, t.Class, t.DType, t.Shape(), b.ID, b.Name, b.Class, b.DType, b.Shape())
	}
	if stored, ok := elements(t.Stored); t.Stored != nil && (!ok || sized && stored != n) {
		v.failAt(t.Pos, "tensor %s: %v in a model folder is not a shape of %v", t.Name, t.Stored, t.Shape())
	}
	if !slices.Contains(initKinds, t.Init.Kind) || t.Init.Std < 0 || t.Init.Bound < 0 {
		v.failAt(t.Pos, "tensor %s: initialisation %+v: use one of %s, with a deviation and bound that are not negative", t.Name, t.Init, strings.Join(initKinds, ", "))
	}
}

// scalarTypes are the types of the scalars that the runtime knows; others may be F64 or I64.
var scalarTypes = map[string]kernels.DType{
	ScalarStep: kernels.I64, ScalarSeed: kernels.I64, ScalarOrigin: kernels.I64, ScalarPosition: kernels.I64, ScalarFinite: kernels.I64,
	ScalarGood: kernels.I64, ScalarUpdates: kernels.I64, ScalarLossScale: kernels.F64,
	ScalarRate: kernels.F64, ScalarWeight: kernels.F64, ScalarLoss: kernels.F64, ScalarNorm: kernels.F64, ScalarPruned: kernels.F64,
}

// scalars is rule 8.
func (v *verifier) scalars() {
	if !v.hasStage() {
		return
	}
	names, owner := map[string]bool{}, map[int]bool{}
	for _, s := range v.plan.Scalars {
		if names[s.Name] || s.Name == "" {
			v.fail("scalar %q stands twice or has no name", s.Name)
		}
		if owner[s.Buffer] {
			v.fail("scalar %s shares buffer %%%d with another", s.Name, s.Buffer)
		}
		names[s.Name], owner[s.Buffer] = true, true
		for stage := range v.plan.Stages {
			v.scalar(s, stage)
		}
	}
	for s := range v.plan.Stages {
		for id, b := range v.plan.Stages[s].Buffers {
			if b.Class == ScalarKind && !owner[id] {
				v.fail("buffer %d %s: class scalar, but no scalar is kept in it", id, b.Name)
			}
		}
	}
}

// scalar looks at a scalar in a stage.
func (v *verifier) scalar(s Scalar, stage int) {
	b := v.buffer(stage, s.Buffer)
	if b == nil {
		v.fail("scalar %s: there is no buffer %%%d", s.Name, s.Buffer)
		return
	}
	if n, _ := elements(b.Shape()); b.Class != ScalarKind || n != 1 {
		v.fail("scalar %s: buffer %%%d has class %s and shape %v, want a scalar of one element", s.Name, s.Buffer, b.Class, b.Shape())
	}
	want, known := scalarTypes[s.Name]
	if p, ok := placeOf(s.Name); ok {
		want, known = kernels.I64, true
		for _, axis := range p.axes {
			if v.plan.Degree(axis) < 2 {
				v.fail("scalar %s: the mesh has no axis %q", s.Name, axis)
			}
		}
	}
	if known && b.DType != want || !known && b.DType != kernels.F64 && b.DType != kernels.I64 {
		v.fail("scalar %s: its buffer %%%d has type %v, want %v", s.Name, s.Buffer, b.DType, max(want, kernels.F64))
	}
}

// programs is rule 9.
func (v *verifier) programs() {
	for s := range v.plan.Stages {
		names := map[string]bool{}
		for i := range v.plan.Stages[s].Programs {
			p := &v.plan.Stages[s].Programs[i]
			if names[p.Name] || p.Name == "" {
				v.fail("stage %d: program %q stands twice or has no name", s, p.Name)
			}
			if p.Length < 0 {
				v.fail("stage %d: program %s: length %d is negative", s, p.Name, p.Length)
			}
			names[p.Name] = true
			v.ports(&v.plan.Stages[s], p)
		}
	}
}

func (v *verifier) ports(st *Stage, p *Program) {
	for _, list := range [][]Port{p.Inputs, p.Outputs} {
		names, used := map[string]bool{}, map[int]bool{}
		for _, port := range list {
			if port.Buffer < 0 || port.Buffer >= len(st.Buffers) {
				v.fail("program %s: port %s: there is no buffer %%%d", p.Name, port.Name, port.Buffer)
				continue
			}
			if names[port.Name] || used[port.Buffer] || port.Name == "" {
				v.fail("program %s: port %q (%%%d) stands twice or has no name", p.Name, port.Name, port.Buffer)
			}
			names[port.Name], used[port.Buffer] = true, true
		}
	}
	for _, port := range p.Inputs {
		if port.Buffer >= 0 && port.Buffer < len(st.Buffers) && st.Buffers[port.Buffer].Class != Input {
			v.fail("program %s: input %s: %s has class %s, want input", p.Name, port.Name, st.label(port.Buffer), st.Buffers[port.Buffer].Class)
		}
	}
}
