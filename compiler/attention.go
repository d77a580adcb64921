package compiler

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// attention emits projections, the norms and rotary embedding of q and k, the
// cache, the scores and the output projection.
func (b *builder) attention(a *schema.Attention, name string, x *graph.Value) *graph.Value {
	q, k, v := b.project(a, name, x)
	if len(b.problems) > 0 {
		return x
	}
	q, k = b.headNorm(a.QNorm, name+".q_norm", q), b.headNorm(a.KNorm, name+".k_norm", k)
	if a.Rotary != nil {
		q, k = b.rotary(a.Rotary, name+".q_rotary", q), b.rotary(a.Rotary, name+".k_rotary", k)
	}
	if b.mode.cached() {
		k, v = b.cache(name+".k", k), b.cache(name+".v", v)
	}
	o := b.activation(name+".scores", q.Dims...)
	lse := b.activation(name+".lse", q.Dims[0], q.Dims[2], q.Dims[1])
	args := graph.Args{"q": graph.Is(q), "k": graph.Is(k), "v": graph.Is(v), "o": graph.Is(o), "lse": graph.Is(lse), "offset": b.cachePosition()}
	attrs := kernels.Attrs{Causal: a.Causal, Window: a.Window, Scale: a.Scale, Cap: a.Cap}
	b.masks(args, a.Causal)
	if a.Dropout > 0 && b.mode.kind == plan.Train {
		attrs.Rate, attrs.Key = a.Dropout, kernels.StreamKey(kernels.PurposeDropout, name)
		b.random(args)
	}
	b.Emit(kernels.Attention, name+".scores", attrs, args)
	return b.linear(a.Out, name+".out", o)
}

// project gives q, k and v, each (batch, seq, heads, head). Of a fused
// projection they are views.
func (b *builder) project(a *schema.Attention, name string, x *graph.Value) (q, k, v *graph.Value) {
	if a.QKV == nil {
		return b.linear(a.Q, name+".q", x), b.linear(a.K, name+".k", x), b.linear(a.V, name+".v", x)
	}
	qkv := b.linear(a.QKV, name+".qkv", x)
	for i, d := range qkv.Dims {
		if d.Name == "part" && d.Size == 3 {
			return b.Graph.Part(qkv, i, 0, name+".q"), b.Graph.Part(qkv, i, 1, name+".k"), b.Graph.Part(qkv, i, 2, name+".v")
		}
	}
	b.fail(a.QKV.Weight.Pos, "the fused projection %s has no dim part of size 3 among %v", name, a.QKV.Out)
	return x, x, x
}

func (b *builder) headNorm(l *schema.Layer, name string, x *graph.Value) *graph.Value {
	if l == nil {
		return x
	}
	if x.View != nil { // norms take dense rows
		dense := b.activation(name+".dense", x.Dims...)
		b.Emit(kernels.Copy, name+".dense", kernels.Attrs{}, graph.Args{"x": graph.Is(x), "y": graph.Is(dense)})
		x = dense
	}
	return b.norm(l, name, x)
}

func (b *builder) rotary(r *schema.Rotary, name string, x *graph.Value) *graph.Value {
	y := b.activation(name, x.Dims...)
	b.Emit(kernels.Rotary, name, kernels.Attrs{Interleaved: r.Interleaved},
		graph.Args{"x": graph.Is(x), "table": graph.Is(b.rotaryTable(r)), "y": graph.Is(y)})
	return y
}

// rotaryTable is shared by all layers that turn by the same angles.
func (b *builder) rotaryTable(r *schema.Rotary) *graph.Value {
	settings := *r
	settings.Interleaved = false
	key := fmt.Sprintf("rotary %+v", settings)
	if v := b.tables[key]; v != nil {
		return v
	}
	v := b.activation("rotary_table", append(b.batchSeq(), plan.Dim{Name: "head", Size: r.Width})...)
	attrs := kernels.Attrs{Theta: r.Theta, RopeScaling: r.Scaling, RopeFactor: r.Factor, RopeLow: r.Low, RopeHigh: r.High, RopeOriginal: r.Original}
	b.shared(key, v, func() {
		b.Emit(kernels.RotaryTable, "rotary_table", attrs, graph.Args{"positions": graph.Is(b.positions()), "table": graph.Is(v)})
	})
	return v
}

// cache writes keys or values behind the ones already there and gives all of them.
func (b *builder) cache(name string, x *graph.Value) *graph.Value {
	dims := append([]plan.Dim{}, x.Dims...)
	dims[1] = plan.Dim{Name: "kv_seq", Size: b.strategy.Model.Context}
	c, _ := b.Graph.Lasting("cache."+name, plan.Cache, kernels.F32, dims...)
	b.Emit(kernels.CacheWrite, name+".cache", kernels.Attrs{},
		graph.Args{"x": graph.Is(x), "offset": graph.Is(b.Graph.Scalar(plan.ScalarPosition)), "cache": graph.Is(c)})
	return c
}

// masks adds what the batch says of which keys may be seen.
func (b *builder) masks(args graph.Args, causal bool) {
	// What pads rows lies behind the tokens: a query that sees what is before it alone does not see it, nor one that is told whose keys it sees.
	padded := b.mode.tokens > b.mode.length && !causal && !b.given(plan.InputSegments) && !b.given(plan.InputMask)
	if b.given(plan.InputLengths) || padded {
		args["lengths"] = graph.Is(b.input(plan.InputLengths, kernels.I32, b.batchSeq()[0]))
	}
	if b.given(plan.InputSegments) {
		segments := graph.Is(b.input(plan.InputSegments, kernels.I32, b.batchSeq()...))
		args["q_segments"], args["k_segments"] = segments, segments
	}
	if b.given(plan.InputMask) {
		args["k_segments"] = graph.Is(b.input(plan.InputMask, kernels.I32, b.batchSeq()...))
	}
}
