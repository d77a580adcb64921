package cpu

import (
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"strings"

	"golang.org/x/sys/cpu"
)

// level is a set of processor features that kernels are written for.
type level int

const (
	generic level = iota // plain Go
	avx2                 // AVX2 and FMA
	avx512               // AVX-512 F, BW, DQ, VL, and BMI2
	neon                 // Advanced SIMD, which every arm64 has
)

var levelNames = [...]string{"generic", "avx2", "avx512", "neon"}

func (l level) String() string { return levelNames[l] }

// levels are those the processor has, the best one last.
func levels() []level {
	has := []level{generic}
	if goruntime.GOARCH == "arm64" {
		return append(has, neon)
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		has = append(has, avx2)
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2 {
			has = append(has, avx512)
		}
	}
	return has
}

// Levels names the levels that kernels can run at on this processor, plain Go first and the best last; where GSC_CPU forces one, it alone.
func Levels() ([]string, error) {
	var names []string
	for _, l := range levels() {
		names = append(names, l.String())
	}
	forced := os.Getenv("GSC_CPU")
	if forced == "" {
		return names, nil
	}
	if !slices.Contains(names, forced) {
		return nil, fmt.Errorf("GSC_CPU=%s: this processor has no such level: use %s", forced, strings.Join(names, " or "))
	}
	return []string{forced}, nil
}

// chooseLevel takes the best level the processor has, or what GSC_CPU forces.
func chooseLevel() (level, error) {
	names, err := Levels()
	if err != nil {
		return 0, err
	}
	return level(slices.Index(levelNames[:], names[len(names)-1])), nil
}
