// Times a plugin's loss, compiled for the processor itself: main ROWS CLASSES prints the least nanoseconds an element of several rounds over all rows, one row a call.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include SOURCE

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
	if (argc != 3) return 2;
	size_t rows = strtoul(argv[1], NULL, 10), classes = strtoul(argv[2], NULL, 10);
	float *logits = aligned_alloc(64, (rows * classes * 4 + 63) & ~(size_t)63), *gradients = aligned_alloc(64, (rows * classes * 4 + 63) & ~(size_t)63), value, total = 0;
	if (!logits || !gradients) return 1;
	uint32_t state = 1;
	for (size_t i = 0; i < rows * classes; i++) {
		state = state * 1664525 + 1013904223;
		logits[i] = (float)(state >> 8) / (1 << 22) - 2;
		gradients[i] = 0;
	}
	double least = 1e300;
	for (int round = 0; round < 3; round++) {
		double start = now();
		for (size_t row = 0; row < rows; row++) {
			int32_t label = (int32_t)(row * 7919 % classes);
			gsc_loss_call call = {.rows = 1, .classes = (uint32_t)classes, .logits = logits + row * classes, .targets = &label, .values = &value, .gradients = gradients + row * classes, .length = 1};
			if (loss(&call) != GSC_OK) return 1;
			total += value;
		}
		double took = now() - start;
		if (took < least) least = took;
	}
	printf("%.4f %g\n", least / ((double)rows * (double)classes), total);
	return 0;
}
