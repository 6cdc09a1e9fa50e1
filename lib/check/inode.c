/* SPDX-License-Identifier: Apache-2.0 */

/* One inode: its fields, and who owns the bytes behind it. */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

#define NSEC 1000000000u

static ek_status decode(struct ck *ck, uint64_t nid, struct ek_inode *in,
			uint64_t *pos, bool *box, struct ek_err *err)
{
	uint8_t bytes[EK_INODE_EXTENDED];
	uint32_t n;

	EK_TRY(ek_nid_pos(&ck->image->sb, nid, box, pos, err));
	EK_TRY(ek_meta_read(ck->image, *box, *pos, bytes, EK_INODE_COMPACT,
			    err));
	n = ek_inode_peek(bytes);
	if (n > EK_INODE_COMPACT)
		EK_TRY(ek_meta_read(ck->image, *box, *pos + EK_INODE_COMPACT,
				    bytes + EK_INODE_COMPACT,
				    n - EK_INODE_COMPACT, err));
	return ek_inode_decode(&ck->image->sb, bytes, n, in, err);
}

static ek_status fields(struct ck *ck, uint32_t index,
			const struct ek_inode *in, uint64_t pos)
{
	const struct ek_sb *sb = &ck->image->sb;

	if (in->mtime_nsec >= NSEC)
		ck_find(ck, CK_INODE_TIME, index, NULL, pos, "%u nanoseconds",
			in->mtime_nsec);
	if (in->bit4 && !ek_sb_incompat(sb, EK_INCOMPAT_48BIT))
		ck_find(ck, CK_INODE_WIDE, index, NULL, pos,
			"bit 4 of the format without 48BIT");
	if (in->reserved_nonzero)
		ck_find(ck, CK_INODE_RESERVED, index, NULL, pos,
			"a reserved byte is not zero");
	if (!ek_mode_has_data(in->mode)) {
		if (in->size || in->layout != EK_LAYOUT_PLAIN)
			ck_find(ck, CK_INODE_LAYOUT, index, NULL, pos,
				"a device, fifo or socket with layout %u and "
				"%llu bytes",
				in->layout, (unsigned long long)in->size);
		return EK_OK;
	}
	if (ek_inode_compressed(in) && ek_sb_is_plain(sb))
		ck_find(ck, CK_INODE_LAYOUT, index, NULL, pos,
			"a compressed layout in an image without codecs");
	return EK_OK;
}

static ek_status symlink_target(struct ck *ck, uint32_t index,
				const struct ek_inode *in, uint64_t pos)
{
	EK_AUTO_FREE char *target = NULL;
	struct ek_node node;
	struct ek_err why;
	ek_status status;

	if (in->size == 0 || in->size > EK_SYMLINK_MAX)
		return ck_find(ck, CK_SYMLINK_TARGET, index, NULL, pos,
			       "a target of %llu bytes",
			       (unsigned long long)in->size);
	status =
		ek_image_node(ck->image, ck->inodes.at[index].nid, &node, &why);
	if (status == EK_OK)
		status = ek_image_readlink(ck->image, &node, &target, &why);
	if (status == EK_OK)
		return EK_OK;
	return ck_failed(ck, CK_SYMLINK_TARGET, index, NULL, pos, &why);
}

static void count_data(struct ck *ck, const struct ek_inode *in)
{
	struct ek_check_result *r = ck->result;
	uint64_t stored = in->size;

	if (!S_ISREG(in->mode))
		return;
	if (ek_inode_compressed(in)) {
		if (!ek_mul(in->cblocks, ek_sb_bs(&ck->image->sb), &stored))
			stored = UINT64_MAX;
		r->compressed_files++;
		r->compressed_size += in->size;
		r->compressed_stored += stored;
	}
	r->data_bytes += in->size;
	r->stored_bytes += stored;
}

ek_status ck_inode(struct ck *ck, uint32_t index, struct ek_err *err)
{
	struct ck_inode *inode = &ck->inodes.at[index];
	uint64_t pos = 0;
	struct ek_inode in;
	struct ek_err why;
	bool box = false;

	if (decode(ck, inode->nid, &in, &pos, &box, &why) != EK_OK)
		return ck_failed(ck, CK_INODE_FIELD, index, NULL,
				 box ? CK_NO_OFFSET : pos, &why);
	inode->mode = in.mode;
	inode->nlink = in.nlink;
	inode->dot_omitted = in.dot_omitted;
	EK_TRY(fields(ck, index, &in, pos));
	EK_TRY(ck_claim(ck, CK_META, index, box ? CK_BOX : 0, pos,
			ek_inode_core(&in), err));
	if (in.xattr_icount)
		EK_TRY(ck_xattrs(ck, index, &in, pos + ek_inode_core(&in),
				 err));
	if (ck->meta_over || !ek_mode_has_data(in.mode))
		return EK_OK;
	count_data(ck, &in);
	EK_TRY(ck_map(ck, index, &in, pos, err));
	if (S_ISLNK(in.mode))
		return symlink_target(ck, index, &in, pos);
	return EK_OK;
}
