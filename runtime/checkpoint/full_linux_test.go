package checkpoint

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// A disk that is really full.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("gsc-test", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("SKIP: cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	s, err := Open(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	var step int64
	for err == nil && step < 1000 {
		step++
		err = s.Save(snapshot(step))
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "keep fewer checkpoints") {
		t.Fatalf("step %d: got %v", step, err)
	}
	t.Log(err)
	saved, refused, err := s.Newest()
	if err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	defer saved.Close()
	holds(t, saved, step-1)
	if got := names(t, dir); strings.Contains(got, ".step") {
		t.Errorf("left %s", got)
	}
}
