package compiler

import (
	"math"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// Table is what the calls of one operation in one form took, over a grid of sizes. The times grow along each axis.
// Between grid points the logarithm of the time is interpolated linearly in the logarithms of the sizes, which is exact
// for powers of them; beyond the last, time grows with a power of the size; below the first, it is that of the first.
type Table struct {
	Op      kernels.Op    `json:"op"`
	Form    string        `json:"form,omitempty"` // see [Key]
	DType   kernels.DType `json:"type,omitempty"` // of the first operand of floats; none where there is none
	Threads int           `json:"threads"`
	Axes    []Axis        `json:"axes"`
	Warm    []float64     `json:"warm"` // seconds when a cache holds the operands, the last axis fastest
	Cold    []float64     `json:"cold"` // and when none does
}

// Axis is one size that the time depends on.
type Axis struct {
	Name  string    `json:"name"`
	Power float64   `json:"power"` // of the size by which the time grows beyond the last one
	At    []float64 `json:"at"`    // ascending
}

// Key is what tells the tables apart, and where in its table a call stands.
type Key struct {
	Op    kernels.Op
	Form  string // of an operation that runs by several loops: the kind of an activation, the transposes of a product
	DType kernels.DType
	Names []string
	At    []float64
}

// KeyOf is where the time of a call is looked up.
//
//	matmul, matmul_int8        m, n, k; form of matmul: nn, nt, tn or tt, and the type it rounds to, or row for one row of f32
//	attention, attention_grad  heads (B·H), length (T), width (D); form: causal or full, row when T = 1 (length is then S), dropout
//	others                     rows, width (the last dim of the contract's longest pattern, 1 without one)
func KeyOf(op kernels.Op, a kernels.Attrs, args []kernels.Tensor, s kernels.Sizes) Key {
	k := Key{Op: op, DType: floatType(op, args)}
	switch op {
	case kernels.MatMul:
		k.Form = strings.TrimSpace(transposes(a) + " " + a.Compute)
		if s["M"] == 1 && a.Compute == "" && !a.TransA {
			k.Form += " row"
		}
		fallthrough
	case kernels.MatMulInt8:
		k.Names, k.At = []string{"m", "n", "k"}, sizes(s["M"], s["N"], s["K"])
	case kernels.Attention, kernels.AttentionGrad:
		k.Form = attentionForm(a, s)
		k.Names, k.At = []string{"heads", "length", "width"}, sizes(s["B"]*s["H"], attentionLength(s), s["D"])
	default:
		k.Form = a.Kind
		if op == kernels.EmbeddingGrad && a.Accumulate {
			k.Form = "add"
		}
		rows, width := rowsOf(op, a, args)
		k.Names, k.At = []string{"rows", "width"}, sizes(rows, width)
	}
	return k
}

func sizes(list ...int) []float64 {
	at := make([]float64, len(list))
	for i, n := range list {
		at[i] = float64(max(1, n))
	}
	return at
}

func transposes(a kernels.Attrs) string {
	form := []byte("nn")
	if a.TransA {
		form[0] = 't'
	}
	if a.TransB {
		form[1] = 't'
	}
	return string(form)
}

func attentionForm(a kernels.Attrs, s kernels.Sizes) string {
	form := "full"
	switch {
	case s["T"] == 1:
		form = "row"
	case a.Causal:
		form = "causal"
	}
	if a.Rate > 0 {
		form += " dropout"
	}
	return form
}

// attentionLength is the side of the square that holds as many scores.
func attentionLength(s kernels.Sizes) int {
	if s["T"] == 1 {
		return s["S"]
	}
	return int(math.Round(math.Sqrt(float64(s["T"]) * float64(s["S"]))))
}

// floatType is the storage type of the first operand of floats.
func floatType(op kernels.Op, args []kernels.Tensor) kernels.DType {
	for i, p := range kernels.Contracts[op].Params {
		if p.Class == kernels.Float && i < len(args) && !args[i].Absent() {
			return args[i].DType
		}
	}
	return kernels.Invalid
}

// whole says whether a call touches all of an operand: of an embedding's table it reads only the rows that its ids name, of a
// cache it writes those of the new tokens.
func whole(op kernels.Op, operand string, a kernels.Attrs) bool {
	switch op {
	case kernels.Embedding:
		return operand != "table"
	case kernels.EmbeddingInt8:
		return operand != "table" && operand != "scale"
	case kernels.EmbeddingGrad:
		return operand != "dtable" || !a.Accumulate
	case kernels.CacheWrite:
		return operand != "cache"
	}
	return true
}

// rowsOf sees the largest operand as a matrix of rows; one of a contract without a width is all rows.
func rowsOf(op kernels.Op, a kernels.Attrs, args []kernels.Tensor) (rows, width int) {
	rows, width = 1, 1
	for i, p := range kernels.Contracts[op].Params {
		if args[i].Absent() || p.Class == kernels.Bytes || !whole(op, p.Name, a) {
			continue
		}
		if n := args[i].Len(); n > rows*width {
			rows, width = n, 1
			if letters := strings.Fields(p.Shape); len(letters) > 1 && len(args[i].Shape) > 0 {
				width = max(1, args[i].Shape[len(args[i].Shape)-1])
				rows /= width
			}
		}
	}
	return rows, width
}

// tabled is the time of a call by its table, if there is one.
func (p *Profile) tabled(threads int, c Call) (float64, bool) {
	k := KeyOf(c.Op, c.Attrs, c.Args, c.Sizes)
	less, more := p.tables(k, threads)
	if more == nil {
		return 0, false
	}
	seconds := more.seconds(k.At, c.Cold)
	if less == nil || less == more {
		return seconds, true
	}
	// Between two numbers of threads, and beyond: time is a + b/threads.
	one := less.seconds(k.At, c.Cold)
	share := (1/float64(threads) - 1/float64(more.Threads)) / (1/float64(less.Threads) - 1/float64(more.Threads))
	return math.Max(seconds+(one-seconds)*share, math.Min(one, seconds)/float64(max(1, threads/more.Threads))), true
}

// tables are the two that stand for a key and bracket the number of threads, or are next to it.
func (p *Profile) tables(k Key, threads int) (less, more *Table) {
	for i := range p.Tables {
		t := &p.Tables[i]
		if t.Op != k.Op || t.Form != k.Form || t.DType != k.DType || !t.has(k.Names) {
			continue
		}
		if t.Threads == threads {
			return t, t
		}
		switch {
		case more == nil:
			more = t
		case t.Threads < more.Threads:
			less = t
		default:
			less, more = more, t
		}
	}
	return less, more
}

func (t *Table) has(names []string) bool {
	return slices.EqualFunc(t.Axes, names, func(a Axis, name string) bool { return a.Name == name })
}

// seconds is the time at a place, with a share of the bytes cold.
func (t *Table) seconds(at []float64, cold float64) float64 {
	warm := t.interpolate(t.Warm, at)
	return warm + cold*(math.Max(t.interpolate(t.Cold, at), warm)-warm)
}

func (t *Table) interpolate(values, at []float64) float64 {
	index, share, beyond := make([]int, len(at)), make([]float64, len(at)), 1.0
	for i, a := range t.Axes {
		var scale float64
		index[i], share[i], scale = a.place(at[i])
		beyond *= scale
	}
	sum := 0.0
	for corner := range 1 << len(at) {
		weight, offset := 1.0, 0
		for i, a := range t.Axes {
			j := index[i]
			if corner>>i&1 == 1 {
				weight *= share[i]
				j = min(j+1, len(a.At)-1)
			} else {
				weight *= 1 - share[i]
			}
			offset = offset*len(a.At) + j
		}
		if weight > 0 {
			sum += weight * math.Log(values[offset])
		}
	}
	return math.Exp(sum) * beyond
}

// place is the grid point at or below a size, how far it is on the way to the next, and by what factor it lies beyond the last.
func (a *Axis) place(size float64) (index int, share, beyond float64) {
	last := len(a.At) - 1
	switch {
	case size <= a.At[0]:
		return 0, 0, 1
	case size >= a.At[last]:
		return last, 0, math.Pow(size/a.At[last], a.Power)
	}
	i, found := slices.BinarySearch(a.At, size)
	if found {
		return i, 0, 1
	}
	return i - 1, math.Log(size/a.At[i-1]) / math.Log(a.At[i]/a.At[i-1]), 1
}
