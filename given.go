package gsc

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime"
	"github.com/gsc-project/gsc/schema"
)

// given is what a command was given to train by: a strategy, or a plan.
type given struct {
	path     string
	options  Options
	strategy *schema.Strategy // nil when a plan was given
	read     *plan.Plan       // nil when a strategy was given
}

func readGiven(path string, o Options) (*given, error) {
	g := &given{path: path, options: o}
	err := o.check()
	switch {
	case err != nil:
	case IsPlan(path):
		g.read, err = ReadPlan(path, o)
		if err == nil && !g.read.Trains() {
			err = fmt.Errorf("%s is a plan of generation: it trains nothing; give a strategy, or a plan made without --weights", path)
		}
	default:
		g.strategy, err = Load(path, o)
	}
	return g, err
}

func (g *given) name() string {
	if g.read != nil {
		return g.read.Name
	}
	return g.strategy.Name
}

// threads are those of the command line, else of the strategy; a plan says none.
func (g *given) threads() int {
	if g.strategy == nil {
		return g.options.Threads
	}
	return cmp.Or(g.options.Threads, g.strategy.Devices.Threads)
}

func (g *given) what() string {
	if g.read != nil {
		return "plan"
	}
	return "strategy"
}

func (g *given) plan() (*plan.Plan, error) {
	if g.read != nil {
		return g.read, nil
	}
	return Plan(g.path, g.options)
}

// changes says how what is given differs from what a run was begun with; empty when it does not.
func (g *given) changes(dir string, stored *plan.Plan) string {
	if g.read != nil {
		again := *g.read
		if again.Model.From == "" {
			again.Model.From = stored.Model.From // --from may have set it
		}
		again.Estimate = stored.Estimate // --profile may have; it changes nothing of the run
		return indent(plan.Diff(stored, &again))
	}
	if g.strategy.Digest == stored.Strategy {
		return indent(pluginChanges(g.strategy, stored))
	}
	old, err := os.ReadFile(filepath.Join(dir, runtime.StrategyFile))
	if err != nil {
		return fmt.Sprintf("    its strategy's digest is %.12s, this one's is %.12s\n", stored.Strategy, g.strategy.Digest)
	}
	diff := diffJSON(old, g.strategy.Evaluated)
	if diff == "" {
		diff = "its sections are the same, but the layers of its architecture are not\n"
	}
	return indent(diff)
}

// diffJSON lists the values that differ between two strategies, by path, but for those whose paths begin in one of some ways.
func diffJSON(a, b []byte, but ...string) string {
	before, after := leaves(a), leaves(b)
	paths := slices.Sorted(maps.Keys(before))
	for path := range after {
		if _, ok := before[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	var out strings.Builder
	for _, path := range paths {
		old, new := before[path], after[path]
		if old != new && !slices.ContainsFunc(but, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
			fmt.Fprintf(&out, "%s: %s → %s\n", path, orNothing(old), orNothing(new))
		}
	}
	return out.String()
}

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}

// leaves lists the values in a JSON text by path.
func leaves(text []byte) map[string]string {
	var root any
	found := map[string]string{}
	if json.Unmarshal(text, &root) != nil {
		return found
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				walk(strings.TrimPrefix(path+"."+key, "."), value)
			}
		case []any:
			for i, value := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), value)
			}
		default:
			leaf, _ := json.Marshal(v) // what was unmarshalled marshals
			found[path] = string(leaf)
		}
	}
	walk("", root)
	return found
}

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("    " + line)
	}
	return out.String()
}
