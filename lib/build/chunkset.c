/* SPDX-License-Identifier: Apache-2.0 */
#include "build/chunkset.h"

#include "base/try.h"
#include "base/vec.h"

#include <string.h>

#define FREE	    UINT32_MAX
#define FIRST_SLOTS 1024u
/* Slots are numbers of 32 bits, and half of them are free. */
#define CHUNKS_MAX (UINT32_C(1) << 30)

struct known {
	uint8_t sha256[32];
	uint32_t len, block;
};

struct ek_chunkset {
	struct known *known;
	size_t n, cap;
	uint32_t *slots; /* of known, open addressing */
	size_t n_slots;	 /* a power of two */
};

static ek_status make_slots(struct ek_chunkset *set, size_t n,
			    struct ek_err *err)
{
	uint32_t *slots = malloc(n * sizeof(*slots));

	if (!slots)
		return ek_fail(err, EK_NOMEM, "no memory for %zu chunks", n);
	memset(slots, 0xff, n * sizeof(*slots));
	free(set->slots);
	set->slots = slots;
	set->n_slots = n;
	return EK_OK;
}

ek_status ek_chunkset_new(struct ek_chunkset **set, struct ek_err *err)
{
	ek_status status;

	*set = calloc(1, sizeof(**set));
	if (!*set)
		return ek_fail(err, EK_NOMEM, "no memory for chunks");
	status = make_slots(*set, FIRST_SLOTS, err);
	if (status != EK_OK) {
		free(*set);
		*set = NULL;
	}
	return status;
}

void ek_chunkset_free(struct ek_chunkset *set)
{
	if (!set)
		return;
	free(set->known);
	free(set->slots);
	free(set);
}

/* The digest is as good as random: any part of it is a hash. */
static uint32_t *slot_of(const struct ek_chunkset *set, const uint8_t *sha256,
			 uint32_t len)
{
	size_t i = ek_get_le32(sha256) & (set->n_slots - 1);

	for (;; i = (i + 1) & (set->n_slots - 1)) {
		const struct known *k;

		if (set->slots[i] == FREE)
			return &set->slots[i];
		k = &set->known[set->slots[i]];
		if (k->len == len && memcmp(k->sha256, sha256, 32) == 0)
			return &set->slots[i];
	}
}

static ek_status room(struct ek_chunkset *set, struct ek_err *err)
{
	EK_TRY(ek_vec_grow(&set->known, set->n, &set->cap, sizeof(*set->known),
			   CHUNKS_MAX, err));
	if (set->n < set->n_slots / 2)
		return EK_OK;
	EK_TRY(make_slots(set, set->n_slots * 2, err));
	for (size_t i = 0; i < set->n; i++)
		*slot_of(set, set->known[i].sha256, set->known[i].len) =
			(uint32_t)i;
	return EK_OK;
}

ek_status ek_chunkset_find(struct ek_chunkset *set,
			   const struct ek_chunk_sum *sum, uint32_t *block,
			   bool *fresh, struct ek_err *err)
{
	struct known *k;
	uint32_t *slot;

	EK_TRY(room(set, err));
	slot = slot_of(set, sum->sha256, sum->len);
	*fresh = *slot == FREE;
	if (!*fresh) {
		*block = set->known[*slot].block;
		return EK_OK;
	}
	*slot = (uint32_t)set->n;
	k = &set->known[set->n++];
	memcpy(k->sha256, sum->sha256, 32);
	k->len = sum->len;
	k->block = *block;
	return EK_OK;
}
