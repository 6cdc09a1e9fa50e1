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
 * Most names of a walk through an image of @bytes: a name takes 13 bytes, so
 * an honest image with uncompressed directories cannot have more than
 * bytes / 13; compressed ones get room above that.
 */
uint64_t ek_listing_budget(uint64_t bytes);

/* Read @dir without "." and "..". Refuses names that are no file names. */
ek_status ek_listing_read(struct ek_listing *l, struct ek_image *image,
			  const struct ek_node *dir, struct ek_err *err);

static inline const char *ek_listing_name(const struct ek_listing *l, size_t i)
{
	return (const char *)l->names.data + l->entries.at[i].name;
}

void ek_listing_free(struct ek_listing *l);

#endif
