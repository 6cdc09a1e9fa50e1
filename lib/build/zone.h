/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BUILD_ZONE_H
#define EK_BUILD_ZONE_H

/*
 * The metadata zone, in memory until the data is written. Places are given
 * out in a fixed way, so that the result depends on the sequence of calls
 * alone. Positions are bytes from the start of the zone; whoever knows where
 * the zone will lie adds that.
 */

#include <erofskit/status.h>
#include "base/bytes.h"

#define EK_ZONE_CHUNK (1u << 20) /* bytes of memory taken at once */
#define EK_ZONE_NONE  UINT32_MAX

struct ek_zone_block {
	uint32_t next, prev; /* in the list of its amount of free space */
	uint16_t used;	     /* units of 32 bytes */
};

struct ek_zone {
	uint32_t bs;
	uint16_t units; /* of 32 bytes in a block: 16 to 128 */
	uint8_t **chunks;
	size_t n_chunks, cap_chunks;
	struct ek_zone_block *block;
	size_t n_blocks, cap_blocks;
	uint64_t inode_end; /* where the last inode ends; set by pend.c */
	/* First block of each list, by free units; 129 as bs <= 4096. */
	uint32_t free_list[129];
	uint64_t free_mask[3];
};

void ek_zone_init(struct ek_zone *zone, uint32_t bs);
void ek_zone_free(struct ek_zone *zone);

/*
 * @n > 0 bytes at a multiple of 32. Up to one block stays within one block,
 * unless @cross allows otherwise; more than one block lies in consecutive
 * ones. EK_LIMIT beyond 2^24 blocks.
 */
ek_status ek_zone_alloc(struct ek_zone *zone, uint64_t n, bool cross,
			uint64_t *pos, struct ek_err *err);

/* @n consecutive whole blocks; @block gets the number of the first. */
ek_status ek_zone_alloc_blocks(struct ek_zone *zone, uint64_t n,
			       uint32_t *block, struct ek_err *err);

/* Write @n bytes at @pos, which were allocated. All others are zero. */
void ek_zone_write(struct ek_zone *zone, uint64_t pos, const void *from,
		   size_t n);

/*
 * The bytes of chunk @i, and in @n how many of them are in the zone; NULL
 * beyond the end.
 */
const uint8_t *ek_zone_chunk(const struct ek_zone *zone, size_t i, size_t *n);

#endif
