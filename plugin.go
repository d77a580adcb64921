package gsc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/schema"
)

// pluginsDir is where a run's folder keeps the modules that its plan pins, each named by its digest.
const pluginsDir = "plugins"

// modulePath is where a plan's plugin lies that has not been kept.
func modulePath(base string, p *plan.Plugin) string {
	if filepath.IsAbs(p.File) {
		return p.File
	}
	return filepath.Join(base, p.File)
}

// keptModule is where a run keeps a module.
func keptModule(run, digest string) string { return filepath.Join(run, pluginsDir, digest+".wasm") }

// withModules is the strategy with what its plugins' modules say of themselves.
func withModules(s *schema.Strategy) (_ *schema.Strategy, err error) {
	if s, err = withCodec(s); err != nil {
		return nil, err
	}
	p := s.Objective.Plugin
	if p == nil {
		return s, nil
	}
	path := p.Path + ".plugin"
	wasm, err := os.ReadFile(modulePath(s.Data.Base, &p.Plugin))
	if err != nil {
		return nil, s.Wrong(path, fmt.Sprintf("cannot read the module: %v", err), "the file is looked for beside the strategy")
	}
	ctx := context.Background()
	host, err := plugins.NewHost(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	module, err := host.Load(ctx, p.File, wasm, plugins.Limits{MemoryBytes: p.MemoryBytes, Time: p.Time})
	if err != nil {
		return nil, s.Wrong(path, err.Error(), "gsc plugin check "+p.File+" says more")
	}
	m := module.Manifest
	return s.WithPlugin(schema.Module{Name: m.Name, Version: m.Version, Digest: module.Digest, Params: m.Params, Targets: string(m.Targets)})
}

// pluginChanges says how the modules that a strategy names differ from those that a run was begun with. One that is not there any more differs in nothing: the run has kept it.
func pluginChanges(s *schema.Strategy, stored *plan.Plan) string {
	named, changes := []*schema.Plugin{s.Objective.Plugin}, ""
	if c := s.Parallel.Codec; c != nil {
		named = append(named, c.Plugin)
	}
	for _, p := range named {
		for i := range stored.Plugins {
			of := &stored.Plugins[i]
			if p == nil || p.Kind != of.Kind || p.File != of.File {
				continue
			}
			wasm, err := os.ReadFile(modulePath(s.Data.Base, of))
			if digest := plugins.Digest(wasm); err == nil && digest != of.Digest {
				changes += fmt.Sprintf("%s: the module's digest is %.12s, now %.12s\n", of.File, of.Digest, digest)
			}
		}
	}
	return changes
}

// readModule finds the module that a plan pins: in the folder of its run, or where the strategy had it.
func readModule(run, base string, p *plan.Plugin) ([]byte, error) {
	if run != "" {
		if wasm, err := os.ReadFile(keptModule(run, p.Digest)); err == nil && plugins.Digest(wasm) == p.Digest {
			return wasm, nil
		}
	}
	wasm, err := os.ReadFile(modulePath(base, p))
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", p.Name, err)
	}
	if digest := plugins.Digest(wasm); digest != p.Digest {
		return nil, fmt.Errorf("plugin %s: %s is not the module that the plan was made with: its sha256 is %.12s, not %.12s; put that one back, or plan again", p.Name, p.File, digest, p.Digest)
	}
	return wasm, nil
}

// keepModules copies what a plan pins into the folder of its run.
func keepModules(run string, p *plan.Plan) error {
	for i := range p.Plugins {
		wasm, err := readModule(run, p.Data.Base, &p.Plugins[i])
		if err == nil {
			err = os.MkdirAll(filepath.Join(run, pluginsDir), 0o777)
		}
		if err == nil {
			err = renameio.WriteFile(keptModule(run, p.Plugins[i].Digest), wasm, 0o666)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pluginHost holds the plugins of a session's plan.
type pluginHost struct {
	host   *plugins.Host
	loaded map[string]*plugins.Plugin
}

// rankPlugins runs them for one rank, with instances of its own: ranks run at the same time, and what tells them apart is not their devices, which may be equal.
type rankPlugins struct {
	*pluginHost
	losses map[lossKey]*plugins.Loss
	codecs map[string]*plugins.Codec // by plugin
}

// lossKey is what the instances of a loss serve.
type lossKey struct {
	plugin  string
	classes int
}

// openPlugins loads the plugins of the session's plan, once.
func (s *session) openPlugins() error {
	if s.plugins != nil || len(s.plan.Plugins) == 0 {
		return nil
	}
	ctx := context.Background()
	host, err := plugins.NewHost(ctx)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, host)
	made := &pluginHost{host: host, loaded: map[string]*plugins.Plugin{}}
	for i := range s.plan.Plugins {
		p := &s.plan.Plugins[i]
		wasm, err := readModule(s.modules, s.plan.Data.Base, p)
		if err == nil {
			made.loaded[p.Name], err = host.Load(ctx, p.File, wasm, plugins.Limits{MemoryBytes: p.MemoryBytes, Time: p.Time})
		}
		if err != nil {
			return err
		}
	}
	s.plugins = made
	return nil
}

// Progress is that of all plugins.
func (h *pluginHost) Progress() int64 { return h.host.Progress() }

// Bind prepares an instruction that is a plugin's.
func (h *rankPlugins) Bind(p *plan.Plugin, c kernels.Call, device kernels.Device) (func() error, error) {
	workers, spread := 1, plugins.Spread(func(pieces int, job func(piece, worker int)) {
		for piece := range pieces {
			job(piece, 0)
		}
	})
	if d, ok := device.(kernels.Spreader); ok {
		workers, spread = d.Threads(), d.Spread
	}
	sizes, err := kernels.Check(c.Op, c.Attrs, c.Args)
	if err != nil {
		return nil, err
	}
	if p.Kind == plan.PluginCodec {
		return h.bindCodec(p, c, workers, spread)
	}
	key := lossKey{p.Name, sizes["V"]}
	if h.losses[key] == nil {
		if h.losses[key], err = h.loaded[p.Name].NewLoss(context.Background(), p.Params, sizes["V"], workers); err != nil {
			return nil, err
		}
	}
	return h.losses[key].Bind(lossRows(c), spread), nil
}

// lossRows names the operands of a loss.
func lossRows(c kernels.Call) plugins.Rows {
	arg := func(name string) kernels.Tensor {
		if i := kernels.Contracts[c.Op].Param(name); i >= 0 {
			return c.Args[i]
		}
		return kernels.Tensor{}
	}
	return plugins.Rows{Logits: arg("logits"), Labels: arg("labels"), Targets: arg("targets"), Weights: arg("row_weights"), Ignore: c.Attrs.IgnoreIndex,
		Loss: arg("loss"), Gradient: arg("dlogits"), Total: (*float64)(arg("weight").Data), Scale: (*float64)(arg("scale").Data)}
}

// Finding is what a check of a plugin found.
type Finding = plugins.Finding

// PluginOptions say how a plugin is checked.
type PluginOptions struct {
	Params string // in CUE, such as "gamma: 2"
	Limits plugins.Limits
}

// CheckPlugin holds a module to the contract of plugins. Its error is that it could not be looked at; what is wrong with it is in the findings.
func CheckPlugin(ctx context.Context, file string, o PluginOptions) (list []Finding, err error) {
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	host, err := plugins.NewHost(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	return host.Check(ctx, filepath.Base(file), wasm, o.Limits, func(m abi.Manifest) ([]byte, error) { return schema.Params(m.Params, o.Params) }), nil
}
