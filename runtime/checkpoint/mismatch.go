package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// Mismatch is the difference between the tensors of a folder and those of a plan.
type Mismatch struct {
	Folder     string
	Missing    []string // in the plan, not in the folder; with shapes
	Unexpected []string // in the folder, not in the plan; with shapes
	Misshapen  []string // in both, with what either says
}

// Error lists all of it.
func (m *Mismatch) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s does not fit the model:", m.Folder)
	for _, part := range []struct {
		title string
		list  []string
	}{{"missing", m.Missing}, {"unexpected", m.Unexpected}, {"of another shape", m.Misshapen}} {
		for _, line := range part.list {
			fmt.Fprintf(&b, "\n    %s: %s", part.title, line)
		}
	}
	return b.String()
}

// err is m, sorted, or nil where there is no difference.
func (m *Mismatch) err() error {
	if len(m.Missing)+len(m.Unexpected)+len(m.Misshapen) == 0 {
		return nil
	}
	slices.Sort(m.Missing)
	slices.Sort(m.Unexpected)
	slices.Sort(m.Misshapen)
	return m
}

// compare notes what is wrong with the stored form of a tensor.
func (m *Mismatch) compare(t *plan.Tensor, info safetensors.Info, found bool) {
	want := t.StoredShape()
	if t.Terms && len(info.Shape) > 0 && info.Shape[0] > 0 { // any number of ranks may have kept one
		want = append([]int{info.Shape[0]}, want[1:]...)
	}
	switch {
	case !found:
		m.Missing = append(m.Missing, fmt.Sprintf("%s %v", t.Name, want))
	case !slices.Equal(want, info.Shape):
		m.Misshapen = append(m.Misshapen, fmt.Sprintf("%s: is %v, the model has %v", t.Name, info.Shape, want))
	}
}

// describe names a stored tensor.
func describe(info safetensors.Info) string { return fmt.Sprintf("%s %v", info.Name, info.Shape) }
