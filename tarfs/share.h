/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_SHARE_H
#define TARFS_SHARE_H

/*
 * --share: a directory where images leave the tars of layers that were
 * compressed, each with its leaf digests, for others that have the same layer:
 *
 *	DIR/blobs/sha256-DIFFID.tar
 *	DIR/leaves/sha256-DIFFID
 *
 * A tar gets its name when digest and diff id were checked, the table after
 * it: a layer with a table is complete. Who finds none makes it, also when
 * somebody else does at the same time; both give the same bytes a name.
 */

#include "tarfs/image.h"

/* Make what is missing of @o->share. */
ek_status share_open(const struct tarfs_options *o, struct ek_err *err);

/* Take the tar of @l from there; *found. */
ek_status share_find(const struct tarfs_options *o, struct image_layer *l,
		     bool *found, struct ek_err *err);

/* Begin its tar there: l->data and l->path. */
ek_status share_begin(const struct tarfs_options *o, struct image_layer *l,
		      struct ek_err *err);

/* It is checked and has l->leaves: let others find it. */
ek_status share_commit(const struct tarfs_options *o, struct image_layer *l,
		       struct ek_err *err);

#endif
