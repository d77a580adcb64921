package data

import "testing"

// BenchmarkFill makes batches of 64 rows of each kind; bytes are those of the tokens that it writes.
func BenchmarkFill(b *testing.B) {
	for name, spec := range kinds(b) {
		b.Run(name, func(b *testing.B) {
			s := mustOpen(b, spec)
			batch := NewBatch(s.Spec(), 64)
			b.SetBytes(int64(4 * len(batch.Tokens)))
			step := int64(0)
			for b.Loop() {
				step++
				if err := s.Fill(1, step, batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
