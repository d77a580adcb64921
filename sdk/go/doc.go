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
// It is built by Go itself, from 1.24 on:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o cross_entropy.wasm
//
// Every instance of it has Go's runtime in it, and with that some 4 MB of memory, and its garbage is collected in the calls: a loss that allocates nothing in a row is the faster for it.
// What it prints goes to gsc's log; a panic ends the run with its message. There are no files and no network, the time goes on by a millisecond a reading, and random numbers begin anew in every instance.
package gsc

import (
	"strconv"
	"strings"
)

// Manifest is what a plugin says of itself.
type Manifest struct {
	Name    string // up to 64 letters, digits and _.-
	Version string
	Params  string  // the fields of its parameters with their defaults, in CUE, such as "gamma: *2 | number & >=0"; empty: it takes none
	Targets Targets // of a loss
}

// Targets is what a loss compares logits with.
type Targets string

// The targets.
const (
	Classes Targets = "classes" // a label for each row
	Values  Targets = "values"  // a number for each logit
)

// text is the manifest as gsc reads it.
func (m Manifest) text(kind string) []byte {
	var b strings.Builder
	b.WriteString(`{"abi": 1, "kind": ` + strconv.Quote(kind))
	for _, member := range [][2]string{{"name", m.Name}, {"version", m.Version}, {"params", m.Params}, {"targets", string(m.Targets)}} {
		if member[1] != "" {
			b.WriteString(", " + strconv.Quote(member[0]) + ": " + strconv.Quote(member[1]))
		}
	}
	b.WriteString("}")
	return []byte(b.String())
}
