/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zpriv.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>

/* Walks over the lclusters of a file, in order, and says what each is. */
struct gen {
	const struct ek_zgeom *g;
	uint16_t advise;
	uint64_t size;
	const struct ek_zpiece *pieces;
	size_t n;
	size_t next;	   /* piece that begins next */
	uint64_t lcn;	   /* next lcluster */
	uint64_t head_lcn; /* of the piece before next */
	uint64_t next_lcn; /* where the next head is; total at the end */
	uint64_t run;	   /* block after the pclusters so far */
};

static uint64_t piece_lcn(const struct gen *s, size_t i)
{
	return s->pieces[i].la >> s->g->lclusterbits;
}

/* Where the head after piece @i is: a piece, the EOF pseudo head, or none. */
static uint64_t lcn_after(const struct gen *s, size_t i)
{
	uint64_t mask = (UINT64_C(1) << s->g->lclusterbits) - 1;

	if (i + 1 < s->n)
		return piece_lcn(s, i + 1);
	if (s->size & mask && piece_lcn(s, i) != s->g->total - 1)
		return s->g->total - 1;
	return s->g->total;
}

static ek_status check_piece(const struct gen *s, size_t i, struct ek_err *err)
{
	const struct ek_zpiece *p = &s->pieces[i];
	bool compact = s->g->layout == EK_LAYOUT_ZCOMPACT;
	uint64_t after = lcn_after(s, i);
	/* Whether a CBLKCNT follows. */
	bool counted =
		ek_ztype_big(s->advise, p->type) && after > piece_lcn(s, i) + 1;
	const char *why = NULL;

	if (p->type == EK_ZT_NONHEAD || p->type > EK_ZT_HEAD2)
		why = "its type is not that of a head";
	else if (p->la >= s->size || (i == 0 && p->la))
		why = "it begins outside the file, or not at its start";
	else if (after <= piece_lcn(s, i))
		why = "the next one begins in the same lcluster";
	else if (p->blocks > EK_Z_DELTA_MAX ||
		 (p->blocks == 0 && !(p->nodata && counted)))
		why = "its number of blocks cannot be written";
	else if (p->blocks > 1 && !counted)
		why = "several blocks need a BIG bit and a second lcluster";
	else if (p->blk > UINT32_MAX)
		why = "its block needs more than 32 bits";
	else if (compact && p->partial)
		why = "compact indexes know no partial references";
	else if (compact && i && !p->nodata && p->blk != s->run)
		why = "its blocks do not follow those before it";
	if (why)
		return ek_fail(err, EK_INVALID,
			       "extent %zu at byte %" PRIu64 ": %s", i, p->la,
			       why);
	return EK_OK;
}

/* What lcluster s->lcn is; then step to the next. */
static ek_status gen_next(struct gen *s, struct ek_zentry *e,
			  struct ek_err *err)
{
	bool compact = s->g->layout == EK_LAYOUT_ZCOMPACT;
	const struct ek_zpiece *p = s->pieces + s->next;
	uint64_t lcn = s->lcn++;

	memset(e, 0, sizeof(*e));
	if (lcn != s->next_lcn) {
		e->type = EK_ZT_NONHEAD;
		e->delta0 = (uint32_t)ek_min(lcn - s->head_lcn, UINT32_MAX);
		e->delta1 = (uint32_t)ek_min(s->next_lcn - lcn, UINT32_MAX);
		if (e->delta0 == 1 && ek_ztype_big(s->advise, p[-1].type)) {
			e->counted = true;
			e->cblks = p[-1].blocks;
		}
		return EK_OK;
	}
	if (s->next == s->n) {
		/* The pseudo head: the last extent ends in this lcluster. */
		e->clusterofs =
			s->size & ((UINT64_C(1) << s->g->lclusterbits) - 1);
		e->blk = compact ? (uint32_t)s->run : 0;
		s->next_lcn = s->g->total;
		return EK_OK;
	}
	EK_TRY(check_piece(s, s->next, err));
	e->type = p->type;
	e->partial = p->partial;
	e->clusterofs = p->la & ((UINT64_C(1) << s->g->lclusterbits) - 1);
	e->blk = compact && s->next && p->nodata ? s->run : p->blk;
	s->run = e->blk + p->blocks;
	s->head_lcn = lcn;
	s->next_lcn = lcn_after(s, s->next);
	s->next++;
	return EK_OK;
}

static ek_status encode_full(struct gen *s, uint8_t *out, struct ek_err *err)
{
	for (uint64_t i = 0; i < s->g->total; i++, out += EK_ZINDEX_SIZE) {
		struct ek_zentry e;

		EK_TRY(gen_next(s, &e, err));
		ek_put_le16(out, (uint16_t)(e.type |
					    (e.partial ? EK_ZDI_PARTIAL : 0)));
		ek_put_le16(out + 2, (uint16_t)e.clusterofs);
		if (e.type != EK_ZT_NONHEAD) {
			ek_put_le32(out + 4, (uint32_t)e.blk);
			continue;
		}
		ek_put_le16(out + 4,
			    (uint16_t)(e.counted ? EK_Z_CBLKCNT | e.cblks
						 : ek_min(e.delta0,
							  EK_Z_DELTA_MAX)));
		ek_put_le16(out + 6, (uint16_t)ek_min(e.delta1, UINT16_MAX));
	}
	return EK_OK;
}

/* Value of an entry in a pack; @last: it is in the last slot. */
static uint32_t slot_value(const struct ek_zentry *e, bool last)
{
	if (e->type != EK_ZT_NONHEAD)
		return e->clusterofs;
	if (e->counted)
		return EK_Z_CBLKCNT | e->cblks;
	return (uint32_t)ek_min(last ? e->delta1 : e->delta0, EK_Z_DELTA_MAX);
}

static void slot_put(uint8_t *pack, uint32_t size, uint32_t i, uint32_t raw)
{
	uint32_t bit = i * ek_zpack_entry_bits(size);
	uint8_t *p = pack + bit / 8;

	raw <<= bit % 8;
	p[0] |= (uint8_t)raw;
	p[1] |= (uint8_t)(raw >> 8);
	/* Bits of the base never: 3 bytes are used in the 2-byte pack only. */
	p[2] |= (uint8_t)(raw >> 16);
}

/* One pack of @n entries, the rest of its slots are zero. */
static ek_status encode_pack(struct gen *s, uint32_t size, uint32_t n,
			     uint8_t *out, struct ek_err *err)
{
	uint32_t lobits = ek_zpack_lobits(s->g->lclusterbits);
	uint32_t slots = ek_zpack_slots(size);
	bool big = s->advise & (EK_ZADV_BIG1 | EK_ZADV_BIG2);
	uint64_t base = s->next ? s->run : s->pieces[0].blk;

	if (!big)
		base--;
	memset(out, 0, size);
	for (uint32_t i = 0; i < n; i++) {
		struct ek_zentry e;

		EK_TRY(gen_next(s, &e, err));
		/* The count is added to reach what follows that head. */
		if (i == 0 && e.counted)
			base -= e.cblks;
		slot_put(out, size, i,
			 slot_value(&e, i + 1 == slots) | (uint32_t)e.type
								  << lobits);
	}
	ek_put_le32(out + size - 4, (uint32_t)base);
	return EK_OK;
}

static ek_status encode_run(struct gen *s, uint32_t size, uint64_t n,
			    uint8_t **out, struct ek_err *err)
{
	uint32_t slots = ek_zpack_slots(size);

	while (n) {
		uint32_t k = (uint32_t)ek_min(n, slots);

		EK_TRY(encode_pack(s, size, k, *out, err));
		*out += size;
		n -= k;
	}
	return EK_OK;
}

ek_status ek_zindex_encode(const struct ek_zgeom *g, uint16_t advise,
			   uint64_t size, const struct ek_zpiece *pieces,
			   size_t n, uint8_t *out, struct ek_err *err)
{
	struct gen s = {
		.g = g,
		.advise = advise,
		.size = size,
		.pieces = pieces,
		.n = n,
	};

	if (size == 0 && n == 0)
		return EK_OK;
	if (size == 0 || n == 0 || g->recsz ||
	    g->total != ek_div_up(size, UINT64_C(1) << g->lclusterbits))
		return ek_fail(err, EK_INVALID,
			       "%zu extents do not index %" PRIu64 " bytes", n,
			       size);
	/* The first lcluster must be a head: check_piece() sees that it is. */
	if (g->layout == EK_LAYOUT_ZFULL)
		EK_TRY(encode_full(&s, out, err));
	else {
		EK_TRY(encode_run(&s, EK_ZPACK4_SIZE, g->n1, &out, err));
		EK_TRY(encode_run(&s, EK_ZPACK2_SIZE, g->n2, &out, err));
		EK_TRY(encode_run(&s, EK_ZPACK4_SIZE, g->n3, &out, err));
	}
	if (s.next != n)
		return ek_fail(err, EK_INVALID,
			       "extent %zu begins outside the file", s.next);
	return EK_OK;
}

bool ek_zindex_compact_ok(const struct ek_zpiece *pieces, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct ek_zpiece *p = &pieces[i];

		if (p->partial || (p->nodata && i + 1 < n))
			return false;
		if (!p->nodata && p->blk + p->blocks > UINT32_MAX)
			return false;
		if (i && !p->nodata && p->blk != p[-1].blk + p[-1].blocks)
			return false;
	}
	return true;
}
