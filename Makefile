GOROOT := $(shell go env GOROOT)
GSC    := bin/gsc
export CGO_ENABLED = 0

.PHONY: help
help: ## show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

.PHONY: build
build: ## build bin/gsc
	@go build -o $(GSC) ./cmd/gsc

.PHONY: build-mpi
build-mpi: ## build bin/gsc-mpi, whose ranks are processes that mpirun starts (needs an MPI with its mpicc)
	@CGO_ENABLED=1 CC=mpicc go build -tags mpi -o bin/gsc-mpi ./cmd/gsc

.PHONY: train
train: build ## train a small GPT on the source of the Go standard library, in about three minutes
	@$(GSC) train examples/go-source/train.cue -t goroot=$(GOROOT) --baselines --sample "func "

.PHONY: test
test: ## run the tests
	@go test -timeout 25m ./...

.PHONY: test-long
test-long: ## run the tests in their full form (tens of minutes)
	@GSC_LONG=1 go test -timeout 3h ./...

.PHONY: race
race: ## run the tests of what runs concurrently under the race detector (needs a C compiler)
	@CGO_ENABLED=1 go test -race ./kernels/cpu ./runtime/...

.PHONY: conformance
conformance: build ## hold this machine's kernels and the reference cases to the definition of correct
	@$(GSC) conformance

.PHONY: levels
levels: build ## the same at each level of the processor's features, forced one by one
	@scripts/levels $(GSC)

.PHONY: arm64
arm64: ## run the kernels' tests and a short training run as built for arm64, under qemu elsewhere
	@scripts/arm64

.PHONY: slurm
slurm: build ## submit runs to a real Slurm of this machine alone, and requeue one, in about a minute (needs root and Slurm)
	@scripts/slurm $(GSC)

.PHONY: manifests
manifests: ## hold the jobs of gsc submit to the published schemas of JobSet and MPIJob
	@scripts/manifests

BENCH = go run ./bench -rows "$(or $(ROWS),*)" -n $(or $(N),5) -out "$(or $(OUT),runs/bench)" -torch "$(TORCH)" -llmc "$(LLMC)" -text "$(TEXT)"

.PHONY: mpi
mpi: ## run what takes an MPI: its transport, and jobs of processes (skipped where there is none)
	@scripts/mpi

.PHONY: sdk
sdk: ## build the projects and examples of plugins from clean, in every language whose toolchain is here or can be installed
	@scripts/sdk

.PHONY: bench
bench: build ## compare gsc with its peers by ratio; bench/README.md tells of ROWS, N, TORCH, LLMC, TEXT and OUT
	@$(BENCH)

.PHONY: bench-short
bench-short: build ## the same for matrix products and a small model, in about a minute
	@$(MAKE) --no-print-directory bench ROWS="sgemm char6" N=3

.PHONY: fuzz
fuzz: ## fuzz what reads bytes from outside, FUZZTIME each (10m when not given)
	@set -e; for f in $$(grep -rlE '^func Fuzz' --include='*_test.go' .); do \
		for name in $$(grep -ohE '^func Fuzz[A-Za-z]*' $$f | sed 's/func //'); do \
			go test ./$$(dirname $$f) -run '^$$' -fuzz "^$$name\$$" -fuzztime $${FUZZTIME:-10m}; done; done

.PHONY: golden
golden: ## rewrite the expected outputs of the tests
	@GSC_UPDATE=1 go test ./schema ./cmd/gsc ./compiler/...

.PHONY: generate
generate: ## generate the assembly
	@go generate ./...

.PHONY: check
check: ## format, vet, static analysis, tidy, generated files, builds for other systems
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "not formatted: run gofmt -w"; exit 1; }
	@go vet ./...
	@go tool staticcheck ./...
	@go mod tidy -diff
	@GOARCH=arm64 go vet ./...
	@GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/gsc
	@scripts/generated

.PHONY: clean
clean: ## remove what was built (runs stay)
	@rm -rf bin
