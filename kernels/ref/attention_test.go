package ref

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// randomAttention makes operands of B = 2, T = 4, S = 6, H = 4, G = 2, D = 3.
func randomAttention(seed uint64) arrays {
	random := rand.New(rand.NewPCG(seed, 0))
	operands := arrays{"o": of(dims(2, 4, 4, 3)), "lse": of(dims(2, 4, 4))}
	for name, shape := range map[string][]int{"q": {2, 4, 4, 3}, "k": {2, 6, 2, 3}, "v": {2, 6, 2, 3}} {
		x := of(shape)
		for range kernels.Elements(shape) {
			x.Values = append(x.Values, random.NormFloat64())
		}
		operands[name] = x
	}
	return operands
}

// with adds operands to others.
func (a arrays) with(more arrays) arrays {
	both := arrays{}
	for _, from := range []arrays{a, more} {
		for name, x := range from {
			both[name] = x
		}
	}
	return both
}

// part is entries from to to of the first or second dim.
func (x array) part(dim, from, to int) array {
	outer, inner := kernels.Elements(x.Shape[:dim]), kernels.Elements(x.Shape[dim+1:])
	y := of(slices.Clone(x.Shape))
	y.Shape[dim] = to - from
	for i := range outer {
		if x.Values != nil {
			row := x.Values[i*x.Shape[dim]*inner:]
			y.Values = append(y.Values, row[from*inner:to*inner]...)
		}
	}
	return y
}

// A query that sees no key gives 0 and −Inf, and no gradient.
func TestAttentionOfNothing(t *testing.T) {
	operands := randomAttention(1).with(arrays{"lengths": of(dims(2), 6, 0)})
	a := kernels.Attrs{Scale: 1}
	after := invoke(t, kernels.Attention, a, operands)
	near(t, "o", after["o"][48:], make([]float64, 48), 0)
	near(t, "lse", after["lse"][16:], slices.Repeat([]float64{math.Inf(-1)}, 16), 0)
	backward := operands.with(arrays{"do": operands["q"], "o": of(dims(2, 4, 4, 3), after["o"]...), "lse": of(dims(2, 4, 4), after["lse"]...),
		"dq": of(dims(2, 4, 4, 3)), "dk": of(dims(2, 6, 2, 3)), "dv": of(dims(2, 6, 2, 3))})
	after = invoke(t, kernels.AttentionGrad, a, backward)
	near(t, "dq", after["dq"][48:], make([]float64, 48), 0)
	near(t, "dk", after["dk"][36:], make([]float64, 36), 0)
	near(t, "dv", after["dv"][36:], make([]float64, 36), 0)
	if slices.Contains(after["dk"][:36], 0) || slices.ContainsFunc(after["dq"], math.IsNaN) {
		t.Error("the row that sees keys has no gradient")
	}
}

// One visible key passes its value through: o = v, and lse is its score.
func TestAttentionOfOneKey(t *testing.T) {
	operands := randomAttention(2)
	after := invoke(t, kernels.Attention, kernels.Attrs{Scale: 0.5, Causal: true, Window: 1}, operands.with(arrays{"offset": scalarOf(2)}))
	q, k, v := operands["q"].Values, operands["k"].Values, operands["v"].Values
	// Row 0, query 1, head 3: key 3 of key-value head 1.
	query, key := (1*4+3)*3, (3*2+1)*3
	near(t, "o", after["o"][query:query+3], v[key:key+3], 1e-15)
	near(t, "lse", after["lse"][3*4+1:3*4+2], []float64{0.5 * dot(q[query:query+3], k[key:key+3])}, 1e-15)
}

// Generation, one query at a time behind a cache, gives what all queries at once give.
func TestAttentionQueryByQuery(t *testing.T) {
	operands := randomAttention(3)
	a := kernels.Attrs{Scale: 0.7, Causal: true, Window: 4, Cap: 2}
	whole := invoke(t, kernels.Attention, a, operands.with(arrays{"offset": scalarOf(2)}))
	for i := range 4 {
		one := operands.with(arrays{"q": operands["q"].part(1, i, i+1), "o": of(dims(2, 1, 4, 3)), "lse": of(dims(2, 4, 1)),
			"offset": scalarOf(float64(2 + i))})
		got := invoke(t, kernels.Attention, a, one)
		near(t, "o", got["o"], of(dims(2, 4, 4, 3), whole["o"]...).part(1, i, i+1).Values, 1e-15)
	}
}

// Splitting the batch changes no random bit: the second half knows where it begins.
func TestAttentionDropoutBySplitBatch(t *testing.T) {
	operands := randomAttention(4).with(arrays{"seed": scalarOf(99), "step": scalarOf(7), "origin": scalarOf(10)})
	a := kernels.Attrs{Scale: 0.7, Rate: 0.4, Key: 123}
	whole := invoke(t, kernels.Attention, a, operands)
	second := operands.with(arrays{"origin": scalarOf(11)})
	for _, name := range []string{"q", "k", "v", "o", "lse"} {
		second[name] = operands[name].part(0, 1, 2)
	}
	got := invoke(t, kernels.Attention, a, second)
	near(t, "o", got["o"], whole["o"][48:], 0)
	if again := invoke(t, kernels.Attention, a, second.with(arrays{"origin": scalarOf(10)})); slices.Equal(again["o"], got["o"]) {
		t.Error("another origin drops the same elements")
	}
}

// With values that are unit vectors, o shows drop(p) itself: element (b, h, i, j) of the logical tensor [B, H, T, S].
func TestAttentionDropoutPlaces(t *testing.T) {
	const seed, step, key, origin, rate = 5, 9, 31, 3, 0.5
	a := kernels.Attrs{Rate: rate, Key: key} // scale 0: p = 1/S
	operands := arrays{"q": of(dims(2, 3, 2, 4)), "k": of(dims(2, 4, 1, 4)), "v": of(dims(2, 4, 1, 4)), "o": of(dims(2, 3, 2, 4)), "lse": of(dims(2, 2, 3)),
		"seed": scalarOf(seed), "step": scalarOf(step), "origin": scalarOf(origin)}
	unit := []float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
	operands["v"] = of(dims(2, 4, 1, 4), append(slices.Clone(unit), unit...)...)
	o := invoke(t, kernels.Attention, a, operands)["o"]
	for n := range o {
		j, h, i, b := n%4, n/4%2, n/8%3, n/24
		place := uint64(((origin+b)*2+h)*3+i)*4 + uint64(j)
		want := 0.5
		if kernels.Philox(seed, place/4, step, key)[place%4] < kernels.DropThreshold(rate) {
			want = 0
		}
		if o[n] != want {
			t.Fatalf("o[%d %d %d %d] = %v, want %v", b, i, h, j, o[n], want)
		}
	}
}

// Attention over the keys part by part is attention over all of them, and so are its gradients, with all that hides and drops keys. Two ranks' tokens, of a
// row of 8: the second two queries, and the keys by twos, the later first.
func TestAttentionByPartsOfKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	normal := func(shape ...int) array {
		x := of(shape)
		for range kernels.Elements(shape) {
			x.Values = append(x.Values, random.NormFloat64())
		}
		return x
	}
	segments := of(dims(2, 8), 0, 0, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0)
	for _, a := range []kernels.Attrs{{}, {Causal: true}, {Window: 3}, {Causal: true, Window: 3, Cap: 0.8}, {Rate: 0.4, Key: 5, Length: 8, Of: 4}} {
		a.Scale = 0.6
		whole := arrays{"q": normal(2, 2, 4, 3), "k": normal(2, 8, 2, 3), "v": normal(2, 8, 2, 3), "o": of(dims(2, 2, 4, 3)), "lse": of(dims(2, 4, 2)),
			"lengths": of(dims(2), 8, 5), "q_segments": segments.part(1, 2, 4), "k_segments": segments, "offset": scalarOf(2)}
		if a.Rate > 0 {
			whole = whole.with(arrays{"seed": scalarOf(1), "step": scalarOf(2), "origin": scalarOf(3), "place": scalarOf(0)})
		}
		all := invoke(t, kernels.Attention, a, whole)
		o, lse := of(dims(2, 2, 4, 3), all["o"]...), of(dims(2, 4, 2), all["lse"]...)
		backward := whole.with(arrays{"do": normal(2, 2, 4, 3), "o": o, "lse": lse, "dq": of(dims(2, 2, 4, 3)), "dk": of(dims(2, 8, 2, 3)), "dv": of(dims(2, 8, 2, 3))})
		grads := invoke(t, kernels.AttentionGrad, a, backward)
		known, dq := arrays{}, make([]float64, len(grads["dq"]))
		for _, first := range []int{6, 2, 0, 4} {
			part := func(from arrays, names ...string) arrays {
				some := from.with(arrays{"first_key": scalarOf(float64(first))})
				for _, name := range names {
					some[name] = from[name].part(1, first, first+2)
				}
				return some
			}
			got := invoke(t, kernels.Attention, a, part(whole, "k", "v", "k_segments").with(known))
			known = arrays{"before": of(dims(2, 2, 4, 3), got["o"]...), "before_lse": of(dims(2, 4, 2), got["lse"]...)}
			back := invoke(t, kernels.AttentionGrad, a, part(backward, "k", "v", "k_segments", "dk", "dv"))
			for _, name := range []string{"dk", "dv"} {
				near(t, name, back[name], of(dims(2, 8, 2, 3), grads[name]...).part(1, first, first+2).Values, 1e-14)
			}
			for i, v := range back["dq"] {
				dq[i] += v
			}
		}
		near(t, "o", known["before"].Values, all["o"], 1e-14)
		near(t, "lse", known["before_lse"].Values, all["lse"], 1e-14)
		near(t, "dq", dq, grads["dq"], 1e-14)
	}
}

// An absent q_segments means that every query is of segment 1.
func TestAttentionOfPadding(t *testing.T) {
	operands := randomAttention(5)
	a := kernels.Attrs{Scale: 1}
	keys := of(dims(2, 6), 1, 1, 0, 2, 1, 0, 0, 0, 0, 0, 0, 1)
	ones := of(dims(2, 4), slices.Repeat([]float64{1}, 8)...)
	got := invoke(t, kernels.Attention, a, operands.with(arrays{"k_segments": keys}))
	want := invoke(t, kernels.Attention, a, operands.with(arrays{"k_segments": keys, "q_segments": ones}))
	near(t, "o", got["o"], want["o"], 0)
	near(t, "o of one key", got["o"][48:51], operands["v"].Values[(6+5)*2*3:][:3], 1e-15)
}
