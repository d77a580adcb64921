package gsc

import (
	"context"
	"errors"
	"fmt"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/plugins"
)

// modules are those that a strategy names, while a plan of it is made: each is loaded once, however often it is asked.
type modules struct {
	base     string        // of their files
	host     *plugins.Host // nil until the first is loaded
	loaded   map[loading]*plugins.Plugin
	policies map[loading]*plugins.Policy
	codec    *plugins.Codec
	declared map[declaring]compress.Declaration
	sizes    map[int]int // of codes, by how many numbers they are of
}

// loading is a module with its bounds and parameters.
type loading struct {
	file   string
	limits plugins.Limits
	params string
}

// declaring is a question to a policy.
type declaring struct {
	loading
	tensor string
}

func newModules() *modules {
	return &modules{loaded: map[loading]*plugins.Plugin{}, policies: map[loading]*plugins.Policy{}, declared: map[declaring]compress.Declaration{}, sizes: map[int]int{}}
}

// Close drops all that was loaded.
func (ms *modules) Close() error {
	if ms.host == nil {
		return nil
	}
	return ms.host.Close()
}

// closing adds to an error that of dropping the modules.
func (ms *modules) closing(err *error) { *err = errors.Join(*err, ms.Close()) }

// load reads and compiles a module, unless it was.
func (ms *modules) load(p *plan.Plugin) (*plugins.Plugin, error) {
	key := loading{file: p.File, limits: limitsOf(p)}
	if ms.loaded[key] != nil {
		return ms.loaded[key], nil
	}
	wasm, err := readWasm(modulePath(ms.base, p))
	if err != nil {
		return nil, fmt.Errorf("cannot read the module: %w", err)
	}
	if ms.host == nil {
		if ms.host, err = plugins.NewHost(context.Background()); err != nil {
			return nil, err
		}
	}
	module, err := ms.host.Load(context.Background(), p.File, wasm, key.limits)
	if err == nil {
		ms.loaded[key] = module
	}
	return module, err
}
