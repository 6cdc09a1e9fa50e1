/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_LEAVES_H
#define TARFS_LEAVES_H

/* Leaf digests of layers (erofskit/leaf.h) as files of the store. */

#include "tarfs/image.h"
#include "tarfs/record.h"

/* "leaves/sha256-HEX" and a NUL. */
#define LEAVES_NAME (7 + 7 + 64 + 1)

/* The file's name for the tar of digest @diff_id, which is "sha256:HEX". */
void leaves_name(const char *diff_id, char name[LEAVES_NAME]);

/* Those of layer @i, which may be another's of equal bytes; NULL: none. */
const struct ek_leaves *leaves_of(const struct image *image, size_t i);

/* The most that a table has: of EK_LEAVES_MAX leaves. */
#define LEAVES_FILE_MAX (EK_LEAF_HEADER + (uint64_t)EK_LEAVES_MAX * 32)

/*
 * Read the table in file @path; with @root, not NULL, it must lead to it:
 * EK_DIFFERS. EK_CORRUPT: not a table, or longer than @max, which is at most
 * LEAVES_FILE_MAX.
 */
ek_status leaves_load(const char *path, uint64_t max, const uint8_t *root,
		      struct ek_leaves **table, struct ek_err *err);

/* Write those of all layers. */
ek_status leaves_put(const struct image *image, struct store *store,
		     struct ek_err *err);

/*
 * Hold the table that @leaves names against its root, and each leaf of the @n
 * bytes from @offset on in file @path against it. EK_DIFFERS, EK_CORRUPT: one
 * of them is wrong.
 */
ek_status leaves_verify(const struct record_leaves *leaves, const char *path,
			uint64_t offset, uint64_t n, const volatile int *cancel,
			struct ek_err *err);

#endif
