/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/chunk.h"
#include "format/needs.h"

#include <inttypes.h>
#include <string.h>

/*
 * Files whose holes the source knows. Reading a hole costs time, and an archive
 * of a kilobyte can claim to be a file of exabytes: so many bytes of zeros are
 * read or written in all, and what goes beyond becomes chunks, of which only
 * those that have data are read. It is stored as it is, as chunks are.
 */
#define ZEROS_PLAIN (UINT64_C(4) << 30)
#define ZEROS_CODED (UINT64_C(16) << 30)
/* An index copies what no block reaches; so much of a hole is worth chunks. */
#define INDEX_HOLES (64u << 10)
/* Chunks of one file, and of all of them: 64 MiB of metadata. */
#define CHUNKS_MAX     (UINT64_C(1) << 22)
#define ALL_CHUNKS_MAX (UINT64_C(1) << 24)
#define PIECE	       (1u << 20)
/* Larger chunks that are tried: from a block to 4 MiB. */
#define WIDER 14u
#define HOLE  UINT32_MAX

/* From chunk @first on: blocks from @blk on, or nothing. */
struct run {
	uint64_t first;
	uint32_t blk;
};

struct sparse {
	struct ek_build *b;
	struct ek_tree_inode *inode;
	const struct ek_place *places;
	size_t n;
	unsigned bits; /* of a chunk */
	EK_VEC(struct run) runs;
	uint64_t next; /* block of the next run */
	struct ek_file *file;
	uint8_t *piece;
};

void ek_sparse_init(struct ek_build *b)
{
	b->zeros_left = b->n_codecs ? ZEROS_CODED : ZEROS_PLAIN;
}

/* The chunks of the places from @i on that touch, as bytes [*from, *to). */
static size_t touched(const struct sparse *s, size_t i, uint64_t *from,
		      uint64_t *to)
{
	uint64_t chunk = UINT64_C(1) << s->bits;

	*from = ek_round_down(s->places[i].at, chunk);
	for (; i < s->n && s->places[i].at <= *to; i++)
		*to = ek_round_up(s->places[i].at + s->places[i].length, chunk);
	return i;
}

/* Each run of chunks with data: fn(arg, from, to). */
static ek_status each_run(struct sparse *s,
			  ek_status (*fn)(struct sparse *s, uint64_t from,
					  uint64_t to, struct ek_err *err),
			  struct ek_err *err)
{
	for (size_t i = 0; i < s->n;) {
		uint64_t from, to = s->places[i].at;

		i = touched(s, i, &from, &to);
		EK_TRY(fn(s, from, to, err));
	}
	return EK_OK;
}

static ek_status too_many_zeros(const struct sparse *s, struct ek_err *err)
{
	return ek_build_fail(s->inode, err, EK_LIMIT,
			     "a sparse file of %" PRIu64
			     " bytes: more zeros than a build reads or writes",
			     s->inode->size);
}

/* Zeros around data that are written because chunks have them. */
static ek_status charge(struct sparse *s, uint64_t from, uint64_t to,
			struct ek_err *err)
{
	if (to - from > s->b->zeros_left)
		return too_many_zeros(s, err);
	s->b->zeros_left -= to - from;
	return EK_OK;
}

static uint64_t stored(const struct sparse *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++)
		sum += s->places[i].length;
	return sum;
}

/* Bytes that the file takes in chunks of 1 << @bits: addresses, and data. */
static uint64_t cost(struct sparse *s, unsigned bits)
{
	uint64_t sum = (s->inode->size >> bits) * sizeof(uint64_t);

	s->bits = bits;
	for (size_t i = 0; i < s->n;) {
		uint64_t from, to = s->places[i].at;

		i = touched(s, i, &from, &to);
		sum += to - from;
	}
	return sum;
}

/* The chunks that cost least, not too many. */
static void choose_bits(struct sparse *s)
{
	unsigned least = s->b->blkszbits, best;
	uint64_t price;

	while (s->inode->size >> least >= CHUNKS_MAX)
		least++;
	best = least;
	price = cost(s, least);
	for (unsigned bits = least + 1; bits < least + WIDER; bits++) {
		uint64_t c = cost(s, bits);

		if (c < price) {
			best = bits;
			price = c;
		}
	}
	s->bits = best;
}

/* Chunks of @bits cost memory and room, though they are holes. */
static ek_status pay_chunks(struct sparse *s, unsigned bits, struct ek_err *err)
{
	struct ek_build *b = s->b;

	b->sparse_chunks += s->inode->size >> bits;
	if (b->sparse_chunks <= ALL_CHUNKS_MAX)
		return EK_OK;
	return ek_build_fail(s->inode, err, EK_LIMIT,
			     "more than %" PRIu64 " chunks of sparse files",
			     ALL_CHUNKS_MAX);
}

/* Decide to make chunks of the file, if that can be paid. */
static ek_status take(struct sparse *s, struct ek_err *err)
{
	struct ek_build *b = s->b;
	uint64_t data = stored(s);

	choose_bits(s);
	EK_TRY(pay_chunks(s, s->bits, err));
	/* The data itself is no cost that a claim makes. */
	if (data > UINT64_MAX - b->zeros_left)
		return too_many_zeros(s, err);
	b->zeros_left += data;
	return each_run(s, charge, err);
}

ek_status ek_sparse_plan(struct ek_build *b, struct ek_tree_inode *inode,
			 bool *sparse, struct ek_err *err)
{
	struct sparse s = {.b = b, .inode = inode};
	uint64_t holes, data;
	/* A manifest has digests of zeros, too: then they are read. */
	bool may = !b->opt.manifest && ek_compat_has(b, 5, 15);
	unsigned largest = b->blkszbits + EK_CHUNK_FMT_BITS;

	*sparse = b->opt.no_data;
	if (*sparse)
		return pay_chunks(&s, largest, err);
	if (!b->src->ops->place)
		return EK_OK;
	EK_TRY(b->src->ops->place(b->src, inode, &s.places, &s.n, err));
	if (s.n == EK_PLACE_NONE)
		return EK_OK;
	*sparse = s.n == 0 && may;
	data = stored(&s);
	holes = inode->size > data ? inode->size - data : 0;
	if (*sparse)
		return pay_chunks(&s, largest, err);
	if (holes <= b->zeros_left &&
	    !(may && b->opt.index && holes >= INDEX_HOLES)) {
		b->zeros_left -= holes;
		return EK_OK;
	}
	*sparse = true;
	return may ? take(&s, err) : too_many_zeros(&s, err);
}

static ek_status add_run(struct sparse *s, uint64_t at, uint32_t blk,
			 struct ek_err *err)
{
	const struct run r = {at >> s->bits, blk};

	return ek_vec_push(&s->runs, r, CHUNKS_MAX + 1, err);
}

/* The chunks of [@from, @to) follow those of the run before on the device. */
static ek_status note_run(struct sparse *s, uint64_t from, uint64_t to,
			  struct ek_err *err)
{
	uint64_t end = ek_min(to, s->inode->size);

	if (from && !s->runs.n)
		EK_TRY(add_run(s, 0, HOLE, err));
	EK_TRY(add_run(s, from, (uint32_t)s->next, err));
	s->next += ek_div_up(end - from, s->b->bs);
	return to < s->inode->size ? add_run(s, to, HOLE, err) : EK_OK;
}

/* Copy the chunks of [@from, @to), the last perhaps a short one. */
static ek_status copy_run(struct sparse *s, uint64_t from, uint64_t to,
			  struct ek_err *err)
{
	struct ek_build *b = s->b;
	uint64_t end = ek_min(to, s->inode->size);

	for (uint64_t at = from; at < end; at += PIECE) {
		size_t n = (size_t)ek_min(PIECE, end - at);
		size_t room = (size_t)ek_round_up(n, b->bs);

		if (b->opt.cancel && *b->opt.cancel)
			return ek_fail(err, EK_CANCELLED, "stopped");
		EK_TRY(b->src->ops->read(s->file, at, s->piece, n, err));
		memset(s->piece + n, 0, room - n);
		EK_TRY(ek_chunks_append(b, s->piece, room, err));
		if (b->hash)
			ek_hash_add(b->hash, s->piece, room);
	}
	return EK_OK;
}

static ek_status copy(struct sparse *s, struct ek_err *err)
{
	struct ek_build *b = s->b;
	ek_status status;

	EK_TRY(b->src->ops->open(b->src, s->inode, &s->file, err));
	status = each_run(s, copy_run, err);
	if (status != EK_OK) {
		struct ek_err ignored;

		b->src->ops->close(s->file, &ignored);
		return status;
	}
	return b->src->ops->close(s->file, err);
}

/* What is known of a file that ek_sparse_plan() has taken. */
static ek_status look(struct sparse *s, struct ek_err *err)
{
	struct ek_build *b = s->b;

	s->bits = b->blkszbits;
	s->next = ek_plan_of(s->inode)->blk;
	if (!b->opt.no_data)
		EK_TRY(b->src->ops->place(b->src, s->inode, &s->places, &s->n,
					  err));
	if (s->n)
		choose_bits(s);
	return EK_OK;
}

ek_status ek_sparse_copy(struct ek_build *b, struct ek_err *err)
{
	struct sparse s = {.b = b};
	ek_status status = EK_OK;

	for (uint32_t i = 0; status == EK_OK && i < b->tree->n_inodes; i++) {
		s.inode = b->tree->inodes[i];
		if (!b->plans[i].sparse)
			continue;
		if (!s.piece)
			s.piece = malloc(PIECE);
		if (!s.piece)
			return ek_fail(err, EK_NOMEM,
				       "no memory for a sparse file");
		b->plans[i].blk = (uint32_t)ek_chunks_next(b);
		status = look(&s, err);
		if (status == EK_OK && s.n)
			status = copy(&s, err);
	}
	free(s.piece);
	return status;
}

/* The largest chunks that no two runs share. */
static unsigned widen(const struct sparse *s)
{
	unsigned most = s->b->blkszbits + EK_CHUNK_FMT_BITS, bits = s->bits;
	uint64_t edges = 0;

	for (size_t i = 0; i < s->runs.n; i++)
		edges |= s->runs.at[i].first;
	while (bits < most && bits < 62 && !(edges & 1) &&
	       UINT64_C(1) << bits < s->inode->size) {
		edges >>= 1;
		bits++;
	}
	return bits;
}

static ek_status put_chunks(const struct sparse *s,
			    const struct ek_chunk_map *map, uint8_t *to,
			    struct ek_err *err)
{
	unsigned more = map->chunkbits - s->bits;
	unsigned per_chunk = s->bits - s->b->blkszbits;
	size_t k = 0;

	for (uint64_t i = 0; i < map->count; i++, to += map->unit) {
		struct ek_chunk c = {.blk = EK_NULL_BLK};
		const struct run *r;

		while (k + 1 < s->runs.n &&
		       s->runs.at[k + 1].first <= i << more)
			k++;
		r = &s->runs.at[k];
		if (r->blk != HOLE) {
			c.blk = r->blk +
				(((i << more) - r->first) << per_chunk);
			c.device = s->b->blob ? 1 : 0;
		}
		EK_TRY(ek_chunk_encode(map, &c, to, err));
	}
	return EK_OK;
}

static ek_status place(struct sparse *s, struct ek_err *err)
{
	struct ek_build *b = s->b;
	struct ek_chunk_map map;

	if (!s->runs.n)
		EK_TRY(add_run(s, 0, HOLE, err));
	EK_TRY(ek_chunks_record(b, s->inode, widen(s), &map, err));
	EK_TRY(put_chunks(s, &map, b->record.data + map.pos, err));
	return ek_build_inode_place(b, s->inode, true, err);
}

ek_status ek_sparse_place(struct ek_build *b, struct ek_tree_inode *inode,
			  struct ek_err *err)
{
	struct sparse s = {.b = b, .inode = inode};
	ek_status status = look(&s, err);

	if (status == EK_OK && s.n)
		status = each_run(&s, note_run, err);
	if (status == EK_OK)
		status = place(&s, err);
	ek_vec_free(&s.runs);
	return status;
}
