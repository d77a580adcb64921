package plan

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// FormatBytes writes a size with a binary unit and three digits.
func FormatBytes(n int64) string {
	if -1024 < n && n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	return scaled(float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
}

// FormatCount writes a number with a decimal unit and three digits: 124 M.
func FormatCount(v float64) string {
	if math.Abs(v) < 999.5 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return scaled(v, 1000, []string{"", "k", "M", "G", "T", "P", "E"})
}

// scaled divides by the step until fewer than four digits stand before the point, and writes three digits.
func scaled(v, step float64, units []string) string {
	i := 0
	for math.Abs(v) >= 999.5 && i < len(units)-1 {
		v /= step
		i++
	}
	decimals := 0
	switch {
	case math.Abs(v) < 9.995:
		decimals = 2
	case math.Abs(v) < 99.95:
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64) + " " + units[i]
}

// FormatSeconds writes a stretch of time with two or three digits: 210 ms, 1.52 s, 4 min 10 s, 2 h 5 min, 3 d 4 h.
func FormatSeconds(s float64) string {
	if s < 0 {
		return "-" + FormatSeconds(-s)
	}
	if s < 60 {
		return scaledDown(s)
	}
	if s > math.MaxInt64/float64(time.Second) {
		return FormatCount(s/(365*24*3600)) + " years"
	}
	d := time.Duration(s * float64(time.Second))
	day := 24 * time.Hour
	switch {
	case d < time.Hour:
		return pair(d, time.Minute, "min", time.Second, "s")
	case d < day:
		return pair(d, time.Hour, "h", time.Minute, "min")
	}
	return pair(d, day, "d", time.Hour, "h")
}

func scaledDown(s float64) string {
	for _, unit := range []struct {
		seconds float64
		name    string
	}{{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}} {
		if s >= unit.seconds {
			return strconv.FormatFloat(s/unit.seconds, 'g', 3, 64) + " " + unit.name
		}
	}
	return strconv.FormatFloat(s*1e9, 'f', 0, 64) + " ns"
}

func pair(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	rest := d % large / small
	if rest == 0 {
		return fmt.Sprintf("%d %s", d/large, largeName)
	}
	return fmt.Sprintf("%d %s %d %s", d/large, largeName, rest, smallName)
}
