package plan

import (
	"fmt"
	"slices"
	"strings"
)

// transforms is the third part of rule 10: what the data go through are plugins that the plan has, each of them once, and no plugin is there that nothing calls.
func (v *verifier) transforms() {
	used := map[string]bool{}
	for _, t := range v.plan.Data.Transforms {
		p := v.plan.Plugin(t.Plugin)
		switch {
		case p == nil || p.Kind != PluginTransform:
			v.fail("data: the plan has no plugin %q that transforms", t.Plugin)
		case used[t.Plugin]:
			v.fail("data: the transform %s stands twice", t.Plugin)
		case t.On != OnRecords && t.On != OnRows:
			v.fail("transform %s: it works on %q: use %s or %s", t.Plugin, t.On, OnRecords, OnRows)
		case len(t.Splits) == 0:
			v.fail("transform %s: it is for no split", t.Plugin)
		}
		for _, split := range t.Splits {
			if !slices.Contains([]string{"train", "validation", "test"}, split) {
				v.fail("transform %s: unknown split %q", t.Plugin, split)
			}
		}
		used[t.Plugin] = true
	}
	for _, p := range v.plan.Plugins {
		if p.Kind == PluginTransform && !used[p.Name] {
			v.fail("plugin %s: no data go through it", p.Name)
		}
	}
}

// transformRows name what the data go through, in order.
func (p *Plan) transformRows() (rows [][2]string) {
	for _, t := range p.Data.Transforms {
		if plugin := p.Plugin(t.Plugin); plugin != nil {
			text := fmt.Sprintf("%s %s, a plugin on %s of %s: %s, sha256 %.12s, %s", plugin.Name, plugin.Version, t.On, strings.Join(t.Splits, ", "), plugin.File, plugin.Digest, plugin.Params)
			if t.On == OnRecords {
				text += fmt.Sprintf("; %d records in, %d out", t.Taken, t.Given)
			}
			rows = append(rows, [2]string{"  transform", text})
		}
	}
	return rows
}
