package kerneltest

import (
	"math"
	"slices"

	"github.com/gsc-project/gsc/kernels"
)

// recipe is what an operation's contract table does not say about making
// calls of it and judging their results.
type recipe struct {
	tolerance float64
	sizes     func(g *generator, z kernels.Sizes)     // how lengths go together
	attrs     func(g *generator, a *kernels.Attrs)    // how attributes go together
	presence  func(g *generator, has map[string]bool) // how optional operands go together
	values    func(g *generator, s *sample)           // how values go together
	derive    func(s *sample) error                   // operands that an earlier operation computes
	terms     func(s *sample, output string) float64  // norm of the terms whose sum an output is; see difference
	compute   map[string]float64                      // tolerance by compute type, where it is not that of the others
}

// toleranceOf is the tolerance of a call.
func (r recipe) toleranceOf(a kernels.Attrs) float64 {
	if t, ok := r.compute[a.Compute]; ok {
		return t
	}
	return r.tolerance
}

// The tolerances. A device computes in float32 at least, whose unit roundoff u is
// 6·10⁻⁸; the inputs are exact in float32.
const (
	exact     = 0
	rounded   = 6e-8  // u: the exact result, rounded once
	double    = 1e-12 // sums in float64 over float32 values: 10⁴ roundings of 10⁻¹⁶
	products  = 4e-7  // a few roundings: products and a sum or two
	functions = 1e-6  // exponentials and the like, good to some units in the last place, and their products
	sums      = 2e-6  // sums of up to 513 terms: a random walk of √513·u, with room
	nested    = 1e-5  // sums of functions of sums: softmax over scores, and its gradient
	iterated  = 5e-5  // Newton-Schulz: each of six steps multiplies the part of an error along small singular values by 3.4
)

// roundedWeights: what attention rounds depends on how it got there, so that an element may fall to another side than in ref,
// each by a unit in the last of the type's 8 or 11 bits at most.
var roundedWeights = map[string]float64{"bf16": 1.0 / (1 << 7), "f16": 1.0 / (1 << 10)}

// roundedIterates: likewise, and each step multiplies the difference by up to 3.4.
var roundedIterates = map[string]float64{"bf16": 1.0 / (1 << 4), "f16": 1.0 / (1 << 7)}

// recipes has an entry for each operation.
var recipes = map[kernels.Op]recipe{
	kernels.Zero:          {tolerance: exact},
	kernels.Copy:          {tolerance: exact},
	kernels.Iota:          {tolerance: exact, values: anyOffset},
	kernels.Shift:         {tolerance: exact, attrs: func(g *generator, a *kernels.Attrs) { a.Index = g.IntN(1000) }},
	kernels.Embedding:     {tolerance: exact},
	kernels.EmbeddingGrad: {tolerance: sums, terms: termsOf("dy")},
	kernels.Select:        {tolerance: exact},
	kernels.SelectGrad:    {tolerance: exact},
	kernels.CacheWrite:    {tolerance: exact, values: cachePlace},

	kernels.Widen: {tolerance: exact},
	kernels.Round: {tolerance: exact, presence: roundingWords},

	kernels.Add:          {tolerance: rounded},
	kernels.AddBias:      {tolerance: rounded},
	kernels.Scale:        {tolerance: rounded},
	kernels.Activate:     {tolerance: functions, attrs: activationCap, values: smoothPoints, terms: termsOf("x")},
	kernels.ActivateGrad: {tolerance: functions, attrs: activationCap, values: smoothPoints, terms: termsOf("dy")},
	kernels.Gate:         {tolerance: functions, attrs: activationCap, values: smoothPoints, terms: productTerms("gate", "up")},
	kernels.GateGrad:     {tolerance: functions, attrs: activationCap, values: smoothPoints, terms: gateGradTerms},
	kernels.Dropout:      {tolerance: products, attrs: partsOfDim, presence: placeOfPart},

	kernels.MatMul:  {tolerance: sums, attrs: epilogueAttrs, presence: epilogueOperands, values: smoothPoints, terms: matMulTerms},
	kernels.SumRows: {tolerance: sums, terms: termsOf("x")},

	kernels.LayerNorm:     {tolerance: sums, values: offCentre, terms: normTerms},
	kernels.LayerNormGrad: {tolerance: sums, values: offCentre, derive: layerNormRows, terms: normGradTerms},
	kernels.RMSNorm:       {tolerance: sums, terms: normTerms},
	kernels.RMSNormGrad:   {tolerance: sums, derive: rmsNormRows, terms: normGradTerms},

	kernels.RotaryTable: {tolerance: rounded, sizes: evenWidth, attrs: ropeFactors},
	kernels.Rotary:      {tolerance: products, sizes: rotatedPart, terms: termsOf("x")},
	kernels.Attention: {tolerance: nested, sizes: groupedHeads, presence: maskOperands, values: attentionValues,
		terms: attentionTerms, compute: roundedWeights},
	kernels.AttentionGrad: {tolerance: nested, sizes: groupedHeads, presence: maskOperands, values: maskValues,
		derive: attentionRows, terms: attentionGradTerms, compute: roundedWeights},

	kernels.CrossEntropy:           {tolerance: functions, presence: lossGradient, terms: crossEntropyTerms},
	kernels.CrossEntropyGrad:       {tolerance: functions, attrs: wholeClasses, presence: placeOfPart, derive: crossEntropyRows, terms: shareTerms},
	kernels.CrossEntropyPart:       {tolerance: functions, attrs: wholeClasses, presence: placeOfPart, terms: termsOf("logits")},
	kernels.CrossEntropyJoin:       {tolerance: functions, terms: termsOf("stats")},
	kernels.BinaryCrossEntropy:     {tolerance: functions, terms: lossTerms},
	kernels.BinaryCrossEntropyGrad: {tolerance: functions, terms: shareTerms},
	kernels.SquaredError:           {tolerance: functions},
	kernels.SquaredErrorGrad:       {tolerance: products},
	kernels.LossSum:                {tolerance: double, terms: termsOf("loss")},
	kernels.ArgMax:                 {tolerance: exact, values: tiesAndNaNs},

	kernels.SumSquares:       {tolerance: double},
	kernels.ClipFactor:       {tolerance: double, values: anyTotal},
	kernels.LossScale:        {tolerance: exact},
	kernels.SGD:              {tolerance: products, terms: stateTerms},
	kernels.Adam:             {tolerance: functions, values: untouched, terms: stateTerms},
	kernels.AdamW:            {tolerance: functions, values: untouched, terms: stateTerms},
	kernels.Lion:             {tolerance: products, values: clearSigns, terms: stateTerms},
	kernels.LAMBMoments:      {tolerance: functions, values: untouched, terms: stateTerms},
	kernels.LAMBApply:        {tolerance: functions, values: untouched, terms: stateTerms},
	kernels.AdafactorMoments: {tolerance: sums, presence: factored, values: untouched},
	kernels.AdafactorNorms:   {tolerance: sums, presence: factored, values: untouched},
	kernels.AdafactorApply:   {tolerance: sums, presence: factored, values: untouched, terms: stateTerms},
	kernels.MuonMomentum:     {tolerance: products, terms: stateTerms},
	kernels.NewtonSchulz:     {tolerance: iterated, compute: roundedIterates},
	kernels.MuonApply:        {tolerance: products, terms: stateTerms},

	kernels.QuantizeRows: {tolerance: rounded, values: rowsOfAnySize("x")},
	kernels.MatMulInt8: {tolerance: sums, attrs: epilogueAttrs, presence: epilogueOperands, values: int8Values,
		terms: matMulTerms},
	kernels.EmbeddingInt8: {tolerance: rounded},

	kernels.PruneMask:    {tolerance: exact, sizes: wideOutputs, attrs: prunedGroups, values: equalSizes},
	kernels.ApplyMask:    {tolerance: exact},
	kernels.FakeQuantize: {tolerance: products, sizes: wideOutputs, attrs: quantisedGroups, values: rowsOfAnySize("x")},
	kernels.Encode:       {tolerance: products, sizes: longVector, attrs: encodeAttrs, values: equalNumbers, terms: termsOf("x", "residual")},
	kernels.Decode:       {tolerance: sums, attrs: decodeAttrs, presence: placeOfSum, values: codesOfRanks},
}

func evenWidth(_ *generator, z kernels.Sizes) { z["R"] += z["R"] % 2 }

func rotatedPart(g *generator, z kernels.Sizes) {
	z["D"] += z["D"] % 2
	z["R"] = pick(g, z["D"], 2*(1+g.IntN(z["D"]/2)))
	z["D"] += pick(g, 0, z["D"]-z["R"], 1)
	z["E"] = pick(g, 1, z["B"])
}

func groupedHeads(g *generator, z kernels.Sizes) { z["H"] = z["G"] * pick(g, 1, 2, 3) }

func activationCap(g *generator, a *kernels.Attrs) {
	a.Cap = 0
	if a.Kind == "soft_cap" {
		a.Cap = g.between(0.5, 30)
	}
}

// epilogueAttrs leaves some products bare: those that accumulate, and those whose derivatives are taken, since a
// compiler differentiates before it fuses.
func epilogueAttrs(g *generator, a *kernels.Attrs) {
	if a.Accumulate || g.extent == small || g.oneIn(4) {
		a.Alpha, a.Kind, a.Derivative = 0, "", false
	}
	if g.coin() {
		a.Alpha = 0
	}
	if g.oneIn(4) {
		a.Kind, a.Derivative = "", false
	}
	activationCap(g, a)
}

func epilogueOperands(g *generator, has map[string]bool) {
	a := g.sample.attrs
	active := a.Kind != ""
	has["x"], has["pre"] = active && (has["x"] || a.Derivative), active && has["pre"]
	has["residual"] = has["residual"] && !a.Accumulate && g.extent == full
}

// lossGradient: a loss gives its gradient with all that this takes, or without; always where finite differences judge it.
func lossGradient(g *generator, has map[string]bool) {
	has["dlogits"] = has["dlogits"] || g.extent == small
	has["weight"], has["row_weights"] = has["dlogits"], has["dlogits"] && has["row_weights"]
}

func ropeFactors(_ *generator, a *kernels.Attrs) {
	switch a.RopeScaling {
	case "":
		a.RopeFactor, a.RopeLow, a.RopeHigh, a.RopeOriginal = 0, 0, 0, 0
	case "linear":
		a.RopeLow, a.RopeHigh, a.RopeOriginal = 0, 0, 0
	}
}

func maskOperands(g *generator, has map[string]bool) {
	has["q_segments"] = has["q_segments"] && has["k_segments"]
	if g.sample.attrs.Rate > 0 {
		has["seed"], has["step"], has["origin"] = true, true, true
	}
	has["before_lse"] = has["before"] // of attention alone
	placeOfPart(g, has)
}

// wholeClasses: lse is that of all classes, which the suite knows where there is one part.
func wholeClasses(g *generator, a *kernels.Attrs) {
	a.Classes = pick(g, 0, 2*g.sizes["V"], g.sizes["V"]+g.IntN(3*g.sizes["V"]))
	if g.extent == small {
		a.Classes = 0
	}
}

// partsOfDim: a part of a tensor is one along a dim that is not the first.
func partsOfDim(g *generator, a *kernels.Attrs) {
	if n := len(g.sample.leading); a.Of > 0 && n > 1 {
		a.Dim = 1 + g.IntN(n-1)
	} else {
		a.Dim, a.Of = 0, 0
	}
}

func placeOfPart(g *generator, has map[string]bool) {
	has["place"] = has["place"] && max(g.sample.attrs.Of, g.sample.attrs.Classes) > 0
}

func roundingWords(g *generator, has map[string]bool) {
	if g.sample.attrs.Rounding != "" {
		has["seed"], has["step"] = true, true
	}
}

func factored(g *generator, has map[string]bool) {
	has["row"] = g.coin()
	has["column"], has["variance"] = has["row"], !has["row"]
}

func anyOffset(g *generator, s *sample) {
	if o := s.operand("offset"); o != nil {
		o.ints[0] = int64(g.IntN(100000))
	}
}

func cachePlace(g *generator, s *sample) {
	s.operand("offset").ints[0] = int64(g.IntN(g.sizes["S"] + 2))
}

// smoothPoints spreads some inputs of activations far from 0 and keeps relu's from its corner.
func smoothPoints(g *generator, s *sample) {
	stretch := pick(g, 1.0, 1, 4, 20)
	if g.extent == small {
		stretch = 1
	}
	for _, name := range []string{"x", "gate"} {
		x := s.floats(name)
		for i := range x {
			x[i] = x[i]*stretch + math.Copysign(1e-2, x[i])
		}
	}
}

// offCentre moves the rows of a norm away from 0, where a variance that is a difference of two sums would show.
func offCentre(g *generator, s *sample) {
	shift := pick(g, 0, 0, g.between(-10, 10))
	for i := range s.floats("x") {
		s.floats("x")[i] += shift
	}
}

// normEpsilon is the epsilon of the norms whose gradients are tested.
const normEpsilon = 1e-3

func layerNormRows(s *sample) error {
	return s.derive(kernels.LayerNorm, kernels.Attrs{Epsilon: normEpsilon})
}

func rmsNormRows(s *sample) error {
	return s.derive(kernels.RMSNorm, kernels.Attrs{Epsilon: normEpsilon, Offset: s.attrs.Offset})
}

func attentionRows(s *sample) error { return s.derive(kernels.Attention, s.attrs) }

func crossEntropyRows(s *sample) error {
	a := s.attrs
	a.Classes = 0
	return s.derive(kernels.CrossEntropy, a)
}

// maskValues makes v normal and segments ascending: packed documents, or one document and padding.
func maskValues(g *generator, s *sample) {
	v := s.floats("v")
	for i := range v {
		v[i] = g.normal()
	}
	q, k := s.operand("q_segments"), s.operand("k_segments")
	if q == nil {
		return
	}
	t, n := g.sizes["T"], g.sizes["S"]
	for b := range g.sizes["B"] {
		g.ascend(k.ints[b*n:][:n])
		g.ascend(q.ints[b*t:][:t])
		if t <= n && g.coin() {
			copy(q.ints[b*t:][:t], k.ints[b*n:][n-t:n])
		}
	}
}

// attentionValues lets some queries have seen no key before.
func attentionValues(g *generator, s *sample) {
	maskValues(g, s)
	before, width := s.floats("before"), s.width("q")
	lse := s.operand("before_lse")
	if lse == nil {
		return
	}
	heads, queries := g.sizes["H"], g.sizes["T"]
	for i := range lse.floats {
		if g.oneIn(5) {
			b, h, t := i/queries/heads, i/queries%heads, i%queries
			lse.floats[i] = math.Inf(-1)
			clear(before[((b*queries+t)*heads+h)*width:][:width])
		}
	}
}

// ascend fills x with runs of the numbers from 1, or from 0, padding.
func (g *generator) ascend(x []int64) {
	segment := int64(g.IntN(2))
	for i := range x {
		if g.oneIn(6) {
			segment++
		}
		x[i] = segment
	}
}

func tiesAndNaNs(g *generator, s *sample) {
	x := s.floats("x")
	for i := range x {
		switch g.IntN(12) {
		case 0:
			x[i] = math.NaN()
		case 1:
			x[i] = math.Inf(-1)
		case 2, 3:
			x[i] = 2
		}
	}
	if g.oneIn(3) {
		width := s.width("x")
		for i := range width {
			x[i] = pick(g, math.NaN(), math.NaN(), math.Inf(-1))
		}
		if g.coin() {
			copy(x, slices.Repeat([]float64{math.NaN()}, width))
		}
	}
}

// rowsOfAnySize stretches the rows of what is quantised, and makes some elements 0 or the largest by far, and some first rows all 0.
func rowsOfAnySize(name string) func(g *generator, s *sample) {
	return func(g *generator, s *sample) {
		x := s.floats(name)
		stretch := pick(g, 1, 1e-6, 1e6)
		for i := range x {
			x[i] *= stretch * pick(g, 1.0, 1, 1, 1, 1, 1, 0, 30)
		}
		if g.oneIn(3) {
			clear(x[:s.width(name)])
		}
	}
}

func int8Values(g *generator, s *sample) {
	rowsOfAnySize("a")(g, s)
	smoothPoints(g, s)
}

func anyTotal(g *generator, s *sample) {
	s.floats("total")[0] = pick(g, 0, g.between(0, 10), 1e9*g.Float64(), math.Inf(1), math.NaN())
}

// untouched gives some tensors first elements that never had a gradient, as rows of an embedding have: 0 over 0 without epsilon.
func untouched(g *generator, s *sample) {
	if !g.oneIn(3) {
		return
	}
	n := 1 + g.IntN(5)
	if s.operand("row") != nil || s.operand("variance") != nil {
		n = s.width("grad") // V is 0 where its row is
	}
	for _, name := range []string{"grad", "m", "v", "variance"} {
		x := s.floats(name)
		clear(x[:min(n, len(x))])
	}
	if row := s.floats("row"); row != nil {
		row[0] = 0
	}
}

// clearSigns keeps what Lion takes the sign of away from 0, or makes it exactly 0: in between, rounding decides.
func clearSigns(g *generator, s *sample) {
	m, grad, factor := s.floats("m"), s.floats("grad"), s.scalar("factor")
	for i := range m {
		mixed := s.attrs.Beta1*m[i] + (1-s.attrs.Beta1)*factor*grad[i]
		if math.Abs(mixed) < 1e-4 || g.oneIn(20) {
			m[i], grad[i] = 0, 0
		}
	}
}

// wideOutputs lets outputs lie side by side, as they do in weights that are stored [in, out], and groups divide.
func wideOutputs(g *generator, z kernels.Sizes) {
	z["B"] = pick(g, 1, 1, 2, 63, 64, 65, 130)
	z["K"] *= max(1, z["G"])
}

func prunedGroups(g *generator, a *kernels.Attrs) {
	a.Group = 0
	if k := g.sizes["K"]; a.Pattern == "groups" {
		a.Group = pick(g, 1, k)
		for _, n := range []int{2, 4, 8} {
			if k%n == 0 && g.coin() {
				a.Group = n
			}
		}
	}
}

// quantisedGroups: one group is all of K, in either form.
func quantisedGroups(g *generator, a *kernels.Attrs) {
	if g.sizes["G"] == 1 && g.coin() {
		a.Group = 0
	}
}

// equalSizes gives many elements the same size, so that ties are told apart by their places alone.
func equalSizes(g *generator, s *sample) {
	if g.coin() {
		x := s.floats("x")
		for i := range x {
			x[i] = float64(pick(g, -2, -1, -1, 0, 1, 1, 1, 3))
		}
	}
}

// longVector: a code is that of a whole tensor, which may be long.
func longVector(g *generator, z kernels.Sizes) {
	if g.extent == full {
		g.sample.leading = g.drawLeading(true)
		z["..."] = kernels.Elements(g.sample.leading)
	}
}

// encodeAttrs: the length of a code follows from that of what it is of.
func encodeAttrs(g *generator, a *kernels.Attrs) {
	if a.Kind = pick(g, kernels.TopK, kernels.OneBit); a.Kind == kernels.OneBit {
		a.Share = 0
	}
	g.sizes["N"] = kernels.CodeWords(*a, g.sizes["..."])
}

// placeOfSum: a part of a sum has a place, and a whole one has none.
func placeOfSum(g *generator, has map[string]bool) { has["place"] = g.sample.attrs.Of > 0 }

// decodeAttrs: likewise, of a tensor that y may be a part of.
func decodeAttrs(g *generator, a *kernels.Attrs) {
	encodeAttrs(g, a)
	if g.sizes["R"] = 1 + g.IntN(4); g.oneIn(4) && g.extent == full {
		g.sizes["M"] = pick(g, 513, 3000, manyElements)
	}
	n := g.sizes["M"]
	if a.Of > 0 {
		n *= 1 + g.IntN(3)
		a.Of = n
	}
	g.sizes["N"] = kernels.CodeWords(*a, n)
}

// equalNumbers lets some of what is to be sent be equal, in which case the first is.
func equalNumbers(g *generator, s *sample) {
	if g.coin() {
		return
	}
	x, residual := s.floats("x"), s.floats("residual")
	for i := range x {
		x[i], residual[i] = math.Round(2*x[i])/2, 0
	}
}

// codesOfRanks makes codes as encode does, but for some indices that lead out of the tensor.
func codesOfRanks(g *generator, s *sample) {
	codes, n := s.operand("codes"), g.sizes["M"]
	if s.attrs.Of > 0 {
		n = s.attrs.Of
		s.operand("place").ints[0] = int64(g.IntN(n / g.sizes["M"]))
	}
	for code := range slices.Chunk(codes.ints, g.sizes["N"]) {
		if s.attrs.Kind == kernels.OneBit {
			g.signs(code)
		} else {
			g.kept(code, n)
		}
	}
}

// bits are those of a number, as a word.
func bits(v float64) int64 { return int64(int32(math.Float32bits(float32(v)))) }

// signs is a one-bit code.
func (g *generator) signs(code []int64) {
	for i := range code {
		code[i] = int64(int32(g.Uint32()))
		if i%(1+kernels.CodeBlock/32) == 0 {
			code[i] = bits(g.positive())
		}
	}
}

// kept is a top-k code of n numbers.
func (g *generator) kept(code []int64, n int) {
	k := len(code) / 2
	order := g.Perm(n)[:k]
	slices.Sort(order)
	for p, i := range order {
		code[p], code[k+p] = int64(i), bits(g.normal())
	}
	if g.oneIn(4) {
		code[k-1] = pick(g, int64(n), math.MaxInt32)
	}
	if g.oneIn(4) {
		code[0] = pick(g, int64(-1), math.MinInt32)
	}
}
