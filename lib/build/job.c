/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

/*
 * What workers do: read files, encode them, say what came of it. Nothing here
 * knows an address or another job.
 */

static ek_status read_file(struct ek_build *b,
			   const struct ek_tree_inode *inode, uint64_t offset,
			   void *to, size_t n, unsigned worker,
			   struct ek_err *err)
{
	struct ek_file *file;
	ek_status status;

	EK_TRY(ek_tree_source_open(b->src, inode, &b->nears[worker], &file,
				   err));
	status = b->src->ops->read(file, offset, to, n, err);
	if (status != EK_OK) {
		struct ek_err ignored;

		b->src->ops->close(file, &ignored);
		return status;
	}
	return b->src->ops->close(file, err);
}

static void pad_block(struct ek_build_job *job, uint32_t bs)
{
	size_t end = (size_t)ek_round_up(job->out_used, bs);

	memset(job->out + job->out_used, 0, end - job->out_used);
	job->out_used = end;
}

/* Where the data of @f begin that are whole blocks. */
static void begin_block(struct ek_build_job *job, struct ek_job_file *f)
{
	pad_block(job, job->b->bs);
	f->at = job->out_used;
}

/* Room for @n bytes that stay until they are placed, as the tail of @f. */
static uint8_t *keep_tail(struct ek_build_job *job, struct ek_job_file *f,
			  size_t n)
{
	uint8_t *at = job->tails + job->tails_used;

	EK_BUG_ON(n > EK_TAILS_BYTES - job->tails_used);
	f->tail = at;
	f->tail_len = (uint32_t)n;
	job->tails_used += n;
	return at;
}

static ek_status digest(struct ek_build *b, struct ek_job_file *f,
			const void *from, size_t n, struct ek_err *err)
{
	if (!b->digests)
		return EK_OK;
	return ek_sha_once(from, n, f->sha256, err);
}

/* Store a whole file without encoding; read straight to where it goes. */
static ek_status plain_file(struct ek_build *b, struct ek_build_job *job,
			    struct ek_job_file *f, unsigned worker,
			    struct ek_err *err)
{
	size_t size = (size_t)f->inode->size, tail = size % b->bs;
	uint8_t *at;

	begin_block(job, f);
	at = job->out + job->out_used;
	/* Of a file in chunks the end is a chunk. */
	if (!ek_build_tail_ok(b, f->inode, tail) ||
	    (b->opt.chunk_size && size > b->bs))
		tail = 0;
	if (tail == size)
		at = keep_tail(job, f, size);
	EK_TRY(read_file(b, f->inode, 0, at, size, worker, err));
	EK_TRY(digest(b, f, at, size, err));
	if (tail == size)
		return EK_OK;
	if (tail)
		memcpy(keep_tail(job, f, tail), at + size - tail, tail);
	job->out_used += size - tail;
	pad_block(job, b->bs);
	f->blocks = (uint32_t)ek_div_up(size - tail, b->bs);
	return ek_chunks_sum(job, f, at, size, worker, err);
}

/* The same for a file that is in memory already. */
static void copy_plain(struct ek_build *b, struct ek_build_job *job,
		       struct ek_job_file *f, const uint8_t *at)
{
	size_t size = (size_t)f->inode->size, tail = size % b->bs;

	begin_block(job, f);
	if (!ek_build_tail_ok(b, f->inode, tail))
		tail = 0;
	if (tail)
		memcpy(keep_tail(job, f, tail), at + size - tail, tail);
	memcpy(job->out + job->out_used, at, size - tail);
	job->out_used += size - tail;
	pad_block(job, b->bs);
	f->blocks = (uint32_t)ek_div_up(size - tail, b->bs);
}

static void begin(struct ek_build_job *job, const struct ek_job_file *f,
		  unsigned worker, struct ek_compress *c)
{
	struct ek_build *b = job->b;
	const struct ek_plan *plan = f->inode->plan;
	const struct ek_codec_info *info = b->codecs[plan->codec].info;

	*c = (struct ek_compress){
		.enc = b->encs[worker * b->n_codecs + plan->codec],
		.bs = b->bs,
		.max_blocks = plan->max_blocks,
		.max_len = b->opt.max_extent,
		.unit = ek_codecs_unit(b, f->inode),
		.lz4_margin = info->algorithm == EK_CODEC_LZ4,
		.out = job->out,
		.out_cap = job->out_cap,
		.pieces = job->pieces,
		.cap_pieces = job->cap_pieces,
		.used = job->out_used,
		.n_pieces = job->n_pieces,
	};
	ek_compress_begin(c);
}

/* Take the results over as those of @f. */
static void accept(struct ek_build_job *job, struct ek_job_file *f,
		   const struct ek_compress *c)
{
	f->blocks = (uint32_t)ek_div_up(c->used - job->out_used, job->b->bs);
	f->coded = c->coded;
	f->pieces = (uint32_t)job->n_pieces;
	f->n_pieces = (uint32_t)(c->n_pieces - job->n_pieces);
	job->out_used = c->used;
	job->n_pieces = c->n_pieces;
}

/*
 * Bytes that the data of a file must stay below to be worth its indexes,
 * which take at most 4 bytes a block, or 8 when full, and the map header.
 */
static size_t worth(const struct ek_build *b, const struct ek_tree_inode *inode)
{
	size_t size = (size_t)inode->size, plain, index;
	size_t unit = ek_codecs_unit(b, inode);

	plain = (size_t)ek_round_up(size, b->bs);
	if (ek_build_tail_ok(b, inode, size % b->bs))
		plain = size;
	index = (size_t)ek_div_up(size, b->bs) * (b->opt.full_indexes ? 8 : 4) +
		(b->opt.full_indexes ? 24 : 16);
	if (unit)
		index = 24 + 4 * (size_t)ek_div_up(size, unit);
	return plain > index ? plain - index : 0;
}

/*
 * Keep the last extent of @f next to its inode, when all of the record fits a
 * block; bounds of its parts will do.
 */
static void pack_tail(struct ek_build *b, struct ek_build_job *job,
		      struct ek_job_file *f, struct ek_compress *c)
{
	ek_piece last = c->pieces[c->n_pieces - 1];
	uint32_t size = ek_piece_size(last);
	uint64_t maps = ek_div_up(f->inode->size, b->bs) *
			(b->opt.full_indexes ? 8 : 4);

	if (!b->opt.tailpacking || c->unit || ek_piece_blocks(last) > 1)
		return;
	/* A stream is at the end of its block, stored bytes at the start. */
	if (!size)
		size = ek_piece_len(last);
	if (size == b->bs ||
	    ek_plan_head(f->inode->plan) + 8 + 16 + maps + 8 + size > b->bs)
		return;
	memcpy(keep_tail(job, f, size),
	       c->out + c->used - (ek_piece_size(last) ? size : b->bs), size);
	c->used -= b->bs;
}

static ek_status coded_file(struct ek_build *b, struct ek_build_job *job,
			    struct ek_job_file *f, unsigned worker,
			    struct ek_err *err)
{
	size_t size = (size_t)f->inode->size, taken;
	uint8_t *at = b->windows[worker];
	struct ek_compress c;

	EK_TRY(read_file(b, f->inode, 0, at, size, worker, err));
	EK_TRY(digest(b, f, at, size, err));
	/* Streams may follow each other, but not where files are aligned. */
	f->at = job->out_used;
	if (!ek_codecs_unit(b, f->inode) || b->opt.data_align > 1)
		begin_block(job, f);
	begin(job, f, worker, &c);
	EK_TRY(ek_compress_feed(&c, at, size, true, worth(b, f->inode), &taken,
				err));
	job->codec_in += c.bytes_in;
	if (c.full || !c.coded) {
		copy_plain(b, job, f, at);
		return EK_OK;
	}
	pack_tail(b, job, f, &c);
	accept(job, f, &c);
	return EK_OK;
}

/*
 * A file of no more than a block, coded next to its inode when that makes the
 * record smaller. The record's parts besides are bounded: a map header and one
 * index, each at 8 bytes.
 */
static ek_status packed_file(struct ek_build *b, struct ek_build_job *job,
			     struct ek_job_file *f, unsigned worker,
			     struct ek_err *err)
{
	const struct ek_plan *plan = f->inode->plan;
	size_t size = (size_t)f->inode->size, room, most, n = 0;
	size_t besides = b->opt.full_indexes ? 32 : 24;
	struct ek_encoder *enc = b->encs[worker * b->n_codecs + plan->codec];
	uint8_t *at = b->windows[worker], *to = at + b->bs;
	uint64_t before = ek_encoder_fed(enc);

	EK_TRY(read_file(b, f->inode, 0, at, size, worker, err));
	EK_TRY(digest(b, f, at, size, err));
	most = b->bs - ek_min(b->bs, ek_plan_head(plan) + besides);
	room = ek_min(most, size - ek_min(size, besides + 1));
	if (room)
		EK_TRY(ek_encode_whole(enc, at, size, to, room, &n, err));
	job->codec_in += ek_encoder_fed(enc) - before;
	if (!n) {
		copy_plain(b, job, f, at);
		return EK_OK;
	}
	begin_block(job, f);
	memcpy(keep_tail(job, f, n), to, n);
	job->pieces[job->n_pieces] =
		ek_piece_coded_make((uint32_t)size, 1, (uint32_t)n);
	f->coded = true;
	f->pieces = (uint32_t)job->n_pieces++;
	f->n_pieces = 1;
	return EK_OK;
}

static ek_status code_file(struct ek_build *b, struct ek_build_job *job,
			   struct ek_job_file *f, unsigned worker,
			   struct ek_err *err)
{
	const struct ek_tree_inode *inode = f->inode;

	if (!ek_plan_codes(inode))
		return plain_file(b, job, f, worker, err);
	if (inode->size > b->bs)
		return coded_file(b, job, f, worker, err);
	if (b->opt.tailpacking && !ek_codecs_unit(b, inode))
		return packed_file(b, job, f, worker, err);
	return plain_file(b, job, f, worker, err);
}

static ek_status run_batch(struct ek_build_job *job, unsigned worker,
			   struct ek_err *err)
{
	struct ek_build *b = job->b;

	for (uint32_t i = job->first; i < job->end; i++) {
		struct ek_tree_inode *inode = b->tree->inodes[i];
		struct ek_job_file *f;

		if (!ek_build_has_data(inode))
			continue;
		EK_BUG_ON(job->n_files == EK_BATCH_FILES);
		f = &job->files[job->n_files++];
		*f = (struct ek_job_file){.inode = inode};
		job->bytes_in += inode->size;
		EK_TRY(code_file(b, job, f, worker, err));
	}
	pad_block(job, b->bs);
	return EK_OK;
}

/* Which chunks of a segment hold nothing. */
static void find_zeros(struct ek_build_job *job)
{
	for (uint32_t i = 0; i * EK_HOLE_CHUNK < job->len; i++) {
		size_t at = (size_t)i * EK_HOLE_CHUNK;
		size_t n = (size_t)ek_min(EK_HOLE_CHUNK, job->len - at);

		if (ek_all_zero(job->out + at, n))
			job->zeros |= UINT32_C(1) << i;
	}
}

static ek_status plain_segment(struct ek_build *b, struct ek_build_job *job,
			       struct ek_job_file *f, unsigned worker,
			       struct ek_err *err)
{
	EK_TRY(read_file(b, f->inode, job->offset, job->out, job->len, worker,
			 err));
	job->out_used = job->len;
	pad_block(job, b->bs);
	f->blocks = (uint32_t)(job->out_used / b->bs);
	if (b->opt.chunk_size)
		return ek_chunks_sum(job, f, job->out, job->len, worker, err);
	find_zeros(job);
	return EK_OK;
}

/*
 * Read and encode a segment through the window @in. A part of the window that
 * is left moves to its start.
 */
static ek_status encode_window(struct ek_build_job *job, struct ek_file *file,
			       struct ek_compress *c, uint8_t *in,
			       struct ek_err *err)
{
	struct ek_build *b = job->b;
	size_t limit = (size_t)ek_round_up(job->len, b->bs);
	size_t cap = job->all ? b->segment : b->window;
	size_t have = 0, got = 0, taken;

	while (got < job->len || have) {
		size_t n = (size_t)ek_min(cap - have, job->len - got);

		EK_TRY(b->src->ops->read(file, job->offset + got, in + have, n,
					 err));
		got += n;
		have += n;
		EK_TRY(ek_compress_feed(c, in, have, got == job->len, limit,
					&taken, err));
		have -= taken;
		if (c->full)
			return EK_OK;
		if (have)
			memmove(in, in + taken, have);
	}
	return EK_OK;
}

static ek_status coded_segment(struct ek_build *b, struct ek_build_job *job,
			       struct ek_job_file *f, unsigned worker,
			       struct ek_err *err)
{
	struct ek_file *file;
	struct ek_compress c;
	ek_status status;

	begin(job, f, worker, &c);
	EK_TRY(ek_tree_source_open(b->src, f->inode, &b->nears[worker], &file,
				   err));
	status = encode_window(job, file, &c,
			       job->all ? job->all : b->windows[worker], err);
	job->codec_in += c.bytes_in;
	if (status != EK_OK) {
		struct ek_err ignored;

		b->src->ops->close(file, &ignored);
		return status;
	}
	EK_TRY(b->src->ops->close(file, err));
	/* Stored blocks alone are the file as it is. */
	if (c.done == job->len && (!c.coded || !c.full)) {
		accept(job, f, &c);
		pad_block(job, b->bs);
		return EK_OK;
	}
	return plain_segment(b, job, f, worker, err);
}

static ek_status run_segment(struct ek_build_job *job, unsigned worker,
			     struct ek_err *err)
{
	struct ek_build *b = job->b;
	struct ek_job_file *f = &job->files[0];

	job->n_files = 1;
	*f = (struct ek_job_file){.inode = b->tree->inodes[job->first]};
	job->bytes_in = job->len;
	if (ek_plan_codes(f->inode))
		return coded_segment(b, job, f, worker, err);
	return plain_segment(b, job, f, worker, err);
}

ek_status ek_build_job_run(struct ek_job *base, unsigned worker,
			   struct ek_err *err)
{
	struct ek_build_job *job = (struct ek_build_job *)base;

	if (job->b->opt.cancel && *job->b->opt.cancel)
		return ek_fail(err, EK_CANCELLED, "cancelled");
	EK_TRY(job->len ? run_segment(job, worker, err)
			: run_batch(job, worker, err));
	/* Here, where the bytes are at hand and others go on meanwhile. */
	if (job->b->hash)
		ek_hash_once(job->out, job->out_used, job->hash);
	return EK_OK;
}
