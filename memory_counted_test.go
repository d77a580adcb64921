package gsc_test

import (
	"fmt"
	"testing"

	"github.com/gsc-project/gsc/collectives/local"
	"github.com/gsc-project/gsc/kernels"
)

// counter is a device that counts what a rank takes of its memory: how much is allocated, and the last byte that a kernel or a copy touches.
type counter struct {
	kernels.Device
	allocations int
	memory      *countedMemory
}

type countedMemory struct {
	kernels.Memory
	touched int64
}

func (c *counter) Alloc(space kernels.Space, size int64) (kernels.Memory, error) {
	m, err := c.Device.Alloc(space, size)
	if err != nil {
		return nil, err
	}
	c.allocations++
	c.memory = &countedMemory{Memory: m}
	return c.memory, nil
}

func (c *counter) Bind(call kernels.Call) (kernels.Kernel, error) {
	for _, t := range call.Args {
		if !t.Absent() {
			at := int64(uintptr(t.Data) - uintptr(c.memory.Pointer(0)))
			c.memory.touch(at + int64(t.Extent()*t.DType.Size()))
		}
	}
	return c.Device.Bind(call)
}

func (m *countedMemory) touch(end int64) { m.touched = max(m.touched, end) }

func (m *countedMemory) WriteAt(b []byte, at int64) (int, error) {
	m.touch(at + int64(len(b)))
	return m.Memory.WriteAt(b, at)
}

// What each rank takes of its device is what the plan says, to the byte: one allocation, used to its end and no further (buffers end where the next could begin), however the step is cut.
func TestMemoryIsAsPredicted(t *testing.T) {
	path := write(t, deep(llama), stream)
	for _, cut := range append([][]string{{}, {mesh(2), "parallel.zero=1"}, {"parallel.mesh.pipeline=2", "batch.micro_batches=2"}, {mesh(2), "parallel.mesh.pipeline=2", "batch.micro_batches=2"},
		{"parallel.mesh.sequence=2", `parallel.attention="ring"`}}, cuts...) {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			p := planOf(t, path, append([]string{"batch.sequences=16"}, cut...)...)
			var counters []*counter
			world := local.NewWorld(p.Ranks(), local.Options{})
			l := stagedLab(t, p, expand(p), 1, world, world.Group, func(d kernels.Device) kernels.Device {
				c := &counter{Device: d}
				counters = append(counters, c)
				return c
			})
			l.train(2)
			for rank, c := range counters {
				align := kernels.Kinds[p.Device].AlignBytes
				if want := p.ArenaBytes(p.StageOf(rank), p.Arenas[0]); c.allocations != 1 || c.memory.SizeBytes() != want || (c.memory.touched+align-1)/align*align != want {
					t.Errorf("rank %d: %d allocations, %d bytes, used to %d: the plan says %d", rank, c.allocations, c.memory.SizeBytes(), c.memory.touched, want)
				}
			}
		})
	}
}
