/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_STORE_LAYOUT_H
#define EKD_STORE_LAYOUT_H

/*
 * The bytes of the files `map` and `meta`: pure, no I/O. Whatever they are
 * given, they read nothing beyond it.
 *
 * A map file is two slots of equal size; the one with the higher sequence
 * number that is whole counts, and the other is written next. So it is always
 * written over blocks that the file has: a full disk cannot hinder it.
 * A slot is pages of 4096 bytes, a header and then the bits (4080 bytes a page,
 * leaf 0 in bit 0 of byte 0). Each ends with the sequence number (so that pages
 * of two writes never pass as one), its own number, and a CRC32C.
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EKD_MAP_PAGE	4096u
#define EKD_MAP_PAYLOAD 4080u
#define EKD_GENERATION	16u

struct ekd_map {
	uint64_t seq;
	uint64_t blob_size;
	uint32_t leaf_size;
	uint32_t n; /* leaves */
	uint8_t root[32];
	/* Of the blob's directory and of the data file that the bits tell of.
	 */
	uint8_t generation[EKD_GENERATION];
	uint64_t inode;
	int64_t ctime_s;
	uint32_t ctime_ns;
};

uint32_t ekd_crc32c(const uint8_t *bytes, size_t n);

/* Bytes of one slot for @n leaves. */
size_t ekd_map_slot_size(uint32_t n);
/* Bytes of the bits of @n leaves. */
static inline size_t ekd_map_bytes(uint32_t n)
{
	return (size_t)n / 8 + (n % 8 != 0);
}

/* Write a slot to @to. @bits beyond map->n are zero. */
void ekd_map_encode(const struct ekd_map *map, const uint8_t *bits,
		    uint8_t *to);
/*
 * Read a slot of @size bytes that is for @n leaves; @bits has room for
 * ekd_map_bytes(n). EK_CORRUPT: torn, damaged, or for another number.
 */
ek_status ekd_map_decode(const uint8_t *slot, size_t size, uint32_t n,
			 struct ekd_map *map, uint8_t *bits,
			 struct ek_err *err);

/* Whether a blob may be called so: see ekd_blob_open(). */
bool ekd_good_name(const char *name);

struct ekd_meta {
	char name[129];
	uint64_t blob_size;
	uint32_t leaf_size;
	uint8_t root[32];
	uint8_t generation[EKD_GENERATION];
	const char *recipe; /* recipe_size bytes, without NUL */
	size_t recipe_size;
};

/* Most bytes of a meta file. */
#define EKD_META_MAX ((64u << 10) + 1024u)

/*
 * Write at most EKD_META_MAX bytes to @to; returns how many. Name and recipe
 * are within their limits.
 */
size_t ekd_meta_encode(const struct ekd_meta *meta, char *to);
/*
 * Read what ekd_meta_encode() writes and nothing else: EK_CORRUPT. The recipe
 * is a view into @text.
 */
ek_status ekd_meta_decode(const char *text, size_t size, struct ekd_meta *meta,
			  struct ek_err *err);

#endif
