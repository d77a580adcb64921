// Command asm writes the assembly of package cpu for amd64, one group of
// kernels a file. It is run by go generate.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
)

// groups are the files that can be asked for.
var groups = map[string]func(){
	"attention": attention,
	"gemm":      gemm,
	"int8":      int8Products,
	"prefetch":  func() { prefetchRows(); maker() },
	"vector":    vector,
}

func main() {
	group := flag.String("group", "", "kernels to write")
	flag.Parse()
	write := groups[*group]
	if write == nil {
		fmt.Fprintf(os.Stderr, "asm: unknown group %q\n", *group)
		os.Exit(2)
	}
	build.ConstraintExpr("amd64")
	write()
	pass.Compile = pass.Concat(pass.Compile, pass.Func(encode))
	build.Generate()
}
