/* SPDX-License-Identifier: Apache-2.0 */
#include "source/tar_priv.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

/* The next component of *path that is not "." or empty; 0 at the end. */
static size_t component(const char **path)
{
	size_t n;

	for (;;) {
		while (**path == '/')
			*path += 1;
		n = (size_t)(strchrnul(*path, '/') - *path);
		if (n != 1 || **path != '.')
			return n;
		*path += 1;
	}
}

static bool is_last(const char *after)
{
	return component(&after) == 0;
}

/* A parent that no member has spoken of yet: as mkdir -p by its owner. */
static ek_status implied(struct ek_tar_build *b, struct ek_edit_node *parent,
			 const char *name, size_t n, struct ek_edit_node **node,
			 struct ek_err *err)
{
	struct ek_tree_inode *inode;

	EK_TRY(ek_tree_inode(b->tree,
			     S_IFDIR | 0755 | (parent->inode->mode & 022),
			     &inode, err));
	inode->uid = parent->inode->uid;
	inode->gid = parent->inode->gid;
	inode->mtime = parent->inode->mtime;
	inode->mtime_nsec = parent->inode->mtime_nsec;
	inode->implied = true;
	/* A whiteout came first: of what is below, nothing is to show. */
	if (ek_edit_find(b->edit, parent, name, n))
		EK_TRY(ek_tar_make_opaque(b, inode, err));
	return ek_edit_put(b->edit, parent, name, n, inode, node, err);
}

static ek_status climbs(const char *path, struct ek_err *err)
{
	return ek_fail(err, EK_CORRUPT, "'%s' climbs by \"..\"", path);
}

/*
 * Members of one directory mostly follow each other. The part of @path up to
 * its last name when it is the last one's, still a directory; else 0.
 */
static size_t same_directory(const struct ek_tar_build *b, const char *path,
			     const char **name, size_t *name_len)
{
	const char *p;

	if (!b->last || strncmp(path, b->last_path, b->last_len) != 0 ||
	    b->last->removed || !S_ISDIR(b->last->inode->mode))
		return 0;
	p = path + b->last_len;
	*name_len = component(&p);
	*name = p;
	if (!*name_len || !is_last(p + *name_len) ||
	    (*name_len == 2 && p[0] == '.' && p[1] == '.'))
		return 0;
	return b->last_len;
}

/* Remember @dir as what the first @len bytes of @path lead to. */
static ek_status remember(struct ek_tar_build *b, struct ek_edit_node *dir,
			  const char *path, size_t len, struct ek_err *err)
{
	if (len > b->last_room) {
		char *at = realloc(b->last_path, len);

		if (!at)
			return ek_fail(err, EK_NOMEM, "no memory for a path");
		b->last_path = at;
		b->last_room = len;
	}
	memcpy(b->last_path, path, len);
	b->last_len = len;
	b->last = dir;
	return EK_OK;
}

ek_status ek_tar_parent(struct ek_tar_build *b, const char *path,
			struct ek_edit_node **parent, const char **name,
			size_t *name_len, struct ek_err *err)
{
	struct ek_edit_node *dir = ek_edit_root(b->edit), *next;
	const char *p = path;
	unsigned depth = 0;
	size_t n;

	if (same_directory(b, path, name, name_len)) {
		*parent = b->last;
		return EK_OK;
	}
	*name_len = 0;
	while ((n = component(&p)) != 0) {
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return climbs(path, err);
		if (++depth > EK_TREE_DEPTH_MAX)
			return ek_fail(err, EK_LIMIT,
				       "a path of more than %u names",
				       EK_TREE_DEPTH_MAX);
		*name = p;
		*name_len = n;
		p += n;
		if (is_last(p))
			break;
		next = ek_edit_find(b->edit, dir, *name, n);
		if (!next || (b->options->aufs && ek_is_whiteout(next->inode)))
			EK_TRY(implied(b, dir, *name, n, &next, err));
		if (!S_ISDIR(next->inode->mode))
			return ek_fail(err, EK_CORRUPT,
				       "'%s' goes through '%s', which is no "
				       "directory",
				       path, next->name);
		dir = next;
	}
	*parent = dir;
	/* Only a prefix that ends in a slash ends with a whole name. */
	if (*name_len && *name > path && (*name)[-1] == '/')
		return remember(b, dir, path, (size_t)(*name - path), err);
	return EK_OK;
}

ek_status ek_tar_find(struct ek_tar_build *b, const char *path,
		      struct ek_edit_node **node, struct ek_err *err)
{
	const char *p = path;
	size_t n;

	*node = ek_edit_root(b->edit);
	while (*node && (n = component(&p)) != 0) {
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return climbs(path, err);
		*node = ek_edit_find(b->edit, *node, p, n);
		p += n;
	}
	return EK_OK;
}
