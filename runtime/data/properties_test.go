package data

import (
	"reflect"
	"slices"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
)

// numbers is what a batch holds, for comparing.
func numbers(b *Batch) []any {
	return []any{b.Rows, b.Length, slices.Clone(b.Tokens), slices.Clone(b.Labels), slices.Clone(b.Segments), slices.Clone(b.Positions),
		slices.Clone(b.Lengths), slices.Clone(b.Values), slices.Clone(b.Weights), slices.Clone(b.Index), b.Weight, b.Scored, b.Valid}
}

// forKinds runs a test over every kind of data.
func forKinds(t *testing.T, test func(t *testing.T, s *Set)) {
	for name, spec := range kinds(t) {
		t.Run(name, func(t *testing.T) { test(t, mustOpen(t, spec)) })
	}
}

func TestEachEpochVisitsEachRowOnce(t *testing.T) {
	forKinds(t, func(t *testing.T, s *Set) {
		if s.Spec().Order == "random" {
			t.Skip("rows at random places have no epoch")
		}
		rows := s.Rows(Train)
		const batch = 7
		var visited []int64
		for step := int64(1); int64(len(visited)) < 3*rows; step++ {
			visited = append(visited, fillAt(t, s, 5, step, batch).Index...)
		}
		var epochs [3][]int64
		for e := range epochs {
			epochs[e] = slices.Clone(visited[int64(e)*rows : int64(e+1)*rows])
			sorted := slices.Sorted(slices.Values(epochs[e]))
			for i, r := range sorted {
				if int64(i) != r {
					t.Fatalf("epoch %d visits %v", e, sorted)
				}
			}
		}
		if same := slices.Equal(epochs[0], epochs[1]); same != (s.Spec().Order == "sequential") {
			t.Errorf("two epochs of the same order: %v", same)
		}
	})
}

func TestBatchesAreAFunctionOfSeedAndStep(t *testing.T) {
	forKinds(t, func(t *testing.T, s *Set) {
		again, err := Open(s.Spec())
		if err != nil {
			t.Fatal(err)
		}
		used := NewBatch(s.Spec(), 6)
		for _, step := range []int64{9, 1, 40, 2, 9} {
			if err := again.Fill(3, step, used); err != nil {
				t.Fatal(err)
			}
			if want := fillAt(t, s, 3, step, 6); !reflect.DeepEqual(numbers(used), numbers(want)) {
				t.Fatalf("step %d depends on what was filled before it", step)
			}
		}
		if s.Spec().Order != "sequential" && slices.Equal(fillAt(t, s, 3, 2, 6).Index, fillAt(t, s, 4, 2, 6).Index) {
			t.Error("another seed gives the same order")
		}
	})
}

// Cutting the same run into larger batches gives the same rows in the same order.
func TestRowsDoNotDependOnTheBatchSize(t *testing.T) {
	forKinds(t, func(t *testing.T, s *Set) {
		if s.Spec().Order == "random" {
			t.Skip("places are drawn for each step")
		}
		var small, large []int64
		for step := int64(1); step <= 12; step++ {
			small = append(small, fillAt(t, s, 1, step, 4).Index...)
		}
		for step := int64(1); step <= 4; step++ {
			large = append(large, fillAt(t, s, 1, step, 12).Index...)
		}
		if !slices.Equal(small, large) {
			t.Errorf("%v, %v", small, large)
		}
	})
}

func TestTotals(t *testing.T) {
	forKinds(t, func(t *testing.T, s *Set) {
		b := fillAt(t, s, 1, 1, 6)
		scored := 0
		for _, label := range b.Labels {
			if label != -100 {
				scored++
			}
		}
		if b.target == "values" {
			scored = b.Rows
		}
		if b.Scored != scored || b.Weight != float64(scored) || scored == 0 {
			t.Errorf("%d scored, weight %g, want %d", b.Scored, b.Weight, scored)
		}
		for _, id := range b.Tokens {
			if id < 0 || int(id) >= s.Spec().VocabularySize {
				t.Fatalf("token %d of %d", id, s.Spec().VocabularySize)
			}
		}
		for _, label := range b.Labels {
			if label != -100 && (label < 0 || int(label) >= s.Spec().Outputs) {
				t.Fatalf("label %d of %d", label, s.Spec().Outputs)
			}
		}
	})
}

func TestFillAllocatesNothing(t *testing.T) {
	forKinds(t, func(t *testing.T, s *Set) {
		b := NewBatch(s.Spec(), 6)
		step := int64(0)
		if n := testing.AllocsPerRun(50, func() {
			step++
			if err := s.Fill(1, step, b); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%g allocations a step", n)
		}
	})
}

func TestPrefetchGivesTheSameBatches(t *testing.T) {
	forKinds(t, func(t *testing.T, s *Set) {
		p := s.Prefetch(2, 5, 12, 6)
		defer p.Stop()
		for step := int64(5); step <= 12; step++ {
			got, err := p.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(numbers(got), numbers(fillAt(t, s, 2, step, 6))) {
				t.Fatalf("step %d differs", step)
			}
		}
		if _, err := p.Next(); err == nil {
			t.Error("a batch past the last step")
		}
	})
}

func TestPrefetchStops(t *testing.T) {
	s := mustOpen(t, kinds(t)["stream"])
	for taken := range 4 {
		p := s.Prefetch(2, 1, 1000, 6)
		for range taken {
			if _, err := p.Next(); err != nil {
				t.Fatal(err)
			}
		}
		p.Stop()
		p.Stop()
	}
}

func TestEvaluationWalksTheSplitOnce(t *testing.T) {
	forKinds(t, func(t *testing.T, s *Set) {
		for _, split := range []Split{Train, Validation} {
			for _, limit := range []int64{0, 5} {
				checkPass(t, s, split, limit)
			}
		}
	})
}

func checkPass(t *testing.T, s *Set, split Split, limit int64) {
	t.Helper()
	pass := s.Evaluation(split, 4, limit)
	b := NewBatch(s.Spec(), 4)
	var rows []int64
	scored := 0
	for i := range pass.Batches() {
		pass.Fill(i, b)
		for k, r := range b.Index {
			if r >= 0 {
				rows = append(rows, r)
			} else if !blank(b, k) {
				t.Errorf("row %d of batch %d is to be padding", k, i)
			}
		}
		scored += b.Scored
	}
	want := s.Rows(split)
	if limit > 0 {
		want = min(want, limit)
	}
	if int64(len(rows)) != want || !slices.IsSorted(rows) || len(slices.Compact(slices.Clone(rows))) != len(rows) {
		t.Errorf("%s: rows %v, want %d of %d", split, rows, want, s.Rows(split))
	}
	tokens := CountOf(s.Spec(), split).Tokens
	if limit == 0 && split == Validation && s.Spec().Rows == "stream" && int64(scored) != tokens-1 {
		t.Errorf("%d positions scored, want all %d but the first", scored, tokens)
	}
}

// blank says whether row k scores nothing.
func blank(b *Batch, k int) bool {
	switch b.target {
	case "row":
		return b.Labels[k] == b.ignore
	case "values":
		return b.Weights[k] == 0
	}
	return !slices.ContainsFunc(b.span(b.Labels, k), func(label int32) bool { return label != b.ignore })
}

func TestBatchBytes(t *testing.T) {
	forKinds(t, func(t *testing.T, s *Set) {
		b := NewBatch(s.Spec(), 3)
		size := 8*cap(b.Index) + 4*(cap(b.valid)+cap(b.Values)+cap(b.Weights))
		for _, list := range b.arrays {
			size += 4 * cap(list)
		}
		if got := BatchBytes(s.Spec(), 3); got != int64(size) {
			t.Errorf("%d bytes, want %d", got, size)
		}
	})
}

// The compiler may ask for inputs that the rows do not need.
func TestInputsThatThePlanAdds(t *testing.T) {
	spec, err := Prepare(kinds(t)["padded lines"])
	if err != nil {
		t.Fatal(err)
	}
	spec.Inputs = append(spec.Inputs, plan.InputTypes, plan.InputMask, plan.InputSegments, plan.InputPositions)
	s, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	b := fillAt(t, s, 1, 1, 5)
	for i, n := range b.Lengths {
		for k := range b.Length {
			at, in := i*b.Length+k, int32(0)
			if int32(k) < n {
				in = 1
			}
			if b.Types[at] != 0 || b.Mask[at] != in || b.Segments[at] != in || b.Positions[at] != int32(k)*in {
				t.Fatalf("row %d, token %d of %d: type %d, mask %d, segment %d, position %d", i, k, n, b.Types[at], b.Mask[at], b.Segments[at], b.Positions[at])
			}
		}
	}
}
