// Exact deduplication: of records with the same content the first is kept. Contents are told apart by 128 bits of hash, so that two that differ are taken for the same with a
// probability of n²/2¹²⁹ among n.
#include "gsc.h"

GSC_MANIFEST("{\"abi\": 1, \"kind\": \"transform\", \"name\": \"dedup\", \"version\": \"1.0.0\", \"on\": \"records\", \"order\": \"sequential\"}")

typedef struct { uint64_t a, b; } hash;

// The table is open: a hash stands in the first free place from where its bits say. It grows when it is half full.
static hash *table;
static uint32_t places, used;
static uint32_t *origins, origins_room;

GSC_EXPORT(gsc_init) int32_t init(const char *params, uint32_t length) {
	(void)params, (void)length;
	return GSC_OK;
}

static uint64_t mix(uint64_t z) {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

// hash_of takes eight bytes at a time into two states that differ in all they are multiplied with.
static hash hash_of(const uint8_t *at, uint32_t n) {
	hash h = {mix(n + 0x9e3779b97f4a7c15u), mix(n + 0xd1b54a32d192ed03u)};
	for (; n > 0; at += n < 8 ? n : 8, n -= n < 8 ? n : 8) {
		uint64_t word = 0;
		__builtin_memcpy(&word, at, n < 8 ? n : 8);
		h.a = mix(h.a ^ word) + 0x9e3779b97f4a7c15u;
		h.b = mix(h.b + word * 0xff51afd7ed558ccdu) ^ 0xc4ceb9fe1a85ec53u;
	}
	if (!h.a && !h.b) h.a = 1; // 0 stands for a free place
	return h;
}

// add says whether a hash is new, and keeps it.
static int add(hash h) {
	for (uint32_t i = (uint32_t)h.a & (places - 1);; i = (i + 1) & (places - 1)) {
		if (table[i].a == h.a && table[i].b == h.b) return 0;
		if (!table[i].a && !table[i].b) {
			table[i] = h;
			used++;
			return 1;
		}
	}
}

static int grow(void) {
	hash *old = table;
	uint32_t before = places;
	places = places ? 2 * places : 4096;
	table = gsc_allocate(places * (uint32_t)sizeof *table);
	if (!table) return 0;
	used = 0;
	for (uint32_t i = 0; i < before; i++)
		if (old[i].a || old[i].b) add(old[i]);
	return 1;
}

GSC_EXPORT(gsc_transform) int32_t transform(gsc_records_call *call) {
	if (call->in.records > origins_room) {
		origins = gsc_allocate(4 * call->in.records);
		if (!origins) return GSC_NO_MEMORY;
		origins_room = call->in.records;
	}
	uint32_t kept = 0;
	for (uint32_t i = 0, from = 0; i < call->in.records; from = call->in.ends[i++]) {
		if (2 * used >= places && !grow()) return GSC_NO_MEMORY;
		const uint8_t *content = (const uint8_t *)call->in.content + (size_t)from * call->unit;
		if (add(hash_of(content, (call->in.ends[i] - from) * call->unit))) origins[kept++] = i;
	}
	call->out.records = kept;
	call->origins = origins;
	return GSC_OK;
}
