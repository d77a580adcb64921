package schema

import (
	"bytes"
	"encoding/json"
	"slices"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// Auto is the value of what a strategy leaves the compiler to choose.
const Auto = "auto"

// allAuto is what parallel: "auto" stands for.
const allAuto = `{mesh: {replica: "auto", data: "auto", sequence: "auto", tensor: "auto", pipeline: "auto"}, zero: "auto", pipeline: {schedule: "auto", chunks: "auto"}}`

// spellOut puts what parallel: "auto" stands for in its place: one definition with a default and one of another kind beside it would cost all errors of
// the section their words.
func spellOut(inst *build.Instance) {
	for _, n := range entries(inst.Files) {
		lit, ok := (*n.expr).(*ast.BasicLit)
		if n.path != "parallel" || !ok || lit.Kind != token.STRING {
			continue
		}
		if text, err := literal.Unquote(lit.Value); err != nil || text != Auto {
			continue
		}
		all, err := parser.ParseExpr("parallel", allAuto)
		if err != nil {
			panic(err) // it is a constant
		}
		at := lit.Pos()
		ast.Walk(all, func(node ast.Node) bool { ast.SetPos(node, at); return true }, nil)
		*n.expr = all
		astutil.Resolve(n.file, func(token.Pos, string, ...any) {})
	}
}

// withAuto is the definitions for the stock cue tool, which does not spell out.
func withAuto(text []byte) []byte {
	return bytes.Replace(text, []byte("parallel:   #Parallel"), []byte(`parallel:   *#Parallel | "auto"`), 1)
}

// wireParallel is the section parallel as CUE has it: numbers may be "auto".
type wireParallel struct {
	Mesh      struct{ Replica, Data, Sequence, Tensor, Pipeline number }
	Zero      number
	Reduce    string
	Bucket    any
	Rules     []Rule
	Attention string
	Codec     *wireCodec
	Pipeline  struct {
		Schedule string
		Chunks   number
	}
}

// axes are those of the mesh.
var axes = []string{"data", "replica", "sequence", "tensor", "pipeline"}

// OpenAxes is how many axes of the mesh the compiler is to choose.
func (p Parallel) OpenAxes() (n int) {
	for _, axis := range axes {
		if slices.Contains(p.Open, "mesh."+axis) {
			n++
		}
	}
	return n
}

// AllAxesOpen says whether it chooses all of the mesh.
func (p Parallel) AllAxesOpen() bool { return p.OpenAxes() == len(axes) }

// number is a whole number; −1 stands for "auto".
type number int

func (n *number) UnmarshalJSON(text []byte) error {
	if string(text) == `"auto"` {
		*n = -1
		return nil
	}
	return json.Unmarshal(text, (*int)(n))
}

// parallel notes what is open; there is 0 in its place.
func (w *wireParallel) parallel() Parallel {
	p := Parallel{Reduce: w.Reduce, Rules: w.Rules, Attention: w.Attention}
	for _, o := range []struct {
		path string
		from number
		to   *int
	}{
		{"mesh.replica", w.Mesh.Replica, &p.Mesh.Replica}, {"mesh.data", w.Mesh.Data, &p.Mesh.Data}, {"mesh.sequence", w.Mesh.Sequence, &p.Mesh.Sequence}, {"mesh.tensor", w.Mesh.Tensor, &p.Mesh.Tensor},
		{"mesh.pipeline", w.Mesh.Pipeline, &p.Mesh.Pipeline}, {"zero", w.Zero, &p.Zero}, {"pipeline.chunks", w.Pipeline.Chunks, &p.Pipeline.Chunks},
	} {
		if *o.to = int(o.from); o.from < 0 {
			*o.to, p.Open = 0, append(p.Open, o.path)
		}
	}
	if p.Pipeline.Schedule = w.Pipeline.Schedule; p.Pipeline.Schedule == Auto {
		p.Pipeline.Schedule, p.Open = "", append(p.Open, "pipeline.schedule")
	}
	return p
}
