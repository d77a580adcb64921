package graph

import (
	"fmt"

	"github.com/gsc-project/gsc/kernels"
)

// Emitter appends nodes to a program under a region and a position.
type Emitter struct {
	Graph   *Graph
	Program *Program
	Region  string
	Pos     string
	Block   int
}

// Args are a node's operands by their names in the contract.
type Args map[string]Arg

// Emit appends a node. An operand that the operation does not have is a
// mistake of the compiler, and panics.
func (e *Emitter) Emit(op kernels.Op, name string, attrs kernels.Attrs, args Args) *Node {
	c := &kernels.Contracts[op]
	n := &Node{Op: op, Name: name, Attrs: attrs, Args: make([]Arg, len(c.Params)), Region: e.Region, Pos: e.Pos, Block: e.Block}
	for operand, arg := range args {
		i := c.Param(operand)
		if i < 0 {
			panic(fmt.Sprintf("graph: %v has no operand %s", op, operand))
		}
		n.Args[i] = arg
	}
	e.Program.Nodes = append(e.Program.Nodes, n)
	return n
}
