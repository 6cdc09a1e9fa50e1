/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/chunk.h"
#include "format/device.h"
#include "format/needs.h"

#include <string.h>

/*
 * An index: files are chunk-based, and their chunks lie on the devices of the
 * source (TarFS). The table of devices is in the head, behind the superblock
 * and the configurations, at a multiple of a slot.
 */

/* Chunks of one file: 128 MiB of array, a sparse file of 64 GiB. */
#define CHUNKS_MAX (UINT64_C(1) << 24)
/*
 * Of all files. An archive of headers alone can ask for many: a sparse member
 * takes a kilobyte there, whatever it claims to be.
 */
#define ALL_CHUNKS_MAX (UINT64_C(1) << 26)
/* The format cannot say a larger chunk (5.2). */
#define CHUNK_BITS_MAX 31u

static uint64_t table_offset(void)
{
	/* Room for the configurations of codecs before it. */
	return ek_round_up(EK_SB_OFFSET + EK_SB_SIZE_MIN + EK_CFGS_ENCODED_MAX,
			   EK_DEVSLOT_SIZE);
}

/* Blocks of device @i of the source. */
static uint64_t device_blocks(const struct ek_build *b, uint16_t i)
{
	return ek_div_up(b->src->devices[i].bytes, b->bs);
}

/* Devices that 32 bits do not reach to the end make the image a wide one. */
static ek_status check_source(struct ek_build *b, struct ek_err *err)
{
	const struct ek_tree_source *src = b->src;

	if (!src->ops->place || !src->n_devices)
		return ek_fail(err, EK_INVALID,
			       "an index needs a source with devices: a tar "
			       "or images");
	for (uint16_t i = 0; i < src->n_devices; i++) {
		if (device_blocks(b, i) >= EK_BLK_MAX)
			return ek_fail(err, EK_LIMIT,
				       "device %u has 2^48 blocks of %u bytes "
				       "or more: larger blocks reach farther",
				       i + 1u, b->bs);
		if (device_blocks(b, i) >= UINT32_MAX)
			b->sb.incompat |= EK_INCOMPAT_48BIT;
	}
	return EK_OK;
}

ek_status ek_index_devices(struct ek_build *b, struct ek_err *err)
{
	uint64_t n = b->blob ? 1 : b->opt.index ? b->src->n_devices : 0;

	if (b->opt.index)
		EK_TRY(check_source(b, err));
	if (!n)
		return EK_OK;
	b->sb.incompat |= EK_INCOMPAT_DEVICE_TABLE | EK_INCOMPAT_CHUNKED_FILE;
	b->uses |= EK_USE_CHUNKS;
	b->sb.extra_devices = (uint16_t)n;
	b->sb.devt_slotoff = (uint16_t)(table_offset() / EK_DEVSLOT_SIZE);
	b->head_blocks = ek_div_up(table_offset() + n * EK_DEVSLOT_SIZE, b->bs);
	return EK_OK;
}

static void describe(const struct ek_place_device *d, uint32_t bs,
		     struct ek_devslot *slot)
{
	slot->blocks = ek_div_up(d->bytes, bs);
	memcpy(slot->tag, d->tag, strnlen(d->tag, sizeof(slot->tag)));
}

ek_status ek_index_table(struct ek_build *b, struct ek_err *err)
{
	bool wide = ek_sb_incompat(&b->sb, EK_INCOMPAT_48BIT);
	uint64_t uniaddr = b->sb.blocks, max = wide ? EK_BLK_MAX : UINT32_MAX;

	for (uint16_t i = 0; i < b->sb.extra_devices; i++) {
		struct ek_devslot slot = {
			.blocks = b->blob_blk,
			/* Beyond the reach of addresses: not in that space. */
			.uniaddr = uniaddr < max ? uniaddr : 0,
		};

		if (!b->blob)
			describe(&b->src->devices[i], b->bs, &slot);
		EK_TRY(ek_devslot_encode(&b->sb, &slot,
					 b->head + ek_devslot_pos(&b->sb, i),
					 err));
		uniaddr += slot.blocks;
	}
	return EK_OK;
}

/* Whether blocks can address all of @p, and nothing of others with it. */
static bool addressable(const struct ek_build *b, const struct ek_place *p,
			uint64_t size)
{
	uint64_t end = p->at + p->length, bytes;

	if (p->device == 0 || p->device > b->src->n_devices)
		return false;
	bytes = b->src->devices[p->device - 1].bytes;
	if (p->offset > bytes || p->length > bytes - p->offset)
		return false;
	return p->at % b->bs == 0 && p->offset % b->bs == 0 &&
	       (end % b->bs == 0 || end == size);
}

ek_status ek_index_plan(struct ek_build *b, struct ek_tree_inode *inode,
			bool *indexed, struct ek_err *err)
{
	const struct ek_place *p = NULL;
	size_t n = 0;

	*indexed = false;
	EK_TRY(b->src->ops->place(b->src, inode, &p, &n, err));
	if (n == EK_PLACE_NONE)
		return EK_OK;
	for (size_t i = 0; i < n; i++)
		if (!addressable(b, &p[i], inode->size))
			return EK_OK;
	*indexed = true;
	return EK_OK;
}

static bool continues(const struct ek_place *a, const struct ek_place *b)
{
	return a->device == b->device && a->at + a->length == b->at &&
	       a->offset + a->length == b->offset;
}

/* The number of places from @i on that are one run. */
static size_t run_of(const struct ek_place *p, size_t n, size_t i,
		     uint64_t *length)
{
	size_t k = i + 1;

	*length = p[i].length;
	for (; k < n && continues(&p[k - 1], &p[k]); k++)
		*length += p[k].length;
	return k - i;
}

/*
 * The largest chunks that no two runs, nor a run and a hole, share. One run
 * from the start of a file is one chunk; so is a file of nothing but a hole.
 */
static unsigned chunk_bits(const struct ek_build *b, const struct ek_place *p,
			   size_t n, uint64_t size)
{
	unsigned bits = b->blkszbits;
	uint64_t edges = 0, length;

	for (size_t i = 0, k; i < n; i += k) {
		k = run_of(p, n, i, &length);
		edges |= p[i].at;
		if (p[i].at + length != size)
			edges |= p[i].at + length;
	}
	while (bits < b->blkszbits + CHUNK_BITS_MAX && bits < 62 &&
	       !(edges >> bits & 1) && (UINT64_C(1) << bits) < size)
		bits++;
	return bits;
}

/* Whether an address of @p needs more than 32 bits. */
static bool far(const struct ek_build *b, const struct ek_place *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((p[i].offset + p[i].length) / b->bs >= UINT32_MAX)
			return true;
	return false;
}

static ek_status put_chunks(struct ek_build *b, const struct ek_chunk_map *map,
			    const struct ek_place *p, size_t n, uint8_t *array,
			    struct ek_err *err)
{
	uint64_t step = UINT64_C(1) << map->chunkbits, length, next = 0;
	struct ek_chunk c = {.blk = EK_NULL_BLK};

	for (size_t i = 0, k; i < n; i += k) {
		k = run_of(p, n, i, &length);
		c = (struct ek_chunk){.blk = EK_NULL_BLK};
		for (; next < p[i].at >> map->chunkbits; next++)
			EK_TRY(ek_chunk_encode(map, &c, array + next * 8, err));
		c.device = p[i].device;
		for (uint64_t at = 0; at < length; at += step, next++) {
			c.blk = (p[i].offset + at) / b->bs;
			EK_TRY(ek_chunk_encode(map, &c, array + next * 8, err));
		}
	}
	c = (struct ek_chunk){.blk = EK_NULL_BLK};
	for (; next < map->count; next++)
		EK_TRY(ek_chunk_encode(map, &c, array + next * 8, err));
	return EK_OK;
}

ek_status ek_index_place(struct ek_build *b, struct ek_tree_inode *inode,
			 struct ek_err *err)
{
	const struct ek_place *p = NULL;
	struct ek_chunk_map map;
	struct ek_inode in;
	size_t n = 0;

	EK_TRY(b->src->ops->place(b->src, inode, &p, &n, err));
	ek_build_inode_fill(b, inode, &in);
	in.layout = EK_LAYOUT_CHUNK;
	EK_TRY(ek_chunk_format(&b->sb, chunk_bits(b, p, n, inode->size), true,
			       far(b, p, n), &in.chunk_format, err));
	EK_TRY(ek_build_inode_head(b, inode, &in, err));
	EK_TRY(ek_chunk_map_init(&b->sb, &in, 0, &map, err));
	b->index_chunks += map.count;
	if (map.count > CHUNKS_MAX || b->index_chunks > ALL_CHUNKS_MAX)
		return ek_build_fail(inode, err, EK_LIMIT,
				     "more than %llu chunks in it, or %llu "
				     "in all",
				     (unsigned long long)CHUNKS_MAX,
				     (unsigned long long)ALL_CHUNKS_MAX);
	EK_TRY(ek_buf_append_zeros(
		&b->record,
		(size_t)(map.pos - b->record.len + map.count * map.unit), err));
	EK_TRY(put_chunks(b, &map, p, n, b->record.data + map.pos, err));
	return ek_build_inode_place(b, inode, true, err);
}
