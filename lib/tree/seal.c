/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/tree.h"

#include "base/try.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int by_name(const void *a, const void *b)
{
	const struct ek_tree_node *x = *(struct ek_tree_node *const *)a;
	const struct ek_tree_node *y = *(struct ek_tree_node *const *)b;
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int c = memcmp(x->name, y->name, n);

	return c ? c : (int)x->name_len - (int)y->name_len;
}

static ek_status fail_at(const struct ek_tree_node *node, ek_status status,
			 const char *what, struct ek_err *err)
{
	char *path EK_AUTO_FREE = ek_tree_path(node);

	return ek_fail(err, status, "%s: %s", path ? path : node->name, what);
}

static ek_status sort_children(struct ek_tree_node *dir, struct ek_err *err)
{
	if (dir->n_children == 0)
		return EK_OK;
	qsort(dir->children, dir->n_children, sizeof(dir->children[0]),
	      by_name);
	for (uint32_t i = 1; i < dir->n_children; i++)
		if (by_name(&dir->children[i - 1], &dir->children[i]) == 0)
			return fail_at(dir->children[i], EK_EXISTS,
				       "the name occurs twice", err);
	return EK_OK;
}

/* List @node's inode when it is met for the first time. */
static ek_status list(struct ek_tree *tree, struct ek_tree_node *node,
		      struct ek_err *err)
{
	struct ek_tree_inode *inode = node->inode;

	if (inode->first) {
		/* Else loops and two parents would be possible. */
		if (S_ISDIR(inode->mode))
			return fail_at(node, EK_INVALID,
				       "a directory with two names", err);
		inode->nlink++;
		return EK_OK;
	}
	if (tree->n_inodes == tree->cap_inodes) {
		uint32_t cap = tree->cap_inodes ? tree->cap_inodes * 2 : 256;
		void *at;

		if (tree->cap_inodes >= EK_TREE_INODES_MAX / 2)
			return ek_fail(err, EK_LIMIT, "too many inodes");
		at = reallocarray(tree->inodes, cap, sizeof(*tree->inodes));
		if (!at)
			return ek_fail(err, EK_NOMEM,
				       "no memory for %" PRIu32 " inodes", cap);
		tree->inodes = at;
		tree->cap_inodes = cap;
	}
	inode->first = node;
	inode->nlink = 1;
	inode->index = tree->n_inodes;
	tree->inodes[tree->n_inodes++] = inode;
	return EK_OK;
}

static unsigned depth_of(const struct ek_tree_node *node)
{
	unsigned depth = 0;

	while (node->parent) {
		node = node->parent;
		depth++;
	}
	return depth;
}

static ek_status list_children(struct ek_tree *tree, struct ek_tree_node *dir,
			       struct ek_err *err)
{
	uint32_t subdirs = 0;

	EK_TRY(sort_children(dir, err));
	for (uint32_t i = 0; i < dir->n_children; i++) {
		EK_TRY(list(tree, dir->children[i], err));
		subdirs += S_ISDIR(dir->children[i]->inode->mode);
	}
	dir->inode->nlink = 2 + subdirs;
	return EK_OK;
}

ek_status ek_tree_seal(struct ek_tree *tree, struct ek_err *err)
{
	const struct ek_tree_node *deepest = tree->root;

	EK_BUG_ON(tree->sealed);
	EK_TRY(list(tree, tree->root, err));
	/* The list grows while it is walked: it is its own queue. */
	for (uint32_t i = 0; i < tree->n_inodes; i++) {
		struct ek_tree_inode *inode = tree->inodes[i];

		if (!S_ISDIR(inode->mode))
			continue;
		/* Breadth first: the last directory is a deepest one. */
		deepest = inode->first;
		EK_TRY(list_children(tree, inode->first, err));
	}
	if (depth_of(deepest) > EK_TREE_DEPTH_MAX)
		return ek_fail(err, EK_LIMIT, "directories nest deeper than %u",
			       EK_TREE_DEPTH_MAX);
	tree->sealed = 1;
	return EK_OK;
}
