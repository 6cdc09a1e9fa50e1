/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TAR_READER_H
#define EK_TAR_READER_H

/* What the files of this module share about one archive being read. */

#include <erofskit/tar.h>

#include "base/vec.h"
#include "tar/header.h"
#include "tar/pax.h"

struct ek_tar {
	struct ek_tar_input *in; /* borrowed */
	char *name;
	bool headers_only;

	/* Read ahead of what has been taken; only between members. */
	uint8_t *window;
	size_t window_at, window_n;
	size_t ahead;	 /* size of the last read; 0 after a jump */
	uint64_t offset; /* of the next byte to take */

	/* The current member. */
	uint64_t left;	  /* stored bytes not yet read */
	uint64_t padding; /* after them */
	struct ek_tar_entry entry;
	struct ek_tar_header header;
	struct ek_pax local, global;
	char *long_path, *long_link; /* GNU 'L' and 'K'; owned */
	EK_VEC(struct ek_tar_segment) segments;
	EK_VEC(struct ek_tar_xattr) xattrs;

	bool any;      /* a member was met */
	bool ended;    /* at the end, or failed */
	bool trailing; /* bytes that are no member after the end blocks */
};

/* Take exactly @n bytes; EK_CORRUPT when the archive is cut. */
ek_status ek_tar_take(struct ek_tar *tar, void *to, size_t n,
		      struct ek_err *err);

/* Take up to @n bytes; *got < @n only at the end of the input. */
ek_status ek_tar_take_some(struct ek_tar *tar, void *to, size_t n, size_t *got,
			   struct ek_err *err);

/* Pass over @n bytes; EK_CORRUPT when the archive is cut. */
ek_status ek_tar_pass(struct ek_tar *tar, uint64_t n, struct ek_err *err);

/*
 * Fill tar->segments and the entry's data offset and sizes from what the
 * headers say of a sparse member, reading the maps that stand in blocks
 * before the data. @pax: the one of local and global that speaks of it.
 */
ek_status ek_tar_sparse_old(struct ek_tar *tar, const uint8_t *block,
			    struct ek_err *err);
ek_status ek_tar_sparse_pax(struct ek_tar *tar, const struct ek_pax *pax,
			    struct ek_err *err);

#endif
