package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
)

const predictedWithin = 0.1

// predicted calibrates the machine, and compares the step time that the profile predicts with the measured one. A machine that is shared is another a few
// minutes later, so either time is held against the multiply-adds that were sustained beside it: what is compared is the share of those.
func predicted(s *session, r row) ([]line, error) {
	profile := s.path("profile.json")
	if _, _, err := s.command("calibrate", "-o", profile); err != nil {
		return nil, err
	}
	calibrated, err := sustainedOf(profile)
	if err != nil {
		return nil, err
	}
	var lines []line
	for _, m := range []struct {
		work string
		task
		flags []string
	}{
		{"GPT-2 124M, 4 × 256", gpt2(256).task, []string{"--steps", "3"}},
		{"GPT-2 124M, 4 × 64", gpt2(64).task, []string{"--steps", "3"}},
		{"6 layers of 384, 8 × 256", char6.task, []string{"--steps", "5"}},
		{"BERT-base, 8 × 128", bert.task, []string{"--steps", "3"}},
		{"nanoGPT's small configuration", task{strategy: "nanogpt"}, []string{"--steps", "200"}},
		{"GPT-2 124M, 4 × 256, bf16", gpt2(256).with(bf16), []string{"--steps", "3"}},
		{"GPT-2 124M, 4 × 64, bf16", gpt2(64).with(bf16), []string{"--steps", "3"}},
		{"6 layers of 384, 8 × 256, bf16", char6.with(bf16), []string{"--steps", "5"}},
		{"BERT-base, 8 × 128, bf16", bert.with(bf16), []string{"--steps", "3"}},
		{"context 512", contextTask(512), []string{"--steps", "3"}},
		{"context 8192", contextTask(8192), []string{"--steps", "3"}},
		{"GPT-2 124M, a token, f32 weights", shortGPT2, []string{"--steps", "20", "--generate"}},
		{"GPT-2 124M, a token, int8 weights", shortGPT2, []string{"--steps", "20", "--generate", "--weights", "int8"}},
	} {
		l := r.line("s")
		l.Work, l.Must = m.work+", predicted step time", "0.90 to 1.10 ×"
		var guesses, plain []float64
		measured, err := interleave(s.measurements, func() ([]float64, error) {
			b, err := s.bench(m.task, append(m.flags, "--profile", profile)...)
			if err != nil {
				return nil, err
			}
			for range b.StepsSeconds {
				guesses, plain = append(guesses, b.PredictedSeconds*calibrated/b.SustainedFlops), append(plain, b.PredictedSeconds)
			}
			return b.StepsSeconds, nil
		})
		if err != nil {
			return lines, err
		}
		l.compare(guesses, measured[0])
		ratios := make([]float64, len(guesses))
		for i, v := range guesses {
			ratios[i] = v / measured[0][i]
		}
		l.Ratio = median(ratios)
		l.Verdict = verdictOf(math.Abs(l.Ratio-1) <= predictedWithin)
		l.Note = fmt.Sprintf("peer: gsc, measured; as it was calibrated %s, %s", figure(median(plain), l.Unit), ratio(median(plain)/l.Peer))
		lines = append(lines, l)
	}
	return lines, nil
}

// sustainedOf is what a profile says was sustained.
func sustainedOf(profile string) (float64, error) {
	text, err := os.ReadFile(profile)
	if err != nil {
		return 0, err
	}
	var p struct {
		Sustained float64 `json:"sustained_flops"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return 0, err
	}
	if !(p.Sustained > 0) {
		return 0, fmt.Errorf("%s does not tell what was sustained", profile)
	}
	return p.Sustained, nil
}
