// @NAME@ is a gradient codec for gsc: each number becomes one of 8 bits, with a scale for each block of them.
//
// Of a block with the largest magnitude m the scale is s = m/127, and a number x is sent as q = round(x/s), which stands for q·s: off by s/2 at most. Of B numbers' squares that is B/254² of m² at
// most, so that a code leaves no more than 1024/254² < 0.02 of the squares out. A code is all scales, in 32 bits each, and then all q.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"policy\", \"name\": \"@NAME@\", \"version\": \"0.1.0\", \"codec\": {\"contraction\": \"0.98\"}, "
             "\"params\": \"block: *64 | int & >=1 & <=1024\"}")

static uint32_t block = 64;

// init gets the parameters once.
GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	double value;
	if (!gsc_number(params, length, "block", &value)) return GSC_BAD_PARAMS;
	block = (uint32_t)value;
	return GSC_OK;
}

// blocks is how many scales n numbers have.
static uint32_t blocks(uint32_t n) { return (n + block - 1) / block; }

GSC_EXPORT(gsc_code_bytes) uint32_t code_bytes(uint32_t n) { return 4 * blocks(n) + n; }

static uint32_t block_end(uint32_t n, uint32_t k) { return n - k * block < block ? n : (k + 1) * block; }

GSC_EXPORT(gsc_encode) int32_t encode(gsc_codec_call *call) {
	uint32_t n = call->numbers;
	float *scales = (float *)call->code;
	int8_t *q = (int8_t *)call->code + 4 * blocks(n);
	for (uint32_t k = 0; k < blocks(n); k++) {
		float most = 0;
		for (uint32_t i = k * block; i < block_end(n, k); i++) {
			float magnitude = __builtin_fabsf(call->values[i]);
			if (magnitude > most) most = magnitude;
		}
		float s = scales[k] = most / 127;
		for (uint32_t i = k * block; i < block_end(n, k); i++) {
			float x = s > 0 ? call->values[i] / s : 0;
			q[i] = (int8_t)(x < -127 ? -127 : x > 127 ? 127 : x + (x < 0 ? -0.5f : 0.5f));
		}
	}
	call->bytes = code_bytes(n);
	return GSC_OK;
}

GSC_EXPORT(gsc_decode) int32_t decode(gsc_codec_call *call) {
	uint32_t n = call->numbers;
	if (call->bytes != code_bytes(n)) return GSC_BAD_INPUT;
	const float *scales = (const float *)call->code;
	const int8_t *q = (const int8_t *)call->code + 4 * blocks(n);
	for (uint32_t k = 0; k < blocks(n); k++) {
		if (!__builtin_isfinite(scales[k] * 128)) return GSC_BAD_INPUT;
		for (uint32_t i = k * block; i < block_end(n, k); i++) call->values[i] = (float)q[i] * scales[k];
	}
	return GSC_OK;
}
