package cpu

import (
	"fmt"
	"os"

	"golang.org/x/sys/cpu"
)

// level is a set of processor features that kernels are written for.
type level int

const (
	generic level = iota // plain Go
	avx2                 // AVX2, FMA and F16C
	avx512               // AVX-512 F, BW, DQ, VL, and BMI2
)

var levelNames = [...]string{"generic", "avx2", "avx512"}

func (l level) String() string { return levelNames[l] }

// chooseLevel takes the highest level the processor has, or what GSC_CPU forces.
func chooseLevel() (level, error) {
	best := generic
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C {
		best = avx2
	}
	if best == avx2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2 {
		best = avx512
	}
	name := os.Getenv("GSC_CPU")
	if name == "" {
		return best, nil
	}
	for l := generic; l <= best; l++ {
		if l.String() == name {
			return l, nil
		}
	}
	return 0, fmt.Errorf("GSC_CPU=%s: this processor has no such level: use generic or anything up to %v", name, best)
}
