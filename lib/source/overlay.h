/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_SOURCE_OVERLAY_H
#define EK_SOURCE_OVERLAY_H

/* What overlayfs says with inodes (Documentation/filesystems/overlayfs.rst). */

#include "tree/tree.h"

/* A character device 0:0: the name is gone. */
bool ek_is_whiteout(const struct ek_tree_inode *inode);

/* A directory through which nothing below shows. */
bool ek_is_opaque(const struct ek_tree_inode *inode);

/* Whether the attribute @name is one of overlayfs's own. */
bool ek_overlay_xattr(const char *name);

#endif
