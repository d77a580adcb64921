package cpu

//go:generate go run ./asm -group gemm -out gemm_amd64.s -stubs gemm_stub_amd64.go -pkg cpu
//go:generate go run ./asm -group attention -out attention_amd64.s -stubs attention_stub_amd64.go -pkg cpu
//go:generate go run ./asm -group vector -out vector_amd64.s -stubs vector_stub_amd64.go -pkg cpu
//go:generate go run ./asm -group int8 -out int8_amd64.s -stubs int8_stub_amd64.go -pkg cpu
//go:generate go run ./asm/neon -group gemm -out gemm_arm64.s -stubs gemm_stub_arm64.go
//go:generate go run ./asm/neon -group attention -out attention_arm64.s -stubs attention_stub_arm64.go
//go:generate go run ./asm/neon -group vector -out vector_arm64.s -stubs vector_stub_arm64.go
//go:generate go run ./asm -group prefetch -out prefetch_amd64.s -stubs prefetch_stub_amd64.go -pkg cpu
