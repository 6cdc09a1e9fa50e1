/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_EXTRACT_LISTING_H
#define EK_EXTRACT_LISTING_H

/* The names of one directory, read at once. One thread at a time. */

#include <erofskit/image.h>
#include "base/buf.h"
#include "base/vec.h"

struct ek_listed {
	uint64_t nid;
	size_t name; /* place in names; NUL-terminated there */
};

struct ek_listing {
	EK_VEC(struct ek_listed) entries;
	struct ek_buf names;
	/* Names that may still be read, by all listings of one walk. */
	uint64_t *budget;
};

/*
 * Most names of a walk through @image: a name takes 13 bytes, so an image of n
 * bytes with uncompressed directories has n / 13 at most; compressed ones get
 * as many as it has bytes, and small images some more.
 */
uint64_t ek_listing_budget(const struct ek_image *image);

/* EK_INVALID unless @name is one component, or NULL for a directory. */
ek_status ek_listing_check_name(const struct ek_node *node, const char *name,
				struct ek_err *err);

/* Read @dir without "." and "..". Refuses names that are no file names. */
ek_status ek_listing_read(struct ek_listing *l, struct ek_image *image,
			  const struct ek_node *dir, struct ek_err *err);

static inline const char *ek_listing_name(const struct ek_listing *l, size_t i)
{
	return (const char *)l->names.data + l->entries.at[i].name;
}

void ek_listing_free(struct ek_listing *l);

#endif
