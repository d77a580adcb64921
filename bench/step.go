package main

import (
	"fmt"
	"math"
)

// model is what a training row trains: gsc by a strategy, the peer by its name for the same model.
type model struct {
	task
	peer          string
	batch, length int
	layers, width int
	outputs       int     // classes of a position's logits
	headBias      int     // elements
	turn          int     // steps that a side takes in a row
	tolerance     float64 // of the first loss from ln outputs, in nats
}

// gpt2 is GPT-2 124M on rows of a length.
func gpt2(length int) model {
	t := task{strategy: "gpt2-124m"}.with(fmt.Sprintf("data.length=%d", length))
	return model{task: t, peer: "gpt2-124m", batch: 4, length: length, layers: 12, width: 768, outputs: vocabulary, turn: 2, tolerance: 0.5}
}

var (
	char6 = model{task: task{strategy: "char6"}, peer: "char6", batch: 8, length: 256, layers: 6, width: 384, outputs: characters, turn: 3, tolerance: 0.3}
	bert  = model{task: task{strategy: "bert-base"}, peer: "bert-base", batch: bertRows, length: bertLength, layers: 12, width: 768,
		outputs: bertLabels, headBias: bertLabels, turn: 2, tolerance: 0.5}
)

func (m model) tokens() float64 { return float64(m.batch * m.length) }

// flops counts a step's arithmetic as models are compared by: 6·N for each token, N the parameters that are multiplied with,
// and 12·L·C·T for attention.
func (m model) flops() float64 {
	L, C := float64(m.layers), float64(m.width)
	dense := L*(12*C*C+13*C) + 2*C + C*float64(m.outputs) + float64(m.headBias)
	return m.tokens() * (6*dense + 12*L*C*float64(m.length))
}

// checkLoss wants a first loss near that of guessing.
func (m model) checkLoss(who string, loss float64) error {
	if want := math.Log(float64(m.outputs)); !(math.Abs(loss-want) <= m.tolerance) {
		return fmt.Errorf("%s's first loss is %.4f, far from ln %d = %.4f: it does not train this model", who, loss, m.outputs, want)
	}
	return nil
}

// checked trains a few steps by gsc, so that what is timed afterwards is known to be right.
func (s *session) checked(m model, t task) (*trained, error) {
	x, err := s.train(t)
	if err != nil {
		return nil, err
	}
	return x, m.checkLoss("gsc", x.losses[0])
}

// peers starts the PyTorches with a model, and checks their first losses. None is no error: missing says why.
func (s *session) peers(m model, precision string) (list []*trainer, missing, err error) {
	list, missing = s.trainers("torch_step.py", m.peer, m.batch, m.length, s.threads, precision)
	for _, t := range list {
		if err := m.checkLoss(t.name, t.firstLoss); err != nil {
			closeAll(list)
			return nil, nil, err
		}
	}
	return list, missing, nil
}

// peaks are, for each step of a side, the peak that its turn measured before and after, and what of it was sustained.
type peaks struct{ best, sustained []float64 }

// stepSide is gsc's side of a training row: seconds of steps.
func (s *session) stepSide(t task, turn int, p *peaks) side {
	return func() ([]float64, error) {
		b, err := s.bench(t, "--steps", fmt.Sprint(turn))
		if err != nil {
			return nil, err
		}
		for range b.StepsSeconds {
			p.best, p.sustained = append(p.best, b.PeakFlops), append(p.sustained, b.SustainedFlops)
		}
		return b.StepsSeconds, nil
	}
}

// ofPeak fills in the share of the peak: the median over the steps, each beside the peak of its own turn, since a machine that is
// shared has another speed a minute later.
func (l *line) ofPeak(flops float64, seconds []float64, p peaks) {
	if l.Ceiling = median(p.best); l.Ceiling == 0 {
		return
	}
	shares, sustained := make([]float64, len(seconds)), make([]float64, len(seconds))
	for i, v := range seconds {
		shares[i], sustained[i] = flops/v/p.best[i], p.sustained[i]/p.best[i]
	}
	l.Share = median(shares)
	l.add("multiply-adds in registers sustain " + percent(median(sustained)) + " of the peak")
}

func (t *trainer) side(turn int) side {
	return func() ([]float64, error) {
		seconds, _, err := t.steps(turn)
		return seconds, err
	}
}

// steps is a row of training steps in fp32: it is met when gsc is so many times as fast as the faster PyTorch, or reaches
// so much of the peak.
func steps(m model, times, share float64) func(*session, row) ([]line, error) {
	return func(s *session, r row) ([]line, error) {
		if _, err := s.checked(m, m.task); err != nil {
			return nil, err
		}
		list, missing, err := s.peers(m, "fp32")
		if err != nil {
			return nil, err
		}
		defer closeAll(list)
		l, err := s.race(r, m, list)
		if err != nil {
			return nil, err
		}
		l.Verdict = verdictOf(l.Ratio >= times || l.Share >= share)
		if missing != nil && l.Verdict != met {
			l.Verdict, l.Note = skipped, missing.Error()
		}
		return []line{l}, nil
	}
}

// race measures gsc and the PyTorches by turns.
func (s *session) race(r row, m model, list []*trainer) (line, error) {
	l := r.line("tokens/s")
	var p peaks
	sides := []side{s.stepSide(m.task, m.turn, &p)}
	for _, t := range list {
		sides = append(sides, t.side(m.turn))
	}
	samples, err := interleave(s.measurements, sides...)
	if err != nil {
		return l, err
	}
	gsc, others := samples[0], samples[1:]
	var peer []float64
	fastest := best(others)
	if fastest >= 0 {
		peer = over(m.tokens(), others[fastest])
	}
	l.compare(over(m.tokens(), gsc), peer)
	l.add(told(list, others, fastest, m.rate))
	l.ofPeak(m.flops(), gsc, p)
	return l, nil
}

// rate puts seconds of a step into words.
func (m model) rate(seconds float64) string { return figure(m.tokens()/seconds, "tokens/s") }
