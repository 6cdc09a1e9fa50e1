/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TREE_EDIT_H
#define EK_TREE_EDIT_H

/*
 * A tree being put together from members that may repeat, replace and remove
 * each other, as those of a tar do. Finished, it fills an ek_tree.
 *
 *   new -> put, remove, find (in any order) -> finish -> free
 */

#include "tree/tree.h"

struct ek_edit;

struct ek_edit_node {
	struct ek_edit_node *parent;		 /* NULL: the root */
	struct ek_edit_node *first_child, *next; /* newest first */
	struct ek_edit_node *bucket;		 /* of the name's hash */
	struct ek_tree_inode *inode;
	const char *name;
	uint16_t name_len;
	bool removed;
};

/* Over @tree (borrowed; new, with nothing but its root). */
ek_status ek_edit_new(struct ek_tree *tree, struct ek_edit **edit,
		      struct ek_err *err);
void ek_edit_free(struct ek_edit *edit);

struct ek_edit_node *ek_edit_root(struct ek_edit *edit);

/* The node @name in @parent, or NULL. */
struct ek_edit_node *ek_edit_find(struct ek_edit *edit,
				  const struct ek_edit_node *parent,
				  const char *name, size_t name_len);

/*
 * Put @inode as @name in directory @parent. A node of that name is replaced,
 * with all beneath it; but a directory put over a directory keeps what is
 * beneath. EK_LIMIT for a name of more than 255 bytes.
 */
ek_status ek_edit_put(struct ek_edit *edit, struct ek_edit_node *parent,
		      const char *name, size_t name_len,
		      struct ek_tree_inode *inode, struct ek_edit_node **node,
		      struct ek_err *err);

/* Remove @node and all beneath it; not the root. */
void ek_edit_remove(struct ek_edit_node *node);

/* Add every node that is left to the tree (which is not sealed by this). */
ek_status ek_edit_finish(struct ek_edit *edit, struct ek_err *err);

#endif
