/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/xattr.h"

#include <string.h>
#include <sys/stat.h>

void ek_build_inode_fill(const struct ek_build *b,
			 const struct ek_tree_inode *inode, struct ek_inode *in)
{
	const struct ek_plan *plan = inode->plan;
	struct ek_build_attr attr;

	ek_build_attr(b, inode, &attr);
	memset(in, 0, sizeof(*in));
	in->extended = plan->extended;
	in->mode = (uint16_t)inode->mode;
	in->xattr_icount = ek_xattr_icount(plan->xsize);
	in->nlink = inode->nlink;
	in->uid = attr.uid;
	in->gid = attr.gid;
	in->ino = inode->index + 1;
	in->mtime = attr.mtime;
	in->mtime_nsec = attr.mtime_nsec;
	in->dot_omitted = S_ISDIR(inode->mode) && b->opt.dot_omitted;
	if (S_ISDIR(inode->mode))
		in->size = plan->size;
	else if (S_ISREG(inode->mode) || S_ISLNK(inode->mode))
		in->size = inode->size;
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) {
		in->rdev_major = inode->rdev_major;
		in->rdev_minor = inode->rdev_minor;
	}
}

ek_status ek_build_inode_head(struct ek_build *b,
			      const struct ek_tree_inode *inode,
			      const struct ek_inode *in, struct ek_err *err)
{
	uint8_t core[EK_INODE_EXTENDED];
	ek_status status = ek_inode_encode(&b->sb, in, core, err);

	if (status != EK_OK) {
		struct ek_err why = *err;

		return ek_build_fail(inode, err, status, "%s", why.text);
	}
	b->record.len = 0;
	EK_TRY(ek_buf_append(&b->record, core, ek_inode_core(in), err));
	return ek_build_xattr_append(b, inode, &b->record, err);
}

ek_status ek_build_inode_place(struct ek_build *b, struct ek_tree_inode *inode,
			       bool cross, struct ek_err *err)
{
	struct ek_pend_item item = {
		.inode = inode,
		.size = b->record.len,
		.len = b->record.len,
		.cross = cross,
	};

	return ek_pend_add(b->pend, &b->zone, &item, b->record.data, err);
}

ek_status ek_build_flat(struct ek_build *b, struct ek_tree_inode *inode,
			uint64_t start, const uint8_t *tail, uint32_t tail_len,
			struct ek_err *err)
{
	struct ek_inode in;

	ek_build_inode_fill(b, inode, &in);
	in.layout = tail_len ? EK_LAYOUT_INLINE : EK_LAYOUT_PLAIN;
	in.start = start;
	if (in.size == tail_len)
		in.start = tail_len ? EK_NULL_BLK : 0;
	EK_TRY(ek_build_inode_head(b, inode, &in, err));
	if (tail_len)
		EK_TRY(ek_buf_append(&b->record, tail, tail_len, err));
	return ek_build_inode_place(b, inode, tail_len == 0, err);
}
