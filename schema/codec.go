package schema

import "github.com/gsc-project/gsc/compiler/plan"

// CodecPath is where a strategy says how gradients are coded.
const CodecPath = "parallel.codec"

// Codec is how the gradients are coded that ranks of data would add up.
type Codec struct {
	Kind   string   // kernels.TopK, kernels.OneBit or "plugin"
	Share  float64  // of top_k: of the numbers, that are sent
	Match  []string // globs over names of weights; nil: all matrices
	Plugin *Plugin  // of the kind "plugin"
	Warmup *int64   // steps without codes at the beginning; nil: as many as the optimizer needs

	// Bytes is the largest code of so many numbers that the plugin makes, which [Strategy.WithCodec] fills in.
	Bytes func(n int) (int, error) `json:"-"`
}

// wireCodec is a codec as CUE has it.
type wireCodec struct {
	wirePlugin
	Kind   string
	Share  float64
	Match  []string
	Warmup *int64
}

// codec reads it; nil where there is none.
func (w *wireCodec) codec() (*Codec, error) {
	if w == nil {
		return nil, nil
	}
	c := &Codec{Kind: w.Kind, Share: w.Share, Match: w.Match, Warmup: w.Warmup}
	if w.Plugin == "" {
		return c, nil
	}
	var err error
	c.Plugin, err = w.plugin(CodecPath, plan.PluginCodec)
	return c, err
}

// WithCodec is the strategy with what was found in the module of its codec, and how many bytes that makes of so many numbers at most, by its complete parameters.
func (s *Strategy) WithCodec(m Module, bytes func(params []byte, n int) (int, error)) (*Strategy, error) {
	params, err := s.params(s.Parallel.Codec.Plugin, m)
	if err != nil {
		return nil, err
	}
	made, c, p := *s, *s.Parallel.Codec, *s.Parallel.Codec.Plugin
	p.Name, p.Version, p.Digest, p.Params = m.Name, m.Version, m.Digest, params
	c.Plugin, c.Bytes = &p, func(n int) (int, error) { return bytes(params, n) }
	made.Parallel.Codec = &c
	return &made, nil
}

// codec: what a code can stand in for is the sum of a whole gradient over the ranks of data and replica.
func (d *diagnosis) codec() {
	if _, ok := d.text(CodecPath + ".kind"); !ok {
		return
	}
	at := func(path string) []string { return []string{CodecPath, path} }
	tensor, _ := d.integer("parallel.mesh.tensor")
	replica, _ := d.integer("parallel.mesh.replica")
	ranks, _ := d.integer("parallel.mesh.data")
	d.wrongIf(tensor > 1 && replica > 1 && ranks > 1, at("parallel.mesh.tensor"), "use parallel.mesh.data for all that take rows, or no codec",
		"what codes leave out would be shared out along replica, data and tensor at once")
	d.wrongIf(d.is("devices.kind", "cuda"), at("devices.kind"), `use devices.kind: "cpu", or no codec`, "kernels for GPUs do not code gradients")
	for _, open := range []string{"parallel.mesh.data", "parallel.mesh.replica", "parallel.mesh.sequence", "parallel.mesh.tensor", "parallel.mesh.pipeline", "parallel.zero"} {
		d.wrongIf(d.is(open, Auto), at(open), "say how the work is shared out, or use no codec", "what is learnt with a codec depends on the number of ranks, which the compiler is to choose")
	}
	patterns, _ := d.list(CodecPath + ".match")
	d.wrongIf(patterns != nil && len(patterns) == 0, []string{CodecPath + ".match"}, "leave it out for all matrices", "it names no weights")
}
