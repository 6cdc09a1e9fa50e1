/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_SOURCE_IMAGE_H
#define EK_SOURCE_IMAGE_H

/* The tree in an EROFS image, as a layer to merge or to build again. */

#include <erofskit/image.h>

#include "source/source.h"

/*
 * Read the whole tree of @image (borrowed; must outlive the source). Devices of
 * place(): those of the image, or the image itself when it has none. @bytes:
 * length of the image. Data that is compressed or beside its inode has no
 * place.
 */
ek_status ek_source_image(struct ek_image *image, uint64_t bytes,
			  struct ek_tree_source **src, struct ek_err *err);

#endif
