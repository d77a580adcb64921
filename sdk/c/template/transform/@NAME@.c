// @NAME@ is a transform for gsc: texts lose the white space at both their ends, and those are left out that then are shorter than a few bytes.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"transform\", \"name\": \"@NAME@\", \"version\": \"0.1.0\", \"on\": \"records\", "
             "\"params\": \"bytes: *1 | int & >=0\"}")

static double least = 1;

// What comes out of a batch, which is never longer than what goes in.
static uint8_t *text;
static uint32_t *ends, *origins, text_room, records_room;

// init gets the parameters once.
GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) { return gsc_number(params, length, "bytes", &least) ? GSC_OK : GSC_BAD_PARAMS; }

// make_room makes sure of room for so many records of so many bytes together. It is never freed, so that it grows by half again at least.
static int make_room(uint32_t records, uint32_t bytes) {
	if (bytes > text_room) {
		text_room = bytes + bytes / 2;
		text = gsc_allocate(text_room);
	}
	if (records > records_room) {
		records_room = records + records / 2;
		ends = gsc_allocate(4 * records_room);
		origins = gsc_allocate(4 * records_room);
	}
	return (text || !text_room) && ((ends && origins) || !records_room);
}

static int blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

GSC_EXPORT(gsc_transform) int32_t transform(gsc_records_call *call) {
	if (call->unit != 1 || call->in.span_ends) return GSC_BAD_INPUT; // ids are no text, and spans would have to move
	const uint8_t *in = call->in.content;
	uint32_t n = call->in.records, out = 0, bytes = 0;
	if (!make_room(n, n ? call->in.ends[n - 1] : 0)) return GSC_NO_MEMORY;
	for (uint32_t i = 0, from = 0, to; i < n; from = call->in.ends[i++]) {
		for (to = call->in.ends[i]; from < to && blank(in[to - 1]); to--) {}
		for (; from < to && blank(in[from]); from++) {}
		if (to - from < least) continue;
		for (; from < to; from++) text[bytes++] = in[from];
		ends[out] = bytes;
		origins[out++] = i;
	}
	call->out.records = out;
	call->out.content = text;
	call->out.ends = ends;
	call->origins = origins;
	return GSC_OK;
}
