/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_VERIFY_H
#define MKFS_VERIFY_H

/*
 * --manifest-out and --verify: what the build read from the source is noted as
 * a manifest; the finished image is read again and must say the same.
 *
 *   begin -> (build with .sink) -> compare -> publish, or cancel
 */

#include <erofskit/manifest.h>
#include <erofskit/outfile.h>

#include <stdbool.h>

struct mkfs_verify {
	/* For ek_build_options.manifest; NULL when nothing is to be noted. */
	struct ek_manifest_sink *sink;
	struct ek_outfile *out; /* --manifest-out */
	const char *name;	/* of the text, for errors */
	int fd;			/* of the text */
	unsigned long long written;
};

/*
 * @manifest_out: where to publish the manifest, or NULL. @image: path of the
 * image; without @manifest_out the text is an unlinked file beside it.
 */
ek_status mkfs_verify_begin(struct mkfs_verify *v, const char *image,
			    const char *manifest_out, bool no_sync,
			    struct ek_err *err);

/*
 * Read the image behind descriptor @fd from its disk through another
 * descriptor, and compare all of it with the manifest. EK_DIFFERS tells the
 * first difference.
 */
ek_status mkfs_verify_compare(struct mkfs_verify *v, int fd, const char *image,
			      struct ek_source *const *devices,
			      size_t n_devices, unsigned workers,
			      const volatile int *cancel, struct ek_err *err);

/* The text is complete and, with --manifest-out, takes its name. */
ek_status mkfs_verify_publish(struct mkfs_verify *v, struct ek_err *err);

/* Undo everything; nothing to do after publish, or without begin. */
void mkfs_verify_cancel(struct mkfs_verify *v);

#endif
