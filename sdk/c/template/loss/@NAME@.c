// @NAME@ is a loss for gsc: the cross entropy of a softmax whose logits are divided by a temperature τ.
//
//     ℓ = log Σ_v e^(z_v/τ) − z_y/τ        dℓ/dz_v = (p_v − [v = y])/τ
#include "gsc.h"
#include "gsc_math.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"@NAME@\", \"version\": \"0.1.0\", \"targets\": \"classes\", "
             "\"params\": \"temperature: *1 | number & >0\"}")

static float temperature = 1;
static float *scaled; // a row of logits, divided

// init gets the parameters once.
GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	double value;
	if (!gsc_number(params, length, "temperature", &value) || value < 1e-3) return GSC_BAD_PARAMS;
	temperature = (float)value;
	return GSC_OK;
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	const int32_t *labels = call->targets;
	uint32_t n = call->classes;
	if (!scaled) scaled = gsc_allocate(n * sizeof *scaled); // all calls are of one width
	if (!scaled) return GSC_NO_MEMORY;
	for (uint32_t row = 0; row < call->rows; row++) {
		const float *z = call->logits + (size_t)row * n;
		float *dz = call->gradients ? call->gradients + (size_t)row * n : NULL;
		for (uint32_t v = 0; v < n; v++) scaled[v] = z[v] / temperature;
		float top = gsc_max(scaled, n);
		double total = gsc_exp_sum(scaled, n, top, dz);
		double log_p = scaled[labels[row]] - (gsc_log(total) + top);
		call->values[row] = (float)-log_p;
		if (!dz) continue;
		gsc_scale(dz, n, (float)(1 / (total * temperature)));
		dz[labels[row]] = (float)(gsc_expm1(log_p) / temperature);
	}
	return GSC_OK;
}
