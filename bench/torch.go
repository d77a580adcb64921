package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The peers that train.
const (
	debianTorch = "PyTorch of the distribution"
	newerTorch  = "newer PyTorch"
)

// torch is one installation of PyTorch, at its fastest.
type torch struct {
	name   string
	python string
	env    []string
}

// torches are those there are to try.
func (s *session) torches() []torch {
	var list []torch
	if s.python != "" {
		// OpenBLAS's OpenMP build in place of the reference BLAS, and an allocator that keeps its pages.
		env := []string{"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=20000000000"}
		if s.openblas != "" {
			env = append(env, "LD_LIBRARY_PATH="+filepath.Dir(s.openblas))
		}
		list = append(list, torch{debianTorch, s.python, env})
	}
	if s.torch != "" {
		list = append(list, torch{newerTorch, s.torch, nil})
	}
	return list
}

// trainer is a PyTorch process with a model.
type trainer struct {
	torch
	*server
	firstLoss float64
}

// trainers starts a script in every PyTorch there is. The error says why there is none.
func (s *session) trainers(script string, args ...any) ([]*trainer, error) {
	var list []*trainer
	missing := errors.New("no PyTorch: install python3-torch, or name a Python that has it by -torch")
	for _, t := range s.torches() {
		if _, err := os.Stat(t.python); err != nil {
			missing = err
			continue
		}
		x, err := s.trainer(t, script, args...)
		if err != nil {
			missing = err
			continue
		}
		list = append(list, x)
	}
	if len(list) == 0 {
		return nil, missing
	}
	return list, nil
}

func (s *session) trainer(t torch, script string, args ...any) (*trainer, error) {
	var about struct {
		Version string
		Loss    float64
	}
	words := []string{filepath.Join(peerScripts, script)}
	for _, a := range args {
		words = append(words, fmt.Sprint(a))
	}
	p, err := serve(s.ctx, t.env, &about, t.python, words...)
	if err != nil {
		return nil, err
	}
	s.facts[t.name] = about.Version
	return &trainer{t, p, about.Loss}, nil
}

func closeAll(list []*trainer) {
	for _, t := range list {
		t.close()
	}
}

// step takes some steps and gives the seconds of each, and the process's peak resident set.
func (t *trainer) steps(n int) (seconds []float64, rssBytes float64, err error) {
	var answer struct {
		Seconds  []float64
		RSSBytes float64 `json:"rss_bytes"`
	}
	err = t.ask(&answer, n)
	return answer.Seconds, answer.RSSBytes, err
}

// best is the index of the samples with the least median; −1 when there are none.
func best(samples [][]float64) int {
	at := -1
	for i := range samples {
		if at < 0 || median(samples[i]) < median(samples[at]) {
			at = i
		}
	}
	return at
}

// told names the peer that counts, and what the others reach.
func told(list []*trainer, samples [][]float64, fastest int, rate func(seconds float64) string) string {
	if fastest < 0 {
		return ""
	}
	text := list[fastest].name
	for i, t := range list {
		if i != fastest {
			text += fmt.Sprintf("; %s %s", t.name, rate(median(samples[i])))
		}
	}
	return text
}
