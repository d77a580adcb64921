#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"values\", \"version\": \"1\", \"params\": \"word: *\\\"by\\\" | string, by: *0.5 | number, halve: *true | bool, off: *false | bool, "
	"note: *\\\"<ü>\\\\t\\\\\\\"\\\" | string\", \"targets\": \"values\", \"inputs\": [\"teacher_logits\"]}")

static double by;

static int same(const char *a, const char *b) {
	while (*a && *a == *b) a++, b++;
	return *a == *b;
}

GSC_EXPORT(gsc_init) int32_t init(const char *p, uint32_t length) {
	char room[8];
	int halve = 0, off = 1, none;
	if (gsc_text(p, length, "note", room, 7) != 6 || !same(room, "<ü>\t\"") || gsc_text(p, length, "note", room, 6) != -1) return GSC_BAD_PARAMS;
	if (gsc_text(p, length, "word", room, sizeof room) != 2 || !same(room, "by")) return GSC_BAD_PARAMS;
	if (!gsc_flag(p, length, "halve", &halve) || !halve || !gsc_flag(p, length, "off", &off) || off) return GSC_BAD_PARAMS;
	if (gsc_flag(p, length, "none", &none) || gsc_text(p, length, "none", room, sizeof room) != -1) return GSC_BAD_PARAMS;
	return gsc_number(p, length, "by", &by) ? GSC_OK : GSC_BAD_PARAMS;
}

GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) {
	const float *targets = call->targets, *teacher = call->inputs[0];
	for (uint32_t row = 0; row < call->rows; row++) {
		float sum = 0;
		for (uint32_t v = 0; v < call->classes; v++) {
			size_t i = (size_t)row * call->classes + v;
			float a = call->logits[i] - targets[i], b = call->logits[i] - teacher[i];
			sum += (float)by * (a * a + b * b);
			if (call->gradients) call->gradients[i] = a + b;
		}
		call->values[row] = sum;
	}
	return GSC_OK;
}
