/* SPDX-License-Identifier: Apache-2.0 */

/* Where the data of flat and chunk-based inodes is. */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"
#include "format/chunk.h"

#define CHUNK_ENTRIES 512u /* read at once */

bool ck_meta_inside(struct ck *ck, uint32_t index, bool box, uint64_t pos,
		    uint64_t n, const char *what)
{
	uint64_t size = box ? ck->image->metabox.size : ck->src->size, end;

	if (ek_add(pos, n, &end) && end <= size)
		return true;
	ck_find(ck, CK_MAP_RANGE, index, NULL, box ? CK_NO_OFFSET : pos,
		"%s: %llu bytes at %llu lie beyond the metadata", what,
		(unsigned long long)n, (unsigned long long)pos);
	return false;
}

static bool inside(struct ck *ck, unsigned device, uint64_t at, uint64_t len)
{
	const struct ek_image *image = ck->image;
	uint64_t blocks, bytes, end, size = ck->src->size;

	blocks = device ? image->slots[device - 1].blocks : image->sb.blocks;
	if (device && image->devices)
		size = image->devices[device - 1]->size;
	if (!ek_add(at, len, &end) ||
	    !ek_mul(blocks, image->info.block_size, &bytes))
		return false;
	/* A slot may say nothing of its size. */
	if (end > bytes && (blocks || !device))
		return false;
	if (device && image->flattened)
		return ek_mul(image->slots[device - 1].uniaddr,
			      image->info.block_size, &bytes) &&
		       ek_add(bytes, end, &end) && end <= size;
	return end <= size;
}

ek_status ck_resolve(struct ck *ck, uint32_t index, unsigned id, uint64_t pa,
		     uint64_t len, uint32_t *space, uint64_t *dpa, bool *ok,
		     struct ek_err *err)
{
	const struct ek_image *image = ck->image;
	unsigned device = 0;
	struct ek_err why;

	(void)err;
	*ok = false;
	if (ek_device_resolve(&image->sb, image->slots, id, pa, &device, dpa,
			      &why) != EK_OK)
		return ck_find(ck, CK_MAP_DEVICE, index, NULL, pa, "%s",
			       why.text);
	*space = device;
	if (device && ck->devices_absent)
		return EK_OK;
	*ok = inside(ck, device, *dpa, len);
	if (*ok)
		return EK_OK;
	return ck_find(ck, CK_MAP_RANGE, index, NULL, *dpa,
		       "%llu bytes at %llu lie beyond device %u",
		       (unsigned long long)len, (unsigned long long)*dpa,
		       device);
}

/* Data that is stored as it is: bounds and claim. */
static ek_status plain_run(struct ck *ck, uint32_t index, unsigned id,
			   uint64_t blk, uint64_t len, struct ek_err *err)
{
	uint32_t space;
	uint64_t pa, dpa;
	bool ok;

	if (!ek_mul(blk, ek_sb_bs(&ck->image->sb), &pa))
		return ck_find(ck, CK_MAP_RANGE, index, NULL, CK_NO_OFFSET,
			       "block %llu does not fit",
			       (unsigned long long)blk);
	EK_TRY(ck_resolve(ck, index, id, pa, len, &space, &dpa, &ok, err));
	return ok ? ck_claim(ck, CK_DATA, index, space, dpa, len, err) : EK_OK;
}

static ek_status flat(struct ck *ck, uint32_t index, const struct ek_inode *in,
		      uint64_t pos, struct ek_err *err)
{
	const struct ek_sb *sb = &ck->image->sb;
	bool box = ck->inodes.at[index].nid & EK_NID_METABOX;
	uint64_t full = ek_inode_block_bytes(sb, in);
	uint64_t tail = in->size - full, at;

	if (full && in->start == EK_NULL_BLK && in->layout == EK_LAYOUT_INLINE)
		return ck_find(ck, CK_MAP_RANGE, index, NULL, pos,
			       "full blocks without an address");
	if (full && in->start != EK_NULL_BLK)
		EK_TRY(plain_run(ck, index, 0, in->start, full, err));
	if (!tail)
		return EK_OK;
	at = pos + ek_inode_body(in);
	if (!ck_meta_inside(ck, index, box, at, tail, "an inline tail"))
		return EK_OK;
	if (!ek_tail_fits(at, tail, ek_sb_bs(sb)))
		ck_find(ck, CK_MAP_INLINE, index, NULL, box ? CK_NO_OFFSET : at,
			"a tail of %llu bytes crosses a block",
			(unsigned long long)tail);
	return ck_claim(ck, CK_META, index, box ? CK_BOX : 0, at, tail, err);
}

/* Chunks that follow each other on their device, seen as one run. */
struct run {
	bool open;
	uint16_t device;
	uint64_t blk, blocks, bytes;
};

static ek_status run_end(struct ck *ck, uint32_t index, struct run *run,
			 struct ek_err *err)
{
	bool open = run->open;

	run->open = false;
	if (!open)
		return EK_OK;
	return plain_run(ck, index, run->device, run->blk, run->bytes, err);
}

static ek_status run_add(struct ck *ck, uint32_t index, struct run *run,
			 const struct ek_chunk *chunk, uint64_t bytes,
			 struct ek_err *err)
{
	uint32_t bs = ek_sb_bs(&ck->image->sb);

	if (chunk->blk == EK_NULL_BLK)
		return run_end(ck, index, run, err);
	if (!run->open || run->device != chunk->device ||
	    run->blk + run->blocks != chunk->blk) {
		EK_TRY(run_end(ck, index, run, err));
		*run = (struct run){.open = true,
				    .device = chunk->device,
				    .blk = chunk->blk};
	}
	run->blocks += ek_div_up(bytes, bs);
	run->bytes += bytes;
	return EK_OK;
}

static ek_status chunk_entries(struct ck *ck, uint32_t index,
			       const struct ek_inode *in,
			       const struct ek_chunk_map *map, bool box,
			       struct ek_err *err)
{
	uint64_t size = UINT64_C(1) << map->chunkbits, i, k, n;
	uint8_t bytes[CHUNK_ENTRIES * 8];
	struct run run = {.open = false};
	struct ek_err why;

	for (i = 0; i < map->count; i += n) {
		n = ek_min(map->count - i, CHUNK_ENTRIES);
		EK_TRY(ck_cancelled(ck, err));
		if (ek_meta_read(ck->image, box, map->pos + i * map->unit,
				 bytes, (size_t)n * map->unit, &why) != EK_OK)
			return ck_failed(ck, CK_MAP_RANGE, index, NULL,
					 CK_NO_OFFSET, &why);
		for (k = 0; k < n; k++) {
			struct ek_chunk chunk;
			uint64_t at = (i + k) << map->chunkbits;

			ek_chunk_decode(map, bytes + k * map->unit, &chunk);
			EK_TRY(run_add(ck, index, &run, &chunk,
				       ek_min(size, in->size - at), err));
		}
	}
	return run_end(ck, index, &run, err);
}

static ek_status chunks(struct ck *ck, uint32_t index,
			const struct ek_inode *in, uint64_t pos,
			struct ek_err *err)
{
	bool box = ck->inodes.at[index].nid & EK_NID_METABOX;
	struct ek_chunk_map map;
	struct ek_err why;
	uint64_t n;

	if (ek_chunk_map_init(&ck->image->sb, in, pos, &map, &why) != EK_OK)
		return ck_failed(ck, CK_MAP_RANGE, index, NULL, pos, &why);
	if (map.wide && !ek_sb_incompat(&ck->image->sb, EK_INCOMPAT_48BIT))
		ck_find(ck, CK_INODE_WIDE, index, NULL, pos,
			"48-bit chunks without 48BIT");
	if (!ek_mul(map.count, map.unit, &n))
		n = UINT64_MAX;
	if (!ck_meta_inside(ck, index, box, map.pos, n, "the chunk map"))
		return EK_OK;
	EK_TRY(ck_claim(ck, CK_META, index, box ? CK_BOX : 0, map.pos, n, err));
	if (ck->meta_over)
		return EK_OK;
	return chunk_entries(ck, index, in, &map, box, err);
}

ek_status ck_map(struct ck *ck, uint32_t index, const struct ek_inode *in,
		 uint64_t pos, struct ek_err *err)
{
	if (in->size == 0)
		return EK_OK;
	if (ek_inode_compressed(in))
		return ck_zmap(ck, index, in, pos, err);
	if (in->layout == EK_LAYOUT_CHUNK)
		return chunks(ck, index, in, pos, err);
	return flat(ck, index, in, pos, err);
}
