package metric

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

func TestClasses(t *testing.T) {
	c := NewClasses(4)
	if c.Accuracy() != 0 || c.MacroF1() != 0 {
		t.Error("nothing counted gives a score")
	}
	c.Add([]int32{0, 1, 1, 2, 0}, []int32{0, 1, 0, 1, -100}, -100)
	c.Add([]int32{1, 9}, []int32{1, 1}, -100)
	// Class 0: 1 right, 1 predicted, 2 there. Class 1: 2, 3, 4. Class 2: 0, 1, 0. Class 3 does not occur.
	if want := (2.0/3 + 4.0/7 + 0) / 3; !near(c.MacroF1(), want) {
		t.Errorf("macro F1 %g, want %g", c.MacroF1(), want)
	}
	if c.Total() != 6 || !near(c.Accuracy(), 0.5) {
		t.Errorf("accuracy %g of %d", c.Accuracy(), c.Total())
	}
}

var tags = []string{"O", "B-x", "I-x", "B-y", "I-y", "odd"}

// ids reads tags, "_" being ignored.
func ids(text string) (list []int32) {
	for _, name := range strings.Fields(text) {
		id := int32(-100)
		for i, tag := range tags {
			if tag == name {
				id = int32(i)
			}
		}
		list = append(list, id)
	}
	return list
}

func TestEntities(t *testing.T) {
	cases := []struct {
		labels, predicted           string
		correct, predictions, there int64
	}{
		{"O O", "O O", 0, 0, 0},
		{"B-x I-x O B-y", "B-x I-x O B-y", 2, 2, 2},
		{"B-x I-x O", "B-x O O", 0, 1, 1},
		{"B-x I-x", "B-x B-x", 0, 2, 1},
		{"B-x I-x", "B-y I-y", 0, 1, 1},
		{"B-x I-x", "I-x I-x", 1, 1, 1},
		{"O B-x", "O I-x", 1, 1, 1},
		{"B-x B-x", "B-x I-x", 0, 1, 2},
		{"B-x I-y", "B-x B-y", 2, 2, 2},
		{"B-x I-x I-y", "B-x I-x O", 1, 1, 2},
		{"B-x odd I-x", "B-x odd B-x", 2, 2, 2},
		{"_ B-x _ _ I-x _ O", "B-y B-x O O I-x O O", 1, 1, 1},
		{"O O O", "B-x B-x I-x", 0, 2, 0},
		{"", "", 0, 0, 0},
	}
	for _, c := range cases {
		e := NewEntities(tags)
		e.Add(ids(c.predicted), ids(c.labels), -100)
		if a, b, d := e.Counts(); a != c.correct || b != c.predictions || d != c.there {
			t.Errorf("%q against %q: %d of %d, %d there", c.predicted, c.labels, a, b, d)
		}
	}
}

func TestEntityScores(t *testing.T) {
	e := NewEntities(tags)
	if e.F1() != 0 || e.Precision() != 0 || e.Recall() != 0 {
		t.Error("nothing counted gives a score")
	}
	e.Add(ids("B-x O B-y"), ids("B-x I-x B-y"), -100)
	e.Add(ids("B-x B-x"), ids("B-x O"), -100)
	if !near(e.Precision(), 2.0/4) || !near(e.Recall(), 2.0/3) || !near(e.F1(), 4.0/7) {
		t.Errorf("precision %g, recall %g, F1 %g", e.Precision(), e.Recall(), e.F1())
	}
}

// An entity does not reach over the border of two sentences.
func TestPackedEqualsOneByOne(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		n := 1 + random.IntN(20)
		predicted, labels, segments := make([]int32, n), make([]int32, n), make([]int32, n)
		apart, packed := NewEntities(tags), NewEntities(tags)
		from := 0
		for i := range n {
			predicted[i], labels[i] = int32(random.IntN(len(tags))), int32(random.IntN(len(tags)))
			if i > 0 {
				segments[i] = segments[i-1]
				if random.IntN(4) == 0 {
					segments[i]++
					apart.Add(predicted[from:i], labels[from:i], -100)
					from = i
				}
			}
		}
		apart.Add(predicted[from:], labels[from:], -100)
		packed.AddPacked(predicted, labels, segments, -100)
		if apart.all != packed.all {
			t.Fatalf("%v %v %v: %+v apart, %+v packed", predicted, labels, segments, apart.all, packed.all)
		}
	}
}
