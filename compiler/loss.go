package compiler

import (
	"fmt"

	"github.com/gsc-project/gsc/compiler/graph"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
)

// lossOps are the forward and gradient operations of the objectives.
var lossOps = map[string][2]kernels.Op{
	"cross_entropy":        {kernels.CrossEntropy, kernels.CrossEntropyGrad},
	"binary_cross_entropy": {kernels.BinaryCrossEntropy, kernels.BinaryCrossEntropyGrad},
	"squared_error":        {kernels.SquaredError, kernels.SquaredErrorGrad},
	plan.ObjectivePlugin:   {kernels.PluginLoss, kernels.PluginLossGrad},
}

// loss emits the loss of each row and adds their weighted sum to the scalar loss.
func (b *builder) loss(logits, taught *graph.Value) {
	objective := b.strategy.Objective
	b.Pos = string(b.strategy.Positions["objective"])
	rows := logits.Dims[:len(logits.Dims)-1]
	loss := b.activation("loss.rows", rows...)
	args := graph.Args{"logits": graph.Is(logits), "loss": graph.Is(loss)}
	attrs := kernels.Attrs{}
	if p := objective.Plugin; p != nil {
		attrs.Plugin = p.Name
		if p.Records() > 0 {
			attrs.Length = size(rows[1:])
		}
		for i, name := range p.Inputs {
			v := taught
			if name != plan.InputTeacher || taught == nil {
				v = b.input(name, kernels.F32, logits.Dims...)
			}
			args[fmt.Sprintf("input%d", i+1)] = graph.Is(v)
		}
	}
	if objective.OfClasses() {
		attrs.IgnoreIndex, attrs.Smoothing = objective.IgnoreIndex, objective.Smoothing
		args["labels"] = graph.Is(b.input(plan.InputLabels, kernels.I32, rows...))
	}
	if objective.Loss == "cross_entropy" {
		args["lse"] = graph.Is(b.activation("loss.lse", rows...))
	}
	if !objective.OfClasses() {
		args["targets"] = graph.Is(b.input(plan.InputLabels, kernels.F32, logits.Dims...))
	}
	b.Emit(lossOps[objective.Loss][0], "loss", attrs, args)
	b.Emit(kernels.LossSum, "loss.sum", kernels.Attrs{Accumulate: true}, graph.Args{
		"loss": graph.Is(loss), "row_weights": b.rowWeights(rows), "total": graph.Is(b.Graph.Scalar(plan.ScalarLoss))})
}

func (b *builder) rowWeights(rows []plan.Dim) graph.Arg {
	if !b.given(plan.InputWeights) {
		return graph.Arg{}
	}
	return graph.Is(b.input(plan.InputWeights, kernels.F32, rows...))
}

// predictions keeps the logits for the runtime, and the best class of each row.
func (b *builder) predictions(logits *graph.Value) {
	b.Program.Outputs = append(b.Program.Outputs, graph.Port{Name: "logits", Value: logits})
	if !b.strategy.Objective.OfClasses() {
		return
	}
	best := b.Graph.Add("predictions", plan.Activation, kernels.I32, logits.Dims[:len(logits.Dims)-1]...)
	b.Emit(kernels.ArgMax, "predictions", kernels.Attrs{}, graph.Args{"x": graph.Is(logits), "y": graph.Is(best)})
	b.Program.Outputs = append(b.Program.Outputs, graph.Port{Name: "predictions", Value: best})
}
