/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zpriv.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>

void ek_zrecord_decode(uint8_t recsz, const uint8_t *p, struct ek_zrecord *r)
{
	memset(r, 0, sizeof(*r));
	r->plen = ek_get_le32(p);
	if (recsz >= 8)
		r->pa = ek_get_le32(p + 4);
	if (recsz >= 16) {
		r->pa |= (uint64_t)ek_get_le32(p + 8) << 32;
		r->la = ek_get_le32(p + 12);
	}
	if (recsz >= 32)
		r->la |= (uint64_t)ek_get_le32(p + 16) << 32;
}

void ek_zrecord_encode(uint8_t recsz, const struct ek_zrecord *r, uint8_t *p)
{
	memset(p, 0, recsz);
	ek_put_le32(p, r->plen);
	if (recsz >= 8)
		ek_put_le32(p + 4, (uint32_t)r->pa);
	if (recsz >= 16) {
		ek_put_le32(p + 8, (uint32_t)(r->pa >> 32));
		ek_put_le32(p + 12, (uint32_t)r->la);
	}
	if (recsz >= 32)
		ek_put_le32(p + 16, (uint32_t)(r->la >> 32));
}

static ek_status record_load(const struct ek_zmap *m, struct ek_zcur *cur,
			     uint64_t i, struct ek_zrecord *r,
			     struct ek_err *err)
{
	const uint8_t *p;
	uint32_t len, slot;
	uint64_t pos;

	ek_zgeom_entry(&m->geom, i, &pos, &len, &slot);
	EK_TRY(ek_zcur_bytes(m, cur, pos, len, &p, err));
	ek_zrecord_decode(m->head.recsz, p, r);
	return EK_OK;
}

/*
 * Where record @i of 4 bytes begins: the sum of all before it. The cursor
 * keeps it, so that a walk in order adds each record once.
 */
static ek_status sum_r4(const struct ek_zmap *m, struct ek_zcur *cur,
			uint64_t i, uint64_t *pa, struct ek_err *err)
{
	struct ek_zrecord r;
	const uint8_t *p;

	/* r4_next is one more than the record that r4_pa belongs to. */
	if (cur->r4_next == 0 || cur->r4_next - 1 > i) {
		cur->r4_next = 0;
		EK_TRY(ek_zcur_bytes(m, cur, m->geom.base - 8, 8, &p, err));
		cur->r4_pa = ek_get_le64(p);
		cur->r4_next = 1;
	}
	while (cur->r4_next - 1 < i) {
		EK_TRY(record_load(m, cur, cur->r4_next - 1, &r, err));
		if (!ek_add(cur->r4_pa, r.plen & EK_ZX_PLEN_MASK, &cur->r4_pa))
			return ek_fail(err, EK_CORRUPT,
				       "extent records: addresses overflow");
		cur->r4_next++;
	}
	*pa = cur->r4_pa;
	return EK_OK;
}

/* Records of 4 and 8 bytes: by lcluster number. */
static ek_status find_fixed(const struct ek_zmap *m, struct ek_zcur *cur,
			    uint64_t la, struct ek_zextent *x,
			    struct ek_zrecord *r, bool *last,
			    struct ek_err *err)
{
	uint64_t i = la >> m->head.lclusterbits;

	x->la = i << m->head.lclusterbits;
	x->llen = ek_min(UINT64_C(1) << m->head.lclusterbits, m->size - x->la);
	*last = i == m->geom.total - 1;
	EK_TRY(record_load(m, cur, i, r, err));
	/* The fragment has no address of its own. */
	if (m->head.recsz == 4 && !(*last && m->head.advise & EK_ZADV_FRAGMENT))
		return sum_r4(m, cur, i, &r->pa, err);
	return EK_OK;
}

/*
 * Records of 16 and 32 bytes: the last one that begins at or before @la, or
 * a hole (@r is zero) before the first.
 */
static ek_status find_sorted(const struct ek_zmap *m, struct ek_zcur *cur,
			     uint64_t la, struct ek_zextent *x,
			     struct ek_zrecord *r, bool *last,
			     struct ek_err *err)
{
	uint64_t lo = 0, hi = m->geom.total, end = m->size;
	struct ek_zrecord t;

	memset(r, 0, sizeof(*r));
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		EK_TRY(record_load(m, cur, mid, &t, err));
		if (t.la > la) {
			hi = mid;
			end = ek_min(m->size, t.la);
		} else {
			lo = mid + 1;
			*r = t;
		}
	}
	*last = lo && lo == m->geom.total;
	/* Neighbours must ascend; la lies between those that were seen. */
	if (lo > 1) {
		EK_TRY(record_load(m, cur, lo - 2, &t, err));
		if (t.la >= r->la)
			return ek_fail(err, EK_CORRUPT,
				       "extent record %" PRIu64
				       " is not after the one before",
				       lo - 1);
	}
	x->la = r->la;
	x->llen = end - x->la;
	return EK_OK;
}

ek_status ek_zextent_lookup(const struct ek_zmap *m, struct ek_zcur *cur,
			    uint64_t la, struct ek_zextent *x,
			    struct ek_err *err)
{
	uint64_t mask = (UINT64_C(1) << m->blkszbits) - 1;
	struct ek_zrecord r;
	uint32_t fmt;
	bool last;

	if (m->head.recsz >= 16)
		EK_TRY(find_sorted(m, cur, la, x, &r, &last, err));
	else
		EK_TRY(find_fixed(m, cur, la, x, &r, &last, err));
	if (last && m->head.advise & EK_ZADV_FRAGMENT) {
		x->kind = EK_Z_FRAGMENT;
		x->pa = r.plen | (uint64_t)(uint32_t)r.pa << 32;
		return EK_OK;
	}
	x->plen = r.plen & EK_ZX_PLEN_MASK;
	if (x->plen == 0) {
		x->kind = EK_Z_HOLE;
		return EK_OK;
	}
	x->pa = r.pa;
	x->partial = r.plen & EK_ZX_PARTIAL;
	fmt = r.plen >> EK_ZX_FMT_SHIFT;
	if (fmt) {
		x->kind = EK_Z_CODED;
		x->alg = (uint8_t)(fmt - 1);
	} else if (m->head.advise & EK_ZADV_INTERLACED &&
		   !((x->pa | x->plen) & mask)) {
		x->kind = EK_Z_INTERLACED;
	} else {
		x->kind = EK_Z_PLAIN;
	}
	return ek_zextent_check(m, x, err);
}
