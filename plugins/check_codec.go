package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/gsc-project/gsc/kernels"
)

// codecLengths are what a codec is tried on: one number, few, and what divides by nothing, up to a run and a little more.
var codecLengths = []int{1, 2, 7, 64, 513, 4099, kernels.PluginCodeRun, kernels.PluginCodeRun + 77}

// codecShapes draw gradients of a length: as they are, with few large numbers, all equal, of one sign, zeros, and the largest and smallest that float32 has.
var codecShapes = []struct {
	name string
	draw func(r *rand.Rand) float32
}{
	{"normal numbers", func(r *rand.Rand) float32 { return float32(r.NormFloat64()) }},
	{"heavy tails", func(r *rand.Rand) float32 { return float32(math.Pow(r.NormFloat64(), 9)) }},
	{"equal numbers", func(*rand.Rand) float32 { return -0.25 }},
	{"few that are not 0", func(r *rand.Rand) float32 { return float32(r.IntN(50)/49) * float32(r.NormFloat64()) }},
	{"zeros", func(*rand.Rand) float32 { return 0 }},
	{"small numbers", func(r *rand.Rand) float32 { return float32(r.NormFloat64() * 1e-30) }},
	{"large numbers", func(r *rand.Rand) float32 { return float32(r.NormFloat64() * 1e30) }},
}

// contractionSlack is what rounding may add to the error of a code, relative to the numbers.
const contractionSlack = 1e-6

// codecChecker tries a codec.
type codecChecker struct {
	ctx    context.Context
	plugin *Plugin
	params []byte
}

func (c *codecChecker) checks() []check {
	return []check{{"allocation", c.allocation}, {"length", c.length}, {"round trip", c.roundTrip}, {"feedback", c.feedback}, {"repeated", c.repeated}, {"instances", c.instances},
		{"foreign codes", c.foreign}, {"time", c.time}}
}

// with makes a codec for a while.
func (c *codecChecker) with(do func(*Codec) error) error {
	codec, err := c.plugin.NewCodec(c.ctx, c.params, 1)
	if err != nil {
		return err
	}
	return errors.Join(do(codec), codec.Close())
}

// contraction is the manifest's δ.
func (c *codecChecker) contraction() (float64, error) {
	text := c.plugin.Manifest.Codec.Contraction
	if number, err := strconv.ParseFloat(text, 64); err == nil {
		return number, nil
	}
	var params map[string]any
	if err := json.Unmarshal(c.params, &params); err != nil {
		return 0, err
	}
	if number, ok := params[text].(float64); ok && number > 0 && number <= 1 {
		return number, nil
	}
	return 0, fmt.Errorf("the manifest's contraction is %q, which is no parameter above 0 and up to 1", text)
}

// allocation: room for the longest run.
func (c *codecChecker) allocation() (string, error) {
	size, most := uint32(0), 0
	err := c.with(func(codec *Codec) error {
		size, most = codec.instances[0].module.Memory().Size(), codec.most
		return nil
	})
	return fmt.Sprintf("runs of %d numbers with codes of %d bytes take %d KiB of memory, of at most %d KiB", kernels.PluginCodeRun, most, size>>10, c.plugin.limits.MemoryBytes>>10), err
}

// length: what it says of the length of codes goes with what it said of a run's.
func (c *codecChecker) length() (string, error) {
	ratio := 0.0
	err := c.with(func(codec *Codec) error {
		ratio = 4 * kernels.PluginCodeRun / float64(max(1, codec.most))
		for _, n := range codecLengths {
			if n > kernels.PluginCodeRun {
				continue
			}
			if _, err := codec.Bytes(n); err != nil {
				return err
			}
		}
		return nil
	})
	return fmt.Sprintf("at most, a code has %.3g times fewer bytes than its numbers", ratio), err
}

// coded is a gradient with its code, what that says, and what it leaves out.
type coded struct {
	x, residual, next, y []float32
	code                 []int32
}

func (c *codecChecker) trial(codec *Codec, x, residual []float32) (*coded, error) {
	words, err := kernels.PluginCodeWords(len(x), codec.Bytes)
	if err != nil {
		return nil, err
	}
	t := &coded{x: x, residual: residual, next: make([]float32, len(x)), y: make([]float32, len(x)), code: make([]int32, words)}
	vector := func(v []float32) kernels.Tensor { return view(v, kernels.F32, len(v)) }
	encode, err := codec.BindEncode(vector(x), vector(residual), nil, view(t.code, kernels.I32, words), vector(t.next), oneByOne)
	if err != nil {
		return nil, err
	}
	decode, err := codec.BindDecode(view(t.code, kernels.I32, 1, words), nil, 0, nil, vector(t.y), oneByOne)
	if err != nil {
		return nil, err
	}
	if err := encode(); err != nil {
		return nil, err
	}
	return t, decode()
}

// oneByOne is a spread over one worker.
func oneByOne(pieces int, job func(piece, worker int)) {
	for p := range pieces {
		job(p, 0)
	}
}

func draw(n int, seed uint64, f func(*rand.Rand) float32) []float32 {
	r := rand.New(rand.NewPCG(seed, 11))
	x := make([]float32, n)
	for i := range x {
		x[i] = f(r)
	}
	return x
}

// each tries every shape at every length, without anything kept.
func (c *codecChecker) each(seed uint64, look func(name string, codec *Codec, t *coded) error) error {
	return c.with(func(codec *Codec) error {
		for _, shape := range codecShapes {
			for _, n := range codecLengths {
				name := fmt.Sprintf("%d %s", n, shape.name)
				t, err := c.trial(codec, draw(n, seed, shape.draw), make([]float32, n))
				if err == nil {
					err = look(name, codec, t)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		return nil
	})
}

// roundTrip: what a code says is nearer to the numbers than 0 is, by the contraction that the manifest states.
func (c *codecChecker) roundTrip() (string, error) {
	delta, err := c.contraction()
	if err != nil {
		return "", err
	}
	worst, where := 0.0, "none"
	err = c.each(1, func(name string, _ *Codec, t *coded) error {
		e, size := 0.0, 0.0
		for i, x := range t.x {
			d := float64(x) - float64(t.y[i])
			e, size = e+d*d, size+float64(x)*float64(x)
		}
		if e > 0 && !(e <= (1-delta+contractionSlack)*size) {
			return fmt.Errorf("the code leaves %.4g of the numbers' squares out, where the manifest's contraction of %g allows %.4g", e/size, delta, 1-delta)
		}
		if size > 0 && e/size > worst {
			worst, where = e/size, name
		}
		return nil
	})
	return fmt.Sprintf("of the squares of numbers codes leave out %.4g at most (%s), where a contraction of %g allows %.4g", worst, where, delta, 1-delta), err
}

// feedback: with what is left out added to the next, gradients that stay the same are sent whole in the long run: what is left stays below what a contraction says.
func (c *codecChecker) feedback() (string, error) {
	const steps, n = 60, 4099
	delta, err := c.contraction()
	if err != nil {
		return "", err
	}
	x := draw(n, 2, codecShapes[0].draw)
	left, most := 0.0, 2/delta*norm32(x)
	err = c.with(func(codec *Codec) error {
		residual := make([]float32, n)
		for step := range steps {
			t, err := c.trial(codec, x, residual)
			if err != nil {
				return err
			}
			residual = t.next
			if left = norm32(residual); !(left <= most) {
				return fmt.Errorf("after %d steps a rank still has %.3g to send, more than the %.3g that a contraction of %g allows", step+1, left, most, delta)
			}
		}
		return nil
	})
	return fmt.Sprintf("after %d steps of one gradient %.3g times its norm is left, of at most %.3g", steps, left/norm32(x), 2/delta), err
}

func norm32(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// repeated: the same bits twice, with other calls between.
func (c *codecChecker) repeated() (string, error) {
	err := c.each(3, func(_ string, codec *Codec, t *coded) error {
		if _, err := c.trial(codec, draw(len(t.x), 4, codecShapes[0].draw), make([]float32, len(t.x))); err != nil {
			return err
		}
		again, err := c.trial(codec, t.x, t.residual)
		if err != nil {
			return err
		}
		return t.same(again)
	})
	return "the same bits twice, with another gradient between", err
}

// instances: the same bits of another instance.
func (c *codecChecker) instances() (string, error) {
	err := c.each(3, func(_ string, _ *Codec, t *coded) error {
		return c.with(func(other *Codec) error {
			again, err := c.trial(other, t.x, t.residual)
			if err != nil {
				return err
			}
			return t.same(again)
		})
	})
	return "the same bits of another instance", err
}

// same compares the results of two trials.
func (t *coded) same(other *coded) error {
	if !slices.Equal(t.code, other.code) {
		return errors.New("the code has other bits the second time")
	}
	if i, ok := differ(t.y, other.y); ok {
		return fmt.Errorf("number %d is decoded to %g once, and to %g again", i, t.y[i], other.y[i])
	}
	return nil
}

// foreign: a code that no encoder made is refused, or gives finite numbers; it neither traps nor hangs, and the codec goes on.
func (c *codecChecker) foreign() (string, error) {
	refused, taken := 0, 0
	err := c.with(func(codec *Codec) error {
		r := rand.New(rand.NewPCG(5, 11))
		for trial := range 200 {
			n := codecLengths[trial%(len(codecLengths)-1)]
			t, err := c.trial(codec, draw(n, uint64(trial), codecShapes[0].draw), make([]float32, n))
			if err != nil {
				return err
			}
			most, err := codec.Bytes(n)
			if err != nil {
				return err
			}
			spoil(r, t.code, most)
			decode, err := codec.BindDecode(view(t.code, kernels.I32, 1, len(t.code)), nil, 0, nil, view(t.y, kernels.F32, n), oneByOne)
			if err != nil {
				return err
			}
			var status StatusError
			switch err := decode(); {
			case err == nil:
				taken++
			case errors.As(err, &status):
				refused++
			default:
				return fmt.Errorf("a code that was spoilt, of %d numbers: %w", n, err)
			}
		}
		return nil
	})
	return fmt.Sprintf("of 200 codes that were spoilt it refused %d, and gave finite numbers for %d", refused, taken), err
}

// spoil changes some words of a code, its length too, which is so many bytes at most.
func spoil(r *rand.Rand, code []int32, most int) {
	for range 1 + r.IntN(8) {
		if len(code) > 1 {
			lies := [...]int32{int32(r.Uint32()), r.Int32N(100), -1, math.MaxInt32, math.MinInt32, 0x7f800000} // a NaN and an infinity among them
			code[1+r.IntN(len(code)-1)] = lies[r.IntN(len(lies))]
		}
	}
	if r.IntN(3) == 0 {
		code[0] = int32(r.IntN(most + 1))
	}
}

// time: of the longest run, the least of several.
func (c *codecChecker) time() (string, error) {
	least := time.Duration(math.MaxInt64)
	err := c.with(func(codec *Codec) error {
		x, residual := draw(kernels.PluginCodeRun, 6, codecShapes[0].draw), make([]float32, kernels.PluginCodeRun)
		for range 5 {
			start := time.Now()
			if _, err := c.trial(codec, x, residual); err != nil {
				return err
			}
			least = min(least, time.Since(start))
		}
		return nil
	})
	return fmt.Sprintf("%.2f ns a number on one thread, to code and decode it twice, copies and bounds included", float64(least.Nanoseconds())/kernels.PluginCodeRun), err
}
