// Package gsc is for authors of plugins in Go: package plugins/abi of gsc is what they are held to, and this one makes it a function or two.
//
// A loss is a program that says in its init function what it is, and how a row's loss is computed:
//
//	func init() {
//		gsc.Loss(gsc.Manifest{Name: "cross_entropy", Version: "1.0.0", Targets: gsc.Classes}, func(gsc.Params) (gsc.RowLoss, error) {
//			return func(r *gsc.Row) float32 {
//				sum := gsc.Softmax(r.Logits, r.Gradient)
//				if r.Gradient != nil {
//					r.Gradient[r.Label]--
//				}
//				return float32(sum - float64(r.Logits[r.Label]))
//			}, nil
//		})
//	}
//
//	func main() {}
//
// The other kinds are made likewise, each by a function that takes a [Manifest], and a function that gets the parameters:
//
//	Loss                a row's value and gradient
//	UnitLoss            the value and the gradient of a sequence, or of a pair of them
//	TransformRecords    what comes of a record, before it is tokens
//	TransformRows       what becomes of a row of tokens, at each step
//	CompressionPolicy   what may happen to a weight, and what does at a step
//	GradientCodec       numbers to a code, and a code to numbers
//
// It is built by Go itself, from 1.24 on:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o cross_entropy.wasm
//
// Every instance of it has Go's runtime in it, and with that some 4 MB of memory, and its garbage is collected in the calls: a loss that allocates nothing in a row is the faster for it.
// What it prints goes to gsc's log; a panic ends the run with its message. There are no files and no network, the time goes on by a millisecond a reading, and random numbers begin anew in every instance.
package gsc

import (
	"slices"
	"strconv"
	"strings"
)

// Manifest is what a plugin says of itself.
type Manifest struct {
	Name    string // up to 64 letters, digits and _.-
	Version string
	Params  string   // the fields of its parameters with their defaults, in CUE, such as "gamma: *2 | number & >=0"; empty: it takes none
	Targets Targets  // of a loss; units have Classes, which may be left out
	Unit    Unit     // of a UnitLoss
	Inputs  []string // of a loss: further tensors, by name, such as "teacher_logits"

	Order        Order // of a transform of records; AnyOrder where it is left out
	RecordBytes  int   // of a transform of records: how long one may be; 0: 4 MiB
	Evaluates    bool  // of a transform of rows: rows of evaluation are changed, too, where the strategy does not say
	LabelsTokens bool  // of a transform of rows: it labels tokens with token ids
	Weights      bool  // of a transform of rows: it changes weights

	Contraction string // of a codec: δ in (0, 1], or the name of the parameter that is it, with ‖x − decode(encode(x))‖² ≤ (1 − δ)·‖x‖² for every x
}

// Targets is what a loss compares logits with.
type Targets string

// The targets.
const (
	Classes Targets = "classes" // a label for each row
	Values  Targets = "values"  // a number for each logit
)

// Unit is what a loss of more than a row depends on.
type Unit string

// The units.
const (
	Sequences Unit = "sequences" // the rows of a record
	Pairs     Unit = "pairs"     // those of two, the chosen one first
)

// Order is what a transform of records may know of those before.
type Order string

// The orders.
const (
	AnyOrder   Order = "any"        // nothing
	Sequential Order = "sequential" // all: they come in the order of the files
)

// text is the manifest as gsc reads it, of a kind, with what says more of that: a member, in JSON.
func (m Manifest) text(kind, more string) []byte {
	list := []string{`"abi": 1`, member("kind", kind), member("name", m.Name), member("version", m.Version), member("params", m.Params), member("targets", string(m.Targets)),
		member("unit", string(m.Unit)), member("order", string(m.Order)), more}
	if m.Inputs != nil {
		quoted := make([]string, len(m.Inputs))
		for i, name := range m.Inputs {
			quoted[i] = strconv.Quote(name)
		}
		list = append(list, `"inputs": [`+strings.Join(quoted, ", ")+"]")
	}
	if m.RecordBytes != 0 {
		list = append(list, `"record_bytes": `+strconv.Itoa(m.RecordBytes))
	}
	if m.Evaluates {
		list = append(list, `"evaluates": true`)
	}
	if m.LabelsTokens {
		list = append(list, member("labels", "tokens"))
	}
	if m.Weights {
		list = append(list, `"weights": true`)
	}
	if m.Contraction != "" {
		list = append(list, `"codec": {`+member("contraction", m.Contraction)+"}")
	}
	given := slices.DeleteFunc(list, func(member string) bool { return member == "" })
	return []byte("{" + strings.Join(given, ", ") + "}")
}

// member is one that is a text; none where that is empty.
func member(name, text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(name) + ": " + strconv.Quote(text)
}
