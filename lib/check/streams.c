/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The set of streams. Files share clusters: each is decoded once, to the
 * longest length that anyone wants of it.
 */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#define STREAMS_MAX ((size_t)1 << 30)

static struct ck_place place(const void *item)
{
	const struct ck_stream *c = item;

	return (struct ck_place){c->pa, c->space};
}

static int compare(const void *pa, const void *pb)
{
	const struct ck_stream *a = pa, *b = pb;

	if (a->space != b->space)
		return a->space < b->space ? -1 : 1;
	if (a->pa != b->pa)
		return a->pa < b->pa ? -1 : 1;
	if (a->plen != b->plen)
		return a->plen < b->plen ? -1 : 1;
	if (a->alg != b->alg)
		return a->alg < b->alg ? -1 : 1;
	/* Exact ones first: they tell how long the stream is. */
	if (a->partial != b->partial)
		return a->partial ? 1 : -1;
	if (a->llen != b->llen)
		return a->llen > b->llen ? -1 : 1;
	return a->owner < b->owner ? -1 : a->owner > b->owner;
}

static bool unite(const struct ck_stream *a, const struct ck_stream *b)
{
	if (a->space != b->space || a->pa != b->pa || a->plen != b->plen ||
	    a->alg != b->alg)
		return false;
	/* Two lengths of one stream: both are kept, one of them is wrong. */
	if (a->llen != b->llen && !b->partial)
		return false;
	/* More than there is: decoding tells. */
	return b->llen <= a->llen;
}

static void compact(struct ck *ck)
{
	struct ck_stream *at = ck->streams.at;
	size_t i, n = 0;

	ck_sort(at, ck->streams.n, sizeof(*at), place, compare);
	for (i = 0; i < ck->streams.n; i++)
		if (n == 0 || !unite(&at[n - 1], &at[i]))
			at[n++] = at[i];
	ck->streams.n = n;
	ck->streams_compact_at = n * 2 + 65536;
}

ek_status ck_stream(struct ck *ck, const struct ck_stream *stream,
		    struct ek_err *err)
{
	if (ck->streams.n >= ck->streams_compact_at)
		compact(ck);
	return ek_vec_push(&ck->streams, *stream, STREAMS_MAX, err);
}

/* Neighbours that are not the same and yet overlap. */
static ek_status compare_neighbours(struct ck *ck)
{
	size_t i;

	for (i = 1; i < ck->streams.n; i++) {
		const struct ck_stream *a = &ck->streams.at[i - 1];
		const struct ck_stream *b = &ck->streams.at[i];
		uint64_t at = b->space == CK_BOX ? CK_NO_OFFSET : b->pa;

		if (a->space != b->space || b->pa >= a->pa + a->plen)
			continue;
		if (a->pa == b->pa)
			ck_find(ck, CK_MAP_CONFLICT, b->owner, NULL, at,
				"%u bytes decode to %u or, elsewhere, %u "
				"bytes to %u",
				b->plen, b->llen, a->plen, a->llen);
		else
			ck_find(ck, CK_SPACE_SHARED, b->owner, NULL, at,
				"a cluster begins inside the one at %llu",
				(unsigned long long)a->pa);
	}
	return EK_OK;
}

/* How many streams, in order, the budget allows to decode. */
static size_t within_budget(const struct ck *ck)
{
	uint64_t left = ck->max_decode;
	size_t i;

	for (i = 0; i < ck->streams.n; i++) {
		if (ck->streams.at[i].llen > left)
			break;
		left -= ck->streams.at[i].llen;
	}
	return i;
}

ek_status ck_streams_start(struct ck *ck, struct ek_err *err)
{
	compact(ck);
	ck->result->pclusters = ck->streams.n;
	if (ck->options->metadata_only || ck->streams.n == 0)
		return EK_OK;
	ck->to_decode = within_budget(ck);
	return ck_decode_start(ck, ck->to_decode, err);
}

ek_status ck_streams_check(struct ck *ck, struct ek_err *err)
{
	EK_TRY(compare_neighbours(ck));
	if (!ck->decoding)
		return EK_OK;
	if (ck->to_decode < ck->streams.n)
		ck_find(ck, CK_DATA_BUDGET, ck->streams.at[ck->to_decode].owner,
			NULL, CK_NO_OFFSET,
			"%zu of %zu streams were not decoded: more than %llu "
			"bytes",
			ck->streams.n - ck->to_decode, ck->streams.n,
			(unsigned long long)ck->max_decode);
	return ck_decode_end(ck, err);
}
