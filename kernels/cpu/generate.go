package cpu

//go:generate go run ./asm -group gemm -out gemm_amd64.s -stubs gemm_stub_amd64.go -pkg cpu
