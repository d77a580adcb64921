package schema

import (
	"slices"
	"testing"
)

// Divisors are found without counting to the number.
func TestDivisors(t *testing.T) {
	for n := int64(1); n <= 200; n++ {
		var want []int64
		for i := int64(1); i <= n; i++ {
			if n%i == 0 {
				want = append(want, i)
			}
		}
		if got := divisors(n); !slices.Equal(got, want) {
			t.Errorf("of %d: %v, not %v", n, got, want)
		}
	}
	if got := len(divisors(1_000_000_000_000)); got != 169 { // 2¹²·5¹²
		t.Errorf("10¹² has %d divisors", got)
	}
	if got, want := useDivisors(7, 12), "use one of 1, 2, 3, 4, 6, 12"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
