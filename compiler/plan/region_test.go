package plan

import (
	"math/rand/v2"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// cover lists the elements that a view touches, and says whether it touches one twice.
func cover(o *Operand) (elements map[int]bool, twice bool) {
	elements = map[int]bool{}
	t := kernels.Tensor{Shape: o.Shape, Strides: o.Strides}
	var visit func(dim, at int)
	visit = func(dim, at int) {
		if dim == len(o.Shape) {
			twice = twice || elements[at]
			elements[at] = true
			return
		}
		for i := range o.Shape[dim] {
			visit(dim+1, at+i*t.Stride(dim))
		}
	}
	visit(0, o.Offset)
	return elements, twice
}

func (r region) holds(at int) bool { return r.from <= at%r.stride && at%r.stride < r.to }

// views makes random views of a buffer of 48 elements, most of them parts as fused projections have them.
func randomView(r *rand.Rand) Operand {
	const size = 48
	shapes := [][]int{{4, 12}, {2, 2, 12}, {4, 3, 4}, {2, 2, 3, 2, 2}, {48}, {2, 24}, {8, 6}}
	shape := shapes[r.IntN(len(shapes))]
	o := Operand{Shape: append([]int{}, shape...), Strides: denseStrides(shape)}
	for range r.IntN(3) {
		i := r.IntN(len(o.Shape))
		n := 1 + r.IntN(o.Shape[i])
		o.Offset += r.IntN(o.Shape[i]-n+1) * o.Strides[i]
		o.Shape[i] = n
	}
	if r.IntN(3) == 0 {
		i := r.IntN(len(o.Shape))
		if s := o.Strides[i] + r.IntN(5) - 2; s > 0 {
			o.Strides[i] = s
		}
	}
	if n, ok := extent(o.Shape, o.Strides); !ok || o.Offset+n > size {
		return randomView(r)
	}
	return o
}

// A region is exactly what its view covers; regions meet where views do.
func TestRegionsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	followed := 0
	for range 20000 {
		a, b := randomView(r), randomView(r)
		ra, okA := regionOf(&a, 48)
		inA, twice := cover(&a)
		if !okA {
			continue
		}
		followed++
		if twice {
			t.Fatalf("%+v meets itself", a)
		}
		for at := range 48 {
			if inA[at] != ra.holds(at) {
				t.Fatalf("%+v: %v is not its region at %d", a, ra, at)
			}
		}
		rb, okB := regionOf(&b, 48)
		if !okB {
			continue
		}
		inB, _ := cover(&b)
		meet := false
		for at := range inA {
			meet = meet || inB[at]
		}
		if meet && !ra.meets(rb) {
			t.Fatalf("%+v and %+v meet, %v and %v do not", a, b, ra, rb)
		}
		if ra.stride == rb.stride && !meet && ra.meets(rb) {
			t.Fatalf("%+v and %+v lie apart, %v and %v do not", a, b, ra, rb)
		}
	}
	if followed < 10000 {
		t.Errorf("only %d of 20000 views were followed", followed)
	}
}

// What a part covers was written; of one stride, all that was written is covered.
func TestPartsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	covered := 0
	for range 5000 {
		var p part
		written := map[int]bool{}
		stride, single := 0, true
		for range 1 + r.IntN(5) {
			o := randomView(r)
			w, ok := regionOf(&o, 48)
			if !ok {
				continue
			}
			single = single && (stride == 0 || stride == w.stride)
			stride = w.stride
			p = p.with(w)
			in, _ := cover(&o)
			for at := range in {
				written[at] = true
			}
		}
		o := randomView(r)
		q, ok := regionOf(&o, 48)
		if !ok {
			continue
		}
		all := true
		in, _ := cover(&o)
		for at := range in {
			all = all && written[at]
		}
		if p.covers(q) {
			covered++
		}
		if p.covers(q) && !all {
			t.Fatalf("%v covers %v, which was not all written", p, q)
		}
		if single && q.stride == stride && all && !p.covers(q) {
			t.Fatalf("%v does not cover %v, which was written", p, q)
		}
	}
	if covered < 100 {
		t.Errorf("only %d reads were covered", covered)
	}
}
