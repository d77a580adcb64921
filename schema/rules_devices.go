package schema

import "fmt"

// nodes: they hold the ranks of the mesh, as many each; one process is of one node.
func (d *diagnosis) nodes() {
	ranks, axes, ok := d.ranks()
	nodes, okNodes := d.integer("devices.nodes")
	perNode, okPerNode := d.integer("devices.per_node")
	switch {
	case !ok:
		return
	case okNodes && okPerNode:
		d.wrongIf(nodes*perNode != ranks, append([]string{"devices.nodes", "devices.per_node"}, axes...), nodesFix(nodes, perNode, ranks),
			"%d × devices.per_node = %d are not the %d ranks of the mesh", nodes, perNode, ranks)
	case okNodes:
		d.wrongIf(ranks%nodes != 0, append([]string{"devices.nodes"}, axes...), useDivisors(nodes, ranks), "%d does not divide the %d ranks of the mesh", nodes, ranks)
	case okPerNode:
		d.wrongIf(ranks%perNode != 0, append([]string{"devices.per_node"}, axes...), useDivisors(perNode, ranks), "%d does not divide the %d ranks of the mesh", perNode, ranks)
		nodes = ranks / perNode
	}
	d.wrongIf(nodes > 1 && d.is("devices.launch.processes", "one"), []string{"devices.launch.processes", "devices.nodes", "devices.per_node"},
		`use "ranks", or leave it out`, "one process cannot be on %d nodes", nodes)
}

// notice is how much earlier than it is asked to Slurm may tell a job that its time ends.
const notice = 60

// grace: the time of a job is not over before it has begun.
func (d *diagnosis) grace() {
	seconds, ok := d.integer("devices.launch.grace")
	text, given := d.text("devices.launch.slurm.time")
	if !ok || !given {
		return
	}
	time, err := days(text)
	d.wrongIf(err == nil && time.Seconds() <= float64(seconds+notice), []string{"devices.launch.slurm.time", "devices.launch.grace"}, "give the job more time, or less to save itself",
		"of %s a job that saves itself %d seconds before the end, which Slurm may tell it %d seconds earlier, has nothing left", text, seconds, notice)
}

// ranks is the product of the mesh's axes, whichever there are, and the paths of those that have several.
func (d *diagnosis) ranks() (ranks int64, axes []string, ok bool) {
	if _, ok := d.known("parallel.mesh"); !ok || d.touched("parallel.mesh") {
		return 0, nil, false
	}
	ranks = 1
	for _, axis := range d.keysOf("parallel.mesh") {
		path := "parallel.mesh." + axis
		n, ok := d.integer(path)
		if !ok || n < 1 {
			return 0, nil, false
		}
		if ranks *= n; ranks > mostRanks { // which many says
			return 0, nil, false
		}
		if n > 1 {
			axes = append(axes, path)
		}
	}
	return ranks, axes, true
}

// nodesFix mends one of both where the other divides the ranks.
func nodesFix(nodes, perNode, ranks int64) string {
	switch {
	case ranks%perNode == 0:
		return fmt.Sprintf("use devices.nodes: %d, or leave it out", ranks/perNode)
	case ranks%nodes == 0:
		return fmt.Sprintf("use devices.per_node: %d, or leave it out", ranks/nodes)
	}
	return "leave one out, and it follows from the mesh"
}
