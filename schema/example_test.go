package schema

import "testing"

// TestExamples: each example loads.
func TestExamples(t *testing.T) {
	for name, tags := range map[string][]string{
		"go-source": {"goroot=/usr/local/go"}, "shakespeare": {"text=input.txt"}, "entities": {"data=wnut17"}, "own-architecture": nil,
	} {
		s, err := Load("../examples/"+name+"/train.cue", Options{Tags: tags})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if s.Name != name || len(s.Model.Layers) == 0 || len(s.Evaluated) == 0 {
			t.Errorf("%s: decoded as %q with %d layers", name, s.Name, len(s.Model.Layers))
		}
	}
}
