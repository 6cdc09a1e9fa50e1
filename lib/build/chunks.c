/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/chunk.h"
#include "format/needs.h"

#include <string.h>

/*
 * Files in chunks that are stored once, in the image or on a device of their
 * own. Workers say what each chunk is; in order they are looked up, and what is
 * new is appended.
 */

#define HOLE UINT32_MAX

/* Larger chunks hardly ever repeat, and jobs hold whole ones. */
static unsigned unit_bits(const struct ek_build *b)
{
	uint64_t size = EK_SEGMENT;

	if (b->opt.chunk_size)
		size = ek_min(b->opt.chunk_size, EK_SEGMENT);
	return (unsigned)__builtin_ctzll(size);
}

size_t ek_chunks_room(const struct ek_build *b)
{
	/* Each file may end with a short one. */
	return (b->segment >> unit_bits(b)) + EK_BATCH_FILES;
}

static bool wanted(const struct ek_build *b, const struct ek_tree_inode *inode)
{
	return b->opt.chunk_size && inode->size > b->bs;
}

ek_status ek_chunks_sum(struct ek_build_job *job, struct ek_job_file *f,
			const uint8_t *at, size_t size, unsigned worker,
			struct ek_err *err)
{
	struct ek_build *b = job->b;
	size_t unit = (size_t)1 << unit_bits(b);

	if (!wanted(b, f->inode))
		return EK_OK;
	f->sums = job->n_sums;
	for (size_t pos = 0; pos < size; pos += unit) {
		struct ek_chunk_sum *s = &job->sums[job->n_sums++];

		EK_BUG_ON(job->n_sums > ek_chunks_room(b));
		s->len = (uint32_t)ek_min(unit, size - pos);
		s->zero = ek_all_zero(at + pos, s->len);
		if (s->zero || b->opt.keep_equal_chunks)
			continue;
		EK_TRY(ek_sha_add(b->shas[worker], at + pos, s->len, err));
		EK_TRY(ek_sha_get(b->shas[worker], s->sha256, err));
	}
	f->n_sums = job->n_sums - f->sums;
	return EK_OK;
}

uint64_t ek_chunks_next(const struct ek_build *b)
{
	return b->blob ? b->blob_blk : b->next_blk;
}

ek_status ek_chunks_append(struct ek_build *b, const uint8_t *from, size_t n,
			   struct ek_err *err)
{
	if (!b->blob)
		return ek_build_append(b, from, n, err);
	if (n == 0)
		return EK_OK;
	if (n / b->bs > EK_BLOCKS_MAX - b->blob_blk)
		return ek_fail(err, EK_LIMIT,
			       "%s has more than 2^32 - 2 blocks",
			       ek_build_blob_name(b));
	EK_TRY(ek_sink_write(b->blob, b->blob_blk * b->bs, from, n, err));
	b->blob_blk += n / b->bs;
	return EK_OK;
}

ek_status ek_chunks_take(struct ek_build *b, struct ek_build_job *job,
			 const struct ek_job_file *f, struct ek_err *err)
{
	const struct ek_chunk_sum *sums = job->sums + f->sums;
	const uint8_t *at = job->out + f->at;
	uint32_t *blks = job->blks + f->sums;
	unsigned bits = unit_bits(b);
	uint64_t next = ek_chunks_next(b);
	size_t from = 0, to = 0; /* new bytes that are not appended yet */

	for (size_t i = 0; i < f->n_sums; i++) {
		size_t pos = i << bits;
		size_t len = (size_t)ek_round_up(sums[i].len, b->bs);
		uint32_t blk = sums[i].zero ? HOLE : (uint32_t)next;
		bool fresh = !sums[i].zero;

		if (fresh && !b->opt.keep_equal_chunks)
			EK_TRY(ek_chunkset_find(b->chunkset, &sums[i], &blk,
						&fresh, err));
		blks[i] = blk;
		if (!fresh) {
			b->stats->deduplicated_bytes +=
				sums[i].zero ? 0 : sums[i].len;
			continue;
		}
		if (to != pos) {
			EK_TRY(ek_chunks_append(b, at + from, to - from, err));
			from = pos;
		}
		to = pos + len;
		next += len / b->bs;
	}
	return ek_chunks_append(b, at + from, to - from, err);
}

ek_status ek_chunks_place(struct ek_build *b, struct ek_tree_inode *inode,
			  const uint32_t *blks, size_t n, struct ek_err *err)
{
	return ek_build_chunked(b, inode, blks, n, unit_bits(b), err);
}

/* Whether chunk @i goes on where the one before ends. */
static bool goes_on(const uint32_t *blocks, size_t i, uint32_t step)
{
	if (blocks[i - 1] == HOLE || blocks[i] == HOLE)
		return blocks[i - 1] == blocks[i];
	return (uint64_t)blocks[i - 1] + step == blocks[i];
}

/*
 * The largest chunks that say the same: at each place where the data does not
 * go on, one must begin.
 */
static unsigned widen(const struct ek_build *b, const uint32_t *blocks,
		      size_t n, unsigned bits, uint64_t size)
{
	uint32_t step = UINT32_C(1) << (bits - b->blkszbits);
	uint64_t edges = 0;

	for (size_t i = 1; i < n; i++)
		if (!goes_on(blocks, i, step))
			edges |= i;
	while (bits < b->blkszbits + EK_CHUNK_FMT_BITS && bits < 62 &&
	       !(edges & 1) && UINT64_C(1) << bits < size) {
		edges >>= 1;
		bits++;
	}
	return bits;
}

ek_status ek_chunks_record(struct ek_build *b, struct ek_tree_inode *inode,
			   unsigned bits, struct ek_chunk_map *map,
			   struct ek_err *err)
{
	bool indexes =
		b->sb.extra_devices || b->opt.chunk_form == EK_CHUNK_INDEXES;
	struct ek_inode in;
	size_t array;

	b->sb.incompat |= EK_INCOMPAT_CHUNKED_FILE;
	b->uses |= EK_USE_CHUNKS;
	ek_build_inode_fill(b, inode, &in);
	in.layout = EK_LAYOUT_CHUNK;
	EK_TRY(ek_chunk_format(&b->sb, bits, indexes, false, &in.chunk_format,
			       err));
	EK_TRY(ek_build_inode_head(b, inode, &in, err));
	EK_TRY(ek_chunk_map_init(&b->sb, &in, 0, map, err));
	array = (size_t)map->count * map->unit;
	return ek_buf_append_zeros(
		&b->record, (size_t)map->pos - b->record.len + array, err);
}

ek_status ek_build_chunked(struct ek_build *b, struct ek_tree_inode *inode,
			   const uint32_t *blocks, size_t n, unsigned bits,
			   struct ek_err *err)
{
	unsigned wide = widen(b, blocks, n, bits, inode->size);
	struct ek_chunk_map map;
	uint8_t *at;

	EK_TRY(ek_chunks_record(b, inode, wide, &map, err));
	EK_BUG_ON(map.count != ek_div_up(n, UINT64_C(1) << (wide - bits)));
	at = b->record.data + map.pos;
	for (size_t i = 0; i < n; i += (size_t)1 << (wide - bits)) {
		struct ek_chunk c = {.blk = blocks[i],
				     .device = b->blob ? 1 : 0};

		if (blocks[i] == HOLE)
			c.blk = EK_NULL_BLK;
		EK_TRY(ek_chunk_encode(&map, &c, at, err));
		at += map.unit;
	}
	return ek_build_inode_place(b, inode, true, err);
}
