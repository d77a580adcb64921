package gsc

import (
	"context"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/schema"
)

// withCodec is the strategy with what the module of its gradient codec says of itself.
func (ms *modules) withCodec(s *schema.Strategy) (*schema.Strategy, error) {
	if s.Parallel.Codec == nil || s.Parallel.Codec.Plugin == nil {
		return s, nil
	}
	p := s.Parallel.Codec.Plugin
	m, err := ms.lookAt(s, p, codecKind)
	if err != nil {
		return nil, err
	}
	return s.WithCodec(m, func(params []byte, n int) (int, error) {
		size, err := ms.codeBytes(p, params, n)
		if err != nil {
			err = said(s, p, err)
		}
		return size, err
	})
}

// codeBytes asks the codec how long its codes of so many numbers are at most.
func (ms *modules) codeBytes(p *schema.Plugin, params []byte, n int) (int, error) {
	if size, ok := ms.sizes[n]; ok {
		return size, nil
	}
	if ms.codec == nil {
		module, err := ms.load(&p.Plugin)
		if err != nil {
			return 0, err
		}
		if ms.codec, err = module.NewCodec(context.Background(), params, 1); err != nil {
			return 0, err
		}
	}
	size, err := ms.codec.Bytes(n)
	if err == nil {
		ms.sizes[n] = size
	}
	return size, err
}

// bindCodec prepares an instruction of a gradient codec.
func (h *rankPlugins) bindCodec(p *plan.Plugin, c kernels.Call, workers int, spread plugins.Spread) (func() error, error) {
	if h.codecs[p.Name] == nil {
		codec, err := h.loaded[p.Name].NewCodec(context.Background(), p.Params, workers)
		if err != nil {
			return nil, err
		}
		h.codecs[p.Name] = codec
	}
	if c.Op == kernels.PluginEncode {
		return h.codecs[p.Name].BindEncode(c.Args[0], c.Args[1], (*float64)(c.Args[2].Data), c.Args[3], c.Args[4], spread)
	}
	return h.codecs[p.Name].BindDecode(c.Args[0], (*int64)(c.Args[1].Data), c.Attrs.Of, (*float64)(c.Args[2].Data), c.Args[3], spread)
}
