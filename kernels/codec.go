package kernels

import (
	"errors"
	"fmt"
	"math"
)

// The kinds of codes that gradients are sent in, see [Encode].
const (
	TopK   = "top_k"
	OneBit = "one_bit"
)

// CodeBlock is how many numbers of a one-bit code have a scale in common.
const CodeBlock = 512

// SpreadLimit is how many times the root of its mean of squares a gradient may be before that grows with it, where it else stays: see [Adam].
const SpreadLimit = 16

// PluginCodeRun is how many numbers a plugin codes at a time: they, their code and what is decoded stay in a second-level cache, and threads have runs to share.
const PluginCodeRun = 1 << 16

// codeWord is the number of bits in a word of a code.
const codeWord = 32

// Kept is how many of n numbers a top-k code holds: their share, rounded up.
func Kept(share float64, n int) int { return min(n, max(1, int(math.Ceil(share*float64(n))))) }

// CodeWords is the length of the code of n numbers, in words of 32 bits.
func CodeWords(a Attrs, n int) int {
	if a.Kind == TopK {
		return 2 * Kept(a.Share, n)
	}
	return (n+CodeBlock-1)/CodeBlock + (n+codeWord-1)/codeWord
}

// PluginCodeWords is the length of the code that a plugin makes of n numbers, of which it makes so many bytes at most: that of each run, with a word before it.
func PluginCodeWords(n int, bytes func(n int) (int, error)) (words int, err error) {
	for at := 0; at < n; at += PluginCodeRun {
		most, err := bytes(min(PluginCodeRun, n-at))
		if err != nil {
			return 0, err
		}
		words += 1 + (most+3)/4
	}
	return words, nil
}

// VarianceStep is by how many of the steps until t the mean of squares was made: with variance_steps no more than these.
func (a Attrs) VarianceStep(t int64) int64 {
	if a.VarianceSteps > 0 {
		return min(t, int64(a.VarianceSteps))
	}
	return t
}

// checkCodec holds a kind of code against its share.
func checkCodec(a Attrs) error {
	switch {
	case a.Kind == TopK && a.Share > 0 && a.Share <= 1, a.Kind == OneBit && a.Share == 0:
		return nil
	case a.Kind == TopK || a.Kind == OneBit:
		return fmt.Errorf("a share of %v does not go with code %q", a.Share, a.Kind)
	}
	return fmt.Errorf("unknown code %q: use %s or %s", a.Kind, TopK, OneBit)
}

// checkEncode: the code is as long as that of so many numbers is.
func checkEncode(s Sizes, a Attrs) error {
	if err := checkCodec(a); err != nil {
		return err
	}
	if err := checkCount(a, s["..."]); err != nil {
		return err
	}
	return checkWords(s, CodeWords(a, s["..."]))
}

// checkCount refuses more numbers than the words of a code can tell apart.
func checkCount(a Attrs, n int) error {
	if a.Kind == TopK && n > math.MaxInt32 {
		return fmt.Errorf("%d numbers: the indices of code %q reach to %d", n, a.Kind, math.MaxInt32)
	}
	return nil
}

// checkDecode: likewise, of the numbers that y is a part of.
func checkDecode(s Sizes, a Attrs) error {
	if err := checkCodec(a); err != nil {
		return err
	}
	if err := checkPart(s, a); err != nil {
		return err
	}
	if err := checkCount(a, coded(s, a)); err != nil {
		return err
	}
	return checkWords(s, CodeWords(a, coded(s, a)))
}

// coded is how many numbers each code of [Decode] is of.
func coded(s Sizes, a Attrs) int {
	if a.Of > 0 {
		return a.Of
	}
	return s["M"]
}

func decodeFlops(s Sizes, _ Attrs) float64 { return 2 * float64(s["R"]) * float64(s["M"]) }

func checkPart(s Sizes, a Attrs) error {
	if a.Of < 0 || a.Of%max(1, s["M"]) != 0 {
		return fmt.Errorf("%d numbers are no part of %d", s["M"], a.Of)
	}
	return nil
}

func checkWords(s Sizes, want int) error {
	if s["N"] != want {
		return fmt.Errorf("a code of %d words, where it has %d", s["N"], want)
	}
	return nil
}

// checkPluginDecode: how long a code is the plugin alone knows.
func checkPluginDecode(s Sizes, a Attrs) error {
	return errors.Join(checkPlugin(s, a), checkPart(s, a))
}

// needsPart: a part of several has a place among them.
func needsPart(has func(string) bool, a Attrs) error {
	if has("place") != (a.Of > 0) {
		return errors.New("place goes with of")
	}
	return nil
}
