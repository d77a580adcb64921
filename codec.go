package gsc

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/schema"
)

// withCodec is the strategy with what the module of its gradient codec says of itself.
func withCodec(s *schema.Strategy) (made *schema.Strategy, err error) {
	if s.Parallel.Codec == nil || s.Parallel.Codec.Plugin == nil {
		return s, nil
	}
	p := s.Parallel.Codec.Plugin
	wasm, err := os.ReadFile(modulePath(s.Data.Base, &p.Plugin))
	if err != nil {
		return nil, s.Wrong(p.Path+".plugin", fmt.Sprintf("cannot read the module: %v", err), "the file is looked for beside the strategy")
	}
	wrong := func(err error) error {
		return s.Wrong(p.Path+".plugin", err.Error(), "gsc plugin check "+p.File+" says more")
	}
	err = loaded(p, wasm, func(module *plugins.Plugin) error {
		m := module.Manifest
		if m.Codec == nil {
			return wrong(fmt.Errorf("plugin %s (%s %s): it is a %s, not a gradient codec", p.File, m.Name, m.Version, m.Kind))
		}
		sizes := map[int]int{}
		made, err = s.WithCodec(schema.Module{Name: m.Name, Version: m.Version, Digest: module.Digest, Params: m.Params}, func(params []byte, n int) (int, error) {
			if size, ok := sizes[n]; ok {
				return size, nil
			}
			size, err := codeBytes(p, wasm, params, n)
			if err != nil {
				return 0, wrong(err)
			}
			sizes[n] = size
			return size, nil
		})
		return err
	})
	var told *schema.Error
	var list schema.Errors
	if err != nil && !errors.As(err, &told) && !errors.As(err, &list) {
		err = wrong(err)
	}
	return made, err
}

// loaded has a module for a while.
func loaded(p *schema.Plugin, wasm []byte, do func(*plugins.Plugin) error) (err error) {
	ctx := context.Background()
	host, err := plugins.NewHost(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	module, err := host.Load(ctx, p.File, wasm, limitsOf(&p.Plugin))
	if err != nil {
		return err
	}
	return do(module)
}

// codeBytes asks a codec how long its codes of so many numbers are. The compiler does so for a few lengths, long after the module was looked at.
func codeBytes(p *schema.Plugin, wasm, params []byte, n int) (size int, err error) {
	err = loaded(p, wasm, func(module *plugins.Plugin) error {
		codec, err := module.NewCodec(context.Background(), params, 1)
		if err != nil {
			return err
		}
		size, err = codec.Bytes(n)
		return errors.Join(err, codec.Close())
	})
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
		return h.codecs[p.Name].BindEncode(c.Args[0], c.Args[1], c.Args[2], c.Args[3], spread)
	}
	return h.codecs[p.Name].BindDecode(c.Args[0], (*int64)(c.Args[1].Data), c.Attrs.Of, c.Args[2], spread)
}
