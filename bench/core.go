package main

import (
	"context"
	"path/filepath"

	"golang.org/x/sys/cpu"
)

// unknown is the core whose kernels an OpenBLAS takes that is older than the processor.
const unknown = "Prescott"

// peerCore is the core that OpenBLAS is told of, alone and within PyTorch; "": it finds out itself.
var peerCore string

// findCore has peers told of the best core that both the processor and OpenBLAS have, where OpenBLAS does not know the processor: its kernels for unknown ones use no wide vectors, and
// anybody is faster than these.
func findCore(ctx context.Context, python, library string) {
	if library == "" {
		return
	}
	var about struct{ Version, Core string }
	blas, err := serve(ctx, nil, &about, python, filepath.Join(peerScripts, "openblas.py"), library, "1")
	if err != nil { // the rows say so
		return
	}
	blas.close()
	if about.Core == unknown {
		peerCore = coreOf(cpu.X86.HasAVX512BF16, cpu.X86.HasAVX512DQ, cpu.X86.HasAVX2 && cpu.X86.HasFMA)
	}
}

// coreOf is OpenBLAS's name of the newest core that has no more than these.
func coreOf(bf16, avx512, avx2 bool) string {
	switch {
	case bf16:
		return "Cooperlake"
	case avx512:
		return "SkylakeX"
	case avx2:
		return "Haswell"
	}
	return ""
}
