package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the program by the scripts in testdata/script, each in a
// folder that holds the files of testdata/common and its own. Beside testscript's commands there are
//
//	gsc ARGUMENT...            runs gsc; "! gsc" wants one clear error and the exit status 1
//	replace FILE OLD NEW       replaces the first OLD in a file
//	cut FILE                   takes the later half of a file away
//	await FILE PATTERN         waits until the file has a line like the pattern
//	same FOLDER FOLDER FILE... wants the files to be equal in both folders
//
// GSC_UPDATE=1 rewrites the expected outputs.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: os.Getenv("GSC_UPDATE") != "",
		Setup:         setUp,
		Condition:     condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"gsc": runGSC, "replace": replace, "cut": cut, "await": await, "same": same,
		},
	})
}

func setUp(env *testscript.Env) error {
	cases, err := filepath.Abs(filepath.Join("..", "..", "conformance", "reference", "cases"))
	if err != nil {
		return err
	}
	env.Setenv("CASES", cases)
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples", "plugin-losses"))
	if err != nil {
		return err
	}
	env.Setenv("PLUGINS", examples)
	env.Setenv("POLICIES", filepath.Join(filepath.Dir(examples), "plugin-policies"))
	env.Setenv("CODECS", filepath.Join(filepath.Dir(examples), "plugin-codecs"))
	env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
	return os.CopyFS(env.WorkDir, os.DirFS(filepath.Join("testdata", "common")))
}

func condition(name string) (bool, error) {
	if name == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, errors.New("unknown condition")
}

func runGSC(ts *testscript.TestScript, refused bool, args []string) {
	err := ts.Exec(binary, args...)
	if !refused {
		ts.Check(err)
		return
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		ts.Fatalf("ended with %v, not with exit status 1", err)
	}
	said := ts.ReadFile("stderr")
	if strings.Contains(said, "goroutine ") || strings.Contains(said, "panic") {
		ts.Fatalf("panicked")
	}
	if !strings.HasPrefix(said, "gsc: ") || strings.Contains(said, "\ngsc: ") {
		ts.Fatalf("did not say one error")
	}
}

func replace(ts *testscript.TestScript, _ bool, args []string) {
	old, text := args[1], ts.ReadFile(args[0])
	if !strings.Contains(text, old) {
		ts.Fatalf("%s does not hold %q", args[0], old)
	}
	write(ts, args[0], strings.Replace(text, old, args[2], 1))
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	write(ts, args[0], text[:len(text)/2])
}

func write(ts *testscript.TestScript, file, text string) {
	ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o666))
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[1])
	for range 600 {
		if text, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && pattern.Match(text) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s has no line like %s after 30 seconds", args[0], args[1])
}

func same(ts *testscript.TestScript, differ bool, args []string) {
	for _, file := range args[2:] {
		a, b := filepath.Join(args[0], file), filepath.Join(args[1], file)
		if (ts.ReadFile(a) == ts.ReadFile(b)) == differ {
			ts.Fatalf("%s and %s: equal is %v", a, b, !differ)
		}
	}
}
