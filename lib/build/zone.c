/* SPDX-License-Identifier: Apache-2.0 */
#include "build/zone.h"

#include "base/try.h"
#include "base/vec.h"

#include <string.h>

#define UNIT 32u
/* 64 GiB of 4 KiB blocks: NIDs, slots of 32 bytes, stay below 2^32. */
#define BLOCKS_MAX (UINT32_C(1) << 24)

void ek_zone_init(struct ek_zone *zone, uint32_t bs)
{
	memset(zone, 0, sizeof(*zone));
	zone->bs = bs;
	zone->units = (uint16_t)(bs / UNIT);
	for (size_t i = 0; i < EK_ARRAY_SIZE(zone->free_list); i++)
		zone->free_list[i] = EK_ZONE_NONE;
}

void ek_zone_free(struct ek_zone *zone)
{
	for (size_t i = 0; i < zone->n_chunks; i++)
		free(zone->chunks[i]);
	free(zone->chunks);
	free(zone->block);
	memset(zone, 0, sizeof(*zone));
}

static void list_add(struct ek_zone *zone, uint32_t b)
{
	struct ek_zone_block *blk = &zone->block[b];
	unsigned int space = zone->units - blk->used;
	uint32_t *head = &zone->free_list[space];

	if (space == 0)
		return;
	blk->prev = EK_ZONE_NONE;
	blk->next = *head;
	if (*head != EK_ZONE_NONE)
		zone->block[*head].prev = b;
	*head = b;
	zone->free_mask[space / 64] |= UINT64_C(1) << (space % 64);
}

static void list_del(struct ek_zone *zone, uint32_t b)
{
	struct ek_zone_block *blk = &zone->block[b];
	unsigned int space = zone->units - blk->used;

	if (space == 0)
		return;
	if (blk->next != EK_ZONE_NONE)
		zone->block[blk->next].prev = blk->prev;
	if (blk->prev != EK_ZONE_NONE)
		zone->block[blk->prev].next = blk->next;
	else
		zone->free_list[space] = blk->next;
	if (zone->free_list[space] == EK_ZONE_NONE)
		zone->free_mask[space / 64] &= ~(UINT64_C(1) << (space % 64));
}

/* The smallest amount of free space that holds @units, or 0. */
static unsigned int best_fit(const struct ek_zone *zone, unsigned int units)
{
	for (unsigned int w = units / 64; w < 3; w++) {
		uint64_t mask = zone->free_mask[w];

		if (w == units / 64)
			mask &= ~UINT64_C(0) << (units % 64);
		if (mask)
			return w * 64 + (unsigned int)__builtin_ctzll(mask);
	}
	return 0;
}

static ek_status more_chunks(struct ek_zone *zone, uint64_t blocks,
			     struct ek_err *err)
{
	uint64_t want = ek_div_up(blocks * zone->bs, EK_ZONE_CHUNK);

	while (zone->n_chunks < want) {
		EK_TRY(ek_vec_grow(&zone->chunks, zone->n_chunks,
				   &zone->cap_chunks, sizeof(*zone->chunks),
				   SIZE_MAX / 16, err));
		zone->chunks[zone->n_chunks] = calloc(1, EK_ZONE_CHUNK);
		if (!zone->chunks[zone->n_chunks])
			return ek_fail(err, EK_NOMEM,
				       "no memory for the metadata zone");
		zone->n_chunks++;
	}
	return EK_OK;
}

/* @n new blocks, marked full. */
static ek_status grow(struct ek_zone *zone, uint64_t n, struct ek_err *err)
{
	if (n > BLOCKS_MAX || zone->n_blocks + n > BLOCKS_MAX)
		return ek_fail(err, EK_LIMIT, "more than %u blocks of metadata",
			       BLOCKS_MAX);
	EK_TRY(more_chunks(zone, zone->n_blocks + n, err));
	while (n--) {
		EK_TRY(ek_vec_grow(&zone->block, zone->n_blocks,
				   &zone->cap_blocks, sizeof(*zone->block),
				   BLOCKS_MAX, err));
		zone->block[zone->n_blocks++] = (struct ek_zone_block){
			.next = EK_ZONE_NONE,
			.prev = EK_ZONE_NONE,
			.used = zone->units,
		};
	}
	return EK_OK;
}

static uint64_t take(struct ek_zone *zone, uint32_t b, unsigned int units)
{
	uint64_t pos =
		(uint64_t)b * zone->bs + (uint64_t)zone->block[b].used * UNIT;

	list_del(zone, b);
	zone->block[b].used = (uint16_t)(zone->block[b].used + units);
	list_add(zone, b);
	return pos;
}

/* From the last block's free space on, over as many new blocks as needed. */
static ek_status take_run(struct ek_zone *zone, uint64_t units, uint64_t *pos,
			  struct ek_err *err)
{
	uint64_t first = zone->n_blocks, space = 0, blocks;

	if (first > 0)
		space = zone->units - zone->block[first - 1].used;
	blocks = ek_div_up(units - space, zone->units);
	EK_TRY(grow(zone, blocks, err));
	*pos = first * zone->bs - space * UNIT;
	if (space > 0)
		take(zone, (uint32_t)(first - 1), (unsigned int)space);
	zone->block[zone->n_blocks - 1].used =
		(uint16_t)(units - space - (blocks - 1) * zone->units);
	list_add(zone, (uint32_t)(zone->n_blocks - 1));
	return EK_OK;
}

ek_status ek_zone_alloc(struct ek_zone *zone, uint64_t n, bool cross,
			uint64_t *pos, struct ek_err *err)
{
	uint64_t units = ek_div_up(n, UNIT);
	unsigned int fit;

	EK_BUG_ON(n == 0);
	if (units > zone->units)
		return take_run(zone, units, pos, err);
	fit = best_fit(zone, (unsigned int)units);
	if (fit) {
		*pos = take(zone, zone->free_list[fit], (unsigned int)units);
		return EK_OK;
	}
	if (cross)
		return take_run(zone, units, pos, err);
	EK_TRY(grow(zone, 1, err));
	zone->block[zone->n_blocks - 1].used = 0;
	list_add(zone, (uint32_t)(zone->n_blocks - 1));
	*pos = take(zone, (uint32_t)(zone->n_blocks - 1), (unsigned int)units);
	return EK_OK;
}

ek_status ek_zone_alloc_blocks(struct ek_zone *zone, uint64_t n,
			       uint32_t *block, struct ek_err *err)
{
	*block = (uint32_t)zone->n_blocks;
	return grow(zone, n, err);
}

void ek_zone_write(struct ek_zone *zone, uint64_t pos, const void *from,
		   size_t n)
{
	const uint8_t *p = from;

	while (n > 0) {
		size_t off = (size_t)(pos % EK_ZONE_CHUNK);
		size_t k = n < EK_ZONE_CHUNK - off ? n : EK_ZONE_CHUNK - off;

		memcpy(zone->chunks[pos / EK_ZONE_CHUNK] + off, p, k);
		pos += k;
		p += k;
		n -= k;
	}
}

const uint8_t *ek_zone_chunk(const struct ek_zone *zone, size_t i, size_t *n)
{
	uint64_t size = (uint64_t)zone->n_blocks * zone->bs;
	uint64_t at = (uint64_t)i * EK_ZONE_CHUNK;

	if (at >= size)
		return NULL;
	*n = (size_t)ek_min(EK_ZONE_CHUNK, size - at);
	return zone->chunks[i];
}
