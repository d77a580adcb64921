package plugins

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// The functions have the types that WASI gives them, as another implementation has it.
func TestWASITypes(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	other, err := wasi_snapshot_preview1.NewBuilder(r).Compile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range wasi {
		d := other.ExportedFunctions()[name]
		if d == nil {
			t.Errorf("%s is no function of WASI", name)
			continue
		}
		if !slices.Equal(d.ParamTypes(), f.types()) || !slices.Equal(d.ResultTypes(), f.results()) {
			t.Errorf("%s is %s, not %s", name, typeText(f.types(), f.results()), typeText(d.ParamTypes(), d.ResultTypes()))
		}
	}
}

// What a call does follows from its operands, and is bounded: by their number, or by looks at the clock.
func TestSystemCallsAreBounded(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	m, err := r.Instantiate(ctx, onePage)
	if err != nil {
		t.Fatal(err)
	}
	call := func(name string, b *budget, args ...uint64) (code uint64) {
		s, _ := newSystem(ctx, &Plugin{host: &Host{}}, b)
		return wasi[name].run(&systemCall{system: s, name: name, memory: m.Memory(), args: args})
	}
	b, _ := newBudget(ctx, Limits{Time: time.Hour}, new(atomic.Int64))
	for _, c := range []struct {
		name string
		args []uint64
	}{
		{"fd_write", []uint64{stdout, 0, mostInCall, 0}},
		{"poll_oneoff", []uint64{0, 0, mostInCall, 0}},
	} {
		if got := call(c.name, b, c.args...); got != wasiOK {
			t.Errorf("%s%v gives %d", c.name, c.args, got)
		}
	}
	b.limits.Time, b.used = time.Nanosecond, time.Second
	defer func() {
		if recover() == nil || !errors.As(b.spent, new(TimeError)) {
			t.Errorf("random_get goes on past its time: %v", b.spent)
		}
	}()
	call("random_get", b, 0, 1<<16)
}

// onePage is a module with a memory of one page.
var onePage = []byte("\x00asm\x01\x00\x00\x00\x05\x04\x01\x01\x01\x01\x07\x0a\x01\x06memory\x02\x00")

// FuzzSystem: whatever a guest calls functions with, whatever lies in its memory, they return or end the guest, soon.
func FuzzSystem(f *testing.F) {
	type named struct {
		name string
		imported
	}
	var all []named
	for module, functions := range offered {
		for name, i := range functions {
			all = append(all, named{module + "." + name, i})
		}
	}
	slices.SortFunc(all, func(a, b named) int { return strings.Compare(a.name, b.name) })
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	m, err := r.Instantiate(ctx, onePage)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close(ctx) })
	for i := range all {
		f.Add(uint8(i), uint64(i), make([]byte, 72))
		near := make([]byte, 72)
		for k := 0; k < len(near); k += 8 {
			binary.LittleEndian.PutUint32(near[k:], uint32(1+k))
		}
		f.Add(uint8(i), uint64(i), near)
	}
	f.Fuzz(func(t *testing.T, which uint8, seed uint64, words []byte) {
		c := all[int(which)%len(all)]
		view, _ := m.Memory().Read(0, m.Memory().Size())
		_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(view[:1<<12])
		args := make([]uint64, 16)
		for i := range min(len(args), len(words)/8) {
			args[i] = binary.LittleEndian.Uint64(words[8*i:])
		}
		b, _ := newBudget(ctx, Limits{Time: time.Hour}, new(atomic.Int64))
		s, _ := newSystem(ctx, &Plugin{host: &Host{}}, b)
		defer func() {
			if r := recover(); r != nil {
				err, _ := r.(error)
				if !errors.As(err, new(ended)) {
					panic(r)
				}
			}
		}()
		start := time.Now()
		c.run(&systemCall{system: s, name: c.name, memory: m.Memory(), args: args[:len(c.params)]})
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", c.name, took)
		}
	})
}
