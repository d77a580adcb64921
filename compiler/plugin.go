package compiler

import (
	"fmt"
	"slices"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// pluginFits refuses what plans cannot do with a loss that is a plugin yet.
func pluginFits(s *schema.Strategy, data plan.Data, kind kernels.Kind) error {
	p := s.Objective.Plugin
	if err := teacherFits(s, data.Length); err != nil {
		return err
	}
	switch {
	case p == nil:
	case p.Digest == "":
		return s.Wrong(p.Path, fmt.Sprintf("the module of %s was not looked at", p.File), "call Strategy.WithPlugin before compiling")
	case kind.Separate:
		return s.Wrong(p.Path, fmt.Sprintf("%s works in the host's memory, but devices.kind is %q", p.Name, kind.Name), `use devices.kind: "cpu", or a loss of gsc's own`)
	case p.Records() > 0 && slices.Contains(data.Inputs, plan.InputWeights):
		return s.Wrong(p.Path, fmt.Sprintf("the batches weigh their positions, and %s works on %s, which count 1 each", p.Name, p.Unit), "leave the tensor weights out")
	case len(data.Further) > 0 && data.Width != s.Model.Outputs:
		return s.Wrong(p.Path, fmt.Sprintf("the batches' %s has %d numbers for a position, and the model gives %d logits", data.Further[0], data.Width, s.Model.Outputs), "use batches that were made for this vocabulary")
	}
	return nil
}

// rowInstances are those of a transform of rows: batches of training and of an evaluation are made at the same time.
const rowInstances = 2

// instances is how many of a plugin a rank has: one for each thread, also while data are opened, or those that make batches.
func (u *unitOfWork) instances(p *plan.Plugin) int {
	for _, t := range u.plan.Data.Transforms {
		if t.Plugin == p.Name && t.On == plan.OnRows {
			return rowInstances
		}
	}
	return u.plan.RankThreads(u.strategy.Devices.Threads)
}

// A plugin's time, for each logit of a loss and each number that is coded or decoded, is priced by what a cross entropy with vector instructions takes, bounds included, and by what is copied for it.
const pluginSecondsPerLogit = 1.5e-9

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
