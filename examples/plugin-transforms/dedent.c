// Tabs at the beginning of lines become spaces: so many as a tab is wide, which saves a model from learning two forms of the same.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"transform\", \"name\": \"dedent\", \"version\": \"1.0.0\", \"on\": \"records\", \"params\": \"tabs: *4 | int & >=0 & <=16\"}")

static double tabs = 4;
static uint8_t *text;
static uint32_t *ends, text_room, ends_room;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) { return gsc_number(params, length, "tabs", &tabs) ? GSC_OK : GSC_BAD_PARAMS; }

// room makes sure of so many bytes at a place that grows. What it held is gone.
static int room(void *place, uint32_t *have, uint32_t need) {
	if (need <= *have) return 1;
	*have = need < 1u << 30 ? 2 * need : need;
	*(void **)place = gsc_allocate(*have);
	return *(void **)place != NULL;
}

// write copies a text with its tabs widened, and says how long it came out; without a place to write to it only says so.
static uint32_t write(uint8_t *to, const uint8_t *from, uint32_t n) {
	uint32_t out = 0;
	int start = 1;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t times = start && from[i] == '\t' ? (uint32_t)tabs : 1;
		start = from[i] == '\n' || (start && from[i] == '\t');
		for (; times > 0; times--, out++)
			if (to) to[out] = from[i] == '\t' && start ? ' ' : from[i];
	}
	return out;
}

GSC_EXPORT(gsc_transform) int32_t transform(gsc_records_call *call) {
	const uint8_t *in = call->in.content;
	if (call->unit != 1 || call->in.span_ends) return GSC_BAD_INPUT; // spans would have to move
	uint64_t need = 0;
	for (uint32_t i = 0, from = 0; i < call->in.records; from = call->in.ends[i++]) need += write(NULL, in + from, call->in.ends[i] - from);
	if (need > 0xffffffffu || !room(&text, &text_room, (uint32_t)need) || !room(&ends, &ends_room, 4 * call->in.records)) return GSC_NO_MEMORY;
	uint32_t out = 0;
	for (uint32_t i = 0, from = 0; i < call->in.records; from = call->in.ends[i++]) {
		out += write(text + out, in + from, call->in.ends[i] - from);
		ends[i] = out;
	}
	call->out.content = text;
	call->out.ends = ends;
	return GSC_OK;
}
