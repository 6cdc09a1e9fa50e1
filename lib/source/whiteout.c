/* SPDX-License-Identifier: Apache-2.0 */
#include "source/tar_priv.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

/*
 * AUFS spells "this name is gone" and "nothing below shows through" as files;
 * OCI layers took that over. overlayfs has character devices 0:0 and an
 * attribute for them (Documentation/filesystems/overlayfs.rst).
 */

enum ek_whiteout ek_whiteout_of(const char *name, size_t n)
{
	static const char opaque[] = ".wh..wh..opq";

	if (n <= EK_WHITEOUT_PREFIX || memcmp(name, ".wh.", 4) != 0)
		return EK_WHITEOUT_NONE;
	if (n == sizeof(opaque) - 1 && !memcmp(name, opaque, n))
		return EK_WHITEOUT_OPAQUE;
	if (n >= 8 && !memcmp(name + 4, ".wh.", 4))
		return EK_WHITEOUT_OWN;
	return EK_WHITEOUT_NAME;
}

ek_status ek_tar_add_xattr(struct ek_tar_build *b, struct ek_tree_inode *inode,
			   const char *name, const void *value, size_t n,
			   struct ek_err *err)
{
	size_t count = inode->n_xattrs;
	EK_AUTO_FREE const struct ek_tree_xattr **list =
		calloc(count + 1, sizeof(*list));

	if (!list)
		return ek_fail(err, EK_NOMEM, "no memory for an attribute");
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(inode->xattrs[i]->name, name))
			return EK_OK;
		list[i] = inode->xattrs[i];
	}
	EK_TRY(ek_tree_xattr(b->tree, name, value, n, &list[count], err));
	return ek_tree_set_xattrs(b->tree, inode, list, count + 1, err);
}

ek_status ek_tar_make_opaque(struct ek_tar_build *b, struct ek_tree_inode *dir,
			     struct ek_err *err)
{
	return ek_tar_add_xattr(b, dir, "trusted.overlay.opaque", "y", 1, err);
}

/*
 * The mark that makes overlayfs look for whiteouts in a directory that merges
 * with none (empty value: the origin is unknown).
 */
static ek_status mark_parent(struct ek_tar_build *b,
			     struct ek_edit_node *parent, struct ek_err *err)
{
	return ek_tar_add_xattr(b, parent->inode, "trusted.overlay.origin", "",
				0, err);
}

static ek_status hide_name(struct ek_tar_build *b, struct ek_edit_node *parent,
			   const char *name, size_t n, struct ek_err *err)
{
	const struct ek_edit_node *old;
	struct ek_tree_inode *inode;

	if ((n == 1 && name[0] == '.') ||
	    (n == 2 && name[0] == '.' && name[1] == '.'))
		return ek_fail(err, EK_CORRUPT, "whiteout of '%.*s'", (int)n,
			       name);
	/*
	 * A name of this very layer shows, whatever order they came in; but a
	 * directory shows nothing of those below.
	 */
	old = ek_edit_find(b->edit, parent, name, n);
	if (old && S_ISDIR(old->inode->mode))
		return ek_tar_make_opaque(b, old->inode, err);
	if (old)
		return EK_OK;
	EK_TRY(ek_tree_inode(b->tree, S_IFCHR, &inode, err));
	inode->uid = b->e->uid;
	inode->gid = b->e->gid;
	inode->mtime = b->e->mtime;
	inode->mtime_nsec = b->e->mtime_nsec;
	EK_TRY(ek_edit_put(b->edit, parent, name, n, inode, NULL, err));
	return mark_parent(b, parent, err);
}

ek_status ek_tar_whiteout(struct ek_tar_build *b, enum ek_whiteout kind,
			  struct ek_edit_node *parent, const char *name,
			  size_t name_len, struct ek_err *err)
{
	if (kind == EK_WHITEOUT_OWN || b->options->strip_overlay)
		return EK_OK;
	if (kind == EK_WHITEOUT_OPAQUE)
		return ek_tar_make_opaque(b, parent->inode, err);
	return hide_name(b, parent, name + EK_WHITEOUT_PREFIX,
			 name_len - EK_WHITEOUT_PREFIX, err);
}
