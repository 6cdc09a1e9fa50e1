/* SPDX-License-Identifier: Apache-2.0 */

/* The tree, breadth first: every inode once, every name. */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

static ek_status add_inode(struct ck *ck, uint64_t nid, uint32_t parent,
			   const char *name, uint32_t *index,
			   struct ek_err *err)
{
	struct ck_inode inode = {.nid = nid, .parent = parent};

	inode.name = ek_arena_copy(ck->arena, name, strlen(name));
	if (!inode.name)
		return ek_fail(err, EK_NOMEM, "a name");
	*index = (uint32_t)ck->inodes.n;
	EK_TRY(ek_vec_push(&ck->inodes, inode, CK_INODES_MAX, err));
	return ek_idmap_add(&ck->by_nid, nid, *index, CK_INODES_MAX, err);
}

static void count_inode(struct ck *ck, uint16_t mode)
{
	struct ek_check_result *r = ck->result;

	r->inodes++;
	if (S_ISDIR(mode))
		r->directories++;
	else if (S_ISREG(mode))
		r->files++;
	else if (S_ISLNK(mode))
		r->symlinks++;
	else
		r->others++;
}

ek_status ck_meet(struct ck *ck, uint64_t nid, uint32_t parent,
		  const char *name, uint32_t *index, bool *is_new,
		  struct ek_err *err)
{
	struct ek_err why;
	uint64_t pos;
	bool box;

	*is_new = false;
	if (ek_idmap_find(&ck->by_nid, nid, index))
		return EK_OK;
	*index = CK_NOBODY;
	/*
	 * Only numbers that lead to bytes become inodes here: the memory for
	 * them is then in proportion to the image.
	 */
	if (ek_nid_pos(&ck->image->sb, nid, &box, &pos, &why) != EK_OK)
		return ck_find(ck, CK_INODE_RANGE, parent, name, CK_NO_OFFSET,
			       "inode %llu: %s", (unsigned long long)nid,
			       why.text);
	if ((box && !ck->image->have_metabox) ||
	    !ek_add(pos, EK_INODE_COMPACT, &pos) ||
	    pos > (box ? ck->image->metabox.size : ck->src->size))
		return ck_find(ck, CK_INODE_RANGE, parent, name, CK_NO_OFFSET,
			       "inode %llu lies beyond the metadata",
			       (unsigned long long)nid);
	EK_TRY(ck_cancelled(ck, err));
	EK_TRY(add_inode(ck, nid, parent, name, index, err));
	*is_new = true;
	EK_TRY(ck_inode(ck, *index, err));
	if (ck->inodes.at[*index].mode)
		count_inode(ck, ck->inodes.at[*index].mode);
	return EK_OK;
}

/* The packed and the metabox inode, which no name leads to. */
static ek_status meet_special(struct ck *ck, bool there, uint64_t nid,
			      const char *name, uint32_t *index,
			      struct ek_err *err)
{
	bool is_new;

	*index = CK_NOBODY;
	if (!there)
		return EK_OK;
	return ck_meet(ck, nid, CK_NOBODY, name, index, &is_new, err);
}

/* Where the walk begins: the root, or what the caller asked for. */
static ek_status start_node(struct ck *ck, struct ek_node *node,
			    const char **name, struct ek_err *err)
{
	const struct ek_check_options *o = ck->options;

	*name = "";
	if (o->has_nid)
		return ek_image_node(ck->image, o->nid, node, err);
	if (!o->path)
		return ek_image_root(ck->image, node, err);
	EK_TRY(ek_image_lookup(ck->image, o->path, node, err));
	if (node->nid == ck->image->sb.root_nid)
		return EK_OK;
	*name = o->path;
	while (**name == '/')
		++*name;
	return EK_OK;
}

ek_status ck_walk(struct ck *ck, struct ek_err *err)
{
	struct ek_image *image = ck->image;
	struct ek_node start;
	const char *name;
	struct ek_err why;
	ek_status status;
	uint32_t index;
	size_t i;
	bool is_new;

	status = start_node(ck, &start, &name, &why);
	if (status == EK_NOTFOUND || status == EK_INVALID) {
		*err = why;
		return status;
	}
	if (status != EK_OK)
		return ck_failed(ck, CK_INODE_FIELD, CK_NOBODY, NULL,
				 CK_NO_OFFSET, &why);
	/* Fragments are compared with the packed inode, so it is first. */
	EK_TRY(meet_special(ck, image->have_packed, image->sb.packed_nid,
			    "<packed>", &ck->packed, err));
	EK_TRY(meet_special(ck, image->have_metabox, image->sb.metabox_nid,
			    "<metabox>", &ck->metabox, err));
	EK_TRY(ck_meet(ck, start.nid, CK_NOBODY, name, &index, &is_new, err));
	if (index == CK_NOBODY)
		return EK_OK;
	if (!is_new)
		return ck_find(ck, CK_DIR_SPECIAL, index, NULL, CK_NO_OFFSET,
			       "the root is the packed or the metabox inode");
	ck->root = index;
	for (i = index; i < ck->inodes.n; i++)
		if (S_ISDIR(ck->inodes.at[i].mode))
			EK_TRY(ck_dir(ck, (uint32_t)i, err));
	return EK_OK;
}

/*
 * A directory has a link for its name, one for "." and one for each ".."
 * beneath it; 1 stands for more than a compact inode can count.
 */
static ek_status directory_links(struct ck *ck, uint32_t index)
{
	const struct ck_inode *in = &ck->inodes.at[index];
	uint64_t wanted = 2 + (uint64_t)in->subdirs;

	if (in->nlink == wanted)
		return EK_OK;
	if (in->nlink == 1 && wanted > UINT16_MAX)
		return EK_OK;
	return ck_find(ck, CK_INODE_LINKS, index, NULL, CK_NO_OFFSET,
		       "%u links, but %u subdirectories make %llu", in->nlink,
		       in->subdirs, (unsigned long long)wanted);
}

ek_status ck_links(struct ck *ck, struct ek_err *err)
{
	uint64_t met = ck->result->inodes;
	uint32_t i;

	if (ck->result->restricted)
		return EK_OK;
	for (i = 0; i < ck->inodes.n; i++) {
		const struct ck_inode *in = &ck->inodes.at[i];

		EK_TRY(ck_cancelled(ck, err));
		if (!in->mode || i == ck->packed || i == ck->metabox)
			continue;
		if (S_ISDIR(in->mode))
			directory_links(ck, i);
		else if (in->nlink != in->links)
			ck_find(ck, CK_INODE_LINKS, i, NULL, CK_NO_OFFSET,
				"%u links, but %u names", in->nlink, in->links);
	}
	if (met != ck->image->sb.inos)
		ck_find(ck, CK_SUPER_INODES, CK_NOBODY, NULL,
			EK_SB_OFFSET + 0x10,
			"%llu inodes, the superblock says %llu",
			(unsigned long long)met,
			(unsigned long long)ck->image->sb.inos);
	return EK_OK;
}
