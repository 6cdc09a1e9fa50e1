/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TREE_TREE_H
#define EK_TREE_TREE_H

/*
 * A file tree in memory: what a source emits and what a build writes. All of
 * it lives in one arena. One thread at a time may change a tree; when it is
 * sealed, any thread may read it.
 *
 *   new -> (add nodes, in any order) -> sealed -> free
 *
 * A node is a name in a directory; an inode is what it names. Hard links are
 * several nodes with one inode.
 */

#include <erofskit/status.h>
#include "base/arena.h"
#include "base/bytes.h"

/* One attribute with its full name, interned in the tree's arena. */
struct ek_tree_xattr {
	const char *name; /* NUL-terminated, e.g. "user.x" */
	const uint8_t *value;
	uint16_t name_len;
	uint32_t value_len; /* at most 65535 */
};

struct ek_tree_node;

struct ek_tree_inode {
	uint32_t mode; /* st_mode */
	uint32_t uid, gid;
	uint32_t nlink; /* set by ek_tree_seal() */
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t rdev_major, rdev_minor;
	uint64_t size;	    /* regular files; symlinks: length of target */
	const char *target; /* symlinks: NUL-terminated */
	const struct ek_tree_xattr *const *xattrs; /* sorted by name */
	uint32_t n_xattrs;
	bool implied;	/* a directory that no member spoke of */
	uint32_t index; /* dense number, order of ek_tree_seal()'s list */
	struct ek_tree_node *first; /* first node, order of the list below */
	/* The source's own handle to the data of a regular file. */
	void *data;
	/* The build's own record of this inode. */
	void *plan;
};

struct ek_tree_node {
	const char *name; /* NUL-terminated; "" for the root */
	uint16_t name_len;
	struct ek_tree_node *parent; /* NULL for the root */
	struct ek_tree_inode *inode;
	/* Directories; sorted by unsigned bytes of the names when sealed. */
	struct ek_tree_node **children;
	uint32_t n_children, cap_children;
};

struct ek_tree {
	struct ek_arena *arena;
	struct ek_tree_node *root;
	/* After sealing: every inode once, in breadth-first order of paths. */
	struct ek_tree_inode **inodes;
	uint32_t n_inodes, cap_inodes;
	int sealed;
	struct ek_tree_intern *intern; /* shared attributes */
};

/* Limits: named, so that errors can tell them. */
#define EK_TREE_NAME_MAX   255u
#define EK_TREE_TARGET_MAX 4095u
#define EK_TREE_XATTR_MAX  65535u
#define EK_TREE_DEPTH_MAX  4096u
/* Names in one directory, and inodes: on-disk numbers have 32 bits. */
#define EK_TREE_INODES_MAX 0xfffffff0u

ek_status ek_tree_new(struct ek_tree **tree, struct ek_err *err);
void ek_tree_free(struct ek_tree *tree);

/* A new inode of zeros with @mode, in the arena. */
ek_status ek_tree_inode(struct ek_tree *tree, uint32_t mode,
			struct ek_tree_inode **inode, struct ek_err *err);

/*
 * Put @inode as @name (checked: 1 to 255 bytes, no '/', no NUL, not "." or
 * "..") under directory @parent; EK_EXISTS is found at sealing, not here.
 * @node may be NULL.
 */
ek_status ek_tree_add(struct ek_tree *tree, struct ek_tree_node *parent,
		      const char *name, size_t name_len,
		      struct ek_tree_inode *inode, struct ek_tree_node **node,
		      struct ek_err *err);

/*
 * Intern one attribute: equal (name, value) pairs give the same pointer. The
 * name has 1 to 255 bytes after its namespace's dot; EK_LIMIT when the name is
 * longer than 255 bytes in all or the value than EK_TREE_XATTR_MAX; EK_CORRUPT
 * for a system.posix_acl_* that is no access control list.
 */
ek_status ek_tree_xattr(struct ek_tree *tree, const char *name,
			const void *value, size_t value_len,
			const struct ek_tree_xattr **xattr, struct ek_err *err);

/*
 * Sort @n attributes by name (@xattrs itself is sorted) and give them to
 * @inode, replacing those it has. EK_EXISTS when two have the same name.
 */
ek_status ek_tree_set_xattrs(struct ek_tree *tree, struct ek_tree_inode *inode,
			     const struct ek_tree_xattr **xattrs, size_t n,
			     struct ek_err *err);

/*
 * Sort all directories, count links (directories: 2 + subdirectories; others:
 * nodes in the tree), number the inodes, find duplicates (EK_EXISTS names the
 * path). EK_LIMIT when a directory is deeper than EK_TREE_DEPTH_MAX.
 *
 * Order of inodes: the root, then directory by directory in the order in which
 * they are listed, each with its children by name. It depends on names alone,
 * not on the order of adding.
 */
ek_status ek_tree_seal(struct ek_tree *tree, struct ek_err *err);

/*
 * Path of @node from the root ("/" for the root, "/a/b"), NUL-terminated,
 * malloc'ed. NULL when there is no memory.
 */
char *ek_tree_path(const struct ek_tree_node *node);

#endif
