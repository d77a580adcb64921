package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/plugins/meter"
)

// pageBytes is the unit in which WebAssembly's memory grows.
const pageBytes = 64 << 10

// MaxModuleBytes is how large a module may be.
var MaxModuleBytes = int64(meter.DefaultLimits.ModuleBytes)

// MaxMemoryBytes is as much as WebAssembly's pointers reach.
const MaxMemoryBytes = 4 << 30

// Host compiles plugins and holds their instances.
type Host struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache
	asked   atomic.Int64
	log
}

// NewHost makes a host. Compiled modules are kept in the user's cache folder, where there is one that can be written.
func NewHost(ctx context.Context) (*Host, error) {
	h := &Host{cache: cache()}
	h.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(h.cache).WithDebugInfoEnabled(false))
	_, err := h.runtime.NewHostModuleBuilder(meter.RefillModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(refill), []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).Export(meter.RefillName).Instantiate(ctx)
	if err == nil {
		err = h.offer(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func cache() wazero.CompilationCache {
	if dir, err := os.UserCacheDir(); err == nil {
		if c, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, "gsc", "plugins")); err == nil {
			return c
		}
	}
	return wazero.NewCompilationCache()
}

// Log has what plugins print told to somebody, a line at a time with the plugin's name before it, and one line at a time from whatever goroutine.
func (h *Host) Log(to func(line string)) { h.listen(to) }

// Progress is a number that changes every few milliseconds while a plugin computes. It may be asked for at any time.
func (h *Host) Progress() int64 { return h.asked.Load() }

// Close frees all plugins and their instances.
func (h *Host) Close() error {
	ctx := context.Background()
	var err error
	if h.runtime != nil {
		err = h.runtime.Close(ctx)
	}
	return errors.Join(err, h.cache.Close(ctx))
}

// Plugin is a compiled module with its manifest.
type Plugin struct {
	Manifest abi.Manifest
	Digest   string // sha256 of the module, hexadecimal
	name     string
	host     *Host
	code     wazero.CompiledModule
	limits   Limits
}

// Digest is what plans and checkpoints pin a module by.
func Digest(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return hex.EncodeToString(sum[:])
}

// Load compiles a module and reads its manifest. name is what errors call it by: its file.
func (h *Host) Load(ctx context.Context, name string, wasm []byte, l Limits) (*Plugin, error) {
	p := &Plugin{Digest: Digest(wasm), name: name, host: h, limits: l.orDefault()}
	if err := p.compile(ctx, wasm); err != nil {
		return nil, p.wrong("", "", err)
	}
	i, err := p.instance(ctx)
	if err != nil {
		return nil, errors.Join(err, p.code.Close(ctx))
	}
	p.Manifest, err = i.manifest()
	if err = errors.Join(err, i.close()); err != nil {
		return nil, errors.Join(err, p.code.Close(ctx))
	}
	p.name = fmt.Sprintf("%s (%s %s)", name, p.Manifest.Name, p.Manifest.Version)
	return p, nil
}

// wrong is an error of this plugin.
func (p *Plugin) wrong(export, place string, err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &Error{Plugin: p.name, Export: export, Place: place, Err: err}
}

// compile rewrites the module, and has what came of it compiled.
func (p *Plugin) compile(ctx context.Context, wasm []byte) error {
	limits := meter.Limits{MemoryPages: uint32(min(max(1, p.limits.MemoryBytes/pageBytes), 1<<16))}
	imports, err := meter.Imports(wasm, limits)
	if err != nil {
		return fmt.Errorf("this is no module that gsc takes: %w", err)
	}
	for _, i := range imports {
		if err := allowed(i.Module, i.Name, i.Kind); err != nil {
			return err
		}
	}
	counted, err := meter.Rewrite(wasm, limits)
	if err != nil {
		return fmt.Errorf("this is no module that gsc takes: %w", err)
	}
	if p.code, err = p.host.runtime.CompileModule(ctx, counted); err != nil {
		return fmt.Errorf("this is no valid module: %s", firstLine(err))
	}
	if err := fitting(p.code); err != nil {
		return err
	}
	return p.exports()
}

// initialize is what runtimes of languages export to be called before all else.
const initialize = "_initialize"

// signature is what an export's type must be.
type signature struct {
	params  int // all i32
	results api.ValueType
}

var (
	common      = map[string]signature{abi.Describe: {0, api.ValueTypeI64}, abi.Alloc: {1, api.ValueTypeI32}, abi.Init: {2, api.ValueTypeI32}}
	ofLoss      = map[string]signature{abi.Loss: {1, api.ValueTypeI32}}
	ofTransform = map[string]signature{abi.Transform: {1, api.ValueTypeI32}}
)

// exports refuses a module that lacks what every plugin exports.
func (p *Plugin) exports() error {
	if p.code.ExportedMemories()[abi.Memory] == nil {
		return fmt.Errorf("it does not export its memory as %q", abi.Memory)
	}
	if f := p.code.ExportedFunctions()[initialize]; f != nil && len(f.ParamTypes())+len(f.ResultTypes()) > 0 {
		return fmt.Errorf("its export %s has the type %s, not %s", initialize, typeText(f.ParamTypes(), f.ResultTypes()), typeText(nil, nil))
	}
	return p.has(common)
}

// has refuses a module that lacks exports, or has others by their names.
func (p *Plugin) has(want map[string]signature) error {
	functions := p.code.ExportedFunctions()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		s := want[name]
		f := functions[name]
		if f == nil {
			return fmt.Errorf("it does not export %s", name)
		}
		if !s.fits(f) {
			return fmt.Errorf("its export %s has the type %s, not %s", name, typeText(f.ParamTypes(), f.ResultTypes()), s)
		}
	}
	return nil
}

func (s signature) types() []api.ValueType {
	list := make([]api.ValueType, s.params)
	for i := range list {
		list[i] = api.ValueTypeI32
	}
	return list
}

func (s signature) fits(f api.FunctionDefinition) bool {
	return string(f.ParamTypes()) == string(s.types()) && string(f.ResultTypes()) == string([]api.ValueType{s.results})
}

func (s signature) String() string { return typeText(s.types(), []api.ValueType{s.results}) }

// typeText writes a function's type.
func typeText(params, results []api.ValueType) string {
	names := func(list []api.ValueType) string {
		texts := make([]string, len(list))
		for i, t := range list {
			texts[i] = api.ValueTypeName(t)
		}
		return "(" + strings.Join(texts, " ") + ")"
	}
	return names(params) + " → " + names(results)
}

// firstLine is an error's without the stack of its guest.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
