package ref

import (
	"cmp"
	"math"
)

// scored says whether a row with this label counts.
func (c *call) scored(label int32) bool {
	return int(label) != c.IgnoreIndex && label >= 0 && int(label) < c.classes()
}

// classes is how many there are in all parts.
func (c *call) classes() int { return cmp.Or(c.Classes, c.sizes["V"]) }

// first is the number of the first class of the part.
func (c *call) first() int {
	if c.contract.Param("place") < 0 {
		return 0
	}
	return int(c.counter("place")) * c.sizes["V"]
}

// own is how many of a row's elements are classes of the part.
func (c *call) own() int { return max(0, min(c.sizes["V"], c.classes()-c.first())) }

func crossEntropyPart(c *call) {
	logits, labels, stats := c.floats("logits"), c.indices("labels"), c.floats("stats")
	for i := range c.sizes["..."] {
		z := logits.row(i)[:c.own()]
		own := c.Smoothing * sum(z) / float64(c.classes())
		if y := int(*labels.flat(i)) - c.first(); y >= 0 && y < len(z) {
			own += (1 - c.Smoothing) * z[y]
		}
		*stats.flat(2 * i), *stats.flat(2*i + 1) = logSumExp(z), own
	}
}

func crossEntropyJoin(c *call) {
	stats, labels, loss, lse := c.floats("stats"), c.indices("labels"), c.floats("loss"), c.floats("lse")
	parts := c.sizes["R"]
	logs := make([]float64, parts)
	for i := range c.sizes["..."] {
		own := 0.0
		for r := range parts {
			logs[r] = *stats.flat((i*parts + r) * 2)
			own += *stats.flat((i*parts+r)*2 + 1)
		}
		*lse.flat(i), *loss.flat(i) = logSumExp(logs), 0
		if c.scored(*labels.flat(i)) {
			*loss.flat(i) = *lse.flat(i) - own
		}
	}
}

func crossEntropy(c *call) {
	logits, labels := c.floats("logits"), c.indices("labels")
	loss, lse, dlogits := c.floats("loss"), c.floats("lse"), c.floats("dlogits")
	for i := range c.sizes["..."] {
		z, y := logits.row(i), *labels.flat(i)
		total := logSumExp(z)
		*lse.flat(i), *loss.flat(i) = total, 0
		if c.scored(y) {
			*loss.flat(i) = total - (1-c.Smoothing)*z[y] - c.Smoothing*sum(z)/float64(len(z))
		}
		if !dlogits.absent() {
			c.crossEntropySlope(i, z, dlogits.row(i), y, total)
		}
	}
}

func crossEntropyGrad(c *call) {
	logits, labels, lse, dlogits := c.floats("logits"), c.indices("labels"), c.floats("lse"), c.floats("dlogits")
	for i := range c.sizes["..."] {
		c.crossEntropySlope(i, logits.row(i), dlogits.row(i), *labels.flat(i), *lse.flat(i))
	}
}

// crossEntropySlope sets dz for row i, whose logits are z and whose label is y.
func (c *call) crossEntropySlope(i int, z, dz []float64, y int32, lse float64) {
	if !c.scored(y) {
		clear(dz)
		return
	}
	w := c.rowShare(i)
	clear(dz[c.own():])
	for v := range z[:c.own()] {
		target := c.Smoothing / float64(c.classes())
		if v == int(y)-c.first() {
			target += 1 - c.Smoothing
		}
		dz[v] = w * (math.Exp(z[v]-lse) - target)
	}
}

// rowShare is scale·w/weight of row i.
func (c *call) rowShare(i int) float64 {
	return c.floats("scale").or(0, 1) * c.floats("row_weights").or(i, 1) / c.scalar("weight")
}

// meanOver sets loss to the mean over each row of f(z, t).
func (c *call) meanOver(f func(z, t float64) float64) {
	logits, targets, loss := c.floats("logits"), c.floats("targets"), c.floats("loss")
	for i := range c.sizes["..."] {
		z, t := logits.row(i), targets.row(i)
		total := 0.0
		for v := range z {
			total += f(z[v], t[v])
		}
		*loss.flat(i) = total / float64(len(z))
	}
}

// meanOverGrad sets dz = scale·w/weight·f′(z, t)/V.
func (c *call) meanOverGrad(slope func(z, t float64) float64) {
	logits, targets, dlogits := c.floats("logits"), c.floats("targets"), c.floats("dlogits")
	for i := range c.sizes["..."] {
		z, t, dz := logits.row(i), targets.row(i), dlogits.row(i)
		w := c.rowShare(i)
		for v := range z {
			dz[v] = w * slope(z[v], t[v]) / float64(len(z))
		}
	}
}

func binaryCrossEntropy(c *call) {
	c.meanOver(func(z, t float64) float64 { return max(z, 0) - z*t + math.Log1p(math.Exp(-math.Abs(z))) })
}

func binaryCrossEntropyGrad(c *call) {
	c.meanOverGrad(func(z, t float64) float64 { return sigmoid(z, 0) - t })
}

func squaredError(c *call) {
	c.meanOver(func(z, t float64) float64 { return (z - t) * (z - t) })
}

func squaredErrorGrad(c *call) {
	c.meanOverGrad(func(z, t float64) float64 { return 2 * (z - t) })
}

func lossSum(c *call) {
	loss, weights, total := c.floats("loss"), c.floats("row_weights"), c.sums("total")
	rows := 0.0
	for i := range loss.len() {
		rows += weights.or(i, 1) * *loss.flat(i)
	}
	total.data[0] += rows
}

func argMax(c *call) {
	x, y := c.floats("x"), c.indices("y")
	for i := range c.sizes["..."] {
		row, best := x.row(i), -1
		for v := range row {
			if !math.IsNaN(row[v]) && (best < 0 || row[v] > row[best]) {
				best = v
			}
		}
		*y.flat(i) = int32(max(best, 0))
	}
}
