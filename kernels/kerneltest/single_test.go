package kerneltest

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/ref"
)

// single is ref behind float32 storage: a device of kind cpu whose only errors are one rounding of each output.
type single struct{ *ref.Device }

func newSingle() kernels.Device { return single{ref.New()} }

func (single) Kind() string { return "cpu" }

func (d single) Bind(c kernels.Call) (kernels.Kernel, error) {
	if _, err := kernels.Check(c.Op, c.Attrs, c.Args); err != nil {
		return nil, err
	}
	wide := c
	wide.Args = slices.Clone(c.Args)
	copies := make([][]float64, len(c.Args))
	for i, t := range c.Args {
		if class := kernels.Contracts[c.Op].Params[i].Class; t.DType == kernels.F64 && class == kernels.Float {
			return nil, fmt.Errorf("%v: f64", c.Op)
		}
		if t.DType == kernels.F32 {
			copies[i] = make([]float64, t.Len())
			wide.Args[i] = kernels.Tensor{DType: kernels.F64, Shape: t.Shape, Data: unsafe.Pointer(unsafe.SliceData(copies[i]))}
		}
	}
	kernel, err := d.Device.Bind(wide)
	if err != nil {
		return nil, err
	}
	return func() {
		d.convert(c, copies, false)
		kernel()
		d.convert(c, copies, true)
	}, nil
}

// convert copies operands to float64, or outputs back.
func (single) convert(c kernels.Call, copies [][]float64, back bool) {
	contract := kernels.Contracts[c.Op]
	for i, t := range c.Args {
		if copies[i] == nil || back && !contract.Params[i].Role.Writes() {
			continue
		}
		narrow := kernels.Slice[float32](t)
		eachOffset(t.Shape, t.Strides, func(n, offset int) {
			if back {
				narrow[offset] = float32(copies[i][n])
			} else {
				copies[i][n] = float64(narrow[offset])
			}
		})
	}
}

// faulty is a device that does something wrong.
type faulty struct {
	kernels.Device
	before, after func(c kernels.Call)
	bindAll       bool // also what it should refuse
}

func (d faulty) Bind(c kernels.Call) (kernels.Kernel, error) {
	kernel, err := d.Device.Bind(c)
	if err != nil && d.bindAll {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	return func() {
		if d.before != nil {
			d.before(c)
		}
		kernel()
		if d.after != nil {
			d.after(c)
		}
	}, nil
}

// outputs are the operands that a call writes, workspace aside.
func outputs(c kernels.Call) []kernels.Tensor { return operands(c, kernels.Role.Writes) }

func inputs(c kernels.Call) []kernels.Tensor {
	return operands(c, func(r kernels.Role) bool { return r == kernels.In })
}

func operands(c kernels.Call, wanted func(kernels.Role) bool) []kernels.Tensor {
	var found []kernels.Tensor
	for i, p := range kernels.Contracts[c.Op].Params {
		if wanted(p.Role) && !c.Args[i].Absent() && p.Class != kernels.Bytes {
			found = append(found, c.Args[i])
		}
	}
	return found
}

// change adds a hundredth, of the element and of 1, to the element at an offset; or 1 to a whole number.
func change(t kernels.Tensor, offset int) {
	at := unsafe.Add(t.Data, offset*t.DType.Size())
	switch t.DType {
	case kernels.F32:
		*(*float32)(at) += 0.01 + 0.01*max(*(*float32)(at), -*(*float32)(at))
	case kernels.F64:
		*(*float64)(at) += 0.01 + 0.01*max(*(*float64)(at), -*(*float64)(at))
	case kernels.BF16:
		*(*uint16)(at) += 2
	case kernels.I32:
		*(*int32)(at)++
	case kernels.I64:
		*(*int64)(at)++
	case kernels.I8:
		*(*int8)(at)++
	}
}
