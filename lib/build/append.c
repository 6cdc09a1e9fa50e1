/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

/*
 * Where the data of jobs go: job after job, one at a time, on whichever worker
 * has just ended the one whose turn it is. Until all jobs are done, addresses
 * are given out here alone. Nothing here knows of inodes' places.
 */

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
	b->next_blk += blocks;
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

/* The files of a batch, each where it may begin. */
static ek_status append_aligned(struct ek_build *b, struct ek_build_job *job,
				struct ek_err *err)
{
	for (uint32_t i = 0; i < job->n_files; i++) {
		struct ek_job_file *f = &job->files[i];

		if (!f->coded)
			EK_TRY(align(b, f->blocks, err));
		f->blk = b->next_blk;
		EK_TRY(ek_build_append(b, job->out + f->at,
				       (size_t)f->blocks * b->bs, err));
	}
	return EK_OK;
}

/* Files in chunks: each piece may go elsewhere, or be there already. */
static ek_status append_summed(struct ek_build *b, struct ek_build_job *job,
			       struct ek_err *err)
{
	for (uint32_t i = 0; i < job->n_files; i++) {
		struct ek_job_file *f = &job->files[i];

		f->blk = b->next_blk;
		if (f->n_sums)
			EK_TRY(ek_chunks_take(b, job, f, err));
		else
			EK_TRY(ek_build_append(b, job->out + f->at,
					       (size_t)f->blocks * b->bs, err));
	}
	return EK_OK;
}

static ek_status append_batch(struct ek_build *b, struct ek_build_job *job,
			      struct ek_err *err)
{
	uint64_t base = b->next_blk;

	if (b->opt.chunk_size)
		return append_summed(b, job, err);
	if (b->opt.data_align > 1)
		return append_aligned(b, job, err);
	for (uint32_t i = 0; i < job->n_files; i++)
		job->files[i].blk = base + job->files[i].at / b->bs;
	return ek_build_append(b, job->out, job->out_used, err);
}

/* Keep the @n bytes after whole blocks in memory, next to the inode. */
static void keep_tail(struct ek_build *b, struct ek_build_job *job, uint32_t n)
{
	struct ek_job_file *f = &job->files[0];

	f->tail = job->out + job->len - n;
	f->tail_len = n;
	job->out_used -= b->bs;
}

static ek_status append_coded(struct ek_build *b, struct ek_build_job *job,
			      struct ek_err *err)
{
	const struct ek_job_file *f = &job->files[0];
	uint32_t tail = job->len % b->bs;

	b->file_coded = b->file_coded || f->coded;
	if (job->last && !b->file_coded && ek_build_tail_ok(b, f->inode, tail))
		keep_tail(b, job, tail);
	return ek_build_append(b, job->out, job->out_used, err);
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
	return left >= EK_HOLE_CHUNK || b->file_holes;
}

/* Append the chunks of a segment that are not holes, runs at once. */
static ek_status append_chunks(struct ek_build *b, struct ek_build_job *job,
			       struct ek_err *err)
{
	uint32_t n = (uint32_t)ek_div_up(job->len, EK_HOLE_CHUNK);
	size_t from = 0, to = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!is_hole(b, job, i)) {
			to = (size_t)ek_min(job->out_used,
					    (size_t)(i + 1) * EK_HOLE_CHUNK);
			continue;
		}
		job->holes |= UINT32_C(1) << i;
		b->file_holes = true;
		EK_TRY(ek_build_append(b, job->out + from, to - from, err));
		from = to = (size_t)(i + 1) * EK_HOLE_CHUNK;
	}
	return ek_build_append(b, job->out + from, to - from, err);
}

static ek_status append_plain(struct ek_build *b, struct ek_build_job *job,
			      struct ek_err *err)
{
	const struct ek_job_file *f = &job->files[0];
	uint32_t tail = job->last ? job->len % b->bs : 0;

	if (b->file_holes || !ek_build_tail_ok(b, f->inode, tail))
		tail = 0;
	/* Without holes before the last segment there may be some in it. */
	if (tail && job->zeros && ek_compat_has(b, 5, 15))
		tail = 0;
	if (tail)
		keep_tail(b, job, tail);
	return append_chunks(b, job, err);
}

static ek_status append_segment(struct ek_build *b, struct ek_build_job *job,
				struct ek_err *err)
{
	struct ek_job_file *f = &job->files[0];

	if (job->offset == 0) {
		if (!ek_plan_codes(f->inode))
			EK_TRY(align(b, f->inode->size / b->bs, err));
		b->file_coded = b->file_holes = false;
	}
	f->blk = b->next_blk;
	if (ek_plan_codes(f->inode))
		return append_coded(b, job, err);
	if (b->opt.chunk_size)
		return ek_chunks_take(b, job, f, err);
	return append_plain(b, job, err);
}

ek_status ek_build_job_append(struct ek_job *base, struct ek_err *err)
{
	struct ek_build_job *job = (struct ek_build_job *)base;

	if (job->len)
		return append_segment(job->b, job, err);
	return append_batch(job->b, job, err);
}
