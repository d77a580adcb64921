package kernels

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestEveryOperationHasAContract(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range Ops() {
		c := Contracts[op]
		if c.Name == "" || seen[c.Name] {
			t.Errorf("operation %d: name %q is empty or taken", op, c.Name)
		}
		seen[c.Name] = true
		if back, err := ParseOp(c.Name); back != op || err != nil {
			t.Errorf("ParseOp(%q) = %v, %v", c.Name, back, err)
		}
		text, _ := op.MarshalText()
		var back Op
		if err := back.UnmarshalText(text); back != op || err != nil {
			t.Errorf("%v does not survive its text: %v, %v", op, back, err)
		}
		if len(c.Params) == 0 {
			t.Errorf("%v has no operands", op)
		}
	}
}

func TestUnknownOperations(t *testing.T) {
	if NoOp.String() != "op(0)" || !strings.HasPrefix(opCount.String(), "op(") {
		t.Errorf("got %v, %v", NoOp, opCount)
	}
	for _, name := range []string{"", "op(0)", "Adam", "nonsense"} {
		if op, err := ParseOp(name); err == nil {
			t.Errorf("ParseOp(%q) = %v", name, op)
		}
	}
}

func TestContractsNameWhatExists(t *testing.T) {
	for _, op := range Ops() {
		c := Contracts[op]
		names := map[string]bool{}
		for _, p := range c.Params {
			if names[p.Name] || p.Shape == "" {
				t.Errorf("%v: operand %q is named twice or has no shape", op, p.Name)
			}
			names[p.Name] = true
			if p.Sums && (!c.Takes("accumulate") || !p.Role.Writes()) {
				t.Errorf("%v: %s sums, but the call cannot accumulate", op, p.Name)
			}
			if p.Swap != "" && !c.Takes(p.Swap) {
				t.Errorf("%v: %s is swapped by %s, which it does not take", op, p.Name, p.Swap)
			}
		}
		if c.Takes("accumulate") && !slices.ContainsFunc(c.Params, func(p Param) bool { return p.Sums }) {
			t.Errorf("%v accumulates nothing", op)
		}
		for _, pair := range c.InPlace {
			checkPair(t, op, pair)
		}
	}
}

func checkPair(t *testing.T, op Op, pair [2]string) {
	c := Contracts[op]
	o, i := c.Param(pair[0]), c.Param(pair[1])
	if o < 0 || i < 0 {
		t.Errorf("%v: in place pair %v names no operands", op, pair)
		return
	}
	out, in := c.Params[o], c.Params[i]
	if out.Role != Out || in.Role != In || out.Shape != in.Shape || out.Class != in.Class || !c.MayShare(o, i) || c.MayShare(i, o) {
		t.Errorf("%v: %v cannot share storage", op, pair)
	}
}

func TestAttributesAreTaken(t *testing.T) {
	fields := reflect.TypeFor[Attrs]()
	known, all := map[string]bool{}, slices.Concat(Ops(), Collectives(), Hosted())
	for i := range fields.NumField() {
		name, option, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		known[name] = true
		if option != "omitempty" {
			t.Errorf("attribute %s is written when it is zero", name)
		}
		if !slices.ContainsFunc(all, func(op Op) bool { return Contracts[op].Takes(name) }) {
			t.Errorf("no operation takes attribute %s", name)
		}
	}
	for _, op := range all {
		for _, name := range strings.Fields(Contracts[op].Attrs) {
			if !known[name] {
				t.Errorf("%v takes %s, which is no attribute", op, name)
			}
		}
	}
}

func f32(shape ...int) Tensor { return Tensor{DType: F32, Shape: shape} }
func i32(shape ...int) Tensor { return Tensor{DType: I32, Shape: shape} }
func i8(shape ...int) Tensor  { return Tensor{DType: I8, Shape: shape} }
func real64s(shape ...int) Tensor {
	return Tensor{DType: F64, Shape: shape}
}
func i64s(shape ...int) Tensor { return Tensor{DType: I64, Shape: shape} }
func strided(t Tensor, strides ...int) Tensor {
	t.Strides = strides
	return t
}

var absent Tensor

// masked are the operands of Attention with the given optional ones.
func masked(qSegments, kSegments, seed Tensor) []Tensor {
	return []Tensor{f32(2, 3, 4, 8), f32(2, 5, 2, 8), f32(2, 5, 2, 8), absent, qSegments, kSegments, absent, seed, seed, seed, absent,
		f32(2, 3, 4, 8), f32(2, 4, 3), absent, absent, absent}
}

// known are those with what is known over other keys.
func known(firstKey, before, lse Tensor) []Tensor {
	return append(masked(absent, absent, absent)[:13], firstKey, before, lse)
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name string
		op   Op
		a    Attrs
		args []Tensor
		want string // the error; empty: none
	}{
		{"no operation", NoOp, Attrs{}, nil, "unknown operation 0"},
		{"past the last operation", opCount, Attrs{}, nil, "unknown operation"},
		{"good", Scale, Attrs{Alpha: 2}, []Tensor{f32(3), f32(3)}, ""},
		{"scalars", Scale, Attrs{Alpha: 2}, []Tensor{f32(), f32()}, ""},
		{"too few", Scale, Attrs{}, []Tensor{f32(3)}, "scale has 2 operands, not 1"},
		{"too many", Scale, Attrs{}, []Tensor{f32(3), f32(3), f32(3)}, "scale has 2 operands, not 3"},
		{"foreign attribute", Scale, Attrs{Causal: true}, []Tensor{f32(3), f32(3)}, "scale takes no attribute causal"},
		{"missing", Scale, Attrs{}, []Tensor{absent, f32(3)}, "operand x: missing"},
		{"whole numbers", Scale, Attrs{}, []Tensor{i32(3), i32(3)}, "type i32 is not a type it takes"},
		{"two types", Scale, Attrs{}, []Tensor{f32(3), real64s(3)}, "type f64, but an operand before it has f32"},
		{"two shapes", Scale, Attrs{}, []Tensor{f32(3), f32(4)}, "leading dims [4], but an operand before it has [3]"},
		{"negative dim", Scale, Attrs{}, []Tensor{f32(-3), f32(-3)}, "negative dim"},
		{"not dense", Scale, Attrs{}, []Tensor{strided(f32(2, 3), 4, 1), f32(2, 3)}, "strides [4 1] are not dense"},
		{"dense strides", Scale, Attrs{}, []Tensor{strided(f32(2, 3), 3, 1), f32(2, 3)}, ""},

		{"copy of whole numbers", Copy, Attrs{}, []Tensor{i32(3), i32(3)}, ""},
		{"copy of counters", Copy, Attrs{}, []Tensor{i64s(3), i64s(3)}, "type i64 is not a type it takes"},
		{"copy between types", Copy, Attrs{}, []Tensor{i32(3), f32(3)}, "type f32, but an operand before it has i32"},
		{"strided", Copy, Attrs{}, []Tensor{strided(f32(2, 3), 5, 1), strided(f32(2, 3), 3, 1)}, ""},
		{"last dim strided", Copy, Attrs{}, []Tensor{strided(f32(2, 3), 6, 2), f32(2, 3)}, "strides [6 2] are not dense"},
		{"last dim of one", Copy, Attrs{}, []Tensor{strided(f32(2, 1), 6, 2), f32(2, 1)}, ""},
		{"stride of 0", Copy, Attrs{}, []Tensor{f32(2, 3), strided(f32(2, 3), 0, 1)}, "stride 0 is not positive"},
		{"strides of another rank", Copy, Attrs{}, []Tensor{strided(f32(2, 3), 1), f32(2, 3)}, "1 strides for 2 dims"},

		{"product", MatMul, Attrs{}, product(f32(2, 3), f32(3, 4), f32(4), f32(2, 4)), ""},
		{"no bias", MatMul, Attrs{}, product(f32(2, 3), f32(3, 4), absent, f32(2, 4)), ""},
		{"inner lengths", MatMul, Attrs{}, product(f32(2, 3), f32(5, 4), absent, f32(2, 4)), "K = 5, but an operand before it has K = 3"},
		{"swapped", MatMul, Attrs{TransA: true, TransB: true}, product(f32(3, 2), f32(4, 3), absent, f32(2, 4)), ""},
		{"not swapped", MatMul, Attrs{TransA: true}, product(f32(2, 3), f32(3, 4), absent, f32(2, 4)), "operand b"},
		{"a batch", MatMul, Attrs{}, product(f32(1, 2, 3), f32(3, 4), absent, f32(2, 4)), "shape [1 2 3] does not fit M K"},

		{"rows", LayerNorm, Attrs{}, []Tensor{f32(2, 3, 8), f32(8), absent, f32(2, 3, 8), f32(2, 3), f32(2, 3)}, ""},
		{"too few dims", LayerNorm, Attrs{}, []Tensor{f32(), absent, absent, f32(), f32(), f32()}, "fewer dims than ... C"},
		{"rows of another number", LayerNorm, Attrs{}, []Tensor{f32(2, 8), absent, absent, f32(2, 8), f32(3), f32(2)}, "operand mean: leading dims [3]"},

		{"scalar of rank 0", ClipFactor, Attrs{}, []Tensor{real64s(), {}, real64s(1), real64s(), i64s()}, ""},
		{"scalar of length 2", ClipFactor, Attrs{}, []Tensor{real64s(2), {}, real64s(2), real64s(), i64s()}, "length 2, want 1"},
		{"float32 scalar", ClipFactor, Attrs{}, []Tensor{f32(), {}, real64s(), real64s(), i64s()}, "type f32, want f64"},

		{"activation", Activate, Attrs{Kind: "swish"}, []Tensor{f32(3), f32(3)}, `unknown activation "swish"`},
		{"soft cap without cap", Activate, Attrs{Kind: "soft_cap"}, []Tensor{f32(3), f32(3)}, "cap = 0"},
		{"cap without soft cap", Activate, Attrs{Kind: "relu", Cap: 1}, []Tensor{f32(3), f32(3)}, "cap = 1"},
		{"rate of 1", Dropout, Attrs{Rate: 1}, []Tensor{f32(3), i64s(), i64s(), i64s(), absent, f32(3)}, "rate 1 is outside [0, 1)"},
		{"index", Select, Attrs{Index: 3}, []Tensor{f32(2, 3, 4), f32(2, 4)}, "index 3 is outside the 3 positions"},
		{"odd rotation", RotaryTable, Attrs{Theta: 1e4}, []Tensor{i32(1, 2), f32(1, 2, 3)}, "must be even"},
		{"rope without theta", RotaryTable, Attrs{}, []Tensor{i32(1, 2), f32(1, 2, 4)}, "theta 0 positive"},
		{"rope scaling", RotaryTable, Attrs{Theta: 1, RopeScaling: "llama3", RopeFactor: 8}, []Tensor{i32(1, 2), f32(1, 2, 4)}, "lacks its factors"},
		{"rotation too wide", Rotary, Attrs{}, []Tensor{f32(2, 3, 1, 4), f32(2, 3, 6), f32(2, 3, 1, 4)}, "at most the head width 4"},
		{"one table for all", Rotary, Attrs{}, []Tensor{f32(4, 3, 1, 4), f32(1, 3, 4), f32(4, 3, 1, 4)}, ""},
		{"tables for some", Rotary, Attrs{}, []Tensor{f32(4, 3, 1, 4), f32(2, 3, 4), f32(4, 3, 1, 4)}, "a table for 2 rows"},

		{"attention", Attention, Attrs{Scale: 1}, masked(absent, absent, absent), ""},
		{"segments", Attention, Attrs{}, masked(i32(2, 3), i32(2, 5), absent), ""},
		{"segments of keys", Attention, Attrs{}, masked(absent, i32(2, 5), absent), ""},
		{"segments of queries alone", Attention, Attrs{}, masked(i32(2, 3), absent, absent), "q_segments without k_segments"},
		{"dropout", Attention, Attrs{Rate: 0.5}, masked(absent, absent, i64s()), ""},
		{"dropout without seed", Attention, Attrs{Rate: 0.5}, masked(absent, absent, absent), "dropout needs seed, step and origin"},
		{"part of the keys", Attention, Attrs{}, known(i64s(), f32(2, 3, 4, 8), f32(2, 4, 3)), ""},
		{"before without before_lse", Attention, Attrs{}, known(i64s(), f32(2, 3, 4, 8), absent), "before goes with before_lse"},
		{"before of other queries", Attention, Attrs{}, known(i64s(), f32(2, 5, 4, 8), f32(2, 4, 3)), "T = 5"},
		{"ring_shift without an axis", RingShift, Attrs{}, []Tensor{f32(2), f32(2)}, "a collective needs an axis"},
		{"window", Attention, Attrs{Window: -1}, masked(absent, absent, absent), "must not be negative"},
		{"negative scale", Attention, Attrs{Scale: -1}, masked(absent, absent, absent), "must not be negative"},
		{"heads", Attention, Attrs{}, append([]Tensor{f32(2, 3, 3, 8)}, append(masked(absent, absent, absent)[1:11],
			f32(2, 3, 3, 8), f32(2, 3, 3), absent, absent, absent)...), "2 key-value heads do not divide 3 heads"},

		{"int8 product", MatMulInt8, Attrs{}, []Tensor{f32(2, 3), i8(4, 3), f32(4), absent, f32(2, 4), absent, absent, absent}, ""},
		{"int8 product of floats", MatMulInt8, Attrs{}, []Tensor{f32(2, 3), f32(4, 3), f32(4), absent, f32(2, 4), absent, absent, absent}, "type f32, want i8"},
		{"int8 product of long rows", MatMulInt8, Attrs{}, []Tensor{f32(1, MaxInt8Sum+1), i8(4, MaxInt8Sum+1), f32(4), absent, f32(1, 4), absent, absent, absent},
			"longer than the 65536"},
		{"quantised across", QuantizeRows, Attrs{TransA: true}, []Tensor{f32(3, 4), i8(4, 3), f32(4)}, ""},
		{"unknown pattern", PruneMask, Attrs{Pattern: "diagonal"}, []Tensor{f32(1, 4, 3), real64s(1), i8(1, 4, 3)}, `unknown pattern "diagonal"`},
		{"groups that do not divide", PruneMask, Attrs{Pattern: "groups", Group: 3}, []Tensor{f32(1, 4, 3), real64s(1), i8(1, 4, 3)}, "groups of 3 do not divide K = 4"},
		{"slices with a group", PruneMask, Attrs{Pattern: "slices", Group: 2}, []Tensor{f32(1, 4, 3), real64s(1), i8(1, 4, 3)}, `group = 2 does not go with pattern "slices"`},
		{"rounded in groups", FakeQuantize, Attrs{Bits: 4, Group: 2}, []Tensor{f32(1, 4, 3), absent, absent, f32(1, 4, 3), f32(1, 2, 3), absent}, ""},
		{"one bit", FakeQuantize, Attrs{Bits: 1}, []Tensor{f32(1, 4, 3), absent, absent, f32(1, 4, 3), absent, absent}, "1 bits are outside [2, 8]"},
		{"scales of other groups", FakeQuantize, Attrs{Bits: 8}, []Tensor{f32(1, 4, 3), absent, absent, f32(1, 4, 3), f32(1, 2, 3), absent}, "there are 1 groups along K, not 2"},
		{"a scale for each column", QuantizeRows, Attrs{}, []Tensor{f32(4, 3), i8(4, 3), f32(3)}, "N = 3, but an operand before it has N = 4"},

		{"factors", AdafactorMoments, Attrs{}, []Tensor{f32(2, 3), real64s(), i64s(), f32(2), f32(3), absent}, ""},
		{"variance", AdafactorMoments, Attrs{}, []Tensor{f32(2, 3), real64s(), i64s(), absent, absent, f32(2, 3)}, ""},
		{"row alone", AdafactorMoments, Attrs{}, []Tensor{f32(2, 3), real64s(), i64s(), f32(2), absent, absent}, "either row and column or variance"},
		{"gelu", MatMul, Attrs{Kind: "gelu", Alpha: 2}, product(f32(2, 3), f32(3, 5), absent, f32(2, 5), absent, f32(2, 5), f32(2, 5)), ""},
		{"gate", MatMul, Attrs{Kind: "silu"}, product(f32(2, 3), f32(3, 5), absent, f32(2, 5), strided(f32(2, 5), 9, 1)), ""},
		{"unknown activation", MatMul, Attrs{Kind: "gelo"}, product(f32(2, 3), f32(3, 5), absent, f32(2, 5)), "unknown activation"},
		{"x without kind", MatMul, Attrs{}, product(f32(2, 3), f32(3, 5), absent, f32(2, 5), f32(2, 5)), "x and pre mean nothing"},
		{"derivative of nothing", MatMul, Attrs{Kind: "relu", Derivative: true}, product(f32(2, 3), f32(3, 5), absent, f32(2, 5)), "derivative means nothing"},
		{"scaled sum", MatMul, Attrs{Accumulate: true, Alpha: 2}, product(f32(2, 3), f32(3, 5), absent, f32(2, 5)), "no epilogue"},
		{"neither", AdafactorMoments, Attrs{}, []Tensor{f32(2, 3), real64s(), i64s(), absent, absent, absent}, "either row and column or variance"},
		{"both", AdafactorMoments, Attrs{}, []Tensor{f32(2, 3), real64s(), i64s(), f32(2), f32(3), f32(2, 3)}, "either row and column or variance"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Check(test.op, test.a, test.args)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// product pads the operands of a matrix product that has no epilogue, or the beginning of one.
func product(args ...Tensor) []Tensor {
	return append(args, make([]Tensor, len(Contracts[MatMul].Params)-len(args))...)
}

func TestCheckGivesSizes(t *testing.T) {
	sizes, err := Check(MatMul, Attrs{TransB: true}, product(f32(2, 3), f32(5, 3), absent, f32(2, 5)))
	if err != nil || sizes["M"] != 2 || sizes["K"] != 3 || sizes["N"] != 5 {
		t.Errorf("sizes %v, %v", sizes, err)
	}
	if got := FlopsOf(MatMul, sizes, Attrs{}); got != 60 {
		t.Errorf("%v operations, want 60", got)
	}
	sizes, err = Check(SumRows, Attrs{}, []Tensor{f32(4, 2, 3), f32(3)})
	if err != nil || sizes["..."] != 8 || sizes["N"] != 3 {
		t.Errorf("sizes %v, %v", sizes, err)
	}
}

// The count without a loop over pairs is the count with one.
func TestVisiblePairs(t *testing.T) {
	for _, a := range []Attrs{{}, {Causal: true}, {Window: 2}, {Causal: true, Window: 3}, {Window: 50}} {
		for _, size := range [][2]int{{1, 1}, {4, 4}, {3, 7}, {1, 9}, {7, 3}} {
			want := 0.0
			for i := range size[0] {
				for j := range size[1] {
					back := i + size[1] - size[0] - j
					if (!a.Causal || back >= 0) && (a.Window == 0 || back < a.Window && (a.Causal || -back < a.Window)) {
						want++
					}
				}
			}
			if got := visiblePairs(size[0], size[1], a); got != want {
				t.Errorf("%v %+v: %v pairs, want %v", size, a, got, want)
			}
		}
	}
}

func TestTrafficBytes(t *testing.T) {
	for _, test := range []struct {
		op   Op
		a    Attrs
		args []Tensor
		want int64
	}{
		{Add, Attrs{}, []Tensor{f32(10), f32(10), f32(10)}, 120},
		{SumRows, Attrs{}, []Tensor{f32(4, 5), f32(5)}, 100},
		{SumRows, Attrs{Accumulate: true}, []Tensor{f32(4, 5), f32(5)}, 120},
		{Embedding, Attrs{}, []Tensor{i32(2), f32(1000, 8), f32(2, 8)}, 8 + 64 + 64},
		{EmbeddingInt8, Attrs{}, []Tensor{i32(2), i8(1000, 8), f32(1000), f32(2, 8)}, 8 + 16 + 4000 + 64},
		{SGD, Attrs{}, []Tensor{f32(10), f32(10), absent, real64s(), real64s()}, 136},
	} {
		if got := TrafficBytes(test.op, test.a, test.args); got != test.want {
			t.Errorf("%v %+v: %d bytes, want %d", test.op, test.a, got, test.want)
		}
	}
}
