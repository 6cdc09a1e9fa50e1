/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_EXTRACT_PAX_H
#define EK_EXTRACT_PAX_H

/*
 * Headers of tar members: ustar, with a PAX header before it for what does
 * not fit (POSIX.1-2001). Pure but for the buffers.
 */

#include <erofskit/image.h>
#include "base/buf.h"

#define PAX_BLOCK 512u

/* Bytes of all records of one member; 255 attributes of 64 KiB and names. */
#define PAX_RECORDS_MAX ((size_t)64 << 20)

struct pax_member {
	const char *path;   /* without a leading slash; "" for the root */
	const char *target; /* of symlinks and hard links, else NULL */
	bool hard_link;
	const struct ek_node *node;
	uint64_t size; /* bytes of data that follow */
};

/* Append "LEN KEY=VALUE\n". */
ek_status pax_record(struct ek_buf *records, const char *key, const void *value,
		     size_t n, struct ek_err *err);

/* Append the record of one attribute. */
ek_status pax_xattr(struct ek_buf *records, const struct ek_xattr *xattr,
		    struct ek_err *err);

/*
 * Append to @out the headers of @m: the PAX header, when @records (attributes
 * so far; used up) or @m needs one, and the ustar header.
 */
ek_status pax_headers(const struct pax_member *m, struct ek_buf *records,
		      struct ek_buf *out, struct ek_err *err);

#endif
