// @NAME@ is a compression policy for gsc: of the matrices of linear layers a share of the elements is pruned, the least ones, which grows from step to step up to an end, and stays from there on.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"policy\", \"name\": \"@NAME@\", \"version\": \"0.1.0\", "
             "\"params\": \"sparsity: *0.5 | number & >0 & <1, end: *100 | int & >=1\"}")

static double sparsity = 0.5, end = 100;

// init gets the parameters once.
GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	return gsc_number(params, length, "sparsity", &sparsity) && gsc_number(params, length, "end", &end) ? GSC_OK : GSC_BAD_PARAMS;
}

// declare says once what may ever happen to a weight.
GSC_EXPORT(gsc_declare) int32_t declare(gsc_policy_call *call) {
	if (call->kind != GSC_LINEAR || sparsity * call->in * call->out < 1) return GSC_OK;
	call->pattern = GSC_ELEMENTS;
	call->sparsity = (float)sparsity;
	return GSC_OK;
}

// decide says what happens to it at a step.
GSC_EXPORT(gsc_decide) int32_t decide(gsc_policy_call *call) {
	double step = (double)((uint64_t)call->step_high << 32 | call->step_low);
	call->prune = call->sparsity * (float)(step < end ? step / end : 1);
	call->mask = step <= end;
	return GSC_OK;
}
