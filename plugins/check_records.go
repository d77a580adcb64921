package plugins

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/record"
)

// recordsChecker tries a transform of records.
type recordsChecker struct {
	*checker
	forms []form // of data that it takes
}

// form is what records are made of.
type form struct {
	name                     string
	ids, labels, values, tag bool
}

var forms = []form{{name: "text"}, {name: "text with classes", labels: true}, {name: "text with numbers", labels: true, values: true}, {name: "tagged words", tag: true}, {name: "token ids", ids: true}}

// trialRecords is how many records most checks take.
const trialRecords = 600

func (c *recordsChecker) checks() []check {
	return []check{{"allocation", c.allocation}, {"records", c.records}, {"empty", c.empty}, {"huge", c.huge}, {"malformed", c.malformed}, {"repeated", c.repeated}, {"batches", c.batches}, {"seeds", c.seeds}, {"time", c.time}}
}

// empty is a batch of a form.
func (f form) empty() *record.Batch {
	b := &record.Batch{Seeds: []uint64{}}
	c := &b.Columns
	c.Ends = []uint32{}
	if f.ids {
		c.IDs = []int32{}
	} else {
		c.Text = []byte{}
	}
	if f.labels || f.tag {
		c.Names, c.NameEnds = []byte("onetwo"), []uint32{3, 6}
	}
	if f.labels {
		c.Labels, c.LabelEnds, c.Numbers, c.NumberEnds = []uint32{}, []uint32{}, []float64{}, []uint32{}
	}
	if f.tag {
		c.Spans, c.SpanEnds = []record.Span{}, []uint32{}
	}
	return b
}

// add adds a record: a text, or what its bytes are as ids. Its words are tagged where records have tags.
func (f form) add(b *record.Batch, text string, seed uint64) {
	c := &b.Columns
	if f.ids {
		for _, v := range []byte(text) {
			c.IDs = append(c.IDs, int32(v))
		}
	}
	if !f.ids {
		c.Text = append(c.Text, text...)
	}
	c.Ends = append(c.Ends, uint32(len(c.IDs)+len(c.Text)))
	if f.labels {
		if f.values {
			c.Numbers = append(c.Numbers, float64(len(text))/2)
		} else {
			c.Labels = append(c.Labels, uint32(len(text)%2))
		}
		c.LabelEnds, c.NumberEnds = append(c.LabelEnds, uint32(len(c.Labels))), append(c.NumberEnds, uint32(len(c.Numbers)))
	}
	if f.tag {
		from := 0
		for word := range strings.SplitSeq(text, " ") {
			if word != "" {
				c.Spans = append(c.Spans, record.Span{From: uint32(from), To: uint32(from + len(word)), Name: uint32(len(word) % 2)})
			}
			from += len(word) + 1
		}
		c.SpanEnds = append(c.SpanEnds, uint32(len(c.Spans)))
	}
	b.Places, b.Seeds = append(b.Places, record.Place{Path: "trial", Line: len(b.Places) + 1}), append(b.Seeds, seed)
}

// texts are lines as data have them, some of them twice, some empty.
func texts(n int, seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 11))
	words := strings.Fields("the of a gradient descends slowly; WHERE 42 naïve läuft 学习 …… := return x = {1, 2, 3} aaaaaaaaaaaaaaaa 0x7f")
	list := make([]string, n)
	for i := range list {
		if i > 0 && r.IntN(8) == 0 {
			list[i] = list[r.IntN(i)]
			continue
		}
		var line []string
		for range r.IntN(24) {
			line = append(line, words[r.IntN(len(words))])
		}
		list[i] = strings.Join(line, " ")
	}
	return list
}

// batchOf is a batch of texts.
func (f form) batchOf(list []string, first int, seed uint64) *record.Batch {
	b := f.empty()
	for i, text := range list {
		f.add(b, text, seed*1e9+uint64(first+i))
	}
	return b
}

// open makes a transform with one instance, for a while.
func (c *recordsChecker) open(do func(*Records) error) error {
	r, err := c.plugin.NewRecords(c.ctx, c.params, 1)
	if err != nil {
		return err
	}
	return errors.Join(do(r), r.Close())
}

// run has a batch transformed and gives what came of it, each record in one string, with the number of its origin.
func (r *Records) run(b *record.Batch, first int) ([]string, error) {
	var out record.Result
	if err := r.Apply(0, b, &out); err != nil {
		return nil, err
	}
	list := make([]string, out.Len(b))
	for j := range list {
		content, at := out.Content(b, j)
		label, labelAt := out.Label(b, j)
		list[j] = fmt.Sprintf("%d %s %s %v %s", first+out.Origin(j), contentOf(content, at), namesOf(label, record.Part(label.Labels, label.LabelEnds, labelAt)), record.Part(label.Numbers, label.NumberEnds, labelAt),
			spansOf(content, at))
	}
	return list, nil
}

// contentOf is a record's content, or what it begins with and a digest where it is long.
func contentOf(c *record.Columns, at int) string {
	const most = 200
	text := record.Part(c.Text, c.Ends, at)
	if ids := record.Part(c.IDs, c.Ends, at); ids != nil {
		text, _ = binary.Append(nil, binary.LittleEndian, ids)
	}
	if len(text) <= most {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q… %x", text[:most], sha256.Sum256(text))
}

func namesOf(c *record.Columns, labels []uint32) string {
	text := ""
	for _, l := range labels {
		text += fmt.Sprintf("%q", record.Part(c.Names, c.NameEnds, int(l)))
	}
	return text
}

func spansOf(c *record.Columns, at int) string {
	var text strings.Builder
	for _, s := range record.Part(c.Spans, c.SpanEnds, at) {
		fmt.Fprintf(&text, "[%d:%d]%q", s.From, s.To, record.Part(c.Names, c.NameEnds, int(s.Name)))
	}
	return text.String()
}

// whole transforms texts in batches of so many by a new instance.
func (c *recordsChecker) whole(f form, list []string, each int, seed uint64) (all []string, err error) {
	err = c.open(func(r *Records) error {
		for from := 0; from < len(list); from += each {
			part, err := r.run(f.batchOf(list[from:min(len(list), from+each)], from, seed), from)
			if err != nil {
				return err
			}
			all = append(all, part...)
		}
		return nil
	})
	return all, err
}

// allocation: an instance takes a batch. What forms of data it takes is found out by the way: it may refuse some, by a status.
func (c *recordsChecker) allocation() (string, error) {
	var names []string
	var refused error
	for _, f := range forms {
		_, err := c.whole(f, texts(20, 1), 20, 1)
		if status := (StatusError{}); errors.As(err, &status) && status.Status == abi.BadInput {
			refused = err
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", f.name, err)
		}
		c.forms, names = append(c.forms, f), append(names, f.name)
	}
	if len(names) == 0 {
		return "", fmt.Errorf("it takes no form of data: %w", refused)
	}
	return "it takes " + strings.Join(names, ", "), nil
}

// each runs a check for each form.
func (c *recordsChecker) each(do func(f form) error) error {
	for _, f := range c.forms {
		if err := do(f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// records: as they are in files.
func (c *recordsChecker) records() (string, error) {
	var words []string
	err := c.each(func(f form) error {
		got, err := c.whole(f, texts(trialRecords, 2), trialRecords, 1)
		words = append(words, fmt.Sprintf("%s: %d", f.name, len(got)))
		return err
	})
	return fmt.Sprintf("of %d records come out: %s", trialRecords, strings.Join(words, ", ")), err
}

// empty: batches without records, and records without anything in them.
func (c *recordsChecker) empty() (string, error) {
	err := c.each(func(f form) error {
		got, err := c.whole(f, []string{"", "", "some", ""}, 2, 1)
		if err != nil {
			return err
		}
		return c.open(func(r *Records) error {
			if got, err = r.run(f.empty(), 0); len(got) > 0 {
				return fmt.Errorf("of no records it makes %d", len(got))
			}
			return err
		})
	})
	return "a batch of none, and records that hold nothing", err
}

// huge: a record as long as it may be, alone and among others.
func (c *recordsChecker) huge() (string, error) {
	limit := c.plugin.Manifest.RecordBytes
	err := c.each(func(f form) error {
		size := limit
		if f.ids {
			size /= 4
		}
		words := strings.Repeat("quite a few words, and again ", int(size/29+1))[:size]
		if f.tag { // spans take room, too
			words = words[:len(words)/16]
		}
		_, err := c.whole(f, []string{"before", words, "behind"}, 3, 1)
		return err
	})
	return fmt.Sprintf("a record of %d bytes, as long as it takes", limit), err
}

// malformed: what no reader of files refuses.
func (c *recordsChecker) malformed() (string, error) {
	list := []string{"\x00", "\xff\xfe", "half of a character: \xe5\xad", "\x00\x00\x00 NUL \x00", "\xed\xa0\x80 a surrogate", strings.Repeat("\xc3", 999), "\r\n\r\n", "\ufeff"}
	err := c.each(func(f form) error {
		if _, err := c.whole(f, list, 3, 1); err != nil || !f.ids {
			return err
		}
		b := f.empty()
		f.add(b, "x", 1)
		b.IDs = []int32{0, 65535, 65536, math.MaxInt32 - 1}
		b.Ends = []uint32{4}
		return c.open(func(r *Records) error {
			_, err := r.run(b, 0)
			return err
		})
	})
	if slices.ContainsFunc(c.forms, func(f form) bool { return f.ids }) {
		return "text that is not UTF-8, NULs, ids at their limits", err
	}
	return "text that is not UTF-8, NULs", err
}

// repeated: the same records give the same ones in another instance.
func (c *recordsChecker) repeated() (string, error) {
	err := c.each(func(f form) error {
		return c.same(f, trialRecords, trialRecords)
	})
	return "another instance gives the same", err
}

// batches: how records are cut into batches says nothing.
func (c *recordsChecker) batches() (string, error) {
	err := c.each(func(f form) error {
		err := c.same(f, trialRecords, 1)
		if err == nil {
			err = c.same(f, trialRecords, 97)
		}
		if err == nil && c.plugin.Manifest.Order == abi.AnyOrder {
			err = c.forgets(f)
		}
		return err
	})
	if c.plugin.Manifest.Order == abi.Sequential {
		return "in batches of 1 and of 97 the same", err
	}
	return "in batches of 1 and of 97 the same, and whatever went before", err
}

// same compares what comes out of two cuts into batches.
func (c *recordsChecker) same(f form, a, b int) error {
	list := texts(trialRecords, 3)
	one, err := c.whole(f, list, a, 1)
	if err != nil {
		return err
	}
	two, err := c.whole(f, list, b, 1)
	if err != nil {
		return err
	}
	return alike(one, two)
}

// alike names the first record that differs.
func alike(one, two []string) error {
	for i := range min(len(one), len(two)) {
		if one[i] != two[i] {
			return fmt.Errorf("record %d that comes out is %.80s once, and %.80s again", i, one[i], two[i])
		}
	}
	if len(one) != len(two) {
		return fmt.Errorf("%d records come out once, and %d again", len(one), len(two))
	}
	return nil
}

// forgets: what a transform in any order gives for records does not depend on those before.
func (c *recordsChecker) forgets(f form) error {
	list := texts(trialRecords, 3)
	const each = 97
	fresh, err := c.whole(f, list, each, 1)
	if err != nil {
		return err
	}
	parts := make([][]string, (trialRecords+each-1)/each)
	err = c.open(func(r *Records) error {
		for i := range slices.Backward(parts) { // the last first
			var err error
			if parts[i], err = r.run(f.batchOf(list[i*each:min(len(list), (i+1)*each)], i*each, 1), i*each); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = alike(fresh, slices.Concat(parts...))
	}
	if err != nil {
		return fmt.Errorf("with the last batch first: %w", err)
	}
	return nil
}

// seeds: the same seeds give the same; whether others give others is told.
func (c *recordsChecker) seeds() (string, error) {
	f, list := c.forms[0], texts(trialRecords, 4)
	one, err := c.whole(f, list, 100, 1)
	if err != nil {
		return "", err
	}
	two, err := c.whole(f, list, 100, 2)
	if err != nil {
		return "", err
	}
	if alike(one, two) == nil {
		return "they change nothing", nil
	}
	return "other seeds give other records", nil
}

// time: of whole batches, the least of several.
func (c *recordsChecker) time() (string, error) {
	b := c.forms[0].batchOf(texts(1000, 5), 0, 1)
	least := time.Duration(math.MaxInt64)
	err := c.open(func(r *Records) error {
		var out record.Result
		for range 5 {
			start := time.Now()
			if err := r.Apply(0, b, &out); err != nil {
				return err
			}
			least = min(least, time.Since(start))
		}
		return nil
	})
	return fmt.Sprintf("%.0f ns a record of %d bytes on one thread, copies and bounds included", float64(least.Nanoseconds())/1000, len(b.Text)/1000+4*len(b.IDs)/1000), err
}
