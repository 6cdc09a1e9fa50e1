/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_VERIFY_H
#define MKFS_VERIFY_H

/*
 * --manifest-out and --verify: what the build read from the source is noted as
 * a manifest; the finished image is read again and must say the same.
 *
 *   begin -> (build with .sink) -> finish -> compare, perhaps -> end
 */

#include "mkfs/opts.h"
#include "mkfs/outputs.h"

#include <erofskit/manifest.h>

struct mkfs_verify {
	/* For ek_build_options.manifest; NULL when nothing is to be noted. */
	struct ek_manifest_sink *sink;
	const char *name; /* of the text, for errors */
	int fd;		  /* of the text */
	int spool;	  /* the same when it is ours, or -1 */
	uint64_t written;
};

/* Begin to note, when @o asks for it. */
ek_status mkfs_verify_begin(struct mkfs_verify *v, const struct mkfs_options *o,
			    const struct outputs *out, struct ek_err *err);

/*
 * After the build: complete the text and, when @o asks for it, read the image
 * from its disk through another descriptor and compare all of it. EK_DIFFERS
 * tells the first difference.
 */
ek_status mkfs_verify_finish(struct mkfs_verify *v,
			     const struct mkfs_options *o,
			     const struct outputs *out, struct ek_err *err);

/* Free what is ours; after a begin that failed, too. */
void mkfs_verify_end(struct mkfs_verify *v);

#endif
