/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/tree.h"

#include "base/try.h"
#include "tree/intern.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static ek_status no_memory(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "no memory for the file tree");
}

ek_status ek_tree_new(struct ek_tree **tree, struct ek_err *err)
{
	struct ek_tree *t = calloc(1, sizeof(*t));
	struct ek_tree_inode *inode = NULL;

	if (!t)
		return no_memory(err);
	t->arena = ek_arena_new();
	t->intern = ek_tree_intern_new();
	if (t->arena && t->intern)
		t->root = ek_arena_alloc(t->arena, sizeof(*t->root));
	if (!t->root || ek_tree_inode(t, S_IFDIR | 0755, &inode, err)) {
		ek_tree_free(t);
		return no_memory(err);
	}
	t->root->name = "";
	t->root->inode = inode;
	*tree = t;
	return EK_OK;
}

void ek_tree_free(struct ek_tree *tree)
{
	if (!tree)
		return;
	ek_tree_intern_free(tree->intern);
	ek_arena_free(tree->arena);
	free(tree->inodes);
	free(tree);
}

ek_status ek_tree_inode(struct ek_tree *tree, uint32_t mode,
			struct ek_tree_inode **inode, struct ek_err *err)
{
	struct ek_tree_inode *i = ek_arena_alloc(tree->arena, sizeof(*i));

	if (!i)
		return no_memory(err);
	i->mode = mode;
	*inode = i;
	return EK_OK;
}

static bool good_name(const char *name, size_t n)
{
	if (n == 0 || memchr(name, '/', n) || memchr(name, 0, n))
		return false;
	return !(name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')));
}

/* Room for one more child. Old arrays stay in the arena: at most as much. */
static ek_status grow(struct ek_tree *tree, struct ek_tree_node *dir,
		      struct ek_err *err)
{
	struct ek_tree_node **at;
	uint64_t bytes;
	uint32_t cap;

	if (dir->n_children < dir->cap_children)
		return EK_OK;
	if (dir->cap_children >= EK_TREE_INODES_MAX / 2)
		return ek_fail(err, EK_LIMIT, "too many names in a directory");
	cap = dir->cap_children ? dir->cap_children * 2 : 4;
	bytes = (uint64_t)cap * sizeof(*at);
	at = (size_t)bytes == bytes ? ek_arena_alloc(tree->arena, (size_t)bytes)
				    : NULL;
	if (!at)
		return no_memory(err);
	if (dir->n_children)
		memcpy(at, dir->children, dir->n_children * sizeof(*at));
	dir->children = at;
	dir->cap_children = cap;
	return EK_OK;
}

ek_status ek_tree_add(struct ek_tree *tree, struct ek_tree_node *parent,
		      const char *name, size_t name_len,
		      struct ek_tree_inode *inode, struct ek_tree_node **node,
		      struct ek_err *err)
{
	struct ek_tree_node *n;

	EK_BUG_ON(tree->sealed);
	if (!S_ISDIR(parent->inode->mode))
		return ek_fail(err, EK_INVALID, "'%s' is not a directory",
			       parent->name);
	if (name_len > EK_TREE_NAME_MAX)
		return ek_fail(err, EK_LIMIT,
			       "a name of %zu bytes: %u are the most", name_len,
			       EK_TREE_NAME_MAX);
	if (!good_name(name, name_len))
		return ek_fail(err, EK_INVALID,
			       "'%.*s' cannot be a file's name", (int)name_len,
			       name);
	EK_TRY(grow(tree, parent, err));
	n = ek_arena_alloc(tree->arena, sizeof(*n));
	if (!n)
		return no_memory(err);
	n->name = ek_arena_copy(tree->arena, name, name_len);
	if (!n->name)
		return no_memory(err);
	n->name_len = (uint16_t)name_len;
	n->parent = parent;
	n->inode = inode;
	parent->children[parent->n_children++] = n;
	if (node)
		*node = n;
	return EK_OK;
}

char *ek_tree_path(const struct ek_tree_node *node)
{
	size_t n = 0;
	char *path, *p;

	/* A path of one name per level: at most 4096 * 256 bytes when sealed */
	for (const struct ek_tree_node *i = node; i->parent; i = i->parent)
		n += 1 + (size_t)i->name_len;
	if (n == 0)
		return strdup("/");
	path = malloc(n + 1);
	if (!path)
		return NULL;
	p = path + n;
	*p = 0;
	for (; node->parent; node = node->parent) {
		p -= node->name_len;
		memcpy(p, node->name, node->name_len);
		*--p = '/';
	}
	return path;
}
