package main

import "fmt"

const (
	loopSteps  = 2000
	loopFactor = 0.55 // of the peer's time
)

// nanoGPT trains the small configuration for 2,000 steps: gsc's time is that of the whole command, its start and its checkpoint
// included, the peer's that of its loop alone.
func nanoGPT(s *session, r row) ([]line, error) {
	list, missing := s.trainers("torch_loop.py", s.path("characters.bin"), s.threads)
	defer closeAll(list)
	sides := []side{s.loopSide}
	for _, t := range list {
		sides = append(sides, t.loopSide)
	}
	samples, err := interleave(s.measurements, sides...)
	if err != nil {
		return nil, err
	}
	l := r.line("s")
	fastest := best(samples[1:])
	if fastest < 0 {
		l.compare(samples[0], nil)
		l.Verdict, l.Note = skipped, missing.Error()
		return []line{l}, nil
	}
	l.compare(samples[0], samples[1+fastest])
	l.Note = told(list, samples[1:], fastest, func(seconds float64) string { return figure(seconds, "s") })
	l.Verdict = verdictOf(l.Ratio <= loopFactor)
	return []line{l}, nil
}

func (s *session) loopSide() ([]float64, error) {
	x, err := s.train(task{strategy: "nanogpt"})
	if err != nil {
		return nil, err
	}
	if len(x.losses) != loopSteps {
		return nil, fmt.Errorf("gsc train took %d steps instead of %d", len(x.losses), loopSteps)
	}
	return []float64{x.wall.Seconds()}, nil
}

func (t *trainer) loopSide() ([]float64, error) {
	var answer struct{ Seconds, Loss float64 }
	err := t.ask(&answer, loopSteps)
	return []float64{answer.Seconds}, err
}
