// A quality filter: of texts those stay that are long enough, mostly letters, and do not say the same again and again. The rules are of the kind of those of Gopher (Rae et al.,
// arXiv:2112.11446, appendix A.1.1), on bytes.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"transform\", \"name\": \"quality\", \"version\": \"1.0.0\", \"on\": \"records\", "
             "\"params\": \"bytes: *16 | int & >=0, letters: *0.6 | number & >=0 & <=1, run: *8 | int & >=1\"}")

static double least_bytes = 16, least_letters = 0.6, longest_run = 8;
static uint32_t *origins, origins_room;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	return gsc_number(params, length, "bytes", &least_bytes) && gsc_number(params, length, "letters", &least_letters) && gsc_number(params, length, "run", &longest_run)
	               ? GSC_OK : GSC_BAD_PARAMS;
}

// good says whether a text stays. Spaces count as letters do, and so does what is not ASCII.
static int good(const uint8_t *text, uint32_t n) {
	if (n < least_bytes) return 0;
	uint32_t letters = 0, run = 0, longest = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t c = text[i], low = c | 32;
		letters += (low >= 'a' && low <= 'z') || c == ' ' || c >= 128;
		run = i > 0 && c == text[i - 1] ? run + 1 : 1;
		if (run > longest) longest = run;
	}
	return letters >= least_letters * n && longest <= longest_run;
}

GSC_EXPORT(gsc_transform) int32_t transform(gsc_records_call *call) {
	if (call->unit != 1) return GSC_BAD_INPUT;
	if (call->in.records > origins_room) {
		origins = gsc_allocate(4 * call->in.records);
		if (!origins) return GSC_NO_MEMORY;
		origins_room = call->in.records;
	}
	uint32_t kept = 0;
	for (uint32_t i = 0, from = 0; i < call->in.records; from = call->in.ends[i++])
		if (good((const uint8_t *)call->in.content + from, call->in.ends[i] - from)) origins[kept++] = i;
	call->out.records = kept;
	call->origins = origins;
	return GSC_OK;
}
