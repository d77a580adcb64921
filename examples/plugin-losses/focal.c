// The focal loss (Lin et al., arXiv:1708.02002): the cross entropy, weighed down where the model is sure already.
//
//     p_v = e^(z_v − lse), q = 1 − p_y:   ℓ = −q^γ·log p_y
//     dℓ/dz_v = (q^γ − γ·q^(γ−1)·p_y·log p_y)·(p_v − [v = y])
#include "gsc.h"
#include "gsc_math.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"focal\", \"version\": \"1.0.0\", \"targets\": \"classes\", "
             "\"params\": \"gamma: *2 | number & >=0 & <=10\"}")

static double gamma_ = 2;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	return gsc_number(params, length, "gamma", &gamma_) && gamma_ >= 0 ? GSC_OK : GSC_BAD_PARAMS;
}

// power is q^y for q in [0, 1]; that of 0 is 0, unless y is 0.
static double power(double q, double y) {
	if (y == 0) return 1;
	if (q < 1e-30) return 0;
	return gsc_exp1((float)(y * gsc_log(q)));
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	const int32_t *labels = call->targets;
	uint32_t n = call->classes;
	for (uint32_t row = 0; row < call->rows; row++) {
		const float *z = call->logits + (size_t)row * n;
		float *dz = call->gradients ? call->gradients + (size_t)row * n : NULL;
		uint32_t y = (uint32_t)labels[row];
		float top = gsc_max(z, n);
		double total = gsc_exp_sum(z, n, top, dz);
		double log_p = z[y] - (gsc_log(total) + top), q = -gsc_expm1(log_p), p = 1 - q;
		double weight = power(q, gamma_);
		call->values[row] = (float)(-weight * log_p);
		if (!dz) continue;
		double slope = gamma_ == 0 ? 1 : weight - (q > 1e-30 ? gamma_ * weight / q : 0) * p * log_p;
		gsc_scale(dz, n, (float)(slope / total));
		dz[y] = (float)(-slope * q);
	}
	return GSC_OK;
}
