package schema

import "fmt"

// tokens: each rank of sequence takes some of a row.
func (d *diagnosis) tokens() {
	ranks, ok := d.integer("parallel.mesh.sequence")
	length, path, given := d.rowTokens()
	d.wrongIf(ok && given && length > 0 && ranks > length, []string{"parallel.mesh.sequence", path}, "use fewer ranks, or longer rows", "%d ranks are more than the %d tokens of a row", ranks, length)
}

// rowTokens is how many tokens a row has, and what says so.
func (d *diagnosis) rowTokens() (n int64, path string, ok bool) {
	if n, ok := d.integer("data.length"); ok {
		return n, "data.length", true
	}
	n, ok = d.integer("model.context")
	return n, "model.context", ok
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
