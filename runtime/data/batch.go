package data

import (
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/record"
)

// Batch is a global batch. Arrays are row-major; those that the plan's inputs do not name are empty. A
// batch is made once and filled again and again: its arrays are valid until the next filling.
type Batch struct {
	Rows   int
	Length int // tokens a row: the bucket, where rows are padded

	Tokens    []int32 // (Rows, Length)
	Labels    []int32 // (Rows, Length), or (Rows) when the target is a row
	Types     []int32 // (Rows, Length)
	Segments  []int32 // (Rows, Length); 0: padding
	Positions []int32 // (Rows, Length)
	Mask      []int32 // (Rows, Length)
	Lengths   []int32 // (Rows): valid tokens

	Values  []float32            // (Rows, Outputs), when the target is values
	Further map[string][]float32 // each (Rows, Length, Width) or, when the target is a row, (Rows, Width): the spec's further tensors
	Weights []float32            // like Labels, or (Rows) when the target is values

	Index  []int64 // (Rows): the row of the split, −1 where a row only pads the batch; places, when the order is random
	Weight float64 // Σw over the scored positions
	Scored int     // positions whose label is not ignored
	Valid  int     // tokens that are no padding

	ignore int32
	target string
	unit   int                // records of a unit that counts in the mean; 0: positions do
	arrays map[string][]int32 // by input, of full capacity
	valid  []int32            // (Rows): valid tokens
	rows   record.Rows        // as transforms see it
}

// NewBatch makes a batch of the given rows for a prepared spec.
func NewBatch(spec plan.Data, rows int) *Batch {
	b := &Batch{Rows: rows, ignore: int32(spec.Ignore), target: spec.Target, unit: plan.RecordsOf(spec.Unit), arrays: make(map[string][]int32),
		Index: make([]int64, rows), valid: make([]int32, rows)}
	for _, input := range spec.Inputs {
		switch {
		case slices.Contains(spec.Further, input):
			if b.Further == nil {
				b.Further = map[string][]float32{}
			}
			b.Further[input] = make([]float32, rows*furtherOf(&spec))
		case input == plan.InputWeights && spec.Target == "token":
			b.Weights = make([]float32, rows*spec.Length)
		case input == plan.InputWeights:
			b.Weights = make([]float32, rows)
		case input == plan.InputLabels && spec.Target == "values":
			b.Values = make([]float32, rows*spec.Outputs)
		case b.perRow(input):
			b.arrays[input] = make([]int32, rows)
		default:
			b.arrays[input] = make([]int32, rows*spec.Length)
		}
	}
	b.resize(spec.Length)
	return b
}

// furtherOf is how many numbers a row has in each further tensor.
func furtherOf(spec *plan.Data) int {
	if spec.Target == "token" {
		return spec.Length * spec.Width
	}
	return spec.Width
}

// BatchBytes is the memory that [NewBatch] takes.
func BatchBytes(spec plan.Data, rows int) int64 {
	numbers := 3 // Index and valid
	for _, input := range spec.Inputs {
		switch {
		case slices.Contains(spec.Further, input):
			numbers += furtherOf(&spec)
		case input == plan.InputLabels && spec.Target == "values":
			numbers += spec.Outputs
		case input == plan.InputLengths, spec.Target != "token" && (input == plan.InputLabels || input == plan.InputWeights):
			numbers++
		default:
			numbers += spec.Length
		}
	}
	return 4 * int64(numbers) * int64(rows)
}

// perRow says whether an input has one number a row.
func (b *Batch) perRow(input string) bool {
	return input == plan.InputLengths || input == plan.InputLabels && b.target == "row"
}

// Ints is the array of an input of whole numbers; nil when the plan does not name it.
func (b *Batch) Ints(input string) []int32 {
	list, ok := b.arrays[input]
	if !ok || b.perRow(input) {
		return list
	}
	return list[:b.Rows*b.Length]
}

// resize lays the arrays out for rows of the given length.
func (b *Batch) resize(length int) {
	b.Length = length
	b.Tokens, b.Labels, b.Types = b.Ints(plan.InputTokens), b.Ints(plan.InputLabels), b.Ints(plan.InputTypes)
	b.Segments, b.Positions = b.Ints(plan.InputSegments), b.Ints(plan.InputPositions)
	b.Mask, b.Lengths = b.Ints(plan.InputMask), b.Ints(plan.InputLengths)
	if b.target == "token" && b.Weights != nil {
		b.Weights = b.Weights[:b.Rows*length]
	}
}

// clear sets what rows that are not there hold: padding that is not scored.
func (b *Batch) clear() {
	for _, list := range [][]int32{b.Tokens, b.Types, b.Segments, b.Positions, b.Mask, b.Lengths, b.valid} {
		clear(list)
	}
	clear(b.Values)
	clear(b.Weights)
	for _, list := range b.Further {
		clear(list)
	}
	for i := range b.Labels {
		b.Labels[i] = b.ignore
	}
}

// span is row i of an array of (Rows, Length); nil stays nil.
func (b *Batch) span(list []int32, i int) []int32 {
	if list == nil {
		return nil
	}
	return list[i*b.Length : (i+1)*b.Length]
}

// count makes up the totals, after all rows stand.
func (b *Batch) count() {
	b.Weight, b.Scored, b.Valid = 0, 0, 0
	for _, n := range b.valid {
		b.Valid += int(n)
	}
	switch {
	case b.unit > 0:
		b.countUnits()
	case b.target == "values":
		for _, w := range b.Weights {
			b.weigh(w)
		}
	case len(b.Weights) > 0:
		for i, label := range b.Labels {
			if label != b.ignore {
				b.weigh(b.Weights[i])
			}
		}
	default:
		for _, label := range b.Labels {
			if label != b.ignore {
				b.Scored++
			}
		}
		b.Weight = float64(b.Scored)
	}
}

// countUnits counts those of which every record has a position that is scored: each weighs 1.
func (b *Batch) countUnits() {
	each := len(b.Labels) / b.Rows
	for first := 0; first+b.unit <= b.Rows; first += b.unit {
		whole := true
		for row := first; row < first+b.unit; row++ {
			scored := 0
			for _, label := range b.Labels[row*each:][:each] {
				if label != b.ignore {
					scored++
				}
			}
			whole = whole && scored > 0
			b.Scored += scored
		}
		if whole {
			b.Weight++
		}
	}
}

func (b *Batch) weigh(w float32) {
	if w != 0 {
		b.Scored++
	}
	b.Weight += float64(w)
}

// bucket is the least bucket that holds length tokens.
func bucket(spec *plan.Data, length int) int {
	for _, size := range spec.Buckets {
		if size >= length {
			return size
		}
	}
	return spec.Length
}
