// The Huber loss (Huber, 1964): squared where a number is near its target, so that few far ones do not rule; averaged over a row's numbers.
//
//     d = z − t:   ℓ = ½d² where |d| ≤ δ, δ·(|d| − ½δ) beyond        dℓ/dz = d, cut to ±δ
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"huber\", \"version\": \"1.0.0\", \"targets\": \"values\", "
             "\"params\": \"delta: *1 | number & >0\"}")

static double delta = 1;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	return gsc_number(params, length, "delta", &delta) && delta > 0 ? GSC_OK : GSC_BAD_PARAMS;
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	const float *targets = call->targets;
	uint32_t n = call->classes;
	for (uint32_t row = 0; row < call->rows; row++) {
		double total = 0;
		for (uint32_t v = 0; v < n; v++) {
			size_t i = (size_t)row * n + v;
			double d = (double)call->logits[i] - targets[i], slope = d > delta ? delta : d < -delta ? -delta : d;
			total += slope * (d - 0.5 * slope);
			if (call->gradients) call->gradients[i] = (float)(slope / n);
		}
		call->values[row] = (float)(total / n);
	}
	return GSC_OK;
}
