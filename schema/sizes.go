package schema

import "fmt"

// WithSizes is the strategy with what was found in the data in place of what it left open:
// the vocabulary, the number of labels and, where they have them, their names. Its digest stays
// that of what the user wrote.
func (s *Strategy) WithSizes(vocabulary, outputs int, labels []string) (*Strategy, error) {
	var sets []string
	if s.Model.Vocabulary == 0 && vocabulary > 0 {
		sets = append(sets, fmt.Sprintf("model.vocabulary=%d", vocabulary))
	}
	if s.Model.Outputs == 0 && s.Model.Task != "causal" {
		if len(labels) > 0 && len(labels) == outputs {
			sets = append(sets, fmt.Sprintf("model.labels=[%s]", quotedList(labels)))
		} else if outputs > 0 {
			sets = append(sets, fmt.Sprintf("model.classes=%d", outputs))
		}
	}
	return s.with(sets)
}

// with is the strategy evaluated once more, with values set by PATH=VALUE.
func (s *Strategy) with(sets []string) (*Strategy, error) {
	if len(sets) == 0 {
		return s, nil
	}
	opts := s.origin.opts
	opts.Set = append(opts.Set[:len(opts.Set):len(opts.Set)], sets...)
	sized, err := Load(s.origin.path, opts)
	if err != nil {
		return nil, err
	}
	if p := s.Objective.Plugin; p != nil { // its module was looked at
		sized.Objective.Plugin, sized.Data.Task, sized.Data.Unit, sized.Data.Further = p, s.Data.Task, s.Data.Unit, s.Data.Further
	}
	if t := s.Objective.Teacher; t != nil {
		sized.Objective.Teacher = t
	}
	if len(s.Transforms) > 0 { // and so were theirs
		sized.Transforms, sized.Data.Transforms, sized.Data.Task = s.Transforms, s.Data.Transforms, s.Data.Task
	}
	sized.Compress = s.Compress // likewise
	if s.Parallel.Codec != nil {
		sized.Parallel.Codec = s.Parallel.Codec
	}
	sized.Digest, sized.Evaluated, sized.Positions, sized.Open = s.Digest, s.Evaluated, s.Positions, s.Open
	return sized, nil
}

// origin is what a strategy was loaded from.
type origin struct {
	path string
	opts Options
	show func(file string) string
}
