/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/zmap.h"

#include <string.h>

/* Room for @n pieces in b->zpieces. */
static ek_status room(struct ek_build *b, uint64_t n, struct ek_err *err)
{
	size_t bytes;

	if (n <= b->cap_zpieces)
		return EK_OK;
	free(b->zpieces);
	b->zpieces = NULL;
	b->cap_zpieces = 0;
	if (n > SIZE_MAX ||
	    __builtin_mul_overflow((size_t)n, sizeof(*b->zpieces), &bytes))
		return ek_fail(err, EK_NOMEM, "no memory for extents");
	b->zpieces = malloc(bytes);
	if (!b->zpieces)
		return ek_fail(err, EK_NOMEM, "no memory for extents");
	b->cap_zpieces = (size_t)n;
	return EK_OK;
}

/* Spell the pieces out; *@most gets the blocks of the largest. */
static void spell(struct ek_build *b, const struct ek_coded *c, uint32_t *most)
{
	struct ek_zpiece *z = b->zpieces;
	uint64_t la = 0, blk = c->start;

	*most = 1;
	for (uint64_t i = 0; i < c->lead + c->n; i++, z++) {
		uint32_t len = b->bs, blocks = 1;
		bool coded = false;

		if (i >= c->lead) {
			ek_piece p = c->pieces[i - c->lead];

			len = ek_piece_len(p);
			blocks = ek_piece_blocks(p);
			coded = ek_piece_size(p) > 0;
		}
		*z = (struct ek_zpiece){
			.la = la,
			.blk = blk,
			.blocks = blocks,
			.type = coded ? EK_ZT_HEAD1 : EK_ZT_PLAIN,
		};
		la += len;
		blk += blocks;
		if (blocks > *most)
			*most = blocks;
	}
	if (c->tail_len) {
		z[-1].nodata = true;
		z[-1].blk = 0;
	}
}

/* What the header of the map says; announces what it takes. */
static uint8_t fill_head(struct ek_build *b, const struct ek_tree_inode *inode,
			 const struct ek_coded *c, uint32_t most,
			 struct ek_zhead *head)
{
	unsigned int codec = ek_plan_of(inode)->codec;

	*head = (struct ek_zhead){
		.advise = b->opt.full_indexes ? 0 : EK_ZADV_COMPACT_2B,
		.alg[0] = (uint8_t)b->codecs[codec].info->algorithm,
		.lclusterbits = b->blkszbits,
		.idata_size = (uint16_t)c->tail_len,
	};
	ek_codecs_announce(b, codec, most);
	if (most > 1)
		head->advise |= EK_ZADV_BIG1 | EK_ZADV_BIG2;
	if (c->tail_len) {
		head->advise |= EK_ZADV_INLINE;
		b->sb.incompat |= EK_INCOMPAT_ZTAILPACKING;
	}
	return b->opt.full_indexes ? EK_LAYOUT_ZFULL : EK_LAYOUT_ZCOMPACT;
}

ek_status ek_build_coded(struct ek_build *b, struct ek_tree_inode *inode,
			 const struct ek_coded *c, struct ek_err *err)
{
	struct ek_zhead head;
	struct ek_zgeom geom;
	struct ek_inode in;
	uint32_t most;
	uint8_t *at;

	EK_TRY(room(b, c->lead + c->n, err));
	spell(b, c, &most);
	ek_build_inode_fill(b, inode, &in);
	in.layout = fill_head(b, inode, c, most, &head);
	in.cblocks = c->blocks;
	EK_TRY(ek_build_inode_head(b, inode, &in, err));
	/* Inodes are 32-aligned: geometry from 0 is that of any place. */
	EK_TRY(ek_zgeom_init(&b->sb, in.layout, &head, in.size, b->record.len,
			     &geom, err));
	if (geom.end > SIZE_MAX)
		return ek_fail(err, EK_NOMEM, "no memory for indexes");
	EK_TRY(ek_buf_append_zeros(&b->record, (size_t)geom.end - b->record.len,
				   err));
	at = b->record.data + geom.head_pos;
	EK_TRY(ek_zhead_encode(&b->sb, in.layout, &head, at, err));
	at = b->record.data + geom.base;
	EK_TRY(ek_zindex_encode(&geom, head.advise, in.size, b->zpieces,
				(size_t)(c->lead + c->n), at, err));
	if (c->tail_len)
		EK_TRY(ek_buf_append(&b->record, c->tail, c->tail_len, err));
	return ek_build_inode_place(b, inode, c->tail_len == 0, err);
}
