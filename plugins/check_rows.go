package plugins

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/record"
)

// rowsChecker tries a transform of rows.
type rowsChecker struct{ *checker }

func (c *rowsChecker) checks() []check {
	return []check{{"allocation", c.allocation}, {"rows", c.rows}, {"padding", c.padding}, {"limits", c.limits}, {"repeated", c.repeated}, {"alone", c.alone}, {"seeds", c.seeds}, {"time", c.time}}
}

// trialRows are rows of tokens that predict the next, and an ignored label here and there.
func trialRows(n, length, vocabulary int, seed uint64) *record.Rows {
	r := rand.New(rand.NewPCG(seed, 13))
	rows := &record.Rows{Tokens: make([]int32, n*length), Labels: make([]int32, n*length), Segments: make([]int32, n*length), Valid: make([]int32, n), Seeds: make([]uint64, n), Length: length, Vocabulary: vocabulary,
		Outputs: vocabulary, Ignore: -100}
	for i := range rows.Tokens {
		rows.Tokens[i], rows.Labels[i], rows.Segments[i] = int32(r.IntN(vocabulary)), int32(r.IntN(vocabulary)), 1
	}
	for i := range n {
		rows.Valid[i], rows.Seeds[i] = int32(length), seed<<32+uint64(i)
	}
	return rows
}

// weighted gives rows weights, as those have whose transform changes them.
func (c *rowsChecker) weighted(rows *record.Rows) *record.Rows {
	if c.plugin.Manifest.Weights {
		rows.Weights = slices.Repeat([]float32{1}, len(rows.Labels))
	}
	return rows
}

func (c *rowsChecker) open(length int, do func(*RowTransform) error) error {
	r, err := c.plugin.NewRows(c.ctx, c.params, length)
	if err != nil {
		return err
	}
	return errors.Join(do(r), r.Close())
}

// run transforms rows by new instances.
func (c *rowsChecker) run(rows *record.Rows) error {
	return c.open(rows.Length, func(r *RowTransform) error { return r.Apply(rows) })
}

// allocation: room for long rows.
func (c *rowsChecker) allocation() (string, error) {
	const length = 32 << 10
	size := uint32(0)
	err := c.open(length, func(r *RowTransform) error {
		size = r.instances[0].module.Memory().Size()
		return r.Apply(c.weighted(trialRows(2, length, 257, 1)))
	})
	return fmt.Sprintf("calls of %d tokens take %d KiB of memory, of at most %d KiB", length, size>>10, c.plugin.limits.MemoryBytes>>10), err
}

// changes counts the tokens and labels that differ.
func changes(a, b *record.Rows) (tokens, labels int) {
	for i := range a.Tokens {
		if a.Tokens[i] != b.Tokens[i] {
			tokens++
		}
		if a.Labels[i] != b.Labels[i] {
			labels++
		}
	}
	return tokens, labels
}

// rows: of several lengths and vocabularies, with a label for each token and for each row.
func (c *rowsChecker) rows() (string, error) {
	said := ""
	for _, s := range []struct{ rows, length, vocabulary int }{{64, 128, 257}, {3, 1, 2}, {700, 7, 50257}} {
		rows, before := c.weighted(trialRows(s.rows, s.length, s.vocabulary, 2)), trialRows(s.rows, s.length, s.vocabulary, 2)
		if err := c.run(rows); err != nil {
			return "", fmt.Errorf("%d rows of %d tokens below %d: %w", s.rows, s.length, s.vocabulary, err)
		}
		if said == "" {
			tokens, labels := changes(rows, before)
			scored := 0
			for _, l := range rows.Labels {
				if l != rows.Ignore {
					scored++
				}
			}
			said = fmt.Sprintf("of %d tokens %d are changed, and %d labels; %d are scored", len(rows.Tokens), tokens, labels, scored)
		}
	}
	rows := trialRows(9, 16, 257, 3)
	rows.Labels, rows.Outputs = []int32{0, 1, 2, 0, 1, 2, -100, 0, 1}, 3
	err := c.run(c.weighted(rows))
	if status := (StatusError{}); errors.As(err, &status) && status.Status == abi.BadInput {
		return said + "; it refuses labels of rows", nil
	}
	return said, err
}

// padding: what is behind the valid tokens says nothing.
func (c *rowsChecker) padding() (string, error) {
	one, two := c.weighted(trialRows(16, 64, 257, 4)), c.weighted(trialRows(16, 64, 257, 4))
	for i := range one.Valid {
		one.Valid[i], two.Valid[i] = int32(i*4), int32(i*4)
		for k := i * 4; k < 64; k++ {
			at := i*64 + k
			one.Tokens[at], one.Labels[at], two.Tokens[at], two.Labels[at] = 0, -100, 1, -100
		}
	}
	if err := errors.Join(c.run(one), c.run(two)); err != nil {
		return "", err
	}
	for i := range one.Valid {
		from, to := i*64, i*64+i*4
		if !slices.Equal(one.Tokens[from:to], two.Tokens[from:to]) || !slices.Equal(one.Labels[from:to], two.Labels[from:to]) {
			return "", fmt.Errorf("row %d depends on what stands behind its %d valid tokens", i, i*4)
		}
	}
	return "rows of no tokens and of some, whatever stands behind them", nil
}

// limits: the least and the largest tokens, and labels that are all ignored.
func (c *rowsChecker) limits() (string, error) {
	for _, v := range []int32{0, 256} {
		rows := c.weighted(trialRows(4, 32, 257, 5))
		for i := range rows.Tokens {
			rows.Tokens[i], rows.Labels[i] = v, rows.Ignore
		}
		if err := c.run(rows); err != nil {
			return "", err
		}
	}
	return "tokens at both ends of the vocabulary, rows without labels", nil
}

// equalRows names the first row that differs.
func equalRows(one, two *record.Rows) error {
	for i := range one.Valid {
		from, to := i*one.Length, (i+1)*one.Length
		if !slices.Equal(one.Tokens[from:to], two.Tokens[from:to]) || !slices.Equal(one.Labels[from:to], two.Labels[from:to]) ||
			one.Weights != nil && !slices.Equal(one.Weights[from:to], two.Weights[from:to]) {
			return fmt.Errorf("row %d is another one the second time", i)
		}
	}
	return nil
}

// repeated: the same rows and seeds give the same, in one instance and in another that has seen others.
func (c *rowsChecker) repeated() (string, error) {
	rows := func(n int, seed uint64) *record.Rows { return c.weighted(trialRows(n, 64, 257, seed)) }
	one, two, three := rows(40, 6), rows(40, 6), rows(40, 6)
	if err := c.run(one); err != nil {
		return "", err
	}
	err := c.open(64, func(r *RowTransform) error {
		return errors.Join(r.Apply(rows(40, 7)), r.Apply(rows(11, 8)), r.Apply(two), r.Apply(three))
	})
	if err == nil {
		err = errors.Join(equalRows(one, two), equalRows(one, three))
	}
	return "the same in another instance, whatever went before", err
}

// alone: a row alone becomes what it becomes among others.
func (c *rowsChecker) alone() (string, error) {
	all, singly := c.weighted(trialRows(12, 64, 257, 9)), c.weighted(trialRows(12, 64, 257, 9))
	if err := c.run(all); err != nil {
		return "", err
	}
	err := c.open(64, func(r *RowTransform) error {
		for i := range 12 {
			from, to := i*64, (i+1)*64
			row := *singly
			row.Tokens, row.Labels, row.Segments, row.Valid, row.Seeds = singly.Tokens[from:to], singly.Labels[from:to], singly.Segments[from:to], singly.Valid[i:i+1], singly.Seeds[i:i+1]
			if singly.Weights != nil {
				row.Weights = singly.Weights[from:to]
			}
			if err := r.Apply(&row); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = equalRows(all, singly)
	}
	return "each row alone becomes what it becomes among others", err
}

// seeds: whether others give others is told.
func (c *rowsChecker) seeds() (string, error) {
	one, two := c.weighted(trialRows(40, 64, 257, 10)), c.weighted(trialRows(40, 64, 257, 10))
	for i := range two.Seeds {
		two.Seeds[i] += 1 << 40
	}
	if err := errors.Join(c.run(one), c.run(two)); err != nil {
		return "", err
	}
	if equalRows(one, two) == nil {
		return "they change nothing", nil
	}
	return "other seeds give other rows", nil
}

// time: of a batch, the least of several.
func (c *rowsChecker) time() (string, error) {
	least := time.Duration(math.MaxInt64)
	rows := c.weighted(trialRows(64, 256, 257, 11))
	err := c.open(256, func(r *RowTransform) error {
		for range 5 {
			start := time.Now()
			if err := r.Apply(rows); err != nil {
				return err
			}
			least = min(least, time.Since(start))
		}
		return nil
	})
	return fmt.Sprintf("%.1f ns a token on one thread, copies and bounds included", float64(least.Nanoseconds())/float64(len(rows.Tokens))), err
}
