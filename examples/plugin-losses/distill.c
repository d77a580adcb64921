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

// log_sum is log Σ e^(x·by).
static double log_sum(const float *x, uint32_t n, float by) {
	float top = gsc_max(x, n);
	return gsc_log(gsc_exp_sum_by(x, n, top, by, NULL)) + (double)top * by;
}

// soften is Σ t·(log t − log s), and writes by·(s − t) + rest·p to slopes unless that is NULL. The three logarithms are those of the sums that make s, t and p of z and teacher;
// two of them are the same in all terms, and are put in as doubles behind the sum.
static double soften(const float *z, const float *teacher, uint32_t n, float cool, double student, double taught, double hard, float by, float rest, float *slopes) {
	v128_t all_s = wasm_f32x4_splat((float)student), all_t = wasm_f32x4_splat((float)taught), all_p = wasm_f32x4_splat((float)hard), c = wasm_f32x4_splat(cool);
	double total = 0;
	uint32_t i = 0;
	for (uint32_t end; i + 4 <= n;) {
		v128_t sum = wasm_f32x4_splat(0);
		for (end = i + 512 < n ? i + 512 : n; i + 4 <= end; i += 4) {
			v128_t x = wasm_v128_load(z + i), y = wasm_v128_load(teacher + i), t = gsc_exp4(wasm_f32x4_sub(wasm_f32x4_mul(y, c), all_t));
			sum = wasm_f32x4_add(sum, wasm_f32x4_mul(t, wasm_f32x4_mul(wasm_f32x4_sub(y, x), c)));
			if (!slopes) continue;
			v128_t s = gsc_exp4(wasm_f32x4_sub(wasm_f32x4_mul(x, c), all_s)), p = gsc_exp4(wasm_f32x4_sub(x, all_p));
			v128_t soft = wasm_f32x4_mul(wasm_f32x4_sub(s, t), wasm_f32x4_splat(by));
			wasm_v128_store(slopes + i, wasm_f32x4_add(soft, wasm_f32x4_mul(p, wasm_f32x4_splat(rest))));
		}
		total += gsc_lanes(sum);
	}
	for (; i < n; i++) {
		float t = gsc_exp1(teacher[i] * cool - (float)taught);
		total += t * ((teacher[i] - z[i]) * cool);
		if (slopes) slopes[i] = by * (gsc_exp1(z[i] * cool - (float)student) - t) + rest * gsc_exp1(z[i] - (float)hard);
	}
	return total + student - taught;
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	const int32_t *labels = call->targets;
	uint32_t n = call->classes;
	float cool = (float)(1 / temperature), rest = (float)(1 - alpha);
	for (uint32_t row = 0; row < call->rows; row++) {
		const float *z = call->logits + (size_t)row * n, *teacher = call->inputs[0] + (size_t)row * n;
		float *dz = call->gradients ? call->gradients + (size_t)row * n : NULL;
		double hard = log_sum(z, n, 1);
		double apart = soften(z, teacher, n, cool, log_sum(z, n, cool), log_sum(teacher, n, cool), hard, (float)(alpha * temperature), rest, dz);
		call->values[row] = (float)(alpha * temperature * temperature * apart + rest * (hard - z[labels[row]]));
		if (dz) dz[labels[row]] -= rest;
	}
	return GSC_OK;
}
