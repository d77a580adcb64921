package kernels

import (
	"fmt"
	"slices"
	"strconv"
)

// Check holds a call against the contract: the number of operands, their types,
// shapes and strides, and the attributes. It returns the sizes that the letters
// of the shape patterns stand for. Data pointers are not looked at, so that a plan can be
// checked before there is memory.
func Check(op Op, a Attrs, args []Tensor) (Sizes, error) {
	if op == NoOp || op >= opCount {
		return nil, fmt.Errorf("unknown operation %d", uint8(op))
	}
	c := &Contracts[op]
	if len(args) != len(c.Params) {
		return nil, fmt.Errorf("%s has %d operands, not %d", c.Name, len(c.Params), len(args))
	}
	if err := c.checkAttrs(a); err != nil {
		return nil, err
	}
	m := matcher{sizes: Sizes{}}
	for i, p := range c.Params {
		if err := m.operand(p, args[i], a); err != nil {
			return nil, fmt.Errorf("%s: operand %s: %w", c.Name, p.Name, err)
		}
	}
	if c.Needs != nil {
		has := func(name string) bool { return !args[c.Param(name)].Absent() }
		if err := c.Needs(has, a); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	if c.Check != nil {
		if err := c.Check(m.sizes, a); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return m.sizes, nil
}

// matcher binds the letters of shape patterns over the operands of one call.
type matcher struct {
	sizes      Sizes
	leading    []int // what "..." stands for
	hasLeading bool
	float, any DType
	wide       DType // of what keeps digits: that of the floats, or F32 where these are halves
}

func (m *matcher) operand(p Param, t Tensor, a Attrs) error {
	if t.Absent() {
		if p.Optional {
			return nil
		}
		return fmt.Errorf("missing")
	}
	if err := m.dtype(p, t.DType); err != nil {
		return err
	}
	if err := checkStrides(p, t); err != nil {
		return err
	}
	shape := t.Shape
	if p.Swap == "trans_a" && a.TransA || p.Swap == "trans_b" && a.TransB {
		shape = slices.Clone(shape)
		if n := len(shape); n >= 2 {
			shape[n-1], shape[n-2] = shape[n-2], shape[n-1]
		}
	}
	return m.shape(p.Shape, shape)
}

func (m *matcher) dtype(p Param, d DType) error {
	c, want := p.Class, p.Class.DType()
	switch {
	case c == Float && (!d.Float() || p.Wide && d.Half()), c == Any && !d.Float() && d != I32 && d != I8, c == Number && !d.Float() && d != I32 && d != I64, c == Half && !d.Half():
		return fmt.Errorf("type %v is not a type it takes", d)
	case c == Number, c == Half:
		return nil
	case c == Float && p.Wide:
		return bindType(&m.wide, d)
	case c == Float:
		if err := bindType(&m.float, d); err != nil {
			return err
		}
		return bindType(&m.wide, d.widened())
	case c == Any:
		return bindType(&m.any, d)
	case d != want:
		return fmt.Errorf("type %v, want %v", d, want)
	}
	return nil
}

func bindType(bound *DType, d DType) error {
	if *bound != Invalid && *bound != d {
		return fmt.Errorf("type %v, but an operand before it has %v", d, *bound)
	}
	*bound = d
	return nil
}

func checkStrides(p Param, t Tensor) error {
	if t.Strides == nil {
		return nil
	}
	if len(t.Strides) != len(t.Shape) {
		return fmt.Errorf("%d strides for %d dims", len(t.Strides), len(t.Shape))
	}
	last := len(t.Shape) - 1
	if !p.Strided && !t.Dense() || last >= 0 && t.Strides[last] != 1 && t.Shape[last] != 1 {
		return fmt.Errorf("strides %v are not dense", t.Strides)
	}
	for i, s := range t.Strides {
		if s < 1 && t.Shape[i] > 1 {
			return fmt.Errorf("stride %d is not positive", s)
		}
	}
	return nil
}

func (m *matcher) shape(pattern string, shape []int) error {
	for _, n := range shape {
		if n < 0 {
			return fmt.Errorf("shape %v has a negative dim", shape)
		}
	}
	if pattern == "*" {
		return nil
	}
	letters := patterns[pattern]
	if letters[0] == "..." {
		rest := len(letters) - 1
		if len(shape) < rest {
			return fmt.Errorf("shape %v has fewer dims than %s", shape, pattern)
		}
		if err := m.bindLeading(shape[:len(shape)-rest]); err != nil {
			return err
		}
		letters, shape = letters[1:], shape[len(shape)-rest:]
	}
	if pattern == "1" && len(shape) == 0 {
		return nil
	}
	if len(letters) != len(shape) {
		return fmt.Errorf("shape %v does not fit %s", shape, pattern)
	}
	for i, letter := range letters {
		if err := m.bind(letter, shape[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *matcher) bindLeading(dims []int) error {
	if m.hasLeading && !slices.Equal(m.leading, dims) {
		return fmt.Errorf("leading dims %v, but an operand before it has %v", dims, m.leading)
	}
	m.hasLeading, m.leading = true, dims
	m.sizes["..."] = Elements(dims)
	return nil
}

func (m *matcher) bind(letter string, n int) error {
	if letter[0] >= '0' && letter[0] <= '9' {
		if want, _ := strconv.Atoi(letter); n != want {
			return fmt.Errorf("length %d, want %d", n, want)
		}
		return nil
	}
	if bound, ok := m.sizes[letter]; ok && bound != n {
		return fmt.Errorf("%s = %d, but an operand before it has %s = %d", letter, n, letter, bound)
	}
	m.sizes[letter] = n
	return nil
}

// FlopsOf counts the floating-point operations of a call that passed [Check].
func FlopsOf(op Op, s Sizes, a Attrs) float64 {
	if f := Contracts[op].Flops; f != nil {
		return f(s, a)
	}
	return float64(s["..."])
}

// TrafficBytes counts the bytes that a call must move at least: every operand once for each way it is used.
func TrafficBytes(op Op, a Attrs, args []Tensor) int64 {
	var total int64
	for i, t := range args {
		if t.Absent() || Contracts[op].Params[i].Class == Bytes {
			continue
		}
		once := int64(t.Len()) * int64(t.DType.Size())
		switch name := Contracts[op].Params[i].Name; {
		case (op == Embedding || op == EmbeddingInt8) && name == "table":
			once = int64(args[len(args)-1].Len()) * int64(t.DType.Size()) // the rows that are read
		case op == EmbeddingGrad && name == "dtable" && a.Accumulate:
			once = int64(args[1].Len()) * int64(t.DType.Size()) // the rows that are added to
		}
		role := Contracts[op].RoleOf(i, a)
		if role.Reads() {
			total += once
		}
		if role.Writes() {
			total += once
		}
	}
	return total
}
