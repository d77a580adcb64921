package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gsc-project/gsc/examples"
	"github.com/gsc-project/gsc/sdk"
)

// The example in Go, as a project of its own.
const (
	goModule = "plugin-go/poly1.wasm"
	goKind   = "loss"
	goName   = "poly1"
)

// withGo has the example in Go built, or says why it is not.
func withGo(ctx context.Context, dir string) (module, error) {
	m := module{name: goModule, file: filepath.Join(dir, filepath.FromSlash(goModule)), task: goKind}
	if _, err := exec.LookPath("go"); err != nil {
		m.lacks = "it is built by go, which is not in the PATH"
		return m, nil
	}
	if err := os.MkdirAll(filepath.Dir(m.file), 0o777); err != nil {
		return m, err
	}
	if err := (sdk.Project{Language: "go", Kind: goKind, Name: goName}).Write(filepath.Dir(m.file)); err != nil {
		return m, err
	}
	project := filepath.Join(filepath.Dir(m.file), goName)
	if err := os.WriteFile(filepath.Join(project, "main.go"), examples.GoLoss, 0o666); err != nil {
		return m, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", m.file, ".")
	build.Dir = project
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=", "GOTOOLCHAIN=local") // whatever is set outside, and nothing is fetched
	if said, err := build.CombinedOutput(); err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		m.lacks = fmt.Sprintf("the go in the PATH does not build it: %v: %s", err, line)
	}
	return m, ctx.Err()
}
