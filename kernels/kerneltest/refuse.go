package kerneltest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// refusals checks that calls which break the contract are refused when they are bound.
func refusals(dev kernels.Device, kind kernels.Kind, s *sample) error {
	a, _, err := bind(dev, s)
	if err != nil {
		return err
	}
	defer a.memory.Close()
	good := kernels.Call{Op: s.op, Attrs: s.attrs, Args: a.tensors}
	for _, bad := range broken(good, kind) {
		k, err := tryBind(dev, bad.call)
		switch {
		case err == nil:
			return fmt.Errorf("the device accepts a call with %s", bad.how)
		case k != nil:
			return fmt.Errorf("the device refuses a call with %s, and gives a kernel for it", bad.how)
		case errors.Is(err, errPanic):
			return fmt.Errorf("a call with %s: %w", bad.how, err)
		}
	}
	return nil
}

type brokenCall struct {
	how  string
	call kernels.Call
}

// broken spoils a good call in each way that a device must notice.
func broken(good kernels.Call, kind kernels.Kind) []brokenCall {
	var bad []brokenCall
	spoil := func(how string, change func(*kernels.Call)) {
		c := good
		c.Args = slices.Clone(good.Args)
		change(&c)
		bad = append(bad, brokenCall{how, c})
	}
	spoil("no operation", func(c *kernels.Call) { c.Op = kernels.NoOp })
	spoil("an operand too few", func(c *kernels.Call) { c.Args = c.Args[1:] })
	spoil("an attribute it does not take", func(c *kernels.Call) { foreignAttr(c) })
	for i, p := range kernels.Contracts[good.Op].Params {
		t := good.Args[i]
		if t.Absent() || p.Class == kernels.Bytes {
			continue
		}
		if !p.Optional {
			spoil("no "+p.Name, func(c *kernels.Call) { c.Args[i] = kernels.Tensor{} })
		}
		spoil("another type of "+p.Name, func(c *kernels.Call) { c.Args[i].DType = otherType(p.Class, kind.Compute) })
		if i > 0 || p.Shape[0] != '.' {
			spoil("another rank of "+p.Name, func(c *kernels.Call) { c.Args[i].Shape, c.Args[i].Strides = []int{1, 1, 1, 1, 1, 1, 1}, nil })
		}
		if n := len(t.Shape); !p.Strided && n > 1 && t.Shape[0] > 1 {
			spoil("gaps in "+p.Name, func(c *kernels.Call) { c.Args[i].Strides = gapped(t) })
		}
	}
	return bad
}

// foreignAttr sets an attribute that the operation does not take.
func foreignAttr(c *kernels.Call) {
	if kernels.Contracts[c.Op].Takes("beta2") {
		c.Attrs.Theta = 3
		return
	}
	c.Attrs.Beta2 = 0.5
}

// otherType is a type that no device of the kind takes for an operand of the class.
func otherType(class kernels.Class, compute kernels.DType) kernels.DType {
	if class != kernels.Float {
		return kernels.U8
	}
	if compute == kernels.F64 {
		return kernels.F32
	}
	return kernels.F64
}

// gapped are strides with a gap after each entry of the first dim.
func gapped(t kernels.Tensor) []int {
	strides := make([]int, len(t.Shape))
	for i := range strides {
		strides[i] = t.Stride(i)
	}
	strides[0]++
	return strides
}
