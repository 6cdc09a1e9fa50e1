/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/tree.h"

#include "base/try.h"
#include "format/xattr.h"
#include "tree/intern.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Full name: what setxattr(2) takes is no longer. */
#define NAME_MAX_BYTES 255

/* Open addressing, a power of two, at most half full. */
struct ek_tree_intern {
	struct slot {
		uint64_t hash;
		const struct ek_tree_xattr *xattr;
	} * slots;
	size_t n, cap;
};

struct ek_tree_intern *ek_tree_intern_new(void)
{
	return calloc(1, sizeof(struct ek_tree_intern));
}

void ek_tree_intern_free(struct ek_tree_intern *intern)
{
	if (!intern)
		return;
	free(intern->slots);
	free(intern);
}

/*
 * Seeded with an address: who makes the attributes cannot prepare collisions.
 * The order of the table never shows.
 */
static uint64_t hash(const struct ek_tree_intern *intern, const char *name,
		     size_t name_len, const void *value, size_t value_len)
{
	uint64_t h = XXH3_64bits_withSeed(name, name_len,
					  (uint64_t)(uintptr_t)intern);

	return value_len ? XXH3_64bits_withSeed(value, value_len, h) : h;
}

static struct slot *find(struct slot *slots, size_t cap, uint64_t h,
			 const char *name, size_t name_len, const void *value,
			 size_t value_len)
{
	size_t i = (size_t)h & (cap - 1);

	for (; slots[i].xattr; i = (i + 1) & (cap - 1)) {
		const struct ek_tree_xattr *x = slots[i].xattr;

		if (slots[i].hash == h && x->name_len == name_len &&
		    x->value_len == value_len &&
		    !memcmp(x->name, name, name_len) &&
		    (!value_len || !memcmp(x->value, value, value_len)))
			break;
	}
	return &slots[i];
}

static ek_status grow(struct ek_tree_intern *intern, struct ek_err *err)
{
	size_t cap = intern->cap ? intern->cap * 2 : 64;
	struct slot *slots;

	if (intern->n < intern->cap / 2)
		return EK_OK;
	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return ek_fail(err, EK_NOMEM, "no memory for attributes");
	for (size_t i = 0; i < intern->cap; i++) {
		size_t k = (size_t)intern->slots[i].hash & (cap - 1);

		if (!intern->slots[i].xattr)
			continue;
		while (slots[k].xattr)
			k = (k + 1) & (cap - 1);
		slots[k] = intern->slots[i];
	}
	free(intern->slots);
	intern->slots = slots;
	intern->cap = cap;
	return EK_OK;
}

/* With another value the kernel refuses each access. */
static bool acl_ok(const char *name, const void *value, size_t value_len)
{
	return (strcmp(name, "system.posix_acl_access") != 0 &&
		strcmp(name, "system.posix_acl_default") != 0) ||
	       ek_xattr_acl_ok(value, value_len);
}

static ek_status check(const char *name, size_t name_len, const void *value,
		       size_t value_len, struct ek_err *err)
{
	const char *dot = strchr(name, '.');

	if (name_len > NAME_MAX_BYTES)
		return ek_fail(err, EK_LIMIT,
			       "an attribute's name of %zu bytes: %d are the "
			       "most",
			       name_len, NAME_MAX_BYTES);
	if (!dot || dot == name || !dot[1])
		return ek_fail(err, EK_INVALID,
			       "'%s' cannot be an attribute's name", name);
	if (value_len > EK_TREE_XATTR_MAX)
		return ek_fail(err, EK_LIMIT,
			       "attribute %s has %zu bytes: %u are the most",
			       name, value_len, EK_TREE_XATTR_MAX);
	if (!acl_ok(name, value, value_len))
		return ek_fail(err, EK_CORRUPT, "%s is no access control list",
			       name);
	return EK_OK;
}

static struct ek_tree_xattr *make(struct ek_tree *tree, const char *name,
				  size_t name_len, const void *value,
				  size_t value_len)
{
	struct ek_tree_xattr *x = ek_arena_alloc(tree->arena, sizeof(*x));

	if (!x)
		return NULL;
	x->name = ek_arena_copy(tree->arena, name, name_len);
	x->value = (uint8_t *)ek_arena_copy(tree->arena, value, value_len);
	if (!x->name || !x->value)
		return NULL;
	x->name_len = (uint16_t)name_len;
	x->value_len = (uint32_t)value_len;
	return x;
}

ek_status ek_tree_xattr(struct ek_tree *tree, const char *name,
			const void *value, size_t value_len,
			const struct ek_tree_xattr **xattr, struct ek_err *err)
{
	struct ek_tree_intern *intern = tree->intern;
	size_t name_len = strlen(name);
	struct slot *slot;
	uint64_t h;

	EK_TRY(check(name, name_len, value, value_len, err));
	EK_TRY(grow(intern, err));
	h = hash(intern, name, name_len, value, value_len);
	slot = find(intern->slots, intern->cap, h, name, name_len, value,
		    value_len);
	if (!slot->xattr) {
		slot->xattr = make(tree, name, name_len, value, value_len);
		if (!slot->xattr)
			return ek_fail(err, EK_NOMEM,
				       "no memory for attributes");
		slot->hash = h;
		intern->n++;
	}
	*xattr = slot->xattr;
	return EK_OK;
}

static int by_name(const void *a, const void *b)
{
	const struct ek_tree_xattr *x = *(const struct ek_tree_xattr *const *)a;
	const struct ek_tree_xattr *y = *(const struct ek_tree_xattr *const *)b;

	return strcmp(x->name, y->name);
}

ek_status ek_tree_set_xattrs(struct ek_tree *tree, struct ek_tree_inode *inode,
			     const struct ek_tree_xattr **xattrs, size_t n,
			     struct ek_err *err)
{
	const struct ek_tree_xattr **copy;

	inode->xattrs = NULL;
	inode->n_xattrs = 0;
	if (n == 0)
		return EK_OK;
	/* The region of an inode has a 16-bit count of 4-byte units. */
	if (n > UINT16_MAX)
		return ek_fail(err, EK_LIMIT, "%zu attributes on one inode", n);
	qsort(xattrs, n, sizeof(*xattrs), by_name);
	for (size_t i = 1; i < n; i++)
		if (by_name(&xattrs[i - 1], &xattrs[i]) == 0)
			return ek_fail(err, EK_EXISTS,
				       "attribute %s occurs twice",
				       xattrs[i]->name);
	copy = ek_arena_alloc(tree->arena, n * sizeof(*copy));
	if (!copy)
		return ek_fail(err, EK_NOMEM, "no memory for attributes");
	memcpy(copy, xattrs, n * sizeof(*copy));
	inode->xattrs = copy;
	inode->n_xattrs = (uint32_t)n;
	return EK_OK;
}
