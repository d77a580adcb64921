package main

import (
	"errors"

	gsc "github.com/gsc-project/gsc/sdk/go"
)

func init() {
	const params = `word: *"by" | string, by: *0.5 | number, halve: *true | bool, off: *false | bool, note: *"<ü>\t\"" | string`
	gsc.Loss(gsc.Manifest{Name: "values", Version: "1", Params: params, Targets: gsc.Values, Inputs: []string{"teacher_logits"}}, func(p gsc.Params) (gsc.RowLoss, error) {
		if !p.Flag("halve") || p.Flag("off") || p.Flag("none") || p.Text("word") != "by" || p.Text("note") != "<ü>\t\"" || p.Text("none") != "" || p.Number("none") != 0 {
			return nil, errors.New("other parameters than the strategy gave")
		}
		by = float32(p.Number("by"))
		return row, nil
	})
}

var by float32

func row(r *gsc.Row) (sum float32) {
	for v, z := range r.Logits {
		a, b := z-r.Targets[v], z-r.Inputs[0][v]
		sum += by * (a*a + b*b)
		if r.Gradient != nil {
			r.Gradient[v] = a + b
		}
	}
	return sum
}

func main() {}
