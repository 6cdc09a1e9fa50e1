/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DUMP_STATS_H
#define DUMP_STATS_H

/* What dump.erofs -S counts. Each inode counts once, however many names. */

#include "dump/ranges.h"

#include <erofskit/image.h>

/* Sizes below 1, 2, 4 ... 32768 KiB, and the rest. */
#define STATS_SIZES 17
/* Endings of names that are told apart, and the others. */
#define STATS_ENDINGS 10

struct stats {
	uint64_t names; /* all of them, the root too */
	uint64_t inodes;
	uint64_t types[8]; /* by dump_type_number() */
	uint64_t compressed;
	uint64_t bytes;	 /* of regular files */
	uint64_t stored; /* bytes that they take */
	uint64_t sizes[STATS_SIZES], stored_sizes[STATS_SIZES];
	uint64_t endings[STATS_ENDINGS];
	uint64_t xattrs;
	struct ranges meta; /* blocks of the primary device, joined */
	uint64_t meta_blocks;
};

/* Read all inodes of @image. Free with stats_free(), also after failure. */
ek_status stats_collect(struct ek_image *image, struct stats *s,
			struct ek_err *err);
void stats_free(struct stats *s);

/* ".so" and so on, "others" for the last. */
const char *stats_ending(unsigned i);

#endif
