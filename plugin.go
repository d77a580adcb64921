package gsc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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

// with is the strategy with what its plugins' modules say of themselves.
func (ms *modules) with(s *schema.Strategy) (*schema.Strategy, error) {
	ms.base = s.Data.Base
	for _, with := range []func(*schema.Strategy) (*schema.Strategy, error){ms.withCodec, ms.withLoss, ms.withPolicies, ms.withTransforms} {
		var err error
		if s, err = with(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// withLoss is the strategy with what the module of its loss says of itself.
func (ms *modules) withLoss(s *schema.Strategy) (*schema.Strategy, error) {
	if s.Objective.Plugin == nil {
		return s, nil
	}
	m, err := ms.lookAt(s, s.Objective.Plugin, abi.LossKind)
	if err != nil {
		return nil, err
	}
	made, err := s.WithPlugin(m)
	if err != nil {
		return nil, err
	}
	p := made.Objective.Plugin
	module, err := ms.load(&p.Plugin)
	if err == nil {
		err = module.Accepts(context.Background(), p.Params)
	}
	if err != nil {
		return nil, s.Wrong(p.Path+".params", err.Error(), fmt.Sprintf("they are %s with what its schema adds", p.Params))
	}
	return made, nil
}

// codecKind is what a policy is called that codes gradients.
const codecKind abi.Kind = "gradient codec"

// is says whether a module is of a kind.
func is(m *abi.Manifest, kind abi.Kind) bool {
	if kind == codecKind {
		return m.Codec != nil
	}
	return m.Kind == kind
}

// lookAt is what the module of a plugin says of itself.
func (ms *modules) lookAt(s *schema.Strategy, p *schema.Plugin, kind abi.Kind) (schema.Module, error) {
	if p.MemoryBytes > plugins.MaxMemoryBytes {
		return schema.Module{}, s.Wrong(p.Path+".memory", "it is more than WebAssembly's pointers reach", "give it 4GiB at most")
	}
	if p.Time <= 0 {
		return schema.Module{}, s.Wrong(p.Path+".time", "a call may not take that long: nothing ends before it begins", `say how long, such as "10s"`)
	}
	module, err := ms.load(&p.Plugin)
	if err != nil {
		return schema.Module{}, said(s, p, err)
	}
	m := module.Manifest
	if kind == abi.PolicyKind && m.Codec != nil && !module.Decides() {
		return schema.Module{}, s.Wrong(p.Path+".plugin", fmt.Sprintf("%s is a gradient codec, not a policy that compresses weights", p.File), "name it in parallel.codec")
	}
	if !is(&m, kind) {
		return schema.Module{}, s.Wrong(p.Path+".plugin", fmt.Sprintf("%s is a %s, not a %s", p.File, m.Kind, kind), "")
	}
	of := schema.Module{Name: m.Name, Version: m.Version, Digest: module.Digest, Params: m.Params, Targets: string(m.Targets), Inputs: m.Inputs,
		Transform: schema.TransformModule{On: string(m.On), Evaluates: m.Evaluates, Labels: m.Labels == abi.LabelsAreTokens, Weights: m.Weights}}
	if m.Unit != abi.Rows {
		of.Unit = string(m.Unit)
	}
	return of, nil
}

// said is an error of a plugin, where the strategy names it.
func said(s *schema.Strategy, p *schema.Plugin, err error) error {
	fix := checkOf(&p.Plugin) + " says more"
	if unread := (*fs.PathError)(nil); errors.As(err, &unread) {
		fix = "the file is looked for beside the strategy"
	}
	return s.Wrong(p.Path+".plugin", err.Error(), fix)
}

// checkOf is the command that checks a plan's plugin, with its parameters and within its bounds.
func checkOf(p *plan.Plugin) string {
	words, own := "gsc plugin check", plugins.DefaultLimits
	if params := strings.TrimSuffix(strings.TrimPrefix(string(p.Params), "{"), "}"); params != "" {
		words += fmt.Sprintf(" --params '%s'", params)
	}
	if p.MemoryBytes != 0 && p.MemoryBytes != own.MemoryBytes {
		words += fmt.Sprintf(" --memory %dB", p.MemoryBytes)
	}
	if p.Time != 0 && p.Time != own.Time {
		words += fmt.Sprintf(" --time %v", p.Time)
	}
	if p.Fuel != 0 {
		words += fmt.Sprintf(" --fuel %d", p.Fuel)
	}
	return words + " " + p.File
}

// limitsOf are the bounds of a plan's plugin.
func limitsOf(p *plan.Plugin) plugins.Limits {
	return plugins.Limits{MemoryBytes: p.MemoryBytes, Time: p.Time, Fuel: p.Fuel}
}

// pluginChanges says how the modules that a strategy names differ from those that a run was begun with. One that is not there any more differs in nothing: the run has kept it.
func pluginChanges(s *schema.Strategy, stored *plan.Plan) string {
	changes := ""
	for _, p := range stored.Plugins {
		wasm, err := readWasm(modulePath(s.Data.Base, &p))
		if digest := plugins.Digest(wasm); err == nil && digest != p.Digest {
			changes += fmt.Sprintf("%s: the module's digest is %.12s, now %.12s\n", p.File, p.Digest, digest)
		}
	}
	return changes
}

// readWasm reads a module. What is no file, or larger than a module may be, is not read.
func readWasm(file string) ([]byte, error) {
	info, err := os.Stat(file) // before it is opened, which may wait for who writes to it
	switch {
	case err != nil:
		return os.ReadFile(file)
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: file, Err: errors.New("it is no file")}
	case info.Size() > plugins.MaxModuleBytes:
		return nil, fmt.Errorf("%s: it has %d bytes, more than a module may, %d", file, info.Size(), plugins.MaxModuleBytes)
	}
	return os.ReadFile(file)
}

// readModule finds the module that a plan pins: in the folder of its run, which keeps it, or where the strategy had it.
func readModule(run, base string, p *plan.Plugin) (wasm []byte, kept bool, err error) {
	spoilt := ""
	if run != "" {
		wasm, err = readWasm(keptModule(run, p.Digest))
		if err == nil && plugins.Digest(wasm) == p.Digest {
			return wasm, true, nil
		} else if err == nil {
			spoilt = fmt.Sprintf("%s is not the module that the plan was made with any more, and ", keptModule(run, p.Digest))
		}
	}
	if wasm, err = readWasm(modulePath(base, p)); err != nil {
		return nil, false, fmt.Errorf("plugin %s: %s%w", p.Name, spoilt, err)
	}
	if digest := plugins.Digest(wasm); digest != p.Digest {
		return nil, false, fmt.Errorf("plugin %s: %s is not the module that the plan was made with: its sha256 is %.12s, not %.12s; put that one back, or plan again", p.Name, p.File, digest, p.Digest)
	}
	return wasm, false, nil
}

// keepModules copies what a plan pins into the folder of its run.
func keepModules(run string, p *plan.Plan) error {
	for i := range p.Plugins {
		wasm, kept, err := readModule(run, p.Data.Base, &p.Plugins[i])
		if kept {
			continue
		}
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

// triedModule says that a run has tried a module that it keeps, with its parameters and within its bounds.
func triedModule(run string, p *plan.Plugin) string {
	with := sha256.Sum256(fmt.Appendf(nil, "%s %+v", p.Params, limitsOf(p)))
	return fmt.Sprintf("%s.%x.tried", keptModule(run, p.Digest), with[:4])
}

// beginTried begins a run, if it is new, once the modules that are new to it were held to the short form of their check, and notes that they were.
func (s *session) beginTried(ctx context.Context, r *run) error {
	tried, err := s.try(ctx, r.dir)
	if err == nil {
		err = r.begin()
	}
	for _, note := range tried {
		if err == nil {
			err = renameio.WriteFile(note, nil, 0o666)
		}
	}
	return err
}

// try tries the modules that a run has not tried yet, and lists the files that are to say so.
func (s *session) try(ctx context.Context, run string) (notes []string, err error) {
	for i := range s.plan.Plugins {
		p := &s.plan.Plugins[i]
		note := triedModule(run, p)
		if _, err := os.Stat(note); err == nil {
			continue
		}
		if err := s.plugins.loaded[p.Name].Try(ctx, p.Params); err != nil {
			return nil, fmt.Errorf("before the first step plugin %s is tried: %w; %s says more", p.Name, err, checkOf(p))
		}
		notes = append(notes, note)
	}
	return notes, nil
}

// pluginHost holds the plugins of a session's plan.
type pluginHost struct {
	host   *plugins.Host
	loaded map[string]*plugins.Plugin
}

// rankPlugins runs them for one rank, with instances of its own: ranks run at the same time, and what tells them apart is not their devices, which may be equal.
type rankPlugins struct {
	*pluginHost
	losses   map[lossKey]*plugins.Loss
	policies map[string]*plugins.Policy
	codecs   map[string]*plugins.Codec // by plugin
}

// lossKey is what the instances of a loss serve.
type lossKey struct {
	plugin          string
	classes, length int
}

// openPlugins loads the plugins of the session's plan, once.
func (s *session) openPlugins() error {
	if s.plugins != nil || len(s.plan.Plugins) == 0 {
		return nil
	}
	made, err := loadPlugins(s.modules, s.plan.Data.Base, s.plan.Plugins)
	if err != nil {
		return err
	}
	s.closers, s.plugins = append(s.closers, made.host), made
	return nil
}

// loadPlugins loads plugins whose modules lie in the folder of a run, or below a base.
func loadPlugins(run, base string, list []plan.Plugin) (*pluginHost, error) {
	ctx := context.Background()
	host, err := plugins.NewHost(ctx)
	if err != nil {
		return nil, err
	}
	made := &pluginHost{host: host, loaded: map[string]*plugins.Plugin{}}
	for i := range list {
		p := &list[i]
		wasm, kept, err := readModule(run, base, p)
		if err == nil && run != "" && !kept && isFolder(filepath.Join(run, pluginsDir)) { // the run's own is spoilt or gone; one that may only be read stays as it is
			_ = renameio.WriteFile(keptModule(run, p.Digest), wasm, 0o666)
		}
		if err == nil {
			made.loaded[p.Name], err = host.Load(ctx, p.File, wasm, limitsOf(p))
		}
		if err == nil {
			err = saysTheSame(p, &made.loaded[p.Name].Manifest)
		}
		if err != nil {
			return nil, errors.Join(err, host.Close())
		}
	}
	return made, nil
}

// saysTheSame refuses a plan that says other things of a plugin than its module does, which what is bound to it relies on.
func saysTheSame(p *plan.Plugin, m *abi.Manifest) error {
	kind, unit := string(m.Kind), string(m.Unit)
	if m.Unit == abi.Rows {
		unit = ""
	}
	if p.Kind == plan.PluginCodec && m.Codec != nil {
		kind = plan.PluginCodec
	}
	for _, said := range []struct{ what, plan, module string }{
		{"kind", p.Kind, kind}, {"targets", p.Targets, string(m.Targets)}, {"unit", p.Unit, unit}, {"inputs", strings.Join(p.Inputs, " "), strings.Join(m.Inputs, " ")},
	} {
		if said.plan != said.module && (said.what == "kind" || p.Kind == plan.PluginLoss) {
			return fmt.Errorf("plugin %s: its %s is %q in the plan, but %q in the module: plan again", p.Name, said.what, said.plan, said.module)
		}
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// tell has what plugins print shown among what is told of a run.
func (s *session) tell(r *recorder) {
	if s.plugins != nil {
		s.plugins.host.Log(func(line string) { r.Note("%s", line) })
	}
}

// Progress is that of all plugins.
func (h *pluginHost) Progress() int64 { return h.host.Progress() }

// Bind prepares an instruction that is a plugin's.
func (h *rankPlugins) Bind(p *plan.Plugin, c kernels.Call, device kernels.Device, place func(row int) string) (func() error, error) {
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
	key := lossKey{p.Name, sizes["V"], c.Attrs.Length}
	if h.losses[key] == nil {
		if h.losses[key], err = h.loaded[p.Name].NewLoss(context.Background(), p.Params, sizes["V"], c.Attrs.Length, workers); err != nil {
			return nil, err
		}
	}
	rows := lossRows(c)
	rows.Name = place
	rows.Vectors, _ = device.(kernels.Vectors)
	return h.losses[key].Bind(rows, spread), nil
}

// lossRows names the operands of a loss.
func lossRows(c kernels.Call) plugins.Rows {
	arg := func(name string) kernels.Tensor {
		if i := kernels.Contracts[c.Op].Param(name); i >= 0 {
			return c.Args[i]
		}
		return kernels.Tensor{}
	}
	var inputs []kernels.Tensor
	for _, name := range []string{"input1", "input2"} {
		if t := arg(name); t.Data != nil {
			inputs = append(inputs, t)
		}
	}
	return plugins.Rows{Inputs: inputs, Logits: arg("logits"), Labels: arg("labels"), Targets: arg("targets"), Weights: arg("row_weights"), Ignore: c.Attrs.IgnoreIndex,
		Loss: arg("loss"), Gradient: arg("dlogits"), Total: (*float64)(arg("weight").Data), Scale: (*float64)(arg("scale").Data)}
}

// PluginTask is what a module says that it does: "loss", "policy", "codec", "transform of records" or "transform of rows". Plugins of a task go through the same checks. Empty: it cannot be loaded. Its error is
// that it could not be looked at.
func PluginTask(ctx context.Context, file string) (task string, err error) {
	wasm, err := readWasm(file)
	if err != nil {
		return "", err
	}
	host, err := plugins.NewHost(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	p, err := host.Load(ctx, filepath.Base(file), wasm, plugins.Limits{})
	if wrong := (*plugins.Error)(nil); errors.As(err, &wrong) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return p.Manifest.Task(), nil
}

// Finding is what a check of a plugin found.
type Finding = plugins.Finding

// PluginOptions say how a plugin is checked.
type PluginOptions struct {
	Params string // in CUE, such as "gamma: 2"
	Limits plugins.Limits
	Print  func(line string) // told of what the plugin prints; may be nil
}

// CheckPlugin holds a module to the contract of plugins. Its error is that it could not be looked at; what is wrong with it is in the findings.
func CheckPlugin(ctx context.Context, file string, o PluginOptions) (list []Finding, err error) {
	wasm, err := readWasm(file)
	if err != nil {
		return nil, err
	}
	host, err := plugins.NewHost(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	if o.Print != nil {
		host.Log(o.Print)
	}
	list = host.Check(ctx, filepath.Base(file), wasm, o.Limits, func(m abi.Manifest) ([]byte, error) { return schema.Params(m.Params, o.Params) })
	return list, ctx.Err()
}
