package gsc

// Row is one row of a loss. What it holds belongs to gsc, and is there during the call alone.
type Row struct {
	Logits   []float32
	Label    int       // of a loss over classes: an index of Logits
	Targets  []float32 // of a loss over values: one for each logit
	Gradient []float32 // out: of the row's loss, by its logits; nil where none is asked for
}

// RowLoss is a loss: a row's value, with its gradient where one is asked for. It depends on the row alone, and must be finite.
type RowLoss func(*Row) float32

// Loss makes the program a plugin of the kind loss. prepare gets the parameters, once, and gives the loss for them, or says why there is none.
func Loss(m Manifest, prepare func(Params) (RowLoss, error)) {
	describe("loss", m)
	var rowLoss RowLoss
	initialise = func(p Params) (err error) {
		rowLoss, err = prepare(p)
		return err
	}
	losses = func(c *lossCall) {
		n := int(c.classes)
		var r Row
		for i := range int(c.rows) {
			r.Logits, r.Gradient = floats(c.logits, i*n, n), floats(c.gradients, i*n, n)
			if m.Targets == Values {
				r.Targets = floats(c.targets, i*n, n)
			} else {
				r.Label = int(ints(c.targets, i, 1)[0])
			}
			floats(c.values, i, 1)[0] = rowLoss(&r)
		}
	}
}

// lossCall is a call as it lies in memory, with its pointers as numbers.
type lossCall struct {
	rows, classes     uint32
	logits, targets   uint32
	_                 uint32 // weights, which gsc applies itself
	values, gradients uint32
}
