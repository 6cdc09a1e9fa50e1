/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

ek_status ek_build_append(struct ek_build *b, const void *from, size_t n,
			  struct ek_err *err)
{
	uint64_t blocks = n / b->bs;

	EK_BUG_ON(n % b->bs);
	if (n == 0)
		return EK_OK;
	if (blocks > EK_BLOCKS_MAX - b->next_blk)
		return ek_fail(err, EK_LIMIT,
			       "the image has more than 2^32 - 2 blocks");
	EK_TRY(ek_sink_write(b->sink, b->next_blk * b->bs, from, n, err));
	if (b->hash)
		ek_hash_add(b->hash, from, n);
	b->next_blk += blocks;
	return EK_OK;
}

ek_status ek_commit_until(struct ek_build *b, uint32_t end, struct ek_err *err)
{
	for (; b->placed < end; b->placed++) {
		struct ek_tree_inode *inode = b->tree->inodes[b->placed];

		if (ek_plan_of(inode)->indexed) {
			EK_TRY(ek_index_place(b, inode, err));
		} else if (ek_plan_of(inode)->sparse) {
			EK_TRY(ek_sparse_place(b, inode, err));
		} else if (S_ISREG(inode->mode)) {
			EK_BUG_ON(inode->size);
			EK_TRY(ek_build_flat(b, inode, 0, NULL, 0, err));
		} else {
			EK_TRY(ek_special_place(b, inode, err));
		}
	}
	return EK_OK;
}

/* All before @inode, which the caller places next. */
static ek_status reach(struct ek_build *b, const struct ek_tree_inode *inode,
		       struct ek_err *err)
{
	EK_TRY(ek_commit_until(b, inode->index, err));
	b->placed++;
	return EK_OK;
}

/* Zeros up to where the @blocks of a file stored as it is may begin. */
static ek_status align(struct ek_build *b, uint64_t blocks, struct ek_err *err)
{
	static const uint8_t zeros[4096];
	uint64_t unit = b->opt.data_align;

	if (unit < 2 || blocks < unit)
		return EK_OK;
	while (b->next_blk % unit)
		EK_TRY(ek_build_append(b, zeros, b->bs, err));
	return EK_OK;
}

static ek_status place_file(struct ek_build *b, const struct ek_build_job *job,
			    const struct ek_job_file *f, uint64_t blk,
			    struct ek_err *err)
{
	struct ek_coded c = {
		.start = blk,
		.blocks = f->blocks,
		.shift = (uint32_t)(f->at % b->bs),
		.pieces = job->pieces + f->pieces,
		.n = f->n_pieces,
		.tail = f->tail,
		.tail_len = f->tail_len,
	};

	if (f->coded)
		return ek_build_coded(b, f->inode, &c, err);
	return ek_build_flat(b, f->inode, blk, f->tail, f->tail_len, err);
}

static ek_status commit_batch(struct ek_build *b, struct ek_build_job *job,
			      struct ek_err *err)
{
	bool one_by_one = b->opt.data_align > 1;
	uint64_t base = b->next_blk;

	if (!one_by_one)
		EK_TRY(ek_build_append(b, job->out, job->out_used, err));
	for (uint32_t i = 0; i < job->n_files; i++) {
		struct ek_job_file *f = &job->files[i];
		uint64_t blk = base + f->at / b->bs;

		if (one_by_one) {
			if (!f->coded)
				EK_TRY(align(b, f->blocks, err));
			blk = b->next_blk;
			EK_TRY(ek_build_append(b, job->out + f->at,
					       (size_t)f->blocks * b->bs, err));
		}
		EK_TRY(reach(b, f->inode, err));
		EK_TRY(place_file(b, job, f, blk, err));
		if (b->digests)
			memcpy(b->digests[f->inode->index], f->sha256, 32);
	}
	return EK_OK;
}

/* The same when files are in chunks: each piece may go elsewhere. */
static ek_status commit_chunks(struct ek_build *b, struct ek_build_job *job,
			       struct ek_err *err)
{
	const uint8_t *at = job->out;

	for (uint32_t i = 0; i < job->n_files; i++) {
		struct ek_job_file *f = &job->files[i];
		uint64_t blk;

		/* Before it there may be files that jobs do not see. */
		EK_TRY(reach(b, f->inode, err));
		blk = b->next_blk;
		if (f->n_sums) {
			EK_TRY(ek_chunks_take(b, job->sums + f->sums, f->n_sums,
					      at, err));
			EK_TRY(ek_chunks_place(b, f->inode, err));
		} else {
			EK_TRY(ek_build_append(b, at, (size_t)f->blocks * b->bs,
					       err));
			EK_TRY(ek_build_flat(b, f->inode, blk, f->tail,
					     f->tail_len, err));
		}
		if (b->digests)
			memcpy(b->digests[f->inode->index], f->sha256, 32);
		at += (size_t)f->blocks * b->bs;
	}
	return EK_OK;
}

/* Remember the extents of a segment, stored or coded. */
static ek_status note_pieces(struct ek_build *b, struct ek_build_job *job,
			     const struct ek_job_file *f, struct ek_err *err)
{
	struct ek_large *l = &b->large;
	uint32_t left = job->len, unit = (uint32_t)ek_codecs_unit(b, f->inode);

	if (f->coded) {
		l->coded = true;
		for (uint32_t i = 0; i < f->n_pieces; i++)
			EK_TRY(ek_vec_push(&l->pieces,
					   job->pieces[f->pieces + i],
					   EK_PIECES_MAX, err));
		return EK_OK;
	}
	for (; unit && left; left -= (uint32_t)ek_min(left, unit))
		EK_TRY(ek_vec_push(
			&l->pieces,
			ek_piece_make((uint32_t)ek_min(left, unit), 0),
			EK_PIECES_MAX, err));
	for (; left; left -= (uint32_t)ek_min(left, b->bs)) {
		ek_piece p = ek_piece_make((uint32_t)ek_min(left, b->bs), 1);

		/* Nothing but whole stored blocks so far: a number will do. */
		if (!l->coded && left >= b->bs) {
			l->lead++;
			continue;
		}
		EK_TRY(ek_vec_push(&l->pieces, p, EK_PIECES_MAX, err));
	}
	return EK_OK;
}

static ek_status finish_coded(struct ek_build *b, const struct ek_job_file *f,
			      struct ek_err *err)
{
	struct ek_large *l = &b->large;
	const struct ek_coded c = {
		.start = l->start,
		.blocks = l->blocks,
		.lead = l->lead,
		.pieces = l->pieces.at,
		.n = l->pieces.n,
	};

	EK_TRY(reach(b, f->inode, err));
	/* Nothing but stored blocks: that is a flat file. */
	if (!l->coded)
		return ek_build_flat(b, f->inode, l->start, f->tail,
				     f->tail_len, err);
	return ek_build_coded(b, f->inode, &c, err);
}

static ek_status commit_coded(struct ek_build *b, struct ek_build_job *job,
			      struct ek_job_file *f, struct ek_err *err)
{
	uint32_t tail = job->len % b->bs;

	if (job->last && !b->large.coded && !f->coded &&
	    ek_build_tail_ok(b, f->inode, tail)) {
		f->tail = job->out + job->len - tail;
		f->tail_len = tail;
		job->out_used -= b->bs;
	}
	EK_TRY(ek_build_append(b, job->out, job->out_used, err));
	b->large.blocks += f->blocks;
	EK_TRY(note_pieces(b, job, f, err));
	return job->last ? finish_coded(b, f, err) : EK_OK;
}

/* Whether chunk @i of a segment is left out. */
static bool is_hole(const struct ek_build *b, const struct ek_build_job *job,
		    uint32_t i)
{
	uint64_t left = job->len - (uint64_t)i * EK_HOLE_CHUNK;

	if (!(job->zeros >> i & 1) || !ek_compat_has(b, 5, 15) ||
	    job->files[0].inode->size <= EK_SEGMENT)
		return false;
	/* A short end alone is not worth another layout. */
	return left >= EK_HOLE_CHUNK || b->large.holes;
}

/* Append the chunks of a segment that are not holes, runs at once. */
static ek_status append_chunks(struct ek_build *b, struct ek_build_job *job,
			       struct ek_err *err)
{
	struct ek_large *l = &b->large;
	uint32_t n = (uint32_t)ek_div_up(job->len, EK_HOLE_CHUNK);
	size_t from = 0, to = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool hole = is_hole(b, job, i);
		uint32_t blk = (uint32_t)(b->next_blk + (to - from) / b->bs);

		if (hole)
			blk = UINT32_MAX;
		EK_TRY(ek_vec_push(&l->chunks, blk, EK_HOLE_CHUNKS_MAX, err));
		if (!hole) {
			to = (size_t)ek_min(job->out_used,
					    (size_t)(i + 1) * EK_HOLE_CHUNK);
			continue;
		}
		l->holes = true;
		EK_TRY(ek_build_append(b, job->out + from, to - from, err));
		from = to = (size_t)(i + 1) * EK_HOLE_CHUNK;
	}
	return ek_build_append(b, job->out + from, to - from, err);
}

static ek_status commit_plain(struct ek_build *b, struct ek_build_job *job,
			      struct ek_job_file *f, struct ek_err *err)
{
	struct ek_large *l = &b->large;
	uint32_t tail = job->last ? job->len % b->bs : 0;

	if (l->holes || !ek_build_tail_ok(b, f->inode, tail))
		tail = 0;
	/* Without holes before the last segment there may be some in it. */
	if (tail && job->zeros && ek_compat_has(b, 5, 15))
		tail = 0;
	if (tail) {
		f->tail = job->out + job->len - tail;
		job->out_used -= b->bs;
	}
	EK_TRY(append_chunks(b, job, err));
	if (!job->last)
		return EK_OK;
	EK_TRY(reach(b, f->inode, err));
	if (l->holes)
		return ek_build_chunked(b, f->inode, l->chunks.at, l->chunks.n,
					EK_HOLE_CHUNK_BITS, err);
	return ek_build_flat(b, f->inode, l->start, f->tail, tail, err);
}

static ek_status commit_summed(struct ek_build *b, struct ek_build_job *job,
			       struct ek_job_file *f, struct ek_err *err)
{
	EK_TRY(ek_chunks_take(b, job->sums, job->n_sums, job->out, err));
	if (!job->last)
		return EK_OK;
	EK_TRY(reach(b, f->inode, err));
	return ek_chunks_place(b, f->inode, err);
}

static ek_status commit_segment(struct ek_build *b, struct ek_build_job *job,
				struct ek_err *err)
{
	struct ek_job_file *f = &job->files[0];
	struct ek_large *l = &b->large;

	if (job->offset == 0) {
		if (!ek_plan_codes(f->inode))
			EK_TRY(align(b, f->inode->size / b->bs, err));
		l->start = b->next_blk;
		l->blocks = l->lead = 0;
		l->coded = l->holes = false;
		l->pieces.n = l->chunks.n = 0;
	}
	if (b->digests)
		EK_TRY(ek_sha_add(l->sha,
				  ek_plan_codes(f->inode) ? job->in : job->out,
				  job->len, err));
	if (ek_plan_codes(f->inode))
		EK_TRY(commit_coded(b, job, f, err));
	else if (b->opt.chunk_size)
		EK_TRY(commit_summed(b, job, f, err));
	else
		EK_TRY(commit_plain(b, job, f, err));
	if (job->last && b->digests)
		return ek_sha_get(l->sha, b->digests[f->inode->index], err);
	return EK_OK;
}

ek_status ek_commit_job(struct ek_build *b, struct ek_build_job *job,
			struct ek_err *err)
{
	if (job->len)
		return commit_segment(b, job, err);
	if (b->opt.chunk_size)
		return commit_chunks(b, job, err);
	return commit_batch(b, job, err);
}
