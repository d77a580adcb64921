package main

import (
	"math"
	"slices"
)

// side measures one side once or several times in a row.
type side func() ([]float64, error)

// interleave measures the sides by turns until each has been measured at least n times. Every other turn goes backwards, so
// that a machine that gets slower or faster favours no side.
func interleave(n int, sides ...side) ([][]float64, error) {
	samples := make([][]float64, len(sides))
	for turn := 0; fewest(samples) < n; turn++ {
		for i := range sides {
			if turn%2 == 1 {
				i = len(sides) - 1 - i
			}
			values, err := sides[i]()
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], values...)
		}
	}
	return samples, nil
}

func fewest(samples [][]float64) int {
	least := math.MaxInt
	for _, s := range samples {
		least = min(least, len(s))
	}
	return least
}

// median is the middle of the values, the mean of the two middle ones of an even number; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// geometricMean is that of positive values; 0 of none.
func geometricMean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}

// over divides a number by each of the values: seconds become rates.
func over(number float64, values []float64) []float64 {
	list := make([]float64, len(values))
	for i, v := range values {
		list[i] = number / v
	}
	return list
}
