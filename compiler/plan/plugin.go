package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gsc-project/gsc/kernels"
)

// Plugin is a module that instructions call, with all that its results depend on.
type Plugin struct {
	Kind        string          `json:"kind"` // PluginLoss, PluginTransform, PluginPolicy or PluginCodec
	Name        string          `json:"name"` // by which instructions know it
	Version     string          `json:"version"`
	Digest      string          `json:"digest"`           // sha256 of the module, hexadecimal
	File        string          `json:"file"`             // relative to the data's Base
	Targets     string          `json:"targets"`          // of a loss
	MemoryBytes int64           `json:"memory_bytes"`     // of each instance, of which every thread has one
	Time        time.Duration   `json:"time"`             // of a call, in nanoseconds
	Fuel        int64           `json:"fuel,omitempty"`   // of a call, in instructions; 0: any number
	Unit        string          `json:"unit,omitempty"`   // UnitSequences or UnitPairs; "": rows
	Inputs      []string        `json:"inputs,omitempty"` // further tensors of the batch, each as wide as the logits
	Params      json.RawMessage `json:"params"`           // complete
}

// The kinds of plugins, what a loss compares with, and the objective that is a plugin.
const (
	PluginLoss      = "loss"
	PluginTransform = "transform"
	PluginPolicy    = "policy"
	PluginCodec     = "codec"
	TargetClasses   = "classes"
	TargetValues    = "values"
	ObjectivePlugin = "plugin"
)

// pluginKinds are those that there are.
var pluginKinds = []string{PluginLoss, PluginTransform, PluginPolicy, PluginCodec}

// What a loss depends on where that is more than a row, and the input that the teacher gives.
const (
	UnitSequences = "sequences" // the rows of a record
	UnitPairs     = "pairs"     // of two neighbours
	InputTeacher  = "teacher_logits"
)

// RecordsOf is how many records of the batch a unit holds; 0: it is a row.
func RecordsOf(unit string) int {
	switch unit {
	case UnitSequences:
		return 1
	case UnitPairs:
		return 2
	}
	return 0
}

// Records is [RecordsOf] the plugin's unit.
func (p *Plugin) Records() int { return RecordsOf(p.Unit) }

// inputOperands are the operands that hold the inputs, in their order.
var inputOperands = []string{"input1", "input2"}

// inputsFit says whether an instruction has the operands for the plugin's inputs, and no others.
func (p *Plugin) inputsFit(in *Instruction) bool {
	for i, operand := range inputOperands {
		if has := in.Operands[kernels.Contracts[in.Op].Param(operand)].Buffer >= 0; has != (i < len(p.Inputs)) {
			return false
		}
	}
	return true
}

// Plugin finds a plugin by its name; nil where there is none.
func (p *Plan) Plugin(name string) *Plugin {
	for i := range p.Plugins {
		if p.Plugins[i].Name == name {
			return &p.Plugins[i]
		}
	}
	return nil
}

// plugins is the second part of rule 10.
func (v *verifier) plugins() {
	seen := map[string]bool{}
	for _, p := range v.plan.Plugins {
		switch {
		case p.Name == "" || seen[p.Name]:
			v.fail("plugin %q: its name stands twice, or is empty", p.Name)
		case !slices.Contains(pluginKinds, p.Kind):
			v.fail("plugin %s: unknown kind %q: use %s", p.Name, p.Kind, strings.Join(pluginKinds, " or "))
		case p.Kind == PluginCodec && p.Targets != "":
			v.fail("plugin %s: a codec has no targets", p.Name)
		case p.Kind == PluginLoss && p.Targets != TargetClasses && p.Targets != TargetValues:
			v.fail("plugin %s: unknown targets %q: use %s or %s", p.Name, p.Targets, TargetClasses, TargetValues)
		case len(p.Digest) != 64 || strings.Trim(p.Digest, "0123456789abcdef") != "":
			v.fail("plugin %s: its digest %q is no sha256", p.Name, p.Digest)
		case p.File == "" || p.MemoryBytes < 1 || p.Time < 1 || p.Fuel < 0:
			v.fail("plugin %s: it has no file, memory or time, or less than no fuel", p.Name)
		case p.Unit != "" && p.Records() == 0:
			v.fail("plugin %s: unknown unit %q: use %s or %s, or leave it out", p.Name, p.Unit, UnitSequences, UnitPairs)
		case len(p.Inputs) > len(inputOperands):
			v.fail("plugin %s: it takes %d inputs: there may be %d", p.Name, len(p.Inputs), len(inputOperands))
		case !json.Valid(p.Params):
			v.fail("plugin %s: its parameters are no JSON", p.Name)
		}
		seen[p.Name] = true
	}
	v.transforms()
}

// pluginChange says what differs between two plugins of one name.
func pluginChange(a, b Plugin) string {
	return strings.Join(some(changed("version", a.Version, b.Version), changed("digest", a.Digest, b.Digest), changed("file", a.File, b.File), changed("targets", a.Targets, b.Targets),
		changed("memory", FormatBytes(a.MemoryBytes), FormatBytes(b.MemoryBytes)), changed("time", a.Time, b.Time), changed("fuel", a.Fuel, b.Fuel), changed("unit", a.Unit, b.Unit),
		changed("inputs", strings.Join(a.Inputs, " "), strings.Join(b.Inputs, " ")), changed("params", string(a.Params), string(b.Params))), ", ")
}

// CopiedBytes is what an instruction copies between the arena and the memory of a plugin: all of its operands but scalars.
func CopiedBytes(st *Stage, in *Instruction) int64 {
	if !kernels.Contracts[in.Op].Host {
		return 0
	}
	total := int64(0)
	for _, arg := range st.Tensors(in) {
		if !arg.Absent() && arg.Len() > 1 {
			total += int64(arg.Len()) * int64(arg.DType.Size())
		}
	}
	return total
}

// pluginRows name the plugins, what of them the plan pins, and what a rank copies for them in a step; and the teacher.
func (p *Plan) pluginRows() (rows [][2]string) {
	for _, plugin := range p.Plugins {
		switch plugin.Kind {
		case PluginTransform:
			continue // they stand with the data
		case PluginPolicy:
			rows = append(rows, [2]string{plugin.Kind, fmt.Sprintf("%s %s, a plugin: %s, sha256 %.12s, %s; asked about %s before each step", plugin.Name, plugin.Version, plugin.File, plugin.Digest, plugin.Params,
				plural(p.decidedBy(plugin.Name), "weight"))})
			continue
		}
		rows = append(rows, [2]string{plugin.Kind, fmt.Sprintf("%s %s, a plugin: %s, sha256 %.12s, %s; copies %s a step", plugin.Name, plugin.Version, plugin.File, plugin.Digest, plugin.Params,
			FormatBytes(p.copiedBytes(plugin.Name)))})
	}
	if t := p.Model.Teacher; t.From != "" {
		rows = append(rows, [2]string{"teacher", fmt.Sprintf("%s, not trained, from %s, sha256 %.12s", t.Architecture, t.From, t.Digest)})
	}
	return rows
}

// copiedBytes is what a rank copies for a plugin in a training step of the longest rows.
func (p *Plan) copiedBytes(plugin string) (total int64) {
	for i := range p.Stages {
		st := &p.Stages[i]
		for _, c := range st.Schedule(Train, p.Data.Length).Calls {
			program := st.Program(c.Program)
			for k := range program.Instructions {
				if in := &program.Instructions[k]; in.Attrs.Plugin == plugin {
					total += CopiedBytes(st, in)
				}
			}
		}
	}
	return total
}
