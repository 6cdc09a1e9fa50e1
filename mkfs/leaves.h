/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_LEAVES_H
#define MKFS_LEAVES_H

/*
 * --leaf-digests: when the image is complete, digests of each 64 KiB of it,
 * and of the blob when there is one, in files of their own (erofskit/leaf.h).
 */

#include "mkfs/opts.h"
#include "mkfs/outputs.h"

/* Name of the blob's table: --leaf-digests with ".blob", malloc'ed. */
ek_status leaves_blob_name(const char *name, char **to, struct ek_err *err);

/* Read what was built, write the tables, note the roots in @o. */
ek_status leaves_write(struct mkfs_options *o, const struct outputs *out,
		       const struct ek_build_stats *stats, struct ek_err *err);

#endif
