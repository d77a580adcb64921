package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gsc-project/gsc/kernels"
)

// BenchmarkFakeQuantize rounds a weight of GPT-2's MLP, stored either way, and a batch of activations: bytes are those that are read and written once.
func BenchmarkFakeQuantize(b *testing.B) {
	d, err := New(1)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct {
		name  string
		shape []int
		scale []int
	}{{"in_out", []int{1, 768, 3072}, []int{1, 1, 3072}}, {"out_in", []int{3072, 768, 1}, []int{3072, 1, 1}}} {
		for _, symmetric := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/symmetric=%t", c.name, symmetric), func(b *testing.B) {
				o := &operands{r: rand.New(rand.NewPCG(1, 2))}
				o.f(c.shape...).absent().absent().f(c.shape...).f(c.scale...).f(c.scale...)
				run, err := d.Bind(kernels.Call{Op: kernels.FakeQuantize, Attrs: kernels.Attrs{Bits: 8, Symmetric: symmetric}, Args: o.cpu})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(8 * 768 * 3072)
				for b.Loop() {
					run()
				}
			})
		}
	}
}
