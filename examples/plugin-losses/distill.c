// Distillation (Hinton et al., arXiv:1503.02531, section 2): the student learns the teacher's probabilities, softened by a temperature τ, beside the labels.
//
//     s = softmax(z/τ), t = softmax(teacher/τ), p = softmax(z):   ℓ = α·τ²·Σ_v t_v·(log t_v − log s_v) − (1 − α)·log p_y
//     dℓ/dz_v = α·τ·(s_v − t_v) + (1 − α)·(p_v − [v = y])
#include "gsc.h"
#include "gsc_math.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"distill\", \"version\": \"1.0.0\", \"targets\": \"classes\", \"inputs\": [\"teacher_logits\"], "
             "\"params\": \"temperature: *2 | number & >0 & <=100, alpha: *0.5 | number & >=0 & <=1\"}")

static double temperature = 2, alpha = 0.5;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	int both = gsc_number(params, length, "temperature", &temperature) && gsc_number(params, length, "alpha", &alpha);
	return both && temperature > 0 && alpha >= 0 && alpha <= 1 ? GSC_OK : GSC_BAD_PARAMS;
}

// log_sum is log Σ e^(x/τ).
static double log_sum(const float *x, uint32_t n, float by) {
	float top = gsc_max(x, n);
	double total = 0;
	for (uint32_t v = 0; v < n; v++) total += gsc_exp1((x[v] - top) * by);
	return gsc_log(total) + (double)top * by;
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	const int32_t *labels = call->targets;
	uint32_t n = call->classes;
	float by = (float)(1 / temperature);
	double soft = alpha * temperature * temperature, slope = alpha * temperature;
	for (uint32_t row = 0; row < call->rows; row++) {
		const float *z = call->logits + (size_t)row * n, *teacher = call->inputs[0] + (size_t)row * n;
		float *dz = call->gradients ? call->gradients + (size_t)row * n : NULL;
		double hard = log_sum(z, n, 1), student = log_sum(z, n, by), taught = log_sum(teacher, n, by), apart = 0;
		for (uint32_t v = 0; v < n; v++) {
			double log_t = (double)teacher[v] * by - taught, log_s = (double)z[v] * by - student, t = gsc_exp1((float)log_t);
			apart += t * (log_t - log_s);
			if (!dz) continue;
			dz[v] = (float)(slope * (gsc_exp1((float)log_s) - t) + (1 - alpha) * gsc_exp1((float)(z[v] - hard)));
		}
		call->values[row] = (float)(soft * apart + (1 - alpha) * (hard - z[labels[row]]));
		if (dz) dz[labels[row]] -= (float)(1 - alpha);
	}
	return GSC_OK;
}
