package kernels

import "fmt"

// Op is an operation of a plan. The set is closed: a device either runs an
// operation as its contract says, or refuses it when it is bound.
type Op uint8

const (
	// NoOp is the zero Op; it is invalid in a plan.
	NoOp Op = iota

	// Movement.

	// Zero sets y = 0. Exact.
	Zero
	// Copy sets y = x; both may be strided. Exact.
	Copy
	// Iota sets y[b,t] = offset + t (offset 0 when absent). Exact.
	Iota
	// Shift sets y = x − place·index: the rows of a table's part numbered place, of index rows each. Exact.
	Shift
	// Embedding sets y[..., c] = table[ids[...], c]. Exact. An id outside [0, V) is an error that the data layer
	// excludes; a kernel must not read outside the table and gives zeros.
	Embedding
	// EmbeddingGrad sets dtable[v, c] = Σ dy[i, c] over the i with ids[i] = v, in ascending order of i.
	EmbeddingGrad
	// Select sets y[b, c] = x[b, index, c]. Exact.
	Select
	// SelectGrad sets dx[b, t, c] = dy[b, c] where t = index, else 0. Exact.
	SelectGrad
	// CacheWrite sets cache[b, offset+t, g, d] = x[b, t, g, d]. Exact; rows past the end of the cache are not written.
	CacheWrite

	// Types of storage. Weights may be stored in bf16; what reads or updates them works on a copy in the compute type.

	// Widen sets y = x. Exact.
	Widen
	// Round sets y to x rounded to y's type: to nearest even, or with rounding "stochastic" as DType.RoundStochastically says,
	// element i of the tensor by word i mod 4 of Philox(seed, i div 4, step, key).
	Round

	// Elementwise.

	// Add sets z = x + y. Correctly rounded.
	Add
	// AddBias sets y[..., n] = x[..., n] + bias[n]. Correctly rounded.
	AddBias
	// Scale sets y = alpha·x. Correctly rounded.
	Scale
	// Activate sets y = f(x), f by the attribute kind:
	//
	//	relu       max(x, 0)
	//	gelu       x·Φ(x) = x/2·(1 + erf(x/√2))
	//	gelu_tanh  x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
	//	silu       x/(1 + e⁻ˣ)
	//	sigmoid    1/(1 + e⁻ˣ)
	//	tanh       tanh x
	//	soft_cap   cap·tanh(x/cap)
	//
	// Source: Hendrycks and Gimpel, arXiv:1606.08415, section 2; soft cap: Gemma 2, arXiv:2408.00118, section 2.
	Activate
	// ActivateGrad sets dx = dy·f′(x).
	ActivateGrad
	// Gate sets y = f(gate)·up, f as for Activate. Source: Shazeer, arXiv:2002.05202, section 2.
	Gate
	// GateGrad sets dgate = dy·up·f′(gate), dup = dy·f(gate).
	GateGrad
	// Dropout sets y = x/(1−rate) where element i of the logical tensor is kept, else 0. Element i is word i mod 4 of
	// Philox(seed, i div 4, step, key); it is kept when that word is ≥ DropThreshold(rate). i counts from
	// origin·(elements of one entry of the first dim): origin is the place of the first sequence in the global batch. With of, the logical tensor is so
	// long along dim, which is not the first, and x is its part numbered place of parts of this length; what lies beyond its end is of no account.
	// The gradient is the same operation on dy.
	Dropout

	// Matrix products and sums.

	// MatMul sets c[m, n] = Σ_k a[m, k]·b[k, n] + bias[n]. With trans_a the operand a is stored [K, M], with trans_b
	// the operand b is stored [N, K]. Order within the sum over k is the device's own but depends on the shapes alone.
	//
	// The attribute compute names the type that operands of products are rounded to, to nearest even: with "bf16" or "f16",
	// c[m, n] = Σ_k round(a[m, k])·round(b[k, n]) + bias[n]. Products and sums keep the storage type (and at least f32), so that only
	// the rounding of the operands is lost. A device may take subnormal values of the type for 0. Attention, AttentionGrad and
	// NewtonSchulz take the attribute too. Sources: Micikevicius et al., arXiv:1710.03740, section 3.3; Kalamkar et al., arXiv:1905.12322, section 3.
	//
	// An epilogue may follow, in this order:
	//
	//	v = alpha·Σ_k a·b + bias      alpha 0 stands for 1
	//	pre = v                       where the operand is there
	//	c = v; with kind, c = f(v), f as for Activate; with kind and x, c = v·f(x), or v·f′(x) with derivative
	//	c = c + residual
	//
	// A product that accumulates adds Σ_k a·b + bias to c and has no epilogue.
	MatMul
	// SumRows sets y[n] = Σ_m x[m, n].
	SumRows

	// Normalisation.

	// LayerNorm sets, for each row, mean = Σx/C, rstd = 1/√(Σ(x−mean)²/C + epsilon) and
	// y = (x−mean)·rstd·weight + bias, weight 1 and bias 0 when absent. Source: Ba et al., arXiv:1607.06450, section 3.
	LayerNorm
	// LayerNormGrad sets, with x̂ = (x−mean)·rstd and g = dy·weight:
	// dx = rstd·(g − Σg/C − x̂·Σ(g·x̂)/C), dweight = Σ_rows dy·x̂, dbias = Σ_rows dy.
	LayerNormGrad
	// RMSNorm sets, for each row, rstd = 1/√(Σx²/C + epsilon) and y = x·rstd·(weight + offset), the factor 1 when weight is absent.
	// Source: Zhang and Sennrich, arXiv:1910.07467, section 4.
	RMSNorm
	// RMSNormGrad sets, with x̂ = x·rstd and g = dy·(weight + offset): dx = rstd·(g − x̂·Σ(g·x̂)/C), dweight = Σ_rows dy·x̂.
	RMSNormGrad

	// Attention.

	// RotaryTable sets table[b, t, i] = cos(p·f_i) and table[b, t, R/2+i] = sin(p·f_i), p = positions[b, t],
	// f_i = theta^(−2i/R), for i < R/2, computed in float64 and rounded once. The attribute rope_scaling changes f:
	//
	//	linear  f/rope_factor
	//	llama3  with wavelength λ = 2π/f and original context O: f where λ < O/rope_high; f/rope_factor where λ > O/rope_low;
	//	        between, (1−s)·f/rope_factor + s·f with s = (O/λ − rope_low)/(rope_high − rope_low)
	//
	// Source: Su et al., arXiv:2104.09864, section 3.4.
	RotaryTable
	// Rotary turns the first R of each head's D elements, R the table's width, and copies the rest. Pairs are (i, i+R/2), or
	// (2i, 2i+1) with interleaved: (x, y) → (x·cos − y·sin, y·cos + x·sin); with inverse, sin is negated, which is the gradient.
	Rotary
	// Attention sets, for each batch row b, head h (its key-value head is h div (H/G)) and query i:
	//
	//	s_j = scale·q_i·k_j; with soft cap, s_j = cap·tanh(s_j/cap)
	//	p_j = e^(s_j)/Σ e^(s_j) over the visible j; lse_i = log Σ e^(s_j)
	//	o_i = Σ_j drop(p_j)·v_j
	//
	// Key j is visible to query i when all of these hold: j < lengths[b]; q_segments[b, i] = k_segments[b, j] (when q_segments
	// is absent but k_segments is not, 1 = k_segments[b, j]); with causal, j ≤ i + offset; with window w > 0, i + offset − j < w and,
	// unless causal, j − i − offset < w; an absent offset is 0. A query that sees no key gets o = 0 and lse = −Inf. drop is Dropout's rule on the
	// logical tensor [B, H, T, S], its origin as there; with of and length, that tensor is [B, of, length, length], these H heads are its part numbered place, and the first query is that numbered offset. With compute, q, k, v and drop(p_j) are rounded where they are multiplied; a
	// device may round drop(p_j) before it divides by the sum, e^(s_j) being taken relative to the largest score it knows.
	//
	// The keys may be a part of a row's: those numbered first_key and on, of which j counts from there wherever its number is looked at (lengths, the
	// causal rule, the window, and with length drop). before and before_lse are o and lse over other keys, none of which is among these, and the two
	// results become one: with o′ and lse′ those over these keys alone, lse = log(e^before_lse + e^lse′), o = e^(before_lse−lse)·before + e^(lse′−lse)·o′.
	// Source: Vaswani et al., arXiv:1706.03762, section 3.2; running softmax: Dao, arXiv:2307.08691, section 3.1; parts of the keys: Liu et al., arXiv:2310.01889, section 3.
	Attention
	// AttentionGrad sets dq, dk, dv from do: with p and drop as in Attention, D_i = Σ do_i·o_i,
	//
	//	dp_ij = drop′(do_i·v_j), ds_ij = p_ij·(dp_ij − D_i), times 1 − (s_ij/cap)² with soft cap
	//	dq_i = scale·Σ_j ds_ij·k_j; dk_j = scale·Σ_h Σ_i ds_ij·q_i; dv_j = Σ_h Σ_i drop(p_ij)·do_i
	//
	// summed over the heads h that share the key-value head. A query that sees no key gives nothing. With compute, q, k, v, do,
	// drop(p_ij) and scale·ds_ij are rounded where they are multiplied, but in D_i. Where the keys are a part of a row's, from first_key on, o and
	// lse are those over all of them: dk and dv are then whole, and dq is the part of its sum that these keys give.
	AttentionGrad

	// Losses: unnormalised rows. The step's loss is Σ wᵢℓᵢ / Σ wᵢ over the global batch; the gradients are divided by the scalar
	// weight = Σ wᵢ, known before the first micro-batch, and multiplied by the scalar scale, 1 when absent, which ClipFactor takes out again.

	// CrossEntropy sets, for each row with label y, lse = log Σ_v e^(z_v) and ℓ = lse − (1−smoothing)·z_y − smoothing·Σz/V.
	// A row whose label is ignore_index or outside [0, V) gives ℓ = 0, and its lse all the same. With dlogits it does what
	// CrossEntropyGrad does besides, with the lse that it wrote. Source: Szegedy et al., arXiv:1512.00567, section 7.
	CrossEntropy
	// CrossEntropyGrad sets dz_v = scale·w/weight·(e^(z_v − lse) − (1−smoothing)·[v = y] − smoothing/V), 0 for ignored rows. With classes, there are
	// so many, of which these are the part numbered place of parts of V; what lies beyond their end gets 0, and V stands for classes where it divides.
	CrossEntropyGrad
	// CrossEntropyPart sets, for each row of a part of the classes as there, stats_0 = log Σ_v e^(z_v) and
	// stats_1 = (1−smoothing)·[v = y]·z_y + smoothing·Σz/classes. Source: Shoeybi et al., arXiv:1909.08053, section 3.
	CrossEntropyPart
	// CrossEntropyJoin sets lse = log Σ_r e^(stats_r0) and ℓ = lse − Σ_r stats_r1 from those of all R parts; labels that are ignore_index or
	// outside [0, classes) are as in CrossEntropy.
	CrossEntropyJoin
	// BinaryCrossEntropy sets, for each row, ℓ = Σ_v (max(z, 0) − z·t + log(1 + e^(−|z|)))/V.
	BinaryCrossEntropy
	// BinaryCrossEntropyGrad sets dz_v = scale·w/weight·(1/(1+e^(−z)) − t)/V.
	BinaryCrossEntropyGrad
	// SquaredError sets, for each row, ℓ = Σ_v (z − t)²/V.
	SquaredError
	// SquaredErrorGrad sets dz_v = scale·w/weight·2·(z − t)/V.
	SquaredErrorGrad
	// PluginLoss sets, for each row whose label is scored, ℓ and, where dlogits is given, dz_v = scale·w/weight·∂ℓ/∂z_v, as the plugin says; 0 for other rows. It is
	// done on the host, in chunks of rows: logits, labels or targets, weights and what else the plugin's manifest names (input1, input2) are copied into a plugin's memory,
	// ℓ and ∂ℓ/∂z out of it. Of a plugin that sees sequences or pairs of them, of length rows each, ℓ stands at the first of the rows that it is of.
	PluginLoss
	// PluginLossGrad sets dz_v alone, and asks the plugin again for it.
	PluginLossGrad
	// LossSum sets total = Σ_rows w·ℓ in float64, in ascending order.
	LossSum
	// ArgMax sets y = the least v with the largest x_v. A NaN is never the largest; a row of NaN gives 0.
	ArgMax

	// Update. Gradients g are multiplied by the scalar factor (1, or less when clipped). The scalar rate is multiplied by rate_scale.
	// η is that product, λ the attribute decay, t the scalar step, counting updates from 1.

	// SumSquares sets total = Σ x² in float64 over pieces of SquaresPiece elements, combined in order.
	SumSquares
	// ClipFactor sets norm = √(Σ total)/scale, in ascending order; factor = min(1, max_norm/(norm + 1e-6))/scale, or 1/scale when max_norm is 0; finite = 1 where
	// norm is finite, else 0. scale is what the gradients were multiplied by, 1 when absent. Source: Pascanu et al., arXiv:1211.5063, section 3.2.
	ClipFactor
	// LossScale keeps the scale of the gradients in the range where they are finite. After a step whose finite is not 0 and whose
	// loss is finite, it adds 1 to updates and to good, and where good is then growth_interval (not 0), multiplies scale by growth and
	// sets good = 0. After another, it multiplies scale by backoff and sets good = 0. Correctly rounded.
	// Source: Micikevicius et al., arXiv:1710.03740, section 3.2.
	LossScale
	// SGD sets g += λ·w; m = momentum·m + g; w −= η·m, or η·(g + momentum·m) with nesterov, or η·g without m.
	SGD
	// Adam sets g += λ·w; m = β₁·m + (1−β₁)·g; v = β₂·v + (1−β₂)·g²; w −= η·(m/(1−β₁ᵗ))/(√(v/(1−β₂ᵗ)) + epsilon).
	// With variance_steps s, of the steps t > s m alone takes in the gradient: v stays, and its correction is 1−β₂ˢ. Where only the sum of gradients over steps
	// is right, since they are coded, w then moves by a sum that is linear in them (Tang et al., arXiv:2102.02888, section 4). But v becomes (1−β₂ˢ)·g²/SpreadLimit² where
	// that is larger: else what never had a gradient in s steps, such as the row of a rare token, would be divided by epsilon.
	// Source: Kingma and Ba, arXiv:1412.6980, algorithm 1.
	Adam
	// AdamW is Adam with w −= η·λ·w in place of g += λ·w. Source: Loshchilov and Hutter, arXiv:1711.05101, algorithm 2.
	AdamW
	// Lion sets u = sign(β₁·m + (1−β₁)·g), sign 0 = 0; w −= η·(u + λ·w); m = β₂·m + (1−β₂)·g. Source: Chen et al., arXiv:2302.06675, algorithm 2.
	Lion
	// LAMBMoments updates m and v as Adam does without λ, with variance_steps too, and sets norms = (Σ w², Σ r²), r = m̂/(√v̂ + epsilon) + λ·w, summed like SumSquares.
	// Source: You et al., arXiv:1904.00962, algorithm 2.
	LAMBMoments
	// LAMBApply sets w −= η·(‖w‖/‖r‖)·r from norms; the ratio is 1 where either norm is 0.
	LAMBApply
	// AdafactorMoments updates, with b = t^(−0.8): row = (1−b)·row + b·(mean of g² over C); column = (1−b)·column + b·(mean of g² over R);
	// or, for a tensor that is not a matrix, variance = (1−b)·variance + b·g². Source: Shazeer and Stern, arXiv:1804.04235, algorithms 4 and 5.
	AdafactorMoments
	// AdafactorNorms sets norms = (Σ w², Σ u²) with u = g/√max(V, epsilon²), V = row·columnᵀ/max(mean(row), epsilon) or variance; summed like SumSquares.
	AdafactorNorms
	// AdafactorApply sets w −= η·λ·w, then w −= u·min(η, rate_scale/√t)·max(epsilon2, RMS(w))/max(1, RMS(u)/max_rms), the RMS from norms (n elements), taken before the decay.
	AdafactorApply
	// MuonMomentum sets m = momentum·m + (1−momentum)·g; u = (1−momentum)·g + momentum·m with nesterov, else m.
	// Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024).
	MuonMomentum
	// NewtonSchulz sets x₀ = x/max(‖x‖, epsilon), transposed if M > N, then steps times A = xxᵀ, B = b·A + c·A², x = a·x + B·x with
	// (a, b, c) = (3.4445, −4.7750, 2.0315), and y = the last x, transposed back. With compute, the operands of the three products are
	// rounded. The source is Muon's.
	NewtonSchulz
	// MuonApply sets w −= η·λ·w, then w −= η·alpha·u.
	MuonApply

	// Int8 weights, for generation: a row of a matrix is int8 numbers and one scale.

	// QuantizeRows sets, for each row n, scale[n] = max_k |x[n, k]|/127 and q[n, k] = x[n, k]·(127/max) rounded to the nearest
	// integer, to even in the middle; the product and the quotient are float64, so q is exact. A row of zeros gives zeros; a row that is not
	// finite gives q = 0 and a scale that is not finite, so that it shows. With trans_a the operand x is stored [K, N].
	// Source: Dettmers et al., arXiv:2208.07339, section 2.1 (row-wise absmax).
	QuantizeRows
	// MatMulInt8 sets c[m, n] = (t_m·scale[n])·Σ_k q[m, k]·b[n, k] + bias[n], where row m of a is quantised as it is used:
	// t_m = max_k |a[m, k]|/ActivationSteps, q[m, k] = a[m, k]·(ActivationSteps/max) rounded as by QuantizeRows. The sum is one of integers and exact,
	// whatever its order; it is rounded to the compute type, multiplied by t_m·scale[n], and bias[n] is added, a rounding each. An epilogue
	// may follow as for MatMul.
	MatMulInt8
	// EmbeddingInt8 sets y[..., c] = scale[id]·table[id, c], id = ids[...]. An id outside [0, V) gives zeros, as for Embedding.
	EmbeddingInt8

	// Compression while training. A tensor is seen as [A, K, B]: K is what a product sums over, and each (a, b) is one of its outputs.

	// PruneMask sets mask to 0 where x is pruned, and to 1 elsewhere, by the attribute pattern; "least" is by |x|, and of equals the later index is the lesser:
	//
	//	elements  of all elements, the Pruned(A·K·B, sparsity) least
	//	groups    of each run of group neighbours along K, the Pruned(group, sparsity) least
	//	slices    of the slices x[:, k, :], the Pruned(K, sparsity) with the least Σ x², summed in float64 in the order of (a, b)
	//
	// A NaN is larger than all numbers. Exact. Sources: Zhu and Gupta, arXiv:1710.01878, section 3; Mishra et al., arXiv:2104.08378, section 3.
	PruneMask
	// ApplyMask sets y = x where mask is not 0, else 0. Exact.
	ApplyMask
	// FakeQuantize rounds x to what bits can say and gives the numbers that they stand for. With x̄ = x where mask is not 0 or absent, else 0; for each (a, b) and
	// each run of group neighbours along K (0 stands for K), and L = 2^(bits−1):
	//
	//	symmetric  s = max|x̄|/(L−1), z = 0, q = round(x̄/s)
	//	else       lo = min(0, min x̄), hi = max(0, max x̄), s = (hi−lo)/(2L−1), z = clip(round(−L − lo/s)), q = clip(round(x̄/s) + z)
	//	y = (q − z)·s
	//
	// clip is to [−L, L−1]; rounding is to nearest even. s, and x̄ times its inverse, are float64, so that q is exact; scale = s and zero = z are then rounded to their type, and y is one product
	// of the rounded scale. A run of zeros has s = 0 and y = 0; one that is not finite has NaN in scale and y. Where on is there and 0, y = x̄ and scale = zero = 0.
	// The gradient is dx = dy (straight through: Bengio et al., arXiv:1308.3432, section 4). Source: Jacob et al., arXiv:1712.05877, sections 2.1 and 3.
	FakeQuantize

	// Codes of gradients. What ranks would add up is sent as codes, which do not add: each rank gathers those of all and decodes them. What a code leaves out is kept, and
	// goes into the next one (error feedback: Seide et al., Interspeech 2014; Karimireddy et al., arXiv:1901.09847, algorithm 2). A code is words of 32 bits,
	// the same on every device.

	// Encode sets, with v = x/scale + residual, scale being 1 when absent, and D as in Decode, code = E(v rounded to float32) and next = v − D(code), by the attribute kind:
	//
	//	top_k    the k = ⌈share·n⌉ numbers of largest magnitude, of equal ones the first, and a NaN before all others: their indices, ascending, then their bits
	//	         as float32. Source: Stich et al., arXiv:1809.07599, section 2
	//	one_bit  for each block of CodeBlock numbers, the last of which may be shorter, the bits of s = Σ|v|/m, m numbers summed in float64 in ascending order and rounded
	//	         to float32, then a bit for each number, the lowest of a word first, set where v < 0. Source: Karimireddy et al., arXiv:1901.09847, section 4 (scaled sign)
	Encode
	// Decode sets y = scale·Σ_r D(codes_r), scale being 1 when absent, in the order of r, from 0: of top_k the kept numbers in their places and 0 in all others, an index outside of n counting for nothing; of one_bit
	// −s where the bit is set, s elsewhere. With of, codes are of so many numbers, of which y is the part numbered place.
	Decode
	// PluginEncode is Encode, E and D being those of a plugin, which sees runs of PluginCodeRun numbers at most, each by itself. A run's code is a word with its length in bytes and
	// as many words as the longest takes; where v is not finite the length is −1, and D is NaN there.
	PluginEncode
	// PluginDecode is Decode, likewise.
	PluginDecode

	// What ranks do together; no device runs it. A group is the ranks that differ in their place along one axis of the mesh, in the order of
	// those places.

	// AllReduce sets y to Σ_q x_q over the ranks q of the group along axis, in their order, in the type of x: the same bits in every rank.
	AllReduce
	// ReduceScatter sets y to the rank's part of Σ_q x_q, or adds it to y: x is cut along dim into as many parts of y's size as the group has ranks.
	ReduceScatter
	// AllGather sets y to the x of all ranks, in their order along dim.
	AllGather
	// AllToAll cuts x along into, hands each rank of the group its part, and sets y to the parts that it is handed, in the order of the
	// ranks along dim: x is shared out along dim, y along into.
	AllToAll
	// Send hands x to the rank of the group whose place along axis is peer, which comes to a Receive for it. What one rank sends another on a lane arrives in that order.
	Send
	// Receive sets y to what the rank whose place along axis is peer sends.
	Receive
	// RingShift sets y to the x of the rank one place before in the group, the last one's in the first rank.
	RingShift

	opCount
)

// SquaresPiece is the number of elements that SumSquares, and the norms of LAMB and Adafactor, sum before they combine.
const SquaresPiece = 1 << 16

// ActivationSteps is the number of steps on each side of 0 that MatMulInt8 quantises a row of activations to: two signed digits
// to the base 256, the higher within ±127. Eight bits alone are not enough for activations, whose few outliers
// would leave the others no steps; the second digit costs arithmetic, but not a byte of memory.
const ActivationSteps = 127 * 256

// Pruned is how many of n are pruned at a sparsity in [0, 1]: the whole part of sparsity·n, with room for what a product such as 1/3·3 loses to rounding.
func Pruned(n int, sparsity float64) int {
	if !(sparsity > 0) {
		return 0
	}
	return min(n, int(sparsity*float64(n)+1e-6))
}

func (op Op) String() string {
	if int(op) < len(Contracts) && Contracts[op].Name != "" {
		return Contracts[op].Name
	}
	return fmt.Sprintf("op(%d)", uint8(op))
}

// ParseOp is the inverse of [Op.String].
func ParseOp(name string) (Op, error) {
	for op := NoOp + 1; op < opCount; op++ {
		if Contracts[op].Name == name {
			return op, nil
		}
	}
	return NoOp, fmt.Errorf("unknown operation %q", name)
}

// Ops lists every operation of a device, in the order of the constants.
func Ops() []Op {
	return ops(func(c *Contract) bool { return !c.Collective && !c.Host })
}

// Collectives lists every operation that ranks do together, in the order of the constants.
func Collectives() []Op { return ops(func(c *Contract) bool { return c.Collective }) }

// Hosted lists every operation that a plugin does, in the order of the constants.
func Hosted() []Op { return ops(func(c *Contract) bool { return c.Host }) }

func ops(of func(*Contract) bool) []Op {
	var list []Op
	for op := NoOp + 1; op < opCount; op++ {
		if of(&Contracts[op]) {
			list = append(list, op)
		}
	}
	return list
}

// MarshalText writes the name.
func (op Op) MarshalText() ([]byte, error) { return []byte(op.String()), nil }

// UnmarshalText reads the name.
func (op *Op) UnmarshalText(text []byte) (err error) {
	*op, err = ParseOp(string(text))
	return err
}

// Attrs are the attributes of an operation: what is fixed when the plan is
// made. Each operation uses the few that its contract lists; the rest are zero.
type Attrs struct {
	TransA      bool    `json:"trans_a,omitempty"`
	TransB      bool    `json:"trans_b,omitempty"`
	Accumulate  bool    `json:"accumulate,omitempty"` // add to what the summing outputs hold, instead of replacing it
	Compute     string  `json:"compute,omitempty"`    // type that operands of products are rounded to: "bf16" or "f16"; "": they are not
	Rounding    string  `json:"rounding,omitempty"`   // "stochastic"; "": to nearest even
	Alpha       float64 `json:"alpha,omitempty"`
	Kind        string  `json:"kind,omitempty"`       // of an activation
	Derivative  bool    `json:"derivative,omitempty"` // of the activation, in place of its value
	Cap         float64 `json:"cap,omitempty"`        // soft cap; 0: none
	Epsilon     float64 `json:"epsilon,omitempty"`
	Offset      float64 `json:"offset,omitempty"` // added to a norm's weight
	Index       int     `json:"index,omitempty"`
	Rate        float64 `json:"rate,omitempty"` // of dropout
	Key         uint32  `json:"key,omitempty"`  // StreamKey of the operation's logical name
	Causal      bool    `json:"causal,omitempty"`
	Window      int     `json:"window,omitempty"` // keys visible back from a query; 0: all
	Scale       float64 `json:"scale,omitempty"`  // of attention scores
	Interleaved bool    `json:"interleaved,omitempty"`
	Inverse     bool    `json:"inverse,omitempty"`

	Theta        float64 `json:"theta,omitempty"`
	RopeScaling  string  `json:"rope_scaling,omitempty"` // "", "linear" or "llama3"
	RopeFactor   float64 `json:"rope_factor,omitempty"`
	RopeLow      float64 `json:"rope_low,omitempty"`
	RopeHigh     float64 `json:"rope_high,omitempty"`
	RopeOriginal float64 `json:"rope_original,omitempty"` // context the model was first trained for

	Share       float64 `json:"share,omitempty"`  // of numbers that a code keeps
	Plugin      string  `json:"plugin,omitempty"` // its name in the plan
	IgnoreIndex int     `json:"ignore_index,omitempty"`
	Smoothing   float64 `json:"smoothing,omitempty"`
	Classes     int     `json:"classes,omitempty"` // of all parts

	Beta1         float64 `json:"beta1,omitempty"`
	Beta2         float64 `json:"beta2,omitempty"`
	VarianceSteps int     `json:"variance_steps,omitempty"` // in which the mean of squares takes gradients in; 0: all
	Momentum      float64 `json:"momentum,omitempty"`
	Nesterov      bool    `json:"nesterov,omitempty"`
	Decay         float64 `json:"decay,omitempty"`
	RateScale     float64 `json:"rate_scale,omitempty"`
	MaxNorm       float64 `json:"max_norm,omitempty"`

	Growth         float64 `json:"growth,omitempty"` // of a loss scale
	GrowthInterval int     `json:"growth_interval,omitempty"`
	Backoff        float64 `json:"backoff,omitempty"`

	MaxRMS   float64 `json:"max_rms,omitempty"`
	Epsilon2 float64 `json:"epsilon2,omitempty"`
	Steps    int     `json:"steps,omitempty"` // of an iteration

	Pattern   string `json:"pattern,omitempty"` // of what is pruned: "elements", "groups" or "slices"
	Group     int    `json:"group,omitempty"`   // neighbours that are pruned among themselves, or have a scale of their own
	Bits      int    `json:"bits,omitempty"`
	Symmetric bool   `json:"symmetric,omitempty"` // 0 is in the middle of what bits can say

	Axis   string `json:"axis,omitempty"`   // of the mesh, that the ranks of a group differ in
	Peer   int    `json:"peer,omitempty"`   // place along it, of the other rank
	Lane   int    `json:"lane,omitempty"`   // of several ways between two ranks, each with an order of its own
	Dim    int    `json:"dim,omitempty"`    // that is shared out
	Into   int    `json:"into,omitempty"`   // dim that is shared out in its stead
	Of     int    `json:"of,omitempty"`     // length of the logical tensor along the dim; 0: the operand's own
	Length int    `json:"length,omitempty"` // tokens of a row of it; 0: as many as the operand has
}
