package plugins

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/plugins/meter"
)

// instance is a module's memory and state. It serves one goroutine at a time.
type instance struct {
	plugin *Plugin
	module api.Module
	ctx    context.Context // holds the budget
	budget *budget
	system *system
	stack  [2]uint64 // arguments and result of a call
}

// instance makes one, which may run a start function, and what C++ and others export as _initialize.
func (p *Plugin) instance(ctx context.Context) (*instance, error) {
	i := &instance{plugin: p}
	i.budget, i.ctx = newBudget(ctx, p.limits, &p.host.asked)
	i.system, i.ctx = newSystem(i.ctx, p, i.budget)
	i.system.begin()
	var err error
	i.module, err = p.host.runtime.InstantiateModule(i.ctx, p.code, wazero.NewModuleConfig().WithName("").WithStartFunctions(initialize))
	if err != nil {
		return nil, p.wrong("", "start", i.cause(err))
	}
	if tank, ok := i.module.ExportedGlobal(meter.FuelExport).(api.MutableGlobal); ok && p.limits.Fuel > 0 {
		i.budget.tank = tank
	}
	return i, nil
}

func (i *instance) close() error {
	i.system.printed.flush()
	return i.module.Close(i.ctx)
}

// cause puts what ended a call into words.
func (i *instance) cause(err error) error {
	if i.budget.spent != nil {
		return i.budget.spent
	}
	if e := (ended{}); errors.As(err, &e) {
		return i.short(e.error)
	}
	line := firstLine(err)
	if _, trap, ok := strings.Cut(line, "wasm error: "); ok {
		line = trap
	}
	return i.short(TrapError{line, i.system.printed.said()})
}

// short adds to what ended a guest that it had most of the memory it may have: runtimes of languages end themselves where they get no more.
func (i *instance) short(err error) error {
	if i.module == nil {
		return err
	}
	has, most := int64(i.module.Memory().Size()), i.plugin.limits.MemoryBytes
	if has < most/4*3 && !lacksMemory(err) {
		return err
	}
	return fmt.Errorf("%w; it has %d of at most %d bytes of memory: if it needs more, give it more with memory", err, has, most)
}

// lacksMemory says whether a plugin says of itself that it got none.
func lacksMemory(err error) bool {
	status := StatusError{}
	return errors.As(err, &status) && status.Status == abi.NoMemory || strings.Contains(err.Error(), "out of memory")
}

// call calls an export with the first n words of the stack. Its result is the first.
func (i *instance) call(f api.Function, n int) error {
	i.system.begin()
	if err := f.CallWithStack(i.ctx, i.stack[:max(n, 1)]); err != nil {
		return i.cause(err)
	}
	return nil
}

// status calls an export that returns one.
func (i *instance) status(f api.Function, n int) error {
	if err := i.call(f, n); err != nil {
		return err
	}
	if s := abi.Status(uint32(i.stack[0])); s != abi.OK {
		err := error(StatusError{s, i.system.printed.said()})
		if lacksMemory(err) {
			err = i.short(err)
		}
		return err
	}
	return nil
}

// bytes are some of the guest's memory, as they lie there, until its next call.
func (i *instance) bytes(at, size uint32) ([]byte, error) {
	return region(i.module.Memory(), at, uint64(size))
}

// manifest asks the module what it is.
func (i *instance) manifest() (abi.Manifest, error) {
	m, err := i.readManifest()
	return m, i.plugin.wrong(abi.Describe, "", err)
}

func (i *instance) readManifest() (abi.Manifest, error) {
	if err := i.call(i.module.ExportedFunction(abi.Describe), 0); err != nil {
		return abi.Manifest{}, err
	}
	at, size := uint32(i.stack[0]), uint32(i.stack[0]>>32)
	if size > abi.MaxManifestBytes {
		return abi.Manifest{}, fmt.Errorf("a manifest of %d bytes is longer than %d", size, abi.MaxManifestBytes)
	}
	text, err := i.bytes(at, size)
	if err != nil {
		return abi.Manifest{}, err
	}
	if !utf8.Valid(text) {
		return abi.Manifest{}, errors.New("the manifest is no text in UTF-8")
	}
	return abi.ParseManifest(text)
}

// alloc asks for room for so many bytes.
func (i *instance) alloc(size uint32) (uint32, error) {
	at, err := i.room(size)
	return at, i.plugin.wrong(abi.Alloc, "", err)
}

func (i *instance) room(size uint32) (uint32, error) {
	i.stack[0] = uint64(size)
	if err := i.call(i.module.ExportedFunction(abi.Alloc), 1); err != nil {
		return 0, err
	}
	at := uint32(i.stack[0])
	switch {
	case at == 0:
		return 0, fmt.Errorf("there is no room for %d bytes in a memory of at most %d: give it more with memory", size, i.plugin.limits.MemoryBytes)
	case at%abi.Align != 0:
		return 0, fmt.Errorf("its pointer %#x is not a multiple of %d", at, abi.Align)
	}
	_, err := i.bytes(at, size)
	return at, err
}

// init hands the parameters over.
func (i *instance) init(params []byte) error {
	at, err := i.alloc(uint32(len(params)))
	if err != nil {
		return err
	}
	view, err := i.bytes(at, uint32(len(params)))
	if err == nil {
		copy(view, params)
		i.stack[0], i.stack[1] = uint64(at), uint64(len(params))
		err = i.status(i.module.ExportedFunction(abi.Init), 2)
	}
	return i.plugin.wrong(abi.Init, "", err)
}

// room is a piece of guest memory: how long it is, and where its place is kept.
type room struct {
	size uint32
	to   *uint32
}

// allocate asks for several pieces, which must lie apart.
func (i *instance) allocate(list []room) error {
	for k, r := range list {
		at, err := i.alloc(r.size)
		if err != nil {
			return err
		}
		*r.to = at
		for _, known := range list[:k] {
			from, to := max(at, *known.to), min(uint64(at)+uint64(r.size), uint64(*known.to)+uint64(known.size))
			if uint64(from) < to {
				return i.plugin.wrong(abi.Alloc, "", fmt.Errorf("it gave the bytes at %#x twice", from))
			}
		}
	}
	return nil
}

// bindPieces makes one call of pieces, whose error is that of the first piece that has one.
func bindPieces(pieces int, spread Spread, job func(piece, worker int) error) func() error {
	errs := make([]error, pieces)
	each := func(piece, worker int) { errs[piece] = job(piece, worker) }
	return func() error {
		spread(pieces, each)
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
}
