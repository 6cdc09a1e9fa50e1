/* SPDX-License-Identifier: Apache-2.0 */
#include "dump/nidset.h"

#include <stdlib.h>

/* nid + 1 must not be 0; no inode can be at this number. */
#define NID_NEVER UINT64_MAX

static size_t place(const uint64_t *slots, size_t cap, uint64_t key)
{
	/* Neighbouring numbers are spread by the golden ratio. */
	size_t i = (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20) &
		   (cap - 1);

	while (slots[i] != 0 && slots[i] != key)
		i = (i + 1) & (cap - 1);
	return i;
}

static ek_status grow(struct nidset *set, struct ek_err *err)
{
	size_t cap = set->cap ? 2 * set->cap : 1024;
	uint64_t *slots = calloc(cap, sizeof(*slots));

	if (!slots)
		return ek_fail(err, EK_NOMEM, "no memory");
	for (size_t i = 0; i < set->cap; i++)
		if (set->slots[i] != 0)
			slots[place(slots, cap, set->slots[i])] = set->slots[i];
	free(set->slots);
	set->slots = slots;
	set->cap = cap;
	return EK_OK;
}

ek_status nidset_add(struct nidset *set, uint64_t nid, bool *fresh,
		     struct ek_err *err)
{
	size_t i;

	*fresh = false;
	if (nid == NID_NEVER)
		return ek_fail(err, EK_CORRUPT, "impossible inode number");
	if (2 * (set->n + 1) > set->cap) {
		ek_status st = grow(set, err);

		if (st != EK_OK)
			return st;
	}
	i = place(set->slots, set->cap, nid + 1);
	if (set->slots[i] == 0) {
		set->slots[i] = nid + 1;
		set->n++;
		*fresh = true;
	}
	return EK_OK;
}

void nidset_free(struct nidset *set)
{
	free(set->slots);
}
