package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gsc-project/gsc/kernels"
)

// Plugin is a module that instructions call, with all that its results depend on.
type Plugin struct {
	Kind        string          `json:"kind"` // PluginLoss or PluginCodec
	Name        string          `json:"name"` // by which instructions know it
	Version     string          `json:"version"`
	Digest      string          `json:"digest"` // sha256 of the module, hexadecimal
	File        string          `json:"file"`   // relative to the data's Base
	Targets     string          `json:"targets"`
	MemoryBytes int64           `json:"memory_bytes"` // of each instance, of which every thread has one
	Time        time.Duration   `json:"time"`         // of a call, in nanoseconds
	Params      json.RawMessage `json:"params"`       // complete
}

// The kinds of plugins, what a loss compares with, and the objective that is a plugin.
const (
	PluginLoss      = "loss"
	PluginCodec     = "codec"
	TargetClasses   = "classes"
	TargetValues    = "values"
	ObjectivePlugin = "plugin"
)

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
		case p.Kind != PluginLoss && p.Kind != PluginCodec:
			v.fail("plugin %s: unknown kind %q: use %s or %s", p.Name, p.Kind, PluginLoss, PluginCodec)
		case p.Kind == PluginCodec && p.Targets != "":
			v.fail("plugin %s: a codec has no targets", p.Name)
		case p.Kind == PluginLoss && p.Targets != TargetClasses && p.Targets != TargetValues:
			v.fail("plugin %s: unknown targets %q: use %s or %s", p.Name, p.Targets, TargetClasses, TargetValues)
		case len(p.Digest) != 64 || strings.Trim(p.Digest, "0123456789abcdef") != "":
			v.fail("plugin %s: its digest %q is no sha256", p.Name, p.Digest)
		case p.File == "" || p.MemoryBytes < 1 || p.Time < 1:
			v.fail("plugin %s: it has no file, memory or time", p.Name)
		case !json.Valid(p.Params):
			v.fail("plugin %s: its parameters are no JSON", p.Name)
		}
		seen[p.Name] = true
	}
}

// pluginChange says what differs between two plugins of one name.
func pluginChange(a, b Plugin) string {
	return strings.Join(some(changed("version", a.Version, b.Version), changed("digest", a.Digest, b.Digest), changed("file", a.File, b.File), changed("targets", a.Targets, b.Targets),
		changed("memory", FormatBytes(a.MemoryBytes), FormatBytes(b.MemoryBytes)), changed("time", a.Time, b.Time), changed("params", string(a.Params), string(b.Params))), ", ")
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

// pluginRows name the plugins, what of them the plan pins, and what a rank copies for them in a step.
func (p *Plan) pluginRows() (rows [][2]string) {
	for _, plugin := range p.Plugins {
		rows = append(rows, [2]string{plugin.Kind, fmt.Sprintf("%s %s, a plugin: %s, sha256 %.12s, %s; copies %s a step", plugin.Name, plugin.Version, plugin.File, plugin.Digest, plugin.Params,
			FormatBytes(p.copiedBytes(plugin.Name)))})
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
