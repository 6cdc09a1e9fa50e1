/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BASE_IDMAP_H
#define EK_BASE_IDMAP_H

/*
 * A map from 64-bit numbers (inode numbers) to 32-bit ones (places in an
 * array of the caller). Nothing is ever taken out. One thread at a time.
 * A map of zeros is empty; ek_idmap_free() makes it so again.
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ek_idmap_slot;

struct ek_idmap {
	struct ek_idmap_slot *slots;
	size_t n, cap;
};

/* Whether @key is there; then *@value (NULL allowed) is its number. */
bool ek_idmap_find(const struct ek_idmap *map, uint64_t key, uint32_t *value);

/*
 * Add @key, which must not be there yet. @value < 2^32 - 1. EK_LIMIT beyond
 * @limit keys.
 */
ek_status ek_idmap_add(struct ek_idmap *map, uint64_t key, uint32_t value,
		       size_t limit, struct ek_err *err);

void ek_idmap_free(struct ek_idmap *map);

#endif
