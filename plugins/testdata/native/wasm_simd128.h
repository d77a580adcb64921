// What the examples use of clang's wasm_simd128.h, in SSE 4.1: so that the same source is compiled for the processor itself, with vectors of the same width.
#ifndef NATIVE_WASM_SIMD128_H
#define NATIVE_WASM_SIMD128_H

#include <smmintrin.h>

typedef __m128 v128_t;

#define wasm_f32x4_splat(x) _mm_set1_ps(x)
#define wasm_f32x4_add(a, b) _mm_add_ps(a, b)
#define wasm_f32x4_sub(a, b) _mm_sub_ps(a, b)
#define wasm_f32x4_mul(a, b) _mm_mul_ps(a, b)
#define wasm_f32x4_pmax(a, b) _mm_max_ps(b, a)
#define wasm_f32x4_pmin(a, b) _mm_min_ps(b, a)
#define wasm_f32x4_nearest(x) _mm_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define wasm_v128_load(p) _mm_loadu_ps((const float *)(p))
#define wasm_v128_store(p, x) _mm_storeu_ps((float *)(p), x)
#define wasm_i32x4_add(a, b) _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(a), _mm_castps_si128(b)))
#define wasm_i32x4_shl(x, n) _mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(x), n))
#define wasm_i32x4_trunc_sat_f32x4(x) _mm_castsi128_ps(_mm_cvttps_epi32(x))

static inline float wasm_f32x4_extract_lane(v128_t x, int lane) {
	float lanes[4];
	_mm_storeu_ps(lanes, x);
	return lanes[lane];
}

#endif
