package schema

// The limits are far beyond any run, and keep what is counted within what numbers hold: the definitions bound each number alone, and these rules what
// several of them make together.
const (
	mostRanks    = 1 << 20
	mostElements = 1 << 52 // of a tensor of a step, and of all weights of one kind
)

// many: so many ranks there are not.
func (d *diagnosis) many() {
	nodes, ok := d.number("devices.nodes")
	perNode, okPerNode := d.number("devices.per_node")
	d.wrongIf(ok && okPerNode && nodes*perNode > mostRanks, []string{"devices.nodes", "devices.per_node"}, "",
		"%.0f × devices.per_node = %.0f are more ranks than the %d that this version plans for", nodes, perNode, mostRanks)
	ranks, paths := 1.0, []string(nil)
	for _, axis := range axes {
		path := "parallel.mesh." + axis
		if n, ok := d.number(path); ok && n > 1 {
			ranks, paths = ranks*n, append(paths, path)
		}
	}
	if len(paths) > 0 {
		d.wrongIf(ranks > mostRanks, paths, "", "the axes make %.3g ranks, more than the %d that this version plans for", ranks, mostRanks)
	}
}

// elements: what is as large as a step's tokens times the widest that they become, and the matrices of all layers.
func (d *diagnosis) elements() {
	widest, widestAt := 1.0, "model.width"
	for _, path := range []string{"model.width", "model.mlp", "model.vocabulary"} {
		if n, ok := d.number(path); ok && n > widest {
			widest, widestAt = n, path
		}
	}
	rows, ok := d.number("batch.sequences")
	length, lengthAt, okLength := d.rowTokens()
	d.wrongIf(ok && okLength && rows*float64(length)*widest > mostElements, []string{"batch.sequences", lengthAt, widestAt}, "",
		"%.0f rows of %d tokens, each of %.0f elements, are more than any machine has", rows, length, widest)
	width, ok := d.number("model.width")
	layers, okLayers := d.number("model.layers")
	between := width
	if n, given := d.number("model.mlp"); given {
		between = max(between, n)
	}
	if heads, given := d.number("model.heads"); given {
		if head, given := d.number("model.head"); given {
			between = max(between, heads*head)
		}
	}
	d.wrongIf(ok && okLayers && layers*width*between > mostElements, []string{"model.layers", "model.width"}, "",
		"%.0f layers of matrices of %.0f × %.0f are more than any machine has", layers, width, between)
}

// sizes: bytes that numbers hold.
func (d *diagnosis) sizes() {
	for _, path := range []string{"memory.limit", "parallel.bucket", "devices.launch.memory"} {
		var size any
		if text, ok := d.text(path); ok {
			size = text
		} else if n, ok := d.number(path); ok {
			size = n
		}
		_, err := sizeBytes(size)
		d.wrongIf(err != nil, []string{path}, "", "%v", err)
	}
}
