// gsc.h: what a plugin in C needs of gsc's ABI, version 1 (Go package plugins/abi is its definition).
//
// A loss is one file that includes this one, states its manifest, and defines two functions:
//
//     #include "gsc.h"
//     GSC_MANIFEST("{\"abi\": 1, \"kind\": \"loss\", \"name\": \"mine\", \"version\": \"1.0.0\", \"targets\": \"classes\"}")
//     GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) { return GSC_OK; }
//     GSC_EXPORT(gsc_loss) int32_t loss(const gsc_loss_call *call) { ... return GSC_OK; }
//
// A transform does so with gsc_transform, whose argument is a gsc_records_call or a gsc_rows_call, as the manifest says:
//
//     GSC_MANIFEST("{\"abi\": 1, \"kind\": \"transform\", \"name\": \"mine\", \"version\": \"1.0.0\", \"on\": \"records\"}")
//     GSC_EXPORT(gsc_transform) int32_t transform(gsc_records_call *call) { ... return GSC_OK; }
//
// It is built without a C library:
//
//     clang --target=wasm32 -O3 -msimd128 -mbulk-memory -ffreestanding -nostdlib -Wl,--no-entry -I sdk/c -o mine.wasm mine.c
//
// or with one (Debian: wasi-libc), whose memory then is where gsc_allocate takes from; what it prints stands in gsc's log:
//
//     clang --target=wasm32-wasi -mexec-model=reactor -O3 -msimd128 -mbulk-memory -nodefaultlibs -I sdk/c -o mine.wasm mine.c -lc
#ifndef GSC_H
#define GSC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __wasm__
#define GSC_EXPORT(name) __attribute__((export_name(#name), visibility("default")))
#else // the same source compiled for another processor, to time or to debug it
#define GSC_EXPORT(name)
#endif

// What calls return: GSC_OK, or why not.
enum { GSC_OK = 0, GSC_BAD_PARAMS = 1, GSC_BAD_INPUT = 2, GSC_NO_MEMORY = 3, GSC_FAILED = 4 };

// gsc_loss_call is a chunk of units, which are rows unless the manifest says "unit": "sequences" or "pairs". What it points to belongs to gsc and is there during the call alone.
typedef struct {
	uint32_t rows, classes;
	const float *logits;    // [rows × classes]
	const void *targets;    // int32_t [rows], each in [0, classes), or -1 in units where a row is not scored; or float [rows × classes], as the manifest says
	const float *weights;   // [rows], for information: gsc applies them itself; NULL: all are 1
	float *values;          // out: one for each unit
	float *gradients;       // out: [rows × classes], of each unit's value by its logits; NULL: not asked for
	uint32_t length;        // rows of a sequence; a pair has two sequences, the chosen one first; 1 where units are rows
	const int32_t *lengths; // of each sequence, up to the last row that is scored; NULL where units are rows
	const float *const *inputs; // as many as the manifest names, each [rows × classes]; NULL where it names none
} gsc_loss_call;

// gsc_span is a tagged part of a record; its places count from the record's beginning.
typedef struct {
	uint32_t from, to, name; // name is a number of the batch's table
} gsc_span;

// gsc_columns are records, in columns. Record i's content goes from ends[i-1] (0 for the first) to ends[i]; labels, numbers and spans have ends of their own.
typedef struct {
	uint32_t records;
	const void *content;       // uint8_t, or int32_t where records are token ids
	const uint32_t *ends;      // [records]
	uint32_t name_count;
	const char *names;         // a table of names, one after the other, in UTF-8
	const uint32_t *name_ends; // [name_count]
	const uint32_t *labels;    // numbers of names
	const uint32_t *label_ends;
	const double *numbers;
	const uint32_t *number_ends;
	const gsc_span *spans;     // ascending within a record
	const uint32_t *span_ends; // [records]
} gsc_columns;

// gsc_records_call is a batch of records. What in points to belongs to gsc. out begins as in.records records and nothing else, which says: all records, as they are.
// A filter sets out.records and origins alone. Whoever writes content sets out.content, out.ends and, unless there is one record for each, origins.
typedef struct {
	gsc_columns in;
	uint32_t unit;           // bytes of an element of content: 1, or 4 where records are token ids
	const uint64_t *seeds;   // [in.records]
	gsc_columns out;
	const uint32_t *origins; // out: [out.records], the record that each is made of; never descending
} gsc_records_call;

// gsc_rows_call is rows of tokens, which a transform changes where they stand. Of row i the first valid[i] tokens count.
typedef struct {
	uint32_t rows, length, vocabulary, outputs; // tokens are below vocabulary, labels below outputs
	int32_t ignore;             // the label that is not scored
	int32_t *tokens;            // [rows × length]
	int32_t *labels;            // [rows × labels_a_row]; NULL: labels are numbers, which transforms do not see
	uint32_t labels_a_row;      // length, 1 or 0
	float *weights;             // like labels, or [rows]; NULL: all are 1
	int32_t *types;             // [rows × length]; NULL: there are none
	const int32_t *segments;    // [rows × length]: the document of each token, from 1; NULL: a row is one
	const int32_t *valid;       // [rows]
	const uint64_t *seeds;      // [rows]
} gsc_rows_call;

// gsc_random gives the next 64 bits of a stream that begins with a seed (SplitMix64: Steele, Lea and Flood, OOPSLA 2014, section 5).
static inline uint64_t gsc_random(uint64_t *state) {
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

// gsc_uniform gives a number in [0, 1).
static inline double gsc_uniform(uint64_t *state) { return (double)(gsc_random(state) >> 11) * 0x1p-53; }

// gsc_policy_call asks a compression policy about a weight. gsc_declare sets the members under "declared", gsc_decide those under "decided"; both find 0 there, and gsc_decide what was declared.
typedef struct {
	const char *name;
	uint32_t name_bytes;
	uint32_t kind;                          // GSC_LINEAR or GSC_TABLE
	uint32_t in, out, heads;                // each of out outputs is a sum over in elements; heads of attention, 0: none
	uint32_t step_low, step_high;           // from 1; 0 in gsc_declare
	uint32_t steps_low, steps_high;         // of the run; 0 in gsc_declare
	float rms;                              // root of the mean square of its elements behind the last update; 0 before the first
	uint32_t pattern, of;                   // declared: GSC_NONE, … GSC_HEADS; neighbours that are pruned among themselves
	float sparsity;                         // declared: the largest share that is ever pruned
	uint32_t bits, group, symmetric;        // declared: 8, 4 or 0; neighbours that share a scale, 0: all of an output's; 1: no zero points
	float prune;                            // decided: the share that is pruned
	uint32_t mask, quantise;                // decided: 1: the mask is made anew; the weight is rounded
} gsc_policy_call;

enum { GSC_LINEAR = 0, GSC_TABLE = 1 };
enum { GSC_NONE = 0, GSC_ELEMENTS = 1, GSC_NEIGHBOURS = 2, GSC_ROWS = 3, GSC_HEADS = 4 };

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

#ifdef __wasi__
#include <stdlib.h>
#include <string.h>
#endif

#ifdef __wasm__
extern unsigned char __heap_base;

// gsc_allocate gives zeroed memory that is never freed, aligned to 16 bytes; NULL when there is no more.
static void *gsc_allocate(uint32_t bytes) {
#ifdef __wasi__
	void *room = bytes > 0xfffffff0u ? NULL : aligned_alloc(16, (bytes + 15) & ~15u);
	return room ? memset(room, 0, bytes) : NULL;
#else
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
#endif
}

GSC_EXPORT(gsc_alloc) void *gsc_alloc_export(uint32_t bytes) { return gsc_allocate(bytes); }
#endif

// The parameters are a JSON object, each of whose members the manifest's schema has made sure of, and in which its defaults are filled in. What follows reads numbers, bools and texts of it.

// gsc_member is where the value of a member begins; NULL where there is none by that name.
static inline const char *gsc_member(const char *params, uint32_t length, const char *name) {
	const char *end = params + length;
	int depth = 0;
	for (const char *at = params; at < end; at++) {
		if (*at == '{' || *at == '[') depth++;
		if (*at == '}' || *at == ']') depth--;
		if (*at != '"') continue;
		const char *word = ++at;
		for (; at < end && *at != '"'; at++) at += *at == '\\';
		uint32_t k = 0;
		while (word + k < at && name[k] && name[k] == word[k]) k++;
		if (depth != 1 || word + k != at || name[k]) continue;
		const char *value = at + 1;
		while (value < end && (*value == ' ' || *value == '\t' || *value == '\r' || *value == '\n')) value++;
		if (value >= end || *value != ':') continue;
		for (value++; value < end && (*value == ' ' || *value == '\t' || *value == '\r' || *value == '\n'); value++);
		return value < end ? value : NULL;
	}
	return NULL;
}

// gsc_number reads a number. It returns 1 where the member is there.
static inline int gsc_number(const char *params, uint32_t length, const char *name, double *value) {
	const char *at = gsc_member(params, length, name), *end = params + length;
	if (!at) return 0;
	static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}; // all exact
	uint64_t digits = 0; // the first of them: with up to 15, and a power that is exact, one operation rounds them right
	int scale = 0, point = 0, exponent = 0, minus = *at == '-', negative = 0;
	for (at += minus; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && !point)); at++) {
		if (*at == '.') {
			point = 1;
		} else if (digits < 100000000000000000ull) {
			digits = digits * 10 + (uint64_t)(*at - '0');
			scale -= point;
		} else {
			scale += !point;
		}
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '-' || *at == '+')) negative = *at++ == '-';
		for (; at < end && *at >= '0' && *at <= '9' && exponent < 1000; at++) exponent = exponent * 10 + (*at - '0');
	}
	scale += negative ? -exponent : exponent;
	double number = (double)digits;
	for (; scale > 0 && number > 0; scale -= scale < 22 ? scale : 22) number *= powers[scale < 22 ? scale : 22];
	for (; scale < 0 && number > 0; scale += -scale < 22 ? -scale : 22) number /= powers[-scale < 22 ? -scale : 22];
	*value = minus ? -number : number;
	return 1;
}

// gsc_flag reads a bool. It returns 1 where the member is there.
static inline int gsc_flag(const char *params, uint32_t length, const char *name, int *value) {
	const char *at = gsc_member(params, length, name);
	if (at) *value = *at == 't';
	return at != NULL;
}

// gsc_unit is the 16-bit unit of four hexadecimal digits.
static inline uint32_t gsc_unit(const char *at) {
	uint32_t unit = 0;
	for (int k = 0; k < 4; k++) unit = unit << 4 | (at[k] <= '9' ? at[k] - '0' : (at[k] | 32) - 'a' + 10);
	return unit;
}

// gsc_text copies a text, in UTF-8 and with a zero behind it. It returns its length without that, or −1 where the member is not there or there is no room for it.
static inline int32_t gsc_text(const char *params, uint32_t length, const char *name, char *to, uint32_t room) {
	const char *at = gsc_member(params, length, name), *end = params + length;
	if (!at || *at++ != '"') return -1;
	uint32_t n = 0;
	while (at < end && *at != '"') {
		uint32_t c = (uint8_t)*at++, bytes = 1;
		if (c == '\\' && at < end) {
			switch (c = (uint8_t)*at++) {
			case 'b': c = '\b'; break;
			case 'f': c = '\f'; break;
			case 'n': c = '\n'; break;
			case 'r': c = '\r'; break;
			case 't': c = '\t'; break;
			case 'u':
				if (end - at < 4) return -1;
				c = gsc_unit(at), at += 4;
				uint32_t second = end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? gsc_unit(at + 2) : 0;
				if (c >> 10 == 0xd800 >> 10 && second >> 10 == 0xdc00 >> 10) c = 0x10000 + ((c & 0x3ff) << 10 | (second & 0x3ff)), at += 6;
				else if (c >> 11 == 0xd800 >> 11) c = 0xfffd; // half of a pair
				bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
			}
		}
		if (n + bytes >= room) return -1;
		static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
		to[n++] = (char)(bytes == 1 ? c : lead[bytes] | c >> 6 * (bytes - 1));
		while (--bytes) to[n++] = (char)(0x80 | (c >> 6 * (bytes - 1) & 0x3f));
	}
	if (room == 0) return -1;
	to[n] = 0;
	return (int32_t)n;
}

#endif
