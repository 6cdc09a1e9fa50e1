/* SPDX-License-Identifier: Apache-2.0 */

/* Maps of compressed inodes: the header, every extent, what they refer to. */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

struct zmap {
	struct ck *ck;
	uint32_t index;
	bool box;
	uint64_t shown; /* position for findings */
	struct ek_zmap map;
	struct ek_zcur cur;
	uint64_t blocks; /* that the extents take, rounded up each */
};

static ek_status read_meta(void *ctx, uint64_t pos, uint8_t *buf, size_t n,
			   struct ek_err *err)
{
	struct zmap *z = ctx;

	return ek_meta_read(z->ck->image, z->box, pos, buf, n, err);
}

/* A run of the packed inode; the packed inode itself may have none. */
static ek_status fragment(struct zmap *z, uint64_t at, uint64_t len)
{
	struct ck *ck = z->ck;
	uint64_t end;

	if (z->index == ck->packed)
		return ck_find(ck, CK_MAP_FRAGMENT, z->index, NULL, z->shown,
			       "the packed inode has a fragment itself");
	if (!ck->image->have_packed)
		return ck_find(ck, CK_MAP_FRAGMENT, z->index, NULL, z->shown,
			       "a fragment in an image without packed inode");
	if (!ek_add(at, len, &end) || end > ck->image->packed.size)
		return ck_find(ck, CK_MAP_FRAGMENT, z->index, NULL, z->shown,
			       "a fragment of %llu bytes at %llu of the packed "
			       "inode, which has %llu",
			       (unsigned long long)len, (unsigned long long)at,
			       (unsigned long long)ck->image->packed.size);
	return EK_OK;
}

static ek_status in_metadata(struct zmap *z, const struct ek_zextent *x,
			     struct ck_stream *stream, struct ek_err *err)
{
	uint32_t space = z->box ? CK_BOX : 0;

	if (!ck_meta_inside(z->ck, z->index, z->box, x->pa, x->plen,
			    "an inline tail"))
		return EK_OK;
	if (!ek_tail_fits(x->pa, x->plen, ek_sb_bs(&z->ck->image->sb)))
		ck_find(z->ck, CK_MAP_INLINE, z->index, NULL, z->shown,
			"a tail of %u bytes crosses a block", x->plen);
	EK_TRY(ck_claim(z->ck, CK_META, z->index, space, x->pa, x->plen, err));
	if (x->kind != EK_Z_CODED)
		return EK_OK;
	stream->space = space;
	stream->pa = x->pa;
	return ck_stream(z->ck, stream, err);
}

static ek_status on_device(struct zmap *z, const struct ek_zextent *x,
			   struct ck_stream *stream, struct ek_err *err)
{
	uint64_t used = x->plen;
	bool ok;

	z->blocks += ek_div_up(x->plen, ek_sb_bs(&z->ck->image->sb));
	/* What a plain cluster has more than its extent is padding. */
	if (x->kind == EK_Z_PLAIN)
		used = ek_min(used, x->llen);
	EK_TRY(ck_resolve(z->ck, z->index, 0, x->pa, x->plen, &stream->space,
			  &stream->pa, &ok, err));
	if (!ok)
		return EK_OK;
	EK_TRY(ck_claim(z->ck, CK_DATA, z->index, stream->space, stream->pa,
			used, err));
	if (x->kind != EK_Z_CODED)
		return EK_OK;
	if (!x->partial && x->plen > x->llen && x->la + x->llen < z->map.size)
		ck_find(z->ck, CK_MAP_LONGER, z->index, NULL, stream->pa,
			"%u bytes decode to %llu", x->plen,
			(unsigned long long)x->llen);
	return ck_stream(z->ck, stream, err);
}

static ek_status extent(struct zmap *z, const struct ek_zextent *x,
			struct ek_err *err)
{
	struct ck_stream stream = {
		.plen = x->plen,
		.llen = (uint32_t)x->llen,
		.owner = z->index,
		.alg = x->alg,
		.partial = x->partial,
		.exact_size = x->inline_,
	};

	switch (x->kind) {
	case EK_Z_HOLE:
		return EK_OK;
	case EK_Z_FRAGMENT:
		return fragment(z, x->pa, x->llen);
	default:
		break;
	}
	if (x->kind == EK_Z_CODED && x->llen > EK_ZEXTENT_MAX)
		return ck_find(z->ck, CK_MAP_EXTENT, z->index, NULL, z->shown,
			       "an extent of %llu bytes",
			       (unsigned long long)x->llen);
	return x->inline_ ? in_metadata(z, x, &stream, err)
			  : on_device(z, x, &stream, err);
}

static ek_status extents(struct zmap *z, struct ek_err *err)
{
	struct ek_zextent x;
	struct ek_err why;
	uint64_t at = 0;
	unsigned turn = 0;

	while (at < z->map.size) {
		if (turn++ % 65536 == 0)
			EK_TRY(ck_cancelled(z->ck, err));
		if (ek_zmap_lookup(&z->map, &z->cur, at, &x, &why) != EK_OK) {
			ek_err_prefix(&why, "byte %llu",
				      (unsigned long long)at);
			return ck_failed(z->ck, CK_MAP_EXTENT, z->index, NULL,
					 z->shown, &why);
		}
		if (x.la != at || !x.llen || x.llen > z->map.size - at)
			return ck_find(z->ck, CK_MAP_EXTENT, z->index, NULL,
				       z->shown,
				       "byte %llu: the extent begins at %llu "
				       "and has %llu bytes",
				       (unsigned long long)at,
				       (unsigned long long)x.la,
				       (unsigned long long)x.llen);
		EK_TRY(extent(z, &x, err));
		at += x.llen;
	}
	return EK_OK;
}

/* Records of 16 and 32 bytes are searched: they must be sorted. */
static ek_status records(struct zmap *z, bool *ok, struct ek_err *err)
{
	const struct ek_zgeom *g = &z->map.geom;
	uint8_t bytes[EK_ZX_RECORD_MAX];
	struct ek_zrecord r;
	uint64_t i, last = 0;
	struct ek_err why;

	*ok = true;
	for (i = 0; g->recsz >= 16 && i < g->total && *ok; i++) {
		if (i % 65536 == 0)
			EK_TRY(ck_cancelled(z->ck, err));
		*ok = read_meta(z, g->base + i * g->recsz, bytes, g->recsz,
				&why) == EK_OK;
		if (!*ok)
			return ck_failed(z->ck, CK_MAP_RANGE, z->index, NULL,
					 z->shown, &why);
		ek_zrecord_decode(g->recsz, bytes, &r);
		*ok = r.la < z->map.size && (i == 0 || r.la > last);
		if (!*ok)
			return ck_find(z->ck, CK_MAP_EXTENT, z->index, NULL,
				       z->shown,
				       "record %llu begins at byte %llu",
				       (unsigned long long)i,
				       (unsigned long long)r.la);
		last = r.la;
	}
	return EK_OK;
}

/* Header and indexes belong to the inode; 16 bytes for a whole fragment. */
static ek_status claim_map(struct zmap *z, bool *ok, struct ek_err *err)
{
	const struct ek_zgeom *g = &z->map.geom;
	uint64_t end = g->end;

	if (z->map.head.whole_fragment)
		end = g->head_pos + 2 * EK_ZHEAD_SIZE;
	*ok = ck_meta_inside(z->ck, z->index, z->box, g->head_pos,
			     z->map.head.whole_fragment ? EK_ZHEAD_SIZE
							: end - g->head_pos,
			     "the map");
	if (!*ok)
		return EK_OK;
	EK_TRY(ck_claim(z->ck, CK_META, z->index, z->box ? CK_BOX : 0,
			g->head_pos, end - g->head_pos, err));
	*ok = !z->ck->meta_over;
	return EK_OK;
}

/* Full indexes begin 8 bytes after the header. */
static ek_status gap_after_header(struct zmap *z)
{
	uint8_t gap[EK_ZHEAD_SIZE];
	struct ek_err why;

	if (read_meta(z, z->map.geom.head_pos + EK_ZHEAD_SIZE, gap, sizeof(gap),
		      &why) != EK_OK)
		return ck_failed(z->ck, CK_MAP_RANGE, z->index, NULL, z->shown,
				 &why);
	if (ek_all_zero(gap, sizeof(gap)))
		return EK_OK;
	return ck_find(z->ck, CK_MAP_RESERVED, z->index, NULL, z->shown,
		       "bytes between header and indexes are not zero");
}

static ek_status everything(struct zmap *z, struct ek_err *err)
{
	struct ek_zhead *head = &z->map.head;
	bool ok;

	EK_TRY(claim_map(z, &ok, err));
	if (!ok)
		return EK_OK;
	if (head->reserved_nonzero)
		ck_find(z->ck, CK_MAP_RESERVED, z->index, NULL, z->shown,
			"a reserved bit of the header is not zero");
	if (head->extents &&
	    !ek_sb_incompat(&z->ck->image->sb, EK_INCOMPAT_48BIT))
		ck_find(z->ck, CK_INODE_WIDE, z->index, NULL, z->shown,
			"encoded extents without 48BIT");
	if (!head->whole_fragment && !head->extents &&
	    z->map.geom.layout == EK_LAYOUT_ZFULL)
		EK_TRY(gap_after_header(z));
	if (!head->whole_fragment && !head->extents)
		EK_TRY(ck_zindexes(z->ck, z->index, &z->map, &z->cur, &ok,
				   err));
	else if (head->extents)
		EK_TRY(records(z, &ok, err));
	return ok ? extents(z, err) : EK_OK;
}

ek_status ck_zmap(struct ck *ck, uint32_t index, const struct ek_inode *in,
		  uint64_t pos, struct ek_err *err)
{
	struct zmap z = {.ck = ck, .index = index};
	uint64_t at = ek_zhead_pos(pos + ek_inode_body(in));
	uint8_t header[EK_ZHEAD_SIZE];
	uint64_t errors = ck->result->errors;
	struct ek_err why;

	z.box = ck->inodes.at[index].nid & EK_NID_METABOX;
	z.shown = z.box ? CK_NO_OFFSET : at;
	z.cur.read = read_meta;
	z.cur.ctx = &z;
	if (!ck_meta_inside(ck, index, z.box, at, sizeof(header),
			    "the map header"))
		return EK_OK;
	if (ek_meta_read(ck->image, z.box, at, header, sizeof(header), &why) !=
		    EK_OK ||
	    ek_zmap_init(&ck->image->sb, &ck->image->cfgs, in, pos, header,
			 &z.map, &why) != EK_OK)
		return ck_failed(ck, CK_MAP_HEADER, index, NULL, z.shown, &why);
	EK_TRY(everything(&z, err));
	/* Blocks shared with others may be missing, but there are not more. */
	if (errors == ck->result->errors && in->cblocks > z.blocks + 1)
		ck_find(ck, CK_INODE_BLOCKS, index, NULL, pos,
			"%llu blocks, but the extents have %llu",
			(unsigned long long)in->cblocks,
			(unsigned long long)z.blocks);
	return EK_OK;
}
