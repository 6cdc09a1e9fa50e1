/* SPDX-License-Identifier: Apache-2.0 */

/* The names of one directory. */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"
#include "format/dirent.h"

#include <string.h>

/* Read at once: a multiple of every block size. */
#define DIR_PIECE (1u << EK_BLKSZBITS_MAX)

struct dir {
	struct ck *ck;
	uint32_t index;
	struct ek_node node;
	uint64_t pos;		   /* of the block in the directory's data */
	uint8_t last[EK_NAME_MAX]; /* the name before, across blocks */
	size_t last_len;
	bool any, dot, dotdot, unsorted;
};

static void name_text(const struct ek_dent *d, char text[EK_NAME_MAX + 1])
{
	memcpy(text, d->name, d->namelen);
	text[d->namelen] = '\0';
}

static ek_status check_order(struct dir *dir, const struct ek_dent *d,
			     const char *text)
{
	int order = dir->any ? ek_name_cmp(dir->last, dir->last_len, d->name,
					   d->namelen)
			     : -1;

	if (order == 0)
		ck_find(dir->ck, CK_DIR_DUPLICATE, dir->index, text,
			CK_NO_OFFSET, "the name stands twice");
	else if (order > 0 && !dir->unsorted)
		ck_find(dir->ck, CK_DIR_ORDER, dir->index, text, CK_NO_OFFSET,
			"the name sorts before the one in front of it");
	/* One finding tells it; what follows is out of order as well. */
	dir->unsorted |= order > 0;
	memcpy(dir->last, d->name, d->namelen);
	dir->last_len = d->namelen;
	dir->any = true;
	return EK_OK;
}

static bool is_ancestor(const struct ck *ck, uint32_t index, uint32_t of)
{
	while (of != CK_NOBODY && of != index)
		of = ck->inodes.at[of].parent;
	return of == index;
}

static ek_status check_type(struct dir *dir, const struct ek_dent *d,
			    uint32_t index, const char *text)
{
	uint16_t mode = dir->ck->inodes.at[index].mode;

	if (!mode || d->type == ek_ftype_of_mode(mode))
		return EK_OK;
	return ck_find(dir->ck, CK_DIR_TYPE, dir->index, text, CK_NO_OFFSET,
		       "type %u, but the inode is of type %u", d->type,
		       ek_ftype_of_mode(mode));
}

/* "." and "..": *@taken says that the entry was one of them. */
static ek_status check_dots(struct dir *dir, const struct ek_dent *d,
			    bool *taken)
{
	struct ck *ck = dir->ck;
	const struct ck_inode *self = &ck->inodes.at[dir->index];
	uint64_t wanted = self->nid;
	bool two = d->namelen == 2;

	*taken = d->name[0] == '.' &&
		 (d->namelen == 1 || (two && d->name[1] == '.'));
	if (!*taken)
		return EK_OK;
	*(two ? &dir->dotdot : &dir->dot) = true;
	if (two && self->parent != CK_NOBODY)
		wanted = ck->inodes.at[self->parent].nid;
	/* The parent of the start of a part is not known. */
	if (two && self->parent == CK_NOBODY && ck->result->restricted)
		return EK_OK;
	if (!two && self->dot_omitted)
		return ck_find(ck, CK_DIR_DOT, dir->index, ".", CK_NO_OFFSET,
			       "\".\" is there, but said to be omitted");
	if (d->nid != wanted)
		ck_find(ck, two ? CK_DIR_DOTDOT : CK_DIR_DOT, dir->index,
			two ? ".." : ".", CK_NO_OFFSET,
			"leads to inode %llu instead of %llu",
			(unsigned long long)d->nid, (unsigned long long)wanted);
	if (d->type != EK_FT_DIR)
		ck_find(ck, CK_DIR_TYPE, dir->index, two ? ".." : ".",
			CK_NO_OFFSET, "type %u, but it is a directory",
			d->type);
	return EK_OK;
}

static ek_status follow(struct dir *dir, const struct ek_dent *d,
			const char *text, struct ek_err *err)
{
	struct ck *ck = dir->ck;
	uint32_t index;
	bool is_new;

	EK_TRY(ck_meet(ck, d->nid, dir->index, text, &index, &is_new, err));
	if (index == CK_NOBODY)
		return EK_OK;
	if (index == ck->packed || index == ck->metabox)
		return ck_find(ck, CK_DIR_SPECIAL, dir->index, text,
			       CK_NO_OFFSET,
			       "leads to the packed or the metabox inode");
	ck->inodes.at[index].links++;
	EK_TRY(check_type(dir, d, index, text));
	if (!S_ISDIR(ck->inodes.at[index].mode))
		return EK_OK;
	if (is_new) {
		ck->inodes.at[dir->index].subdirs++;
		return EK_OK;
	}
	if (is_ancestor(ck, index, dir->index))
		return ck_find(ck, CK_DIR_LOOP, dir->index, text, CK_NO_OFFSET,
			       "leads back to a directory that it is in");
	return ck_find(ck, CK_DIR_PARENT, dir->index, text, CK_NO_OFFSET,
		       "the directory has another name already");
}

static ek_status check_entry(struct dir *dir, const struct ek_dent *d,
			     struct ek_err *err)
{
	char text[EK_NAME_MAX + 1];
	bool taken;

	name_text(d, text);
	dir->ck->result->names++;
	if (d->reserved)
		ck_find(dir->ck, CK_DIR_RESERVED, dir->index, text,
			CK_NO_OFFSET, "a reserved byte is not zero");
	EK_TRY(check_order(dir, d, text));
	EK_TRY(check_dots(dir, d, &taken));
	return taken ? EK_OK : follow(dir, d, text, err);
}

static ek_status check_block(struct dir *dir, const uint8_t *bytes, size_t n,
			     struct ek_err *err)
{
	struct ek_dirblock block;
	struct ek_err why;
	uint32_t i;

	if (ek_dirblock_open(bytes, n, &block, &why) != EK_OK)
		return ck_find(dir->ck, CK_DIR_BLOCK, dir->index, NULL,
			       CK_NO_OFFSET, "block at byte %llu: %s",
			       (unsigned long long)dir->pos, why.text);
	for (i = 0; i < block.count; i++) {
		struct ek_dent d;

		if (ek_dirblock_get(&block, i, &d, &why) == EK_OK)
			EK_TRY(check_entry(dir, &d, err));
		else
			ck_find(dir->ck, CK_DIR_ENTRY, dir->index, NULL,
				CK_NO_OFFSET, "block at byte %llu: %s",
				(unsigned long long)dir->pos, why.text);
	}
	if (!ek_dirblock_padding_zero(&block))
		ck_find(dir->ck, CK_DIR_RESERVED, dir->index, NULL,
			CK_NO_OFFSET,
			"block at byte %llu: bytes behind the names are not "
			"zero",
			(unsigned long long)dir->pos);
	return EK_OK;
}

static ek_status check_piece(struct dir *dir, uint64_t pos, size_t n,
			     struct ek_err *err)
{
	uint32_t bs = ek_sb_bs(&dir->ck->image->sb);
	struct ek_err why;
	size_t at;

	EK_TRY(ck_cancelled(dir->ck, err));
	if (ek_image_read(dir->ck->image, &dir->node, pos, dir->ck->dir_buf, n,
			  &why) != EK_OK)
		return ck_failed(dir->ck, CK_DIR_READ, dir->index, NULL,
				 CK_NO_OFFSET, &why);
	for (at = 0; at < n; at += bs) {
		dir->pos = pos + at;
		EK_TRY(check_block(dir, dir->ck->dir_buf + at,
				   (size_t)ek_min(bs, n - at), err));
	}
	return EK_OK;
}

static ek_status budget(struct ck *ck, uint32_t index, uint64_t size, bool *ok)
{
	*ok = size <= ck->dir_bytes_left;
	if (*ok)
		ck->dir_bytes_left -= size;
	if (*ok || ck->dir_over)
		return EK_OK;
	ck->dir_over = true;
	return ck_find(ck, CK_DIR_BUDGET, index, NULL, CK_NO_OFFSET,
		       "a directory of %llu bytes", (unsigned long long)size);
}

ek_status ck_dir(struct ck *ck, uint32_t index, struct ek_err *err)
{
	struct dir dir = {.ck = ck, .index = index};
	uint64_t pos = 0;
	struct ek_err why;
	bool ok;

	if (ek_image_node(ck->image, ck->inodes.at[index].nid, &dir.node,
			  &why) != EK_OK)
		return ck_failed(ck, CK_INODE_FIELD, index, NULL, CK_NO_OFFSET,
				 &why);
	if (dir.node.size == 0)
		return ck_find(ck, CK_DIR_EMPTY, index, NULL, CK_NO_OFFSET,
			       "a directory without bytes");
	EK_TRY(budget(ck, index, dir.node.size, &ok));
	for (; ok && pos < dir.node.size; pos += DIR_PIECE) {
		size_t n = (size_t)ek_min(dir.node.size - pos, DIR_PIECE);

		EK_TRY(check_piece(&dir, pos, n, err));
	}
	if (ok && !dir.dot && !dir.node.dot_omitted)
		ck_find(ck, CK_DIR_DOT, index, ".", CK_NO_OFFSET,
			"\".\" is missing");
	if (ok && !dir.dotdot)
		ck_find(ck, CK_DIR_DOTDOT, index, "..", CK_NO_OFFSET,
			"\"..\" is missing");
	return EK_OK;
}
