package cpu

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/gsc-project/gsc/kernels"
)

// Device is the cpu device. Its kernels share one scratch, so they run one at a time.
type Device struct {
	pool    *pool
	level   level
	tiles   *tileSet
	bf16    *tileSet // of products in bf16; nil: the processor has no instruction for them that is faster than multiplying floats that were rounded
	scratch *scratchpad
}

// New makes a cpu device that works with the given number of threads, the
// caller's own included.
func New(threads int) (*Device, error) {
	l, err := chooseLevel()
	if err != nil {
		return nil, err
	}
	return NewAt(l.String(), threads)
}

// NewAt is New with the kernels of one of [Levels].
func NewAt(name string, threads int) (*Device, error) {
	if threads < 1 {
		return nil, fmt.Errorf("cpu: %d threads: use at least 1", threads)
	}
	for _, l := range levels() {
		if l.String() == name {
			return newDevice(threads, l)
		}
	}
	return nil, fmt.Errorf("cpu: this processor has no level %q: use one of %v", name, levels())
}

func newDevice(threads int, l level) (*Device, error) {
	s, err := newScratch(threads)
	if err != nil {
		return nil, err
	}
	d := &Device{pool: newPool(threads), level: l, tiles: tileSets[l], scratch: s}
	if pairsAreFast() {
		d.bf16 = pairTiles(l)
	}
	return d, nil
}

// Add sets z = x + y, on the caller's thread.
func (d *Device) Add(z, x, y []float32) { d.vector().add(z, x, y) }

// Threads is how many there are, the caller's own included.
func (d *Device) Threads() int { return d.pool.threads }

// Spread works on pieces with all threads.
func (d *Device) Spread(pieces int, job func(piece, worker int)) { d.pool.run(pieces, job) }

// Kind is "cpu".
func (d *Device) Kind() string { return "cpu" }

// Progress is that of the pieces that kernels cut their work into: some milliseconds each.
func (d *Device) Progress() int64 { return d.pool.progress() }

// Close ends the workers.
func (d *Device) Close() error {
	d.pool.close()
	return d.scratch.close()
}

// scratchpad is memory that kernels work in and leave nothing behind in: the panels
// that a matrix product packs its operands into, shared by all workers, and
// a part for each worker.
type scratchpad struct {
	bytes  []byte
	a, b   []float32   // panels
	worker [][]float32 // tiles of one worker's piece
}

const (
	panelFloats  = 1 << 20 // of each of the shared parts
	workerFloats = 1 << 18 // of each worker's part
)

// ScratchBytes is the memory that a device with so many threads takes for
// itself, beside what [Device.Alloc] gives.
func ScratchBytes(threads int) int64 { return 4 * int64(2*panelFloats+threads*workerFloats) }

func newScratch(threads int) (*scratchpad, error) {
	bytes, err := mapPages(ScratchBytes(threads))
	if err != nil {
		return nil, fmt.Errorf("cpu: %d bytes of scratch: %w", ScratchBytes(threads), err)
	}
	floats := bytesAsFloats(bytes)
	s := &scratchpad{bytes: bytes, a: floats[:panelFloats], b: floats[panelFloats : 2*panelFloats]}
	for w := range threads {
		at := 2*panelFloats + w*workerFloats
		s.worker = append(s.worker, floats[at:at+workerFloats])
	}
	return s, nil
}

func (s *scratchpad) close() error {
	if s.bytes == nil {
		return nil
	}
	err := unix.Munmap(s.bytes)
	s.bytes = nil
	return err
}

// binder prepares one operation. The call has passed [kernels.Check]; sizes are
// what the check returned.
type binder func(d *Device, c kernels.Call, sizes kernels.Sizes) (kernels.Kernel, error)

// Bind checks the call and prepares its kernel.
func (d *Device) Bind(c kernels.Call) (kernels.Kernel, error) {
	sizes, err := kernels.Check(c.Op, c.Attrs, c.Args)
	if err != nil {
		return nil, err
	}
	for i, arg := range c.Args {
		p := kernels.Contracts[c.Op].Params[i]
		if p.Class == kernels.Float && !arg.Absent() && arg.DType != kernels.F32 {
			return nil, fmt.Errorf("%v: operand %s: the cpu device computes in f32, not %v", c.Op, p.Name, arg.DType)
		}
		if p.Class == kernels.Half && arg.DType != kernels.BF16 {
			return nil, fmt.Errorf("%v: operand %s: the cpu device stores halves as bf16, not %v", c.Op, p.Name, arg.DType)
		}
	}
	bind := binders[c.Op]
	if bind == nil {
		return nil, fmt.Errorf("%v: the cpu device has no kernel for it", c.Op)
	}
	return bind(d, c, sizes)
}
