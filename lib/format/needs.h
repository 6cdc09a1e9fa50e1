/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_NEEDS_H
#define EK_FORMAT_NEEDS_H

/*
 * Which Linux can mount and read an image, and why (section 10 and 6.12).
 * Pure functions; any thread may call them.
 */

#include "format/cfgs.h"

/* What inodes use and no feature bit tells: a mask. */
#define EK_USE_COMPRESSED    0x001u /* some inode is compressed */
#define EK_USE_CHUNKS	     0x002u /* some inode is chunk-based */
#define EK_USE_COMPACT_MTIME 0x004u /* compact inodes with own times */
#define EK_USE_IFORMAT_BIT4  0x008u /* NLINK_1 or DOT_OMITTED */
#define EK_USE_HOLE_INODE    0x010u /* FLAT_PLAIN without data, size > 0 */
#define EK_USE_ZEXTENTS	     0x020u /* encoded extents */
#define EK_USE_ZHOLES	     0x040u /* hole heads in full indexes */
#define EK_USE_HEAD2	     0x080u /* HEAD2 lclusters */
#define EK_USE_BIG_PCLUSTER  0x100u /* a pcluster of several blocks */

struct ek_need {
	uint8_t major;
	uint8_t minor;
	const char *reason; /* constant words, e.g. "zstd compression" */
};

/* More than the needs that one image can have. */
#define EK_NEEDS_MAX 32u

/*
 * List the needs of an image, oldest kernel first; @cfgs may be NULL when
 * the image has no compression. @n gets their number; the list is never
 * empty (5.4 is the oldest kernel considered). The last one is the kernel
 * that the image needs. Assumes pages of 4 KiB.
 */
void ek_needs(const struct ek_sb *sb, const struct ek_cfgs *cfgs, uint32_t uses,
	      struct ek_need needs[EK_NEEDS_MAX], size_t *n);

/* "5.4" and so on; lives for ever. "unknown" for what is no need's version. */
const char *ek_need_text(const struct ek_need *need);

/*
 * The Linux that @name stands for: a version from 5.4 on, "any" (5.4), or a
 * distribution. False: it is not known.
 */
bool ek_kernel_find(const char *name, uint8_t *major, uint8_t *minor);

static inline bool ek_need_beyond(const struct ek_need *need, uint8_t major,
				  uint8_t minor)
{
	return need->major > major ||
	       (need->major == major && need->minor > minor);
}

#endif
