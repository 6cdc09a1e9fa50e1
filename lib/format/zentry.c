/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zpriv.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>

ek_status ek_zcur_bytes(const struct ek_zmap *m, struct ek_zcur *cur,
			uint64_t pos, uint32_t n, const uint8_t **p,
			struct ek_err *err)
{
	/* The preamble of r=4 is read too. */
	uint64_t low = m->geom.base - (m->head.recsz == 4 ? 8 : 0), start;
	uint32_t len;

	if (pos < cur->win_pos || pos - cur->win_pos > cur->win_len ||
	    cur->win_len - (pos - cur->win_pos) < n) {
		start = ek_max(ek_round_down(pos, EK_Z_READ_MAX), low);
		len = (uint32_t)ek_min(m->geom.end - start,
				       EK_Z_READ_MAX - start % EK_Z_READ_MAX);
		cur->win_len = 0;
		EK_TRY(cur->read(cur->ctx, start, cur->win, len, err));
		cur->win_pos = start;
		cur->win_len = len;
	}
	*p = cur->win + (pos - cur->win_pos);
	return EK_OK;
}

static ek_status set_cblks(const struct ek_zmap *m, uint32_t value,
			   uint64_t lcn, struct ek_zentry *e,
			   struct ek_err *err)
{
	if (!ek_zhead_big(&m->head))
		return ek_fail(err, EK_CORRUPT,
			       "lcluster %" PRIu64
			       ": block count without big pclusters",
			       lcn);
	e->counted = true;
	e->cblks = value & ~EK_Z_CBLKCNT;
	/* 0 is what stands behind the head of a fragment. */
	e->delta0 = 1;
	return EK_OK;
}

static ek_status check_ofs(const struct ek_zmap *m, uint64_t lcn,
			   const struct ek_zentry *e, struct ek_err *err)
{
	if (e->clusterofs >> m->head.lclusterbits)
		return ek_fail(err, EK_CORRUPT,
			       "lcluster %" PRIu64 ": offset %" PRIu32
			       " is beyond it",
			       lcn, e->clusterofs);
	return EK_OK;
}

static ek_status load_full(const struct ek_zmap *m, const uint8_t *p,
			   uint64_t lcn, struct ek_zentry *e,
			   struct ek_err *err)
{
	uint16_t advise = ek_get_le16(p);

	e->type = advise & 3;
	if (e->type != EK_ZT_NONHEAD) {
		e->partial = advise & EK_ZDI_PARTIAL;
		e->hole = advise & EK_ZDI_HOLE;
		e->clusterofs = ek_get_le16(p + 2);
		e->blk = ek_get_le32(p + 4);
		return check_ofs(m, lcn, e, err);
	}
	e->delta0 = ek_get_le16(p + 4);
	e->delta1 = (uint32_t)ek_max(ek_get_le16(p + 6), 1);
	if (e->delta0 & EK_Z_CBLKCNT)
		return set_cblks(m, e->delta0, lcn, e, err);
	return EK_OK;
}

/* A pack of compact indexes. */
struct pack {
	const uint8_t *p;
	uint32_t size;
	uint32_t slots;
	uint8_t lobits;
};

/* Value of slot @i; its type goes to @type. */
static uint32_t slot_get(const struct pack *k, uint32_t i, uint8_t *type)
{
	uint32_t bit = i * ek_zpack_entry_bits(k->size);
	/* The base block behind the last slot makes 3 bytes always safe. */
	const uint8_t *p = k->p + bit / 8;
	uint32_t raw =
		(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16) >> bit % 8;

	*type = raw >> k->lobits & 3;
	return raw & ((UINT32_C(1) << k->lobits) - 1);
}

/*
 * Blocks between the pack's base and the head in slot @i. A count may pass
 * the first slot: then a head of the pack before is meant.
 */
static ek_status head_distance(const struct pack *k, bool big, uint32_t i,
			       uint32_t *sum, struct ek_err *err)
{
	int32_t j = (int32_t)i;

	*sum = big ? 0 : 1;
	while (j > 0) {
		uint8_t type;
		uint32_t lo = slot_get(k, (uint32_t)--j, &type);

		if (type != EK_ZT_NONHEAD) {
			*sum += 1;
		} else if (!big) {
			j -= (int32_t)lo;
			if (j >= 0)
				*sum += 1;
		} else if (lo & EK_Z_CBLKCNT) {
			*sum += lo & ~EK_Z_CBLKCNT;
			j--;
		} else if (lo <= 1) {
			return ek_fail(err, EK_CORRUPT,
				       "compact indexes: no block count "
				       "behind a head");
		} else {
			j -= (int32_t)lo - 2;
		}
	}
	return EK_OK;
}

/* How far a reader may hop from NONHEAD slot @i without passing a head. */
static uint32_t hop_forward(const struct pack *k, uint32_t i)
{
	uint8_t type = EK_ZT_NONHEAD;
	uint32_t j = i, lo = 0, n;

	for (; j < k->slots; j++) {
		lo = slot_get(k, j, &type);
		if (type != EK_ZT_NONHEAD)
			return j - i;
	}
	n = k->slots - i;
	if (!(lo & EK_Z_CBLKCNT))
		n = n + lo - 1;
	return n ? n : 1;
}

/* Distance back from the last slot, which stores that forward. */
static uint32_t last_delta0(const struct pack *k)
{
	uint8_t type;
	uint32_t lo = slot_get(k, k->slots - 2, &type);

	if (type != EK_ZT_NONHEAD)
		return 1;
	return lo & EK_Z_CBLKCNT ? 2 : lo + 1;
}

static ek_status load_compact(const struct ek_zmap *m, const struct pack *k,
			      uint32_t slot, uint64_t lcn, struct ek_zentry *e,
			      struct ek_err *err)
{
	uint32_t lo = slot_get(k, slot, &e->type), sum;

	if (e->type != EK_ZT_NONHEAD) {
		e->clusterofs = lo;
		EK_TRY(check_ofs(m, lcn, e, err));
		EK_TRY(head_distance(k, ek_zhead_big(&m->head), slot, &sum,
				     err));
		e->blk = (uint32_t)(ek_get_le32(k->p + k->size - 4) + sum);
		return EK_OK;
	}
	e->delta1 = hop_forward(k, slot);
	if (lo & EK_Z_CBLKCNT)
		return set_cblks(m, lo, lcn, e, err);
	e->delta0 = slot + 1 < k->slots ? lo : last_delta0(k);
	return EK_OK;
}

ek_status ek_zentry_load(const struct ek_zmap *m, struct ek_zcur *cur,
			 uint64_t lcn, struct ek_zentry *e, struct ek_err *err)
{
	struct pack k = {
		.lobits = (uint8_t)ek_zpack_lobits(m->head.lclusterbits)};
	uint32_t slot;
	uint64_t pos;

	memset(e, 0, sizeof(*e));
	if (lcn >= m->geom.total || m->head.extents)
		return ek_fail(err, EK_CORRUPT,
			       "lcluster %" PRIu64 " is beyond the map", lcn);
	ek_zgeom_entry(&m->geom, lcn, &pos, &k.size, &slot);
	EK_TRY(ek_zcur_bytes(m, cur, pos, k.size, &k.p, err));
	if (m->geom.layout == EK_LAYOUT_ZFULL)
		return load_full(m, k.p, lcn, e, err);
	k.slots = ek_zpack_slots(k.size);
	return load_compact(m, &k, slot, lcn, e, err);
}
