package main

// shortGPT2 has a context of 128: what attention reads of the cache is little beside the weights.
var shortGPT2 = gpt2(128).with("model.context=128")

// generation is a row of decoding at position 127: the rate at which weights are read over the read bandwidth that gsc bench
// measures. It has no peer but the memory.
func generation(share float64, flags ...string) func(*session, row) ([]line, error) {
	return func(s *session, r row) ([]line, error) {
		l := r.line("GB/s")
		flags := append([]string{"--generate", "--steps", "20"}, flags...)
		var ceilings []float64
		gsc, err := interleave(s.measurements, func() ([]float64, error) {
			b, err := s.bench(shortGPT2, flags...)
			if err != nil {
				return nil, err
			}
			ceilings = append(ceilings, b.ReadBytesPerSecond)
			return []float64{b.WeightBytes / median(b.StepsSeconds) / 1e9}, nil
		})
		if err != nil {
			return nil, err
		}
		l.compare(gsc[0], nil)
		l.Ceiling = median(ceilings)
		if l.Ceiling > 0 {
			l.Share = l.GSC * 1e9 / l.Ceiling
		}
		l.Note = "share of the read bandwidth, " + figure(l.Ceiling/1e9, "GB/s")
		l.Verdict = verdictOf(l.Share >= share)
		if share == 0 {
			l.Verdict = shown
		}
		return []line{l}, nil
	}
}
