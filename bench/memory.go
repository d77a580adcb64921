package main

// memory is a row of the peak resident set: gsc's of a whole training run, its checkpoint included, over that of the faster PyTorch's steps.
func memory(m model, factor float64) func(*session, row) ([]line, error) {
	const mib = 1 << 20
	return func(s *session, r row) ([]line, error) {
		list, missing, err := s.peers(m, "fp32")
		if err != nil {
			return nil, err
		}
		defer closeAll(list)
		times, bytes := make([][]float64, len(list)), make([]float64, len(list))
		for i, t := range list {
			if times[i], bytes[i], err = t.steps(2); err != nil {
				return nil, err
			}
			t.close() // gsc shall have the memory for itself
		}
		x, err := s.checked(m, m.task)
		if err != nil {
			return nil, err
		}
		l := r.line("MiB")
		l.compare([]float64{x.rssBytes / mib}, nil)
		fastest := best(times)
		if fastest < 0 {
			l.Verdict, l.Note = skipped, missing.Error()
			return []line{l}, nil
		}
		l.compare([]float64{x.rssBytes / mib}, []float64{bytes[fastest] / mib})
		l.Verdict = verdictOf(l.Ratio <= factor)
		l.Note = list[fastest].name
		for i, t := range list {
			if i != fastest {
				l.Note += "; " + t.name + " " + figure(bytes[i]/mib, "MiB")
			}
		}
		return []line{l}, nil
	}
}
