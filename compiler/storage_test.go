package compiler

import (
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// In mixed precision on GPUs weights, activations and gradients are halves, and what has to keep digits is not.
func TestStorage(t *testing.T) {
	for _, optimizer := range []string{"adamw", "sgd", "lion", "lamb", "adafactor", "muon"} {
		t.Run(optimizer, func(t *testing.T) {
			s, data := tiny()
			s.Optimizer.Kind, s.Optimizer.Momentum, s.Optimizer.Steps, s.Optimizer.Match = optimizer, 0.9, 5, []string{"*.c_fc.weight"}
			s.Optimizer.Epsilon2, s.Optimizer.MaxRMS = 1e-3, 1
			p := onGPUs(t, s, data)
			for _, b := range p.Stages[0].Buffers {
				wide := b.Class == plan.State
				for _, suffix := range []string{".mean", ".rstd", ".lse", "loss.rows", ".direction", ".orthogonal"} {
					wide = wide || strings.HasSuffix(b.Name, suffix)
				}
				if want := map[bool]kernels.DType{true: kernels.F32, false: kernels.BF16}[wide]; b.DType.Float() && b.DType != kernels.F64 && b.DType != want {
					t.Errorf("%s %s is %v, want %v", b.Class, b.Name, b.DType, want)
				}
			}
			for _, w := range p.Tensors {
				if w.Class != plan.Weight {
					continue
				}
				if m := p.Tensor(w.Name + ".master"); m == nil || m.DType != kernels.F32 || m.Init.Kind != plan.InitWeight || !slices.Equal(m.Shape(), w.Shape()) {
					t.Errorf("%s has the master %+v", w.Name, m)
				}
			}
		})
	}
}

// Without a narrower compute type, or a device that stores it, everything is as it is computed.
func TestStorageWide(t *testing.T) {
	s, data := tiny()
	s.Devices = schema.Devices{Kind: "cuda", Profile: "host", Threads: 1}
	p, err := Compile(s, data, Options{Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range p.Stages[0].Buffers {
		if b.DType.Half() || strings.Contains(b.Name, "master") {
			t.Errorf("%s is %v", b.Name, b.DType)
		}
	}
	p.Device = "cpu"
	if err := p.Verify(); err != nil {
		t.Errorf("a plan in f32 is not sound on cpu: %v", err)
	}
}

// A plan of halves is none for a processor.
func TestHalvesAreRefused(t *testing.T) {
	s, data := tiny()
	p := onGPUs(t, s, data)
	p.Device = "cpu"
	if err := p.Verify(); err == nil || !strings.Contains(err.Error(), "type bf16, but device kind cpu computes in f32") {
		t.Errorf("Verify gives %v", err)
	}
}
