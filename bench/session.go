package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
)

// session is one run of the benchmarks: its settings, its folder of generated data, and what it learnt of the peers.
type session struct {
	options
	ctx   context.Context
	dir   string
	facts map[string]string // about peers, as they say it themselves
}

func newSession(ctx context.Context, o options) (*session, error) {
	if o.measurements < 1 || o.threads < 1 {
		return nil, fmt.Errorf("%d measurements with %d threads: use at least 1 of each", o.measurements, o.threads)
	}
	if _, err := os.Stat(peerScripts); err != nil {
		return nil, fmt.Errorf("%w: run it in the root folder of gsc's source, as make bench does", err)
	}
	dir, err := os.MkdirTemp("", "gsc-bench-")
	if err != nil {
		return nil, err
	}
	s := &session{options: o, ctx: ctx, dir: dir, facts: map[string]string{}}
	if err := s.makeData(); err != nil {
		s.close()
		return nil, err
	}
	findCore(ctx, o.python, o.openblas)
	return s, nil
}

func (s *session) close() { os.RemoveAll(s.dir) }

func (s *session) path(name string) string { return filepath.Join(s.dir, name) }

// machine tells what the figures depend on.
func (s *session) machine() []fact {
	list := []fact{
		{"processor", processor()},
		{"threads", fmt.Sprint(s.threads)},
		{"go", goruntime.Version()},
	}
	if level := os.Getenv("GSC_CPU"); level != "" {
		list = append(list, fact{"GSC_CPU", level})
	}
	for _, name := range []string{"OpenBLAS", debianTorch, newerTorch} {
		if v := s.facts[name]; v != "" {
			list = append(list, fact{name, v})
		}
	}
	return list
}

// processor is the name that the system has for it.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return goruntime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return goruntime.GOARCH
}
