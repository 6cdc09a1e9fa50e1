/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zpriv.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>

#define WHOLE_FRAGMENT	    (UINT64_C(1) << 63)
#define CLUSTERBITS_MASK    0x0fu
#define LCLUSTERBITS_2B_MAX 12u
#define LCLUSTERBITS_4B_MAX 14u

static ek_status check_index(const struct ek_sb *sb, uint8_t layout,
			     const struct ek_zhead *h, ek_status bad,
			     struct ek_err *err)
{
	uint16_t big = h->advise & (EK_ZADV_BIG1 | EK_ZADV_BIG2);

	for (unsigned int i = 0; i < 2; i++)
		if (h->alg[i] >= EK_ALG_COUNT)
			return ek_fail(err, EK_UNSUPPORTED,
				       "map header: unknown algorithm %u",
				       h->alg[i]);
	if (big && !ek_sb_incompat(sb, EK_INCOMPAT_BIG_PCLUSTER))
		return ek_fail(err, bad,
			       "map header: big pclusters without their "
			       "feature");
	if ((h->advise & EK_ZADV_INLINE) && !(h->advise & EK_ZADV_FRAGMENT) &&
	    !h->idata_size)
		return ek_fail(err, bad, "map header: inline tail of 0 bytes");
	if (layout != EK_LAYOUT_ZCOMPACT)
		return EK_OK;
	if (big && big != (EK_ZADV_BIG1 | EK_ZADV_BIG2))
		return ek_fail(err, bad,
			       "map header: only one big pcluster bit in "
			       "compact indexes");
	if (h->lclusterbits > (h->advise & EK_ZADV_COMPACT_2B
				       ? LCLUSTERBITS_2B_MAX
				       : LCLUSTERBITS_4B_MAX))
		return ek_fail(err, EK_UNSUPPORTED,
			       "map header: lclusters of 2^%u bytes in "
			       "compact indexes",
			       h->lclusterbits);
	return EK_OK;
}

static void decode_extents(const struct ek_sb *sb, const uint8_t *p,
			   struct ek_zhead *h)
{
	h->extents = true;
	h->recsz = (uint8_t)(4u << (h->advise >> EK_ZADV_RECSZ_SHIFT & 3));
	if (h->recsz >= 16) {
		h->extent_count = ek_get_le32(p) | (uint64_t)ek_get_le16(p + 6)
							   << 32;
		return;
	}
	h->lclusterbits = sb->blkszbits + (p[7] & CLUSTERBITS_MASK);
	if (!ek_all_zero(p, 4) || p[6] || p[7] & ~CLUSTERBITS_MASK)
		h->reserved_nonzero = true;
}

static void decode_index(const struct ek_sb *sb, const uint8_t *p,
			 struct ek_zhead *h)
{
	h->alg[0] = p[6] & 15;
	h->alg[1] = p[6] >> 4;
	h->lclusterbits = sb->blkszbits + (p[7] & CLUSTERBITS_MASK);
	if (p[7] & ~CLUSTERBITS_MASK)
		h->reserved_nonzero = true;
	/* The two share bytes, and the fragment wins. */
	if (h->advise & EK_ZADV_FRAGMENT)
		h->fragoff = ek_get_le32(p);
	else if (h->advise & EK_ZADV_INLINE)
		h->idata_size = ek_get_le16(p + 2);
	else if (!ek_all_zero(p, 4))
		h->reserved_nonzero = true;
	if (h->idata_size && ek_get_le16(p))
		h->reserved_nonzero = true;
}

ek_status ek_zhead_decode(const struct ek_sb *sb, uint8_t layout,
			  const uint8_t *p, struct ek_zhead *h,
			  struct ek_err *err)
{
	uint64_t raw = ek_get_le64(p);

	memset(h, 0, sizeof(*h));
	if (raw & WHOLE_FRAGMENT) {
		h->whole_fragment = true;
		h->fragoff = raw & ~WHOLE_FRAGMENT;
		return EK_OK;
	}
	h->advise = ek_get_le16(p + 4);
	h->reserved_nonzero = h->advise & ~EK_ZADV_KNOWN;
	if (layout == EK_LAYOUT_ZFULL && h->advise & EK_ZADV_EXTENTS) {
		decode_extents(sb, p, h);
		return EK_OK;
	}
	decode_index(sb, p, h);
	return check_index(sb, layout, h, EK_CORRUPT, err);
}

static ek_status encode_extents(const struct ek_sb *sb,
				const struct ek_zhead *h, uint8_t *p,
				struct ek_err *err)
{
	uint16_t bits = EK_ZADV_EXTENTS;

	for (unsigned int r = 4; r < h->recsz; r <<= 1)
		bits = (uint16_t)(bits + (1u << EK_ZADV_RECSZ_SHIFT));
	bits |= h->advise & (EK_ZADV_INTERLACED | EK_ZADV_FRAGMENT);
	if (bits != h->advise)
		return ek_fail(err, EK_INVALID,
			       "map header: advise 0x%x for records of %u "
			       "bytes",
			       (unsigned int)h->advise, h->recsz);
	if (h->recsz >= 16) {
		/* Bit 63 of the header means a whole-file fragment. */
		if (h->extent_count >> 47)
			return ek_fail(err, EK_INVALID,
				       "map header: %" PRIu64 " extents",
				       h->extent_count);
		ek_put_le32(p, (uint32_t)h->extent_count);
		ek_put_le16(p + 6, (uint16_t)(h->extent_count >> 32));
		return EK_OK;
	}
	p[7] = (uint8_t)(h->lclusterbits - sb->blkszbits);
	return EK_OK;
}

static ek_status encode_index(const struct ek_sb *sb, uint8_t layout,
			      const struct ek_zhead *h, uint8_t *p,
			      struct ek_err *err)
{
	EK_TRY(check_index(sb, layout, h, EK_INVALID, err));
	if ((h->advise & EK_ZADV_INLINE && h->advise & EK_ZADV_FRAGMENT) ||
	    (h->idata_size && !(h->advise & EK_ZADV_INLINE)) ||
	    (layout == EK_LAYOUT_ZFULL && h->advise & EK_ZADV_EXTENTS))
		return ek_fail(err, EK_INVALID,
			       "map header: advise 0x%x contradicts itself",
			       (unsigned int)h->advise);
	if (h->fragoff > UINT32_MAX && layout == EK_LAYOUT_ZCOMPACT)
		return ek_fail(err, EK_INVALID,
			       "map header: fragment at %" PRIu64
			       " needs full indexes",
			       h->fragoff);
	if (h->advise & EK_ZADV_FRAGMENT)
		ek_put_le32(p, (uint32_t)h->fragoff);
	else
		ek_put_le16(p + 2, h->idata_size);
	p[6] = (uint8_t)(h->alg[0] | h->alg[1] << 4);
	p[7] = (uint8_t)(h->lclusterbits - sb->blkszbits);
	return EK_OK;
}

ek_status ek_zhead_encode(const struct ek_sb *sb, uint8_t layout,
			  const struct ek_zhead *h, uint8_t *p,
			  struct ek_err *err)
{
	memset(p, 0, EK_ZHEAD_SIZE);
	if (h->whole_fragment) {
		if (h->fragoff & WHOLE_FRAGMENT || layout != EK_LAYOUT_ZFULL)
			return ek_fail(err, EK_INVALID,
				       "map header: whole-file fragment at "
				       "%" PRIu64,
				       h->fragoff);
		ek_put_le64(p, h->fragoff | WHOLE_FRAGMENT);
		return EK_OK;
	}
	if (h->advise & ~EK_ZADV_KNOWN)
		return ek_fail(err, EK_INVALID, "map header: advise 0x%x",
			       (unsigned int)h->advise);
	if (h->recsz < 16 &&
	    (h->lclusterbits < sb->blkszbits ||
	     h->lclusterbits - sb->blkszbits > (int)CLUSTERBITS_MASK))
		return ek_fail(err, EK_INVALID,
			       "map header: lclusters of 2^%u bytes",
			       h->lclusterbits);
	ek_put_le16(p + 4, h->advise);
	if (h->extents) {
		if (layout != EK_LAYOUT_ZFULL)
			return ek_fail(err, EK_INVALID,
				       "map header: extents need layout 1");
		return encode_extents(sb, h, p, err);
	}
	return encode_index(sb, layout, h, p, err);
}

static ek_status beyond(struct ek_err *err)
{
	return ek_fail(err, EK_CORRUPT, "the map does not fit any image");
}

/* Entries of @unit bytes from g->base on. */
static ek_status geom_array(struct ek_zgeom *g, uint32_t unit,
			    struct ek_err *err)
{
	uint64_t bytes;

	if (!ek_mul(g->total, unit, &bytes) ||
	    !ek_add(g->base, bytes, &g->end) || g->end > INT64_MAX)
		return beyond(err);
	return EK_OK;
}

static ek_status geom_compact(struct ek_zgeom *g, bool packed2,
			      struct ek_err *err)
{
	/* Entries that bring the next pack to a multiple of 32. */
	uint64_t c4i = (32 - g->base % 32) / 4 & 7, bytes;

	if (g->total > INT64_MAX / 8)
		return beyond(err);
	g->n1 = packed2 ? ek_min(c4i, g->total) : g->total;
	if (packed2 && c4i < g->total)
		g->n2 = ek_round_down(g->total - c4i, EK_ZPACK2_SLOTS);
	g->n3 = g->total - g->n1 - g->n2;
	bytes = EK_ZPACK4_SIZE * ek_div_up(g->n1, EK_ZPACK4_SLOTS) + 2 * g->n2 +
		EK_ZPACK4_SIZE * ek_div_up(g->n3, EK_ZPACK4_SLOTS);
	if (!ek_add(g->base, bytes, &g->end) || g->end > INT64_MAX)
		return beyond(err);
	return EK_OK;
}

static ek_status geom_extents(struct ek_zgeom *g, const struct ek_zhead *h,
			      uint64_t size, struct ek_err *err)
{
	g->recsz = h->recsz;
	if (h->recsz == 4)
		g->base += 8; /* the preamble */
	g->base = ek_round_up(g->base, h->recsz);
	if (h->recsz >= 16)
		g->total = h->extent_count;
	else
		g->total = ek_div_up(size, UINT64_C(1) << g->lclusterbits);
	return geom_array(g, h->recsz, err);
}

ek_status ek_zgeom_init(const struct ek_sb *sb, uint8_t layout,
			const struct ek_zhead *h, uint64_t size,
			uint64_t body_end, struct ek_zgeom *g,
			struct ek_err *err)
{
	memset(g, 0, sizeof(*g));
	if (body_end > INT64_MAX - 64)
		return beyond(err);
	g->layout = layout;
	g->lclusterbits = h->lclusterbits;
	g->head_pos = ek_zhead_pos(body_end);
	g->base = g->head_pos + EK_ZHEAD_SIZE;
	g->end = g->base;
	if (h->whole_fragment)
		return EK_OK;
	if (h->extents)
		return geom_extents(g, h, size, err);
	if (layout == EK_LAYOUT_ZCOMPACT) {
		/* Counted in blocks, also if lclusters are larger. */
		g->total = ek_div_up(size, ek_sb_bs(sb));
		return geom_compact(g, h->advise & EK_ZADV_COMPACT_2B, err);
	}
	g->base += 8; /* zeros that full indexes have in front */
	g->total = ek_div_up(size, UINT64_C(1) << g->lclusterbits);
	g->n1 = g->total;
	return geom_array(g, EK_ZINDEX_SIZE, err);
}

/* Place of entry @i of a run of packs that begins at @start. */
static void pack_place(uint64_t start, uint64_t i, uint32_t pack_size,
		       uint64_t *pos, uint32_t *len, uint32_t *slot)
{
	uint32_t slots = ek_zpack_slots(pack_size);

	*pos = start + i / slots * pack_size;
	*len = pack_size;
	*slot = (uint32_t)(i % slots);
}

void ek_zgeom_entry(const struct ek_zgeom *g, uint64_t i, uint64_t *pos,
		    uint32_t *len, uint32_t *slot)
{
	uint64_t run2 = g->base + EK_ZPACK4_SIZE * ek_div_up(g->n1, 2);

	if (g->layout != EK_LAYOUT_ZCOMPACT) {
		*len = g->recsz ? g->recsz : EK_ZINDEX_SIZE;
		*pos = g->base + i * *len;
		*slot = 0;
	} else if (i < g->n1) {
		pack_place(g->base, i, EK_ZPACK4_SIZE, pos, len, slot);
	} else if (i - g->n1 < g->n2) {
		pack_place(run2, i - g->n1, EK_ZPACK2_SIZE, pos, len, slot);
	} else {
		pack_place(run2 + 2 * g->n2, i - g->n1 - g->n2, EK_ZPACK4_SIZE,
			   pos, len, slot);
	}
}

ek_status ek_zmap_init(const struct ek_sb *sb, const struct ek_cfgs *cfgs,
		       const struct ek_inode *in, uint64_t iloc,
		       const uint8_t *header, struct ek_zmap *m,
		       struct ek_err *err)
{
	uint64_t body_end;

	memset(m, 0, sizeof(*m));
	if (!ek_inode_compressed(in))
		return ek_fail(err, EK_CORRUPT, "inode that is not compressed");
	if (!ek_add(iloc, ek_inode_body(in), &body_end))
		return beyond(err);
	m->size = in->size;
	m->algs = cfgs->algs;
	m->blkszbits = sb->blkszbits;
	EK_TRY(ek_zhead_decode(sb, in->layout, header, &m->head, err));
	return ek_zgeom_init(sb, in->layout, &m->head, in->size, body_end,
			     &m->geom, err);
}
