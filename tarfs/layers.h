/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_LAYERS_H
#define TARFS_LAYERS_H

/* From the layers of an image to trees. */

#include "tarfs/image.h"

/*
 * Make every layer a plain tar in a file: decompress those that are not into
 * the store. Layers that are read, all of them with @read_all, are checked
 * against digest and diff id: EK_DIFFERS names both.
 */
ek_status layers_expand(struct image *image, const struct tarfs_options *o,
			struct store *store, bool read_all, struct ek_err *err);

/* A layer's tree, and what it reads from. */
struct layer_tree {
	struct range_source src;
	struct ek_layer *layer;	     /* NULL: given away */
	struct ek_layer_notes notes; /* of the tar */
};

/* Read the tar of layer @i; whiteouts are in overlayfs's form. */
ek_status layer_tree_open(struct layer_tree *t, const struct image *image,
			  size_t i, const struct tarfs_options *o,
			  struct ek_err *err);
void layer_tree_close(struct layer_tree *t);

/*
 * The indexes of all layers and the merged one, into the store. @digest gets
 * that of the merged one in hexadecimal: who pins the record pins the index.
 */
ek_status layers_index(struct image *image, const struct tarfs_options *o,
		       struct store *store, struct ek_build_stats *merged,
		       char digest[65], struct ek_err *err);

#endif
