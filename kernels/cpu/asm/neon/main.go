// Command neon writes the assembly of package cpu for arm64, one group of
// kernels a file. It is run by go generate.
//
// Go's assembler lacks most of Advanced SIMD, so the arithmetic is written as
// words, each with the instruction it stands for beside it.
package main

import (
	"flag"
	"fmt"
	"os"
)

// groups are the files that can be asked for.
var groups = map[string]func(*file){
	"attention": attention,
	"gemm":      gemm,
	"vector":    vectors,
}

func main() {
	group := flag.String("group", "", "kernels to write")
	out, stubs := flag.String("out", "", "assembly `FILE`"), flag.String("stubs", "", "`FILE` of declarations")
	flag.Parse()
	write := groups[*group]
	if write == nil {
		fail(fmt.Errorf("unknown group %q", *group))
	}
	f := &file{command: fmt.Sprintf("go run ./asm/neon -group %s -out %s -stubs %s", *group, *out, *stubs), group: *group}
	write(f)
	if err := f.save(*out, *stubs); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "neon:", err)
	os.Exit(2)
}
