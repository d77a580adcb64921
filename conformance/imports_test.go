package conformance_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// importRule forbids the packages that match from, but for those that match exempt, to import what
// matches to, but for what matches allowed; deep counts what imports import, too. A pattern ending in "/..." matches what is below it.
type importRule struct {
	from, exempt string
	to, allowed  string
	deep         bool
	reason       string
}

const module = "github.com/gsc-project/gsc"

var importRules = []importRule{
	{from: module + "/kernels", to: module + "/...", allowed: module + "/kernels", reason: "the contract between plans and devices depends on neither"},
	{from: module + "/kernels/cpu/...", to: module + "/...", allowed: module + "/kernels/...", deep: true, reason: "a device knows its contract and nothing else of gsc"},
	{from: module + "/kernels/ref", to: module + "/...", allowed: module + "/kernels", deep: true, reason: "the definition of correct depends on nothing it is to judge"},
	{from: module + "/compiler/plan", to: module + "/...", allowed: module + "/kernels", deep: true, reason: "a plan is read, verified and run without the compiler"},
	{from: module + "/compiler/graph", to: module + "/schema", deep: true, reason: "the tensor program knows operations, not layers or strategies"},
	{from: module + "/collectives/...", to: module + "/compiler/...", deep: true, reason: "a transport moves elements, whatever plan they are of"},
	{from: module + "/collectives/...", to: module + "/kernels/...", allowed: module + "/kernels", deep: true, reason: "a transport knows types, not devices"},
	{from: module + "/runtime/...", to: module + "/collectives/...", allowed: module + "/collectives", deep: true, reason: "transports are wired in by the front door"},
	{from: module + "/...", exempt: module, to: module + "/collectives/mpi", reason: "transports are wired in by the front door, by tag"},
	{from: module + "/...", exempt: module + "/collectives/mpi", to: "C", reason: "one static program without cgo: MPI alone takes it"},
	{from: module + "/compiler", to: module + "/runtime/...", deep: true, reason: "a plan is made without running anything"},
	{from: module + "/compiler/...", to: module + "/kernels/...", allowed: module + "/kernels", deep: true, reason: "a plan can be made for devices that are not there"},
	{from: module + "/record", to: module + "/...", allowed: module + "/kernels", reason: "data and plugins hand records to each other without knowing each other"},
	{from: module + "/launch", to: module + "/...", deep: true, reason: "a job is written from plain data, and can be tried without a strategy"},
	{from: module + "/timeline", to: module + "/...", reason: "what is predicted and what is measured are written in one form, which knows neither"},
	{from: module + "/runtime/...", to: module + "/schema", deep: true, reason: "the runtime runs plans, whatever they were made from"},
	{from: module + "/runtime/...", to: module + "/compiler", deep: true, reason: "the runtime decides nothing: it must not compile"},
	{from: module + "/runtime/...", to: module + "/compiler/graph", deep: true, reason: "the runtime knows plans, not the passes that made them"},
	{from: module + "/runtime/...", to: module + "/kernels/...", allowed: module + "/kernels", deep: true, reason: "devices are wired in by the front door"},
	{from: module + "/schema", to: module + "/...", allowed: module + "/compiler/plan", reason: "the strategy language stands before the compiler; it shares the plan's settings only"},
	{from: module + "/...", to: "cuelang.org/go/...", exempt: module + "/schema", reason: "only the schema speaks CUE"},
	{from: module + "/...", exempt: module + "/plugins", to: "github.com/tetratelabs/wazero/...", reason: "only the host of plugins runs WebAssembly"},
	{from: module + "/compress", to: module + "/...", allowed: module + "/kernels", reason: "policies decide numbers, whatever plan or runtime asks them"},
	{from: module + "/plugins/meter", to: module + "/...", reason: "a rewriter of modules knows nothing of what they are for"},
	{from: module + "/plugins/...", to: module + "/compiler/...", deep: true, reason: "the host runs modules, whatever plan calls them"},
	{from: module + "/plugins/...", to: module + "/runtime/...", deep: true, reason: "the host runs modules, whatever plan calls them"},
	{from: module + "/sdk/...", to: module + "/...", deep: true, reason: "what plugins are made of goes into projects without gsc"},
	{from: module + "/runtime/...", to: module + "/plugins/...", deep: true, reason: "plugins are wired in by the front door"},
	{from: module + "/...", to: "github.com/spf13/cobra", exempt: module + "/cmd/gsc", reason: "only the command line parses commands"},
	{from: module + "/...", to: "github.com/mmcloughlin/avo/...", exempt: module + "/kernels/cpu/...", reason: "assembly is generated for the cpu device only"},
	{from: module + "/...", to: "testing", reason: "what ships does not test"},
	{from: module + "/cmd/gsc", to: module + "/runtime/...", reason: "commands go through the front door"},
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestImportsKeepTheLayers(t *testing.T) {
	packages := listPackages(t)
	used := make([]bool, len(importRules))
	for _, p := range packages {
		for i, rule := range importRules {
			if !matches(rule.from, p.ImportPath) || matches(rule.exempt, p.ImportPath) {
				continue
			}
			used[i] = true
			imports := p.Imports
			if rule.deep {
				imports = p.Deps
			}
			for _, imported := range imports {
				if matches(rule.to, imported) && !matches(rule.allowed, imported) && imported != p.ImportPath {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, rule.reason)
				}
			}
		}
	}
	for i, rule := range importRules {
		if !used[i] {
			t.Errorf("no package matches the rule for %s: %s", rule.from, rule.reason)
		}
	}
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-tags", "mpi", "-json=ImportPath,Imports,Deps", module+"/...") // with what no tag leaves out
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func matches(pattern, path string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == below || strings.HasPrefix(path, below+"/")
	}
	return pattern == path
}
