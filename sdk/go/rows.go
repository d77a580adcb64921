package gsc

import "unsafe"

// Tokens are a row, which a transform changes where it stands. What it holds belongs to gsc; what pads it is not there.
type Tokens struct {
	Tokens       []int32
	Labels       []int32   // one for each token, or one for the row; nil where labels are numbers
	Weights      []float32 // as many as there are labels; nil where all weigh 1, and the manifest does not say that the transform changes them
	Types        []int32   // one for each token; nil where there are none
	Segments     []int32   // the document of each token, from 1; nil where the row is one
	LabelsTokens bool      // labels and weights are of tokens, not of the row
	Vocabulary   int32     // tokens are below it
	Outputs      int32     // labels are below it
	Ignore       int32     // the label that is not scored
	Seed         uint64    // of the run's seed, the step and the row of the global batch; in evaluation of the row of the split alone
}

// RowTransform changes a row. What comes of it follows from the row and its seed alone.
type RowTransform func(*Tokens) error

// TransformRows makes the program a plugin that transforms rows of tokens, at each step. prepare gets the parameters, once, and gives the transform for them, or says why there is none.
func TransformRows(m Manifest, prepare func(Params) (RowTransform, error)) {
	describe("transform", member("on", "rows"), m)
	var transform RowTransform
	prepared(&transform, prepare)
	registered.transform = func(call unsafe.Pointer) error {
		c := (*rowsCall)(call)
		length, labels := int(c.length), int(c.labelsARow)
		weights := max(1, labels)
		t := Tokens{LabelsTokens: labels == length, Vocabulary: int32(c.vocabulary), Outputs: int32(c.outputs), Ignore: c.ignore}
		for i := range int(c.rows) {
			valid := int(c.valid.from(i, 1)[0])
			t.Tokens, t.Types, t.Segments = c.tokens.from(i*length, valid), c.types.from(i*length, valid), c.segments.from(i*length, valid)
			t.Labels, t.Weights = c.labels.from(i*labels, min(valid, labels)), c.weights.from(i*weights, min(valid, weights))
			t.Seed = c.seeds.from(i, 1)[0]
			if err := transform(&t); err != nil {
				return err
			}
		}
		return nil
	}
}

// rowsCall is a call as it lies in memory.
type rowsCall struct {
	rows, length        uint32
	vocabulary, outputs uint32
	ignore              int32
	tokens, labels      pointer[int32]
	labelsARow          uint32
	weights             pointer[float32]
	types, segments     pointer[int32]
	valid               pointer[int32]
	seeds               pointer[uint64]
}
