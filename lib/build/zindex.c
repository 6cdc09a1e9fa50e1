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
static void spell(struct ek_build *b, uint64_t start, uint64_t lead,
		  const ek_piece *pieces, size_t n, uint32_t *most)
{
	struct ek_zpiece *z = b->zpieces;
	uint64_t la = 0, blk = start;

	*most = 1;
	for (uint64_t i = 0; i < lead + n; i++, z++) {
		uint32_t len = b->bs, blocks = 1;
		bool coded = false;

		if (i >= lead) {
			len = ek_piece_len(pieces[i - lead]);
			blocks = ek_piece_blocks(pieces[i - lead]);
			coded = ek_piece_coded(pieces[i - lead], b->bs);
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
}

ek_status ek_build_coded(struct ek_build *b, struct ek_tree_inode *inode,
			 uint64_t start, uint64_t blocks, uint64_t lead,
			 const ek_piece *pieces, size_t n, struct ek_err *err)
{
	uint8_t layout =
		b->opt.full_indexes ? EK_LAYOUT_ZFULL : EK_LAYOUT_ZCOMPACT;
	unsigned int codec = ek_plan_of(inode)->codec;
	struct ek_zhead head = {
		.advise = b->opt.full_indexes ? 0 : EK_ZADV_COMPACT_2B,
		.lclusterbits = b->blkszbits,
	};
	struct ek_zgeom geom;
	struct ek_inode in;
	uint32_t most;
	uint8_t *at;

	EK_TRY(room(b, lead + n, err));
	spell(b, start, lead, pieces, n, &most);
	ek_codecs_announce(b, codec, most);
	if (most > 1)
		head.advise |= EK_ZADV_BIG1 | EK_ZADV_BIG2;
	head.alg[0] = (uint8_t)b->codecs[codec].info->algorithm;
	ek_build_inode_fill(b, inode, &in);
	in.layout = layout;
	in.cblocks = blocks;
	EK_TRY(ek_build_inode_head(b, inode, &in, err));
	/* Inodes are 32-aligned: geometry from 0 is that of any place. */
	EK_TRY(ek_zgeom_init(&b->sb, layout, &head, in.size, b->record.len,
			     &geom, err));
	if (geom.end > SIZE_MAX)
		return ek_fail(err, EK_NOMEM, "no memory for indexes");
	EK_TRY(ek_buf_append_zeros(&b->record, (size_t)geom.end - b->record.len,
				   err));
	at = b->record.data + geom.head_pos;
	EK_TRY(ek_zhead_encode(&b->sb, layout, &head, at, err));
	at = b->record.data + geom.base;
	EK_TRY(ek_zindex_encode(&geom, head.advise, in.size, b->zpieces,
				(size_t)(lead + n), at, err));
	return ek_build_inode_place(b, inode, true, err);
}
