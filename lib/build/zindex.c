/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/needs.h"
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

/* Spell the pieces out as records; @at is in b->record. */
static void put_records(const struct ek_build *b, const struct ek_coded *c,
			unsigned int alg, const struct ek_zgeom *geom,
			uint8_t *at)
{
	struct ek_zrecord r = {.pa = c->start * b->bs + c->shift};

	if (geom->recsz == 4)
		ek_put_le64(at - 8, r.pa);
	for (size_t i = 0; i < c->n; i++, at += geom->recsz) {
		uint32_t len = ek_piece_len(c->pieces[i]);
		uint32_t size = ek_piece_size(c->pieces[i]);

		r.plen = size ? size | (alg + 1) << EK_ZX_FMT_SHIFT : len;
		ek_zrecord_encode(geom->recsz, &r, at);
		r.la += len;
		r.pa += size ? size : len;
		/* Each segment of a file begins a block. */
		if (r.la % b->segment == 0)
			r.pa = ek_round_up(r.pa, b->bs);
	}
}

/* The records of a file in units (6.9). */
static ek_status build_units(struct ek_build *b, struct ek_tree_inode *inode,
			     const struct ek_coded *c, size_t unit,
			     struct ek_err *err)
{
	unsigned int codec = ek_plan_of(inode)->codec;
	unsigned int alg = b->codecs[codec].info->algorithm;
	struct ek_zhead head = {.extents = true, .advise = EK_ZADV_EXTENTS};
	unsigned int order = 0;
	struct ek_zgeom geom;
	struct ek_inode in;

	/* One segment is in one piece; else each record has an address. */
	if (inode->size > b->segment)
		order = inode->size > UINT32_MAX ? 3 : 2;
	head.recsz = (uint8_t)(4u << order);
	head.advise |= (uint16_t)(order << EK_ZADV_RECSZ_SHIFT);
	head.lclusterbits = (uint8_t)__builtin_ctzll(unit);
	head.extent_count = order ? c->n : 0;
	ek_codecs_announce(b, codec, (uint32_t)(unit / b->bs));
	b->uses |= EK_USE_ZEXTENTS;
	ek_build_inode_fill(b, inode, &in);
	in.layout = EK_LAYOUT_ZFULL;
	in.cblocks = c->blocks;
	EK_TRY(ek_build_inode_head(b, inode, &in, err));
	EK_TRY(ek_zgeom_init(&b->sb, in.layout, &head, in.size, b->record.len,
			     &geom, err));
	EK_BUG_ON(geom.total != c->n);
	if (geom.end > SIZE_MAX)
		return ek_fail(err, EK_NOMEM, "no memory for extents");
	EK_TRY(ek_buf_append_zeros(&b->record, (size_t)geom.end - b->record.len,
				   err));
	EK_TRY(ek_zhead_encode(&b->sb, in.layout, &head,
			       b->record.data + geom.head_pos, err));
	put_records(b, c, alg, &geom, b->record.data + geom.base);
	return ek_build_inode_place(b, inode, true, err);
}

ek_status ek_build_coded(struct ek_build *b, struct ek_tree_inode *inode,
			 const struct ek_coded *c, struct ek_err *err)
{
	size_t unit = ek_codecs_unit(b, inode);
	struct ek_zhead head;
	struct ek_zgeom geom;
	struct ek_inode in;
	uint32_t most;
	uint8_t *at;

	if (unit)
		return build_units(b, inode, c, unit, err);

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
