/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_OUTPUTS_H
#define MKFS_OUTPUTS_H

#include "mkfs/opts.h"

/*
 * The files that mkfs writes: the image, perhaps chunks on a device of their
 * own, leaf digests, a manifest, a tar as it was decompressed. All appear at
 * the end or none does, but for a failure between the renames: the image is the
 * last.
 */
enum {
	OUT_RAW,
	OUT_BLOB,
	OUT_BLOB_LEAVES,
	OUT_LEAVES,
	OUT_MANIFEST,
	OUT_IMAGE,
	OUTPUTS
};

struct outputs {
	struct ek_outfile *file[OUTPUTS]; /* NULL: not wanted */
	/* Their descriptors, for o->walk.skip_fds. */
	int fds[OUTPUTS];
};

/*
 * Open those that @o names, after checking that each is another file than the
 * others and than the sources. Outputs inside a source directory are left out
 * of the tree.
 */
ek_status outputs_open(struct outputs *out, struct mkfs_options *o,
		       struct ek_err *err);
/* Publish all. They are closed in any case. */
ek_status outputs_commit(struct outputs *out, struct ek_err *err);
/* Remove and close all; those that are closed already may be passed too. */
void outputs_abort(struct outputs *out);

/* For a signal handler: remove what is open and not yet complete. */
void outputs_remove(void);

/*
 * An open file without a name on the file system of the image, for data that
 * is needed later.
 */
ek_status outputs_spool(const struct outputs *out, const struct mkfs_options *o,
			int *fd, struct ek_err *err);

#endif
