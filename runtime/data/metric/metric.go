// Package metric scores predicted labels against true ones.
//
// Its counters take a batch at a time and hold what a whole split adds up to: the order of the batches changes nothing.
package metric

import "strings"

// Classes counts single labels: the accuracy and the F1 of each class.
type Classes struct {
	classes []outcome
	correct int64
	total   int64
}

// outcome is what became of one class or, of entities, of all.
type outcome struct{ correct, predicted, actual int64 }

// f1 is 2·correct/(predicted + actual), the harmonic mean of precision and recall.
func (o outcome) f1() float64 {
	if o.predicted+o.actual == 0 {
		return 0
	}
	return 2 * float64(o.correct) / float64(o.predicted+o.actual)
}

// NewClasses counts labels from 0 to classes−1.
func NewClasses(classes int) *Classes { return &Classes{classes: make([]outcome, classes)} }

// Add counts the positions whose label is not ignore. A label or prediction that is no class is wrong.
func (c *Classes) Add(predicted, labels []int32, ignore int32) {
	for i, label := range labels {
		if label == ignore {
			continue
		}
		c.total++
		if c.known(label) {
			c.classes[label].actual++
		}
		if c.known(predicted[i]) {
			c.classes[predicted[i]].predicted++
		}
		if predicted[i] == label {
			c.correct++
			if c.known(label) {
				c.classes[label].correct++
			}
		}
	}
}

func (c *Classes) known(label int32) bool { return label >= 0 && int(label) < len(c.classes) }

// Total is how many positions were counted.
func (c *Classes) Total() int64 { return c.total }

// Accuracy is the share of the positions that are right; 0 of none.
func (c *Classes) Accuracy() float64 {
	if c.total == 0 {
		return 0
	}
	return float64(c.correct) / float64(c.total)
}

// MacroF1 is the mean F1 of the classes that occur, as label or as prediction; 0 of none.
func (c *Classes) MacroF1() float64 {
	sum, occur := 0.0, 0
	for _, o := range c.classes {
		if o.predicted+o.actual > 0 {
			sum += o.f1()
			occur++
		}
	}
	if occur == 0 {
		return 0
	}
	return sum / float64(occur)
}

// Entities counts the entities that BIO tags mark.
//
// An entity begins at B-X, and at I-X after O, after another type or at the start of a sentence; it goes on with
// I-X of the same type. Tags of another form mark nothing. An entity is right when its first word, its last word and its type are.
//
// Source: conlleval, the scorer of the CoNLL-2000 shared task.
type Entities struct {
	tags []tag
	all  outcome

	predicted, actual []int32     // a sentence
	found             [2][]entity // its entities, predicted and actual
}

// tag is what a label says: B or I of a type, or 0.
type tag struct {
	prefix byte
	kind   string
}

// NewEntities reads the names of the labels, such as "O" and "B-person".
func NewEntities(labels []string) *Entities {
	e := &Entities{tags: make([]tag, len(labels))}
	for i, name := range labels {
		prefix, kind, ok := strings.Cut(name, "-")
		if ok && (prefix == "B" || prefix == "I") {
			e.tags[i] = tag{prefix[0], kind}
		}
	}
	return e
}

// Add counts one sentence: the labels of its words in order, ignored positions between them.
func (e *Entities) Add(predicted, labels []int32, ignore int32) {
	for i, label := range labels {
		if label != ignore {
			e.predicted, e.actual = append(e.predicted, predicted[i]), append(e.actual, label)
		}
	}
	e.flush()
}

// AddPacked counts a row of several sentences, which segments tell apart.
func (e *Entities) AddPacked(predicted, labels, segments []int32, ignore int32) {
	for i, label := range labels {
		if i > 0 && segments[i] != segments[i-1] {
			e.flush()
		}
		if label != ignore {
			e.predicted, e.actual = append(e.predicted, predicted[i]), append(e.actual, label)
		}
	}
	e.flush()
}

// entity is the words start … end−1 and their type.
type entity struct {
	start, end int
	kind       string
}

// flush counts the words gathered, as one sentence.
func (e *Entities) flush() {
	p, a := e.entities(e.found[0][:0], e.predicted), e.entities(e.found[1][:0], e.actual)
	e.all.predicted += int64(len(p))
	e.all.actual += int64(len(a))
	for i, j := 0, 0; i < len(p) && j < len(a); {
		switch {
		case p[i].start < a[j].start:
			i++
		case p[i].start > a[j].start:
			j++
		default:
			if p[i] == a[j] {
				e.all.correct++
			}
			i, j = i+1, j+1
		}
	}
	e.found = [2][]entity{p, a}
	e.predicted, e.actual = e.predicted[:0], e.actual[:0]
}

// entities appends the entities of a sentence to list, in order.
func (e *Entities) entities(list []entity, labels []int32) []entity {
	var before tag
	for i := range labels {
		now := e.at(labels, i)
		switch {
		case now.prefix == 'B', now.prefix == 'I' && (before.prefix == 0 || before.kind != now.kind):
			list = append(list, entity{i, i + 1, now.kind})
		case now.prefix == 'I':
			list[len(list)-1].end = i + 1
		}
		before = now
	}
	return list
}

// at is the tag of word i; a label that is none says nothing.
func (e *Entities) at(labels []int32, i int) tag {
	if labels[i] < 0 || int(labels[i]) >= len(e.tags) {
		return tag{}
	}
	return e.tags[labels[i]]
}

// Counts are the entities predicted rightly, predicted, and there.
func (e *Entities) Counts() (correct, predicted, actual int64) {
	return e.all.correct, e.all.predicted, e.all.actual
}

// Precision is the share of the predicted entities that are right; 0 of none.
func (e *Entities) Precision() float64 { return share(e.all.correct, e.all.predicted) }

// Recall is the share of the entities that were predicted; 0 of none.
func (e *Entities) Recall() float64 { return share(e.all.correct, e.all.actual) }

// F1 is the harmonic mean of precision and recall.
func (e *Entities) F1() float64 { return e.all.f1() }

func share(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}
