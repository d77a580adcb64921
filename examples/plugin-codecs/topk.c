// The numbers of largest magnitude (Stich et al., arXiv:1809.07599, section 2): of n numbers the k = ⌈share·n⌉ largest are sent, of equal ones the first.
//
// A code is k pairs of a number's index, ascending, in 16 bits (runs have 65,536 numbers at most), and the number, in 32 bits: first all indices, then, from the next
// multiple of 4 bytes on, all numbers. What is kept leaves at most 1 − k/n of the squares out.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"policy\", \"name\": \"topk\", \"version\": \"1.0.0\", \"codec\": {\"contraction\": \"share\"}, "
             "\"params\": \"share: *0.01 | number & >0 & <=1\"}")

static double share = 0.01;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	return gsc_number(params, length, "share", &share) && share > 0 && share <= 1 ? GSC_OK : GSC_BAD_PARAMS;
}

static uint32_t kept(uint32_t n) {
	uint32_t k = (uint32_t)(share * n);
	if (k < share * n) k++;
	return k < 1 ? 1 : k > n ? n : k;
}

// indexes is the room of k indices, in bytes.
static uint32_t indexes(uint32_t k) { return (2 * k + 3) & ~3u; }

GSC_EXPORT(gsc_code_bytes) uint32_t code_bytes(uint32_t n) { return indexes(kept(n)) + 4 * kept(n); }

// magnitude orders numbers by their size.
static uint32_t magnitude(float v) {
	union { float value; uint32_t bits; } u = {v};
	return u.bits & 0x7fffffff;
}

// smallest finds the magnitude of the k-th largest of n numbers, bit by bit from the highest on; rest is how many of those as large are among the k.
static uint32_t smallest(const float *v, uint32_t n, uint32_t k, uint32_t *rest) {
	uint32_t least = 0;
	for (int bit = 30; bit >= 0; bit--) {
		uint32_t tried = least | 1u << bit, count = 0;
		for (uint32_t i = 0; i < n; i++) count += magnitude(v[i]) >= tried;
		if (count >= k) least = tried;
	}
	uint32_t larger = 0;
	for (uint32_t i = 0; i < n; i++) larger += magnitude(v[i]) > least;
	*rest = k - larger;
	return least;
}

GSC_EXPORT(gsc_encode) int32_t encode(gsc_codec_call *call) {
	uint32_t n = call->numbers, k = kept(n), rest, p = 0;
	uint32_t least = smallest(call->values, n, k, &rest);
	uint16_t *index = (uint16_t *)call->code;
	float *value = (float *)(call->code + indexes(k));
	for (uint32_t i = 0; i < n && p < k; i++) {
		uint32_t m = magnitude(call->values[i]);
		if (m < least || (m == least && rest == 0)) continue;
		if (m == least) rest--;
		index[p] = (uint16_t)i;
		value[p++] = call->values[i];
	}
	if (k & 1) index[k] = 0;
	call->bytes = indexes(k) + 4 * k;
	return GSC_OK;
}

GSC_EXPORT(gsc_decode) int32_t decode(gsc_codec_call *call) {
	uint32_t n = call->numbers, k = kept(n);
	if (call->bytes != indexes(k) + 4 * k) return GSC_BAD_INPUT;
	const uint16_t *index = (const uint16_t *)call->code;
	const float *value = (const float *)(call->code + indexes(k));
	for (uint32_t i = 0; i < n; i++) call->values[i] = 0;
	for (uint32_t p = 0; p < k; p++) {
		if (index[p] >= n || (p > 0 && index[p] <= index[p - 1]) || magnitude(value[p]) >= 0x7f800000) return GSC_BAD_INPUT;
		call->values[index[p]] = value[p];
	}
	return GSC_OK;
}
