package schema

import (
	"fmt"
	"path/filepath"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"

	"github.com/gsc-project/gsc/compiler/plan"
)

// model reads the architecture: its sizes, config.json and layers.
func (e *evaluation) model(w wireModel) (Model, error) {
	v := e.value.LookupPath(cue.ParsePath("model"))
	m := Model{
		Architecture: w.Kind, Task: w.Task, Vocabulary: w.Vocabulary, Context: w.Context, Width: w.Width, Labels: w.Labels,
		From: w.From, Pos: e.src.pos(v.LookupPath(cue.ParsePath("kind")).Pos()),
	}
	if m.From != "" && !filepath.IsAbs(m.From) {
		m.From = filepath.Join(e.src.dir, m.From)
	}
	d := &layerDecoder{src: e.src}
	m.Outputs = d.integer(v, "#outputs")
	m.Layers = d.layers(v.LookupPath(cue.ParsePath("#Layers")))
	config, err := v.LookupPath(cue.ParsePath("#Export")).MarshalJSON()
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("model: its config.json: %w", err)
	}
	m.Config = config
	return m, d.err
}

// layerDecoder reads layers and keeps the first error: there is none when the
// value held against the definitions in CUE.
type layerDecoder struct {
	src *source
	err error
}

func (d *layerDecoder) fail(v cue.Value, err error) {
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("%s: %s: %w", d.src.pos(v.Pos()), v.Path(), err)
	}
}

func lookup(v cue.Value, name string) (cue.Value, bool) {
	f := v.LookupPath(cue.ParsePath(name))
	return f, f.Exists()
}

func (d *layerDecoder) text(v cue.Value, name string) string {
	f, ok := lookup(v, name)
	if !ok {
		return ""
	}
	s, err := f.String()
	d.fail(f, err)
	return s
}

func (d *layerDecoder) number(v cue.Value, name string) float64 {
	f, ok := lookup(v, name)
	if !ok {
		return 0
	}
	x, err := f.Float64()
	d.fail(f, err)
	return x
}

func (d *layerDecoder) integer(v cue.Value, name string) int {
	f, ok := lookup(v, name)
	if !ok {
		return 0
	}
	x, err := f.Int64()
	d.fail(f, err)
	return int(x)
}

func (d *layerDecoder) boolean(v cue.Value, name string) bool {
	f, ok := lookup(v, name)
	if !ok {
		return false
	}
	x, err := f.Bool()
	d.fail(f, err)
	return x
}

// list calls f for each element.
func (d *layerDecoder) list(v cue.Value, f func(cue.Value)) {
	it, err := v.List()
	d.fail(v, err)
	for err == nil && it.Next() {
		f(it.Value())
	}
}

func (d *layerDecoder) layers(v cue.Value) []Layer {
	var layers []Layer
	d.list(v, func(x cue.Value) { layers = append(layers, d.layer(x)) })
	return layers
}

// layer reads any layer: the fields that its kind does not have stay zero.
func (d *layerDecoder) layer(v cue.Value) Layer {
	l := Layer{
		Kind: d.text(v, "kind"), Name: d.text(v, "name"), Region: d.text(v, "region"), Pos: d.src.pos(d.layerPos(v)),
		Index: d.text(v, "index"), Rows: d.integer(v, "rows"),
		Norm: d.text(v, "norm"), Epsilon: d.number(v, "epsilon"), Offset: d.number(v, "offset"),
		Activation: d.text(v, "activation"), Factor: d.number(v, "factor"), Rate: d.number(v, "rate"),
		Position: d.integer(v, "position"), Count: d.integer(v, "count"),
	}
	switch l.Kind {
	case "embedding", "norm":
		l.Weight, l.Bias = d.weight(v, "weight"), d.weight(v, "bias")
	case "activation":
		l.Cap = d.number(v, "cap")
	case "linear":
		l.Linear = d.projection(v)
	case "gated":
		l.Up, l.Gate = d.projectionAt(v, "up"), d.projectionAt(v, "gate")
	case "attention":
		l.Attention = d.attention(v)
	case "residual", "repeat", "group":
		branches, _ := lookup(v, "branches")
		d.list(branches, func(x cue.Value) { l.Branches = append(l.Branches, d.layers(x)) })
	}
	return l
}

func (d *layerDecoder) attention(v cue.Value) *Attention {
	return &Attention{
		Heads: d.integer(v, "heads"), KVHeads: d.integer(v, "kv_heads"), HeadWidth: d.integer(v, "head"),
		QKV: d.projectionAt(v, "qkv"), Q: d.projectionAt(v, "q"), K: d.projectionAt(v, "k"), V: d.projectionAt(v, "v"),
		Out:    d.projectionAt(v, "out"),
		Causal: d.boolean(v, "causal"), Window: d.integer(v, "window"), Scale: d.number(v, "scale"), Cap: d.number(v, "cap"),
		Dropout: d.number(v, "dropout"), Rotary: d.rotary(v), QNorm: d.normAt(v, "q_norm"), KNorm: d.normAt(v, "k_norm"),
	}
}

func (d *layerDecoder) rotary(v cue.Value) *Rotary {
	r, ok := lookup(v, "rotary")
	if !ok {
		return nil
	}
	return &Rotary{
		Theta: d.number(r, "theta"), Width: d.integer(r, "width"), Interleaved: d.boolean(r, "interleaved"), Scaling: d.text(r, "scaling"),
		Factor: d.number(r, "factor"), Low: d.number(r, "low"), High: d.number(r, "high"), Original: d.number(r, "original"),
	}
}

func (d *layerDecoder) normAt(v cue.Value, name string) *Layer {
	f, ok := lookup(v, name)
	if !ok {
		return nil
	}
	l := d.layer(f)
	return &l
}

func (d *layerDecoder) projectionAt(v cue.Value, name string) *Linear {
	f, ok := lookup(v, name)
	if !ok {
		return nil
	}
	return d.projection(f)
}

func (d *layerDecoder) projection(v cue.Value) *Linear {
	l := &Linear{In: d.dims(v, "in"), Out: d.dims(v, "out"), Layout: d.text(v, "layout"), Bias: d.weight(v, "bias")}
	if w := d.weight(v, "weight"); w != nil {
		l.Weight = *w
	}
	return l
}

// dims reads a list of {name: size}.
func (d *layerDecoder) dims(v cue.Value, name string) []plan.Dim {
	var dims []plan.Dim
	f, _ := lookup(v, name)
	d.list(f, func(x cue.Value) {
		it, err := x.Fields()
		d.fail(x, err)
		for err == nil && it.Next() {
			size, err := it.Value().Int64()
			d.fail(it.Value(), err)
			dims = append(dims, plan.Dim{Name: it.Selector().Unquoted(), Size: int(size)})
		}
	})
	return dims
}

func (d *layerDecoder) weight(v cue.Value, name string) *Weight {
	f, ok := lookup(v, name)
	if !ok {
		return nil
	}
	init, _ := lookup(f, "init")
	title, _ := lookup(f, "name")
	return &Weight{
		Name: d.text(f, "name"), Pos: d.src.pos(title.Pos()),
		Init: plan.Init{Kind: d.text(init, "kind"), Value: d.number(init, "value"), Std: d.number(init, "std"), Bound: d.number(init, "bound")},
	}
}

// layerPos is where the architecture names the layer; without a name, where the first layer in its branches stands.
func (d *layerDecoder) layerPos(v cue.Value) token.Pos {
	if name, ok := lookup(v, "name"); ok {
		return name.Pos()
	}
	if first := v.LookupPath(cue.ParsePath("branches[0][0]")); first.Exists() {
		return d.layerPos(first)
	}
	return v.Pos()
}
