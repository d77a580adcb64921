// Direct preference optimisation (Rafailov et al., arXiv:2305.18290, equation 7): of two answers the chosen one is to become likelier than the rejected one, measured
// against a model that stays as it is, the teacher here.
//
//     π(x) = Σ_t log p(x_t), over the scored rows of x; r = β·((π(chosen) − π_ref(chosen)) − (π(rejected) − π_ref(rejected)))
//     ℓ = log(1 + e^(−r))        dℓ/dz_tv = −β/(1 + e^r)·[x chosen: 1, rejected: −1]·([v = x_t] − p_tv)
#include "gsc.h"
#include "gsc_math.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"dpo\", \"version\": \"1.0.0\", \"targets\": \"classes\", \"unit\": \"pairs\", \"inputs\": [\"teacher_logits\"], "
             "\"params\": \"beta: *0.1 | number & >0 & <=10\"}")

static double beta = 0.1;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	return gsc_number(params, length, "beta", &beta) && beta > 0 ? GSC_OK : GSC_BAD_PARAMS;
}

// log_p is the logarithm of the probability of a label, and writes all probabilities to p unless that is NULL.
static double log_p(const float *z, uint32_t n, int32_t label, float *p) {
	float top = gsc_max(z, n);
	double total = gsc_exp_sum(z, n, top, p);
	if (p) gsc_scale(p, n, (float)(1 / total));
	return z[label] - (gsc_log(total) + top);
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	uint32_t n = call->classes, rows = 2 * call->length;
	for (uint32_t pair = 0; pair * rows < call->rows; pair++) {
		size_t first = (size_t)pair * rows;
		const int32_t *labels = (const int32_t *)call->targets + first;
		const float *z = call->logits + first * n, *reference = call->inputs[0] + first * n;
		float *dz = call->gradients ? call->gradients + first * n : NULL;
		double margin = 0;
		for (uint32_t row = 0; row < rows; row++) {
			double sign = row < call->length ? 1 : -1;
			if (labels[row] < 0) continue;
			margin += sign * (log_p(z + (size_t)row * n, n, labels[row], dz ? dz + (size_t)row * n : NULL) - log_p(reference + (size_t)row * n, n, labels[row], NULL));
		}
		double r = beta * margin, small = gsc_exp1((float)(r < 0 ? r : -r)); // e^(−|r|)
		call->values[pair] = (float)((r < 0 ? -r : 0) + gsc_log(1 + small));
		if (!dz) continue;
		double slope = beta * (r < 0 ? 1 / (1 + small) : small / (1 + small));
		for (uint32_t row = 0; row < rows; row++) {
			float *d = dz + (size_t)row * n, by = (float)(row < call->length ? slope : -slope);
			if (labels[row] < 0) {
				gsc_zero(d, n);
				continue;
			}
			gsc_scale(d, n, by);
			d[labels[row]] -= by;
		}
	}
	return GSC_OK;
}
