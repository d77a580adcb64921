// The cross entropy averaged over each sequence first, so that a long one counts no more than a short one.
//
//     ℓ = Σ_t (log Σ_v e^(z_tv) − z_ty)/n over the n scored rows of a sequence        dℓ/dz_tv = (p_tv − [v = y])/n
#include "gsc.h"
#include "gsc_math.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"sequence_mean\", \"version\": \"1.0.0\", \"targets\": \"classes\", \"unit\": \"sequences\"}")

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	(void)params, (void)length;
	return GSC_OK;
}

// row adds a row's loss to total and writes its slopes, each times by.
static void row(const float *z, uint32_t n, int32_t label, float by, float *dz, double *total) {
	float top = gsc_max(z, n);
	double sum = gsc_exp_sum(z, n, top, dz), log_p = z[label] - (gsc_log(sum) + top);
	*total -= log_p * by;
	if (!dz) return;
	gsc_scale(dz, n, (float)(by / sum));
	dz[label] = (float)(by * gsc_expm1(log_p));
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	const int32_t *labels = call->targets;
	uint32_t n = call->classes, length = call->length;
	for (uint32_t sequence = 0; sequence * length < call->rows; sequence++) {
		uint32_t first = sequence * length, scored = 0;
		for (uint32_t t = 0; t < (uint32_t)call->lengths[sequence]; t++) scored += labels[first + t] >= 0;
		double total = 0;
		for (uint32_t t = 0; t < length; t++) {
			size_t at = (size_t)(first + t) * n;
			float *dz = call->gradients ? call->gradients + at : NULL;
			if (labels[first + t] >= 0) row(call->logits + at, n, labels[first + t], 1.0f / scored, dz, &total);
			else if (dz) gsc_zero(dz, n);
		}
		call->values[sequence] = (float)total;
	}
	return GSC_OK;
}
