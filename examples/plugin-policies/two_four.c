// A policy that prunes the matrices of linear layers to 2:4: of each four neighbours along the input the two largest stay (Mishra et al., arXiv:2104.08378). From a step on the mask is made anew every so many
// steps, until another, from which on it stays; then the weights may be rounded to 8 bits, too.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"policy\", \"name\": \"two_four\", \"version\": \"1.0.0\", "
             "\"params\": \"begin: *1 | int & >=1, end: *begin | int & >=begin, every: *100 | int & >=1, int8: *0 | 1\"}")

static double begin = 1, end = 1, every = 100, int8 = 0;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	int known = gsc_number(params, length, "begin", &begin) & gsc_number(params, length, "end", &end) & gsc_number(params, length, "every", &every) & gsc_number(params, length, "int8", &int8);
	return known ? GSC_OK : GSC_BAD_PARAMS;
}

GSC_EXPORT(gsc_declare) int32_t declare(gsc_policy_call *call) {
	if (call->kind != GSC_LINEAR || call->in % 4 != 0) return GSC_OK;
	call->pattern = GSC_NEIGHBOURS;
	call->of = 4;
	call->sparsity = 0.5f;
	if (int8 != 0) {
		call->bits = 8;
		call->symmetric = 1;
	}
	return GSC_OK;
}

GSC_EXPORT(gsc_decide) int32_t decide(gsc_policy_call *call) {
	uint64_t step = (uint64_t)call->step_high << 32 | call->step_low, first = (uint64_t)begin, last = (uint64_t)end;
	if (call->pattern != GSC_NEIGHBOURS || step < first) return GSC_OK;
	call->prune = 0.5f;
	call->mask = step == last || (step < last && (step - first) % (uint64_t)every == 0);
	call->quantise = call->bits != 0 && step >= last;
	return GSC_OK;
}
