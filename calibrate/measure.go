package calibrate

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/gsc-project/gsc/kernels"
)

const (
	leastTime = 300 * time.Microsecond // of a batch of calls, so that the clock is exact
	longTime  = 5 * time.Millisecond   // a call that takes so long is timed fewer times
	alignment = 4096
)

// All is measured in several rounds, since what disturbs a shared machine goes on for a while: what is timed again at once is disturbed again. A round times a point
// so often, and of all its times the lower quartile counts: what disturbs only adds time.
const (
	rounds = 3
	tries  = 2
)

// warm times a call that was just made before.
func (b *bench) warm(r *request) ([]float64, error) {
	run, err := b.bind(r, 0)
	if err != nil {
		return nil, err
	}
	run() // touches the operands
	once := timed(run)
	times := int(1 + leastTime/max(1, once))
	return samples(times, func() time.Duration {
		return timed(func() {
			for range times {
				run()
			}
		})
	}), nil
}

// What calls whose operands no cache holds go through: as many copies of them as make so many bytes.
const (
	copiesBytes = 64 << 20
	mostCopies  = 16
)

// cold times a call whose operands no cache holds. Where it is short, calls on several copies follow each other, as the
// products of a token do: a cache that was filled by reading keeps some of what was there before, and one call alone finds it.
func (b *bench) cold(r *request) ([]float64, error) {
	size := b.sizeBytes(r)
	copies := make([]kernels.Kernel, min(mostCopies, max(1, copiesBytes/max(1, size))))
	for i := range copies {
		run, err := b.bind(r, int64(i)*size)
		if err != nil {
			return nil, err
		}
		run()
		if copies[i] = run; i == 0 && timed(run) > longTime {
			copies = copies[:1]
			break
		}
	}
	return samples(len(copies), func() time.Duration {
		b.flush()
		return timed(func() {
			for _, run := range copies {
				run()
			}
		})
	}), nil
}

func timed(run func()) time.Duration {
	start := time.Now()
	run()
	return max(1, time.Since(start))
}

// samples measures some calls in a row, again and again, and gives the seconds of one.
func samples(calls int, measure func() time.Duration) (list []float64) {
	for range tries {
		list = append(list, measure().Seconds()/float64(calls))
	}
	return list
}

// quartile is the lower quartile.
func quartile(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[(len(sorted)-1)/4]
}

// request is a call whose operands have no places yet.
type request struct {
	op    kernels.Op
	attrs kernels.Attrs
	args  []kernels.Tensor
	limit int // indices are less
}

// sizeBytes is the room that a request takes in the arena: that of all operands which do not lie apart.
func (b *bench) sizeBytes(r *request) int64 {
	var total int64
	for _, t := range r.args {
		if !t.Absent() && !b.apart(t) {
			total += room(t)
		}
	}
	return total
}

// apart says whether an operand is an index, a counter or a scalar, which lies in a memory of its own.
func (b *bench) apart(t kernels.Tensor) bool {
	return t.DType == kernels.F64 && b.kind.Compute != kernels.F64 || t.DType == kernels.I32 || t.DType == kernels.I64
}

func room(t kernels.Tensor) int64 {
	return (int64(t.Extent()*t.DType.Size())+alignment-1)/alignment*alignment + 64 // 64: neighbours do not all start at the same set of a cache
}

// bind places a call's operands: those of floats side by side from an offset on, indices and scalars in a
// part of the memory that is theirs, since as floats they would be denormal, and slow.
func (b *bench) bind(r *request, offset int64) (kernels.Kernel, error) {
	call := kernels.Call{Op: r.op, Attrs: r.attrs, Args: slices.Clone(r.args)}
	other := int64(arenaBytes)
	for i, t := range call.Args {
		switch {
		case t.Absent():
		case b.apart(t):
			if err := b.write(r, i, other); err != nil {
				return nil, err
			}
			call.Args[i].Data = b.memory.Pointer(other)
			other += room(t)
		default:
			call.Args[i].Data = b.memory.Pointer(offset)
			offset += room(t)
		}
	}
	return b.device.Bind(call)
}

// fill writes numbers around 1 into the memory of floats, so that none is denormal.
func (b *bench) fill() error {
	chunk := make([]byte, 1<<20)
	for i := 0; i < len(chunk); i += 4 {
		binary.LittleEndian.PutUint32(chunk[i:], math.Float32bits(0.5+float32(i*2654435761%1000)/1000))
	}
	for at := int64(0); at < arenaBytes; at += int64(len(chunk)) {
		if _, err := b.memory.WriteAt(chunk, at); err != nil {
			return err
		}
	}
	return nil
}

// write gives indices, counters and scalars values that the operation takes.
func (b *bench) write(r *request, i int, offset int64) error {
	t := r.args[i]
	text := make([]byte, 0, t.Len()*t.DType.Size())
	for j := range t.Len() {
		switch t.DType {
		case kernels.I32:
			text = binary.LittleEndian.AppendUint32(text, uint32(j*2654435761>>7%max(1, r.limit)))
		case kernels.I64:
			counter := uint64(1)
			if kernels.Contracts[r.op].Params[i].Name == "offset" {
				counter = 0
			}
			text = binary.LittleEndian.AppendUint64(text, counter)
		default:
			text = binary.LittleEndian.AppendUint64(text, math.Float64bits(1e-3))
		}
	}
	_, err := b.memory.WriteAt(text, offset)
	return err
}

// round keeps four digits.
func round(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		panic(err) // what was just written can be read
	}
	return r
}
