/* SPDX-License-Identifier: Apache-2.0 */
#include "base/idmap.h"
#include "base/try.h"

struct ek_idmap_slot {
	uint64_t key;
	uint32_t taken; /* value + 1; 0: free */
};

/*
 * Every bit of the key reaches every bit of the place (the finisher of
 * splitmix64), so that neighbouring numbers spread out.
 */
static size_t place_of(uint64_t key, size_t cap)
{
	key ^= key >> 30;
	key *= UINT64_C(0xbf58476d1ce4e5b9);
	key ^= key >> 27;
	key *= UINT64_C(0x94d049bb133111eb);
	key ^= key >> 31;
	return (size_t)key & (cap - 1);
}

static struct ek_idmap_slot *probe(const struct ek_idmap *map, uint64_t key)
{
	size_t i = place_of(key, map->cap);

	while (map->slots[i].taken && map->slots[i].key != key)
		i = (i + 1) & (map->cap - 1);
	return &map->slots[i];
}

bool ek_idmap_find(const struct ek_idmap *map, uint64_t key, uint32_t *value)
{
	const struct ek_idmap_slot *slot;

	if (!map->cap)
		return false;
	slot = probe(map, key);
	if (!slot->taken)
		return false;
	if (value)
		*value = slot->taken - 1;
	return true;
}

static ek_status grow(struct ek_idmap *map, struct ek_err *err)
{
	struct ek_idmap bigger = {.n = map->n,
				  .cap = map->cap ? map->cap * 2 : 64};
	size_t i;

	if (bigger.cap < map->cap)
		return ek_fail(err, EK_NOMEM, "a map of %zu keys", map->n);
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ek_fail(err, EK_NOMEM, "a map of %zu keys", map->n);
	for (i = 0; i < map->cap; i++)
		if (map->slots[i].taken)
			*probe(&bigger, map->slots[i].key) = map->slots[i];
	free(map->slots);
	*map = bigger;
	return EK_OK;
}

ek_status ek_idmap_add(struct ek_idmap *map, uint64_t key, uint32_t value,
		       size_t limit, struct ek_err *err)
{
	struct ek_idmap_slot *slot;

	if (map->n >= limit)
		return ek_fail(err, EK_LIMIT, "more than %zu keys", limit);
	/* At most three quarters full, so that probes stay short. */
	if (map->n >= map->cap / 4 * 3)
		EK_TRY(grow(map, err));
	slot = probe(map, key);
	EK_BUG_ON(slot->taken || value == UINT32_MAX);
	slot->key = key;
	slot->taken = value + 1;
	map->n++;
	return EK_OK;
}

void ek_idmap_free(struct ek_idmap *map)
{
	free(map->slots);
	*map = (struct ek_idmap){0};
}
