package ref

import "math"

func adafactorMoments(c *call) {
	gradient, b := c.gradient(), math.Pow(float64(c.counter("step")), -0.8)
	row, column, variance := c.floats("row"), c.floats("column"), c.floats("variance")
	rows, columns := c.sizes["R"], c.sizes["C"]
	for i := range row.data {
		row.data[i] = (1-b)*row.data[i] + b*meanOf(columns, func(j int) float64 { return square(gradient(i*columns + j)) })
	}
	for j := range column.data {
		column.data[j] = (1-b)*column.data[j] + b*meanOf(rows, func(i int) float64 { return square(gradient(i*columns + j)) })
	}
	for i := range variance.data {
		variance.data[i] = (1-b)*variance.data[i] + b*square(gradient(i))
	}
}

func meanOf(n int, f func(i int) float64) float64 {
	total := 0.0
	for i := range n {
		total += f(i)
	}
	return total / float64(n)
}

// secondMoment gives V of element i.
func (c *call) secondMoment() func(i int) float64 {
	row, column, variance := c.floats("row").data, c.floats("column").data, c.floats("variance").data
	if variance != nil {
		return func(i int) float64 { return variance[i] }
	}
	columns := c.sizes["C"]
	mean := max(sum(row)/float64(len(row)), c.Epsilon)
	return func(i int) float64 { return row[i/columns] * column[i%columns] / mean }
}

// direction gives u of element i.
func (c *call) direction() func(i int) float64 {
	gradient, moment := c.gradient(), c.secondMoment()
	return func(i int) float64 { return gradient(i) / math.Sqrt(max(moment(i), c.Epsilon*c.Epsilon)) }
}

func adafactorNorms(c *call) {
	w, u, norms := c.floats("weight").data, c.direction(), c.floats("norms").data
	norms[0] = sumPieces(len(w), func(i int) float64 { return square(w[i]) })
	norms[1] = sumPieces(len(w), func(i int) float64 { return square(u(i)) })
}

func adafactorApply(c *call) {
	w, u, norms, eta := c.floats("weight").data, c.direction(), c.floats("norms").data, c.eta()
	n, t := float64(len(w)), float64(c.counter("step"))
	rmsW, rmsU := math.Sqrt(norms[0]/n), math.Sqrt(norms[1]/n)
	size := min(eta, c.RateScale/math.Sqrt(t)) * max(c.Epsilon2, rmsW) / max(1, rmsU/c.MaxRMS)
	for i := range w {
		w[i] -= eta * c.Decay * w[i]
		w[i] -= u(i) * size
	}
}
