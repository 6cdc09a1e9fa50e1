/* SPDX-License-Identifier: Apache-2.0 */

/* Inodes: bytes of the image to struct ek_node. */

#include "reader/reader.h"

#include "base/try.h"

#include <string.h>

static void fill(struct ek_node *node, const struct ek_inode *in)
{
	node->mode = in->mode;
	node->nlink = in->nlink;
	node->uid = in->uid;
	node->gid = in->gid;
	node->size = in->size;
	node->mtime = in->mtime;
	node->mtime_nsec = in->mtime_nsec;
	node->rdev_major = in->rdev_major;
	node->rdev_minor = in->rdev_minor;
	node->ino = in->ino;
	node->layout = in->layout;
	node->extended = in->extended;
	node->dot_omitted = in->dot_omitted;
	node->xattr_size = ek_xattr_icount_size(in->xattr_icount);
	if (!ek_mode_has_data(in->mode))
		return;
	if (ek_inode_compressed(in)) {
		node->startblk = in->cblocks;
	} else if (in->layout == EK_LAYOUT_CHUNK_BASED) {
		node->chunk_format = in->chunk_format;
	} else if (in->start == EK_NULL_BLK) {
		node->null_address = true;
	} else {
		node->startblk = in->start;
	}
}

static ek_status load(struct ek_image *image, uint64_t nid,
		      struct ek_node *node, struct ek_err *err)
{
	uint8_t bytes[EK_INODE_EXTENDED];
	struct ek_inode in;
	uint64_t pos;
	uint32_t n;
	bool box;

	EK_TRY(ek_nid_pos(&image->sb, nid, &box, &pos, err));
	EK_TRY(ek_meta_read(image, box, pos, bytes, EK_INODE_COMPACT, err));
	n = ek_inode_peek(bytes);
	if (n > EK_INODE_COMPACT)
		EK_TRY(ek_meta_read(image, box, pos + EK_INODE_COMPACT,
				    bytes + EK_INODE_COMPACT,
				    n - EK_INODE_COMPACT, err));
	EK_TRY(ek_inode_decode(&image->sb, bytes, n, &in, err));
	fill(node, &in);
	node->position = pos;
	return EK_OK;
}

ek_status ek_image_node(struct ek_image *image, uint64_t nid,
			struct ek_node *node, struct ek_err *err)
{
	ek_status st;

	memset(node, 0, sizeof(*node));
	node->nid = nid;
	st = load(image, nid, node, err);
	if (st != EK_OK && err)
		(void)ek_err_prefix(err, "inode %llu", (unsigned long long)nid);
	return st;
}

ek_status ek_image_root(struct ek_image *image, struct ek_node *node,
			struct ek_err *err)
{
	return ek_image_node(image, image->sb.root_nid, node, err);
}
