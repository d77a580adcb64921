package gsc

// Row is one row of a loss. What it holds belongs to gsc, and is there during the call alone.
type Row struct {
	Logits   []float32
	Label    int         // of a loss over classes: an index of Logits
	Targets  []float32   // of a loss over values: one for each logit
	Inputs   [][]float32 // the row in each of the manifest's inputs: as many numbers as there are logits
	Gradient []float32   // out: of the row's loss, by its logits; nil where none is asked for
}

// RowLoss is a loss: a row's value, with its gradient where one is asked for. It depends on the row alone, and must be finite.
type RowLoss func(*Row) float32

// Loss makes the program a plugin of the kind loss. prepare gets the parameters, once, and gives the loss for them, or says why there is none.
func Loss(m Manifest, prepare func(Params) (RowLoss, error)) {
	describe("loss", "", m)
	var rowLoss RowLoss
	prepared(&rowLoss, prepare)
	r := Row{Inputs: make([][]float32, len(m.Inputs))}
	registered.loss = func(c *lossCall) {
		n := int(c.classes)
		for i := range int(c.rows) {
			r.Logits, r.Gradient = c.logits.from(i*n, n), c.gradients.from(i*n, n)
			if m.Targets == Values {
				r.Targets = pointer[float32](c.targets).from(i*n, n)
			} else {
				r.Label = int(c.targets.from(i, 1)[0])
			}
			c.fill(r.Inputs, i*n, n)
			c.values.from(i, 1)[0] = rowLoss(&r)
		}
	}
}

// Rows are a unit of a loss: those of a record, or of two, the chosen one first. What they hold belongs to gsc, and is there during the call alone.
type Rows struct {
	Classes  int         // how wide a row is
	Length   int         // the rows of a sequence; a pair has twice as many
	Lengths  []int32     // of each sequence: its rows up to the last that is scored; what follows only pads it
	Labels   []int32     // of each row: an index of its logits, or NotScored
	Logits   []float32   // one row behind the other
	Inputs   [][]float32 // the unit in each of the manifest's inputs, as wide as the logits
	Gradient []float32   // out: of the unit's loss, by its logits, 0 for rows that are not scored; nil where none is asked for
}

// NotScored is the label of a row that is not.
const NotScored = -1

// Row is the part of a tensor of the unit's that belongs to a row.
func (r *Rows) Row(tensor []float32, i int) []float32 { return tensor[i*r.Classes:][:r.Classes] }

// RowsLoss is a loss of units: a unit's value, with its gradient where one is asked for. It depends on the unit alone, and must be finite.
type RowsLoss func(*Rows) float32

// UnitLoss makes the program a plugin of the kind loss, which works on the manifest's units. prepare gets the parameters, once, and gives the loss for them, or says why there is none.
func UnitLoss(m Manifest, prepare func(Params) (RowsLoss, error)) {
	sequences := 1
	if m.Unit == Pairs {
		sequences = 2
	}
	m.Targets = Classes
	describe("loss", "", m)
	var rowsLoss RowsLoss
	prepared(&rowsLoss, prepare)
	r := Rows{Inputs: make([][]float32, len(m.Inputs))}
	registered.loss = func(c *lossCall) {
		r.Classes, r.Length = int(c.classes), int(c.length)
		rows := sequences * r.Length
		for i := range int(c.rows) / rows {
			from, n := i*rows*r.Classes, rows*r.Classes
			r.Lengths, r.Labels = c.lengths.from(i*sequences, sequences), c.targets.from(i*rows, rows)
			r.Logits, r.Gradient = c.logits.from(from, n), c.gradients.from(from, n)
			c.fill(r.Inputs, from, n)
			c.values.from(i, 1)[0] = rowsLoss(&r)
		}
	}
}

// lossCall is a call as it lies in memory.
type lossCall struct {
	rows, classes     uint32
	logits            pointer[float32]
	targets           pointer[int32] // or float32
	_                 uint32         // weights, which gsc applies itself
	values, gradients pointer[float32]
	length            uint32
	lengths           pointer[int32]
	inputs            pointer[pointer[float32]]
}

// fill points to a part of each input.
func (c *lossCall) fill(inputs [][]float32, from, n int) {
	for k := range inputs {
		inputs[k] = c.inputs.from(k, 1)[0].from(from, n)
	}
}
