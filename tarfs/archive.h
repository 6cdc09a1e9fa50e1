/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_ARCHIVE_H
#define TARFS_ARCHIVE_H

/*
 * What convert was given: an archive of an image, a layout directory, or one
 * layer. Input that cannot stay where it is (a pipe, a compressed archive) is
 * copied into the store first.
 */

#include "tarfs/copy.h"
#include "tarfs/opts.h"
#include "tarfs/store.h"

enum archive_kind {
	ARCHIVE_LAYER,
	ARCHIVE_DOCKER,
	ARCHIVE_OCI,
};

/* Bytes in a file; all of it is borrowed from the archive. */
struct range {
	int fd;
	const char *path; /* absolute; in the store: its final one */
	uint64_t offset, bytes;
	uint64_t file_bytes;
};

struct archive_member {
	char *name; /* without "./" and trailing slashes */
	char *link; /* target within the archive, or NULL */
	uint64_t offset, bytes;
};

struct archive_open {
	int fd;
	char *path;
};

struct archive {
	enum archive_kind kind;
	const char *input; /* as the user calls it */
	int dir;	   /* of a layout, or -1 */
	/* A file: */
	struct range whole;
	struct archive_open *opened; /* files to be closed */
	size_t n_opened;
	struct archive_member *members;
	size_t n_members;
	/* It was copied into the store. */
	bool spooled;
	size_t spool_file; /* number of the store's file */
	struct tarfs_copy copied;
};

/* Open and identify @o->operands[0]. Close it in any case. */
ek_status archive_open(struct archive *a, const struct tarfs_options *o,
		       struct store *store, struct ek_err *err);
void archive_close(struct archive *a);

/* The file @name of an image archive. EK_NOTFOUND. */
ek_status archive_find(struct archive *a, const char *name, struct range *range,
		       struct ek_err *err);
/* All bytes of it, with a NUL behind, malloc'ed; EK_LIMIT beyond @max. */
ek_status archive_load(struct archive *a, const char *name, size_t max,
		       char **bytes, size_t *n, struct ek_err *err);

/* A source over @range, to be freed in this order. */
struct range_source {
	struct ek_source *file, *slice;
};
ek_status range_open(const struct range *range, struct range_source *src,
		     struct ek_err *err);
void range_close(struct range_source *src);

/* The same name in the same directory as @from: "a/../b/layer.tar". */
ek_status archive_resolve(const char *from, const char *link, char **name,
			  struct ek_err *err);

#endif
