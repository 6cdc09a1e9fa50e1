/* SPDX-License-Identifier: Apache-2.0 */
#include "build/pend.h"

#include "build/internal.h"

#include "base/try.h"

ek_status ek_pend_new(struct ek_pend **pend, struct ek_err *err)
{
	*pend = calloc(1, sizeof(**pend));
	if (!*pend)
		return ek_fail(err, EK_NOMEM, "no memory for inodes");
	/* A group ends soon after EK_PEND_BYTES: at one record more. */
	(*pend)->bytes = EK_BUF_INIT(EK_PEND_BYTES + EK_RECORD_MAX);
	return EK_OK;
}

void ek_pend_free(struct ek_pend *pend)
{
	if (!pend)
		return;
	ek_buf_free(&pend->bytes);
	free(pend);
}

/* Largest first, else as they came: a total order. */
static int by_size(const void *a, const void *b)
{
	const struct ek_pend_item *x = a, *y = b;
	uint64_t m = ek_div_up(x->size, EK_NID_SLOT);
	uint64_t n = ek_div_up(y->size, EK_NID_SLOT);

	if (m != n)
		return m > n ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static ek_status place(struct ek_pend *pend, struct ek_zone *zone,
		       const struct ek_pend_item *item, struct ek_err *err)
{
	struct ek_plan *plan = item->inode->plan;
	uint64_t pos;

	EK_TRY(ek_zone_alloc(zone, item->size, item->cross, &pos, err));
	zone->inode_end = ek_max(zone->inode_end, pos + item->size);
	plan->slot = (uint32_t)(pos / EK_NID_SLOT);
	if (item->len)
		ek_zone_write(zone, pos, pend->bytes.data + item->at,
			      item->len);
	if (item->blocks == 0)
		return EK_OK;
	return ek_zone_alloc_blocks(zone, item->blocks, &plan->blk, err);
}

ek_status ek_pend_flush(struct ek_pend *pend, struct ek_zone *zone,
			struct ek_err *err)
{
	qsort(pend->item, pend->n, sizeof(pend->item[0]), by_size);
	for (uint32_t i = 0; i < pend->n; i++)
		EK_TRY(place(pend, zone, &pend->item[i], err));
	pend->n = 0;
	pend->bytes.len = 0;
	return EK_OK;
}

ek_status ek_pend_add(struct ek_pend *pend, struct ek_zone *zone,
		      const struct ek_pend_item *item, const void *from,
		      struct ek_err *err)
{
	struct ek_pend_item *to = &pend->item[pend->n];

	*to = *item;
	to->order = pend->n;
	to->at = pend->bytes.len;
	if (item->len)
		EK_TRY(ek_buf_append(&pend->bytes, from, item->len, err));
	pend->n++;
	if (pend->n == EK_PEND_MAX || pend->bytes.len >= EK_PEND_BYTES)
		return ek_pend_flush(pend, zone, err);
	return EK_OK;
}
