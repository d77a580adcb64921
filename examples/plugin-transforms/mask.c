// Masked language modelling (Devlin et al., arXiv:1810.04805, section 3.1, task 1): of the tokens of a row a share is chosen to be predicted; of these 80 % become the token that
// masks, 10 % another one at random, and 10 % stay what they are. The label of a chosen token is the token; others are not scored.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"transform\", \"name\": \"mask\", \"version\": \"1.0.0\", \"on\": \"rows\", \"evaluates\": true, \"labels\": \"tokens\", "
             "\"params\": \"share: *0.15 | number & >=0.001 & <=1, mask: *-1 | int & >=-1, masked: *0.8 | number & >=0 & <=1, random: *0.1 | number & >=0 & <=(1-masked)\"}")

static double share = 0.15, mask_token = -1, masked = 0.8, random_ = 0.1;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	int all = gsc_number(params, length, "share", &share) && gsc_number(params, length, "mask", &mask_token) && gsc_number(params, length, "masked", &masked) &&
	          gsc_number(params, length, "random", &random_);
	return all && masked + random_ <= 1.000001 ? GSC_OK : GSC_BAD_PARAMS;
}

GSC_EXPORT(gsc_transform) int32_t transform(gsc_rows_call *call) {
	int32_t mask = mask_token < 0 ? (int32_t)call->vocabulary - 1 : (int32_t)mask_token; // of bytes: 255, which no text has; of characters: the one that stands for unknown ones
	if (call->labels_a_row != call->length || mask >= (int32_t)call->vocabulary) return GSC_BAD_INPUT;
	for (uint32_t row = 0; row < call->rows; row++) {
		uint64_t state = call->seeds[row];
		int32_t *tokens = call->tokens + (size_t)row * call->length, *labels = call->labels + (size_t)row * call->length;
		for (int32_t i = 0; i < call->valid[row]; i++) {
			labels[i] = call->ignore;
			if (gsc_uniform(&state) >= share) continue;
			labels[i] = tokens[i];
			double what = gsc_uniform(&state);
			if (what < masked) tokens[i] = mask;
			else if (what < masked + random_) tokens[i] = (int32_t)(gsc_random(&state) % call->vocabulary);
		}
	}
	return GSC_OK;
}
