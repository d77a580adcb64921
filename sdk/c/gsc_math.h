// gsc_math.h: the few functions that losses need and that a program without a C library lacks.
#ifndef GSC_MATH_H
#define GSC_MATH_H

#include <stdint.h>
#include <wasm_simd128.h>

// gsc_exp4 is e^x for four x in [-87, 88], what is outside being moved to the nearest end: 2^n·e^r with n = round(x/ln 2), and the Taylor polynomial of degree 6, whose
// error for |r| ≤ ln 2/2 is below 1.2e-7.
static inline v128_t gsc_exp4(v128_t x) {
	x = wasm_f32x4_pmax(wasm_f32x4_splat(-87.0f), wasm_f32x4_pmin(wasm_f32x4_splat(88.0f), x));
	v128_t n = wasm_f32x4_nearest(wasm_f32x4_mul(x, wasm_f32x4_splat(1.44269504f)));
	v128_t r = wasm_f32x4_sub(x, wasm_f32x4_mul(n, wasm_f32x4_splat(0.693359375f)));  // ln 2 in two parts, the first of few bits,
	r = wasm_f32x4_sub(r, wasm_f32x4_mul(n, wasm_f32x4_splat(-2.12194440e-4f)));      // so that its multiples are exact
	v128_t p = wasm_f32x4_splat(1.0f / 720);
	p = wasm_f32x4_add(wasm_f32x4_mul(p, r), wasm_f32x4_splat(1.0f / 120));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, r), wasm_f32x4_splat(1.0f / 24));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, r), wasm_f32x4_splat(1.0f / 6));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, r), wasm_f32x4_splat(0.5f));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, r), wasm_f32x4_splat(1.0f));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, r), wasm_f32x4_splat(1.0f));
	return wasm_i32x4_add(p, wasm_i32x4_shl(wasm_i32x4_trunc_sat_f32x4(n), 23));
}

// gsc_exp1 is e^x for one x, as gsc_exp4 computes it.
static inline float gsc_exp1(float x) { return wasm_f32x4_extract_lane(gsc_exp4(wasm_f32x4_splat(x)), 0); }

// gsc_log is ln x for a normal x > 0: x = 2^n·m with m in [√½, √2), and ln m = 2·artanh((m − 1)/(m + 1)), whose series is cut where a double no longer sees it.
static inline double gsc_log(double x) {
	union { double value; uint64_t bits; } u = {x};
	int n = (int)(u.bits >> 52) - 1023;
	u.bits = (u.bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull;
	if (u.value > 1.4142135623730951) { u.value *= 0.5; n++; }
	double s = (u.value - 1) / (u.value + 1), q = s * s, sum = 0;
	for (int k = 21; k >= 1; k -= 2) sum = sum * q + 1.0 / k;
	return n * 0.6931471805599453 + 2 * s * sum;
}

// gsc_expm1 is e^x − 1 for x ≤ 0, with all its digits where x is almost 0: a Taylor polynomial down to −0.7, and e^x below.
static inline double gsc_expm1(double x) {
	if (x < -0.7) return (double)gsc_exp1((float)x) - 1;
	double sum = 0;
	for (int k = 16; k >= 1; k--) sum = (sum + 1) * x / k;
	return sum;
}

// What follows walks by pointers, and touches the last of a run first: then a host that checks where memory ends does so once a turn. GSC_WALK keeps the compiler from making
// a sum of a pointer and an index for each access, which would be checked each. A turn is of 64 numbers, written out by GSC_UNROLL, since the host counts turns, too.
#define GSC_WALK(pointer) __asm__("" : "+r"(pointer))
#define GSC_UNROLL _Pragma("clang loop unroll(full)")

// gsc_max is the largest of n numbers, n > 0.
static inline float gsc_max(const float *x, uint32_t n) {
	const float *end = x + n;
	float top = x[0];
	if (n >= 4) {
		v128_t a = wasm_v128_load(x), b = a, c = a, d = a;
		for (const float *stop = x + n / 64 * 64; x != stop; x += 64) {
			GSC_WALK(x);
			GSC_UNROLL for (int k = 48; k >= 0; k -= 16) {
				d = wasm_f32x4_pmax(d, wasm_v128_load(x + k + 12));
				c = wasm_f32x4_pmax(c, wasm_v128_load(x + k + 8));
				b = wasm_f32x4_pmax(b, wasm_v128_load(x + k + 4));
				a = wasm_f32x4_pmax(a, wasm_v128_load(x + k));
			}
		}
		for (const float *stop = x + n % 64 / 4 * 4; x != stop; x += 4) a = wasm_f32x4_pmax(a, wasm_v128_load(x));
		a = wasm_f32x4_pmax(wasm_f32x4_pmax(a, b), wasm_f32x4_pmax(c, d));
		float lanes[4];
		wasm_v128_store(lanes, a);
		for (int k = 0; k < 4; k++) top = lanes[k] > top ? lanes[k] : top;
	}
	for (; x != end; x++) top = *x > top ? *x : top;
	return top;
}

// gsc_lanes is the sum of four lanes as doubles.
static inline double gsc_lanes(v128_t v) {
	return (double)wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1) + wasm_f32x4_extract_lane(v, 2) + wasm_f32x4_extract_lane(v, 3);
}

// gsc_pow2 is 2^y for four y in [-125, 127]: 2^n·2^f with n = round(y), and for 2^f the polynomial of degree 5 that is 1 at 0 and whose largest error for |f| ≤ ½ is least, 9.2e-8.
// Adding 1.5·2^23 leaves n in the lowest bits.
static inline v128_t gsc_pow2(v128_t y) {
	v128_t large = wasm_f32x4_splat(12582912.0f), t = wasm_f32x4_add(y, large), f = wasm_f32x4_sub(y, wasm_f32x4_sub(t, large));
	v128_t p = wasm_f32x4_splat(1.3264722e-3f);
	p = wasm_f32x4_add(wasm_f32x4_mul(p, f), wasm_f32x4_splat(9.671513e-3f));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, f), wasm_f32x4_splat(5.55073376e-2f));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, f), wasm_f32x4_splat(2.40222421e-1f));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, f), wasm_f32x4_splat(6.93146978e-1f));
	p = wasm_f32x4_add(wasm_f32x4_mul(p, f), wasm_f32x4_splat(1.0f));
	return wasm_i32x4_add(p, wasm_i32x4_shl(t, 23));
}

// gsc_term is 2^((x − off)·times), no less than 2^-125, of the four numbers at x, none of which is larger than off.
static inline v128_t gsc_term(v128_t x, v128_t off, v128_t times) {
	return gsc_pow2(wasm_f32x4_pmax(wasm_f32x4_splat(-125.0f), wasm_f32x4_mul(wasm_f32x4_sub(x, off), times)));
}

// gsc_terms adds the terms of n numbers up, a multiple of 64 of them, and writes them to e where store says so.
static inline double gsc_terms(const float *x, uint32_t n, v128_t off, v128_t times, float *e, int store) {
	v128_t a = wasm_f32x4_splat(0), b = a;
	for (const float *end = x + n; x != end; x += 64) {
		GSC_WALK(x);
		if (store) GSC_WALK(e);
		GSC_UNROLL for (int k = 60; k > 0; k -= 8) {
			v128_t q = gsc_term(wasm_v128_load(x + k), off, times), p = gsc_term(wasm_v128_load(x + k - 4), off, times);
			if (store) {
				wasm_v128_store(e + k, q);
				wasm_v128_store(e + k - 4, p);
			}
			a = wasm_f32x4_add(a, p);
			b = wasm_f32x4_add(b, q);
		}
		if (store) e += 64;
	}
	return gsc_lanes(wasm_f32x4_add(a, b));
}

// gsc_exp_sum_by is Σ e^((x − shift)·by) over n numbers, none of which is larger than shift, and writes the terms to e unless that is NULL; by > 0. A term's error is at
// most 1e-7 of the largest, or 1e-7 of itself and as much again for each unit of its exponent. Runs of 512 are added up in four lanes, and these as doubles.
static inline double gsc_exp_sum_by(const float *x, uint32_t n, float shift, float by, float *e) {
	double total = 0;
	uint32_t i = 0;
	v128_t off = wasm_f32x4_splat(shift), times = wasm_f32x4_splat(by * 1.44269504f);
	while (i + 64 <= n) {
		uint32_t run = (n - i < 512 ? n - i : 512) / 64 * 64;
		total += e ? gsc_terms(x + i, run, off, times, e + i, 1) : gsc_terms(x + i, run, off, times, NULL, 0);
		i += run;
	}
	v128_t rest = wasm_f32x4_splat(0);
	for (; i + 4 <= n; i += 4) {
		v128_t p = gsc_term(wasm_v128_load(x + i), off, times);
		if (e) wasm_v128_store(e + i, p);
		rest = wasm_f32x4_add(rest, p);
	}
	total += gsc_lanes(rest);
	for (; i < n; i++) {
		float p = wasm_f32x4_extract_lane(gsc_term(wasm_f32x4_splat(x[i]), off, times), 0);
		if (e) e[i] = p;
		total += p;
	}
	return total;
}

// gsc_exp_sum is Σ e^(x − shift).
static inline double gsc_exp_sum(const float *x, uint32_t n, float shift, float *e) { return gsc_exp_sum_by(x, n, shift, 1, e); }

// gsc_zero clears n numbers.
static inline void gsc_zero(float *x, uint32_t n) {
	for (uint32_t i = 0; i < n; i++) x[i] = 0;
}

// gsc_scale multiplies n numbers by a factor.
static inline void gsc_scale(float *x, uint32_t n, float factor) {
	const float *end = x + n;
	v128_t by = wasm_f32x4_splat(factor);
	for (const float *stop = x + n / 64 * 64; x != stop; x += 64) {
		GSC_WALK(x);
		GSC_UNROLL for (int k = 48; k >= 0; k -= 16) {
			v128_t d = wasm_v128_load(x + k + 12), c = wasm_v128_load(x + k + 8), b = wasm_v128_load(x + k + 4), a = wasm_v128_load(x + k);
			wasm_v128_store(x + k + 12, wasm_f32x4_mul(d, by));
			wasm_v128_store(x + k + 8, wasm_f32x4_mul(c, by));
			wasm_v128_store(x + k + 4, wasm_f32x4_mul(b, by));
			wasm_v128_store(x + k, wasm_f32x4_mul(a, by));
		}
	}
	for (const float *stop = x + n % 64 / 4 * 4; x != stop; x += 4) wasm_v128_store(x, wasm_f32x4_mul(wasm_v128_load(x), by));
	for (; x != end; x++) *x *= factor;
}

#endif
