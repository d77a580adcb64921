package gsc

import (
	"strconv"
	"strings"
)

// Params are what the strategy gives a plugin: a JSON object, which holds to the schema in the manifest, and in which the schema's defaults are filled in.
type Params string

// Number is a member that the schema says is a number. It is 0 where there is none by that name.
func (p Params) Number(name string) float64 {
	_, rest, ok := strings.Cut(string(p), strconv.Quote(name))
	if !ok {
		return 0
	}
	rest = strings.TrimLeft(rest, " :")
	if end := strings.IndexAny(rest, " ,}"); end >= 0 {
		rest = rest[:end]
	}
	value, _ := strconv.ParseFloat(rest, 64)
	return value
}
