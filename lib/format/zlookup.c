/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zpriv.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>

/* One look-up in full or compact indexes. */
struct walk {
	const struct ek_zmap *m;
	struct ek_zcur *cur;
	uint64_t count; /* lclusters of the file */
	uint64_t steps; /* entries that may still be loaded */
	uint64_t lcn;	/* of the head */
	struct ek_zentry head;
	uint64_t end; /* of the extent */
};

static ek_status load(struct walk *w, uint64_t lcn, struct ek_zentry *e,
		      struct ek_err *err)
{
	if (w->steps == 0)
		return ek_fail(err, EK_UNSUPPORTED,
			       "extent around lcluster %" PRIu64 " is too long",
			       lcn);
	w->steps--;
	return ek_zentry_load(w->m, w->cur, lcn, e, err);
}

/* From the lcluster of byte @la back to the head of its extent. */
static ek_status find_head(struct walk *w, uint64_t la, struct ek_err *err)
{
	uint8_t bits = w->m->head.lclusterbits;
	uint64_t ofs = la & ((UINT64_C(1) << bits) - 1);
	struct ek_zentry *e = &w->head;
	uint64_t dist;

	w->lcn = la >> bits;
	EK_TRY(load(w, w->lcn, e, err));
	if (e->type != EK_ZT_NONHEAD && ofs >= e->clusterofs)
		return EK_OK;
	dist = e->type == EK_ZT_NONHEAD ? e->delta0 : 1;
	for (;;) {
		if (dist == 0 || dist > w->lcn)
			return ek_fail(err, EK_CORRUPT,
				       "lcluster %" PRIu64
				       ": its head is %" PRIu64 " before it",
				       w->lcn, dist);
		w->lcn -= dist;
		EK_TRY(load(w, w->lcn, e, err));
		if (e->type != EK_ZT_NONHEAD)
			return EK_OK;
		dist = e->delta0;
	}
}

/* From the head forward to the next one, or to the end of the file. */
static ek_status find_end(struct walk *w, struct ek_err *err)
{
	uint8_t bits = w->m->head.lclusterbits;
	struct ek_zentry e;

	w->end = w->m->size;
	for (uint64_t k = w->lcn + 1; k < w->count; k += e.delta1) {
		EK_TRY(load(w, k, &e, err));
		if (e.type != EK_ZT_NONHEAD) {
			w->end = ek_min(w->end, (k << bits) + e.clusterofs);
			break;
		}
	}
	return EK_OK;
}

/* Blocks of the head's pcluster (6.3). */
static ek_status find_blocks(struct walk *w, uint32_t *blocks,
			     struct ek_err *err)
{
	struct ek_zentry e;

	*blocks = 1;
	if (!ek_ztype_big(w->m->head.advise, w->head.type) ||
	    w->lcn + 1 >= w->count)
		return EK_OK;
	EK_TRY(load(w, w->lcn + 1, &e, err));
	if (e.type != EK_ZT_NONHEAD)
		return EK_OK;
	if (!e.cblks)
		return ek_fail(err, EK_CORRUPT,
			       "lcluster %" PRIu64
			       ": no block count behind a head",
			       w->lcn + 1);
	*blocks = e.cblks;
	return EK_OK;
}

/* The tail's bytes directly follow the entry of the last byte (6.7). */
static ek_status set_inline(const struct ek_zmap *m, struct ek_zextent *x,
			    struct ek_err *err)
{
	uint32_t len, slot, bs = UINT32_C(1) << m->blkszbits;
	uint64_t pos;

	ek_zgeom_entry(&m->geom, (m->size - 1) >> m->head.lclusterbits, &pos,
		       &len, &slot);
	x->pa = pos + len;
	x->plen = m->head.idata_size;
	x->inline_ = true;
	if (!ek_tail_fits(x->pa, x->plen, bs))
		return ek_fail(err, EK_CORRUPT,
			       "inline tail of %" PRIu32
			       " bytes crosses a block",
			       x->plen);
	return EK_OK;
}

static void set_kind(const struct ek_zmap *m, uint8_t type,
		     struct ek_zextent *x)
{
	if (type != EK_ZT_PLAIN) {
		x->kind = EK_Z_CODED;
		x->alg = m->head.alg[type == EK_ZT_HEAD2];
	} else if (m->head.advise & EK_ZADV_INTERLACED && !x->inline_) {
		x->kind = EK_Z_INTERLACED;
	} else {
		x->kind = EK_Z_PLAIN;
	}
}

static ek_status index_lookup(const struct ek_zmap *m, struct ek_zcur *cur,
			      uint64_t la, struct ek_zextent *x,
			      struct ek_err *err)
{
	uint8_t bits = m->head.lclusterbits;
	struct walk w = {
		.m = m,
		.cur = cur,
		.count = ek_div_up(m->size, UINT64_C(1) << bits),
	};
	uint32_t blocks;

	/*
	 * Each step is a lcluster at least, and so the largest extent bounds
	 * them. Tails in fragments may be longer, but writers hop in them.
	 */
	w.steps = 2 * ((EK_ZEXTENT_MAX >> bits) + 4) + w.count / 512;
	EK_TRY(find_head(&w, la, err));
	EK_TRY(find_end(&w, err));
	x->la = (w.lcn << bits) + w.head.clusterofs;
	if (w.end <= la)
		return ek_fail(err, EK_CORRUPT,
			       "lcluster %" PRIu64
			       ": its extent ends before byte %" PRIu64,
			       w.lcn, la);
	x->llen = w.end - x->la;
	if (m->head.advise & EK_ZADV_FRAGMENT && w.end == m->size) {
		x->kind = EK_Z_FRAGMENT;
		x->pa = m->head.fragoff;
		if (m->geom.layout == EK_LAYOUT_ZFULL)
			x->pa |= w.head.blk << 32;
		return EK_OK;
	}
	if (m->head.idata_size && w.end == m->size) {
		EK_TRY(set_inline(m, x, err));
	} else if (w.head.hole) {
		x->kind = EK_Z_HOLE;
		return EK_OK;
	} else {
		EK_TRY(find_blocks(&w, &blocks, err));
		x->pa = w.head.blk << m->blkszbits;
		/* Keep the product in range: the limit is checked next. */
		x->plen = (uint32_t)ek_min((uint64_t)blocks << m->blkszbits,
					   UINT32_MAX);
	}
	x->partial = w.head.partial;
	set_kind(m, w.head.type, x);
	return ek_zextent_check(m, x, err);
}

ek_status ek_zextent_check(const struct ek_zmap *m, const struct ek_zextent *x,
			   struct ek_err *err)
{
	uint64_t end;

	if (x->plen > EK_PCLUSTER_MAX)
		return ek_fail(err, EK_UNSUPPORTED,
			       "extent at %" PRIu64 ": pcluster of %" PRIu32
			       " bytes",
			       x->la, x->plen);
	if (x->llen > EK_ZEXTENT_MAX)
		return ek_fail(err, EK_UNSUPPORTED,
			       "extent at %" PRIu64 " has %" PRIu64 " bytes",
			       x->la, x->llen);
	if (!ek_add(x->pa, x->plen, &end) || end >> m->blkszbits > EK_BLK_MAX)
		return ek_fail(err, EK_CORRUPT,
			       "extent at %" PRIu64
			       ": pcluster at byte %" PRIu64,
			       x->la, x->pa);
	if (x->kind != EK_Z_CODED && x->llen > x->plen)
		return ek_fail(err, EK_CORRUPT,
			       "extent at %" PRIu64 ": %" PRIu64
			       " bytes stored in %" PRIu32,
			       x->la, x->llen, x->plen);
	if (x->kind != EK_Z_CODED)
		return EK_OK;
	if (x->alg >= EK_ALG_COUNT)
		return ek_fail(err, EK_UNSUPPORTED,
			       "extent at %" PRIu64 ": unknown algorithm %u",
			       x->la, x->alg);
	if (!(m->algs & 1u << x->alg))
		return ek_fail(err, EK_CORRUPT,
			       "extent at %" PRIu64
			       ": %s is not announced by the superblock",
			       x->la, ek_alg_name(x->alg));
	return EK_OK;
}

ek_status ek_zmap_lookup(const struct ek_zmap *m, struct ek_zcur *cur,
			 uint64_t la, struct ek_zextent *x, struct ek_err *err)
{
	memset(x, 0, sizeof(*x));
	if (la >= m->size)
		return ek_fail(err, EK_INVALID, "byte %" PRIu64 " of %" PRIu64,
			       la, m->size);
	if (m->head.whole_fragment) {
		x->llen = m->size;
		x->pa = m->head.fragoff;
		x->kind = EK_Z_FRAGMENT;
		return EK_OK;
	}
	if (m->head.extents)
		return ek_zextent_lookup(m, cur, la, x, err);
	return index_lookup(m, cur, la, x, err);
}
