package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// twinModule is the example that computes what gsc's own loss does, from the folder that the benchmark runs in.
const twinModule = "examples/plugin-losses/cross_entropy.wasm"

// pluginSteps is a row of training steps whose loss is a plugin, held against gsc's own.
func pluginSteps(m model, times float64) func(*session, row) ([]line, error) {
	return func(s *session, r row) ([]line, error) {
		module, err := filepath.Abs(twinModule)
		if err == nil {
			_, err = os.Stat(module)
		}
		if err != nil {
			return nil, fmt.Errorf("the plugin is not here: run it in gsc's folder: %w", err)
		}
		plugged := m.with(fmt.Sprintf("objective.loss={plugin: %q}", module))
		if _, err := s.checked(m, plugged); err != nil {
			return nil, err
		}
		l := r.line("tokens/s")
		var p, own peaks
		samples, err := interleave(s.measurements, s.stepSide(plugged, m.turn, &p), s.stepSide(m.task, m.turn, &own))
		if err != nil {
			return []line{l}, err
		}
		l.compare(over(m.tokens(), samples[0]), over(m.tokens(), samples[1]))
		l.ofPeak(m.flops(), samples[0], p)
		l.Verdict = verdictOf(l.Ratio >= times)
		return []line{l}, nil
	}
}
