/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

/* A path has at most 4096 names of 255 bytes. */
#define PATH_LIMIT (EK_TREE_DEPTH_MAX * (EK_TREE_NAME_MAX + 1) + 2)

struct tell {
	struct ek_build *b;
	struct ek_buf path;
	/*
	 * First node in path order by inode->index; the tree's own list of an
	 * inode's nodes goes by levels of directories.
	 */
	const struct ek_tree_node **firsts;
	struct ek_manifest_xattr *xattrs; /* reused */
	size_t cap_xattrs;
};

static ek_status fill_xattrs(struct tell *t, const struct ek_tree_inode *inode,
			     struct ek_manifest_entry *m, struct ek_err *err)
{
	if (t->b->opt.xattr_share < 0)
		return EK_OK;
	for (uint32_t i = 0; i < inode->n_xattrs; i++) {
		const struct ek_tree_xattr *x = inode->xattrs[i];

		EK_TRY(ek_vec_grow(&t->xattrs, i, &t->cap_xattrs,
				   sizeof(*t->xattrs), UINT32_MAX, err));
		t->xattrs[i] = (struct ek_manifest_xattr){
			.name = x->name,
			.name_len = x->name_len,
			.value = x->value,
			.value_len = x->value_len,
		};
	}
	m->xattrs = t->xattrs;
	m->n_xattrs = inode->n_xattrs;
	return EK_OK;
}

static ek_status tell_node(struct tell *t, const struct ek_tree_node *node,
			   const char *path, struct ek_err *err)
{
	const struct ek_tree_inode *inode = node->inode;
	struct ek_manifest_sink *sink = t->b->opt.manifest;
	EK_AUTO_FREE char *first = NULL;
	static const uint8_t empty[32] = {
		0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
		0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
		0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
		0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
	struct ek_manifest_entry m = {0};
	struct ek_build_attr attr;

	ek_build_attr(t->b, inode, &attr);
	m.path = path;
	m.mode = inode->mode;
	m.uid = attr.uid;
	m.gid = attr.gid;
	m.mtime = attr.mtime;
	m.mtime_nsec = attr.mtime_nsec;
	m.rdev_major = inode->rdev_major;
	m.rdev_minor = inode->rdev_minor;
	if (S_ISREG(inode->mode)) {
		m.size = inode->size;
		memcpy(m.sha256,
		       inode->size ? t->b->digests[inode->index] : empty,
		       sizeof(m.sha256));
	} else if (S_ISLNK(inode->mode)) {
		m.target = inode->target;
	}
	if (t->firsts[inode->index]) {
		first = ek_tree_path(t->firsts[inode->index]);
		if (!first)
			return ek_fail(err, EK_NOMEM, "no memory for a path");
		m.link = first;
	} else {
		t->firsts[inode->index] = node;
	}
	EK_TRY(fill_xattrs(t, inode, &m, err));
	return sink->add(sink, &m, err);
}

/* Depth is bounded by EK_TREE_DEPTH_MAX; frames are small. */
static ek_status tell_below(struct tell *t, const struct ek_tree_node *node,
			    struct ek_err *err)
{
	size_t len = t->path.len;

	EK_TRY(tell_node(t, node, len ? (char *)t->path.data : "/", err));
	for (uint32_t i = 0; i < node->n_children; i++) {
		const struct ek_tree_node *child = node->children[i];

		t->path.len = len;
		EK_TRY(ek_buf_append(&t->path, "/", 1, err));
		EK_TRY(ek_buf_append(&t->path, child->name,
				     (size_t)child->name_len + 1, err));
		t->path.len--; /* the NUL stays behind the text */
		EK_TRY(tell_below(t, child, err));
	}
	t->path.len = len;
	return EK_OK;
}

ek_status ek_build_manifest(struct ek_build *b, struct ek_err *err)
{
	struct tell t = {.b = b, .path = EK_BUF_INIT(PATH_LIMIT)};
	ek_status status;

	t.firsts = calloc((size_t)b->tree->n_inodes + 1, sizeof(*t.firsts));
	status = t.firsts ? tell_below(&t, b->tree->root, err)
			  : ek_fail(err, EK_NOMEM, "no memory for a manifest");
	free(t.firsts);
	ek_buf_free(&t.path);
	free(t.xattrs);
	return status;
}
