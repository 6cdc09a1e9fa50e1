/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DUMP_RANGES_H
#define DUMP_RANGES_H

/* A set of ranges of blocks. Zero it to start. */

#include <erofskit/status.h>

#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t start, end; /* blocks, end is beyond the last one */
};

struct ranges {
	struct range *at;
	size_t n, cap;
};

/* Put the blocks of @block_size bytes in that hold bytes [start, end). */
ek_status ranges_add(struct ranges *r, uint64_t start, uint64_t end,
		     uint32_t block_size, struct ek_err *err);
/* Sort and join; call it before looking at the ranges. */
void ranges_join(struct ranges *r);
uint64_t ranges_blocks(const struct ranges *r);
void ranges_free(struct ranges *r);

#endif
