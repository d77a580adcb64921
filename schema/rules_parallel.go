package schema

import "fmt"

// tokens: each rank of sequence takes some of a row.
func (d *diagnosis) tokens() {
	ranks, ok := d.integer("parallel.mesh.sequence")
	path := "data.length"
	length, given := d.integer(path)
	if !given {
		path = "model.context"
		length, given = d.integer(path)
	}
	d.wrongIf(ok && given && length > 0 && ranks > length, []string{"parallel.mesh.sequence", path}, "use fewer ranks, or longer rows", "%d ranks are more than the %d tokens of a row", ranks, length)
}

// sharding: weights have neither rows nor tokens that a rule could share out.
func (d *diagnosis) sharding() {
	v, ok := d.known("parallel.rules")
	if !ok {
		return
	}
	n, _ := v.Len().Int64()
	for i := range n {
		path := fmt.Sprintf("parallel.rules[%d]", i)
		dim, _ := d.text(path + ".dim")
		d.wrongIf(d.is(path+".kind", "weight") && (dim == "batch" || dim == "seq"), []string{path + ".dim", path + ".kind"}, `use kind: "activation", or leave kind out`,
			"the rule changes nothing: no weight has the dim %s", dim)
	}
}
