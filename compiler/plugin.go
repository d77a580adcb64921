package compiler

import (
	"fmt"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// pluginFits refuses what plans cannot do with a loss that is a plugin yet.
func pluginFits(s *schema.Strategy, kind kernels.Kind) error {
	p := s.Objective.Plugin
	switch {
	case p == nil:
	case p.Digest == "":
		return s.Wrong(p.Path, fmt.Sprintf("the module of %s was not looked at", p.File), "call Strategy.WithPlugin before compiling")
	case kind.Separate:
		return s.Wrong(p.Path, fmt.Sprintf("%s works in the host's memory, but devices.kind is %q", p.Name, kind.Name), `use devices.kind: "cpu", or a loss of gsc's own`)
	case s.Parallel.Mesh.Tensor > 1:
		return s.Wrong("parallel.mesh.tensor", fmt.Sprintf("ranks would share the vocabulary out, of which %s must see all", p.Name), "use parallel.mesh.data, sequence or pipeline with it")
	case len(s.Parallel.Open) > 0:
		return s.Wrong("parallel", fmt.Sprintf("it is left open, which the loss %s does not go with yet: a candidate may share the vocabulary out", p.Name), "say how the work is shared out")
	}
	return nil
}

// A plugin's time, for each logit of a loss and each number that is coded or decoded, is priced by what a cross entropy with vector instructions takes, bounds included, and by what is copied for it.
const pluginSecondsPerLogit = 2.5e-9

// plugin is the time of an instruction that is a plugin's.
func (p *Profile) plugin(op kernels.Op, threads int, sizes kernels.Sizes, copiedBytes int64) float64 {
	n := float64(sizes["..."]) * float64(sizes["V"])
	switch op {
	case kernels.PluginEncode: // it decodes its own code besides
		n = 2 * float64(sizes["..."])
	case kernels.PluginDecode:
		n = float64(sizes["R"]) * float64(sizes["M"])
	}
	return p.CallSeconds + pluginSecondsPerLogit*n/float64(max(1, threads)) + float64(copiedBytes)/p.BytesPerSecond
}
