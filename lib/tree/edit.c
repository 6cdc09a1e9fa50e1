/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/edit.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

struct ek_edit {
	struct ek_tree *tree;
	struct ek_arena *arena;
	struct ek_edit_node root;
	struct ek_edit_node **buckets;
	size_t n_buckets, n_nodes;
};

#define FIRST_BUCKETS 1024u

static size_t bucket_of(const struct ek_edit *edit,
			const struct ek_edit_node *parent, const char *name,
			size_t n)
{
	return (size_t)XXH3_64bits_withSeed(name, n, (uintptr_t)parent) &
	       (edit->n_buckets - 1);
}

ek_status ek_edit_new(struct ek_tree *tree, struct ek_edit **edit,
		      struct ek_err *err)
{
	struct ek_edit *e = calloc(1, sizeof(*e));

	if (e) {
		e->arena = ek_arena_new();
		e->buckets = calloc(FIRST_BUCKETS, sizeof(*e->buckets));
	}
	if (!e || !e->arena || !e->buckets) {
		ek_edit_free(e);
		return ek_fail(err, EK_NOMEM, "no memory for a tree");
	}
	e->tree = tree;
	e->n_buckets = FIRST_BUCKETS;
	e->root.inode = tree->root->inode;
	e->root.name = "";
	*edit = e;
	return EK_OK;
}

void ek_edit_free(struct ek_edit *edit)
{
	if (!edit)
		return;
	free(edit->buckets);
	ek_arena_free(edit->arena);
	free(edit);
}

struct ek_edit_node *ek_edit_root(struct ek_edit *edit)
{
	return &edit->root;
}

struct ek_edit_node *ek_edit_find(struct ek_edit *edit,
				  const struct ek_edit_node *parent,
				  const char *name, size_t name_len)
{
	struct ek_edit_node *n =
		edit->buckets[bucket_of(edit, parent, name, name_len)];

	while (n &&
	       (n->removed || n->parent != parent || n->name_len != name_len ||
		memcmp(n->name, name, name_len) != 0))
		n = n->bucket;
	return n;
}

/* Twice the buckets; removed nodes are left out for good. */
static ek_status widen(struct ek_edit *edit, struct ek_err *err)
{
	struct ek_edit_node **old = edit->buckets;
	size_t n = edit->n_buckets;

	edit->buckets = calloc(n * 2, sizeof(*old));
	if (!edit->buckets) {
		edit->buckets = old;
		return ek_fail(err, EK_NOMEM, "no memory for a tree");
	}
	edit->n_buckets = n * 2;
	for (size_t i = 0; i < n; i++) {
		struct ek_edit_node *node = old[i], *next;

		for (; node; node = next) {
			size_t b = bucket_of(edit, node->parent, node->name,
					     node->name_len);

			next = node->bucket;
			if (node->removed)
				continue;
			node->bucket = edit->buckets[b];
			edit->buckets[b] = node;
		}
	}
	free(old);
	return EK_OK;
}

static ek_status add(struct ek_edit *edit, struct ek_edit_node *parent,
		     const char *name, size_t name_len,
		     struct ek_edit_node **node, struct ek_err *err)
{
	struct ek_edit_node *n;
	size_t b;

	if (name_len > EK_TREE_NAME_MAX)
		return ek_fail(err, EK_LIMIT,
			       "a name of %zu bytes: %u are the most", name_len,
			       EK_TREE_NAME_MAX);
	if (edit->n_nodes++ >= edit->n_buckets)
		EK_TRY(widen(edit, err));
	n = ek_arena_alloc(edit->arena, sizeof(*n));
	if (!n || !(n->name = ek_arena_copy(edit->arena, name, name_len)))
		return ek_fail(err, EK_NOMEM, "no memory for a tree");
	n->name_len = (uint16_t)name_len;
	n->parent = parent;
	n->next = parent->first_child;
	parent->first_child = n;
	b = bucket_of(edit, parent, name, name_len);
	n->bucket = edit->buckets[b];
	edit->buckets[b] = n;
	*node = n;
	return EK_OK;
}

/* The first of @n and the siblings after it that is not removed. */
static struct ek_edit_node *living(struct ek_edit_node *n)
{
	while (n && n->removed)
		n = n->next;
	return n;
}

/* Remove what is beneath @top: it stays linked, and every walk skips it. */
static void remove_beneath(struct ek_edit_node *top)
{
	struct ek_edit_node *n = living(top->first_child);

	while (n) {
		struct ek_edit_node *on = living(n->first_child);

		n->removed = true;
		while (!on && n != top) {
			on = living(n->next);
			n = n->parent;
		}
		n = on;
	}
	top->first_child = NULL;
}

ek_status ek_edit_put(struct ek_edit *edit, struct ek_edit_node *parent,
		      const char *name, size_t name_len,
		      struct ek_tree_inode *inode, struct ek_edit_node **node,
		      struct ek_err *err)
{
	struct ek_edit_node *n = ek_edit_find(edit, parent, name, name_len);

	if (!n)
		EK_TRY(add(edit, parent, name, name_len, &n, err));
	else if (!S_ISDIR(inode->mode))
		remove_beneath(n);
	n->inode = inode;
	if (node)
		*node = n;
	return EK_OK;
}

void ek_edit_remove(struct ek_edit_node *node)
{
	remove_beneath(node);
	node->removed = true;
}

ek_status ek_edit_finish(struct ek_edit *edit, struct ek_err *err)
{
	struct ek_edit_node *n = &edit->root;
	struct ek_tree_node *to = edit->tree->root;

	to->inode = n->inode;
	/* Down to a child, along the siblings, up again: no recursion. */
	for (;;) {
		struct ek_edit_node *next = living(n->first_child);

		while (!next) {
			if (!n->parent)
				return EK_OK;
			next = living(n->next);
			n = n->parent;
			to = to->parent;
		}
		EK_TRY(ek_tree_add(edit->tree, to, next->name, next->name_len,
				   next->inode, &to, err));
		n = next;
	}
}
