/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_SOURCE_TAR_H
#define EK_SOURCE_TAR_H

/* The tree that a tar archive describes. */

#include <erofskit/layer.h>

#include "source/source.h"

struct ek_source_tar_options {
	/*
	 * Turn AUFS whiteouts (".wh.NAME", ".wh..wh..opq") into those of
	 * overlayfs: character devices 0:0 and trusted.overlay attributes.
	 */
	bool aufs;
	/* Leave out whiteouts and overlayfs's own attributes. */
	bool strip_overlay;
	/* The archive has headers only: files read as holes. */
	bool headers_only;
	/* Keep no attributes. */
	bool no_xattrs;
	/*
	 * Open file that data of files is copied to, because the input cannot
	 * be read twice; -1: the data is read from @archive, or only its place
	 * is wanted.
	 */
	int spool_fd;
	/* The archive begins at this byte of the device of place()... */
	uint64_t device_offset;
	/* ...which is so long; 0: as long as the archive. */
	uint64_t device_bytes;
	const char *device_tag; /* NULL: none */
	const volatile int *cancel;
};

/*
 * Read all members of @in (borrowed). @archive: the same bytes for reading
 * data later (borrowed, must outlive the source), or NULL. Device 1 of place()
 * is the archive.
 *
 * EK_CORRUPT names the member: a path that climbs out by "..", a path through
 * something that is no directory, a hard link to nothing or to a directory.
 */
ek_status ek_source_tar(struct ek_tar_input *in, struct ek_source *archive,
			const char *name,
			const struct ek_source_tar_options *options,
			struct ek_tree_source **src,
			struct ek_layer_notes *notes, struct ek_err *err);

#endif
