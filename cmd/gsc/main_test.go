package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the built program, which the tests run as a user does.
var binary string

func TestMain(m *testing.M) { os.Exit(built(m.Run)) }

// built builds the program, once for all tests.
func built(run func() int) int {
	dir, err := os.MkdirTemp("", "gsc-binary-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "gsc")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	return run()
}
