// gsc.h: what a plugin in C needs of gsc's ABI, version 1 (Go package plugins/abi is its definition).
//
// A loss is one file that includes this one, states its manifest, and defines two functions:
//
//     #include "gsc.h"
//     GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"mine\", \"version\": \"1.0.0\", \"targets\": \"classes\"}")
//     GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) { return GSC_OK; }
//     GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) { ... return GSC_OK; }
//
// It is built without a C library:
//
//     clang --target=wasm32 -O3 -msimd128 -mbulk-memory -ffreestanding -nostdlib -Wl,--no-entry -I sdk/c -o mine.wasm mine.c
#ifndef GSC_H
#define GSC_H

#include <stddef.h>
#include <stdint.h>

#define GSC_EXPORT(name) __attribute__((export_name(#name), visibility("default")))

// What calls return: GSC_OK, or why not.
enum { GSC_OK = 0, GSC_BAD_PARAMS = 1, GSC_BAD_INPUT = 2, GSC_NO_MEMORY = 3, GSC_FAILED = 4 };

// gsc_loss_call is a chunk of rows. What it points to belongs to gsc and is there during the call alone.
typedef struct {
	uint32_t rows, classes;
	const float *logits;    // [rows × classes]
	const void *targets;    // int32_t [rows], each in [0, classes); or float [rows × classes], as the manifest says
	const float *weights;   // [rows], for information: gsc applies them itself; NULL: all are 1
	float *values;          // out: [rows]
	float *gradients;       // out: [rows × classes], of each row's value by its logits; NULL: not asked for
} gsc_loss_call;

// gsc_codec_call is a run of a gradient, or its code, for a codec: a policy that defines gsc_code_bytes(n), gsc_encode(call) and gsc_decode(call), and states a
// contraction in its manifest. What it points to belongs to gsc and is there during the call alone.
typedef struct {
	uint32_t numbers;
	float *values;   // [numbers]; out for gsc_decode
	uint8_t *code;   // room for gsc_code_bytes(numbers); out for gsc_encode
	uint32_t bytes;  // of the code; out for gsc_encode
} gsc_codec_call;

// GSC_MANIFEST exports a text as the plugin's manifest.
#define GSC_MANIFEST(text)                                                         \
	GSC_EXPORT(gsc_manifest) uint64_t gsc_manifest_export(void) {                  \
		static const char manifest[] = text;                                       \
		return (uint64_t)(sizeof manifest - 1) << 32 | (uint32_t)(uintptr_t)manifest; \
	}

extern unsigned char __heap_base;

// gsc_allocate gives zeroed memory that is never freed, aligned to 16 bytes; NULL when there is no more.
static void *gsc_allocate(uint32_t bytes) {
	static uint64_t next = 0;
	if (next == 0) next = ((uint32_t)(uintptr_t)&__heap_base + 15) & ~15u;
	uint64_t end = (next + bytes + 15) & ~(uint64_t)15;
	uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
	if (end > have) {
		uint64_t pages = (end - have + 65535) >> 16;
		if (end > 0xffffffffu || __builtin_wasm_memory_grow(0, (uint32_t)pages) == (size_t)-1) return NULL;
	}
	void *at = (void *)(uintptr_t)next;
	next = end;
	return at;
}

GSC_EXPORT(gsc_alloc) void *gsc_alloc_export(uint32_t bytes) { return gsc_allocate(bytes); }

// gsc_number reads a number of the parameters, which are a flat JSON object, each of whose members the manifest's schema has made sure of.
// It returns 1 where the member is there.
static inline int gsc_number(const char *params, uint32_t length, const char *name, double *value) {
	for (uint32_t i = 0; i < length; i++) {
		if (params[i] != '"') continue;
		uint32_t k = 0;
		while (i + 1 + k < length && name[k] && params[i + 1 + k] == name[k]) k++;
		if (name[k] || i + 1 + k >= length || params[i + 1 + k] != '"') continue;
		i += k + 2;
		while (i < length && (params[i] == ' ' || params[i] == ':')) i++;
		double sign = 1, number = 0, place = 1;
		int exponent = 0, negative = 0;
		if (i < length && params[i] == '-') { sign = -1; i++; }
		for (; i < length && params[i] >= '0' && params[i] <= '9'; i++) number = number * 10 + (params[i] - '0');
		if (i < length && params[i] == '.')
			for (i++; i < length && params[i] >= '0' && params[i] <= '9'; i++) number += (params[i] - '0') * (place /= 10);
		if (i < length && (params[i] == 'e' || params[i] == 'E')) {
			i++;
			if (i < length && (params[i] == '-' || params[i] == '+')) negative = params[i++] == '-';
			for (; i < length && params[i] >= '0' && params[i] <= '9' && exponent < 1000; i++) exponent = exponent * 10 + (params[i] - '0');
		}
		for (; exponent > 0; exponent--) number = negative ? number / 10 : number * 10;
		*value = sign * number;
		return 1;
	}
	return 0;
}

#endif
