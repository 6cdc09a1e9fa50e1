/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Full and compact indexes: each entry against its neighbours. Readers that
 * jump by distances and readers that scan must come to the same extents.
 */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

struct scan {
	struct ck *ck;
	uint32_t index;
	const struct ek_zmap *map;
	bool have_head;
	uint64_t head; /* lcluster of the last head */
	uint8_t head_type;
	uint64_t far_hop;   /* furthest lcluster that a hop since then led to */
	uint64_t short_hop; /* nearest one, of hops that must be exact */
	bool no_count;	    /* the extent in work lacks its count of blocks */
	bool ok;
};

static bool big(const struct ek_zmap *map, uint8_t type)
{
	uint16_t bit = type == EK_ZT_HEAD1 ? EK_ZADV_BIG1 : EK_ZADV_BIG2;

	return map->head.advise & bit;
}

static ek_status bad(struct scan *s, enum ck_code code, uint64_t lcn,
		     const char *what)
{
	s->ok = false;
	return ck_find(s->ck, code, s->index, NULL, CK_NO_OFFSET,
		       "lcluster %llu: %s", (unsigned long long)lcn, what);
}

/* The hops of all entries since the last head, now that the next is known. */
static ek_status check_hops(struct scan *s, uint64_t next)
{
	if (s->far_hop > next)
		return bad(s, CK_MAP_DISTANCE, next,
			   "an entry before it leads beyond it");
	if (s->short_hop < next)
		return bad(s, CK_MAP_DISTANCE, next,
			   "an entry before it does not lead to it");
	return EK_OK;
}

static void begin(struct scan *s, uint64_t lcn, uint8_t type)
{
	s->have_head = true;
	s->head = lcn;
	s->head_type = type;
	s->far_hop = 0;
	s->short_hop = UINT64_MAX;
	s->no_count = false;
}

/*
 * A count may be missing in the last extent alone, when that is a fragment or
 * an inline tail and so has no cluster.
 */
static ek_status check_count(struct scan *s, bool last)
{
	uint16_t tail = EK_ZADV_FRAGMENT | EK_ZADV_INLINE;

	if (!s->no_count || (last && (s->map->head.advise & tail)))
		return EK_OK;
	return bad(s, CK_MAP_COUNT, s->head + 1,
		   "the count of blocks is missing");
}

static ek_status follower(struct scan *s, uint64_t lcn,
			  const struct ek_zentry *e)
{
	uint64_t distance = lcn - s->head, hop = lcn + e->delta1;

	if (!s->have_head)
		return bad(s, CK_MAP_INDEX, lcn, "no extent begins before it");
	if (hop > s->far_hop)
		s->far_hop = hop;
	/* Compact packs may tell less than the distance, full ones not. */
	if (s->map->geom.layout == EK_LAYOUT_ZFULL &&
	    e->delta1 < EK_Z_DELTA_MAX && hop < s->short_hop)
		s->short_hop = hop;
	if (e->cblks) {
		if (distance != 1 || !big(s->map, s->head_type))
			return bad(s, CK_MAP_COUNT, lcn,
				   "a count of blocks that belongs to none");
		return EK_OK;
	}
	if (distance == 1 && big(s->map, s->head_type))
		s->no_count = true;
	if (e->delta0 == distance)
		return EK_OK;
	if (distance > EK_Z_DELTA_MAX && e->delta0 >= 1 && e->delta0 < distance)
		return EK_OK;
	return bad(s, CK_MAP_DISTANCE, lcn,
		   "a wrong distance to the beginning of its extent");
}

static ek_status head(struct scan *s, uint64_t lcn, const struct ek_zentry *e)
{
	uint64_t at = (lcn << s->map->geom.lclusterbits) + e->clusterofs;

	if (s->have_head) {
		EK_TRY(check_hops(s, lcn));
		EK_TRY(check_count(s, at >= s->map->size));
	} else if (at != 0) {
		EK_TRY(bad(s, CK_MAP_INDEX, lcn,
			   "the first extent does not begin at byte 0"));
	}
	if (at > s->map->size)
		EK_TRY(bad(s, CK_MAP_EOF, lcn,
			   "an extent begins behind the end of the file"));
	begin(s, lcn, e->type);
	return EK_OK;
}

/*
 * When the file ends inside an lcluster in which no extent begins, the last
 * entry is a head that tells the end.
 */
static ek_status last_entry(struct scan *s, uint64_t total,
			    const struct ek_zentry *e)
{
	uint64_t mask = (UINT64_C(1) << s->map->geom.lclusterbits) - 1;

	EK_TRY(check_hops(s, total));
	EK_TRY(check_count(s, true));
	if (e->type == EK_ZT_NONHEAD && (s->map->size & mask))
		return bad(s, CK_MAP_EOF, total - 1,
			   "it does not tell where the file ends");
	return EK_OK;
}

ek_status ck_zindexes(struct ck *ck, uint32_t index, const struct ek_zmap *map,
		      struct ek_zcur *cur, bool *ok, struct ek_err *err)
{
	struct scan s = {.ck = ck, .index = index, .map = map, .ok = true};
	struct ek_zentry e = {.type = EK_ZT_PLAIN};
	struct ek_err why;
	uint64_t lcn;

	s.short_hop = UINT64_MAX;
	for (lcn = 0; lcn < map->geom.total && s.ok; lcn++) {
		if (lcn % 65536 == 0)
			EK_TRY(ck_cancelled(ck, err));
		if (ek_zentry_load(map, cur, lcn, &e, &why) != EK_OK) {
			*ok = false;
			return ck_failed(ck, CK_MAP_INDEX, index, NULL,
					 CK_NO_OFFSET, &why);
		}
		if (e.type == EK_ZT_NONHEAD)
			EK_TRY(follower(&s, lcn, &e));
		else
			EK_TRY(head(&s, lcn, &e));
	}
	if (s.ok && map->geom.total)
		EK_TRY(last_entry(&s, map->geom.total, &e));
	*ok = s.ok;
	return EK_OK;
}
