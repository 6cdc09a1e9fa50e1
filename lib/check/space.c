/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who owns which bytes. Claims are noted in any order; sorted, they tell what
 * overlaps and what nobody owns. They are exact to the byte, so padding is
 * simply what lies between them.
 */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#define CLAIMS_MAX ((size_t)1 << 30)

static struct ck_place place(const void *item)
{
	const struct ck_claim *c = item;

	return (struct ck_place){c->start, c->space};
}

static int compare(const void *pa, const void *pb)
{
	const struct ck_claim *a = pa, *b = pb;

	if (a->space != b->space)
		return a->space < b->space ? -1 : 1;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->end != b->end)
		return a->end < b->end ? -1 : 1;
	return a->owner < b->owner ? -1 : a->owner > b->owner;
}

/* Whether @b, which follows @a, says nothing that @a cannot say as well. */
static bool unite(struct ck_claim *a, const struct ck_claim *b)
{
	if (a->space != b->space || a->kind != b->kind)
		return false;
	if (a->kind == CK_SHARED_ATTR)
		return a->start == b->start && a->end == b->end;
	if (a->kind != CK_DATA || b->start > a->end)
		return false;
	a->end = ek_max(a->end, b->end);
	return true;
}

static void compact(struct ck *ck)
{
	struct ck_claim *at = ck->claims.at;
	size_t i, n = 0;

	ck_sort(at, ck->claims.n, sizeof(*at), place, compare);
	for (i = 0; i < ck->claims.n; i++)
		if (n == 0 || !unite(&at[n - 1], &at[i]))
			at[n++] = at[i];
	ck->claims.n = n;
	ck->claims_compact_at = n * 2 + 65536;
}

ek_status ck_claim(struct ck *ck, enum ck_kind kind, uint32_t owner,
		   uint32_t space, uint64_t start, uint64_t len,
		   struct ek_err *err)
{
	struct ck_claim claim = {start, 0, space, owner, (uint8_t)kind};
	struct ck_claim *last;

	/* Other devices have no metadata that data could lie in. */
	if (!len || (space && space != CK_BOX) ||
	    !ek_add(start, len, &claim.end))
		return EK_OK;
	if (kind == CK_META) {
		ck->meta_claimed += ek_min(len, ck->meta_limit);
		if (ck->meta_claimed > ck->meta_limit && !ck->meta_over) {
			ck->meta_over = true;
			ck_find(ck, CK_SPACE_BUDGET, owner, NULL, start,
				"inodes claim more than %llu bytes of "
				"metadata",
				(unsigned long long)ck->meta_limit);
		}
	}
	last = ck->claims.n ? &ck->claims.at[ck->claims.n - 1] : NULL;
	if (last && last->kind == CK_DATA && last->end == start &&
	    last->owner == owner && kind == CK_DATA && last->space == space) {
		last->end = claim.end;
		return EK_OK;
	}
	if (ck->claims.n >= ck->claims_compact_at)
		compact(ck);
	return ek_vec_push(&ck->claims, claim, CLAIMS_MAX, err);
}

struct reach {
	uint64_t end;
	uint32_t owner;
};

static void reach_to(struct reach *r, const struct ck_claim *c)
{
	if (c->end > r->end)
		*r = (struct reach){c->end, c->owner};
}

static ek_status overlap(struct ck *ck, enum ck_code code,
			 const struct ck_claim *c, uint32_t other)
{
	EK_AUTO_FREE char *path = ck_path(ck, other, NULL);
	uint64_t at = c->space == CK_BOX ? CK_NO_OFFSET : c->start;

	return ck_find(ck, code, c->owner, NULL, at,
		       "bytes from %llu on belong to %s too",
		       (unsigned long long)c->start,
		       path ? path : "the superblock or a table");
}

ek_status ck_claims_check(struct ck *ck, struct ek_err *err)
{
	struct reach meta = {0}, data = {0};
	size_t i;

	compact(ck);
	for (i = 0; i < ck->claims.n; i++) {
		const struct ck_claim *c = &ck->claims.at[i];

		if (i % 65536 == 0)
			EK_TRY(ck_cancelled(ck, err));
		if (i == 0 || c->space != c[-1].space) {
			meta.end = 0;
			data.end = 0;
		}
		if (c->start < meta.end)
			overlap(ck,
				c->kind == CK_DATA ? CK_SPACE_OVERLAP
						   : CK_INODE_OVERLAP,
				c, meta.owner);
		if (c->kind != CK_DATA && c->start < data.end)
			overlap(ck, CK_SPACE_OVERLAP, c, data.owner);
		reach_to(c->kind == CK_DATA ? &data : &meta, c);
	}
	if (ck->options->strict && !ck->result->restricted && !ck->meta_over)
		return ck_unused(ck, err);
	return EK_OK;
}
