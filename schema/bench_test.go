package schema

import "testing"

// BenchmarkLoad is the time of one load.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load("../examples/shakespeare/train.cue", Options{Tags: []string{"text=input.txt"}}); err != nil {
			b.Fatal(err)
		}
	}
}
