package plugins

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/tetratelabs/wazero/api"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/plugins/abi"
)

var ofCodec = map[string]signature{abi.CodeBytes: {1, api.ValueTypeI32}, abi.Encode: {1, api.ValueTypeI32}, abi.Decode: {1, api.ValueTypeI32}}

// maxCodeBytes bounds the code of a run, which is of four bytes a number as it is.
const maxCodeBytes = 8 * 4 * kernels.PluginCodeRun

// notFiniteCode stands in place of the length of a code, where what was to be coded is not finite.
const notFiniteCode = -1

// Codec is a plugin that codes gradients, with its parameters and an instance for each worker.
type Codec struct {
	plugin    *Plugin
	most      int // bytes of a run's code
	instances []*codecInstance
}

// codecInstance is an instance with room for a call.
type codecInstance struct {
	*instance
	size, encode, decode api.Function
	call                 uint32 // where the call's words lie
	at                   abi.CodecCall
	busy                 atomic.Bool // a goroutine is at it
}

// NewCodec makes the instances of a codec.
func (p *Plugin) NewCodec(ctx context.Context, params []byte, workers int) (*Codec, error) {
	if p.Manifest.Codec == nil {
		return nil, p.wrong("", "", fmt.Errorf("it is a %s, not a gradient codec", p.Manifest.Kind))
	}
	if err := p.has(ofCodec); err != nil {
		return nil, p.wrong("", "", err)
	}
	c := &Codec{plugin: p}
	for range workers {
		i, err := c.instance(ctx, params)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.instances = append(c.instances, i)
	}
	return c, nil
}

// Close drops the instances.
func (c *Codec) Close() error {
	var errs []error
	for _, i := range c.instances {
		errs = append(errs, i.close())
	}
	return errors.Join(errs...)
}

func (c *Codec) instance(ctx context.Context, params []byte) (*codecInstance, error) {
	made, err := c.plugin.instance(ctx)
	if err != nil {
		return nil, err
	}
	export := made.module.ExportedFunction
	i := &codecInstance{instance: made, size: export(abi.CodeBytes), encode: export(abi.Encode), decode: export(abi.Decode)}
	if err = i.init(params); err == nil {
		c.most, err = i.codeBytes(kernels.PluginCodeRun)
	}
	if err == nil {
		err = i.allocate([]room{{abi.CodecCallBytes, &i.call}, {4 * kernels.PluginCodeRun, &i.at.Values}, {uint32(max(1, c.most)), &i.at.Code}})
	}
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	return i, nil
}

// codeBytes asks for the bytes of the longest code of so many numbers.
func (i *codecInstance) codeBytes(n int) (int, error) {
	i.stack[0] = uint64(n)
	err := i.instance.call(i.size, 1)
	most := int32(uint32(i.stack[0]))
	if err == nil && (most < 0 || most > maxCodeBytes) {
		err = fmt.Errorf("it says that a code takes %d bytes: from 0 to %d are possible", most, maxCodeBytes)
	}
	return int(most), i.plugin.wrong(abi.CodeBytes, fmt.Sprintf("%d numbers", n), err)
}

// Bytes is the length of the longest code of so many numbers, those of a run at most.
func (c *Codec) Bytes(n int) (int, error) {
	most, err := c.instances[0].codeBytes(n)
	if err == nil && most > c.most {
		err = c.plugin.wrong(abi.CodeBytes, fmt.Sprintf("%d numbers", n), fmt.Errorf("it says that their code takes %d bytes, more than the %d of %d numbers", most, c.most, kernels.PluginCodeRun))
	}
	return most, err
}

// codeRuns are the runs of a tensor of n numbers, whose codes are so many words together.
func (c *Codec) codeRuns(n, words int) ([]run, error) {
	var list []run
	from, word := 0, 0
	want, err := kernels.PluginCodeWords(n, func(n int) (int, error) {
		most, err := c.Bytes(n)
		r := run{from: from, to: from + n, word: word, words: 1 + (most+3)/4, most: most}
		list, from, word = append(list, r), r.to, word+r.words
		return most, err
	})
	if err == nil && want != words {
		err = c.plugin.wrong(abi.CodeBytes, "", fmt.Errorf("codes of %d numbers take %d words, where the plan has %d", n, want, words))
	}
	return list, err
}

// invoke calls one of the two functions on n numbers and a code of so many bytes.
func (i *codecInstance) invoke(f api.Function, n, bytes int) error {
	view, err := i.bytes(i.call, abi.CodecCallBytes)
	if err != nil {
		return err
	}
	for k, word := range [...]uint32{uint32(n), i.at.Values, i.at.Code, uint32(bytes)} {
		binary.LittleEndian.PutUint32(view[4*k:], word)
	}
	i.stack[0] = uint64(i.call)
	return i.status(f, 1)
}

// encoded makes the code of the values that lie in guest memory, and gives its bytes, as they lie there, until the next call.
func (i *codecInstance) encoded(n, most int) ([]byte, error) {
	if err := i.invoke(i.encode, n, 0); err != nil {
		return nil, err
	}
	view, err := i.bytes(i.call, abi.CodecCallBytes)
	if err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(view[12:])
	if uint64(length) > uint64(most) {
		return nil, fmt.Errorf("it made a code of %d bytes, where %d are the most that it said", length, most)
	}
	return i.bytes(i.at.Code, length)
}

// decoded gives the n numbers that the code of so many bytes, which lies in guest memory, stands for.
func (i *codecInstance) decoded(n, length int) ([]float32, error) {
	if err := i.invoke(i.decode, n, length); err != nil {
		return nil, err
	}
	values := i.floats(i.at.Values, n)
	if !finite(values) {
		for k, v := range values {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return nil, notFinite(fmt.Sprintf("number %d", k), v)
			}
		}
	}
	return values, nil
}

// run is a stretch of a tensor that is coded by itself, with the words of its code.
type run struct {
	from, to    int
	word, words int
	most        int // bytes of its code
}

func (r run) String() string { return fmt.Sprintf("numbers %d to %d", r.from, r.to-1) }

// BindEncode prepares the code of x/scale + residual, and what it leaves out, next: tensors of float32 or float64, all of one type; scale is 1 where it is nil. What it returns may be called any number of times, while no other of
// this codec runs.
func (c *Codec) BindEncode(x, residual kernels.Tensor, scale *float64, code, next kernels.Tensor, spread Spread) (func() error, error) {
	runs, err := c.codeRuns(x.Len(), code.Len())
	if err != nil {
		return nil, err
	}
	words := kernels.Slice[int32](code)
	if x.DType == kernels.F64 {
		return bindPieces(len(runs), spread, encoder[float64]{c, runs, scale, kernels.Slice[float64](x), kernels.Slice[float64](residual), kernels.Slice[float64](next), words}.run), nil
	}
	return bindPieces(len(runs), spread, encoder[float32]{c, runs, scale, kernels.Slice[float32](x), kernels.Slice[float32](residual), kernels.Slice[float32](next), words}.run), nil
}

// take gives a worker its instance, until that is given back.
func (c *Codec) take(worker int) *codecInstance {
	i := c.instances[worker]
	if !i.busy.CompareAndSwap(false, true) {
		panic(errBusy)
	}
	return i
}

// encoder codes runs of a tensor.
type encoder[T float32 | float64] struct {
	codec             *Codec
	runs              []run
	scale             *float64
	x, residual, next []T
	words             []int32
}

func (e encoder[T]) run(piece, worker int) error {
	i := e.codec.take(worker)
	defer i.busy.Store(false)
	r := e.runs[piece]
	x, residual, next, words := e.x[r.from:r.to], e.residual[r.from:r.to], e.next[r.from:r.to], e.words[r.word:][:r.words]
	v := i.floats(i.at.Values, len(x))
	by := T(1)
	if e.scale != nil {
		by = T(1 / *e.scale)
	}
	for k, g := range x {
		s := T(g*by) + residual[k]
		next[k], v[k] = s, float32(s)
	}
	clear(words)
	if !finite(v) {
		words[0] = notFiniteCode
		for k := range next {
			next[k] = T(math.NaN())
		}
		return nil
	}
	code, err := i.encoded(len(x), r.most)
	if err != nil {
		return e.codec.plugin.wrong(abi.Encode, r.String(), err)
	}
	words[0] = int32(len(code))
	copy(bytesOf(words[1:]), code)
	sent, err := i.decoded(len(x), len(code))
	if err != nil {
		return e.codec.plugin.wrong(abi.Decode, r.String(), err)
	}
	for k, s := range sent {
		next[k] -= T(s)
	}
	return nil
}

// bytesOf are the bytes of words.
func bytesOf(words []int32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 4*len(words))
}

// BindDecode prepares the sum of what the codes of several ranks say, [ranks, words], in their order, times scale: y is all of the tensor or, with of, the part numbered place of one of so many numbers. Likewise.
func (c *Codec) BindDecode(codes kernels.Tensor, place *int64, of int, scale *float64, y kernels.Tensor, spread Spread) (func() error, error) {
	n := y.Len()
	if of > 0 {
		n = of
	}
	runs, err := c.codeRuns(n, codes.Shape[1])
	if err != nil {
		return nil, err
	}
	pieces := min(len(runs), y.Len()/kernels.PluginCodeRun+2) // a part may begin and end within a run
	words := kernels.Slice[int32](codes)
	if y.DType == kernels.F64 {
		return bindPieces(pieces, spread, decoder[float64]{c, runs, n, words, codes.Shape[0], place, scale, kernels.Slice[float64](y)}.run), nil
	}
	return bindPieces(pieces, spread, decoder[float32]{c, runs, n, words, codes.Shape[0], place, scale, kernels.Slice[float32](y)}.run), nil
}

// decoder adds up what codes of runs say.
type decoder[T float32 | float64] struct {
	codec *Codec
	runs  []run
	n     int // numbers of the tensor
	words []int32
	ranks int
	place *int64
	scale *float64
	y     []T
}

func (d decoder[T]) run(piece, worker int) error {
	first := 0 // of y, in the tensor
	if d.place != nil {
		first = int(*d.place) * len(d.y)
	}
	k := first/kernels.PluginCodeRun + piece
	if k*kernels.PluginCodeRun >= min(d.n, first+len(d.y)) {
		return nil
	}
	i := d.codec.take(worker)
	defer i.busy.Store(false)
	r := d.runs[k]
	lo, hi := max(r.from, first), min(r.to, first+len(d.y))
	y := d.y[lo-first : hi-first]
	clear(y)
	last := d.runs[len(d.runs)-1]
	each := last.word + last.words
	for rank := range d.ranks {
		values, err := d.one(i, r, d.words[rank*each+r.word:][:r.words])
		if err != nil {
			return d.codec.plugin.wrong(abi.Decode, fmt.Sprintf("the code of rank %d, %v", rank, r), err)
		}
		if values == nil {
			for k := range y {
				y[k] = T(math.NaN())
			}
			continue
		}
		for k, v := range values[lo-r.from : hi-r.from] {
			y[k] += T(v)
		}
	}
	if d.scale != nil {
		for k := range y {
			y[k] *= T(*d.scale)
		}
	}
	return nil
}

// one decodes a run's code; nil where it stands for what is not finite.
func (d decoder[T]) one(i *codecInstance, r run, words []int32) ([]float32, error) {
	length := int(words[0])
	if length == notFiniteCode {
		return nil, nil
	}
	if length < 0 || length > r.most {
		return nil, fmt.Errorf("it has %d bytes, where %d are the most", length, r.most)
	}
	room, err := i.bytes(i.at.Code, uint32(length))
	if err != nil {
		return nil, err
	}
	copy(room, bytesOf(words[1:]))
	return i.decoded(r.to-r.from, length)
}
