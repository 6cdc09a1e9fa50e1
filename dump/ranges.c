/* SPDX-License-Identifier: Apache-2.0 */
#include "dump/ranges.h"

#include <stdlib.h>

static int order(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void ranges_join(struct ranges *r)
{
	size_t n = 0;

	if (r->n == 0)
		return;
	qsort(r->at, r->n, sizeof(*r->at), order);
	for (size_t i = 1; i < r->n; i++) {
		if (r->at[i].start > r->at[n].end)
			r->at[++n] = r->at[i];
		else if (r->at[i].end > r->at[n].end)
			r->at[n].end = r->at[i].end;
	}
	r->n = n + 1;
}

static ek_status make_room(struct ranges *r, struct ek_err *err)
{
	size_t cap = r->cap ? 2 * r->cap : 1024;
	struct range *at;

	/* Inodes are neighbours as a rule: joining often is enough. */
	if (r->n == r->cap && r->cap) {
		ranges_join(r);
		if (r->n <= r->cap / 2)
			return EK_OK;
	}
	if (r->n < r->cap)
		return EK_OK;
	at = realloc(r->at, cap * sizeof(*at));
	if (!at)
		return ek_fail(err, EK_NOMEM, "no memory");
	r->at = at;
	r->cap = cap;
	return EK_OK;
}

ek_status ranges_add(struct ranges *r, uint64_t start, uint64_t end,
		     uint32_t block_size, struct ek_err *err)
{
	struct range new = {start / block_size,
			    end / block_size + (end % block_size != 0)};
	ek_status st;

	if (start >= end)
		return EK_OK;
	if (r->n > 0) {
		struct range *last = &r->at[r->n - 1];

		if (new.start >= last->start &&new.start <= last->end) {
			if (new.end > last->end)
				last->end = new.end;
			return EK_OK;
		}
	}
	st = make_room(r, err);
	if (st == EK_OK)
		r->at[r->n++] = new;
	return st;
}

uint64_t ranges_blocks(const struct ranges *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->n; i++)
		sum += r->at[i].end - r->at[i].start;
	return sum;
}

void ranges_free(struct ranges *r)
{
	free(r->at);
}
