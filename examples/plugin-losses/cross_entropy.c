// The cross entropy of a softmax, as a plugin: the twin of gsc's own, to compare with and to begin from.
//
//     ℓ = log Σ_v e^(z_v) − z_y        dℓ/dz_v = e^(z_v − lse) − [v = y]
#include "gsc.h"
#include "gsc_math.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"cross_entropy_twin\", \"version\": \"1.0.0\", \"targets\": \"classes\"}")

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	(void)params, (void)length;
	return GSC_OK;
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	const int32_t *labels = call->targets;
	uint32_t n = call->classes;
	for (uint32_t row = 0; row < call->rows; row++) {
		const float *z = call->logits + (size_t)row * n;
		float *dz = call->gradients ? call->gradients + (size_t)row * n : NULL;
		float top = gsc_max(z, n);
		double total = gsc_exp_sum(z, n, top, dz);
		double log_p = z[labels[row]] - (gsc_log(total) + top);
		call->values[row] = (float)-log_p;
		if (!dz) continue;
		gsc_scale(dz, n, (float)(1 / total));
		dz[labels[row]] = (float)gsc_expm1(log_p); // p_y − 1 loses nothing where p_y is almost 1
	}
	return GSC_OK;
}
