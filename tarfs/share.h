/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_SHARE_H
#define TARFS_SHARE_H

/*
 * --share: a directory where images leave the tars of layers that were
 * compressed, each with its leaf digests, and the indexes of layers, for
 * others that have the same layer:
 *
 *	DIR/blobs/sha256-DIFFID.tar
 *	DIR/leaves/sha256-DIFFID
 *	DIR/indexes/sha256-DIFFID-KEY.erofs
 *	DIR/indexes/sha256-DIFFID-KEY.seal
 *
 * A tar gets its name when digest and diff id were checked, the table after
 * it: a layer with a table is complete. Who finds none makes it, also when
 * somebody else does at the same time; both give the same bytes a name.
 *
 * KEY stands for all that an index depends on besides the bytes of its tar.
 * The seal has the index's length and digest and is written after it: an index
 * that does not fit it is made anew. Who makes one has the lock on
 * DIR/indexes, so that others wait and find it.
 */

#include "tarfs/image.h"

/* Make what is missing of @o->share. EK_INVALID: it is @out, where all goes. */
ek_status share_open(const struct tarfs_options *o, const char *out,
		     struct ek_err *err);

/* Take the tar of @l from there; *found. */
ek_status share_find(const struct tarfs_options *o, struct image_layer *l,
		     bool *found, struct ek_err *err);

/* Begin its tar there: l->data and l->path. */
ek_status share_begin(const struct tarfs_options *o, struct image_layer *l,
		      struct ek_err *err);

/* It is checked and has l->leaves: let others find it. */
ek_status share_commit(const struct tarfs_options *o, struct image_layer *l,
		       struct ek_err *err);

/*
 * Whether layer @i has its index there. Its bytes must be known to be those of
 * its diff id: an index of other bytes would be found by other images.
 */
bool share_has_index(const struct image *image, size_t i,
		     const struct tarfs_options *o);

/*
 * Look for the index of @l: l->index, its sizes, and @notes of the tar. Not
 * *found: there is none, or it is damaged. EK_CHANGED: something that is no
 * file has its name.
 */
ek_status share_find_index(const struct tarfs_options *o, struct image_layer *l,
			   struct ek_layer_notes *notes, bool *found,
			   struct ek_err *err);

/* Wait until nobody else makes an index there; close *fd when done. */
ek_status share_lock_indexes(const struct tarfs_options *o, int *fd,
			     struct ek_err *err);

/* With the lock: begin the index of @l, called l->index. */
ek_status share_begin_index(const struct tarfs_options *o,
			    struct image_layer *l, struct ek_outfile **out,
			    struct ek_err *err);

/* It is built, its sizes are in @l: let others find it. Takes @out over. */
ek_status share_commit_index(const struct tarfs_options *o,
			     const struct image_layer *l,
			     const struct ek_layer_notes *notes,
			     struct ek_outfile *out, struct ek_err *err);

/* DIR/KIND/sha256-DIFFID and @end, malloc'ed. */
ek_status share_path(const struct tarfs_options *o, const char *kind,
		     const struct image_layer *l, const char *end, char **path,
		     struct ek_err *err);

#endif
