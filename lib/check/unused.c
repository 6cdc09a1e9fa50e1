/* SPDX-License-Identifier: Apache-2.0 */

/* What a strict check wants of bytes that nobody owns: to be zero. */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#define PIECE ((size_t)1 << 20)

struct unused {
	struct ck *ck;
	uint32_t space;
	uint64_t size; /* of the space */
	uint8_t *buf;
};

static ek_status read_space(struct unused *u, uint64_t at, void *to, size_t n,
			    struct ek_err *err)
{
	struct ek_image *image = u->ck->image;

	if (u->space == CK_BOX)
		return ek_image_read(image, &image->metabox, at, to, n, err);
	return ek_source_read(image->src, at, to, n, err);
}

/* Whether the slot around @at, not before @start, reads as an inode. */
static bool like_inode(struct unused *u, uint64_t start, uint64_t at)
{
	const struct ek_sb *sb = &u->ck->image->sb;
	uint64_t slot = ek_round_down(at, EK_NID_SLOT), nid;
	uint8_t bytes[EK_INODE_EXTENDED];
	struct ek_inode in;
	uint32_t n = EK_INODE_COMPACT;

	if (slot < start ||
	    read_space(u, slot, bytes, EK_INODE_COMPACT, NULL) != EK_OK)
		return false;
	if (u->space == 0 && ek_pos_nid(sb, slot, &nid, NULL) != EK_OK)
		return false;
	n = ek_inode_peek(bytes);
	if (n > EK_INODE_COMPACT &&
	    read_space(u, slot, bytes, n, NULL) != EK_OK)
		return false;
	return ek_inode_decode(sb, bytes, n, &in, NULL) == EK_OK &&
	       in.nlink > 0 && !in.reserved_nonzero;
}

/* The first byte of [start, end) that is not zero; end when all are. */
static ek_status find_nonzero(struct unused *u, uint64_t start, uint64_t end,
			      uint64_t *at, bool *ok)
{
	struct ek_err why;
	size_t i, n;

	for (*at = start; *at < end; *at += n) {
		n = (size_t)ek_min(end - *at, PIECE);
		*ok = read_space(u, *at, u->buf, n, &why) == EK_OK;
		if (!*ok)
			return ck_failed(u->ck, CK_IMAGE_READ, CK_NOBODY, NULL,
					 *at, &why);
		if (ek_all_zero(u->buf, n))
			continue;
		for (i = 0; !u->buf[i]; i++)
			;
		*at += i;
		return EK_OK;
	}
	return EK_OK;
}

static ek_status gap(struct unused *u, uint64_t start, uint64_t end,
		     enum ck_code code, struct ek_err *err)
{
	struct ck *ck = u->ck;
	uint64_t at;
	bool ok = true;

	end = ek_min(end, u->size);
	if (start >= end)
		return EK_OK;
	EK_TRY(ck_cancelled(ck, err));
	EK_TRY(find_nonzero(u, start, end, &at, &ok));
	if (!ok || at == end)
		return EK_OK;
	if (code == CK_SPACE_UNREFERENCED && like_inode(u, start, at))
		code = CK_INODE_UNREACHABLE;
	return ck_find(ck, code, CK_NOBODY, NULL,
		       u->space == CK_BOX ? CK_NO_OFFSET : at,
		       "byte %llu%s is not zero; nothing refers to bytes %llu "
		       "to %llu",
		       (unsigned long long)at,
		       u->space == CK_BOX ? " of the metabox" : "",
		       (unsigned long long)start, (unsigned long long)end - 1);
}

/* All gaps between the claims of one space, up to @end. */
static ek_status gaps(struct unused *u, uint64_t end, struct ek_err *err)
{
	uint64_t covered = 0;
	size_t i;

	for (i = 0; i < u->ck->claims.n; i++) {
		const struct ck_claim *c = &u->ck->claims.at[i];

		if (c->space != u->space)
			continue;
		if (c->start > covered)
			EK_TRY(gap(u, covered, ek_min(c->start, end),
				   CK_SPACE_UNREFERENCED, err));
		covered = ek_max(covered, c->end);
	}
	return gap(u, covered, end, CK_SPACE_UNREFERENCED, err);
}

/* Where the image ends: other devices may follow on the primary one. */
static uint64_t image_end(const struct ck *ck)
{
	const struct ek_image *image = ck->image;
	uint64_t end = image->sb.blocks, bytes;
	unsigned i;

	for (i = 0; image->flattened && i < image->sb.extra_devices; i++)
		if (image->slots[i].uniaddr)
			end = ek_max(end, image->slots[i].uniaddr +
						  image->slots[i].blocks);
	return ek_mul(end, image->info.block_size, &bytes) ? bytes : UINT64_MAX;
}

ek_status ck_unused(struct ck *ck, struct ek_err *err)
{
	EK_AUTO_FREE uint8_t *buf = malloc(PIECE);
	struct unused u = {.ck = ck, .size = ck->src->size, .buf = buf};
	uint64_t bytes;

	if (!buf)
		return ek_fail(err, EK_NOMEM, "a buffer");
	if (!ek_mul(ck->image->sb.blocks, ck->image->info.block_size, &bytes))
		bytes = UINT64_MAX;
	EK_TRY(gaps(&u, bytes, err));
	EK_TRY(gap(&u, image_end(ck), UINT64_MAX, CK_SPACE_TRAILING, err));
	/* The box is decoded as it is read: its size is bounded as such. */
	if (!ck->image->have_metabox ||
	    ck->image->metabox.size > ck->max_decode)
		return EK_OK;
	u.space = CK_BOX;
	u.size = ck->image->metabox.size;
	return gaps(&u, u.size, err);
}
